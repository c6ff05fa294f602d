//! Photo uploads: over a slow link with cuts, beside records, with damaged pictures, and with identical pictures.

use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng;
use xundian_client::{
    Client, ContentHash, Due, IssueKind, NewIssue, NewPhoto, PhotoOf, PhotoSource, PhotoState, PhotoSubject,
    Severity, SyncProgress, Visit,
};
use xundian_protocol::kinds::Photo;
use xundian_protocol::limits::{PHOTO_PIECE_BYTES_MAX, PHOTO_PIECES_IN_FLIGHT_MAX};
use xundian_server::{Server, sessions};
use xundian_tests::support::company::{self, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::process::ServerProcess;
use xundian_tests::support::relay::Relay;
use xundian_tests::support::service::{self, HOUR_MS, Service};
use xundian_tests::support::{photo, seed};

const CUTS: usize = 5;
/// The most bytes that one cut may cost.
const RESENT_BYTES_MAX: u64 = (PHOTO_PIECE_BYTES_MAX * PHOTO_PIECES_IN_FLIGHT_MAX) as u64;
const _: () = assert!(RESENT_BYTES_MAX <= 64 * 1024);

/// The rate of a slow rural link in a long run; a rate at which the same test takes seconds in a normal run.
fn bits_per_s() -> u64 {
    if std::env::var_os("XUNDIAN_LONG").is_some() { 256_000 } else { 8_000_000 }
}

fn shelf() -> NewPhoto {
    NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp)
}

/// Enrols a device behind a relay, and syncs once.
async fn device_behind(relay: &Relay, service: &Service) -> Device {
    let invitation = service::invitation(service.server(), relay.address, "W1", HOUR_MS);
    let device = Device::enrol(&invitation, "phone").await;
    device.sync().await;
    device
}

/// Records a closed visit of today with photos of its shelf.
fn visit_with(device: &Device, pictures: &[&[u8]]) -> PhotoOf {
    device.clock.set_to_now();
    let visit = device.client.open_visit(company::outlet("A1"), None).expect("opened");
    let of = PhotoOf::Visit(visit);
    for picture in pictures {
        device.client.attach_photo(of, &shelf(), picture).expect("attached");
    }
    device.client.close_visit(visit).expect("closed");
    of
}

fn states(client: &Client, of: PhotoOf) -> Vec<PhotoState> {
    client.photos_of(of).expect("readable").into_iter().map(|line| line.state).collect()
}

/// Returns every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Returns how many files in the server's folder of pictures have exactly these bytes.
fn stored(data: &Path, picture: &[u8]) -> usize {
    let is_it = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| bytes == picture);
    files(&data.join("photos")).into_iter().filter(is_it).count()
}

fn visits(service: &Service) -> usize {
    service.server().records(Visit::SPEC.kind).expect("readable").len()
}

/// Syncs until `is_far_enough`, then cuts the network and drops the sync. Returns the last progress.
async fn sync_until_cut(
    device: &Device,
    relay: &Relay,
    mut is_far_enough: impl FnMut(SyncProgress) -> bool + Send,
) -> SyncProgress {
    let (far_enough, mut seen) = tokio::sync::watch::channel(false);
    let mut last = SyncProgress::default();
    device.clock.set_to_now();
    let sync = device.client.sync(|progress| {
        assert!(progress.photo_bytes_done <= progress.photo_bytes_total, "{progress:?}");
        assert!(progress.photo_bytes_done >= last.photo_bytes_done, "{progress:?} after {last:?}");
        last = progress;
        if is_far_enough(progress) {
            relay.cut();
            far_enough.send_replace(true);
        }
    });
    // The app learns that the network is gone and cancels the sync. Everything in flight is lost.
    tokio::select! {
        ended = sync => panic!("the sync ended before its cut: {ended:?}"),
        reached = seen.wait_for(|reached| *reached) => drop(reached.expect("the sender is alive")),
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_arrives_over_a_slow_link_with_five_cuts_and_records_overtake_it() {
    let mut rng = seed::rng("photo cuts");
    let service = Service::start().await;
    let relay = Relay::slow(service.address(), bits_per_s()).await;
    let device = device_behind(&relay, &service).await;
    let picture = photo::shelf();
    let bytes = picture.len() as u64;
    let of = visit_with(&device, &[&picture]);
    assert_eq!(visits(&service), 0);
    relay.take_bytes_up();

    let mut cuts: Vec<u64> = (0..CUTS).map(|_| rng.random_range(0..bytes - 2 * RESENT_BYTES_MAX)).collect();
    cuts.sort_unstable();
    let mut sent = 0;
    for (nth, cut) in (1..).zip(cuts) {
        let mut done_before = None;
        let last = sync_until_cut(&device, &relay, |progress| {
            if done_before.is_none() && progress.photo_bytes_sent > 0 {
                // A visit is recorded while the picture is being sent.
                device.visit("A2", today(), 2);
                device.clock.set_to_now();
                done_before = Some(progress.ops_done);
            }
            // Cut when the visit has arrived but not the whole picture.
            let has_arrived = done_before.is_some_and(|before| progress.ops_done >= before + 3);
            has_arrived && progress.photo_bytes_done >= cut
        })
        .await;
        assert_eq!(visits(&service), 1 + nth, "the visit arrived before the rest of the picture");
        assert!(!matches!(states(&device.client, of)[..], [PhotoState::Stored]));
        sent += last.photo_bytes_sent;
    }
    let report = device.sync().await;
    sent += report.photos.bytes_sent;
    assert_eq!((report.photos.stored, report.photos.waiting), (1, 0));
    assert_eq!(states(&device.client, of), [PhotoState::Stored]);
    assert_eq!(stored(service.folder(), &picture), 1);
    let resent = sent - bytes;
    assert!(resent <= CUTS as u64 * RESENT_BYTES_MAX, "{resent} bytes were sent again for {CUTS} cuts");
    let datagrams = relay.take_bytes_up();
    eprintln!("{bytes} bytes, {resent} sent again; {datagrams} bytes of datagrams");
    assert!(datagrams < sent * 5 / 4, "{datagrams} bytes of datagrams for {sent} bytes of pictures");
    let nothing = device.client.send_photos(|_| panic!("nothing is left")).await.expect("nothing to do");
    assert_eq!(nothing.bytes_sent, 0);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_picture_blocks_neither_records_nor_other_pictures_and_can_be_replaced() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let (first, second) = (photo::jpeg(90_000, 1), photo::jpeg(90_000, 2));
    let of = visit_with(&device, &[&first, &second]);
    let file = device.folder().join("photos").join(ContentHash::of(&first).to_string());
    let mut raw = fs::read(&file).expect("a file named by its hash");
    raw[50_000] ^= 0x10;
    fs::write(&file, raw).expect("written");

    let report = device.sync().await;
    assert_eq!((report.merged, report.unsent_ops), (4, 0));
    assert_eq!((report.photos.stored, report.photos.damaged, report.photos.waiting), (1, 1, 0));
    assert_eq!(report.photos.bytes_sent, second.len() as u64, "nothing was sent of the damaged one");
    assert_eq!(states(&device.client, of), [PhotoState::Damaged, PhotoState::Stored]);
    let status = device.client.status().expect("readable");
    assert_eq!((status.unsent_photos, status.stuck_photos), (0, 1));

    device.clock.set_to_now();
    device.client.attach_photo(of, &shelf(), &first).expect("replaced");
    assert_eq!(device.client.send_photos(|_| {}).await.expect("sent").stored, 1);
    assert_eq!(states(&device.client, of), [PhotoState::Stored, PhotoState::Stored]);
    assert_eq!(service.server().records(Photo::SPEC.kind).expect("readable").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_picture_from_two_devices_is_sent_once() {
    let service = Service::start().await;
    let (one, other) = (service.device("W1").await, service.device("W1").await);
    let picture = photo::jpeg(200_000, 3);
    let (first, second) = (visit_with(&one, &[&picture]), visit_with(&other, &[&picture]));
    assert_eq!(one.sync().await.photos.bytes_sent, picture.len() as u64);
    let report = other.sync().await.photos;
    assert_eq!((report.stored, report.bytes_sent), (1, 0));
    assert_eq!(stored(service.folder(), &picture), 1);
    assert_eq!(states(&one.client, first), [PhotoState::Stored]);
    assert_eq!(states(&other.client, second), [PhotoState::Stored]);
    one.sync().await;
    assert_eq!(states(&one.client, second), [PhotoState::Stored], "its own copy is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_chooses_when_to_send_pictures() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let picture = photo::jpeg(100_000, 4);
    let of = visit_with(&device, &[&picture]);
    let pushed = device.client.push(|_| {}).await.expect("pushed");
    assert_eq!(pushed.merged, 3);
    let synced = device.client.sync_records(|_| {}).await.expect("synced");
    assert_eq!((synced.photos.waiting, synced.photos.bytes_sent), (1, 0));
    assert_eq!(states(&device.client, of), [PhotoState::Waiting { sent_bytes: 0 }]);
    let status = device.client.status().expect("readable");
    assert_eq!((status.unsent_ops, status.unsent_photo_bytes), (0, 100_000));
    let sent = device.client.send_photos(|_| {}).await.expect("sent");
    assert_eq!((sent.stored, sent.bytes_sent, sent.waiting), (1, 100_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_resumes_after_a_restart_of_the_app() {
    let service = Service::start().await;
    let relay = Relay::slow(service.address(), 8_000_000).await;
    let device = device_behind(&relay, &service).await;
    let picture = photo::jpeg(1_000_000, 5);
    let of = visit_with(&device, &[&picture]);
    let before = sync_until_cut(&device, &relay, |progress| progress.photo_bytes_done > 600_000).await;
    let device = Device::open(device.close());
    let [PhotoState::Waiting { sent_bytes }] = states(&device.client, of)[..] else { panic!("it waits") };
    assert!(sent_bytes >= 512 * 1024, "{sent_bytes} of {}", before.photo_bytes_done);
    let report = device.sync().await.photos;
    assert!(report.bytes_sent <= 400_000, "{} bytes were sent", report.bytes_sent);
    assert_eq!(states(&device.client, of), [PhotoState::Stored]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_byte_in_the_spool_is_detected_and_sent_again() {
    let service = Service::start().await;
    let relay = Relay::slow(service.address(), 8_000_000).await;
    let device = device_behind(&relay, &service).await;
    let picture = photo::jpeg(600_000, 6);
    let of = visit_with(&device, &[&picture]);
    let before = sync_until_cut(&device, &relay, |progress| progress.photo_bytes_done > 300_000).await;
    let under_way = files(&service.folder().join("spool"));
    let [spooled] = &under_way[..] else { panic!("one picture is in the spool: {under_way:?}") };
    let mut raw = fs::read(spooled).expect("the spooled part");
    let in_the_picture = raw.len() - 100_000;
    raw[in_the_picture] ^= 0x20;
    fs::write(spooled, raw).expect("written");
    let report = device.sync().await.photos;
    assert_eq!((report.stored, stored(service.folder(), &picture)), (1, 1));
    let sent = before.photo_bytes_sent + report.bytes_sent;
    assert!(sent > 600_000 + RESENT_BYTES_MAX, "{sent} bytes: the corrupt piece must be sent again");
    assert_eq!(states(&device.client, of), [PhotoState::Stored]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_declines_pictures_still_takes_records_and_gets_the_pictures_later() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let pictures = [photo::jpeg(50_000, 7), photo::jpeg(50_000, 8)];
    let of = visit_with(&device, &[&pictures[0], &pictures[1]]);
    let (spool, aside) = (service.folder().join("spool"), service.folder().join("aside"));
    fs::rename(&spool, &aside).expect("renamed");
    fs::write(&spool, "no folder").expect("written");
    let report = device.sync().await;
    assert_eq!((report.merged, report.unsent_ops), (4, 0));
    assert_eq!((report.photos.declined, report.photos.stored, report.photos.waiting), (2, 0, 2));
    for state in states(&device.client, of) {
        assert!(matches!(state, PhotoState::Declined { is_tried_again: true, .. }), "{state:?}");
    }
    let at_once = device.client.send_photos(|_| panic!("no retry at once")).await.expect("nothing to do");
    assert_eq!((at_once.declined, at_once.waiting), (0, 2));

    fs::remove_file(&spool).expect("removed");
    fs::rename(&aside, &spool).expect("renamed");
    device.clock.advance_ms(61_000);
    assert_eq!(device.client.send_photos(|_| {}).await.expect("sent").stored, 2);
    assert_eq!(states(&device.client, of), [PhotoState::Stored, PhotoState::Stored]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_resumes_after_the_server_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let relay = Relay::slow(process.quic, 8_000_000).await;
    let invitation = {
        let server = Server::open(folder.path(), sessions::now_ms()).expect("a folder of our own");
        company::found(&server);
        service::invitation(&server, relay.address, "W1", HOUR_MS)
    };
    process.start();
    let device = Device::enrol(&invitation, "phone").await;
    device.sync().await;
    let picture = photo::jpeg(800_000, 9);
    let of = visit_with(&device, &[&picture]);
    let before = sync_until_cut(&device, &relay, |progress| progress.photo_bytes_done > 400_000).await;
    process.kill();
    tokio::task::block_in_place(|| process.start());
    let report = device.sync().await.photos;
    assert_eq!((report.stored, stored(folder.path(), &picture)), (1, 1));
    let resent = before.photo_bytes_sent + report.bytes_sent - picture.len() as u64;
    assert!(resent <= RESENT_BYTES_MAX, "{resent} bytes were sent again");
    assert_eq!(states(&device.client, of), [PhotoState::Stored]);
}

/// Found by the simulation: the manager's picture was queued for the merchandiser's record, and declined forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_attach_the_same_picture_to_one_issue_and_each_has_a_photo() {
    let service = Service::start().await;
    let (merchandiser, manager) = (service.device("W1").await, service.device("W4").await);
    let issue = NewIssue {
        issue_kind: IssueKind::Price,
        severity: Severity::Normal,
        text: "价格不对".into(),
        due: Due::NextDay,
        assignee: None,
    };
    let issue = merchandiser.client.raise_issue(company::outlet("A1"), None, &issue).expect("raised");
    let (of, picture) = (PhotoOf::Issue(issue), photo::jpeg(50_000, 3));
    merchandiser.client.attach_photo(of, &shelf(), &picture).expect("attached");
    merchandiser.sync().await;
    manager.sync().await;
    manager.client.attach_photo(of, &shelf(), &picture).expect("attached");
    manager.client.attach_photo(of, &shelf(), &picture).expect("a second time, which is the same photo");
    manager.sync().await;

    let status = manager.client.status().expect("readable");
    assert_eq!((status.unsent_photos, status.stuck_photos), (0, 0));
    assert_eq!(states(&manager.client, of).len(), 2);
    assert_eq!(stored(service.folder(), &picture), 1, "equal pictures share one file");
    service.verify();
}
