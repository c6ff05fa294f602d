//! The clock of a demo phone: it can be set to a moment of the demo's day, or run with the real one.

use std::sync::atomic::{AtomicI64, Ordering};
use xundian_client::Moment;

/// All phones run since the same start, so that their clocks count as set by their first sync.
const BOOT: [u8; 16] = *b"xundian demo run";
const REAL: i64 = i64::MIN;

/// A clock that somebody sets.
#[derive(Debug)]
pub(super) struct PhoneClock(AtomicI64);

impl PhoneClock {
    /// A clock that stands at a moment, Unix milliseconds.
    pub(super) const fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Sets it to a moment, Unix milliseconds.
    pub(super) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Release);
    }

    /// Lets it run with the real one.
    pub(super) fn run(&self) {
        self.0.store(REAL, Ordering::Release);
    }

    /// Reads it.
    pub(super) fn read(&self) -> Moment {
        let set_ms = self.0.load(Ordering::Acquire);
        let now_ms = if set_ms == REAL { crate::sessions::now_ms() } else { set_ms };
        Moment { now_ms, mono_ms: u64::try_from(now_ms).unwrap_or(0), boot: BOOT }
    }
}
