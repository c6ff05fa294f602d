//! A server that was restored from an older backup: devices send again what it has lost, and let go of what nobody has.

use std::collections::BTreeMap;

use xundian_client::Visit;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{RecordId, VisitId};
use xundian_protocol::kinds::StockCount;
use xundian_protocol::record::{Record, RecordKey};
use xundian_tests::support::company::{self, assignment, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

fn yesterday() -> Day {
    Day(today().0 - 1)
}

/// All visits and counts of a server.
fn work(service: &Service) -> BTreeMap<RecordKey, Record> {
    let of_kind = |kind| service.server().records(kind).expect("readable");
    let all = [Visit::SPEC.kind, StockCount::SPEC.kind].map(of_kind);
    all.into_iter().flatten().map(|record| (record.key, record)).collect()
}

fn visits(device: &Device) -> Vec<RecordId> {
    let lines = device.client.list(Visit::SPEC.kind, None).expect("readable");
    lines.into_iter().map(|line| line.record.key.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_devices_sent_after_the_backup_comes_again_and_is_what_it_was() {
    let service = Service::start().await;
    let (device, other) = (service.device("W1").await, service.device("W2").await);
    let manager = service.device("W4").await;
    device.visit("A1", yesterday(), 3);
    device.sync().await;
    let (service, backup) = service.back_up().await;

    let visit = device.visit("A2", yesterday(), 2);
    device.sync().await;
    other.visit("B1", yesterday(), 2);
    other.sync().await;
    device.visit("A3", yesterday(), 2);
    device.sync().await;
    manager.sync().await;
    let (before, seen) = (work(&service), visits(&manager));
    let service = service.restore(backup.path()).await;
    assert!(work(&service).len() < before.len(), "the backup is older");

    // Who has sent nothing in between has seen more than the server has, and keeps it until all that is left has come.
    assert_eq!(manager.sync().await.merged, 0);
    assert!(visits(&manager).len() < seen.len());
    device.visit("A1", yesterday(), 1);
    let report = device.sync().await;
    assert_eq!(
        (report.merged, report.rejected, report.unsent_ops),
        (9, 0, 0),
        "six again and three new ones"
    );
    other.sync().await;
    manager.sync().await;
    let after = work(&service);
    assert!(before.iter().all(|(key, record)| after.get(key) == Some(record)), "to the last field and stamp");
    assert!(visits(&manager).contains(&visit.0) && visits(&manager).len() == seen.len() + 1);
    assert_eq!(device.sync().await.merged, 0);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_sends_again_as_well_and_a_rejected_save_is_rejected_once() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    company::write(service.server(), vec![assignment("A1", "HB-R2", 2, yesterday(), None)]);
    let (service, backup) = service.back_up().await;
    device.visit("A2", yesterday(), 2);
    device.visit("A1", yesterday(), 2);
    assert_eq!(device.sync().await.rejected, 3, "it looks after this outlet no more");
    let rejected = device.client.rejected().expect("readable");
    let service = service.restore(backup.path()).await;

    device.visit("A3", yesterday(), 2);
    device.clock.set_to_now();
    let report = device.client.push(|_| {}).await.expect("the push comes to its end");
    assert_eq!((report.merged, report.rejected, report.unsent_ops), (6, 3, 0));
    assert_eq!(device.client.rejected().expect("readable"), rejected);
    assert_eq!(device.sync().await.merged, 0);
    service.verify();
}

/// A device that was enrolled after the backup and has sent a visit, and the restored server, which knows neither.
async fn came_after_the_backup() -> (Service, Device, VisitId) {
    let (service, backup) = Service::start().await.back_up().await;
    let device = service.device("W1").await;
    let visit = device.visit("A1", yesterday(), 2);
    device.sync().await;
    (service.restore(backup.path()).await, device, visit)
}

/// Its user scans the new invitation before the app has tried to sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_came_after_the_backup_sends_all_it_has_when_it_is_enrolled_at_once() {
    let (service, device, _) = came_after_the_backup().await;
    device.client.enrol_here(&service.invitation("W1"), "again").await.expect("a new invitation");
    assert_eq!(device.sync().await.merged, 3);
    assert_eq!(work(&service).len(), 2);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_came_after_the_backup_is_not_taken_for_the_one_that_got_its_number() {
    let (service, device, visit) = came_after_the_backup().await;
    let number = device.client.identity().expect("enrolled").device;
    let second = service.device("W2").await;
    assert_eq!(second.client.identity().expect("enrolled").device, number, "numbers are given out again");
    second.visit("B1", yesterday(), 2);
    second.sync().await;
    device.visit("A2", yesterday(), 2);
    let refused = device.try_sync().await.expect_err("the number is another device's");
    assert!(refused.to_string().contains("not known here") && !refused.is_retryable(), "{refused}");

    device.client.enrol_here(&service.invitation("W1"), "again").await.expect("a new invitation");
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (6, 0), "all that it ever sent, and what waited");
    assert!(work(&service).keys().any(|key| key.id == visit.0));
    assert_eq!(work(&service).len(), 2 * 3);
    second.sync().await;
    service.verify();
}
