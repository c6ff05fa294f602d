//! Confirmed records: applying changes, and homes that enter or leave the scope.

use std::collections::{BTreeMap, BTreeSet};

use xundian_protocol::ids::FeedSeq;
use xundian_protocol::record::{Home, Record, RecordKey};
use xundian_protocol::simulation::fault_injection::Bug;
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::Changes;

use super::engine::Batch;
use super::keys::{self, MetaKey};
use super::{LastSync, Store, StoreError, StoreFault, Turn, put_number};

/// The least change of the clock offset that a push writes down.
const CLOCK_MOVED_MS_MIN: u64 = 1000;
/// The records of a home that one batch removes.
const CLEARED_RECORDS_PER_BATCH: usize = 2048;

/// The result of a change of scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ScopeChange {
    /// Homes that entered the scope.
    pub(crate) added: u64,
    /// Homes that left the scope. Their records are removed from the device; ops that wait are kept.
    pub(crate) dropped: u64,
}

/// The device's cursors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// The homes of the scope, in order.
    pub(crate) homes: Vec<Home>,
    /// Everything in scope is here up to this position, except for the homes in `behind`.
    pub(crate) cursor: FeedSeq,
    /// Homes that are complete only up to an earlier position.
    pub(crate) behind: Vec<(Home, FeedSeq)>,
}

impl Store {
    /// The device's cursors.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        let behind = state.held.iter().filter_map(|(home, behind)| Some((*home, (*behind)?))).collect();
        Standing { homes: state.held.keys().copied().collect(), cursor: state.meta.cursor, behind }
    }

    /// Whether a home is in scope.
    pub(crate) fn holds(&self, home: Home) -> bool {
        self.state().held.contains_key(&home)
    }

    /// Commits changed records, and moves the cursor if the frame starts at it. Returns whether it does. Records are
    /// merged in either case, because a record is valid wherever the frame starts.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn apply_changes(&self, changes: &Changes) -> Result<bool, StoreError> {
        let writer = self.write_lock();
        let mut batch = Batch::default();
        let mut merged: BTreeMap<RecordKey, (Record, bool)> = BTreeMap::new();
        let mut hlc = self.hlc();
        for record in changes.records.iter().filter(|record| self.state().keeps(record.home)) {
            hlc = hlc.max(record.newest().map_or(hlc, |stamp| stamp.hlc));
            match merged.get_mut(&record.key) {
                Some((standing, _)) => _ = standing.merge(record),
                None => {
                    // A stale record is replaced, not merged, because parts of it may be lost.
                    let is_stale = self.is_stale(record.key);
                    let standing = if is_stale { None } else { self.confirmed(record.key)? };
                    let is_new = standing.is_none();
                    let mut standing = standing.unwrap_or_else(|| Record::empty(record.key, record.home));
                    if standing.merge(record) || is_new {
                        merged.insert(record.key, (standing, is_new));
                    }
                }
            }
        }
        for (record, is_new) in merged.values() {
            self.put_confirmed(&mut batch, record, *is_new);
            if self.is_stale(record.key) {
                batch.remove(keys::stale(record.key));
            }
        }
        let stands_at = {
            let state = self.state();
            match changes.home {
                None => Some(state.meta.cursor),
                Some(home) => state.held.get(&home).copied().flatten(),
            }
        };
        let moves = stands_at == Some(changes.from);
        if moves {
            let to = changes.to.0;
            match changes.home {
                None => put_number(&mut batch, MetaKey::Cursor, to),
                Some(home) => batch.put(keys::home_key(keys::HELD_HOME, home), to.to_be_bytes()),
            }
        }
        put_number(&mut batch, MetaKey::Hlc, hlc.0);
        if moves && changes.home.is_none() && Bug::CursorBeforeCommit.is_injected() {
            let mut cursor = Batch::default();
            put_number(&mut cursor, MetaKey::Cursor, changes.to.0);
            self.engine.commit(cursor)?;
        }
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.hlc = state.meta.hlc.max(hlc);
        state.touch(merged.keys().map(|record| record.kind));
        merged.keys().for_each(|record| _ = state.stale.remove(record));
        match changes.home {
            _ if !moves => {}
            None => state.meta.cursor = changes.to,
            Some(home) => _ = state.held.insert(home, Some(changes.to)),
        }
        drop(state);
        drop(writer);
        Ok(moves)
    }

    /// Commits the end of a sync. Homes that have caught up with the cursor are no longer behind.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn finish_sync(&self, sync: LastSync) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let mut batch = Batch::default();
        batch.put(keys::meta(MetaKey::LastSync), sync.encode());
        let standing = self.standing();
        let caught_up = |behind: &FeedSeq| *behind >= standing.cursor;
        for (home, _) in standing.behind.iter().filter(|(_, behind)| caught_up(behind)) {
            batch.put(keys::home_key(keys::HELD_HOME, *home), []);
        }
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.last_sync = Some(sync);
        for behind in state.held.values_mut() {
            *behind = behind.filter(|behind| !caught_up(behind));
        }
        drop(state);
        drop(writer);
        Ok(())
    }

    /// Notes the server's clock as a push has learnt it. It is written only if it differs enough to matter. Before the
    /// first sync there is nothing to update.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_server_clock(&self, server_offset_ms: i64, boot: [u8; 16]) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let Some(known) = self.last_sync() else { return Ok(()) };
        let moved_ms = known.server_offset_ms.abs_diff(server_offset_ms);
        if known.boot != boot || moved_ms >= CLOCK_MOVED_MS_MIN {
            let sync = LastSync { server_offset_ms, boot, ..known };
            let mut batch = Batch::default();
            batch.put(keys::meta(MetaKey::LastSync), sync.encode());
            self.engine.commit(batch)?;
            self.state_mut().meta.last_sync = Some(sync);
        }
        drop(writer);
        Ok(())
    }

    /// Commits a new scope. Records of homes that left it are removed; waiting and rejected ops are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn set_scope(&self, homes: &[Home]) -> Result<ScopeChange, StoreError> {
        let mut writer = self.write_lock();
        // Settled saves are removed with their home.
        self.fold_settled_locked(&mut writer)?;
        // A home that returns before its old records are removed must not lose its new ones.
        self.clear_left_homes(&mut writer)?;
        let (standing, new) = (self.standing(), homes.iter().copied().collect::<BTreeSet<_>>());
        let mut old: BTreeSet<Home> = standing.homes.into_iter().collect();
        // From the very beginning, the whole scope is read in one pass. Later, even with the cursor at the beginning
        // again, a new home may hold what this device sent before the home entered its scope. The device is sent its
        // own writes only for homes that are behind.
        let is_first = standing.cursor == FeedSeq(0) && old.is_empty();
        if old.is_empty() {
            old = self.homes_with_records()?;
        }
        let behind = (!is_first).then_some(FeedSeq(0));
        let mut batch = Batch::default();
        let mut change = ScopeChange::default();
        for home in new.iter().filter(|home| !self.holds(**home)) {
            batch.put(keys::home_key(keys::HELD_HOME, *home), behind_bytes(behind));
            change.added += 1;
        }
        let left: Vec<Home> = old.difference(&new).copied().collect();
        for home in &left {
            batch.remove(keys::home_key(keys::HELD_HOME, *home));
            batch.put(keys::home_key(keys::HOME_TO_CLEAR, *home), []);
            change.dropped += 1;
        }
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        left.iter().for_each(|home| _ = state.held.remove(home));
        for home in new {
            state.held.entry(home).or_insert(behind);
        }
        drop(state);
        self.clear_left_homes(&mut writer)?;
        Ok(change)
    }

    /// Removes the records of homes that left the scope, in bounded batches. The mark of a home is removed with its
    /// last record, so the work continues after a crash when the store is opened.
    pub(super) fn clear_left_homes(&self, writer: &mut Turn<'_>) -> Result<(), StoreError> {
        let marks: Vec<_> = self.engine.scan_prefix(&[keys::HOME_TO_CLEAR]).collect::<Result<_, _>>()?;
        for (mark, _) in marks {
            let home = keys::home_of(&mark).ok_or_else(|| StoreFault::malformed("list of homes to clear"))?;
            loop {
                let prefix = keys::indexed_prefix(home, None);
                let entries: Vec<_> = self
                    .engine
                    .scan_prefix(&prefix)
                    .take(CLEARED_RECORDS_PER_BATCH)
                    .collect::<Result<_, _>>()?;
                let mut batch = Batch::default();
                let mut kinds = BTreeSet::new();
                for (key, _) in &entries {
                    let record = keys::record_of_index(key);
                    let record = record.ok_or_else(|| StoreFault::malformed("index of homes"))?;
                    kinds.insert(record.kind);
                    batch.remove(keys::record(record));
                    batch.remove(key.clone());
                }
                let is_last = entries.len() < CLEARED_RECORDS_PER_BATCH;
                if is_last {
                    batch.remove(mark.clone());
                }
                self.engine.commit(batch)?;
                self.state_mut().touch(kinds);
                Turn::bump(writer);
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Every home with a confirmed record, found by skipping from home to home.
    fn homes_with_records(&self) -> Result<BTreeSet<Home>, StoreError> {
        let mut homes = BTreeSet::new();
        let mut from = vec![keys::HOME_INDEX];
        while let Some(entry) = self.engine.scan_range(&from, &[keys::HOME_INDEX + 1]).next() {
            let (key, _) = entry?;
            homes.insert(keys::home_of(&key).ok_or_else(|| StoreFault::malformed("index of homes"))?);
            from = key[..18].to_vec();
            from.push(u8::MAX);
            from.push(u8::MAX);
            from.push(u8::MAX);
        }
        Ok(homes)
    }

    /// The confirmed record.
    pub(super) fn confirmed(&self, key: RecordKey) -> Result<Option<Record>, StoreError> {
        let Some(bytes) = self.engine.get(&keys::record(key))? else { return Ok(None) };
        Ok(Some(decode_record(&bytes)?))
    }

    pub(super) fn put_confirmed(&self, batch: &mut Batch, record: &Record, is_new: bool) {
        batch.put(keys::record(record.key), stored::encode_record(record));
        if is_new {
            batch.put(keys::indexed(record.home, record.key), []);
        }
    }
}

pub(super) fn decode_record(bytes: &[u8]) -> Result<Record, StoreFault> {
    stored::decode_record(bytes).map_err(StoreFault::decode("record"))
}

fn behind_bytes(behind: Option<FeedSeq>) -> Vec<u8> {
    behind.map(|seq| seq.0.to_be_bytes().to_vec()).unwrap_or_default()
}
