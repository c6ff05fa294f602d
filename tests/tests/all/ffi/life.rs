//! Hints from the platform: network changes, background and foreground, low memory.

use std::sync::Arc;

use xundian_client::ffi::{
    Client, ErrorCode, Kind, ObserverError, ProgressObserver, Query, RecordPage, RecordsObserver,
};
use xundian_client::{SyncProgress, VisitBundle};
use xundian_tests::support::company;
use xundian_tests::support::device::bundle;
use xundian_tests::support::relay::Relay;
use xundian_tests::support::service::Service;

use super::{App, Received, invitation_at};

/// So many visits that their sync takes several frames.
const VISITS: i64 = 600;

/// Runs an action once: at the first progress of a sync with at least `ops_done` ops.
struct AtStep<F> {
    ops_done: u64,
    act: std::sync::Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> AtStep<F> {
    fn new(ops_done: u64, act: F) -> Arc<Self> {
        Arc::new(Self { ops_done, act: std::sync::Mutex::new(Some(act)) })
    }
}

impl<F: FnOnce() + Send> ProgressObserver for AtStep<F> {
    fn on_progress(&self, progress: SyncProgress) -> Result<(), ObserverError> {
        if progress.ops_done < self.ops_done {
            return Ok(());
        }
        let act = self.act.lock().expect("no panic").take();
        act.map_or(Ok(()), |act| {
            act();
            Ok(())
        })
    }
}

fn record(client: &Client, visits: i64) {
    let noon_ms = company::today().start_ms("Asia/Shanghai").expect("a day") - 12 * 3_600_000;
    for nth in 0..visits {
        let bundle: VisitBundle = bundle(company::outlet("A1"), noon_ms + nth, 6);
        client.record_visit(bundle).expect("recorded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_continues_after_a_change_of_network() {
    let service = Service::start().await;
    let relay = Arc::new(Relay::to(service.address()).await);
    let app = App::enrol_at(&invitation_at(&service, relay.address, "W1"), None).await;
    app.client.network_changed().expect("nothing runs, so nothing happens");
    record(&app.client, VISITS);
    let before = relay.addresses();
    let (client, network) = (Arc::clone(&app.client), Arc::clone(&relay));
    // A connection may migrate once the server has confirmed the handshake (RFC 9000, section 9). Any answer shows it.
    let change = AtStep::new(1, move || {
        // The old address is gone: datagrams from it and to it are lost.
        network.cut();
        client.network_changed().expect("open");
    });
    let report = app.client.sync(Some(change)).await.expect("it continues from the new address");
    assert_eq!((report.merged, report.rejected, report.unsent_ops), (3 * VISITS as u64, 0, 0));
    assert_eq!(relay.addresses(), before + 2, "one connection, from two addresses");
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_is_free_in_the_background_and_any_call_opens_it_again() {
    let service = Service::start().await;
    let key = vec![7; 32];
    let app = App::enrol_at(&service.invitation("W1"), Some(key.clone())).await;
    let folder = || app.folder.path().display().to_string();
    let visit = app.client.open_visit(company::outlet("A1"), None).expect("opened");
    let in_use = Client::open(folder(), Some(key.clone())).map(drop).expect_err("it is open");
    assert_eq!(in_use.code(), ErrorCode::StoreInUse);

    app.client.entering_background().await.expect("open");
    // Another process of the app, such as an extension, could open it now.
    let other = Client::open(folder(), Some(key.clone())).expect("the folder is free");
    let refused = app.client.status().expect_err("the other one has it");
    assert_eq!(refused.code(), ErrorCode::StoreInUse);
    other.close();
    assert_eq!(app.client.current_visit().expect("opened again"), Some(visit), "an open visit stays open");
    app.client.close_visit(visit).expect("closed");

    let other_key = vec![8; 32];
    app.client.change_key(other_key.clone()).expect("changed");
    app.client.entering_background().await.expect("open");
    app.client.entering_background().await.expect("a second call does nothing");
    app.client.low_memory().expect("nothing is open");
    app.client.network_changed().expect("nothing runs");
    app.client.entering_foreground().expect("opens with the new key");
    assert_eq!(app.client.sync(None).await.expect("synced").merged, 2);
    app.client.low_memory().expect("open");
    assert_eq!(app.client.status().expect("opened again").unsent_ops, 0);
    app.client.close();
    let closed = app.client.entering_background().await.expect_err("closed for good");
    assert_eq!(closed.code(), ErrorCode::ClientClosed);
    Client::open(folder(), Some(other_key)).expect("nobody holds the folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_to_the_background_ends_a_sync_and_the_next_one_continues() {
    let service = Service::start().await;
    let app = App::enrol(&service, "W1").await;
    record(&app.client, VISITS);
    let (client, left) = (Arc::clone(&app.client), Received::nothing());
    let heard = Arc::clone(&left);
    let runtime = tokio::runtime::Handle::current();
    let leave = AtStep::new(0, move || {
        drop(runtime.spawn(async move { heard.hear(client.entering_background().await) }));
    });
    let ended = app.client.sync(Some(leave)).await;
    assert_eq!(left.until("that the app is in the background", |_| true).await, Ok(()));
    match ended {
        // The hint came after the sync had completed.
        Ok(report) => assert_eq!(report.merged, 3 * VISITS as u64),
        Err(error) => assert_eq!(error.code(), ErrorCode::Backgrounded),
    }
    app.client.sync(None).await.expect("synced");
    assert_eq!(app.client.status().expect("open").unsent_ops, 0);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observers_pause_in_the_background_and_continue_afterwards() {
    struct Told(Arc<Received<u64>>);
    impl RecordsObserver for Told {
        fn on_records(&self, page: RecordPage) -> Result<(), ObserverError> {
            self.0.hear(page.total);
            Ok(())
        }
    }
    let service = Service::start().await;
    let app = App::enrol(&service, "W1").await;
    let heard = Received::nothing();
    let (home, day, ids, conditions) = (None, None, None, Vec::new());
    let (with_corrected, newest_first, skip, limit) = (false, false, 0, 10);
    let visits =
        Query { kind: Kind::Visit, home, day, ids, conditions, with_corrected, newest_first, skip, limit };
    let _subscription =
        app.client.observe_records(visits, Arc::new(Told(Arc::clone(&heard)))).expect("observed");
    heard.until("no visits", |total| *total == 0).await;
    app.client.entering_background().await.expect("open");
    app.client.entering_foreground().expect("opens");
    app.client.entering_background().await.expect("open");
    // Recording in the background opens the store, and the observer is called again.
    record(&app.client, 1);
    heard.until("a visit", |total| *total == 1).await;
    assert_eq!(heard.all(), [0, 1], "the observer is called only for changes");
}
