//! The server's own hybrid logical clock, held by its one writer.

use xundian_protocol::clock::{Clock, Hlc};

/// The clock, and its last moment in the store.
pub(super) struct WriterClock {
    clock: Clock,
    committed: Hlc,
}

impl WriterClock {
    /// A clock that continues after the last committed moment.
    pub(super) const fn resume(committed: Hlc) -> Self {
        Self { clock: Clock::resume(committed), committed }
    }

    pub(super) const fn hybrid(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// The clock's last moment, if the store does not have it yet.
    pub(super) fn uncommitted(&self) -> Option<Hlc> {
        Some(self.clock.last()).filter(|last| *last != self.committed)
    }

    /// Records that the last moment was committed.
    pub(super) const fn note_committed(&mut self) {
        self.committed = self.clock.last();
    }
}
