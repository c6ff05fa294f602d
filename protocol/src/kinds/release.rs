//! Which kinds a program knows: every one, but in the simulation, where apps and servers of earlier releases meet later
//! ones (docs/adr/0012). Without the feature `simulation` there is only the present release, and the compiler leaves out
//! what asks.

use super::{DayReport, DepartureCheck, Issue, ShelfObservation, StockCount, StockMovement};
use crate::ids::KindId;

/// What earlier releases do not know, in the order in which the releases of the simulation come to know it.
const LATER: [KindId; 6] = [
    DepartureCheck::SPEC.kind,
    StockMovement::SPEC.kind,
    ShelfObservation::SPEC.kind,
    Issue::SPEC.kind,
    StockCount::SPEC.kind,
    DayReport::SPEC.kind,
];

/// A release of the programs: it knows so many of the later kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Release(usize);

impl Release {
    /// All of them, the earliest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=LATER.len()).map(Self)
    }

    /// The one that knows every kind.
    pub const PRESENT: Self = Self(LATER.len());

    /// Whether a program of this release knows a kind.
    pub fn knows(self, kind: KindId) -> bool {
        LATER.iter().skip(self.0).all(|later| *later != kind)
    }

    /// That of the program which runs in this thread.
    #[cfg(feature = "simulation")]
    pub(super) fn running() -> Self {
        RUNNING.get()
    }

    /// That of the program: the present one.
    #[cfg(not(feature = "simulation"))]
    pub(super) const fn running() -> Self {
        Self::PRESENT
    }

    /// Does something as a program of this release would.
    #[cfg(feature = "simulation")]
    pub fn run<T>(self, what: impl FnOnce() -> T) -> T {
        let before = RUNNING.replace(self);
        let done = what();
        RUNNING.set(before);
        done
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static RUNNING: std::cell::Cell<Release> = const { std::cell::Cell::new(Release::PRESENT) };
}
