//! The server's store, fjall, and its photos.

use std::net::UdpSocket;
use std::time::Instant;

use tempfile::TempDir;
use xundian_tests::powercut::points::{self, Cut, CutError};
use xundian_tests::powercut::server::{Words, check};
use xundian_tests::powercut::trace::Event;
use xundian_tests::support::seed;

use super::{count, cuts, lived, powercut, read_whole};

const LIVES: u64 = 3;
/// Batches of each device in one life: enough that tables are written out, joined, and the journal begins anew.
const BATCHES: u64 = 60;

/// A server's folder and what was done to it.
struct Recorded {
    folder: TempDir,
    trace: Vec<Event>,
    words: Words,
}

impl Recorded {
    /// A server that works through several lives. All but the last one end by a kill.
    fn new(lives: u64, batches: u64) -> Self {
        let folder = xundian_tests::powercut::folder().expect("a folder");
        let (data, trace) = (folder.path().join("data"), folder.path().join("trace"));
        let devices = folder.path().join("devices");
        std::fs::create_dir(&data).and_then(|()| std::fs::create_dir(&devices)).expect("folders");
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
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

    /// Cuts the power, and looks at what is left each time, at every fourth twice.
    fn try_all(&self, cuts: &[Cut]) -> Result<(), CutError> {
        points::try_all(&self.trace, cuts, |data, cut| {
            check(data, &self.words.expected_at(cut.after), cut.seed.is_multiple_of(4))
        })
    }

    fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.trace.iter().filter(|event| is_meant(event)).count()
    }
}

#[test]
fn what_a_server_acknowledged_is_whole_after_a_power_cut() {
    let mut rng = seed::rng("power cuts of a server");
    let start = Instant::now();
    let recorded = Recorded::new(LIVES, BATCHES);
    let took = start.elapsed();
    let is_table = |path: &str| path.contains("/tables/");
    let journals = recorded.count(|event| matches!(event, Event::Made { path, .. } if path.ends_with(".jnl")));
    let made = recorded.count(|event| matches!(event, Event::Made { path, .. } if is_table(path)));
    let removed = recorded.count(|event| matches!(event, Event::Removed { path } if is_table(path)));
    let cuts = cuts(&recorded.trace, count(16, 1000), &mut rng);
    let start = Instant::now();
    let outcome = recorded.try_all(&cuts);
    eprintln!(
        "{} receipts, {journals} journals, {made} tables, {removed} of them removed, {} events, recorded in {took:.1?}; {} power cuts in {:.1?}",
        recorded.words.receipts(),
        recorded.trace.len(),
        cuts.len(),
        start.elapsed()
    );
    if let Err(lost) = outcome {
        panic!("{lost}\nthe trace: {}", recorded.folder.keep().display());
    }
    assert!(journals > 2 && made > 2 && removed > 0, "too little work");
}
