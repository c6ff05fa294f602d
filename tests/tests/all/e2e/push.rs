//! A push sends what is in the outbox, and pulls nothing.

use xundian_client::SyncError;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::RoutePlan;
use xundian_server::figures::RollUp;
use xundian_tests::support::company::{self, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::relay::Relay;
use xundian_tests::support::service::{self, Service};

fn plans(device: &Device) -> usize {
    device.client.list(RoutePlan::SPEC.kind, None).expect("readable").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_changes_the_figures_and_leaves_the_pull_to_the_next_sync() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    let device = service.device("W1").await;
    let w1 = RollUp::Person(company::person("W1"));
    let figures = || service.server().figures(w1, day, day).expect("readable");
    let watermark_ms = figures().completeness.through_ms;
    company::write(service.server(), vec![company::route("W1", today(), &["A1"])]);
    device.visit("A1", day, 3);
    device.clock.set_to_now();
    let synced_ms = device.client.status().expect("readable").last_sync_ms;

    let mut last = None;
    let pushed = device.client.push(|progress| last = Some(progress)).await.expect("pushed");
    assert_eq!((pushed.merged, pushed.rejected, pushed.unsent_ops), (3, 0, 0));
    let last = last.expect("progress was reported");
    assert_eq!((last.ops_done, last.ops_total, last.records_pulled), (3, 3, 0));
    assert_eq!((figures().visits.visits, figures().products.audited), (1, 3));
    assert_eq!(figures().completeness.through_ms, watermark_ms, "a push makes no claim of completeness");
    assert_eq!(plans(&device), 0, "nothing was pulled");
    let status = device.client.status().expect("readable");
    assert_eq!((status.unsent_ops, status.last_sync_ms), (0, synced_ms));

    let synced = device.sync().await;
    assert_eq!((synced.merged, synced.rejected), (0, 0), "nothing is sent twice");
    assert_eq!(plans(&device), 1);
    assert!(figures().completeness.through_ms > watermark_ms);
    assert_eq!(figures().visits.visits, 1);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_with_nothing_to_send_transfers_no_bytes_and_needs_no_server() {
    let service = Service::start().await;
    let relay = Relay::to(service.address()).await;
    let invitation = service::invitation(service.server(), relay.address, "W1", service::HOUR_MS);
    let device = Device::enrol(&invitation, "phone").await;
    device.sync().await;
    service.stop().await;
    relay.take_bytes();
    let pushed = device.client.push(|_| {}).await.expect("nothing to do");
    assert_eq!((pushed.merged, relay.take_bytes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_from_a_revoked_device_fails_and_keeps_its_work() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    device.visit("A1", today(), 2);
    let no = device.client.identity().expect("enrolled").device;
    service.server().revoke(no, "test", device.clock.read_ms()).expect("revoked");
    let error = device.client.push(|_| {}).await.expect_err("refused");
    assert!(matches!(error, SyncError::Session(_) | SyncError::Connection { .. }), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(device.client.status().expect("readable").unsent_ops, 3);
}
