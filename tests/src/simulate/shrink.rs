//! Shrinks a failing script as long as it still fails.

use std::sync::Arc;

use super::{Parts, Script, run};

/// The number of runs that shrinking may take.
const RUNS_MAX: usize = 2_000;

/// Removes events in ever smaller stretches, and returns the shortest script found that still fails.
pub fn shrink(parts: &Arc<Parts>, script: &Script) -> Script {
    let fails = |script: &Script| run(parts, script).is_ok_and(|outcome| !outcome.violations.is_empty());
    let mut best = script.clone();
    let mut runs = 0;
    let mut stretch = best.len().div_ceil(2).max(1);
    loop {
        let mut from = 0;
        let mut is_shorter = false;
        while from < best.len() && runs < RUNS_MAX {
            let mut rest = best.happenings.clone();
            rest.drain(from..(from + stretch).min(best.len()));
            let shorter = best.with(rest);
            runs += 1;
            if fails(&shorter) {
                best = shorter;
                is_shorter = true;
            } else {
                from += stretch;
            }
        }
        if runs >= RUNS_MAX || (stretch == 1 && !is_shorter) {
            return best;
        }
        if !is_shorter {
            stretch = stretch.div_ceil(2).min(stretch.saturating_sub(1)).max(1);
        }
    }
}
