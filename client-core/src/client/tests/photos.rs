//! Photos of a day: attached, shown, sent by hand to a small server, and what happens when something breaks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use xundian_protocol::ids::{ContentHash, ContentHasher};
use xundian_protocol::kinds::{MediaType, Photo, PhotoSource, PhotoSubject};
use xundian_protocol::limits::{
    PHOTO_BYTES_MAX, PHOTOS_KEPT_BYTES_MAX, PHOTOS_UNSENT_BYTES_MAX, PHOTOS_UNSENT_MAX,
};
use xundian_protocol::record::RecordKey;
use xundian_protocol::sync::upload::Outcome as Sent;
use xundian_protocol::wire::v1::UploadStatus;

use super::super::upload::{Next, Sending};
use super::*;
use crate::photos::PhotoFileError;
use crate::store::{Attached, Decline, PictureState, Save};
use crate::visit_ops::{NewPhoto, PhotoOf};

const DAY_MS: i64 = 86_400_000;

/// A picture, judged by its first bytes.
fn jpeg(bytes: usize, seed: u8) -> Vec<u8> {
    let mut picture = vec![0xFF, 0xD8, 0xFF, 0xE0];
    picture.extend((0..bytes.saturating_sub(4)).map(|at| (at * 31 % 251) as u8 ^ seed));
    picture
}

fn shelf() -> NewPhoto {
    NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp)
}

fn state(device: &Device, of: PhotoOf) -> Vec<PhotoState> {
    device.client.photos_of(of).expect("reads").into_iter().map(|line| line.state).collect()
}

/// The files in a device's folder of photos, by name.
fn files(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder.join("photos")) else { return BTreeSet::new() };
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn file_of(device: &Device, picture: &[u8]) -> PathBuf {
    device.folder.path().join("photos").join(ContentHash::of(picture).to_string())
}

fn flip_a_byte(file: &Path) {
    let mut raw = fs::read(file).expect("its file");
    let middle = raw.len() / 2;
    raw[middle] ^= 1;
    fs::write(file, raw).expect("written");
}

/// The server accepts everything saved so far, except what it rejects.
fn receive_all(device: &Device, rejected: &[u64]) {
    let through = OpSeq(device.client.store.next_seq().0 - 1);
    let reject =
        |seq: &u64| Rejection { seq: OpSeq(*seq), why: Refusal::OutOfScope, message: "不在范围".into() };
    let rejections = rejected.iter().map(reject).collect();
    device.client.store.receive(&Receipt { through, rejections, restamped: Vec::new() }).expect("received");
}

fn due(device: &Device) -> Vec<ContentHash> {
    device.client.due_pictures(&BTreeSet::new()).into_iter().map(|(hash, _)| hash).collect()
}

/// Sends a picture to a server that stores what arrives. Returns how it ended and what the server has.
fn send(device: &Device, picture: &[u8]) -> Result<(Sent, Vec<u8>), PhotoFileError> {
    let hash = ContentHash::of(picture);
    let mut sending = Sending::begin(&device.client.pictures, hash, picture.len() as u64)?;
    let (mut held, mut waiting) = (Vec::new(), Vec::new());
    loop {
        match sending.next()? {
            Next::Send(frame) => waiting.push(frame),
            Next::Wait => {
                if let ClientFrame::Piece(piece) = waiting.remove(0) {
                    held.truncate(piece.from as usize);
                    held.extend(piece.bytes);
                }
                let mut front = ContentHasher::default();
                front.update(&held);
                let held = UploadStatus { hash, bytes: held.len() as u64, front: front.hash() };
                sending.handle(ServerFrame::UploadStatus(held)).expect("in its place");
            }
            Next::Done(outcome) => return Ok((outcome, held)),
        }
    }
}

#[test]
fn a_photo_says_what_it_proves_and_waits_until_its_record_is_merged() {
    let device = device();
    let visit = device.client.open_visit(outlet(1), None).expect("opened");
    let at =
        GpsFix { latitude_e7: 312_397_000, longitude_e7: 1_214_998_000, accuracy_m: Some(9), mocked: false };
    let photo =
        NewPhoto { taken_at_ms: Some(MORNING_MS), fix: Some(at), note: Some("主货架".into()), ..shelf() };
    let picture = jpeg(40_000, 1);
    let of = PhotoOf::Visit(visit);
    let id = device.client.attach_photo(of, &photo, &picture).expect("attached");

    let line = device.client.photos_of(of).expect("reads").remove(0);
    assert_eq!(line.line.record.key, Photo::key(id));
    assert_eq!((line.line.state, line.state), (SaveState::Saved, PhotoState::Waiting { sent_bytes: 0 }));
    let form = line.photo;
    assert_eq!(
        (form.content_hash, form.size_bytes, form.media_type),
        (Some(ContentHash::of(&picture)), Some(40_000), Some(MediaType::Jpeg))
    );
    assert_eq!((form.source, form.taken_at_ms), (Some(PhotoSource::InApp), Some(MORNING_MS)));
    assert!(form.distance_m.is_some_and(|metres| (900..970).contains(&metres)));
    assert_eq!(form.position_grade, Some(FixGrade::Measured));
    let header = Header::read(&line.line.record).expect("a header");
    assert_eq!(header.clock_grade, ClockGrade::Unverified);
    assert_eq!(device.client.photo_bytes(ContentHash::of(&picture)).expect("reads"), picture);

    assert!(due(&device).is_empty(), "its record is not merged");
    let status = device.client.status().expect("status");
    assert_eq!((status.unsent_photos, status.unsent_photo_bytes), (1, 40_000));
    receive_all(&device, &[]);
    assert_eq!(due(&device), [ContentHash::of(&picture)]);
    let (outcome, held) = send(&device, &picture).expect("sent");
    assert_eq!((outcome, held), (Sent::Stored, picture));
}

#[test]
fn what_waits_makes_a_phone_unsafe_to_lose_until_the_picture_has_arrived() {
    let device = device();
    let sync =
        crate::store::LastSync { at_ms: 1, server_offset_ms: 0, captured_through_ms: 1, boot: [1; 16] };
    device.client.store.finish_sync(sync).expect("synced once");
    let visit = device.client.open_visit(outlet(1), None).expect("opened");
    let picture = jpeg(100, 1);
    device.client.attach_photo(PhotoOf::Visit(visit), &shelf(), &picture).expect("attached");
    let safe = || device.client.status().expect("status").safe_to_lose_up_to_ms;
    device.later(60_000);
    receive_all(&device, &[]);
    assert_eq!(safe(), Some(MORNING_MS), "the record has arrived, its picture has not");
    device.client.store.note_picture(ContentHash::of(&picture), PictureState::Stored).expect("noted");
    assert_eq!(safe(), Some(MORNING_MS + 60_000));
}

#[test]
fn a_visit_takes_photos_until_its_day_is_over_and_an_issue_always() {
    let device = device();
    let visit = device.client.open_visit(outlet(1), None).expect("opened");
    let of = PhotoOf::Visit(visit);
    device.later(DAY_MS);
    device.client.attach_photo(of, &shelf(), &jpeg(10, 1)).expect("it is open, if long");
    device.client.close_visit(visit).expect("closed");
    let late = device.client.attach_photo(of, &shelf(), &jpeg(10, 2)).expect_err("yesterday's visit");
    assert!(matches!(late, RecordError::PhotoTooLate { visit: of, .. } if of == visit), "{late}");
    assert_eq!(files(device.folder.path()).len(), 1, "what failed has left nothing");

    let today = device.client.open_visit(outlet(1), None).expect("opened");
    device.client.abort_visit(today, AbortReason::Closed, None).expect("broken off");
    device.client.attach_photo(PhotoOf::Visit(today), &shelf(), &jpeg(10, 3)).expect("its own day");
    let issue = NewIssue {
        issue_kind: IssueKind::Display,
        severity: Severity::Normal,
        text: "堆头被拆".into(),
        due: Due::NextDay,
        assignee: None,
    };
    let issue = device.client.raise_issue(outlet(1), None, &issue).expect("raised");
    device.client.close_issue(issue, "已恢复".into()).expect("closed");
    device.later(30 * DAY_MS);
    let problem = NewPhoto::new(PhotoSubject::Problem, PhotoSource::Chosen);
    device.client.attach_photo(PhotoOf::Issue(issue), &problem, &jpeg(10, 4)).expect("attached");
    assert_eq!(device.client.photos_of(PhotoOf::Issue(issue)).expect("reads").len(), 1);
}

#[test]
fn what_is_no_picture_or_of_nothing_is_refused_and_leaves_nothing() {
    let device = device();
    let visit = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    let unsent = device.client.status().expect("status").unsent_ops;
    let attach = |of, picture: &[u8]| device.client.attach_photo(of, &shelf(), picture);
    assert!(matches!(attach(visit, b"GIF89a"), Err(RecordError::NoPicture)));
    assert!(matches!(attach(visit, b""), Err(RecordError::NoPicture)));
    let large = jpeg(PHOTO_BYTES_MAX as usize + 1, 1);
    assert!(matches!(attach(visit, &large), Err(RecordError::PictureTooLarge { .. })));
    let nobody = PhotoOf::Visit(VisitId(RecordId::from_bytes([9; 16])));
    assert!(matches!(attach(nobody, &jpeg(10, 1)), Err(RecordError::NoSuchVisit { .. })));
    let nothing = PhotoOf::Issue(RecordId::from_bytes([9; 16]));
    assert!(matches!(attach(nothing, &jpeg(10, 1)), Err(RecordError::NoSuchRecord { .. })));
    let long = NewPhoto { note: Some("长".repeat(8 * 1024)), ..shelf() };
    let invalid = device.client.attach_photo(visit, &long, &jpeg(10, 1));
    assert!(matches!(invalid, Err(RecordError::Invalid { .. })));
    let missing = device.folder.path().join("no-such.jpg");
    let unreadable = device.client.attach_photo_file(visit, &shelf(), &missing).expect_err("not there");
    assert!(unreadable.to_string().contains("no-such.jpg"), "{unreadable}");
    let large_file = device.folder.path().join("large.jpg");
    fs::write(&large_file, &large).expect("written");
    let refused = device.client.attach_photo_file(visit, &shelf(), &large_file);
    assert!(matches!(refused, Err(RecordError::PictureTooLarge { bytes }) if bytes == large.len() as u64));

    assert!(files(device.folder.path()).is_empty());
    let status = device.client.status().expect("status");
    assert_eq!((status.unsent_ops, status.unsent_photos), (unsent, 0));
    assert_eq!(device.client.store.picture(ContentHash::of(&jpeg(10, 1))), None);
}

#[test]
fn the_same_picture_is_one_file_and_of_the_same_visit_one_photo() {
    let device = device();
    let visit = device.client.open_visit(outlet(1), None).expect("opened");
    let of = PhotoOf::Visit(visit);
    let source = device.folder.path().join("camera.jpg");
    let picture = jpeg(20_000, 1);
    fs::write(&source, &picture).expect("written");
    let first = device.client.attach_photo_file(of, &shelf(), &source).expect("attached");
    let again = device.client.attach_photo(of, &shelf(), &picture).expect("the same");
    assert_eq!(first, again);
    device.client.close_visit(visit).expect("closed");
    let other = PhotoOf::Visit(device.client.open_visit(outlet(2), None).expect("opened"));
    assert_ne!(device.client.attach_photo(other, &shelf(), &picture).expect("another photo"), first);
    assert_eq!(files(device.folder.path()).len(), 1);
    assert_eq!((state(&device, of).len(), state(&device, other).len()), (1, 1));
    assert_eq!(device.client.status().expect("status").unsent_photos, 1);
}

#[test]
fn no_more_pictures_wait_than_the_phone_can_bear() {
    for (pictures, bytes_each) in [(PHOTOS_UNSENT_MAX, 1), (2, PHOTOS_UNSENT_BYTES_MAX / 2)] {
        let device = device();
        let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
        for nth in 0..pictures {
            let hash = ContentHash::of(&nth.to_be_bytes());
            let key = RecordKey { kind: Photo::SPEC.kind, id: RecordId::v7(nth, [7; 10]) };
            let attached = Attached { hash, bytes: bytes_each, at_ms: 1, named_by: Some(key) };
            device.client.store.save(Save { attaches: Some(attached), ..Save::default() }).expect("saved");
        }
        let full = device.client.attach_photo(of, &shelf(), &jpeg(10, 1)).expect_err("full");
        assert!(matches!(full, RecordError::PicturesFull { pictures: found, .. } if found == pictures));
        assert!(files(device.folder.path()).is_empty());
        let first = ContentHash::of(&0_u64.to_be_bytes());
        device.client.store.note_picture(first, PictureState::Stored).expect("noted");
        device.client.attach_photo(of, &shelf(), &jpeg(10, 1)).expect("there is room again");
    }
}

/// A device with a photo whose record is merged and whose picture is unsent.
struct Merged {
    device: Device,
    of: PhotoOf,
    picture: Vec<u8>,
    hash: ContentHash,
    id: RecordId,
}

impl Merged {
    fn photo() -> Self {
        let device = device();
        let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
        let picture = jpeg(70_000, 1);
        let id = device.client.attach_photo(of, &shelf(), &picture).expect("attached");
        receive_all(&device, &[]);
        Self { device, of, hash: ContentHash::of(&picture), picture, id }
    }
}

#[test]
fn a_damaged_picture_is_found_before_it_is_sent_and_mended_by_the_same_one() {
    let Merged { device, of, picture, hash, id } = Merged::photo();
    flip_a_byte(&file_of(&device, &picture));
    assert!(matches!(send(&device, &picture), Err(PhotoFileError::Damaged { .. })));
    assert!(matches!(device.client.photo_bytes(hash), Err(PhotoError::File(PhotoFileError::Damaged { .. }))));
    assert_eq!(state(&device, of), [PhotoState::Damaged]);
    assert!(due(&device).is_empty(), "it is not tried for ever");
    let status = device.client.status().expect("status");
    assert_eq!((status.unsent_photos, status.stuck_photos), (0, 1));
    assert!(device.client.retry_photo(hash).is_err(), "nothing to send");

    assert_eq!(device.client.attach_photo(of, &shelf(), &picture).expect("mended"), id);
    assert_eq!(state(&device, of), [PhotoState::Waiting { sent_bytes: 0 }]);
    assert_eq!(due(&device), [hash]);
    assert_eq!(send(&device, &picture).expect("sent").0, Sent::Stored);
    fs::remove_file(file_of(&device, &picture)).expect("removed");
    assert!(device.client.photo_bytes(hash).is_err());
    assert_eq!(state(&device, of), [PhotoState::Damaged], "what is gone is no better");
}

#[test]
fn a_picture_that_is_not_sent_any_more_is_dropped_and_comes_back_by_attaching_it_again() {
    let Merged { device, of, picture, hash, id } = Merged::photo();
    let needed = device.client.drop_photo(hash).expect_err("it waits");
    assert!(matches!(needed, PhotoError::StillNeeded { .. }));
    for damaged in [true, false] {
        if damaged {
            flip_a_byte(&file_of(&device, &picture));
            device.client.photo_bytes(hash).expect_err("damaged");
        } else {
            let decline = Decline { why: Refusal::Invalid, message: "too wide".into(), tries: 1, at_ms: 1 };
            device.client.store.note_picture(hash, PictureState::Declined(decline)).expect("noted");
        }
        assert_eq!(device.client.status().expect("status").stuck_photos, 1);
        device.client.drop_photo(hash).expect("dropped");
        assert_eq!(state(&device, of), [PhotoState::NotHere], "the record stays");
        assert_eq!(device.client.status().expect("status").stuck_photos, 0);
        assert!(files(device.folder.path()).is_empty());
        assert!(device.client.drop_photo(hash).is_err(), "it is not here");

        assert_eq!(device.client.attach_photo(of, &shelf(), &picture).expect("again"), id);
        assert_eq!(due(&device), [hash], "its record names it once more");
    }
}

#[test]
fn a_rejected_photo_keeps_its_picture_until_its_author_drops_it() {
    let device = device();
    let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    let (first, second) = (jpeg(100, 1), jpeg(100, 2));
    device.client.attach_photo(of, &shelf(), &first).expect("attached");
    device.client.attach_photo(of, &shelf(), &second).expect("attached");
    receive_all(&device, &[2, 3]);
    let device = device.reopened();
    assert!(due(&device).is_empty(), "what was rejected is not offered");
    assert_eq!(device.client.status().expect("status").unsent_photos, 0);
    assert_eq!(files(device.folder.path()).len(), 2);

    let rejected_ops = device.client.rejected().expect("reads");
    device.client.resend_rejected(rejected_ops[0].id).expect("sent again");
    device.client.drop_rejected(rejected_ops[1].id).expect("dropped");
    assert_eq!(files(device.folder.path()), BTreeSet::from([ContentHash::of(&first).to_string()]));
    assert_eq!(device.client.store.picture(ContentHash::of(&second)), None);
    receive_all(&device, &[]);
    assert_eq!(due(&device), [ContentHash::of(&first)]);
}

#[test]
fn a_picture_that_two_photos_have_stays_for_the_one_that_is_left() {
    let device = device();
    let visit = device.client.open_visit(outlet(1), None).expect("opened");
    let picture = jpeg(100, 1);
    device.client.attach_photo(PhotoOf::Visit(visit), &shelf(), &picture).expect("attached");
    device.client.close_visit(visit).expect("closed");
    let other = device.client.open_visit(outlet(2), None).expect("opened");
    device.client.attach_photo(PhotoOf::Visit(other), &shelf(), &picture).expect("attached");
    receive_all(&device, &[2]);
    assert_eq!(due(&device).len(), 1, "one of its records is merged");
    let rejected = device.client.rejected().expect("reads").remove(0);
    device.client.drop_rejected(rejected.id).expect("dropped");
    let device = device.reopened();
    assert_eq!((files(device.folder.path()).len(), due(&device).len()), (1, 1));
}

#[test]
fn attaching_that_was_broken_off_at_any_step_leaves_nothing_and_harms_nothing() {
    let picture = jpeg(50_000, 1);
    let hash = ContentHash::of(&picture);
    for steps in 0..4 {
        let device = device();
        let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
        device.client.attach_photo(of, &shelf(), &jpeg(10, 9)).expect("attached");
        let attached = Attached { hash, bytes: picture.len() as u64, at_ms: 1, named_by: None };
        if steps > 0 {
            device.client.store.expect_picture(&attached).expect("noted");
        }
        if steps == 2 {
            fs::write(file_of(&device, &picture).with_extension("new"), &picture[..9]).expect("written");
        }
        if steps == 3 {
            device.client.pictures.keep(hash, &picture).expect("kept");
        }
        let device = device.reopened();
        assert_eq!(files(device.folder.path()).len(), 1, "{steps}");
        assert_eq!(device.client.store.picture(hash), None, "{steps}");
        assert_eq!(state(&device, of).len(), 1, "{steps}");
        device.client.attach_photo(of, &shelf(), &picture).expect("another time");
        let device = device.reopened();
        assert_eq!(device.client.photo_bytes(hash).expect("reads"), picture);
    }
}

#[test]
fn files_of_another_store_are_left_alone() {
    let device = device();
    let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    device.client.attach_photo(of, &shelf(), &jpeg(10, 1)).expect("attached");
    let Device { client, folder, now_ms } = device;
    drop(client);
    // The store was set aside for a rescue, and a new one begins.
    fs::rename(folder.path().join("store"), folder.path().join("store-aside")).expect("set aside");
    let client = open(&folder, None, &now_ms);
    assert_eq!(files(folder.path()).len(), 1, "the pictures of the old one wait for its rescue");
    drop(client);
}

#[test]
fn uploaded_pictures_make_room_oldest_first_and_unsent_ones_stay() {
    let device = device();
    let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    let pictures: Vec<_> = (0..4).map(|nth| jpeg(100, nth)).collect();
    for picture in &pictures {
        device.client.attach_photo(of, &shelf(), picture).expect("attached");
    }
    receive_all(&device, &[]);
    let hashes: Vec<_> = pictures.iter().map(|picture| ContentHash::of(picture)).collect();
    // All but the first were sent, and the last one leaves room for two of them.
    for hash in &hashes[1..] {
        device.client.store.note_picture(*hash, PictureState::Stored).expect("noted");
    }
    let large = ContentHash::of(b"as large as all of them");
    let attached = Attached { hash: large, bytes: PHOTOS_KEPT_BYTES_MAX - 200, at_ms: 1, named_by: None };
    device.client.store.save(Save { attaches: Some(attached), ..Save::default() }).expect("saved");
    device.client.store.note_picture(large, PictureState::Stored).expect("noted");
    device.client.tidy_pictures().expect("tidied");
    let left: BTreeSet<_> = [0, 2, 3].map(|nth: usize| hashes[nth].to_string()).into();
    assert_eq!(files(device.folder.path()), left);
    let waiting = PhotoState::Waiting { sent_bytes: 0 };
    assert_eq!(state(&device, of), [waiting, PhotoState::NotHere, PhotoState::Stored, PhotoState::Stored]);
    assert!(matches!(
        device.client.photo_bytes(hashes[1]),
        Err(PhotoError::File(PhotoFileError::Missing { .. }))
    ));
}

#[test]
fn a_declined_picture_comes_again_later_or_when_somebody_asks() {
    let device = device();
    let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    let picture = jpeg(100, 1);
    let hash = ContentHash::of(&picture);
    device.client.attach_photo(of, &shelf(), &picture).expect("attached");
    receive_all(&device, &[]);
    let decline = |why| {
        let at_ms = device.now_ms.load(Ordering::Relaxed);
        let decline = crate::store::Decline { why, message: "满了".into(), tries: 1, at_ms };
        device.client.store.note_picture(hash, PictureState::Declined(decline)).expect("noted");
    };
    decline(Refusal::Unavailable);
    assert!(due(&device).is_empty(), "not at once");
    assert_eq!(device.client.status().expect("status").unsent_photos, 1);
    device.later(60_000);
    assert_eq!(due(&device), [hash]);
    decline(Refusal::Invalid);
    device.later(DAY_MS);
    assert!(due(&device).is_empty());
    let declined =
        PhotoState::Declined { why: Refusal::Invalid, message: "满了".into(), is_tried_again: false };
    assert_eq!(state(&device, of), std::slice::from_ref(&declined));
    let device = device.reopened();
    assert_eq!(state(&device, of), [declined]);
    assert_eq!(device.client.status().expect("status").stuck_photos, 1);
    device.client.retry_photo(hash).expect("offered again");
    assert_eq!(due(&device), [hash]);
}

#[test]
fn how_much_was_sent_is_seen_at_once_and_survives_in_steps() {
    let device = device();
    let of = PhotoOf::Visit(device.client.open_visit(outlet(1), None).expect("opened"));
    let picture = jpeg(900_000, 1);
    let hash = ContentHash::of(&picture);
    device.client.attach_photo(of, &shelf(), &picture).expect("attached");
    for held in (0..=600_000).step_by(16 * 1024) {
        device.client.store.note_sent(hash, held).expect("noted");
        assert_eq!(state(&device, of), [PhotoState::Waiting { sent_bytes: held }]);
    }
    let device = device.reopened();
    let after = device.client.store.picture(hash).expect("known").sent_bytes;
    assert!((512 * 1024..=600_000).contains(&after), "{after}");
}
