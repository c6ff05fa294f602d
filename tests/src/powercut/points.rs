//! Cuts the power at many points of a trace, and has the result of each cut checked.
//!
//! This module does not know what the folder holds: the caller's check does.

use std::io;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng as _};

use super::disk::{Disk, Luck, Misfit, short};
use super::trace::Event;

/// Where the power is cut, and what happens to changes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cut {
    /// The number of events before the cut.
    pub after: usize,
    /// The seed of the random choices. 0 loses all changes that were not synced, 1 keeps them all.
    pub seed: u64,
}

/// Why trying cuts stopped.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// The check of a cut failed.
    #[error("power cut after event {} of {events}, seed {}: {why}\nthe last events:\n{last}the folder as it was left: {}", cut.after, cut.seed, folder.display())]
    Lost {
        /// The failed cut.
        cut: Cut,
        /// The number of events in the trace.
        events: usize,
        /// The last events before the cut, one per line.
        last: String,
        /// The error of the check.
        why: String,
        /// The folder, kept for examination. The check has already opened it.
        folder: PathBuf,
    },
    /// The trace is inconsistent.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The folder for a cut cannot be written.
    #[error("the folder after a power cut cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Cut {
    fn luck(self) -> Luck {
        match self.seed {
            0 => Luck::Dropped,
            1 => Luck::Kept,
            seed => Luck::Random(Box::new(StdRng::seed_from_u64(seed))),
        }
    }

    /// Chooses `count` random cuts after event `from`, in the order of the trace. Half of them are close to rare
    /// events: changed names, synced folders, changed file lengths. One cut in eight loses all changes that were not
    /// synced, and one in sixteen keeps them all.
    pub fn choose(trace: &[Event], from: usize, count: usize, rng: &mut StdRng) -> Vec<Self> {
        let is_rare =
            |event: &Event| !matches!(event, Event::Wrote { .. } | Event::Synced { .. } | Event::Said(_));
        let rare: Vec<usize> =
            (from..trace.len()).filter(|nth| is_rare(&trace[*nth])).map(|nth| nth + 1).collect();
        let mut cuts: Vec<Self> = (0..count)
            .map(|_| {
                let near = rare.choose(rng).filter(|_| rng.random_bool(0.5));
                let after = match near {
                    Some(rare) => (rare + rng.random_range(0..3)).min(trace.len()),
                    None => rng.random_range(from..=trace.len()),
                };
                let seed = match rng.random_range(0..16) {
                    0 | 1 => 0,
                    2 => 1,
                    _ => rng.random_range(2..u64::MAX),
                };
                Self { after, seed }
            })
            .collect();
        cuts.sort_unstable();
        cuts
    }
}

/// Cuts the power at each of these points, in order, and passes the resulting folder and the cut to `check`.
///
/// # Errors
/// Returns the error of the first cut that fails.
pub fn try_all(
    trace: &[Event],
    cuts: &[Cut],
    mut check: impl FnMut(&Path, Cut) -> Result<(), String>,
) -> Result<(), CutError> {
    let mut disk = Disk::default();
    let mut applied = 0;
    for cut in cuts {
        for event in &trace[applied..cut.after] {
            disk.apply(event)?;
        }
        applied = cut.after;
        let folder = super::folder()?;
        disk.cut(&mut cut.luck()).write(folder.path())?;
        if let Err(why) = check(folder.path(), *cut) {
            let first = cut.after.saturating_sub(6);
            let last = trace[first..cut.after].iter().map(|event| format!("  {}\n", short(event))).collect();
            let folder = folder.keep();
            return Err(CutError::Lost { cut: *cut, events: trace.len(), last, why, folder });
        }
    }
    Ok(())
}

/// Returns the trace without some of its syncs, as of a program that forgets them.
pub fn without(trace: &[Event], is_forgotten: impl Fn(&Event) -> bool) -> Vec<Event> {
    trace.iter().filter(|event| !is_forgotten(event)).cloned().collect()
}
