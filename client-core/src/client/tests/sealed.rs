//! A device sealed with the host app's key: what its folder reveals, and who can open it.

use std::collections::BTreeSet;
use std::path::Path;

use xundian_protocol::ids::ContentHash;
use xundian_protocol::kinds::{PhotoSource, PhotoSubject};

use super::*;
use crate::store::StoreTrouble;
use crate::visit_ops::{NewPhoto, PhotoOf};

/// A text in the second piece of a picture.
const IN_THE_PICTURE: &[u8] = b"a label on the shelf, in the picture's own bytes";
const NOTE: &str = "店长说下周补货，条码 6901234567892";

pub(super) fn key() -> StoreKey {
    StoreKey::new([0x11; 32])
}

pub(super) fn picture() -> Vec<u8> {
    [b"\xFF\xD8\xFF", &[7; 17 * 1024][..], IN_THE_PICTURE].concat()
}

/// A device with a day's work in its outbox, a rejected save, long records in its tree, a photo, and its identity
/// files.
pub(super) fn busy_device(key: Option<&StoreKey>) -> Device {
    let device = device_with(key);
    let visit = VisitBundle { note: Some(NOTE.into()), ..bundle() };
    device.client.record(&visit).expect("recorded");
    let rejection = Rejection { seq: OpSeq(1), why: Refusal::OutOfScope, message: "门店已移交".into() };
    let receipt = Receipt { through: OpSeq(1), rejections: vec![rejection], restamped: Vec::new() };
    device.client.store.receive(&receipt).expect("received");
    // More than the journal holds, so that it is folded into the tree.
    for n in 20..50 {
        let form = Outlet { name: Some("仓储会员店".repeat(12_000)), ..Outlet::default() };
        let record = from_server(outlet(n).0, Home::Outlet(outlet(1)), &form);
        let changes = Changes { home: None, from: FeedSeq(0), to: FeedSeq(5), records: vec![record] };
        device.client.store.apply_changes(&changes).expect("applied");
    }
    let visit = device.client.record(&visit).expect("recorded");
    let photo = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
    device.client.attach_photo(PhotoOf::Visit(visit), &photo, &picture()).expect("attached");
    identity::request_der(&device.client.home).expect("a key and a request");
    identity::keep(&device.client.home, b"DEVICE CERTIFICATE", b"AUTHORITY CERTIFICATE").expect("kept");
    device
}

/// Every file below a folder: its relative name and its bytes.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            found.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
    found
}

/// The files of a device that contain these bytes.
fn files_with(folder: &Path, needle: &[u8]) -> BTreeSet<String> {
    // As a text of one character per byte, which is fast to search.
    let as_text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let needle = as_text(needle);
    let holding = files(folder).into_iter().filter(|(_, bytes)| as_text(bytes).contains(&needle));
    holding.map(|(name, _)| name).collect()
}

#[test]
fn no_file_of_a_sealed_device_shows_what_was_recorded() {
    let (plain, key) = (busy_device(None), key());
    let sealed = busy_device(Some(&key));
    let number = gtin(3).number().to_be_bytes();
    let mut turned = number;
    turned.reverse();
    let needles: [&[u8]; 14] = [
        NOTE.as_bytes(),
        b"6901234567892",
        "王芳".as_bytes(),
        "华联超市".as_bytes(),
        "仓储会员店".as_bytes(),
        "门店已移交".as_bytes(),
        b"clean",
        b"demo:4433",
        b"PRIVATE KEY",
        b"DEVICE CERTIFICATE",
        b"AUTHORITY CERTIFICATE",
        IN_THE_PICTURE,
        &number,
        &turned,
    ];
    let mut shown = BTreeSet::new();
    for (nth, needle) in needles.into_iter().enumerate() {
        let files = files_with(plain.folder.path(), needle);
        // A number is written in one of the two byte orders.
        assert!(!files.is_empty() || nth >= 12, "{:?} must be found", String::from_utf8_lossy(needle));
        shown.extend(files.into_iter().map(|file| (nth.min(12), file)));
        let files = files_with(sealed.folder.path(), needle);
        assert!(files.is_empty(), "{:?} is in {files:?}", String::from_utf8_lossy(needle));
    }
    assert!(shown.iter().any(|(nth, _)| *nth == 12), "a product's number must be found");
    let files: BTreeSet<_> = shown.iter().map(|(_, file)| file.as_str()).collect();
    let photo = format!("photos/{}", ContentHash::of(&picture()));
    let expected = ["authority.crt", "device.crt", "device.key", &photo, "store/db", "store/journal"];
    assert_eq!(files, BTreeSet::from(expected), "what is searched holds all of it, journal and tree");
}

#[test]
fn a_sealed_device_works_as_any_other_and_says_that_it_is_sealed() {
    let key = key();
    let device = busy_device(Some(&key));
    let status = device.client.status().expect("status");
    assert!(status.is_sealed && !busy_device(None).client.status().expect("status").is_sealed);
    let request = identity::request_der(&device.client.home).expect("the request");
    drop(device.client);
    let client = open(&device.folder, Some(&key), &device.now_ms);
    assert_eq!(client.status().expect("status").unsent_ops, status.unsent_ops);
    assert_eq!(client.identity().expect("enrolled").person_name, "王芳");
    assert_eq!(client.rejected().expect("the rejected ops")[0].message, "门店已移交");
    assert_eq!(client.photo_bytes(ContentHash::of(&picture())).expect("reads"), picture());
    assert_eq!(identity::request_der(&client.home).expect("the same request"), request);
}

#[test]
fn what_does_not_fit_a_device_is_refused_and_touches_no_file() {
    let (first, second) = (key(), StoreKey::new([0x22; 32]));
    for (device, wrong, text) in [
        (busy_device(Some(&first)), None, "is sealed: open it with the key"),
        (busy_device(Some(&first)), Some(&second), "the key does not fit"),
        (busy_device(None), Some(&first), "is not sealed, and a key was given"),
    ] {
        drop(device.client);
        let before = files(device.folder.path());
        let refused = match wrong {
            Some(key) => Client::open_with_key(device.folder.path(), key),
            None => Client::open(device.folder.path()),
        };
        let refused = refused.expect_err("refused");
        assert!(refused.to_string().contains(text), "{refused}");
        assert_eq!(refused.trouble() == StoreTrouble::OtherKey, wrong.is_some_and(|_| text.contains("fit")));
        assert!(before == files(device.folder.path()), "a file was changed: {refused}");
    }
}

#[test]
fn after_a_change_of_keys_the_new_one_opens_everything() {
    let (first, second) = (key(), StoreKey::new([0x22; 32]));
    let device = busy_device(Some(&first));
    let request = identity::request_der(&device.client.home).expect("the request");
    device.client.change_key(&second).expect("changed");
    drop(device.client);
    let refused = Client::open_with_key(device.folder.path(), &first).expect_err("the old one");
    assert_eq!(refused.trouble(), StoreTrouble::OtherKey);
    let client = open(&device.folder, Some(&second), &device.now_ms);
    assert_eq!(identity::request_der(&client.home).expect("the same request"), request);
    assert_eq!(client.list(Visit::SPEC.kind, None).expect("reads").len(), 1);
}
