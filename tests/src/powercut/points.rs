//! Cuts the power at many points of a trace, and has what is left each time examined.
//!
//! Ignores what lies in the folder: whoever calls says what to look at and what should be there.

use std::io;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng as _};

use super::disk::{Disk, Luck, Misfit, short};
use super::trace::Event;

/// Where the power is cut, and what becomes of that which was not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cut {
    /// So many events have happened.
    pub after: usize,
    /// What the choices are made from; 0 loses all that was not synced, 1 keeps it.
    pub seed: u64,
}

/// What was found wrong at a cut.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// Something was lost, or is there and should not be.
    #[error("power cut after event {} of {events}, seed {}: {why}\nthe last events:\n{last}the folder as it was left: {}", cut.after, cut.seed, folder.display())]
    Lost {
        /// The cut.
        cut: Cut,
        /// How long the trace is.
        events: usize,
        /// What happened just before.
        last: String,
        /// What was found.
        why: String,
        /// The folder, kept for whoever examines it; the check itself has opened it.
        folder: PathBuf,
    },
    /// The trace has a gap.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// A folder for what is left cannot be made.
    #[error("what a power cut leaves cannot be written out: {0}")]
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

    /// So many cuts at random, in the order of the trace. Half of them are near what is rare: names that change,
    /// folders that are synced, files that change their length. Of all of them one in eight loses everything that was
    /// not synced, and one in sixteen nothing.
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

/// Cuts the power at each of these points, in their order, and hands the folder that is left to `check`, with how many
/// events had happened.
///
/// # Errors
/// At the first point where something is wrong.
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

/// A trace from which some syncs are gone: what a program that forgets them would leave behind.
pub fn without(trace: &[Event], is_forgotten: impl Fn(&Event) -> bool) -> Vec<Event> {
    trace.iter().filter(|event| !is_forgotten(event)).cloned().collect()
}
