//! What was simulated, counted.

use std::collections::BTreeMap;

use super::script::Fault;

/// What a phone's sync was about when something went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// The phone's store, or for the server's faults the server's, was being opened.
    Opening,
    /// None was under way.
    Idle,
    /// It had said hello.
    Greeting,
    /// It was sending.
    Pushing,
    /// It was fetching.
    Pulling,
    /// It was sending pictures.
    Pictures,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Opening, Self::Idle, Self::Greeting, Self::Pushing, Self::Pulling, Self::Pictures];

    /// Its name in tables.
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

/// Counts of one run or of many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Pieces of work that were saved.
    pub works: u64,
    /// Saves, as ops.
    pub saves: u64,
    /// Syncs and pushes that began.
    pub syncs: u64,
    /// Those that came to their end.
    pub done: u64,
    /// Those that waited in vain.
    pub given_up: u64,
    /// Payloads on the network.
    pub payloads: u64,
    /// Pictures that the servers have in the end.
    pub pictures: u64,
    /// Starts of phones.
    pub boots: u64,
    /// Times that a phone learnt that it was restored, copied or replaced.
    pub restored: u64,
    /// Time that passed for all phones together.
    pub device_hours: u64,
    /// Faults as they took effect, by what the phone was doing.
    pub faults: BTreeMap<(Fault, Phase), u64>,
}

impl Tally {
    pub(super) fn note(&mut self, fault: Fault, phase: Phase) {
        *self.faults.entry((fault, phase)).or_default() += 1;
    }

    /// How often a server got back what was backed up.
    pub(super) fn restores(&self) -> u64 {
        let restores = self.faults.iter().filter(|((fault, _), _)| *fault == Fault::ServerRestore);
        restores.map(|(_, count)| count).sum()
    }

    /// Adds another one.
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
