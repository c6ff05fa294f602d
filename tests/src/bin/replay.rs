//! Replays the public weekly series through devices and server, and compares every figure with the known truth.
//!
//! `XUNDIAN_SEED` reproduces a run.

use std::process::ExitCode;
use xundian_tests::replay::{self, Source};

fn main() -> ExitCode {
    let source = Source::find();
    if source.is_sample() {
        eprintln!("{}", replay::SAMPLE_BANNER);
    }
    let seed = replay::seed_from_environment();
    eprintln!("replay: XUNDIAN_SEED={seed}");
    let report = tempfile::tempdir()
        .map_err(replay::ReplayError::from)
        .and_then(|folder| replay::run(&source, folder.path(), seed));
    match report {
        Ok(report) => {
            println!("{report}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("the replay stopped (XUNDIAN_SEED={seed}): {error}");
            ExitCode::FAILURE
        }
    }
}
