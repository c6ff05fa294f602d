//! Permissions, cuts, flipped bytes, and concurrent uploads.

use xundian_client::{NewPhoto, PhotoOf, PhotoSource, PhotoSubject};
use xundian_protocol::ids::{ContentHash, RecordId};
use xundian_protocol::limits::{PHOTO_PIECE_BYTES_MAX, PHOTO_PIECES_IN_FLIGHT_MAX};
use xundian_protocol::record::Home;
use xundian_protocol::sync::upload::Outcome;
use xundian_protocol::wire::v1::{ClientFrame, Declined, Offer, Piece, Refusal, ServerFrame, UploadStatus};
use xundian_server::photos::preview_of;
use xundian_tests::support::company::{outlet, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::photo::shelf;
use xundian_tests::support::seed;
use xundian_tests::support::service::Service;

use super::{ask, name, photo, picture, send, send_all};
use crate::raw::{Credentials, RawDevice, Wire};
use rand::Rng as _;

/// Enrols a device whose frames the test writes.
async fn raw(service: &Service, person: &str) -> Device {
    Device::enrol(&service.invitation(person), "raw").await
}

fn offer(picture: &[u8]) -> ClientFrame {
    ClientFrame::Offer(Offer { hash: ContentHash::of(picture), bytes: picture.len() as u64 })
}

/// Returns the bytes of a picture in the data folder.
fn stored(service: &Service, picture: &[u8]) -> Option<Vec<u8>> {
    let hash = ContentHash::of(picture);
    let folder = service.folder().join("photos/pictures");
    std::fs::read(folder.join(format!("{:02x}/{hash}", hash.0[0]))).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_accepted_after_its_record_and_sent_once_for_all_records() {
    let service = Service::start().await;
    let (w1, w2) = (raw(&service, "W1").await, raw(&service, "W2").await);
    let shelf = picture(1, 300_000);
    let sent = send_all(&w1, service.address(), &shelf).await;
    let unnamed =
        |outcome: &Option<Outcome>| matches!(outcome, Some(Outcome::Declined { why: Refusal::Unnamed, .. }));
    assert!(unnamed(&sent.outcome), "no record names it yet: {sent:?}");
    name(&w1, service.address(), "A1", &[&shelf]).await;
    let sent = send_all(&w1, service.address(), &shelf).await;
    assert_eq!((sent.bytes, sent.outcome), (300_000, Some(Outcome::Stored)));
    assert!(stored(&service, &shelf).as_ref() == Some(&shelf));

    let sent = send_all(&w2, service.address(), &shelf).await;
    assert!(unnamed(&sent.outcome), "knowing the hash is not enough: {sent:?}");
    name(&w2, service.address(), "B1", &[&shelf]).await;
    let sent = send_all(&w2, service.address(), &shelf).await;
    assert_eq!((sent.bytes, sent.outcome), (0, Some(Outcome::Stored)), "equal pictures share one file");
    let report = service.server().verify().expect("readable");
    assert_eq!((report.pictures_stored, report.pictures_missing), (1, 0));
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_out_of_scope_gets_the_same_answer_for_existing_and_missing_pictures() {
    let service = Service::start().await;
    let (w1, w3) = (raw(&service, "W1").await, raw(&service, "W3").await);
    let (there, not_there) = (picture(1, 40_000), picture(2, 40_000));
    name(&w1, service.address(), "A1", &[&there]).await;
    assert_eq!(send_all(&w1, service.address(), &there).await.outcome, Some(Outcome::Stored));
    let mut wire =
        Wire::open(&Credentials::of(w3.folder()), service.address()).await.expect("a good certificate");
    let mut told = Vec::new();
    for picture in [&there, &not_there] {
        let hash = ContentHash::of(picture);
        let piece = Piece { hash, from: 0, bytes: picture[..100].to_vec() };
        for frame in [offer(picture), ClientFrame::Piece(piece)] {
            let ServerFrame::Declined(Declined { why, message, .. }) = ask(&mut wire, frame).await else {
                panic!("a stranger's picture was not declined");
            };
            told.push((why, message));
        }
    }
    assert!(told.iter().all(|said| *said == told[0] && said.0 == Refusal::Unnamed), "{told:?}");
    // The same session still takes records.
    let mut raw = RawDevice::greet(&w3, wire).await;
    let at_ms = w3.clock.read_ms() - 60_000;
    let id = RecordId::v7(at_ms.unsigned_abs(), [9; 10]);
    let op = raw.op(&photo(&not_there), id, Home::Outlet(outlet("C1")), at_ms, None);
    assert!(raw.push(vec![op]).await.rejections.is_empty());
    let ServerFrame::UploadStatus(held) = ask(&mut raw.wire, offer(&not_there)).await else {
        panic!("its own picture was not accepted");
    };
    assert_eq!(held.bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cut_costs_at_most_the_pieces_in_flight() {
    let service = Service::start().await;
    let w1 = raw(&service, "W1").await;
    let shelf = picture(3, 2_800_000);
    name(&w1, service.address(), "A1", &[&shelf]).await;
    let mut rng = seed::rng("cut uploads");
    let (mut sent_bytes, mut cuts) = (0, 0);
    loop {
        let pieces = rng.random_range(0..60);
        let mut wire =
            Wire::open(&Credentials::of(w1.folder()), service.address()).await.expect("a certificate");
        let sent = send(&mut wire, &shelf, pieces, |from, bytes| shelf[from..from + bytes].to_vec()).await;
        sent_bytes += sent.bytes;
        match sent.outcome {
            // Dropping the connection loses everything in flight.
            None => cuts += 1,
            Some(outcome) => {
                assert_eq!(outcome, Outcome::Stored);
                break;
            }
        }
    }
    let in_flight = (PHOTO_PIECE_BYTES_MAX * PHOTO_PIECES_IN_FLIGHT_MAX) as u64;
    let again = sent_bytes - shelf.len() as u64;
    assert!(again <= cuts * in_flight, "{again} bytes were sent again in {cuts} cuts");
    assert!(stored(&service, &shelf) == Some(shelf));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_is_detected_and_sent_again() {
    let service = Service::start().await;
    let w1 = raw(&service, "W1").await;
    let shelf = picture(4, 100_000);
    name(&w1, service.address(), "A1", &[&shelf]).await;
    let mut wire = Wire::open(&Credentials::of(w1.folder()), service.address()).await.expect("a certificate");
    let mut flipped = false;
    let read = |from: usize, bytes: usize| {
        let mut piece = shelf[from..from + bytes].to_vec();
        if from > 50_000 && !std::mem::replace(&mut flipped, true) {
            piece[7] ^= 0x20;
        }
        piece
    };
    let sent = send(&mut wire, &shelf, usize::MAX, read).await;
    assert_eq!(sent.outcome, Some(Outcome::Stored));
    assert!(sent.bytes > shelf.len() as u64, "it was sent again");
    assert!(stored(&service, &shelf) == Some(shelf));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_devices_send_the_same_picture_at_once() {
    let service = Service::start().await;
    let shelf = picture(5, 600_000);
    let mut devices = Vec::new();
    for (person, code) in [("W1", "A1"), ("W1", "A2"), ("W2", "B1")] {
        let device = raw(&service, person).await;
        name(&device, service.address(), code, &[&shelf]).await;
        devices.push(device);
    }
    let address = service.address();
    let (a, b, c) = tokio::join!(
        send_all(&devices[0], address, &shelf),
        send_all(&devices[1], address, &shelf),
        send_all(&devices[2], address, &shelf),
    );
    for sent in [a, b, c] {
        assert_eq!(sent.outcome, Some(Outcome::Stored));
    }
    assert!(stored(&service, &shelf) == Some(shelf));
    assert_eq!(std::fs::read_dir(service.folder().join("spool")).expect("readable").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_sizes_are_declined_and_invalid_offsets_ignored() {
    let service = Service::start().await;
    let w1 = raw(&service, "W1").await;
    let shelf = picture(6, 50_000);
    let hash = ContentHash::of(&shelf);
    name(&w1, service.address(), "A1", &[&shelf]).await;
    let mut wire = Wire::open(&Credentials::of(w1.folder()), service.address()).await.expect("a certificate");
    for (bytes, why) in [(0, Refusal::Invalid), (u64::MAX, Refusal::Invalid), (49_999, Refusal::Unnamed)] {
        let said = ask(&mut wire, ClientFrame::Offer(Offer { hash, bytes })).await;
        assert!(matches!(&said, ServerFrame::Declined(declined) if declined.why == why), "{said:?}");
    }
    let nothing = UploadStatus { hash, bytes: 0, front: ContentHash::of(b"") };
    assert_eq!(ask(&mut wire, offer(&shelf)).await, ServerFrame::UploadStatus(nothing));
    let piece = |from: u64, bytes: &[u8]| ClientFrame::Piece(Piece { hash, from, bytes: bytes.to_vec() });
    for from in [1, 49_999, u64::MAX] {
        let said = ask(&mut wire, piece(from, b"late")).await;
        assert_eq!(said, ServerFrame::UploadStatus(nothing), "a piece beyond the held part is ignored");
    }
    let held = |bytes: &[u8]| {
        ServerFrame::UploadStatus(UploadStatus {
            hash,
            bytes: bytes.len() as u64,
            front: ContentHash::of(bytes),
        })
    };
    assert_eq!(ask(&mut wire, piece(0, &shelf[..16_000])).await, held(&shelf[..16_000]));
    assert_eq!(ask(&mut wire, piece(8_000, b"other")).await, held(&[&shelf[..8_000], b"other"].concat()));
    assert_eq!(ask(&mut wire, piece(0, &shelf[..10])).await, held(&shelf[..10]));
    assert_eq!(ask(&mut wire, piece(10, b"")).await, held(&shelf[..10]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_of_the_real_device_is_stored_and_has_a_thumbnail() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let visit = device.visit("A1", today(), 2);
    let shelf = shelf();
    let photo = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
    device.client.attach_photo(PhotoOf::Visit(visit), &photo, &shelf).expect("a picture of a visit of today");
    let report = device.sync().await;
    assert_eq!(report.rejected, 0);
    assert!(stored(&service, &shelf).as_ref() == Some(&shelf));
    let report = service.server().verify().expect("readable");
    assert_eq!((report.pictures_stored, report.pictures_missing), (1, 0));
    // With the shared data it is the shelf photo by K4R; otherwise the bytes only begin like a picture.
    if shelf.ends_with(b"\xFF\xD9") {
        let small = preview_of(&shelf).expect("a photo");
        assert!(small.len() < 100_000, "{} bytes", small.len());
    }
}
