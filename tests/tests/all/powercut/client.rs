//! The device's store, sled behind a journal, and its photos.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xundian_protocol::kinds::Channel;
use xundian_server::Server;
use xundian_tests::powercut::client::{self, Words};
use xundian_tests::powercut::points;
use xundian_tests::powercut::trace::Event;
use xundian_tests::support::{company, seed, service::Service};

use super::{count, cuts, lived, powercut, read_whole};

const LIVES: usize = 4;
const ROUNDS: usize = 95;
/// The work must be enough for so many.
const FOLDS_MIN: usize = 3;

/// A device's folder and what was done to it.
struct Recorded {
    folder: TempDir,
    trace: Vec<Event>,
    words: Words,
    is_sealed: bool,
}

impl Recorded {
    /// A device that works through several lives while headquarters changes what it pulls. Every second life ends by
    /// a kill.
    async fn new(is_sealed: bool) -> Self {
        let service = Service::start().await;
        let folder = xundian_tests::powercut::folder().expect("a folder");
        let (home, trace) = (folder.path().join("home"), folder.path().join("trace"));
        std::fs::create_dir(&home).expect("a folder");
        let changing = tokio::spawn(change_outlets(Arc::clone(service.server())));
        for life in 0..LIVES {
            let mut command = powercut();
            command.arg("client").arg("--folder").arg(&home).arg("--trace").arg(&trace);
            command.args(["--rounds", &ROUNDS.to_string()]);
            if life == 0 {
                command.args(["--invitation", &service.invitation("W1")]);
            }
            if is_sealed {
                command.arg("--sealed");
            }
            if life % 2 == 1 {
                command.arg("--dies");
            }
            tokio::task::block_in_place(|| lived(&mut command));
        }
        changing.abort();
        let trace = read_whole(&trace, &home);
        let words = Words::of(&trace).expect("the device's words");
        assert!(client::folds(&trace) >= FOLDS_MIN, "the journal was folded {} times", client::folds(&trace));
        Self { folder, trace, words, is_sealed }
    }

    fn check(&self, home: &Path, after: usize) -> Result<(), String> {
        self.words.check(home, self.is_sealed, after)
    }
}

/// Headquarters changes the names of outlets without end.
async fn change_outlets(server: Arc<Server>) {
    loop {
        let mut drafts = Vec::new();
        for code in ["A1", "A2", "A3"] {
            for channel in [Channel::Chain, Channel::Hypermarket] {
                drafts.push(company::outlet_draft(code, channel));
            }
        }
        company::write(&server, drafts.split_off(3));
        company::write(&server, drafts);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn acknowledged_is_whole(is_sealed: bool) {
    let mut rng = seed::rng("power cuts of a device");
    let start = Instant::now();
    let recorded = Recorded::new(is_sealed).await;
    let took = start.elapsed();
    let cuts = cuts(&recorded.trace, count(16, 600), &mut rng);
    let start = Instant::now();
    let outcome = tokio::task::block_in_place(|| {
        points::try_all(&recorded.trace, &cuts, |home, cut| recorded.check(home, cut.after))
    });
    eprintln!(
        "{} saves, {} folds, {} events, recorded in {took:.1?}; {} power cuts in {:.1?}",
        recorded.words.saves(),
        client::folds(&recorded.trace),
        recorded.trace.len(),
        cuts.len(),
        start.elapsed()
    );
    if let Err(lost) = outcome {
        panic!("{lost}\nthe trace: {}", recorded.folder.keep().display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_acknowledged_is_whole_after_a_power_cut() {
    acknowledged_is_whole(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sealed_device_acknowledged_is_whole_after_a_power_cut() {
    acknowledged_is_whole(true).await;
}
