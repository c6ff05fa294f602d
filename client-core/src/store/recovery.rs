//! Recovery from a server that has lost data because it was restored from an older backup. Ops that this device sent
//! are kept for a while after they were confirmed, and wait again. Records of others stay readable until everything
//! that the server still has was pulled again (docs/adr/0015).

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use xundian_protocol::ids::{ContentHash, DeviceNo, FeedSeq, OpSeq};
use xundian_protocol::record::{Op, RecordKey};
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Resume, Resumed};

use super::confirmed::decode_record;
use super::engine::Batch;
use super::keys::{self, MetaKey};
use super::outbox::decode_op;
use super::{Picture, RejectedId, State, Store, StoreError, StoreFault, Turn, put_number};

/// The number of saves that are kept after they were confirmed: two months of a merchandiser's work, about 3 MB. If a
/// server has lost more, it can get none of them back from this device. Those of the device's previous number are kept
/// as well, for a backup that is older than the present number.
pub(super) const SENT_OPS_KEPT: u64 = 10_000;

/// Lost records that one batch removes.
const DROPPED_RECORDS_PER_BATCH: usize = 2048;

/// What a recovery changes, besides the saves themselves.
pub(super) struct Recovered {
    stale: BTreeSet<RecordKey>,
    rejected_ops: Vec<RejectedId>,
    pictures: Vec<(ContentHash, Picture)>,
}

impl Store {
    /// The device's feed position.
    pub(crate) fn resume(&self) -> Resume {
        let state = self.state();
        let places = state.held.values().flatten().copied();
        Resume { epoch: state.meta.epoch, reached: places.fold(state.meta.cursor, FeedSeq::max) }
    }

    /// Notes the feed's epoch. If the device may not continue from its position, the cursor is reset to the beginning.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn resumed(&self, resumed: Resumed) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let Resumed { epoch, continues } = resumed;
        if continues && epoch == self.state().meta.epoch {
            return Ok(());
        }
        let mut batch = Batch::default();
        let recovered = if continues { None } else { Some(self.recover_what_else(&mut batch, &[])?) };
        batch.put(keys::meta(MetaKey::Epoch), epoch.0);
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.epoch = epoch;
        if let Some(recovered) = recovered {
            state.note_recovered(recovered);
        }
        drop(state);
        drop(writer);
        Ok(())
    }

    /// Queues everything again that the server confirmed and has lost, under its old numbers, and resets the cursor to
    /// the beginning of the feed. Rejected ops among them are removed; they return if they are rejected again. Returns
    /// the number of saves, or `None` if they are no longer here; then nothing has changed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn recover(&self, applied_through: OpSeq) -> Result<Option<u64>, StoreError> {
        let mut writer = self.write_lock();
        self.fold_settled_locked(&mut writer)?;
        let confirmed_through = self.applied_through();
        let lost = self.sent_after(applied_through)?;
        let count = confirmed_through.0.saturating_sub(applied_through.0);
        if lost.len() as u64 != count {
            return Ok(None);
        }
        let mut batch = Batch::default();
        for op in &lost {
            batch.remove(keys::sent(op.stamp.device, op.seq));
            batch.put(keys::outbox(op.seq), stored::encode_op(op));
        }
        put_number(&mut batch, MetaKey::NextSeq, self.next_seq().0);
        put_number(&mut batch, MetaKey::AppliedThrough, applied_through.0);
        let recovered = self.recover_what_else(&mut batch, &lost)?;
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta.applied_through = applied_through;
        state.note_waiting_again(&lost);
        state.note_recovered(recovered);
        drop(state);
        drop(writer);
        Ok(Some(count))
    }

    /// The kept saves of the present number after one of them, in order.
    fn sent_after(&self, seq: OpSeq) -> Result<Vec<Op>, StoreError> {
        let Some(device) = self.identity().map(|identity| identity.device) else { return Ok(Vec::new()) };
        let end = keys::sent(DeviceNo(device.0.saturating_add(1)), OpSeq(0));
        let kept = self.engine.scan_range(&keys::sent(device, seq.next()), &end);
        kept.map(|entry| decode_op(&entry?.1)).collect()
    }

    /// All kept saves, those of the previous number first.
    pub(super) fn sent(&self) -> Result<Vec<Op>, StoreError> {
        let kept = self.engine.scan_prefix(&[keys::SENT]);
        kept.map(|entry| decode_op(&entry?.1)).collect()
    }

    /// Drops the oldest kept saves of a number beyond the limit, a few at a time.
    pub(super) fn forget_sent(&self, batch: &mut Batch, last: &Op, at_once: usize) -> Result<(), StoreError> {
        let device = last.stamp.device;
        let end = OpSeq(last.seq.0.saturating_sub(SENT_OPS_KEPT)).next();
        let (from, to) = (keys::sent(device, OpSeq(0)), keys::sent(device, end));
        for entry in self.engine.scan_range(&from, &to).take(at_once) {
            batch.remove(entry?.0);
        }
        Ok(())
    }

    /// Notes whether the server knows this device. If it does not, the next invitation makes all kept saves wait again,
    /// whatever happens in between, until the server knows the device.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_forgotten(&self, is_forgotten: bool) -> Result<(), StoreError> {
        let writer = self.write_lock();
        if self.state().meta.is_forgotten == is_forgotten {
            return Ok(());
        }
        let mut batch = Batch::default();
        let key = keys::meta(MetaKey::Forgotten);
        if is_forgotten {
            batch.put(key, [])
        } else {
            batch.remove(key)
        }
        self.engine.commit(batch)?;
        self.state_mut().meta.is_forgotten = is_forgotten;
        drop(writer);
        Ok(())
    }

    /// The changes that accompany all kept saves when they wait again under new numbers.
    pub(super) fn recover_all(&self, batch: &mut Batch) -> Result<Recovered, StoreError> {
        let lost = self.sent()?;
        self.recover_what_else(batch, &lost)
    }

    /// The changes that accompany saves that wait again: rejected ops are removed, the server may have lost pictures
    /// too, and its feed is another one.
    fn recover_what_else(&self, batch: &mut Batch, lost: &[Op]) -> Result<Recovered, StoreError> {
        let lost: BTreeSet<RejectedId> =
            lost.iter().map(|op| RejectedId { device: op.stamp.device, seq: op.seq }).collect();
        let rejected_ops: Vec<RejectedId> =
            self.state().rejected_ops.values().flatten().filter(|id| lost.contains(id)).copied().collect();
        rejected_ops.iter().for_each(|id| batch.remove(keys::rejected(*id)));
        Ok(Recovered { stale: self.start_over(batch)?, rejected_ops, pictures: self.offer_again(batch) })
    }

    /// Marks every home as behind, at the very beginning, because the device is sent its own writes only for such
    /// homes. Marks every confirmed record as stale until it is pulled again.
    fn start_over(&self, batch: &mut Batch) -> Result<BTreeSet<RecordKey>, StoreError> {
        let mut stale = BTreeSet::new();
        // Old marks, whose records may have been removed with their home, must not apply to records that return.
        for entry in self.engine.scan_prefix(&[keys::STALE]) {
            batch.remove(entry?.0);
        }
        // The indexes of homes contain the same keys, and need no values to be read.
        for entry in self.engine.scan_prefix(&[keys::HOME_INDEX]) {
            let (key, _) = entry?;
            let record =
                keys::record_of_index(&key).ok_or_else(|| StoreFault::malformed("index of homes"))?;
            batch.put(keys::stale(record), []);
            stale.insert(record);
        }
        put_number(batch, MetaKey::Cursor, 0);
        for home in self.state().held.keys() {
            batch.put(keys::home_key(keys::HELD_HOME, *home), 0u64.to_be_bytes());
        }
        Ok(stale)
    }

    /// Whether a record is from a feed that was lost and was not pulled again yet.
    pub(super) fn is_stale(&self, record: RecordKey) -> bool {
        self.state().stale.contains(&record)
    }

    /// Removes the records that were not pulled again, after a complete pull: the server has lost them.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn drop_stale(&self) -> Result<(), StoreError> {
        let mut writer = self.write_lock();
        loop {
            let some: Vec<RecordKey> =
                self.state().stale.iter().take(DROPPED_RECORDS_PER_BATCH).copied().collect();
            if some.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            for record in &some {
                batch.remove(keys::stale(*record));
                if let Some(bytes) = self.engine.get(&keys::record(*record))? {
                    batch.remove(keys::record(*record));
                    batch.remove(keys::indexed(decode_record(&bytes)?.home, *record));
                }
            }
            self.engine.commit(batch)?;
            let mut state = self.state_mut();
            some.iter().for_each(|record| _ = state.stale.remove(record));
            state.touch(some.iter().map(|record| record.kind));
            drop(state);
            Turn::bump(&mut writer);
        }
        drop(writer);
        Ok(())
    }
}

impl State {
    pub(super) fn note_recovered(&mut self, recovered: Recovered) {
        let Recovered { stale, rejected_ops, pictures } = recovered;
        rejected_ops.into_iter().for_each(|id| self.forget_rejected(id));
        self.pictures.extend(pictures);
        self.note_beginning(stale);
    }

    fn note_beginning(&mut self, stale: BTreeSet<RecordKey>) {
        self.stale = stale;
        self.meta.cursor = FeedSeq(0);
        self.held.values_mut().for_each(|behind| *behind = Some(FeedSeq(0)));
    }

    /// Puts saves that wait again before those of the same record that wait anyway.
    fn note_waiting_again(&mut self, lost: &[Op]) {
        for op in lost {
            self.note_pending(op.record, op.home, op.seq);
        }
        self.touch(lost.iter().map(|op| op.record.kind));
        for op in lost {
            if let Some(pending) = self.pending.get_mut(&op.record) {
                pending.seqs.sort_unstable();
            }
        }
    }
}
