//! Acceptance: a device that sends invalid data gets an error and is disconnected. Meanwhile the server serves the
//! other devices, and its memory stays bounded.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use tempfile::TempDir;
use tokio::task::JoinSet;
use xundian_client::Client;
use xundian_protocol::calendar::Day;
use xundian_protocol::limits::{FRAME_BYTES_MAX, FRAME_PLAIN_BYTES_MAX};
use xundian_protocol::record::Home;
use xundian_protocol::wire::v1::{ClientFrame, Enrol, Push, VERSION, encode_client};
use xundian_server::Server;
use xundian_server::sessions::{self, STRANGERS_MAX};
use xundian_tests::support::company::{self, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::process::ServerProcess;
use xundian_tests::support::service::{self, HOUR_MS, Service};
use xundian_tests::support::{DEADLINE, seed};

use crate::raw::{Credentials, RawDevice, Received, Wire, hello, pull};

const ROUNDS: usize = 120;
/// The number of rounds until all server threads have met the largest frames. After that memory must not grow.
const WARM_UP_ROUNDS: usize = 10;
const MEMORY_KIB_MAX: u64 = 50 * 1024;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// Invalid data from a hostile device.
#[derive(Debug)]
enum Nonsense {
    /// These raw bytes, then the end of the stream.
    Bytes(Vec<u8>),
    /// One payload in a complete frame.
    Payload(Vec<u8>),
    /// Valid frames at the wrong time.
    Frames(Vec<ClientFrame>),
}

/// Returns a zstd frame (RFC 8878) of `len` zeros that declares its size. It takes 4 bytes per 128 KiB.
fn zeros(len: usize) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    frame.extend(reversed(u32::try_from(len).expect("a content of 4 bytes' length")));
    let mut left = len;
    while left > 0 {
        let size = left.min(BLOCK);
        left -= size;
        // A block of one repeated byte: the last-block bit, the block type, the size.
        let header = u32::from(left == 0) | 1 << 1 | u32::try_from(size).expect("a block's size") << 3;
        frame.extend(&reversed(header)[..3]);
        frame.push(0);
    }
    frame
}

/// zstd is little-endian, which the lints forbid for our own formats.
fn reversed(number: u32) -> [u8; 4] {
    let mut bytes = number.to_be_bytes();
    bytes.reverse();
    bytes
}

/// Returns a compressed payload of `content` zeros that claims another length.
fn bomb(claimed: usize, content: usize) -> Vec<u8> {
    let mut payload = vec![VERSION, ZSTD];
    payload.extend(u32::try_from(claimed).unwrap_or(u32::MAX).to_be_bytes());
    payload.extend(zeros(content));
    payload
}

/// One example of each kind, with words of the error that the server must send.
fn all_kinds(rng: &mut StdRng) -> Vec<(Nonsense, &'static str)> {
    let mut garbage = vec![0; rng.random_range(5..4096)];
    rng.fill_bytes(&mut garbage);
    let mut garbled = garbage.clone();
    garbled.splice(0..2, [VERSION, PLAIN]);
    let mut half = 1000u32.to_be_bytes().to_vec();
    half.extend(&garbage[..5]);
    let device = xundian_protocol::ids::DeviceNo(1);
    let cut = encode_client(&ClientFrame::Hello(hello(device)));
    let frames = Nonsense::Frames;
    let empty_push = || ClientFrame::Push(Push { ops: Vec::new() });
    let enrol =
        || ClientFrame::Enrol(Enrol { secret: [0; 16], request_der: garbage.clone(), label: String::new() });
    vec![
        (Nonsense::Bytes(vec![0xFF; 64]), "over the limit"),
        (Nonsense::Bytes((FRAME_BYTES_MAX as u32 + 1).to_be_bytes().to_vec()), "over the limit"),
        (Nonsense::Bytes(vec![0; 4]), "empty"),
        (Nonsense::Bytes(half), "ended inside a frame"),
        (Nonsense::Bytes(vec![0, 0]), "ended inside a frame"),
        (Nonsense::Payload([&[99], &garbage[..]].concat()), "version 99"),
        (Nonsense::Payload(garbled), "malformed"),
        (Nonsense::Payload(vec![VERSION, 77, 1, 2, 3]), "compression"),
        (Nonsense::Payload(cut[..cut.len() - 1].to_vec()), "malformed"),
        (Nonsense::Payload([&cut[..], &[0; 9]].concat()), "bytes too many"),
        (Nonsense::Payload(bomb(usize::MAX, 1024)), "too large"),
        (Nonsense::Payload(bomb(FRAME_PLAIN_BYTES_MAX, FRAME_PLAIN_BYTES_MAX)), "malformed"),
        (Nonsense::Payload(bomb(1024, 64 * 1024 * 1024)), "malformed"),
        (Nonsense::Payload(bomb(FRAME_PLAIN_BYTES_MAX, 100 * 1024 * 1024)), "malformed"),
        (frames(vec![empty_push()]), "hello"),
        (frames(vec![ClientFrame::Pull(pull(&[], &[]))]), "hello"),
        (frames(vec![ClientFrame::Hello(hello(device)), empty_push()]), "without ops"),
        (frames(vec![ClientFrame::Hello(hello(device)), enrol()]), "enrolment"),
        (frames(vec![enrol()]), "enrolment"),
    ]
}

async fn say(wire: &mut Wire, nonsense: &Nonsense) {
    match nonsense {
        Nonsense::Bytes(bytes) => {
            wire.send_bytes(bytes).await;
            wire.finish();
        }
        Nonsense::Payload(payload) => wire.send_payload(payload).await,
        Nonsense::Frames(frames) => {
            for frame in frames {
                wire.send(frame).await;
            }
        }
    }
}

/// Sends `nonsense`. Fails unless the server answers with an error that contains `says`, and ends the connection.
async fn assert_refused(papers: Arc<Credentials>, server: SocketAddr, nonsense: Nonsense, says: &str) {
    let mut wire = Wire::open(&papers, server).await.expect("the server accepts connections");
    say(&mut wire, &nonsense).await;
    loop {
        let heard = wire.hear().await;
        if let Some(complaint) = heard.complaint() {
            assert!(complaint.contains(says), "{complaint:?} does not say {says:?} to {nonsense:.200?}");
            break;
        }
    }
    wire.reason().await;
}

/// A server process with the small company, a hostile device of W1, and a sound device of W2.
async fn serve() -> (TempDir, ServerProcess, Device, Device) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let [hostile, sound] = {
        let server = Server::open(folder.path(), sessions::now_ms()).expect("a folder of our own");
        company::found(&server);
        ["W1", "W2"].map(|person| service::invitation(&server, process.quic, person, HOUR_MS))
    };
    tokio::task::block_in_place(|| process.start());
    let (hostile, sound) = (Device::enrol(&hostile, "hostile").await, Device::enrol(&sound, "sound").await);
    sound.sync().await;
    (folder, process, hostile, sound)
}

fn held(folder: &Path) -> Contents {
    let server = Server::open(folder, sessions::now_ms()).expect("it was stopped");
    let report = server.verify().expect("readable");
    assert!(report.is_clean(), "{:#?}", report.findings);
    Contents::of(&server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_hostile_frames_neither_grow_the_server_nor_block_other_devices() {
    let mut rng = seed::rng("hostile frames");
    let (folder, mut process, hostile, sound) = serve().await;
    let (papers, nobody) = (Credentials::of(hostile.folder()), Credentials::of_nobody(hostile.folder()));
    let (papers, nobody, server) = (Arc::new(papers), Arc::new(nobody), process.quic);
    let day = Day(today().0 - 1);
    let (mut frames, mut visits) = (0, 0);
    let mut warm_kib = None;
    for round in 0..ROUNDS {
        // All at once, because their total memory matters.
        let mut refused = JoinSet::new();
        for (nonsense, says) in all_kinds(&mut rng) {
            refused.spawn(assert_refused(Arc::clone(&papers), server, nonsense, says));
        }
        // Without a certificate, any error is right.
        let mut kinds = all_kinds(&mut rng);
        let (nonsense, _) = kinds.swap_remove(rng.random_range(0..kinds.len()));
        refused.spawn(assert_refused(Arc::clone(&nobody), server, nonsense, ""));
        frames += refused.len();
        refused.join_all().await;
        if visits < ROUNDS / 10 {
            sound.visit("B1", day, 3);
            assert_eq!(sound.sync().await.merged, 3, "other devices are served meanwhile");
            visits += 1;
        }
        if round == WARM_UP_ROUNDS {
            warm_kib = process.process().resident_kib();
        }
    }
    let last_kib = process.process().resident_kib();
    eprintln!(
        "{frames} hostile frames; resident KiB: {warm_kib:?} after the first, {last_kib:?} after the last"
    );
    if let Some((warm, last)) = warm_kib.zip(last_kib) {
        assert!(last < warm + MEMORY_KIB_MAX, "the server grew from {warm} to {last} KiB");
    }
    assert_eq!(sound.sync().await.unsent_ops, 0);
    process.kill();
    assert_eq!(held(folder.path()).count("visit"), visits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_frames_do_not_block_other_devices() {
    let (folder, mut process, hostile, sound) = serve().await;
    let (papers, nobody) = (Credentials::of(hostile.folder()), Credentials::of_nobody(hostile.folder()));
    let mut lorises = Vec::new();
    let before_kib = process.process().resident_kib();
    for nth in 0..100 {
        let papers = if nth % 2 == 0 { &papers } else { &nobody };
        let mut wire = Wire::open(papers, process.quic).await.expect("the server accepts connections");
        // Announce a frame of a megabyte, and send a few bytes of it.
        wire.send_bytes(&1_000_000u32.to_be_bytes()).await;
        wire.send_bytes(&[VERSION, PLAIN, 1]).await;
        lorises.push(wire);
    }
    let day = Day(today().0 - 1);
    for _ in 0..5 {
        sound.visit("B1", day, 3);
        assert_eq!(sound.sync().await.merged, 3);
        for loris in &mut lorises {
            loris.send_bytes(&[0]).await;
        }
    }
    // The announced megabytes were not allocated.
    if let Some((before, after)) = before_kib.zip(process.process().resident_kib()) {
        assert!(after < before + MEMORY_KIB_MAX, "the server grew from {before} to {after} KiB");
    }
    process.kill();
    assert_eq!(held(folder.path()).count("visit"), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_strangers_are_asked_to_retry_and_do_not_block_devices() {
    let service = Service::start().await;
    let device = service.device("W2").await;
    let nobody = Credentials::of_nobody(device.folder());
    let mut crowd = Vec::new();
    let refused = loop {
        match Wire::open(&nobody, service.address()).await {
            // A stranger who sends nothing also takes a place.
            Ok(wire) if crowd.len() < STRANGERS_MAX => crowd.push(wire),
            Ok(wire) => break wire.reason().await,
            Err(words) => break words,
        }
    };
    assert!(refused.contains("try again in a minute"), "{refused}");
    device.visit("B1", Day(today().0 - 1), 3);
    assert_eq!(device.sync().await.merged, 3);
    let (folder, invitation) = (tempfile::tempdir().expect("a folder"), service.invitation("W1"));
    let enrolled = || Client::enrol(folder.path(), &invitation, "phone");
    assert!(enrolled().await.is_err_and(|error| error.is_retryable()));

    drop(crowd);
    let again = async { while enrolled().await.is_err() {} };
    tokio::time::timeout(DEADLINE, again).await.expect("places become free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_pull_everything_and_read_nothing_do_not_block_others() {
    let service = Service::start().await;
    let (greedy, sound) = (service.device("W1").await, service.device("W2").await);
    let scope = service.server().directory().scope(company::person("W1"), today());
    let mut unread = Vec::new();
    for _ in 0..12 {
        // With this window the server can send a few bytes, and must then wait for the reader.
        let wire = Wire::open_with_window(&Credentials::of(greedy.folder()), service.address(), 200).await;
        let mut raw = RawDevice::greet(&greedy, wire.expect("a good certificate")).await;
        raw.wire.send(&ClientFrame::Pull(pull(&scope, &[]))).await;
        unread.push(raw);
    }
    sound.visit("B1", Day(today().0 - 1), 3);
    let synced = tokio::time::timeout(DEADLINE, sound.try_sync()).await;
    let report = synced.expect("twelve slow readers must not keep the others waiting").expect("synced");
    assert_eq!(report.merged, 3);
    // The slow readers may still continue.
    let mut last = unread.pop().expect("one of them");
    let records = read_on(&mut last).await;
    assert!(records.contains(&Home::Company));
}

/// Reads all remaining frames of a pull, and returns the homes of their records.
async fn read_on(raw: &mut RawDevice) -> Vec<Home> {
    let mut homes = Vec::new();
    loop {
        match raw.wire.hear().await {
            Received::Frame(frame) => match *frame {
                xundian_protocol::wire::v1::ServerFrame::Changes(changes) => {
                    homes.extend(changes.records.iter().map(|record| record.home));
                }
                _ => return homes,
            },
            Received::End(words) => panic!("the connection ended: {words}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_numbers_in_valid_frames_do_no_harm() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let before = Contents::of(service.server());
    let scope = service.server().directory().scope(company::person("W1"), today());
    let no = device.client.identity().expect("enrolled").device;
    for (now_ms, cursor, captured) in [(i64::MIN, u64::MAX, i64::MAX), (i64::MAX, 0, i64::MIN)] {
        let mut wire = Wire::open(&Credentials::of(device.folder()), service.address())
            .await
            .expect("a good certificate");
        let mut greeting = hello(no);
        greeting.now_ms = now_ms;
        wire.send(&ClientFrame::Hello(greeting)).await;
        assert!(wire.hear().await.complaint().is_none(), "a wrong clock is no reason to refuse");
        let mut asked = pull(&scope, &[]);
        asked.cursor.0 = cursor;
        asked.captured_through_ms = captured;
        asked.sent_through.0 = u64::MAX;
        wire.send(&ClientFrame::Pull(asked)).await;
        assert!(wire.hear().await.complaint().is_none());
    }
    let entry = service.server().device(no).expect("readable").expect("there");
    assert!(entry.captured_through_ms <= Some(sessions::now_ms()), "no claim reaches into the future");
    assert_eq!(before.differences(&Contents::of(service.server())), Vec::<String>::new());
    tokio::time::timeout(Duration::from_secs(60), device.sync()).await.expect("the device can still sync");
}
