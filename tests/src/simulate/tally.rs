//! Statistics of what was simulated.

use std::collections::BTreeMap;

use super::script::Fault;

/// What a phone's sync was doing when a fault struck.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// The store was being opened: the phone's, or the server's if the fault is the server's.
    Opening,
    /// No sync was running.
    Idle,
    /// The phone had sent its hello.
    Greeting,
    /// The phone was pushing ops.
    Pushing,
    /// The phone was pulling.
    Pulling,
    /// The phone was uploading pictures.
    Pictures,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 6] =
        [Self::Opening, Self::Idle, Self::Greeting, Self::Pushing, Self::Pulling, Self::Pictures];

    /// Returns its name for tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Idle => "idle",
            Self::Greeting => "greeting",
            Self::Pushing => "pushing",
            Self::Pulling => "pulling",
            Self::Pictures => "pictures",
        }
    }
}

/// Statistics of one or more runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Pieces of work that were saved without an error.
    pub works: u64,
    /// Saved ops.
    pub saves: u64,
    /// Syncs and pushes that were started.
    pub syncs: u64,
    /// Syncs and pushes that completed.
    pub done: u64,
    /// Syncs and pushes given up for want of an answer.
    pub given_up: u64,
    /// Payloads on the network.
    pub payloads: u64,
    /// Pictures at the servers at the end.
    pub pictures: u64,
    /// Starts of phones.
    pub boots: u64,
    /// Times that a phone was refused as restored, copied, replaced or revoked.
    pub restored: u64,
    /// Simulated hours, summed over all phones.
    pub device_hours: u64,
    /// Faults that took effect, by what the phone was doing.
    pub faults: BTreeMap<(Fault, Phase), u64>,
}

impl Tally {
    pub(super) fn note(&mut self, fault: Fault, phase: Phase) {
        *self.faults.entry((fault, phase)).or_default() += 1;
    }

    /// Returns how often a server was restored from its backup.
    pub(super) fn restores(&self) -> u64 {
        let restores = self.faults.iter().filter(|((fault, _), _)| *fault == Fault::ServerRestore);
        restores.map(|(_, count)| count).sum()
    }

    /// Adds the statistics of other runs.
    pub fn add(&mut self, other: &Self) {
        let Self {
            works,
            saves,
            syncs,
            done,
            given_up,
            payloads,
            pictures,
            boots,
            restored,
            device_hours,
            faults,
        } = other;
        self.works += works;
        self.saves += saves;
        self.syncs += syncs;
        self.done += done;
        self.given_up += given_up;
        self.payloads += payloads;
        self.pictures += pictures;
        self.boots += boots;
        self.restored += restored;
        self.device_hours += device_hours;
        for (at, count) in faults {
            *self.faults.entry(*at).or_default() += count;
        }
    }
}
