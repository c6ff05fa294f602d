//! The simulated network: when each payload arrives.
//!
//! A real transport delivers frames in order or not at all. Here they are also lost, repeated and reordered, because
//! the sessions promise that this costs nothing but time.

use rand::Rng;
use rand::rngs::StdRng;

use super::script::Fault;

/// The usual delay of a payload.
const ON_THE_WAY_MS: (i64, i64) = (20, 400);
const DAY_MS: i64 = 86_400_000;

/// A fault of a phone's network that lasts for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    pub(super) until_ms: i64,
    pub(super) fault: Fault,
}

/// Returns when a payload arrives: once, twice or never. Adds the faults that hit it to `met`. `last_ms` is when the
/// payload before it arrives.
pub(super) fn arrivals(
    spells: &[Spell],
    up: bool,
    now_ms: i64,
    last_ms: &mut i64,
    rng: &mut StdRng,
    met: &mut Vec<Fault>,
) -> Vec<i64> {
    let usual_ms = (now_ms + rng.random_range(ON_THE_WAY_MS.0..ON_THE_WAY_MS.1)).max(*last_ms);
    *last_ms = usual_ms;
    let mut arrivals = vec![usual_ms];
    for spell in spells.iter().filter(|spell| spell.until_ms > now_ms) {
        let hits = match spell.fault {
            Fault::Loss if rng.random_bool(0.2) => {
                arrivals.clear();
                true
            }
            Fault::Twice if rng.random_bool(0.3) => {
                arrivals.push(usual_ms + rng.random_range(0..60_000));
                true
            }
            Fault::Late if rng.random_bool(0.3) => {
                let late_ms = if rng.random_bool(0.1) { 3 * DAY_MS } else { 30_000 };
                arrivals.iter_mut().for_each(|at_ms| *at_ms += rng.random_range(0..late_ms));
                true
            }
            Fault::Cut => {
                arrivals.clear();
                true
            }
            Fault::CutUp if up => {
                arrivals.clear();
                true
            }
            Fault::CutDown if !up => {
                arrivals.clear();
                true
            }
            _ => false,
        };
        met.extend(hits.then_some(spell.fault));
    }
    arrivals
}
