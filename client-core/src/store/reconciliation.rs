//! What the store holds, for a check against the server, and putting right what differs. The server is the truth for
//! what it confirmed; saves in the outbox and in the tray are not looked at.

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

/// An entry of a home's index without a record behind it.
const NO_RECORD: Digest = Digest(1);

impl Store {
    /// Every home of the scope with the digest of its confirmed records. What is settled must be folded before.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn digests(&self) -> Result<Vec<(Home, Digest)>, StoreError> {
        let mut homes: Vec<_> =
            self.standing().homes.into_iter().map(|home| (home, Digest::default())).collect();
        // Records lie in the order of their keys, those of a home far apart. So the lists of all homes are read, then all
        // records from front to back, and no page twice.
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

    /// The confirmed records of a home behind one, as many as one frame tells.
    ///
    /// # Errors
    /// Where the store cannot be read.
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

    /// The confirmed records of a home behind one, by key.
    fn records_behind(
        &self,
        home: Home,
        after: Option<RecordKey>,
    ) -> impl Iterator<Item = Result<(RecordKey, Digest), StoreError>> + '_ {
        // The least key after one is that key and a zero byte.
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

    /// Puts what the server holds in the place of what stands here, all in one commit. Returns how many records that
    /// changed.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
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
            // One that is there for another home was only listed here as well.
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
        self.engine.count_anew()?;
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.hlc = state.meta.hlc.max(hlc);
        state.touch(kinds);
        drop(state);
        drop(writer);
        Ok((repair.records.len() + repair.gone.len()) as u64)
    }

    /// When what the store holds last agreed with the server, by the device's clock.
    pub(crate) fn last_reconciled_ms(&self) -> Option<i64> {
        self.state().meta.last_reconciled_ms
    }

    /// Notes that it agrees.
    ///
    /// # Errors
    /// Where the store cannot be written.
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
