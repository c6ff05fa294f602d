//! The clock of a demo phone: set to a moment of the demo's day, or running in real time.

use std::sync::atomic::{AtomicI64, Ordering};
use xundian_client::Moment;

/// All phones have the same boot id, so that their first sync sets their clocks.
const BOOT: [u8; 16] = *b"xundian demo run";
const REAL: i64 = i64::MIN;

/// A settable clock.
#[derive(Debug)]
pub(super) struct PhoneClock(AtomicI64);

impl PhoneClock {
    /// A clock stopped at a moment, Unix milliseconds.
    pub(super) const fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Stops it at a moment, Unix milliseconds.
    pub(super) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Release);
    }

    /// Lets it run in real time.
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
