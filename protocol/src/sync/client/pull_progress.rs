//! The progress of a pull.

use crate::ids::FeedSeq;
use crate::record::Home;
use crate::wire::v1::{Changes, Pull};
use std::collections::BTreeMap;

/// The cursors of a device during a pull, as its driver commits them.
#[derive(Debug, Default)]
pub(super) struct PullProgress {
    cursor: FeedSeq,
    behind: BTreeMap<Home, FeedSeq>,
}

impl PullProgress {
    pub(super) fn of(pull: &Pull) -> Self {
        Self { cursor: pull.cursor, behind: pull.behind.iter().copied().collect() }
    }

    /// Moves the cursor if the frame starts at it. Returns whether the cursor advanced.
    pub(super) fn advance(&mut self, changes: &Changes) -> bool {
        let place = match changes.home {
            None => Some(&mut self.cursor),
            Some(home) => self.behind.get_mut(&home),
        };
        let Some(place) = place.filter(|place| **place == changes.from) else { return false };
        let further = changes.to > *place;
        *place = changes.to;
        further
    }

    /// Whether everything up to `cursor` was pulled.
    pub(super) fn reach(&self, cursor: FeedSeq) -> bool {
        self.cursor == cursor && self.behind.values().all(|place| *place >= cursor)
    }
}
