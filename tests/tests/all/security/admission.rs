//! Who may connect.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use xundian_client::{Client, EnrolError, SyncError};
use xundian_protocol::calendar::Day;
use xundian_protocol::invitation::Invitation;
use xundian_protocol::kinds::{Person, PersonStatus};
use xundian_protocol::record::Home;
use xundian_protocol::wire::v1::ClientFrame;
use xundian_server::authority::{Authority, device_certificate};
use xundian_server::enrolment::CERTIFICATE_RENEWED_BEFORE_MS;
use xundian_server::sessions;
use xundian_tests::support::company::{self, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::{self, HOUR_MS, Service};

use super::{assert_says, assert_unchanged};
use crate::raw::{Credentials, RawDevice, Wire, hello};

const DAY_MS: i64 = 24 * HOUR_MS;

/// Writes a certificate for the device's own key into its folder, signed by the authority of another folder.
fn certify(device: Device, authority_of: &Path, from_ms: i64, to_ms: i64) -> Device {
    let no = device.client.identity().expect("enrolled").device.0;
    let home = device.close();
    let pem = fs::read_to_string(home.path().join("device.key")).expect("its key");
    let request = CertificateParams::default().serialize_request(&KeyPair::from_pem(&pem).expect("a key"));
    let authority =
        Authority::open_or_create(&authority_of.join("authority"), from_ms).expect("an authority");
    let certificate = authority.sign_device(request.expect("a request").der(), no, from_ms, to_ms);
    fs::write(home.path().join("device.crt"), certificate.expect("a certificate")).expect("written");
    Device::open(home)
}

/// Returns a device of W1 with an unsent visit.
async fn with_unsent_work(service: &Service) -> Device {
    let device = service.device("W1").await;
    device.visit("A1", Day(today().0 - 1), 2);
    device
}

async fn assert_kept_out(device: &Device, parts: &[&str]) {
    let refused = device.try_sync().await.expect_err("it must be refused");
    assert_says(&refused.to_string(), parts);
    assert!(!refused.is_retryable(), "retrying must not be suggested");
    assert_eq!(device.client.status().expect("readable").unsent_ops, 3, "unsent work is kept");
}

/// Returns when the certificate in a device's folder expires.
fn certificate_end_ms(device: &Device) -> i64 {
    let certificate = fs::read(device.folder().join("device.crt")).expect("its certificate");
    device_certificate(&certificate).expect("a device's").not_after_ms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_soon_is_renewed_by_a_sync() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let no = device.client.identity().expect("enrolled").device;
    let enrolled_end_ms = certificate_end_ms(&device);
    device.sync().await;
    assert_eq!(certificate_end_ms(&device), enrolled_end_ms, "it is valid for another year");

    let now_ms = sessions::now_ms();
    let soon_ms = now_ms + CERTIFICATE_RENEWED_BEFORE_MS - DAY_MS;
    let device = certify(device, service.folder(), now_ms - 240 * DAY_MS, soon_ms);
    device.visit("A1", Day(today().0 - 1), 2);
    device.sync().await;
    let certificate =
        |device: &Device| fs::read(device.folder().join("device.crt")).expect("its certificate");
    let (renewed, renewed_end_ms) = (certificate(&device), certificate_end_ms(&device));
    assert!(renewed_end_ms > now_ms + 364 * DAY_MS, "a year from now");
    let row = service.server().device(no).expect("readable").expect("known");
    assert_eq!(row.certificate_not_after_ms, renewed_end_ms);

    // The running client and a restarted one must both use the new certificate. Otherwise the server would issue
    // another one, with another serial number.
    device.sync().await;
    let device = Device::open(device.close());
    device.sync().await;
    assert_eq!(certificate(&device), renewed);
    assert_eq!(device.client.status().expect("readable").unsent_ops, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_a_person_who_has_left_is_not_renewed() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let now_ms = sessions::now_ms();
    let device = certify(device, service.folder(), now_ms - DAY_MS, now_ms + DAY_MS);
    let end_ms = certificate_end_ms(&device);
    let left = Person { status: Some(PersonStatus::Left), ..Person::default() };
    let person = company::person("W1");
    company::write(service.server(), vec![company::draft(&left, person.0, Home::Person(person))]);
    device.sync().await;
    assert_eq!(certificate_end_ms(&device), end_ms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_succeeds_if_a_renewed_certificate_cannot_be_saved_and_the_next_sync_gets_another() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let now_ms = sessions::now_ms();
    let device = certify(device, service.folder(), now_ms - DAY_MS, now_ms + DAY_MS);
    let end_ms = certificate_end_ms(&device);
    // A folder of this name prevents creating the file.
    let in_the_way = device.folder().join("device.crt.new");
    fs::create_dir(&in_the_way).expect("made");
    let report = device.sync().await;
    assert_eq!((report.merged, certificate_end_ms(&device)), (3, end_ms));
    fs::remove_dir(&in_the_way).expect("removed");
    device.sync().await;
    assert!(certificate_end_ms(&device) > now_ms + 364 * DAY_MS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_an_expired_certificate_is_told_to_enrol_again() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let before = Contents::of(service.server());
    let now_ms = sessions::now_ms();
    let device = certify(device, service.folder(), now_ms - 30 * DAY_MS, now_ms - DAY_MS);
    assert_kept_out(&device, &["certificate", "expired", "enrol again", "unsent work is kept"]).await;
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_a_certificate_of_another_authority_is_refused() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let before = Contents::of(service.server());
    let other = tempfile::tempdir().expect("a folder");
    let now_ms = sessions::now_ms();
    let device = certify(device, other.path(), now_ms - DAY_MS, now_ms + DAY_MS);
    assert_kept_out(
        &device,
        &["does not know this device's certificate", "another server", "unsent work is kept"],
    )
    .await;
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_does_not_trust_a_server_that_did_not_invite_it() {
    let (service, other) = (Service::start().await, Service::start().await);
    // The address belongs to another server, as after a redirected name.
    let invitation = service::invitation(service.server(), other.address(), "W1", HOUR_MS);
    let home = tempfile::tempdir().expect("a folder");
    let refused = Client::enrol(home.path(), &invitation, "phone").await.expect_err("another authority");
    assert_says(&refused.to_string(), &["not the server that invited this device"]);
    assert_eq!(other.server().devices().expect("readable").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_is_refused_and_keeps_its_unsent_work() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let before = Contents::of(service.server());
    let no = device.client.identity().expect("enrolled").device;
    service.server().revoke(no, "test", device.clock.read_ms()).expect("a device");
    assert_kept_out(&device, &["revoked", "manager"]).await;
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_device_ends_its_session_at_once() {
    let service = Service::start().await;
    let (device, other) = (service.device("W1").await, service.device("W2").await);
    let idle = RawDevice::of(&device, service.address()).await;
    let mut bystander = RawDevice::of(&other, service.address()).await;
    let no = device.client.identity().expect("enrolled").device;
    service.server().revoke(no, "test", device.clock.read_ms()).expect("a device");
    // The session is idle, and the server ends it nevertheless.
    assert_says(&idle.wire.reason().await, &["revoked"]);
    let scope = service.server().directory().scope(company::person("W2"), today());
    assert!(!bystander.pull(&scope, &[]).await.is_empty(), "only that one device is revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_valid_for_one_device() {
    let service = Service::start().await;
    let invitation = service.invitation("W1");
    let first = Device::enrol(&invitation, "first").await;
    let before = Contents::of(service.server());
    let home = tempfile::tempdir().expect("a folder");
    let refused = Client::enrol(home.path(), &invitation, "second").await.expect_err("it was used");
    assert_says(&refused.to_string(), &["used already", "ask for a new one"]);
    assert!(matches!(refused, EnrolError::Refused(_)) && !refused.is_retryable());
    assert_eq!(service.server().devices().expect("readable").len(), 1);
    assert_unchanged(&service, &before);
    first.sync().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_used_in_another_persons_folder_changes_nothing() {
    let service = Service::start().await;
    let device = with_unsent_work(&service).await;
    let invitation = service.invitation("W2");
    let home = device.close();
    let refused =
        Client::enrol(home.path(), &invitation, "mixed up").await.expect_err("another person's folder");
    assert_says(&refused.to_string(), &["folder", "person"]);
    assert_eq!(
        service.server().devices().expect("readable").len(),
        1,
        "no device was created, so completeness does not wait for it"
    );
    assert_eq!(Device::open(home).sync().await.merged, 3);
    Device::enrol(&invitation, "her own").await.sync().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_characters_in_a_label_are_replaced() {
    let service = Service::start().await;
    Device::enrol(&service.invitation("W1"), "\u{1b}[2J店长\n手机").await;
    let devices = service.server().devices().expect("readable");
    assert_eq!(devices[0].label, " [2J店长 手机");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_or_unknown_invitation_is_refused_and_leaves_nothing_behind() {
    let (service, other) = (Service::start().await, Service::start().await);
    let expired = service::invitation(service.server(), service.address(), "W1", -1);
    // An invitation with the right authority and an unknown secret.
    let unknown = {
        let known: Invitation = service.invitation("W1").parse().expect("an invitation");
        let foreign: Invitation = other.invitation("W1").parse().expect("an invitation");
        let address = service.address().to_string();
        let made = Invitation::new(address, known.authority_fingerprint(), foreign.secret());
        made.expect("host and port").to_string()
    };
    let before = Contents::of(service.server());
    for (invitation, says) in [(expired, "has expired"), (unknown, "not known here")] {
        let home = tempfile::tempdir().expect("a folder");
        let refused = Client::enrol(home.path(), &invitation, "phone").await.expect_err("no good");
        assert_says(&refused.to_string(), &["invitation", says]);
        let client = Client::open(home.path()).expect("the folder is unchanged");
        assert!(client.identity().is_none());
        let sync = client.sync(|_| {}).await.expect_err("not enrolled");
        assert!(matches!(sync, SyncError::NotEnrolled), "{sync}");
    }
    assert_eq!(service.server().devices().expect("readable").len(), 0);
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_nothing_but_enrolment_is_answered() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let no = device.client.identity().expect("enrolled").device;
    let before = Contents::of(service.server());
    let papers = Credentials::of_nobody(device.folder());
    let mut wire =
        Wire::open(&papers, service.address()).await.expect("the server accepts connections for enrolment");
    wire.send(&ClientFrame::Hello(hello(no))).await;
    let heard = wire.hear().await;
    assert_says(heard.complaint().unwrap_or_default(), &["certificate", "enrol first"]);
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_claims_another_number_is_refused() {
    let service = Service::start().await;
    let (device, other) = (service.device("W1").await, service.device("W2").await);
    let no = other.client.identity().expect("enrolled").device;
    let mut wire =
        Wire::open(&Credentials::of(device.folder()), service.address()).await.expect("a good certificate");
    wire.send(&ClientFrame::Hello(hello(no))).await;
    let heard = wire.hear().await;
    assert_says(heard.complaint().unwrap_or_default(), &[&no.to_string(), "enrol this device again"]);
}
