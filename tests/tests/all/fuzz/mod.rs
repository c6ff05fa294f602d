//! Fuzz tests: corrupted bytes for every public decoder, and arbitrary sequences of frames for the sessions. Each test
//! runs for `XUNDIAN_FUZZ_SECONDS` seconds, by default 5.
//!
//! `XUNDIAN_SEED` repeats a run with the same inputs in the same order. Inputs that cause a failure are printed.

mod decoders;
mod random;
mod sessions;

use std::time::{Duration, Instant};

/// Returns when to stop.
fn until() -> Instant {
    let seconds = std::env::var("XUNDIAN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    Instant::now() + Duration::from_secs(seconds)
}

/// Returns the seed of a run, and prints it.
fn seed(of: &str) -> u64 {
    let given = std::env::var("XUNDIAN_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("fuzz: {of}: XUNDIAN_SEED={seed}");
    seed
}
