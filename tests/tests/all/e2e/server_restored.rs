//! A server restored from an older backup: devices send again what it lost, and drop records that nobody has anymore.

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

/// Returns all visits and stock counts of a server.
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
async fn work_sent_after_the_backup_is_sent_again_unchanged() {
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

    // The manager's device, which sent nothing after the backup, drops what it pulled in the meantime.
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
    assert!(
        before.iter().all(|(key, record)| after.get(key) == Some(record)),
        "all fields and stamps are as before"
    );
    assert!(visits(&manager).contains(&visit.0) && visits(&manager).len() == seen.len() + 1);
    assert_eq!(device.sync().await.merged, 0);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_also_sends_lost_work_again_and_rejections_are_not_duplicated() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    company::write(service.server(), vec![assignment("A1", "HB-R2", 2, yesterday(), None)]);
    let (service, backup) = service.back_up().await;
    device.visit("A2", yesterday(), 2);
    device.visit("A1", yesterday(), 2);
    assert_eq!(device.sync().await.rejected, 3, "the outlet is no longer in its scope");
    let rejected = device.client.rejected().expect("readable");
    let service = service.restore(backup.path()).await;

    device.visit("A3", yesterday(), 2);
    device.clock.set_to_now();
    let report = device.client.push(|_| {}).await.expect("the push succeeds");
    assert_eq!((report.merged, report.rejected, report.unsent_ops), (6, 3, 0));
    assert_eq!(device.client.rejected().expect("readable"), rejected);
    assert_eq!(device.sync().await.merged, 0);
    service.verify();
}

/// Returns a restored server, and a device that enrolled and sent a visit after the backup was made.
async fn came_after_the_backup() -> (Service, Device, VisitId) {
    let (service, backup) = Service::start().await.back_up().await;
    let device = service.device("W1").await;
    let visit = device.visit("A1", yesterday(), 2);
    device.sync().await;
    (service.restore(backup.path()).await, device, visit)
}

/// The new invitation is used before the app has tried to sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_unknown_to_the_backup_sends_all_its_work_after_enrolling_again() {
    let (service, device, _) = came_after_the_backup().await;
    device.client.enrol_here(&service.invitation("W1"), "again").await.expect("a new invitation");
    assert_eq!(device.sync().await.merged, 3);
    assert_eq!(work(&service).len(), 2);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_unknown_to_the_backup_is_not_confused_with_the_new_owner_of_its_number() {
    let (service, device, visit) = came_after_the_backup().await;
    let number = device.client.identity().expect("enrolled").device;
    let second = service.device("W2").await;
    assert_eq!(second.client.identity().expect("enrolled").device, number, "numbers are assigned again");
    second.visit("B1", yesterday(), 2);
    second.sync().await;
    device.visit("A2", yesterday(), 2);
    let refused = device.try_sync().await.expect_err("the number belongs to another device");
    assert!(refused.to_string().contains("not known here") && !refused.is_retryable(), "{refused}");

    device.client.enrol_here(&service.invitation("W1"), "again").await.expect("a new invitation");
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (6, 0), "everything it ever sent, and what waited");
    assert!(work(&service).keys().any(|key| key.id == visit.0));
    assert_eq!(work(&service).len(), 2 * 3);
    second.sync().await;
    service.verify();
}
