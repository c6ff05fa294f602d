//! Power cuts on real files: whatever was acknowledged is there, whole, at any moment that the power may fail.
//!
//! The normal run cuts at some dozens of points, `XUNDIAN_LONG=1` at more than a thousand of each store.

mod client;
mod server;
mod trouble;

use std::path::Path;
use std::process::Command;

use rand::rngs::StdRng;
use xundian_tests::powercut::disk::{Disk, Image, Luck};
use xundian_tests::powercut::points::{self, Cut, CutError};
use xundian_tests::powercut::trace::{self, Event};

/// The program whose doings are recorded.
fn powercut() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_powercut"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs a life to its end.
fn lived(command: &mut Command) {
    let status = command.status().expect("the program starts");
    assert!(status.success(), "{status}");
}

/// So many in a normal run, or in a long one.
fn count(normal: usize, long: usize) -> usize {
    if std::env::var_os("XUNDIAN_LONG").is_some() { long } else { normal }
}

/// Reads a trace, and proves that it has no gap: rebuilt from it the folder is what it really is, byte by byte. Without
/// any one kind of change it would not be.
fn read_whole(trace: &Path, folder: &Path) -> Vec<Event> {
    let trace = trace::read(trace).expect("a trace");
    let real = Image::read(folder).expect("readable");
    let rebuilt = rebuilt(&trace).expect("each event fits those before it");
    assert_eq!(rebuilt.differences(&real), [""; 0], "the recorder has missed something");
    trace
}

fn rebuilt(trace: &[Event]) -> Result<Image, CutError> {
    let mut disk = Disk::default();
    for event in trace {
        disk.apply(event)?;
    }
    Ok(disk.cut(&mut Luck::Kept))
}

/// Cuts at random points, with the ends of the trace among them.
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

/// Proves that the check bites: without any one kind of sync, twenty power cuts find a loss.
fn assert_found_out(
    trace: &[Event],
    rng: &mut StdRng,
    try_all: impl Fn(&[Event], &[Cut]) -> Result<(), CutError>,
) {
    for Forgotten { what, is_it } in FORGOTTEN {
        let trace = points::without(trace, is_it);
        // What is lost before anything was acknowledged proves nothing.
        let cuts = Cut::choose(&trace, trace.len() / 2, 20, rng);
        match try_all(&trace, &cuts) {
            Err(CutError::Lost { why, folder, .. }) => {
                eprintln!("without {what}: {why}");
                std::fs::remove_dir_all(folder).expect("our own folder");
            }
            outcome => panic!("without {what} nothing was lost: {outcome:?}"),
        }
    }
}
