//! Reproducible random choices.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Returns a generator seeded from `XUNDIAN_SEED`, or from a new seed. Prints the seed, to reproduce failures.
pub fn rng(test: &str) -> StdRng {
    let given = std::env::var("XUNDIAN_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    eprintln!("{test}: XUNDIAN_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
