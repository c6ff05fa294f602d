//! What becomes of a payload on its way.
//!
//! The carriers give frames in order or not at all. Here they are lost, repeated and reordered all the same, for the
//! sessions claim that nothing goes wrong by it but time.

use rand::Rng;
use rand::rngs::StdRng;

use super::script::Fault;

/// The usual time on the way.
const ON_THE_WAY_MS: (i64, i64) = (20, 400);
const DAY_MS: i64 = 86_400_000;

/// Something that is wrong with a phone's network for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    pub(super) until_ms: i64,
    pub(super) fault: Fault,
}

/// When a payload arrives, once, twice or never; and what went wrong with it. `last_ms` is when the one before it
/// arrives.
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
