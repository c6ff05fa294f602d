//! Reads: the confirmed record overlaid with its saves in the outbox.

use std::collections::BTreeMap;

use xundian_protocol::ids::{KindId, OpSeq};
use xundian_protocol::record::{Home, Op, Record, RecordKey};
use xundian_protocol::wire::stored;

use super::confirmed::decode_record;
use super::{RejectedId, Store, StoreError, StoreFault, keys};

/// The save state of a record: its progress to the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SaveState {
    /// Some of its changes are only on this device.
    Saved,
    /// All its changes were sent, and some are not answered yet.
    Sent,
    /// The server has all of it.
    Confirmed,
    /// The server rejected some of its changes.
    Rejected(Vec<RejectedId>),
}

impl Store {
    /// A record as this device knows it.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn record(&self, key: RecordKey) -> Result<Option<Record>, StoreError> {
        // The outbox is read first, then the confirmed record. An op that is folded in between is missing from the
        // first and present in the second; merging it twice would do no harm.
        let seqs = match self.state().pending.get(&key) {
            Some(pending) => pending.seqs.clone(),
            None => Vec::new(),
        };
        let mut ops = Vec::with_capacity(seqs.len());
        for seq in seqs {
            ops.extend(self.unsent(seq)?);
        }
        let mut record = self.confirmed(key)?;
        for op in &ops {
            let _conflicts_are_the_servers =
                record.get_or_insert_with(|| Record::empty(op.record, op.home)).apply(op);
        }
        Ok(record)
    }

    /// Passes every record of a kind to `visit`: confirmed ones in the order of their ids, then the others.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn each_of_kind(&self, kind: KindId, visit: impl FnMut(Record)) -> Result<(), StoreError> {
        let pending = self.pending_where(|key, _| key.kind == kind);
        let stored =
            self.engine.scan_prefix(&keys::kind_prefix(kind)).map(|entry| Ok(decode_record(&entry?.1)?));
        self.overlay(pending, stored, visit)
    }

    /// Passes every record of a home to `visit`, of one kind or of all.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn each_of_home(
        &self,
        home: Home,
        kind: Option<KindId>,
        visit: impl FnMut(Record),
    ) -> Result<(), StoreError> {
        let of_kind = |key: &RecordKey| kind.is_none_or(|kind| key.kind == kind);
        let pending = self.pending_where(|key, at| at == home && of_kind(key));
        let prefix = keys::indexed_prefix(home, kind);
        let stored = self.engine.scan_prefix(&prefix).filter_map(|entry| {
            let read = || {
                let key = keys::record_of_index(&entry?.0);
                self.confirmed(key.ok_or_else(|| StoreFault::malformed("index of homes"))?)
            };
            read().transpose()
        });
        self.overlay(pending, stored, visit)
    }

    fn overlay(
        &self,
        mut pending: BTreeMap<RecordKey, ()>,
        stored: impl Iterator<Item = Result<Record, StoreError>>,
        mut visit: impl FnMut(Record),
    ) -> Result<(), StoreError> {
        for record in stored {
            let record = record?;
            if pending.remove(&record.key).is_some() {
                self.record(record.key)?.into_iter().for_each(&mut visit);
            } else {
                visit(record);
            }
        }
        for key in pending.into_keys() {
            self.record(key)?.into_iter().for_each(&mut visit);
        }
        Ok(())
    }

    fn pending_where(&self, is_meant: impl Fn(&RecordKey, Home) -> bool) -> BTreeMap<RecordKey, ()> {
        let state = self.state();
        let meant = state.pending.iter().filter(|(key, pending)| is_meant(key, pending.home));
        meant.map(|(key, _)| (*key, ())).collect()
    }

    fn unsent(&self, seq: OpSeq) -> Result<Option<Op>, StoreError> {
        let Some(bytes) = self.engine.get(&keys::outbox(seq))? else { return Ok(None) };
        Ok(Some(stored::decode_op(&bytes).map_err(StoreFault::decode(format!("save {}", seq.0)))?))
    }

    /// The save state of a record; `None` if this device knows no such record. A change that was sent and not answered
    /// yet is [`SaveState::Sent`].
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn save_state(&self, key: RecordKey) -> Result<Option<SaveState>, StoreError> {
        {
            let state = self.state();
            if let Some(ids) = state.rejected_ops.get(&key) {
                return Ok(Some(SaveState::Rejected(ids.clone())));
            }
            if let Some(last) = state.pending.get(&key).and_then(|pending| pending.seqs.last()) {
                let meta = &state.meta;
                return Ok(Some(match *last {
                    last if last <= meta.applied_through => SaveState::Confirmed,
                    last if last <= meta.sent_through => SaveState::Sent,
                    _ => SaveState::Saved,
                }));
            }
        }
        Ok(self.engine.contains(&keys::record(key))?.then_some(SaveState::Confirmed))
    }
}
