//! Benchmarks this project against its peers: `cargo run --release -p xundian-tests --bin peers [quick|full]`.
//!
//! docs/PERFORMANCE.md lists and explains the figures.

use std::process::ExitCode;
use xundian_tests::peers::{self, Size};

fn main() -> ExitCode {
    let size = match std::env::args().nth(1).as_deref() {
        None | Some("full") => Size::Full,
        Some("quick") => Size::Quick,
        Some(other) => {
            eprintln!("{other:?} is neither quick nor full");
            return ExitCode::FAILURE;
        }
    };
    match peers::run(size) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a bound was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
