//! Acceptance: an outlet is assigned to another position.

use xundian_client::{RecordError, SaveState, Visit};
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{Entity, Person, ShelfObservation, StockCount};
use xundian_protocol::record::Home;
use xundian_protocol::wire::v1::Refusal;
use xundian_server::figures::RollUp;
use xundian_tests::support::company::{self, assignment, draft, outlet, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

/// Counts the visits, shelves and stock counts of A1 on a device.
fn history(device: &Device) -> [usize; 3] {
    [Visit::SPEC.kind, ShelfObservation::SPEC.kind, StockCount::SPEC.kind]
        .map(|kind| device.client.list_home(Home::Outlet(outlet("A1")), Some(kind)).expect("readable").len())
}

/// Assigns A1 to another position from a day on.
fn hand_over(service: &Service, to: &str, epoch: i64, from: Day) {
    company::write(service.server(), vec![assignment("A1", to, epoch, from, None)]);
}

fn visits_done(service: &Service) -> i64 {
    let figures = service.server().figures(RollUp::Nation, Day(today().0 - 30), today());
    figures.expect("readable").visits.done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_position_gets_the_outlets_history_and_the_old_one_drops_it_after_sending_its_work() {
    let service = Service::start().await;
    let (old, new) = (service.device("W1").await, service.device("W2").await);
    let change = Day(today().0 - 1);
    old.visit("A1", Day(change.0 - 5), 3);
    old.sync().await;
    // Recorded offline, before and after a change that the phone does not know of yet.
    old.visit("A1", Day(change.0 - 1), 3);
    let late = old.visit("A1", change, 3);
    hand_over(&service, "HB-R2", 2, change);

    let report = new.sync().await;
    assert_eq!((report.homes_added, history(&new)), (1, [1, 1, 1]), "everything about A1 so far");

    let report = old.sync().await;
    assert_eq!((report.merged, report.rejected, report.homes_dropped), (3, 3, 1));
    assert_eq!((report.unsent_ops, old.client.status().expect("readable").unsent_ops), (0, 0));
    assert_eq!(history(&old), [0, 0, 0], "nothing of A1 stays on the old phone");
    let refused = old.client.open_visit(outlet("A1"), None);
    assert!(matches!(refused, Err(RecordError::NoSuchOutlet { .. } | RecordError::OutletNotInScope { .. })));

    let rejected_ops = old.client.rejected().expect("readable");
    assert_eq!(rejected_ops.len(), 3);
    for rejected in &rejected_ops {
        assert_eq!((rejected.why, rejected.op.record.id), (Refusal::OutOfScope, late.0));
        let told = ["A1", "scope", &change.to_string()].iter().all(|part| rejected.message.contains(part));
        assert!(told, "{:?} does not name the outlet, the reason and the day", rejected.message);
    }
    let state = old.client.save_state(Visit::key(late.0)).expect("readable");
    assert!(matches!(state, Some(SaveState::Rejected(_))), "{state:?}");

    new.sync().await;
    assert_eq!((history(&new), visits_done(&service)), ([2, 2, 2], 2), "work done before the change counts");
    service.verify();
}

/// Gives W1 another position from a day on.
fn promote(service: &Service, position: &str, from: Day) {
    let form = Person { position_from: [(from, company::position(position))].into(), ..Person::default() };
    let person = company::person("W1");
    company::write(service.server(), vec![draft(&form, person.0, Home::Person(person))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_done_before_a_change_of_position_counts_when_it_is_sent_after_it() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    device.sync().await;
    let change = Day(today().0 - 1);
    device.visit("A1", Day(change.0 - 1), 3);
    let late = device.visit("A2", change, 3);
    promote(&service, "HN-R1", change);

    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected, visits_done(&service)), (3, 3, 1));
    let rejected_ops = device.client.rejected().expect("readable");
    assert!(
        rejected_ops
            .iter()
            .all(|rejected| rejected.op.record.id == late.0 && rejected.why == Refusal::OutOfScope)
    );
    assert_eq!(history(&device), [0, 0, 0], "the phone holds only the scope of the new position");
    let of_region = |unit| service.server().figures(RollUp::Unit(company::unit(unit)), change, today());
    assert_eq!(of_region("HN").expect("readable").visits.done, 0);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_ops_can_be_sent_again_once_the_scope_allows_them_and_count_once() {
    let service = Service::start().await;
    let old = service.device("W1").await;
    let change = Day(today().0 - 2);
    hand_over(&service, "HB-R2", 2, change);
    old.visit("A1", change.next(), 2);
    assert_eq!(old.sync().await.rejected, 3);

    let rejected_ops = old.client.rejected().expect("readable");
    for rejected in &rejected_ops {
        old.client.resend_rejected(rejected.id).expect("it was rejected");
    }
    assert_eq!(
        old.client.rejected().expect("readable").len(),
        0,
        "ops sent again are no longer listed as rejected"
    );
    assert_eq!(old.sync().await.rejected, 3, "it is still not in scope");
    assert_eq!(old.client.rejected().expect("readable").len(), 3);

    hand_over(&service, "HB-M1", 3, change.next());
    for rejected in old.client.rejected().expect("readable") {
        old.client.resend_rejected(rejected.id).expect("it was rejected");
    }
    let report = old.sync().await;
    assert_eq!((report.merged, report.rejected, visits_done(&service)), (3, 0, 1));
    assert_eq!((old.sync().await.merged, visits_done(&service)), (0, 1));
    assert_eq!(history(&old), [1, 1, 1]);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_op_can_be_dropped_without_losing_anything_else() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    hand_over(&service, "HB-R2", 2, Day(today().0 - 2));
    device.visit("A1", Day(today().0 - 1), 2);
    device.visit("A2", Day(today().0 - 1), 2);
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (3, 3));
    for rejected in device.client.rejected().expect("readable") {
        device.client.drop_rejected(rejected.id).expect("it was rejected");
        assert!(device.client.drop_rejected(rejected.id).is_err(), "it can be dropped only once");
    }
    let device = Device::open(device.close());
    assert_eq!(device.client.rejected().expect("readable").len(), 0);
    assert_eq!(device.client.list(Visit::SPEC.kind, None).expect("readable").len(), 1);
}
