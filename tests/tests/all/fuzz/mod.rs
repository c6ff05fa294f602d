//! Broken bytes for every public decoder and wild sequences of frames for the sessions, each for `XUNDIAN_FUZZ_SECONDS`
//! seconds (5 where it is not set).
//!
//! `XUNDIAN_SEED` repeats a run: the same inputs in the same order. What breaks something is printed.

mod decoders;
mod random;
mod sessions;

use std::time::{Duration, Instant};

/// How long to go on, from now.
fn until() -> Instant {
    let seconds = std::env::var("XUNDIAN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    Instant::now() + Duration::from_secs(seconds)
}

/// The seed of a run, which is printed.
fn seed(of: &str) -> u64 {
    let given = std::env::var("XUNDIAN_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("fuzz: {of}: XUNDIAN_SEED={seed}");
    seed
}
