//! Power cuts of the device: its store, sled behind a journal, and its photos.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use tempfile::TempDir;
use xundian_protocol::kinds::Channel;
use xundian_server::Server;
use xundian_tests::powercut::client::{self, Words, check};
use xundian_tests::powercut::points::{self, Cut, CutError};
use xundian_tests::powercut::trace::{self, Event};
use xundian_tests::support::{company, seed, service::Service};

use super::{assert_detected, count, cuts, lived, powercut, read_whole};

/// Enough runs for several folds of the journal.
const LIVES: usize = 4;
const ROUNDS: usize = 95;
const FOLDS_MIN: usize = 3;

/// A device's folder and the recorded changes to it.
struct Recorded {
    folder: TempDir,
    trace: Vec<Event>,
    words: Words,
    is_sealed: bool,
}

impl Recorded {
    /// Records a device through several runs, while headquarters changes the outlets that it pulls. Every second run
    /// ends in a kill.
    async fn new(is_sealed: bool, lives: usize, rounds: usize) -> Self {
        let service = Service::start().await;
        let folder = xundian_tests::powercut::folder().expect("a folder");
        let (home, trace) = (folder.path().join("home"), folder.path().join("trace"));
        std::fs::create_dir(&home).expect("a folder");
        let changing = tokio::spawn(change_outlets(Arc::clone(service.server())));
        for life in 0..lives {
            let mut command = living(&home, &trace, is_sealed, rounds);
            if life == 0 {
                command.args(["--invitation", &service.invitation("W1")]);
            }
            if life % 2 == 1 {
                command.arg("--dies");
            }
            tokio::task::block_in_place(|| lived(&mut command));
        }
        changing.abort();
        let trace = read_whole(&trace, &home);
        let words = Words::of(&trace).expect("the device's words");
        Self { folder, trace, words, is_sealed }
    }

    /// Cuts the power at each point, and checks the result.
    fn try_all(&self, trace: &[Event], cuts: &[Cut]) -> Result<(), CutError> {
        points::try_all(trace, cuts, |home, cut| {
            check(home, self.is_sealed, &self.words.expected_at(cut.after))
        })
    }
}

fn living(home: &Path, trace: &Path, is_sealed: bool, rounds: usize) -> std::process::Command {
    let mut command = powercut();
    command.arg("client").arg("--folder").arg(home).arg("--trace").arg(trace);
    command.args(["--rounds", &rounds.to_string()]);
    if is_sealed {
        command.arg("--sealed");
    }
    command
}

/// Changes the channels of three outlets as headquarters, until aborted.
async fn change_outlets(server: Arc<Server>) {
    loop {
        for channel in [Channel::Chain, Channel::Hypermarket] {
            let drafts = ["A1", "A2", "A3"].map(|code| company::outlet_draft(code, channel));
            company::write(&server, drafts.to_vec());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn acknowledged_is_whole(is_sealed: bool) {
    let mut rng = seed::rng("power cuts of a device");
    let start = Instant::now();
    let recorded = Recorded::new(is_sealed, LIVES, ROUNDS).await;
    let (took, folds) = (start.elapsed(), client::folds(&recorded.trace));
    assert!(folds >= FOLDS_MIN, "the journal was folded {folds} times");
    let cuts = cuts(&recorded.trace, count(16, 600), &mut rng);
    let start = Instant::now();
    let outcome = tokio::task::block_in_place(|| recorded.try_all(&recorded.trace, &cuts));
    eprintln!(
        "{} saves, {folds} folds, {} events, recorded in {took:.1?}; {} power cuts in {:.1?}",
        recorded.words.saves(),
        recorded.trace.len(),
        cuts.len(),
        start.elapsed()
    );
    if let Err(lost) = outcome {
        panic!("{lost}\nthe trace: {}", recorded.folder.keep().display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_saves_survive_a_power_cut() {
    acknowledged_is_whole(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_saves_of_an_encrypted_store_survive_a_power_cut() {
    acknowledged_is_whole(true).await;
}

/// Cuts the power once, then opens the result while recording that, and cuts the power again at points of the opening.
fn cut_while_it_opens(recorded: &Recorded, cuts_each: usize, rng: &mut StdRng) -> Result<(), String> {
    let first = Cut::choose(&recorded.trace, recorded.trace.len() / 2, 1, rng);
    points::try_all(&recorded.trace, &first, |home, cut| {
        let expected = recorded.words.expected_at(cut.after).reopened();
        let beside = xundian_tests::powercut::folder().map_err(|error| error.to_string())?;
        let trace = beside.path().join("trace");
        lived(living(home, &trace, recorded.is_sealed, 1).args(["--offline", "--dies"]));
        let opening = trace::read(&trace).map_err(|error| error.to_string())?;
        let words = Words::of(&opening).map_err(|error| error.to_string())?;
        let standing =
            opening.iter().position(|event| *event == Event::SyncedAll).expect("the start of the recording")
                + 1;
        let cuts = Cut::choose(&opening, standing, cuts_each, rng);
        points::try_all(&opening, &cuts, |home, cut| {
            check(home, recorded.is_sealed, &words.expected_from(expected.clone(), cut.after))
        })
        .map_err(|error| format!("after a second cut: {error}"))
    })
    .map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_second_power_cut_while_the_device_opens() {
    let mut rng = seed::rng("power cuts of a device that opens");
    for is_sealed in [false, true] {
        let recorded = Recorded::new(is_sealed, 2, 40).await;
        tokio::task::block_in_place(|| {
            for _ in 0..count(2, 20) {
                if let Err(lost) = cut_while_it_opens(&recorded, count(6, 20), &mut rng) {
                    panic!("{lost}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_fsyncs_of_a_device_are_detected() {
    let mut rng = seed::rng("a device that does not sync");
    let recorded = Recorded::new(false, 2, 8).await;
    tokio::task::block_in_place(|| {
        assert_detected(&recorded.trace, &mut rng, |trace, cuts| {
            let words = Words::of(trace).expect("the device's words");
            points::try_all(trace, cuts, |home, cut| check(home, false, &words.expected_at(cut.after)))
        });
    });
}
