//! A device and a server with different versions of the wire protocol.

use xundian_client::ffi::{ClientError, ErrorCode};
use xundian_client::{Client, SyncError};
use xundian_protocol::calendar::Day;
use xundian_protocol::sync::SessionError;
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::v1::{Refusal, ServerFrame, decode_server, encode_server};
use xundian_tests::support::company::today;
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use super::rewriting_proxy::{RewritingProxy, Rules};
use crate::raw::{Credentials, Wire};

/// A refusal reason that this version does not know.
const FUTURE_REASON: u8 = 250;
const PLAIN: u8 = 0;
/// Numbers of a frame and a home type that this version does not know.
const FUTURE_FRAME: u8 = 10;
const FUTURE_HOME: u8 = 4;

/// Changes a payload's version.
fn of_version(version: u8) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |mut payload| {
        payload[0] = version;
        payload
    }
}

/// Replaces frames of one kind by what a newer server would send; other frames pass.
fn in_place_of(
    is_meant: fn(&ServerFrame) -> bool,
    newer: impl Fn(ServerFrame) -> Vec<u8> + Send + Sync + 'static,
) -> Rules {
    Rules::down(move |payload| match decode_server(&payload) {
        Ok(frame) if is_meant(&frame) => newer(frame),
        _ => payload,
    })
}

const fn is_receipt(frame: &ServerFrame) -> bool {
    matches!(frame, ServerFrame::Receipt { .. })
}

const fn is_welcome(frame: &ServerFrame) -> bool {
    matches!(frame, ServerFrame::Welcome(_))
}

const fn is_pulled(frame: &ServerFrame) -> bool {
    matches!(frame, ServerFrame::Pulled(_))
}

/// Encodes a frame with one field more than this version knows.
fn with_a_field_more(frame: ServerFrame) -> Vec<u8> {
    [encode_server(&frame), vec![7]].concat()
}

fn code_of(error: SyncError) -> ErrorCode {
    ClientError::from(error).code()
}

/// Checks that all saved work of the device still waits, and reaches the server exactly once after the frames are no
/// longer rewritten.
async fn assert_nothing_lost(
    service: &Service,
    between: &RewritingProxy,
    device: Device,
    visits: usize,
) -> Device {
    assert_eq!(device.client.status().expect("readable").unsent_ops, 3, "nothing counts as sent");
    assert_eq!(device.client.rejected().expect("readable"), []);
    between.set(Rules::none());
    let device = Device::open(device.close());
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected, report.unsent_ops), (3, 0, 0));
    assert_eq!(Contents::of(service.server()).count("visit"), visits, "each once");
    service.verify();
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_frames_of_a_newer_server_are_a_clear_error_and_lose_nothing() {
    let service = Service::start().await;
    let between = RewritingProxy::start(&service);
    let mut device = between.device(&service, "W1").await;
    let scope_of_the_future = |_| vec![1, PLAIN, 2, 1, FUTURE_HOME];
    let frame_of_the_future = |_| vec![1, PLAIN, FUTURE_FRAME, 1, 2, 3];
    let servers = [
        ("all frames of version 2", Rules::down(of_version(2))),
        ("a greeting with a field more", in_place_of(is_welcome, with_a_field_more)),
        ("a receipt with a field more", in_place_of(is_receipt, with_a_field_more)),
        ("an end with a field more", in_place_of(is_pulled, with_a_field_more)),
        ("a frame of the future for a receipt", in_place_of(is_receipt, frame_of_the_future)),
        ("a frame of the future for an end", in_place_of(is_pulled, frame_of_the_future)),
        ("a home of the future", in_place_of(is_pulled, scope_of_the_future)),
        ("a compression of the future", in_place_of(is_receipt, |_| vec![1, 2, 3])),
    ];
    for (nth, (what, rules)) in servers.into_iter().enumerate() {
        device.visit("A1", Day(today().0 - 1), 2);
        let before = device.client.status().expect("readable");
        between.set(rules);
        let error = device.try_sync().await.expect_err(what);
        assert!(matches!(error, SyncError::Frame(_)), "{what}: {error:?}");
        assert!(error.to_string().contains("update the app"), "{what}: {error}");
        assert!(!error.is_retryable(), "{what}");
        assert_eq!(code_of(error), ErrorCode::ServerUnreadable, "{what}");
        if what.contains("end") || what.contains("home") {
            // The receipt arrived before the unreadable frame, and remains valid.
            assert_eq!(device.client.status().expect("readable").unsent_ops, 0, "{what}");
            assert_eq!(device.client.status().expect("readable").last_sync_ms, before.last_sync_ms, "{what}");
            between.set(Rules::none());
            device.sync().await;
            assert_eq!(Contents::of(service.server()).count("visit"), nth + 1, "{what}");
        } else {
            device = assert_nothing_lost(&service, &between, device, nth + 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_newer_server_does_not_use_up_an_invitation() {
    let service = Service::start().await;
    let between = RewritingProxy::start(&service);
    let invitation = between.invitation(&service, "W1");
    let folder = tempfile::tempdir().expect("a folder");
    between.set(Rules::down(of_version(2)));
    let error = Client::enrol(folder.path(), &invitation, "phone").await.expect_err("version 2");
    assert!(error.to_string().contains("update the app"), "{error}");
    assert_eq!(ClientError::from(error).code(), ErrorCode::ServerUnreadable);
    between.set(Rules::none());
    let client = Client::enrol(folder.path(), &invitation, "phone").await.expect("the same invitation");
    assert!(client.identity().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_refusal_reason_is_read_as_other_with_its_message() {
    let service = Service::start().await;
    let between = RewritingProxy::start(&service);
    let device = between.device(&service, "W1").await;
    device.visit("A1", Day(today().0 - 1), 2);
    let words = "审批流程已变更";
    // The first of three ops is rejected for a reason that this version does not know.
    between.set(in_place_of(is_receipt, move |frame| {
        let ServerFrame::Receipt { first, receipt } = frame else { unreachable!("a receipt") };
        let [first, through] =
            [first, receipt.through].map(|seq| u8::try_from(seq.0).expect("a young device"));
        let len = u8::try_from(words.len()).expect("a short one");
        [&[1, PLAIN, 1, first, through, 1, first, FUTURE_REASON, len][..], words.as_bytes(), &[0]].concat()
    }));
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (2, 1));
    let device = Device::open(device.close());
    let rejected_ops = device.client.rejected().expect("readable");
    let [rejected] = &rejected_ops[..] else { panic!("one entry, not {rejected_ops:?}") };
    assert_eq!((rejected.why, rejected.message.as_str()), (Refusal::Other, words));
    between.set(Rules::none());
    device.client.resend_rejected(rejected.id).expect("saved");
    assert_eq!(device.sync().await.merged, 1);

    device.visit("A2", Day(today().0 - 1), 2);
    between.set(in_place_of(is_welcome, move |_| {
        let len = u8::try_from(words.len()).expect("a short one");
        [&[1, PLAIN, 7, FUTURE_REASON, len][..], words.as_bytes()].concat()
    }));
    let error = device.try_sync().await.expect_err("the session is refused");
    let SyncError::Session(SessionError::Refused(refused)) = &error else { panic!("{error:?}") };
    assert_eq!((refused.why, refused.message.as_str()), (Refusal::Other, words));
    assert_eq!(code_of(error), ErrorCode::ServerRefused);
    assert_nothing_lost(&service, &between, device, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_of_another_version_is_told_which_end_to_update_and_keeps_its_work() {
    let service = Service::start().await;
    let between = RewritingProxy::start(&service);
    let mut device = between.device(&service, "W1").await;
    for (nth, (version, says)) in [(0, "update the app"), (2, "update the server")].into_iter().enumerate() {
        device.visit("A1", Day(today().0 - 1), 2);
        between.set(Rules::up(of_version(version)));
        let error = device.try_sync().await.expect_err("the server speaks version 1");
        let SyncError::Session(SessionError::Refused(refused)) = &error else { panic!("{error:?}") };
        assert_eq!(refused.why, Refusal::Version);
        assert!(refused.message.contains(says), "{refused:?}");
        assert!(!error.is_retryable());
        assert_eq!(code_of(error), ErrorCode::VersionRefused);
        device = assert_nothing_lost(&service, &between, device, nth + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_versions_are_refused_before_the_frame_is_decoded() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    for version in [0, 2, 3, u8::MAX] {
        for papers in [Credentials::of(device.folder()), Credentials::of_nobody(device.folder())] {
            let mut wire =
                Wire::open(&papers, service.address()).await.expect("the server accepts connections");
            wire.send_payload(&[version, 99, 99, 99]).await;
            let heard = wire.hear().await;
            let complaint = heard.complaint().expect("a refusal");
            assert!(complaint.contains(&format!("version {version}")), "{complaint}");
        }
    }
    assert!(matches!(decode_server(&[2, 0]), Err(DecodeError::Version { found: 2, known: 1 })));
}
