//! What a device must be sent: the records of its scope that changed after its cursor.

mod reconciliation;

use crate::server::Server;
use crate::store::{FeedPosition, StoreError};
use std::collections::{BTreeSet, VecDeque};
use xundian_protocol::access::scope_digest;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{DeviceNo, FeedSeq, PersonId};
use xundian_protocol::limits::{CHANGES_PLAIN_BYTES_TARGET, CHANGES_RECORDS_MAX, bytes_in_frame};
use xundian_protocol::record::{Home, RecordKey};
use xundian_protocol::simulation::fault_injection::Bug;
use xundian_protocol::wire::v1::{Changes, Pull};

/// One pull of one device, read frame by frame.
pub(crate) struct Puller {
    device: DeviceNo,
    /// The homes of the scope that the device holds up to its cursor.
    homes: Vec<Home>,
    /// The other homes of the scope, which it requests one by one.
    behind: BTreeSet<Home>,
    current: Option<Reading>,
}

/// The changes of one home or of the whole scope, found once and read in portions.
struct Reading {
    home: Option<Home>,
    at: FeedSeq,
    head: FeedSeq,
    changes: VecDeque<(FeedSeq, RecordKey)>,
}

impl Puller {
    /// A puller for the scope. The homes are listed if the device's scope differs.
    pub(crate) fn new(
        server: &Server,
        device: DeviceNo,
        person: PersonId,
        pull: &Pull,
        now_ms: i64,
    ) -> Result<Self, Vec<Home>> {
        let today = Day::in_default_zone(now_ms);
        let scope = server.directory().scope(person, today);
        if scope_digest(&scope) != pull.scope_digest && !Bug::ScopeOnWriteOnly.is_injected() {
            return Err(scope);
        }
        let named: BTreeSet<Home> = pull.behind.iter().map(|(home, _)| *home).collect();
        // A home that the device names outside its scope is not for it to see.
        let everything = || server.directory().outlets().map(|(outlet, _)| Home::Outlet(outlet)).collect();
        let scope: Vec<Home> = if Bug::ScopeOnWriteOnly.is_injected() { everything() } else { scope };
        let (behind, homes) = scope.into_iter().partition(|home| named.contains(home));
        let behind: Vec<Home> = behind;
        Ok(Self { device, homes, behind: behind.into_iter().collect(), current: None })
    }

    /// The next frame of changes after `after`, and whether more follows.
    pub(crate) fn read(
        &mut self,
        server: &Server,
        home: Option<Home>,
        after: FeedSeq,
    ) -> Result<(Changes, bool), StoreError> {
        let reader = server.store.reader();
        if home.is_some_and(|home| !self.behind.contains(&home)) {
            let to = reader.feed_head()?;
            return Ok((Changes { home, from: after, to, records: Vec::new() }, false));
        }
        let reading = match self.current.take() {
            Some(reading) if reading.home == home && reading.at == after => reading,
            _ => {
                let head = reader.feed_head()?;
                let one = home.map(|home| vec![home]);
                let mut found = Vec::new();
                for of in one.as_ref().unwrap_or(&self.homes) {
                    let seq_of = |position: FeedPosition| {
                        if home.is_some() { position.seq } else { self.news(position) }
                    };
                    let changes = reader.feed(*of, after)?.into_iter();
                    let changes = changes.map(|(key, at)| (seq_of(at), key));
                    found.extend(changes.filter(|(news, _)| *news > after));
                }
                found.sort_unstable();
                Reading { home, at: after, head, changes: found.into() }
            }
        };
        self.frame(&reader, reading)
    }

    /// The feed sequence of what is new to the device in a record. It needs no echo of its own changes, so for those it
    /// is the latest change by others. Frames end at such sequences; if they ended at its own changes, a session that
    /// stops between two frames would lose the news before them.
    fn news(&self, position: FeedPosition) -> FeedSeq {
        if position.author == self.device { position.foreign } else { position.seq }
    }

    fn frame(
        &mut self,
        reader: &crate::store::Reader<'_>,
        mut reading: Reading,
    ) -> Result<(Changes, bool), StoreError> {
        let mut changes =
            Changes { home: reading.home, from: reading.at, to: reading.head, records: Vec::new() };
        let mut bytes = 0;
        while let Some((seq, key)) = reading.changes.pop_front() {
            if let Some(stored) = reader.record(key)? {
                bytes += bytes_in_frame(stored.record.bytes_max(), stored.record.fields().len());
                changes.records.push(stored.record);
            }
            let full = changes.records.len() == CHANGES_RECORDS_MAX || bytes >= CHANGES_PLAIN_BYTES_TARGET;
            if full && !reading.changes.is_empty() {
                changes.to = seq;
                reading.at = seq;
                self.current = Some(reading);
                return Ok((changes, true));
            }
        }
        Ok((changes, false))
    }
}
