//! Acceptance: a working day, from the invitation to the national figures.

use std::collections::BTreeMap;

use xundian_client::{
    AbortReason, DayReport, DepartureCheck, Due, Issue, IssueKind, IssueState, MovementCause, NewIssue,
    Severity, ShelfObservation, StockCount, StockMovement,
};
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Completeness, IssueFigures, ProductFigures, VisitFigures};
use xundian_protocol::kinds::{Gtin, Outlet, Product, RoutePlan, Visit};
use xundian_server::figures::{Figures, RollUp};
use xundian_tests::support::company::{self, product, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::relay::Relay;
use xundian_tests::support::service::{self, Service};

const MINUTE_MS: i64 = 60_000;
/// Enough for a handshake of padded packets and four small frames.
const SECOND_SYNC_BYTES_MAX: u64 = 6_000;

fn lines<T>(lines: impl IntoIterator<Item = (u64, T)>) -> BTreeMap<Gtin, T> {
    lines.into_iter().map(|(n, value)| (product(n), value)).collect()
}

/// W1's day: a departure check, three planned calls of which one is aborted, a delivery, a day report.
fn work_a_day(device: &Device, day: Day) {
    let (client, clock) = (&device.client, &device.clock);
    clock.set(day, 8);
    let yes = Some(true);
    let check =
        DepartureCheck { folder: yes, cloth: yes, knife: yes, gifts: Some(6), ..DepartureCheck::default() };
    client.check_departure(&check).expect("the bag is checked");

    clock.set(day, 9);
    let visit = client.open_visit(company::outlet("A1"), None).expect("A1 is on the device");
    let shelf = ShelfObservation {
        present: lines([(0, false), (1, true), (2, true), (3, true)]),
        in_backroom: lines([(0, true)]),
        facings_own: lines([(1, 3), (2, 2), (3, 1)]),
        facings_category: lines([(1, 10), (2, 10), (3, 10)]),
        ..ShelfObservation::default()
    };
    client.observe_shelf(visit, &shelf).expect("seen");
    let count = StockCount {
        shelf_units: lines([(1, 5), (2, 6)]),
        backroom_units: lines([(1, 12)]),
        ..StockCount::default()
    };
    client.count_stock(visit, &count).expect("counted");
    let issue = NewIssue {
        issue_kind: IssueKind::OutOfStock,
        severity: Severity::Urgent,
        text: "茶饮料0缺货".into(),
        due: Due::NextDay,
        assignee: None,
    };
    client.raise_issue(company::outlet("A1"), Some(visit), &issue).expect("raised");
    clock.advance_ms(20 * MINUTE_MS);
    client.close_visit(visit).expect("closed");

    clock.set(day, 10);
    let visit = client.open_visit(company::outlet("A2"), None).expect("A2 is on the device");
    client.abort_visit(visit, AbortReason::Refused, None).expect("broken off");

    clock.set(day, 11);
    let visit = client.open_visit(company::outlet("A3"), None).expect("A3 is on the device");
    clock.advance_ms(5 * MINUTE_MS);
    client.close_visit(visit).expect("closed");

    let movement = StockMovement {
        cause: Some(MovementCause::SellIn),
        units: lines([(1, 24)]),
        ..StockMovement::default()
    };
    client.move_stock(company::outlet("A1"), &movement).expect("delivered");
    client.report_day(Some("一切正常".into()), Some(2)).expect("reported");
}

/// The figures of W1's day, calculated by hand.
fn figures_of_w1() -> Figures {
    Figures {
        visits: VisitFigures {
            planned: 3,
            planned_done: 2,
            visits: 3,
            done: 2,
            aborted: 1,
            time_in_store_ms: 25 * MINUTE_MS,
            timed: 2,
            done_hypermarket: 1,
            done_chain: 0,
        },
        products: ProductFigures {
            audited: 4,
            absent: 1,
            backroom_only: 1,
            facings_own: 6,
            facings_category: 30,
            counts: 2,
            counted_units: 23,
        },
        stock_units: 47,
        issues: IssueFigures { raised: 1, open: 1, ..IssueFigures::default() },
        completeness: Completeness::default(),
    }
}

/// The figures of one visit of [`Device::visit`], in a hypermarket or a chain outlet.
fn figures_of_one_visit(lines: i64, hypermarket: bool) -> Figures {
    let units = lines * (lines + 1) / 2;
    Figures {
        visits: VisitFigures {
            visits: 1,
            done: 1,
            time_in_store_ms: 10 * MINUTE_MS,
            timed: 1,
            done_hypermarket: i64::from(hypermarket),
            done_chain: i64::from(!hypermarket),
            ..VisitFigures::default()
        },
        products: ProductFigures {
            audited: lines,
            absent: 1,
            facings_own: units,
            counts: lines,
            counted_units: units,
            ..ProductFigures::default()
        },
        stock_units: units,
        ..Figures::default()
    }
}

fn sum(parts: &[Figures]) -> Figures {
    let mut sum = Figures::default();
    for part in parts {
        let mut visits = sum.visits.measures();
        visits += part.visits.measures();
        let mut products = sum.products.measures();
        products += part.products.measures();
        sum = Figures {
            visits: visits.into(),
            products: products.into(),
            stock_units: sum.stock_units + part.stock_units,
            issues: IssueFigures {
                raised: sum.issues.raised + part.issues.raised,
                open: sum.issues.open + part.issues.open,
                ..IssueFigures::default()
            },
            completeness: Completeness::default(),
        };
    }
    sum
}

fn of(service: &Service, scope: RollUp, day: Day) -> Figures {
    let figures = service.server().figures(scope, day, day).expect("readable");
    Figures { completeness: Completeness::default(), ..figures }
}

fn codes(device: &Device) -> Vec<String> {
    let records = device.client.list(Outlet::SPEC.kind, None).expect("readable");
    let code = |record| xundian_protocol::kinds::Entity::read(record);
    let mut codes: Vec<String> =
        records.iter().map(|line| code(&line.record)).filter_map(|outlet: Outlet| outlet.code).collect();
    codes.sort();
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_offline_work_gives_the_figures_calculated_by_hand() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    company::write(service.server(), vec![company::route("W1", day, &["A1", "A2", "A3"])]);

    let w1 = service.device("W1").await;
    assert_eq!(
        codes(&w1),
        ["A1", "A2", "A3"],
        "the first sync brings the outlets of the scope and no others"
    );
    assert_eq!(w1.client.list(Product::SPEC.kind, None).expect("readable").len(), 10);
    assert_eq!(w1.client.list(RoutePlan::SPEC.kind, None).expect("readable").len(), 1);
    let (w2, w3) = (service.device("W2").await, service.device("W3").await);

    work_a_day(&w1, day);
    let summary = w1.client.day_summary(day).expect("readable");
    assert_eq!((summary.visits_planned, summary.visits_done, summary.visits_aborted), (3, 2, 1));
    w2.visit("B1", day, 2);
    w3.visit("C1", day, 3);
    for device in [&w1, &w2, &w3] {
        let report = device.sync().await;
        assert_eq!((report.rejected, report.unsent_ops), (0, 0));
    }

    let (one, two, three) = (figures_of_w1(), figures_of_one_visit(2, true), figures_of_one_visit(3, false));
    let person = |code| RollUp::Person(company::person(code));
    let unit = |code| RollUp::Unit(company::unit(code));
    assert_eq!(of(&service, person("W1"), day), one);
    assert_eq!(of(&service, person("W2"), day), two);
    assert_eq!(of(&service, unit("HB-1"), day), one, "only W1 works in this area");
    assert_eq!(of(&service, unit("HB"), day), sum(&[one, two]), "the region includes its areas");
    assert_eq!(of(&service, unit("HN"), day), three);
    assert_eq!(of(&service, RollUp::Unassigned, day), Figures::default());
    assert_eq!(of(&service, RollUp::Nation, day), sum(&[one, two, three]));
    assert_eq!(of(&service, RollUp::Nation, Day(day.0 - 1)), Figures::default(), "nothing the day before");
    service.verify();
    reports_say_the_same(&service, day);
}

fn reports_say_the_same(service: &Service, day: Day) {
    let reports = service.server().records(DayReport::SPEC.kind).expect("readable");
    let report: DayReport = xundian_protocol::kinds::Entity::read(&reports[0]);
    assert_eq!((reports.len(), report.visits_done, report.visits_planned), (1, Some(2), Some(3)));
    let issues = service.server().records(Issue::SPEC.kind).expect("readable");
    let issue: Issue = xundian_protocol::kinds::Entity::read(&issues[0]);
    assert_eq!((issues.len(), issue.state, issue.due_on), (1, Some(IssueState::Open), Some(day.next())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sync_changes_nothing_and_transfers_almost_no_bytes() {
    let service = Service::start().await;
    let relay = Relay::to(service.address()).await;
    let invitation = service::invitation(service.server(), relay.address, "W1", service::HOUR_MS);
    let device = Device::enrol(&invitation, "phone").await;
    device.sync().await;
    let day = Day(today().0 - 1);
    for _ in 0..40 {
        device.visit("A1", day, 10);
    }
    relay.take_bytes();
    device.sync().await;
    let first_bytes = relay.take_bytes();
    let before = Contents::of(service.server());

    let report = device.sync().await;
    let second_bytes = relay.take_bytes();
    assert_eq!((report.merged, report.rejected, report.records_pulled), (0, 0, 0));
    assert_eq!(before.differences(&Contents::of(service.server())), Vec::<String>::new());
    eprintln!("40 visits: {first_bytes} bytes; nothing new: {second_bytes} bytes, both ways");
    assert!(second_bytes < SECOND_SYNC_BYTES_MAX, "{second_bytes} bytes for nothing new");
    assert!(first_bytes > second_bytes);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managers_device_holds_the_region_and_no_more() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    let (w2, w3) = (service.device("W2").await, service.device("W3").await);
    w2.visit("B1", day, 2);
    w3.visit("C1", day, 2);
    w2.sync().await;
    w3.sync().await;

    let manager = service.device("W4").await;
    assert_eq!(codes(&manager), ["A1", "A2", "A3", "B1"]);
    let visits = manager.client.list(Visit::SPEC.kind, Some(day)).expect("readable");
    assert_eq!(visits.len(), 1, "the visit of 华南大区 is not in the manager's scope");
    let on_server = service.server().record(visits[0].record.key).expect("readable").expect("there");
    assert_eq!(visits[0].record, on_server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completeness_counts_the_devices_that_have_sent_the_day() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    let complete = |scope| {
        let figures = service.server().figures(scope, day, day).expect("readable").completeness;
        (figures.devices, figures.complete, figures.through_ms.is_some())
    };
    assert_eq!(complete(RollUp::Nation), (0, 0, false));
    let w1 = service.device("W1").await;
    let silent = Device::enrol(&service.invitation("W3"), "W3").await;
    assert_eq!(complete(RollUp::Nation), (2, 1, false), "a device that never synced may hold unsent work");
    assert_eq!(complete(RollUp::Unit(company::unit("HB"))), (1, 1, true));
    assert_eq!(complete(RollUp::Unit(company::unit("HN"))), (1, 0, false));

    silent.sync().await;
    assert_eq!(complete(RollUp::Nation), (2, 2, true));
    let later = service.server().figures(RollUp::Nation, day, today().next()).expect("readable").completeness;
    assert_eq!((later.devices, later.complete), (2, 0), "tomorrow is not over");
    let watermarks = service.server().devices().expect("readable");
    let earliest = watermarks.iter().filter_map(|device| device.captured_through_ms).min();
    assert_eq!(later.through_ms, earliest);

    let lost = w1.client.identity().expect("enrolled").device;
    service.server().revoke(lost, "test", w1.clock.read_ms()).expect("a device");
    assert_eq!(complete(RollUp::Nation), (1, 1, true), "completeness does not wait for a revoked device");
}
