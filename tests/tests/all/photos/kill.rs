//! Kills the real `xundian-server serve` again and again while devices upload pictures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tokio::task::JoinSet;
use xundian_protocol::ids::ContentHash;
use xundian_protocol::sync::upload::Outcome;
use xundian_server::photos::{Photos, SpoolLimits, StorageLocation};
use xundian_server::{Server, sessions};
use xundian_tests::support::device::Device;
use xundian_tests::support::process::ServerProcess;
use xundian_tests::support::seed;
use xundian_tests::support::service::{self, HOUR_MS};
use xundian_tests::support::{company, eventually};

use super::{name, picture, send};
use crate::raw::{Credentials, Wire};

const KILLS: usize = 12;
const WHO: [(&str, &str); 3] = [("W1", "A1"), ("W2", "B1"), ("W3", "C1")];
/// The number of pictures per device, sent one after the other. The first one is the same for all devices.
const PICTURES: usize = 6;
const BYTES: usize = 1_500_000;
/// The time after which an upload to a killed server is given up.
const PATIENCE: Duration = Duration::from_secs(3);

fn pictures(device: usize) -> Vec<Vec<u8>> {
    (0..PICTURES)
        .map(|nth| picture(if nth == 0 { 0 } else { (device * PICTURES + nth) as u8 }, BYTES))
        .collect()
}

/// Counters of a run.
#[derive(Default)]
struct Storm {
    /// The number of pieces sent.
    pieces: AtomicUsize,
    /// The number of pictures that the server has reported as stored.
    held: AtomicUsize,
    /// The number of uploads that were interrupted after they had begun.
    cut: AtomicUsize,
}

/// Sends each picture until the server has stored it, even if the server is killed in between.
async fn send_until_held(device: Device, server: SocketAddr, nth: usize, storm: Arc<Storm>) {
    for picture in pictures(nth) {
        loop {
            let mut has_begun = false;
            let sending = async {
                let mut wire = Wire::open(&Credentials::of(device.folder()), server).await.ok()?;
                let read = |from: usize, bytes: usize| {
                    has_begun = true;
                    storm.pieces.fetch_add(1, Ordering::Relaxed);
                    picture[from..from + bytes].to_vec()
                };
                send(&mut wire, &picture, usize::MAX, read).await.outcome
            };
            if let Ok(Some(Outcome::Stored)) = tokio::time::timeout(PATIENCE, sending).await {
                break;
            }
            storm.cut.fetch_add(usize::from(has_begun), Ordering::Relaxed);
        }
        storm.held.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_picture_reported_as_stored_is_complete_after_kills_of_the_server() {
    let mut rng = seed::rng("killed during uploads");
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let invitations: Vec<String> = {
        let server = Server::open(folder.path(), sessions::now_ms()).expect("a folder of our own");
        company::found(&server);
        WHO.iter().map(|(person, _)| service::invitation(&server, process.quic, person, HOUR_MS)).collect()
    };
    process.start();
    let storm = Arc::new(Storm::default());
    let mut devices = JoinSet::new();
    for (nth, (invitation, (person, code))) in invitations.iter().zip(WHO).enumerate() {
        let device = Device::enrol(invitation, person).await;
        let pictures = pictures(nth);
        let named: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
        name(&device, process.quic, code, &named).await;
        devices.spawn(send_until_held(device, process.quic, nth, Arc::clone(&storm)));
    }
    let all = PICTURES * WHO.len();
    let mut kills = 0;
    while kills < KILLS && storm.held.load(Ordering::Relaxed) < all {
        // Wait until a device has reconnected, so that no kill is wasted.
        let before = storm.pieces.load(Ordering::Relaxed);
        let has_moved = || {
            let is_over = storm.held.load(Ordering::Relaxed) == all;
            (is_over || storm.pieces.load(Ordering::Relaxed) > before).then_some(())
        };
        eventually("a piece of a picture", has_moved).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
        process.kill();
        kills += 1;
        tokio::task::block_in_place(|| process.start());
    }
    devices.join_all().await;
    process.kill();
    assert_eq!(storm.held.load(Ordering::Relaxed), all);
    let cut = storm.cut.load(Ordering::Relaxed);
    assert!(cut > 0, "no kill interrupted an upload");

    let server =
        Arc::new(Server::open(folder.path(), sessions::now_ms()).expect("it was killed, not damaged"));
    let place = StorageLocation::read(None, folder.path()).expect("the default");
    let photos = Photos::open(Arc::clone(&server), &place, SpoolLimits::default()).expect("it was killed");
    let photos = Arc::new(photos);
    let mut report = server.verify().expect("readable");
    photos.check(true, &mut report).await.expect("readable");
    assert!(report.is_clean(), "{:#?}", report.findings);
    let distinct = WHO.len() * (PICTURES - 1) + 1;
    assert_eq!((report.pictures_stored, report.pictures_missing), (distinct, 0));
    for picture in (0..WHO.len()).flat_map(pictures) {
        assert!(photos.read(ContentHash::of(&picture)).await.expect("stored") == picture);
    }
    eprintln!("{distinct} pictures of {BYTES} bytes, {kills} kills, {cut} uploads cut off");
}
