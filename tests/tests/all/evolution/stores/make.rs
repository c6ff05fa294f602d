//! Makes fixtures of today's formats: two people's days on real devices, left in the middle of the work.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use xundian_client::{
    Client, Due, IssueKind, NewIssue, NewPhoto, Outlet, PhotoOf, PhotoSource, PhotoSubject, Severity,
};
use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::Issue;
use xundian_protocol::record::{FieldKey, Home, RecordKey, Value, Write};
use xundian_server::console::Users;
use xundian_server::sessions;
use xundian_tests::support::company::{outlet, today};
use xundian_tests::support::device::{Device, bundle};
use xundian_tests::support::service::Service;
use xundian_tests::support::{company, packed};

use super::super::kinds::FUTURE;
use super::super::{FUTURE_TAGS, listing, newer, with_future};
use super::{DEVICE_FORMAT, KEY, SEALED, SERVER_FORMAT, folder, open};

/// The size of a note, and a number of notes that does not fit into a device's journal, so that its tree is not empty.
const LONG_NOTE_BYTES: usize = 8_000;
const LONG_NOTES: usize = 540;
/// The largest packed fixture.
const PACKED_BYTES_MAX: usize = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes fixtures that are kept forever; run it once for a new format"]
async fn fixtures_of_the_present_formats_are_made() {
    let service = Service::start().await;
    company::write(service.server(), vec![company::route("W2", today(), &["B1"])]);
    let plain = (format!("device_{DEVICE_FORMAT}_plain"), tempfile::tempdir().expect("a folder"));
    let sealed = (format!("device_{DEVICE_FORMAT}_{SEALED}"), tempfile::tempdir().expect("a folder"));
    let invitation = service.invitation("W2");
    let client = Client::enrol(plain.1.path(), &invitation, "王芳的手机").await.expect("enrolled");
    day(&service, &client, "W2", "B1").await;
    let key = xundian_client::StoreKey::new(KEY);
    let invitation = service.invitation("W1");
    let other = Client::enrol_with_key(sealed.1.path(), &key, &invitation, "sealed").await.expect("enrolled");
    day(&service, &other, "W1", "A1").await;
    long_notes(&client).await;
    leave_work(&client, "B1", 1);
    leave_work(&other, "A2", 2);
    let lost = Device::enrol(&service.invitation("W3"), "lost").await;
    let no = lost.client.identity().expect("enrolled").device;
    service.server().revoke(no, "test", sessions::now_ms()).expect("revoked");
    let users = Users::open(service.folder()).expect("readable");
    users.add_user("manager", "not a secret at all", Some(company::person("W4"))).expect("added");
    drop((client, other));
    for (name, home) in [plain, sealed] {
        let packed = packed::pack(home.path()).expect("readable");
        let listing = listing::of_device(&open(&name, home.path()));
        keep(&name, &packed, &listing);
    }
    let data: TempDir = service.stop().await;
    let packed = packed::pack(data.path()).expect("readable");
    keep(&format!("server_{SERVER_FORMAT}"), &packed, &listing::of_server(data.path()));
}

/// Writes a fixture with its listing, unless it exists already.
fn keep(name: &str, packed: &[u8], listing: &str) {
    assert!(packed.len() <= PACKED_BYTES_MAX, "{name} takes {} bytes", packed.len());
    let file = folder().join(format!("{name}.packed"));
    if file.exists() {
        eprintln!("{name} exists already and is not replaced");
        return;
    }
    eprintln!("{name}: {} bytes", packed.len());
    fs::write(file, packed).expect("written");
    fs::write(folder().join(format!("{name}.txt")), listing).expect("written");
}

fn picture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pictures").join(name)).expect("our own picture")
}

/// A stored visit with a photo, an edit that is rejected, and a record of an unknown kind with a conflict, written by
/// newer apps.
async fn day(service: &Service, client: &Client, person: &str, code: &str) {
    client.sync(|_| {}).await.expect("synced");
    let at_ms = sessions::now_ms() - 3_600_000;
    let visit = client.record(&bundle(outlet(code), at_ms, 3)).expect("saved");
    let photo = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
    client.attach_photo(PhotoOf::Visit(visit), &photo, &picture("plain.png")).expect("attached");
    let moved = Outlet { unit: Some(company::unit("HN")), ..Outlet::default() };
    client.edit(outlet(code).0, &moved, None).expect("saved");
    assert_eq!(client.sync(|_| {}).await.expect("synced").rejected, 1);

    let home = Home::Outlet(outlet(code));
    for (nth, person) in [(0, person), (1, "W4")] {
        let (_device, mut raw) = newer(service, person).await;
        let id = RecordId::v7(at_ms.unsigned_abs(), [9; 10]);
        let mut op = with_future(raw.op(&Issue::default(), id, home, at_ms + nth, None));
        op.record = RecordKey { kind: FUTURE, id };
        let last = Write { at: FieldKey::single(FUTURE_TAGS + 7), value: Value::Int(nth), seen: None };
        op.writes.push(last);
        assert_eq!(raw.push(vec![op]).await.rejections, []);
    }
    client.sync(|_| {}).await.expect("synced");
    assert_eq!(client.conflicts(Some(home)).expect("readable").len(), 1);
}

/// Saves so many long edits that the journal is folded into the tree more than once.
async fn long_notes(client: &Client) {
    for nth in 0..LONG_NOTES {
        let note = Some(format!("{nth:08}").repeat(LONG_NOTE_BYTES / 8));
        client.edit(outlet("B1").0, &Outlet { note, ..Outlet::default() }, None).expect("saved");
    }
    let note = Some("周二盘点".into());
    client.edit(outlet("B1").0, &Outlet { note, ..Outlet::default() }, None).expect("saved");
    client.sync(|_| {}).await.expect("synced");
}

/// Leaves unsent work: a complete visit, an issue, and an open visit with a photo.
fn leave_work(client: &Client, code: &str, lines: u64) {
    client.record(&bundle(outlet(code), sessions::now_ms() - 1_800_000, lines)).expect("saved");
    let issue = NewIssue {
        issue_kind: IssueKind::Price,
        severity: Severity::Normal,
        text: "标价有误".into(),
        due: Due::NextDay,
        assignee: None,
    };
    client.raise_issue(outlet(code), None, &issue).expect("saved");
    let visit = client.open_visit(outlet(code), None).expect("opened");
    let photo = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
    client.attach_photo(PhotoOf::Visit(visit), &photo, &picture("turned.jpg")).expect("attached");
}
