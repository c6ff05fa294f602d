//! Phones restored from a backup or copied, and lost answers: no saved work is lost silently.

use xundian_client::{Client, Visit};
use xundian_protocol::calendar::Day;
use xundian_tests::support::company::today;
use xundian_tests::support::copy_folder;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_phone_is_refused_and_its_new_work_arrives_after_it_enrols_again() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    let device = service.device("W1").await;
    let home = device.close();
    let backup = tempfile::tempdir().expect("a folder");
    copy_folder(home.path(), backup.path());

    let device = Device::open(home);
    device.visit("A1", day, 2);
    device.sync().await;

    // The backup does not have that visit, so its next save gets the same sequence numbers.
    let restored = Device::open(backup);
    let second = restored.visit("A2", day, 2);
    let refused = restored.try_sync().await.expect_err("the numbers belong to other ops");
    assert!(refused.to_string().contains("restored"), "{refused}");
    assert!(!refused.is_retryable());
    assert_eq!(restored.client.status().expect("readable").unsent_ops, 3, "nothing is lost");

    // With more ops than the server knows of, the numbers alone no longer show it, however often the phone tries.
    restored.visit("A3", day, 2);
    for _ in 0..3 {
        let refused = restored.try_sync().await.expect_err("the first numbers still belong to other ops");
        assert!(refused.to_string().contains("restored") && !refused.is_retryable(), "{refused}");
        assert_eq!(restored.client.status().expect("readable").unsent_ops, 6, "nothing is lost");
    }

    let home = restored.close();
    drop(Client::enrol(home.path(), &service.invitation("W1"), "again").await.expect("a new invitation"));
    let restored = Device::open(home);
    assert_eq!(restored.sync().await.merged, 6);
    let devices = service.server().devices().expect("readable");
    let active: Vec<_> = devices.iter().filter(|device| device.is_waited_for()).collect();
    assert_eq!((devices.len(), active.len()), (2, 1), "completeness waits for the new number only");
    let visits = service.server().records(Visit::SPEC.kind).expect("readable");
    assert!(visits.len() == 3 && visits.iter().any(|visit| visit.key.id == second.0));
    service.verify();
}

/// Found by the simulation: the two phones locked each other out forever, each time one of them enrolled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_copied_to_a_second_phone_becomes_a_second_device() {
    let service = Service::start().await;
    let day = Day(today().0 - 1);
    let home = service.device("W1").await.close();
    let copied = tempfile::tempdir().expect("a folder");
    copy_folder(home.path(), copied.path());
    let (original, second) = (Device::open(home), Device::open(copied));
    original.visit("A1", day, 2);
    second.visit("A2", day, 2);
    assert_eq!(original.sync().await.merged, 3);
    let told = second.try_sync().await.expect_err("its numbers belong to ops of the original");
    assert!(told.to_string().contains("restored"), "{told}");

    second.client.enrol_here(&service.invitation("W1"), "second").await.expect("a new invitation");
    for _ in 0..2 {
        original.visit("A3", day, 1);
        second.visit("A3", day, 1);
        assert_eq!(
            original.sync().await.rejected,
            0,
            "the original still has its certificate and its number"
        );
        second.sync().await;
    }
    assert_eq!(service.server().records(Visit::SPEC.kind).expect("readable").len(), 6);
    let waited_for = service.server().devices().expect("readable");
    assert!(waited_for.len() == 2 && waited_for.iter().all(xundian_server::store::Device::is_waited_for));
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolling_again_with_the_same_invitation_gives_the_same_device() {
    let service = Service::start().await;
    let home = tempfile::tempdir().expect("a folder");
    let invitation = service.invitation("W1");
    let enrol = async || {
        let client = Client::enrol(home.path(), &invitation, "phone").await;
        client.map(|client| client.identity().expect("enrolled").device)
    };
    let first = enrol().await.expect("a good invitation");
    // The answer may have been lost: the app tries again with the same key.
    let again = enrol().await.expect("the same device may ask again");
    assert_eq!(first, again);
    assert_eq!(service.server().devices().expect("readable").len(), 1);
}
