//! Observed lists.

use std::sync::Arc;

use xundian_client::ffi::{FieldCondition, Kind, ObserverError, Query, RecordPage, RecordsObserver};
use xundian_client::{Due, IssueKind, NewIssue, SaveState, Severity};
use xundian_protocol::ids::RecordId;
use xundian_tests::support::company;
use xundian_tests::support::service::Service;

use super::{App, Received};

struct Told(Arc<Received<RecordPage>>);

impl RecordsObserver for Told {
    fn on_records(&self, page: RecordPage) -> Result<(), ObserverError> {
        self.0.hear(page);
        Ok(())
    }
}

fn query(kind: Kind) -> Query {
    let (home, day, ids, conditions) = (None, None, None, Vec::new());
    Query {
        kind,
        home,
        day,
        ids,
        conditions,
        with_corrected: false,
        newest_first: false,
        skip: 0,
        limit: 1000,
    }
}

fn open_issues() -> Query {
    let one_of = vec!["open".to_owned(), "acknowledged".to_owned()];
    Query { conditions: vec![FieldCondition { field: "state".into(), one_of }], ..query(Kind::Issue) }
}

fn raise(app: &App) -> RecordId {
    let issue = NewIssue {
        issue_kind: IssueKind::OutOfStock,
        severity: Severity::Urgent,
        text: "缺货".into(),
        due: Due::NextDay,
        assignee: None,
    };
    app.client.raise_issue(company::outlet("A1"), issue, None).expect("raised")
}

fn states(page: &RecordPage) -> Vec<SaveState> {
    page.lines.iter().map(|line| line.state.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observed_list_follows_saves_and_syncs_without_duplicate_calls() {
    let service = Service::start().await;
    let (app, manager) = (App::enrol(&service, "W1").await, App::enrol(&service, "W4").await);
    let (issues, outlets) = (Received::nothing(), Received::nothing());
    let observe = |query, heard: &Arc<_>| {
        app.client.observe_records(query, Arc::new(Told(Arc::clone(heard)))).expect("observed")
    };
    let subscriptions = (observe(open_issues(), &issues), observe(query(Kind::Outlet), &outlets));
    issues.until("an empty list", |page| page.total == 0).await;
    assert_eq!(outlets.until("her outlets", |_| true).await.total, 3);

    let issue = raise(&app);
    let page = issues.until("her issue", |page| page.total == 1).await;
    assert_eq!((page.lines[0].id, states(&page)), (issue, vec![SaveState::Saved]));
    // These changes are not in the observed list.
    app.client.report_day(None, None).expect("reported");
    let visit = app.client.open_visit(company::outlet("A1"), None).expect("opened");
    app.client.close_visit(visit).expect("closed");
    app.client.sync(None).await.expect("synced");
    issues.until("the confirmation", |page| states(page) == [SaveState::Confirmed]).await;

    manager.client.sync(None).await.expect("synced");
    manager.client.close_issue(issue, "已补货".into()).expect("closed");
    manager.client.sync(None).await.expect("synced");
    app.client.sync(None).await.expect("synced");
    issues.until("the manager's change", |page| page.total == 0).await;

    // A sync with nothing new and saves of other kinds cause no call; the next issue does.
    app.client.sync(None).await.expect("synced");
    app.client.report_day(None, None).expect("reported");
    let second = raise(&app);
    let page = issues.until("the second issue", |page| page.total == 1).await;
    assert_eq!(page.lines[0].id, second);
    let heard = issues.all();
    assert!(heard.windows(2).all(|two| two[0] != two[1]), "no page is reported twice: {heard:?}");
    assert_eq!(outlets.all().len(), 1, "no outlet changed");

    subscriptions.0.cancel();
    let calls = issues.all().len();
    raise(&app);
    let later = Received::nothing();
    let _third = observe(open_issues(), &later);
    later.until("two issues", |page: &RecordPage| page.total == 2).await;
    assert_eq!(issues.all().len(), calls, "a cancelled subscription is not called");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_observer_is_called_once_for_a_burst() {
    struct Slow {
        heard: Arc<Received<u64>>,
        goes_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
    }
    impl RecordsObserver for Slow {
        fn on_records(&self, page: RecordPage) -> Result<(), ObserverError> {
            self.heard.hear(page.total);
            let waits = self.goes_on.try_lock().expect("one call at a time");
            waits.recv().map_err(|error| ObserverError::Failed { reason: error.to_string() })
        }
    }
    let service = Service::start().await;
    let app = App::enrol(&service, "W1").await;
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let heard = Received::nothing();
    let observer = Slow { heard: Arc::clone(&heard), goes_on: std::sync::Mutex::new(goes_on) };
    let _subscription = app.client.observe_records(open_issues(), Arc::new(observer)).expect("observed");
    heard.until("the first call", |total| *total == 0).await;
    for _ in 0..20 {
        raise(&app);
    }
    (0..3).for_each(|_| go_on.send(()).expect("it waits"));
    heard.until("all twenty", |total| *total == 20).await;
    assert_eq!(heard.all(), [0, 20], "changes during a call cause one further call");
}
