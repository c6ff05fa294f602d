//! When a sync reconciles: compares the device's records with the server's (docs/adr/0013).

use xundian_protocol::ids::FeedSeq;
use xundian_protocol::limits::RECONCILE_HOMES_MAX;

use crate::store::Store;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// The interval between two reconciliations of a store: a day, and one more day for each further 2,000 homes, because
/// both ends read all of a device's records for it. The cost per day is the reading of about this many homes, however
/// large the scope.
const HOMES_RECONCILED_A_DAY: u64 = 2_000;

/// Whether a session reconciles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Schedule {
    /// It is not due yet.
    NotDue,
    /// Everything is fetched for the first time, so nothing can be corrupted.
    Fresh,
    Due,
}

impl Schedule {
    pub(super) fn of(store: &Store, now_ms: i64) -> Self {
        let standing = store.standing();
        if standing.cursor == FeedSeq(0) {
            return Self::Fresh;
        }
        if standing.homes.len() > RECONCILE_HOMES_MAX {
            return Self::NotDue;
        }
        Self::after(store.last_reconciled_ms(), now_ms, standing.homes.len() as u64)
    }

    fn after(last_ms: Option<i64>, now_ms: i64, homes: u64) -> Self {
        let every_ms = DAY_MS * homes.div_ceil(HOMES_RECONCILED_A_DAY).max(1);
        // After a clock was set back, the last time is unknown.
        let is_recent = |last_ms: i64| last_ms <= now_ms && last_ms.abs_diff(now_ms) < every_ms;
        if last_ms.is_some_and(is_recent) { Self::NotDue } else { Self::Due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_395_600_000;

    #[test]
    fn the_more_homes_the_rarer_and_never_never() {
        for (homes, days) in [(0, 1), (1, 1), (2_000, 1), (2_001, 2), (20_000, 10), (100_000, 50)] {
            let last_ms = NOW_MS - days * DAY_MS.cast_signed();
            assert_eq!(Schedule::after(Some(last_ms), NOW_MS, homes), Schedule::Due, "{homes} homes");
            assert_eq!(Schedule::after(Some(last_ms + 1), NOW_MS, homes), Schedule::NotDue, "{homes} homes");
        }
    }

    #[test]
    fn what_was_never_compared_or_at_a_moment_to_come_is_compared_now() {
        assert_eq!(Schedule::after(None, NOW_MS, 1), Schedule::Due);
        assert_eq!(Schedule::after(Some(NOW_MS + 1), NOW_MS, 1), Schedule::Due);
    }
}
