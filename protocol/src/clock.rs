//! The hybrid logical clock (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014): a number that follows the
//! wall clock, never runs backwards, and is greater than everything its owner has seen.
//!
//! This module reads no clock. The caller passes the time in milliseconds since the Unix epoch.

use crate::ids::DeviceNo;
use crate::limits::CLOCK_AHEAD_MAX_MS;

const COUNTER_BITS: u32 = 16;

/// A moment of the hybrid clock: 48 bits of Unix milliseconds, then 16 bits that count within one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first moment of a millisecond. Times before 1970 and after the year 10889 are clamped.
    pub fn at_ms(unix_ms: i64) -> Self {
        let ms = u64::try_from(unix_ms).unwrap_or(0).min((1 << (64 - COUNTER_BITS)) - 1);
        Self(ms << COUNTER_BITS)
    }

    /// The wall-clock part, in milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        (self.0 >> COUNTER_BITS).cast_signed()
    }
}

/// When and by which device a value was written. Stamps are totally ordered, and no device makes two equal
/// ones, so equal stamps mean the same write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp {
    /// The moment; compared first.
    pub hlc: Hlc,
    /// The writer; decides between equal moments.
    pub device: DeviceNo,
}

/// The clock of one writer.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// A clock that continues after `last`, the greatest moment that its owner made or saw.
    pub const fn resume(last: Hlc) -> Self {
        Self { last }
    }

    /// The greatest moment made or seen so far.
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// Returns a new moment: `now_ms`, or the next moment after the last one if the wall clock is not past it.
    pub fn tick(&mut self, now_ms: i64) -> Hlc {
        self.last = Hlc::at_ms(now_ms).max(Hlc(self.last.0.saturating_add(1)));
        self.last
    }

    /// Notes a moment that another clock made, so that the next own moment is greater. A moment too far in the future
    /// is clamped, so that one wrong clock cannot drag the others ahead.
    pub fn observe(&mut self, seen: Hlc, now_ms: i64) {
        self.last = self.last.max(clamp_future(seen, now_ms));
    }
}

/// Clamps a moment to the furthest that a correct clock can be ahead of `now_ms`.
pub fn clamp_future(hlc: Hlc, now_ms: i64) -> Hlc {
    hlc.min(Hlc::at_ms(now_ms.saturating_add(CLOCK_AHEAD_MAX_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ticks_only_grow_whatever_the_wall_clock_does(times in prop::collection::vec(-1i64..1 << 45, 1..50)) {
            let mut clock = Clock::default();
            let ticks: Vec<Hlc> = times.iter().map(|now| clock.tick(*now)).collect();
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn a_tick_is_greater_than_what_was_seen(seen in 0u64..1 << 60, now in 0i64..1 << 44) {
            let mut clock = Clock::default();
            clock.observe(Hlc(seen), now);
            prop_assert!(clock.tick(now) > clamp_future(Hlc(seen), now));
        }
    }

    #[test]
    fn a_wrong_clock_cannot_drag_the_others_far_ahead() {
        let mut clock = Clock::default();
        clock.observe(Hlc::at_ms(1 << 44), 1_000);
        assert!(clock.tick(1_000).unix_ms() <= 1_000 + CLOCK_AHEAD_MAX_MS);
    }
}
