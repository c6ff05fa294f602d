//! The store's part in a reconciliation: digests of what it holds, and repairs. The server is authoritative for what it
//! confirmed; waiting and rejected ops are not compared.

use std::collections::BTreeSet;

use xundian_protocol::digest::Digest;
use xundian_protocol::limits::RECONCILE_RECORDS_MAX;
use xundian_protocol::record::{Home, RecordKey};
use xundian_protocol::sync::client::RecordDigests;
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::Repair;

use super::engine::Batch;
use super::keys::{self, MetaKey};
use super::{Store, StoreError, StoreFault, put_number};

/// The digest of an index entry without its record.
const NO_RECORD: Digest = Digest(1);

impl Store {
    /// Every home of the scope with the digest of its confirmed records. Settled saves must be folded before.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn digests(&self) -> Result<Vec<(Home, Digest)>, StoreError> {
        let mut homes: Vec<_> =
            self.standing().homes.into_iter().map(|home| (home, Digest::default())).collect();
        // Records are ordered by key, so those of a home are far apart. The indexes of all homes are read first, then
        // all records from front to back, so that no page is read twice.
        let mut listed: Vec<(RecordKey, usize)> = Vec::new();
        for (at, (home, _)) in homes.iter().enumerate() {
            for entry in self.engine.scan_prefix(&keys::indexed_prefix(*home, None)) {
                let record = keys::record_of_index(&entry?.0);
                listed.push((record.ok_or_else(|| StoreFault::malformed("index of homes"))?, at));
            }
        }
        listed.sort_unstable();
        let mut listed = listed.into_iter().peekable();
        for entry in self.engine.scan_prefix(&[keys::RECORD]) {
            let (key, bytes) = entry?;
            let Some(record) = keys::record_of_key(&key) else { continue };
            while let Some((missing, at)) = listed.next_if(|(listed, _)| *listed <= record) {
                homes[at].1 += if missing == record { Digest::of_record(&bytes) } else { NO_RECORD };
            }
        }
        listed.for_each(|(_, at)| homes[at].1 += NO_RECORD);
        Ok(homes)
    }

    /// The digests of a home's confirmed records after a key, as many as fit into one frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn held_records(
        &self,
        home: Home,
        after: Option<RecordKey>,
    ) -> Result<RecordDigests, StoreError> {
        let mut behind = self.records_behind(home, after);
        let told = behind.by_ref().take(RECONCILE_RECORDS_MAX);
        let told = told.map(|record| record.map(|(key, digest)| (key, digest.short())));
        let records = told.collect::<Result<Vec<_>, StoreError>>()?;
        let through = records.last().map(|(key, _)| *key).filter(|_| behind.next().is_some());
        Ok(RecordDigests { through, records })
    }

    /// The confirmed records of a home after a key, by key.
    fn records_behind(
        &self,
        home: Home,
        after: Option<RecordKey>,
    ) -> impl Iterator<Item = Result<(RecordKey, Digest), StoreError>> + '_ {
        // The least key after one is that key followed by a zero byte.
        let from = after.map_or_else(
            || keys::indexed_prefix(home, None),
            |after| [&keys::indexed(home, after)[..], &[0]].concat(),
        );
        let to = [&keys::indexed_prefix(home, None)[..], &[u8::MAX; 19]].concat();
        self.engine.scan_range(&from, &to).map(|entry| {
            let key =
                keys::record_of_index(&entry?.0).ok_or_else(|| StoreFault::malformed("index of homes"))?;
            let bytes = self.engine.get(&keys::record(key))?;
            Ok((key, bytes.map_or(NO_RECORD, |bytes| Digest::of_record(&bytes))))
        })
    }

    /// Replaces records by what the server holds, in one commit. Returns the number of records that changed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn repair(&self, repair: &Repair) -> Result<u64, StoreError> {
        let writer = self.write_lock();
        let mut batch = Batch::default();
        let mut kinds = BTreeSet::new();
        let mut hlc = self.hlc();
        if !self.holds(repair.home) {
            return Ok(0);
        }
        for key in &repair.gone {
            batch.remove(keys::indexed(repair.home, *key));
            // A record of another home was only indexed here as well.
            let standing = self.engine.get(&keys::record(*key))?;
            let elsewhere = standing.and_then(|bytes| stored::decode_record(&bytes).ok());
            if elsewhere.is_none_or(|record| record.home == repair.home) {
                batch.remove(keys::record(*key));
            }
            kinds.insert(key.kind);
        }
        for record in repair.records.iter().filter(|record| record.home == repair.home) {
            hlc = hlc.max(record.newest().map_or(hlc, |stamp| stamp.hlc));
            self.put_confirmed(&mut batch, record, true);
            kinds.insert(record.key.kind);
        }
        put_number(&mut batch, MetaKey::Hlc, hlc.0);
        self.engine.recount()?;
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.hlc = state.meta.hlc.max(hlc);
        state.touch(kinds);
        drop(state);
        drop(writer);
        Ok((repair.records.len() + repair.gone.len()) as u64)
    }

    /// When the store last agreed with the server, by the device's clock.
    pub(crate) fn last_reconciled_ms(&self) -> Option<i64> {
        self.state().meta.last_reconciled_ms
    }

    /// Notes that it agrees.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_reconciled(&self, at_ms: i64) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let mut batch = Batch::default();
        put_number(&mut batch, MetaKey::LastCheck, at_ms.cast_unsigned());
        self.engine.commit(batch)?;
        self.state_mut().meta.last_reconciled_ms = Some(at_ms);
        drop(writer);
        Ok(())
    }
}
