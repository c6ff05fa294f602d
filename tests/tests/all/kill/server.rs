//! Kills the real `xundian-server serve` while twenty devices sync with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::task::JoinSet;
use xundian_client::Visit;
use xundian_protocol::calendar::Day;
use xundian_server::figures::RollUp;
use xundian_server::{Server, sessions};
use xundian_tests::support::company::{self, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::process::ServerProcess;
use xundian_tests::support::seed;
use xundian_tests::support::service::{self, HOUR_MS};

const KILLS: usize = 20;
const DEVICES: usize = 20;
/// The person and the outlet of each device, in turn.
const WHO: [(&str, &str); 4] = [("W1", "A1"), ("W2", "B1"), ("W3", "C1"), ("W4", "A2")];
const LINES: u64 = 4;
/// The number of syncs that a device may need once the server stays up.
const ATTEMPTS_MAX: usize = 20;
/// The time after which a sync with a killed server is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records and syncs until `over`, even if the server is down, then syncs everything. Returns the number of visits.
async fn live(device: Device, outlet: &'static str, day: Day, over: Arc<AtomicBool>) -> usize {
    let mut saved = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..3 {
            device.visit(outlet, day, LINES);
            saved += 1;
        }
        // Dropping a sync is like losing the network.
        let _synced =
            tokio::time::timeout(PATIENCE, device.try_sync()).await.is_ok_and(|synced| synced.is_ok());
    }
    for attempt in 1.. {
        match tokio::time::timeout(10 * PATIENCE, device.try_sync()).await {
            Ok(Ok(report)) if report.unsent_ops == 0 => break,
            outcome => assert!(attempt < ATTEMPTS_MAX, "no sync succeeds: {outcome:?}"),
        }
    }
    let status = device.client.status().expect("readable");
    assert_eq!((status.unsent_ops, status.rejected_ops), (0, 0));
    saved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_saved_visit_is_there_exactly_once_after_twenty_kills_of_the_server() {
    let mut rng = seed::rng("server kills");
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let invitations: Vec<(String, &str)> = {
        let server = Server::open(folder.path(), sessions::now_ms()).expect("a folder of our own");
        company::found(&server);
        let of = |nth: usize| {
            (service::invitation(&server, process.quic, WHO[nth % 4].0, HOUR_MS), WHO[nth % 4].1)
        };
        (0..DEVICES).map(of).collect()
    };
    process.start();
    let over = Arc::new(AtomicBool::new(false));
    let day = Day(today().0 - 1);
    let mut devices = JoinSet::new();
    for (invitation, outlet) in invitations {
        let device = Device::enrol(&invitation, outlet).await;
        device.sync().await;
        devices.spawn(live(device, outlet, day, Arc::clone(&over)));
    }
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await;
        process.kill();
        tokio::task::block_in_place(|| process.start());
    }
    over.store(true, Ordering::Relaxed);
    let saved: usize = devices.join_all().await.into_iter().sum();
    process.kill();

    let server = Server::open(folder.path(), sessions::now_ms()).expect("it was killed, not damaged");
    let contents = Contents::of(&server);
    for kind in ["visit", "shelf_observation", "stock_count"] {
        assert_eq!(contents.count(kind), saved, "{kind}: everything saved must be there exactly once");
    }
    let figures = server.figures(RollUp::Nation, day, day).expect("readable");
    let saved = i64::try_from(saved).expect("not so many");
    let lines = i64::try_from(LINES).expect("not so many");
    assert_eq!((figures.visits.visits, figures.visits.done), (saved, saved));
    assert_eq!((figures.products.audited, figures.products.absent), (saved * lines, saved));
    assert_eq!(figures.products.counted_units, saved * lines * (lines + 1) / 2);
    assert_eq!(
        figures.stock_units,
        4 * lines * (lines + 1) / 2,
        "the last count of each outlet is its stock"
    );
    let report = server.verify().expect("readable");
    assert!(report.is_clean(), "{:#?}", report.findings);
    let visits = server.records(Visit::SPEC.kind).expect("readable");
    eprintln!("{} visits of {DEVICES} devices, {KILLS} kills", visits.len());
}
