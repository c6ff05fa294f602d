//! Who may send a picture, what is stored of it, and what happens to wrong ones.

use super::*;
use crate::server::Draft;
use crate::store::{BlobRef, PictureChanges};
use crate::verify::VerifyReport;
use xundian_protocol::ids::{KindId, OutletId, RecordId};
use xundian_protocol::kinds::{Entity as _, MediaType, Photo, PhotoSource, PhotoSubject};
use xundian_protocol::record::{Home, RecordKey};

const NOW_MS: i64 = 1_795_428_000_000;

fn person(n: u8) -> PersonId {
    PersonId(RecordId::from_bytes([n; 16]))
}

/// Bytes that differ by offset and by picture.
fn picture(n: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 251 + at * 7) as u8 ^ n).collect()
}

fn roomy() -> SpoolLimits {
    SpoolLimits { disk_free_bytes_min: 0, ..SpoolLimits::default() }
}

struct Kept {
    folder: tempfile::TempDir,
    photos: Arc<Photos>,
}

impl Kept {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), roomy())
    }

    fn open(folder: tempfile::TempDir, limits: SpoolLimits) -> Self {
        let server = Arc::new(Server::open(folder.path(), NOW_MS).unwrap());
        let place = StorageLocation::read(None, folder.path()).unwrap();
        let photos = Arc::new(Photos::open(server, &place, limits).unwrap());
        Self { folder, photos }
    }

    /// Opens the same folder again, as after a crash.
    fn reopened(self, limits: SpoolLimits) -> Self {
        let Self { folder, photos } = self;
        drop(photos);
        Self::open(folder, limits)
    }

    /// Adds a record of a person that names a picture.
    fn name(&self, author: PersonId, picture: &[u8]) {
        let (hash, bytes) = (ContentHash::of(picture), picture.len() as u64);
        let record =
            RecordKey { kind: KindId(15), id: RecordId::from_bytes(hash.0[..16].try_into().unwrap()) };
        let blob_ref = BlobRef { hash, author, bytes, record };
        let changes = Changes {
            pictures: PictureChanges { blob_refs: [(blob_ref, true)].into(), ..PictureChanges::default() },
            ..Changes::default()
        };
        self.photos.server.change(|_| Ok::<_, StoreError>((changes, ()))).unwrap();
    }

    async fn say(&self, answer: UploadStep) -> Result<UploadStatus, Declined> {
        match answer {
            UploadStep::Say(said) => said,
            UploadStep::Store(whole) => self.photos.store(whole).await,
        }
    }

    async fn offer(&self, device: u32, who: PersonId, picture: &[u8]) -> Result<UploadStatus, Declined> {
        let offer = Offer { hash: ContentHash::of(picture), bytes: picture.len() as u64 };
        self.say(self.photos.find(DeviceNo(device), who, offer, NOW_MS)).await
    }

    async fn piece(
        &self,
        device: u32,
        who: PersonId,
        hash: ContentHash,
        from: usize,
        bytes: &[u8],
    ) -> Result<UploadStatus, Declined> {
        let piece = Piece { hash, from: from as u64, bytes: bytes.to_vec() };
        self.say(self.photos.keep(DeviceNo(device), who, &piece, NOW_MS)).await
    }

    /// Offers a picture and sends what is missing.
    async fn send(&self, device: u32, who: PersonId, picture: &[u8]) -> Result<UploadStatus, Declined> {
        let mut held = self.offer(device, who, picture).await?;
        while held.bytes < picture.len() as u64 {
            let from = held.bytes as usize;
            let to = picture.len().min(from + 16 * 1024);
            held = self.piece(device, who, held.hash, from, &picture[from..to]).await?;
        }
        Ok(held)
    }
}

fn whole(picture: &[u8]) -> UploadStatus {
    let hash = ContentHash::of(picture);
    UploadStatus { hash, bytes: picture.len() as u64, front: hash }
}

#[tokio::test]
async fn a_picture_that_a_record_names_is_stored_once_for_all() {
    let kept = Kept::new();
    let shelf = picture(1, 100_000);
    kept.name(person(1), &shelf);
    kept.name(person(2), &shelf);
    assert_eq!(kept.send(1, person(1), &shelf).await, Ok(whole(&shelf)));
    assert!(std::fs::read_dir(kept.folder.path().join(SPOOL_FOLDER)).unwrap().next().is_none());
    assert_eq!(kept.offer(2, person(2), &shelf).await, Ok(whole(&shelf)), "shared where it is equal");
    assert_eq!(kept.photos.read(ContentHash::of(&shelf)).await.unwrap(), shelf);
    let kept = kept.reopened(roomy());
    assert_eq!(kept.offer(1, person(1), &shelf).await, Ok(whole(&shelf)));
}

#[tokio::test]
async fn to_strangers_a_picture_looks_the_same_whether_it_is_there_or_not() {
    let kept = Kept::new();
    let (stored, under_way, unknown) = (picture(1, 50_000), picture(2, 50_000), picture(3, 50_000));
    kept.name(person(1), &stored);
    kept.name(person(1), &under_way);
    kept.send(1, person(1), &stored).await.unwrap();
    kept.offer(1, person(1), &under_way).await.unwrap();
    let said = async |picture: &[u8]| {
        let declined = kept.offer(9, person(9), picture).await.unwrap_err();
        let piece = kept.piece(9, person(9), ContentHash::of(picture), 0, b"bytes").await.unwrap_err();
        assert_eq!(declined, piece);
        (declined.why, declined.message)
    };
    let told = said(&unknown).await;
    assert_eq!(told.0, Refusal::Unnamed);
    assert_eq!(said(&stored).await, told);
    assert_eq!(said(&under_way).await, told);
    // Guessing another size does not help the author's own device either.
    let offer = Offer { hash: ContentHash::of(&stored), bytes: 49_999 };
    let other = kept.say(kept.photos.find(DeviceNo(1), person(1), offer, NOW_MS)).await.unwrap_err();
    assert_eq!(other.why, Refusal::Unnamed);
}

#[tokio::test]
async fn sizes_that_no_picture_has_are_declined() {
    let kept = Kept::new();
    for bytes in [0, PHOTO_BYTES_MAX + 1, u64::MAX] {
        let offer = Offer { hash: ContentHash([7; 32]), bytes };
        let declined = kept.say(kept.photos.find(DeviceNo(1), person(1), offer, NOW_MS)).await.unwrap_err();
        assert_eq!(declined.why, Refusal::Invalid);
    }
    let shelf = picture(1, 1000);
    kept.name(person(1), &shelf);
    kept.offer(1, person(1), &shelf).await.unwrap();
    let declined = kept.piece(1, person(1), ContentHash::of(&shelf), 0, &[0; 1001]).await.unwrap_err();
    assert_eq!(declined.why, Refusal::Invalid);
    assert_eq!(kept.send(1, person(1), &shelf).await, Ok(whole(&shelf)), "the right one is taken after that");
}

#[tokio::test]
async fn bytes_that_are_not_the_picture_are_thrown_away_and_the_right_ones_taken() {
    let kept = Kept::new();
    let shelf = picture(1, 40_000);
    let hash = ContentHash::of(&shelf);
    kept.name(person(1), &shelf);
    let mut flipped = shelf.clone();
    flipped[20_000] ^= 1;
    kept.offer(1, person(1), &shelf).await.unwrap();
    let held = kept.piece(1, person(1), hash, 0, &flipped[..30_000]).await.unwrap();
    assert_eq!((held.bytes, held.front), (30_000, ContentHash::of(&flipped[..30_000])));
    assert_eq!(kept.piece(1, person(1), hash, 30_000, &flipped[30_000..]).await, Ok(nothing(hash)));
    assert_eq!(kept.photos.stored(hash).unwrap(), None);
    assert_eq!(kept.send(1, person(1), &shelf).await, Ok(whole(&shelf)));
}

#[tokio::test]
async fn what_the_disk_did_to_a_whole_picture_is_seen_before_it_is_stored() {
    let kept = Kept::new();
    let shelf = picture(1, 40_000);
    let hash = ContentHash::of(&shelf);
    kept.name(person(1), &shelf);
    kept.offer(1, person(1), &shelf).await.unwrap();
    kept.piece(1, person(1), hash, 0, &shelf[..30_000]).await.unwrap();
    let file = kept.folder.path().join(SPOOL_FOLDER).join(format!("1-{hash}"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(kept.piece(1, person(1), hash, 30_000, &shelf[30_000..]).await, Ok(nothing(hash)));
    assert_eq!(kept.send(1, person(1), &shelf).await, Ok(whole(&shelf)));
}

#[tokio::test]
async fn killed_between_the_last_piece_and_the_storing_it_is_stored_at_the_next_offer() {
    let kept = Kept::new();
    let shelf = picture(1, 40_000);
    let hash = ContentHash::of(&shelf);
    kept.name(person(1), &shelf);
    kept.offer(1, person(1), &shelf).await.unwrap();
    let piece = Piece { hash, from: 0, bytes: shelf.clone() };
    assert!(matches!(kept.photos.keep(DeviceNo(1), person(1), &piece, NOW_MS), UploadStep::Store(_)));
    let kept = kept.reopened(roomy());
    assert_eq!(kept.photos.stored(hash).unwrap(), None);
    assert_eq!(kept.offer(1, person(1), &shelf).await, Ok(whole(&shelf)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_and_two_sessions_of_one_may_send_the_same_at_once() {
    let kept = Arc::new(Kept::new());
    let shelf = Arc::new(picture(1, 300_000));
    kept.name(person(1), &shelf);
    kept.name(person(2), &shelf);
    let mut senders = tokio::task::JoinSet::new();
    for (device, who) in [(1, 1), (2, 2), (3, 1), (3, 1)] {
        let (kept, shelf) = (Arc::clone(&kept), Arc::clone(&shelf));
        senders.spawn(async move { kept.send(device, person(who), &shelf).await });
    }
    for sent in senders.join_all().await {
        assert_eq!(sent, Ok(whole(&shelf)));
    }
    assert_eq!(kept.photos.read(ContentHash::of(&shelf)).await.unwrap(), *shelf);
    assert!(std::fs::read_dir(kept.folder.path().join(SPOOL_FOLDER)).unwrap().next().is_none());
}

#[tokio::test]
async fn a_full_disk_and_a_storage_that_fails_say_to_come_again_and_lose_nothing() {
    let kept = Kept::new();
    let (shelf, other) = (picture(1, 40_000), picture(2, 40_000));
    let hash = ContentHash::of(&shelf);
    kept.name(person(1), &shelf);
    kept.name(person(1), &other);
    kept.offer(1, person(1), &shelf).await.unwrap();
    kept.piece(1, person(1), hash, 0, &shelf[..30_000]).await.unwrap();
    let kept = kept.reopened(SpoolLimits { disk_free_bytes_min: u64::MAX / 2, ..SpoolLimits::default() });
    let declined = kept.offer(1, person(1), &other).await.unwrap_err();
    assert_eq!(declined.why, Refusal::Unavailable);
    assert!(declined.message.contains("disk is nearly full") && declined.message.contains("try again"));

    // A file where the storage needs a folder acts like a failing disk.
    let kept = kept.reopened(roomy());
    let in_the_way = kept.folder.path().join("photos/pictures");
    std::fs::write(&in_the_way, b"").unwrap();
    let declined = kept.send(1, person(1), &shelf).await.unwrap_err();
    assert_eq!(declined.why, Refusal::Unavailable);
    assert_eq!(kept.photos.stored(hash).unwrap(), None);
    std::fs::remove_file(&in_the_way).unwrap();
    assert_eq!(kept.offer(1, person(1), &shelf).await, Ok(whole(&shelf)), "all of it was still here");
}

#[tokio::test]
async fn what_is_stored_is_checked_against_the_storage() {
    let kept = Kept::new();
    let pictures: Vec<Vec<u8>> = (1..=4).map(|n| picture(n, 20_000)).collect();
    for picture in &pictures {
        kept.name(person(1), picture);
        kept.send(1, person(1), picture).await.unwrap();
    }
    let found = async |reads| {
        let mut report = VerifyReport::default();
        kept.photos.check(reads, &mut report).await.unwrap();
        (report.pictures_damaged, report.findings)
    };
    assert_eq!(found(true).await, (0, vec![]));
    let file = |n: usize| {
        let hash = ContentHash::of(&pictures[n]);
        kept.folder.path().join(format!("photos/pictures/{:02x}/{hash}", hash.0[0]))
    };
    std::fs::remove_file(file(0)).unwrap();
    std::fs::write(file(1), b"short").unwrap();
    let mut flipped = pictures[2].clone();
    flipped[9] ^= 1;
    std::fs::write(file(2), flipped).unwrap();
    let (damaged, findings) = found(false).await;
    assert_eq!((damaged, findings.len()), (2, 2));
    let (damaged, findings) = found(true).await;
    assert_eq!(damaged, 3);
    for (n, what) in [(0, "is gone"), (1, "has 5 bytes and had 20000"), (2, "holds other bytes")] {
        let hash = ContentHash::of(&pictures[n]).to_string();
        assert!(findings.iter().any(|found| found.contains(&hash) && found.contains(what)), "{findings:?}");
    }
    assert!(matches!(kept.photos.read(ContentHash::of(&pictures[0])).await, Err(PhotosError::Gone { .. })));
}

#[tokio::test]
async fn a_thumbnail_is_made_once_and_what_has_none_is_remembered() {
    let kept = Kept::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/pictures");
    let shelf = std::fs::read(format!("{folder}/baseline.jpg")).unwrap();
    let none = picture(1, 1000);
    for picture in [&shelf, &none] {
        kept.name(person(1), picture);
        kept.send(1, person(1), picture).await.unwrap();
    }
    let state =
        |picture: &[u8]| kept.photos.stored(ContentHash::of(picture)).unwrap().map(|found| found.preview);
    assert_eq!((state(&shelf), state(&none)), (Some(Preview::Untried), Some(Preview::Untried)));
    let made = kept.photos.preview(ContentHash::of(&shelf)).await.unwrap().unwrap();
    assert_eq!(kept.photos.preview(ContentHash::of(&none)).await.unwrap(), None);
    assert_eq!((state(&shelf), state(&none)), (Some(Preview::Made), Some(Preview::Impossible)));
    // It comes from the storage now: the picture is not decoded again.
    let hash = ContentHash::of(&shelf);
    std::fs::remove_file(kept.folder.path().join(format!("photos/pictures/{:02x}/{hash}", hash.0[0])))
        .unwrap();
    assert_eq!(kept.photos.preview(hash).await.unwrap(), Some(made));
    assert_eq!(kept.photos.preview(ContentHash([9; 32])).await.unwrap(), None);
}

#[test]
fn a_folder_of_the_format_before_learns_what_its_records_name() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = picture(1, 1000);
    let form = Photo {
        subject: Some(PhotoSubject::Shelf),
        content_hash: Some(ContentHash::of(&shelf)),
        size_bytes: Some(1000),
        media_type: Some(MediaType::Jpeg),
        source: Some(PhotoSource::InApp),
        ..Photo::default()
    };
    let home = Home::Outlet(OutletId(RecordId::from_bytes([2; 16])));
    let draft = Draft { key: Photo::key(RecordId::from_bytes([3; 16])), home, writes: form.writes() };
    let server = Server::open(folder.path(), NOW_MS).unwrap();
    server.write(vec![draft], "test", NOW_MS).unwrap();
    let expected = server.verify().unwrap();
    assert_eq!((expected.pictures_missing, expected.is_clean()), (1, true));
    server.store.set_back().unwrap();
    assert!(!server.verify().unwrap().is_clean(), "it lacks what the present format has");
    drop(server);
    let server = Server::open(folder.path(), NOW_MS).unwrap();
    assert_eq!(server.verify().unwrap(), expected);
    assert!(!server.store.is_of_format_before().unwrap());
}

#[test]
fn a_record_that_names_another_picture_names_the_old_one_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::open(folder.path(), NOW_MS).unwrap();
    let home = Home::Outlet(OutletId(RecordId::from_bytes([2; 16])));
    let named = |picture: &[u8]| {
        let form = Photo {
            subject: Some(PhotoSubject::Shelf),
            content_hash: Some(ContentHash::of(picture)),
            size_bytes: Some(picture.len() as i64),
            media_type: Some(MediaType::Jpeg),
            source: Some(PhotoSource::InApp),
            ..Photo::default()
        };
        Draft { key: Photo::key(RecordId::from_bytes([3; 16])), home, writes: form.writes() }
    };
    let (old, new, too_large) = (picture(1, 1000), picture(2, 1000), vec![0; PHOTO_BYTES_MAX as usize + 1]);
    let author = PersonId(RecordId::NIL);
    let is_named = |picture: &[u8]| {
        let bytes = Some(picture.len() as u64);
        server.store.reader().is_named_by(author, ContentHash::of(picture), bytes).unwrap()
    };
    for (picture, others) in
        [(&old, [&new, &too_large]), (&new, [&old, &too_large]), (&old, [&new, &too_large])]
    {
        server.write(vec![named(picture)], "test", NOW_MS).unwrap();
        assert!(is_named(picture) && !others.iter().any(|other| is_named(other)));
        assert!(server.verify().unwrap().is_clean());
    }
    server.write(vec![named(&too_large)], "test", NOW_MS).unwrap();
    assert!(![&old, &new, &too_large].into_iter().any(|picture| is_named(picture)), "nothing waits for it");
    assert!(server.verify().unwrap().is_clean());
}
