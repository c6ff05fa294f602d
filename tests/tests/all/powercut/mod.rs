//! Power cuts on real files: everything acknowledged is there in full, whenever the power fails.
//!
//! A normal run cuts at a few dozen points, `XUNDIAN_LONG=1` at more than a thousand points of each store.

mod client;
mod server;
mod trouble;

use std::path::Path;
use std::process::Command;

use rand::rngs::StdRng;
use xundian_tests::powercut::disk::{Disk, Image, Luck};
use xundian_tests::powercut::points::{self, Cut, CutError};
use xundian_tests::powercut::trace::{self, Event};

/// The program whose changes are recorded.
fn powercut() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_powercut"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs the program to its end, which must be a success.
fn lived(command: &mut Command) {
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{status}");
}

/// Returns the first number in a normal run, the second in a long one.
fn count(normal: usize, long: usize) -> usize {
    if std::env::var_os("XUNDIAN_LONG").is_some() { long } else { normal }
}

/// Reads a trace and proves that it has no gap: the folder rebuilt from it equals the real one, byte by byte. A missing
/// kind of change would make a difference.
fn read_whole(trace: &Path, folder: &Path) -> Vec<Event> {
    let trace = trace::read(trace).expect("a trace");
    let real = Image::read(folder).expect("readable");
    let rebuilt = rebuilt(&trace).expect("each event fits the events before it");
    assert_eq!(rebuilt.differences(&real), [""; 0], "the recorder missed a change");
    trace
}

fn rebuilt(trace: &[Event]) -> Result<Image, CutError> {
    let mut disk = Disk::default();
    for event in trace {
        disk.apply(event)?;
    }
    Ok(disk.cut(&mut Luck::Kept))
}

/// Chooses random cuts, and adds two at the end of the trace.
fn cuts(trace: &[Event], count: usize, rng: &mut StdRng) -> Vec<Cut> {
    let mut cuts = Cut::choose(trace, 0, count, rng);
    cuts.extend([0, 1].map(|seed| Cut { after: trace.len(), seed }));
    cuts
}

/// A kind of sync that a program might forget.
struct Forgotten {
    what: &'static str,
    is_it: fn(&Event) -> bool,
}

const FORGOTTEN: [Forgotten; 3] = [
    Forgotten { what: "fdatasync", is_it: |event| matches!(event, Event::Synced { is_data: true, .. }) },
    Forgotten { what: "fsync", is_it: |event| matches!(event, Event::Synced { is_data: false, .. }) },
    Forgotten { what: "fsync of folders", is_it: |event| matches!(event, Event::SyncedFolder { .. }) },
];

/// Proves that the check finds losses: without any one kind of sync, one of twenty power cuts fails it.
fn assert_detected(
    trace: &[Event],
    rng: &mut StdRng,
    try_all: impl Fn(&[Event], &[Cut]) -> Result<(), CutError>,
) {
    for Forgotten { what, is_it } in FORGOTTEN {
        let trace = points::without(trace, is_it);
        // Cuts before the first acknowledgement prove nothing.
        let cuts = Cut::choose(&trace, trace.len() / 2, 20, rng);
        match try_all(&trace, &cuts) {
            Err(CutError::Lost { why, folder, .. }) => {
                eprintln!("without {what}: {why}");
                std::fs::remove_dir_all(folder).expect("our own folder");
            }
            outcome => panic!("without {what} no loss was found: {outcome:?}"),
        }
    }
}
