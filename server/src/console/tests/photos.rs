//! Photos on a visit's page: what is shown, to whom, and how a browser is kept from running them.

use super::company::{self, NOW_MS, TODAY, id, visit_id};
use super::{Running, SMALL};
use crate::photos::UploadStep;
use xundian_protocol::ids::{ContentHash, DeviceNo, OutletId, PersonId, RecordId};
use xundian_protocol::kinds::{ClockGrade, FixGrade, Header, MediaType, Photo, PhotoSource, PhotoSubject};
use xundian_protocol::limits::PHOTO_PIECE_BYTES_MAX;
use xundian_protocol::record::Home;
use xundian_protocol::wire::v1::{Offer, Piece};

const REGION: &str = "HUA_BEI";
/// The person and the outlet of the tests; the visit there raised an issue.
const PERSON: usize = 1;
const OUTLET: usize = 3;

fn example(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/pictures");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

fn actor() -> PersonId {
    PersonId(id(&format!("{REGION}-P{PERSON}")))
}

fn header(clock_grade: ClockGrade) -> Header {
    Header {
        actor: actor(),
        captured_at_ms: NOW_MS - 3_600_000,
        utc_offset_min: 480,
        clock_grade,
        business_day: TODAY,
        corrects: None,
    }
}

/// A valid photo of a shelf.
fn photo(picture: &[u8]) -> Photo {
    Photo {
        visit: Some(visit_id(REGION, PERSON, OUTLET, TODAY)),
        subject: Some(PhotoSubject::Shelf),
        content_hash: Some(ContentHash::of(picture)),
        size_bytes: Some(picture.len() as i64),
        media_type: MediaType::of(picture).or(Some(MediaType::Jpeg)),
        source: Some(PhotoSource::InApp),
        taken_at_ms: Some(NOW_MS - 3_600_000),
        latitude_e7: Some(312_304_000),
        longitude_e7: Some(1_214_737_000),
        accuracy_m: Some(12),
        position_grade: Some(FixGrade::Measured),
        distance_m: Some(35),
        ..Photo::default()
    }
}

fn save(running: &Running, name: &str, header: Header, form: &Photo) -> RecordId {
    let home = Home::Outlet(OutletId(id(&format!("{REGION}-P{PERSON}-S{OUTLET}"))));
    company::save_more(&running.server, (REGION, PERSON, SMALL), (id(name), home), header, form);
    id(name)
}

/// Sends a picture as the author's device does.
async fn send(running: &Running, picture: &[u8]) {
    let (device, hash) = (DeviceNo(4), ContentHash::of(picture));
    let offer = Offer { hash, bytes: picture.len() as u64 };
    let mut answer = running.photos.find(device, actor(), offer, NOW_MS);
    let mut from = 0;
    for bytes in picture.chunks(PHOTO_PIECE_BYTES_MAX) {
        let piece = Piece { hash, from, bytes: bytes.to_vec() };
        answer = running.photos.keep(device, actor(), &piece, NOW_MS);
        from += bytes.len() as u64;
    }
    let UploadStep::Store(whole) = answer else { panic!("it should be whole: {answer:?}") };
    assert_eq!(running.photos.store(whole).await.unwrap().bytes, picture.len() as u64);
}

fn page_of_the_visit() -> String {
    format!("/visit/{}", visit_id(REGION, PERSON, OUTLET, TODAY))
}

#[tokio::test]
async fn a_visit_shows_its_photos_and_what_speaks_against_them() {
    let running = Running::start(SMALL).await;
    let mut hq = running.logged_in("hq").await;
    assert!(!hq.get(&page_of_the_visit()).await.body.contains("照片"), "no heading without photos");

    let shelf = example("baseline.jpg");
    let good = save(&running, "good", header(ClockGrade::Trusted), &photo(&shelf));
    let page = hq.get(&page_of_the_visit()).await;
    assert!(page.body.contains("照片") && page.body.contains("图片还在路上"), "the record comes first");
    assert_eq!(hq.get(&format!("/photo/{good}")).await.status, 404);
    send(&running, &shelf).await;
    let page = hq.get(&page_of_the_visit()).await;
    assert!(
        page.body.contains(&format!(
            "<a class=\"frame\" href=\"/photo/{good}\"><img src=\"/photo/{good}/preview\""
        ))
    );
    for told in ["货架", "现场拍摄", "17:00", "35 m", "± 12 m"] {
        assert!(page.body.contains(told), "{told}");
    }
    let doubts = ["选自相册", "定位为模拟", "没有定位", "离门店较远", "手机时钟不可信"];
    assert!(!doubts.iter().any(|doubt| page.body.contains(doubt)), "nothing speaks against it");

    let mocked = Photo {
        position_grade: Some(FixGrade::Mocked),
        distance_m: Some(213),
        source: Some(PhotoSource::Chosen),
        note: Some("<b>急</b>".into()),
        ..photo(&shelf)
    };
    save(&running, "doubtful", header(ClockGrade::Unverified), &mocked);
    let missing = Photo { position_grade: Some(FixGrade::Missing), issue: None, ..photo(&shelf) };
    save(&running, "no position", header(ClockGrade::Trusted), &missing);
    let page = hq.get(&page_of_the_visit()).await;
    for doubt in doubts {
        assert!(page.body.contains(doubt), "{doubt}");
    }
    assert!(page.body.contains("&lt;b&gt;急") && !page.body.contains("<b>急"));
    let english = hq.get(&format!("{}?lang=en", page_of_the_visit())).await;
    for told in
        ["Photos", "Taken in the app", "from the gallery", "position is simulated", "clock not trusted"]
    {
        assert!(english.body.contains(told), "{told}");
    }
}

#[tokio::test]
async fn a_photo_of_an_issue_stands_with_its_visit_and_a_corrected_one_behind_the_others() {
    let running = Running::start(SMALL).await;
    let mut hq = running.logged_in("hq").await;
    let shelf = example("plain.png");
    // The issue that the visit raised shares the visit's id.
    let issue = visit_id(REGION, PERSON, OUTLET, TODAY).0;
    let of_issue =
        Photo { visit: None, issue: Some(issue), subject: Some(PhotoSubject::Problem), ..photo(&shelf) };
    let old = save(&running, "old", header(ClockGrade::Trusted), &of_issue);
    let corrects = Header { corrects: Some(old), ..header(ClockGrade::Trusted) };
    let new = save(&running, "new", corrects, &Photo { taken_at_ms: Some(NOW_MS), ..of_issue });
    let marked = Correction { by: new };
    marked.save(&running, old);
    send(&running, &shelf).await;
    let page = hq.get(&page_of_the_visit()).await.body;
    let at = |photo: RecordId| page.find(&format!("href=\"/photo/{photo}\"")).unwrap();
    assert!(at(new) < at(old), "what stands comes first");
    assert_eq!(page.matches("photo corrected").count(), 1);
    assert!(page[at(old)..].contains("已被更正") && page.contains("急待解决问题"));
}

/// A correction of one record by another.
struct Correction {
    by: RecordId,
}

impl Correction {
    fn save(&self, running: &Running, old: RecordId) {
        use xundian_protocol::kinds::{Entity as _, header};
        use xundian_protocol::record::{FieldKey, Key, Value, Write};
        let record = running.server.record(Photo::key(old)).unwrap().unwrap();
        let at = FieldKey { tag: header::CORRECTED_BY, key: Key::Single };
        let write = Write { at, value: Value::Id(self.by), seen: None };
        let draft = crate::server::Draft { key: record.key, home: record.home, writes: vec![write] };
        running.server.write(vec![draft], "test", NOW_MS).unwrap();
    }
}

#[tokio::test]
async fn a_picture_is_served_as_a_picture_and_as_nothing_else() {
    let running = Running::start(SMALL).await;
    let mut hq = running.logged_in("hq").await;
    // A page that claims to be a JPEG; a format that no browser shows; and bytes that are no picture at all.
    let mut page = b"\xFF\xD8\xFF\xE0".to_vec();
    page.extend(b"<html><script>alert(document.cookie)</script></html>");
    let cases = [
        (example("baseline.jpg"), "image/jpeg", "inline", true),
        (example("transparent.png"), "image/png", "inline", true),
        (example("lossy.webp"), "image/webp", "inline", true),
        (page, "image/jpeg", "inline", false),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "image/heic", "attachment", false),
        (b"<html><script>alert(1)</script></html>".to_vec(), "application/octet-stream", "attachment", false),
    ];
    for (n, (picture, kind, shown, is_decoded)) in cases.into_iter().enumerate() {
        let photo = save(&running, &format!("case {n}"), header(ClockGrade::Trusted), &photo(&picture));
        send(&running, &picture).await;
        let hash = ContentHash::of(&picture);
        let answer = hq.get(&format!("/photo/{photo}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{n}");
        assert!(answer.bytes == picture);
        let disposition = answer.header("content-disposition").unwrap();
        assert!(disposition.starts_with(shown) && disposition.contains(&hash.to_string()), "{disposition}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("sandbox"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        let etag = answer.header("etag").unwrap().to_owned();
        assert_eq!(etag, format!("\"{hash}\""));
        let again = hq.get_unless(&format!("/photo/{photo}"), &etag).await;
        assert_eq!((again.status, again.bytes.len()), (304, 0));

        let small = hq.get(&format!("/photo/{photo}/preview")).await;
        assert_eq!(small.status, if is_decoded { 200 } else { 404 }, "{n}");
        let page = hq.get(&page_of_the_visit()).await.body;
        let frame = format!("<img src=\"/photo/{photo}/preview\"");
        assert_eq!(page.contains(&frame), is_decoded, "{n}: once it is known, a link stands there");
        assert!(page.contains(&format!("href=\"/photo/{photo}\"")));
        if is_decoded {
            assert_eq!(small.header("content-type"), Some("image/jpeg"));
            assert_eq!(MediaType::of(&small.bytes), Some(MediaType::Jpeg));
            assert!(hq.get(&format!("/photo/{photo}/preview")).await.bytes == small.bytes, "made once");
        }
    }
}

#[tokio::test]
async fn nobody_sees_a_picture_past_their_scope() {
    let running = Running::start(SMALL).await;
    let shelf = example("baseline.jpg");
    let photo = save(&running, "seen by few", header(ClockGrade::Trusted), &photo(&shelf));
    send(&running, &shelf).await;
    let paths = [format!("/photo/{photo}"), format!("/photo/{photo}/preview")];
    let etag = format!("\"{}\"", ContentHash::of(&shelf));
    for path in &paths {
        let stranger = running.browser().get(path).await;
        assert_eq!(stranger.status, 303, "{path}");
        assert!(stranger.header("location").is_some_and(|to| to.starts_with("/login")));
        for (user, status) in [("hq", 200), ("north", 200), ("wang", 403), ("loose", 403)] {
            let mut browser = running.logged_in(user).await;
            assert_eq!(browser.get(path).await.status, status, "{user} {path}");
            // Knowing the hash shows them nothing.
            let known = browser.get_unless(path, &etag).await.status;
            assert!(known == 304 || known == status, "{user} {path}: {known}");
        }
    }
    let mut loose = running.logged_in("loose").await;
    let unknown = loose.get(&format!("/photo/{}", id("no photo at all"))).await;
    assert_eq!(unknown.status, 403, "what does not exist looks the same");
    let mut hq = running.logged_in("hq").await;
    assert_eq!(hq.get(&format!("/photo/{}", id("no photo at all"))).await.status, 404);
    assert_eq!(hq.get("/photo/..%2F..%2Fauthority").await.status, 400);
}
