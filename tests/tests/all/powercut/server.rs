//! Power cuts of the server: its store, fjall, and its photos.

use std::net::UdpSocket;
use std::time::Instant;

use tempfile::TempDir;
use xundian_tests::powercut::points::{self, Cut, CutError};
use xundian_tests::powercut::server::{Words, check};
use xundian_tests::powercut::trace::Event;
use xundian_tests::support::seed;

use super::{assert_detected, count, cuts, lived, powercut, read_whole};

/// A server's folder and the recorded changes to it.
struct Recorded {
    folder: TempDir,
    trace: Vec<Event>,
    words: Words,
}

impl Recorded {
    /// Records a server through several runs. All but the last one end in a kill.
    fn new(lives: u64, batches: u64) -> Self {
        let folder = xundian_tests::powercut::folder().expect("a folder");
        let (data, trace) = (folder.path().join("data"), folder.path().join("trace"));
        let devices = folder.path().join("devices");
        std::fs::create_dir(&data).and_then(|()| std::fs::create_dir(&devices)).expect("folders");
        let free =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        for life in 0..lives {
            let mut command = powercut();
            command.arg("server").arg("--folder").arg(&data).arg("--trace").arg(&trace);
            command.arg("--devices").arg(&devices).args(["--port", &free.port().to_string()]);
            command.args(["--from", &(life * batches).to_string(), "--batches", &batches.to_string()]);
            if life + 1 < lives {
                command.arg("--dies");
            }
            lived(&mut command);
        }
        let trace = read_whole(&trace, &data);
        let words = Words::of(&trace).expect("the server's words");
        Self { folder, trace, words }
    }

    /// Cuts the power at each point, and checks the result; every fourth check is thorough.
    fn try_all(&self, cuts: &[Cut]) -> Result<(), CutError> {
        points::try_all(&self.trace, cuts, |data, cut| {
            check(data, &self.words.expected_at(cut.after), cut.seed.is_multiple_of(4))
        })
    }

    fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.trace.iter().filter(|event| is_meant(event)).count()
    }
}

/// Returns the points from 50 events before a file was created until `events` events after that.
fn around(trace: &[Event], made: &str, events: usize) -> std::ops::Range<usize> {
    let is_it = |event: &Event| matches!(event, Event::Made { path, .. } if path == made);
    let at = trace.iter().position(is_it).expect("enough work for it");
    at.saturating_sub(50)..(at + events).min(trace.len())
}

fn acknowledged_is_whole(recorded: Recorded, cuts: &[Cut], start: Instant) {
    let took = start.elapsed();
    let is_table = |path: &str| path.contains("/tables/");
    let made = recorded.count(|event| matches!(event, Event::Made { path, .. } if is_table(path)));
    let removed = recorded.count(|event| matches!(event, Event::Removed { path } if is_table(path)));
    let start = Instant::now();
    let outcome = recorded.try_all(cuts);
    eprintln!(
        "{} receipts, {made} tables, {removed} of them removed, {} events, recorded in {took:.1?}; {} power cuts in {:.1?}",
        recorded.words.receipts(),
        recorded.trace.len(),
        cuts.len(),
        start.elapsed()
    );
    if let Err(lost) = outcome {
        panic!("{lost}\nthe trace: {}", recorded.folder.keep().display());
    }
    assert!(made > 20 && removed > 10, "too little work for tables to be flushed and compacted");
}

#[test]
fn acknowledged_batches_survive_a_power_cut() {
    let mut rng = seed::rng("power cuts of a server");
    let start = Instant::now();
    let recorded = Recorded::new(3, 60);
    let cuts = cuts(&recorded.trace, count(16, 1000), &mut rng);
    acknowledged_is_whole(recorded, &cuts, start);
}

#[test]
fn acknowledged_batches_survive_a_power_cut_at_a_journal_rotation() {
    let mut rng = seed::rng("power cuts of a server with a full journal");
    let start = Instant::now();
    let recorded = Recorded::new(2, 260);
    let range = around(&recorded.trace, "store/1.jnl", 500);
    let cuts = Cut::choose(&recorded.trace[..range.end], range.start, count(3, 100), &mut rng);
    acknowledged_is_whole(recorded, &cuts, start);
}

#[test]
fn missing_fsyncs_of_a_server_are_detected() {
    let mut rng = seed::rng("a server that does not sync");
    let recorded = Recorded::new(1, 40);
    assert_detected(&recorded.trace, &mut rng, |trace, cuts| {
        let words = Words::of(trace).expect("the server's words");
        points::try_all(trace, cuts, |data, cut| check(data, &words.expected_at(cut.after), false))
    });
}
