//! Releases of the programs, so that apps and servers of earlier releases meet later ones (docs/adr/0012).

use xundian_protocol::ids::KindId;
use xundian_protocol::kinds::{
    DayReport, DepartureCheck, Issue, ShelfObservation, StockCount, StockMovement,
};
use xundian_protocol::simulation::unknown_kinds;

/// The kinds that earlier releases do not know. Each release knows one more of them, in this order.
static LATER: [KindId; 6] = [
    DepartureCheck::SPEC.kind,
    StockMovement::SPEC.kind,
    ShelfObservation::SPEC.kind,
    Issue::SPEC.kind,
    StockCount::SPEC.kind,
    DayReport::SPEC.kind,
];

/// A release, identified by how many of the later kinds it knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Release(usize);

impl Release {
    /// Returns all releases, the earliest first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=LATER.len()).map(Self)
    }

    /// The present release, which knows every kind.
    pub(super) const PRESENT: Self = Self(LATER.len());

    /// Runs `what` as a program of this release would.
    pub(super) fn run<T>(self, what: impl FnOnce() -> T) -> T {
        unknown_kinds::run_without(&LATER[self.0..], what)
    }
}
