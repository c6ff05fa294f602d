//! Our entry in `../shared/peers`: implements the contract of its README, one command per process.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    match xundian_tests::peer::run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer {command}: {error}");
            ExitCode::FAILURE
        }
    }
}
