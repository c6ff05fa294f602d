//! The outbox: saves wait in it until a receipt settles or rejects them. Settled saves are folded into the confirmed
//! records afterwards.

use std::collections::BTreeMap;

use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::limits::{BATCH_OPS_MAX, OUTBOX_OPS_MAX, bytes_in_frame};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Receipt, Rejection};

use super::engine::Batch;
use super::keys::{self, MetaKey};
use super::{Attached, OpenVisit, Rejected, RejectedId, Store, StoreError, StoreFault, Turn, put_number};

/// Settled saves that one batch folds into their records.
const FOLDED_OPS_PER_BATCH: usize = BATCH_OPS_MAX;

/// The content of one save.
#[derive(Debug, Default)]
pub(crate) struct Save {
    /// The ops, numbered from [`Store::next_seq`] on.
    pub(crate) ops: Vec<Op>,
    /// A visit that this save opens.
    pub(crate) opens: Option<OpenVisit>,
    /// A visit that it ends.
    pub(crate) closes: Option<xundian_protocol::ids::RecordId>,
    /// A rejected op that it sends again.
    pub(crate) resends: Option<RejectedId>,
    /// A picture that is sent after the save is merged. Its file is durable already.
    pub(crate) attaches: Option<Attached>,
}

/// The effect of a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ReceiptOutcome {
    /// Saves that the server merged.
    pub(crate) merged: u64,
    /// Saves that the server rejected.
    pub(crate) rejected: u64,
}

impl Store {
    /// Writes a save atomically, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// Returns an error if the outbox is full, the numbers are not the next ones, or the store cannot be written.
    /// Nothing was saved then.
    pub(crate) fn save(&self, save: Save) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let (mut next, unsent) = (self.next_seq(), self.unsent_ops());
        if unsent + save.ops.len() as u64 > OUTBOX_OPS_MAX {
            return Err(StoreFault::OutboxFull { unsent }.into());
        }
        let mut batch = Batch::default();
        for op in &save.ops {
            if op.seq != next {
                return Err(StoreFault::OutOfOrder { expected: next, found: op.seq }.into());
            }
            batch.put(keys::outbox(op.seq), stored::encode_op(op));
            next = next.next();
        }
        if let Some(open) = &save.opens {
            batch.put(keys::open_visit(open.visit), [&open.mono_ms.to_be_bytes()[..], &open.boot].concat());
        }
        if let Some(visit) = save.closes {
            batch.remove(keys::open_visit(visit));
        }
        if let Some(id) = save.resends {
            batch.remove(keys::rejected(id));
        }
        let picture = save.attaches.map(|attached| (attached.hash, self.attach(&mut batch, &attached)));
        self.engine.commit(batch)?;
        self.note_saved(&save, next);
        self.state_mut().pictures.extend(picture);
        drop(writer);
        Ok(())
    }

    fn note_saved(&self, save: &Save, next: OpSeq) {
        let mut state = self.state_mut();
        state.meta.next_seq = next;
        for op in &save.ops {
            state.note_pending(op.record, op.home, op.seq);
            state.touch([op.record.kind]);
            state.meta.hlc = state.meta.hlc.max(op.stamp.hlc);
        }
        state.open_visits.extend(save.opens);
        if let Some(visit) = save.closes {
            state.open_visits.retain(|open| open.visit != visit);
        }
        if let Some(id) = save.resends {
            state.forget_rejected(id);
        }
    }

    /// The visits that were opened on this device and are not closed.
    pub(crate) fn open_visits(&self) -> Vec<OpenVisit> {
        self.state().open_visits.clone()
    }

    /// The last save that the server has confirmed, merged or rejected.
    pub(crate) fn applied_through(&self) -> OpSeq {
        self.state().meta.applied_through
    }

    /// The number of saves that wait to be sent.
    pub(crate) fn unsent_ops(&self) -> u64 {
        let state = self.state();
        state.meta.next_seq.0 - 1 - state.meta.applied_through.0
    }

    /// The oldest save that waits to be sent.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub(crate) fn oldest_unsent(&self) -> Result<Option<Op>, StoreError> {
        self.waiting(self.state().meta.applied_through.next())
    }

    /// The waiting saves from a number on, as many as fit into one push of this many bytes.
    ///
    /// A save that is durable but has not returned yet is not included: it does not count before it has returned, and
    /// sent saves are noted by the numbers that count.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn unsent_from(&self, from: OpSeq, bytes_target: usize) -> Result<Vec<Op>, StoreError> {
        let mut ops = Vec::new();
        let mut bytes_taken = 0;
        let (applied_through, next_seq) = {
            let meta = &self.state().meta;
            (meta.applied_through, meta.next_seq)
        };
        let from = from.max(applied_through.next());
        for entry in self.engine.scan_range(&keys::outbox(from), &keys::outbox(next_seq)) {
            let (_, bytes) = entry?;
            let op = decode_op(&bytes)?;
            bytes_taken += bytes_in_frame(bytes.len(), op.writes.len());
            ops.push(op);
            if ops.len() >= BATCH_OPS_MAX || bytes_taken >= bytes_target {
                leave_last_group(&mut ops);
                break;
            }
        }
        Ok(ops)
    }

    /// Commits a receipt: the saves that it names are settled and no longer wait; rejected ones are kept apart.
    /// Committing the same receipt again has no effect.
    ///
    /// Settled saves stay in the outbox, and readers see them as before, until [`Self::fold_settled`] moves them into
    /// their records. So a receipt for thousands of saves is one small commit.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn receive(&self, receipt: &Receipt) -> Result<ReceiptOutcome, StoreError> {
        let writer = self.write_lock();
        let (before, next_seq, hlc) = {
            let state = self.state();
            (state.meta.applied_through, state.meta.next_seq, state.meta.hlc)
        };
        let through = receipt.through.min(OpSeq(next_seq.0.saturating_sub(1)));
        if through <= before {
            return Ok(ReceiptOutcome::default());
        }
        let is_news = |seq: OpSeq| before < seq && seq <= through;
        // A receipt that names one save twice rejects it once.
        let refused: BTreeMap<OpSeq, &Rejection> =
            receipt.rejections.iter().map(|rejection| (rejection.seq, rejection)).collect();
        let mut batch = Batch::default();
        for (seq, hlc) in receipt.restamped.iter().filter(|(seq, _)| is_news(*seq)) {
            if let Some(mut op) = self.waiting(*seq)? {
                op.stamp.hlc = *hlc;
                batch.put(keys::outbox(*seq), stored::encode_op(&op));
            }
        }
        let mut rejected = Vec::new();
        for rejection in refused.into_values().filter(|rejection| is_news(rejection.seq)) {
            if let Some(op) = self.waiting(rejection.seq)? {
                keep_sent(&mut batch, &op);
                let id = RejectedId { device: op.stamp.device, seq: op.seq };
                let value = Rejected::encode(rejection.why, &rejection.message, &stored::encode_op(&op));
                batch.put(keys::rejected(id), value);
                rejected.push((op.record, id));
            }
        }
        let left = self.state().settled_out_of_scope(through);
        for (_, seq) in &left {
            if let Some(mut op) = self.waiting(*seq)? {
                let moment = receipt.restamped.iter().find(|(of, _)| of == seq);
                op.stamp.hlc = moment.map_or(op.stamp.hlc, |(_, moment)| *moment);
                keep_sent(&mut batch, &op);
            }
        }
        put_number(&mut batch, MetaKey::NextSeq, next_seq.0);
        put_number(&mut batch, MetaKey::Hlc, hlc.0);
        put_number(&mut batch, MetaKey::AppliedThrough, through.0);
        self.engine.commit(batch)?;
        for (record, seq) in left {
            let mut state = self.state_mut();
            state.forget_pending(record, |found| found == seq);
            state.touch([record.kind]);
        }
        let all = through.0 - before.0;
        let outcome = ReceiptOutcome { merged: all - rejected.len() as u64, rejected: rejected.len() as u64 };
        self.note_settled(rejected, through);
        drop(writer);
        Ok(outcome)
    }

    fn note_settled(&self, rejected: Vec<(RecordKey, RejectedId)>, through: OpSeq) {
        let mut state = self.state_mut();
        let settled = state.kinds_pending(|seq| seq <= through);
        state.touch(settled);
        state.meta.applied_through = through;
        for (record, id) in rejected {
            state.forget_pending(record, |seq| seq == id.seq);
            state.rejected_ops.entry(record).or_default().push(id);
        }
    }

    /// Moves settled saves into their records, in bounded batches. Readers see no difference, and it may stop at any
    /// moment.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read or written.
    pub(crate) fn fold_settled(&self) -> Result<(), StoreError> {
        self.fold_settled_locked(&mut self.write_lock())
    }

    pub(super) fn fold_settled_locked(&self, writer: &mut Turn<'_>) -> Result<(), StoreError> {
        let end = keys::outbox(self.state().meta.applied_through.next());
        loop {
            let entries = self.engine.scan_range(&[keys::OUTBOX], &end).take(FOLDED_OPS_PER_BATCH);
            let ops = entries.map(|entry| decode_op(&entry?.1)).collect::<Result<Vec<Op>, StoreError>>()?;
            if ops.is_empty() {
                return Ok(());
            }
            self.fold(&ops)?;
            Turn::bump(writer);
        }
    }

    fn fold(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut merged: BTreeMap<RecordKey, (Record, bool)> = BTreeMap::new();
        for op in ops {
            keep_sent(&mut batch, op);
            // The server has it. What left the scope meanwhile is not kept here.
            if !self.state().keeps(op.home) {
                continue;
            }
            match merged.get_mut(&op.record) {
                Some((record, _)) => _ = record.apply(op),
                None => _ = merged.insert(op.record, self.confirmed_with(op)?),
            }
        }
        for (record, is_new) in merged.values() {
            self.put_confirmed(&mut batch, record, *is_new);
        }
        if let Some(last) = ops.last() {
            self.forget_sent(&mut batch, last, 2 * FOLDED_OPS_PER_BATCH)?;
        }
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        for op in ops {
            state.forget_pending(op.record, |seq| seq == op.seq);
            if !state.keeps(op.home) {
                state.touch([op.record.kind]);
            }
        }
        Ok(())
    }

    /// The number of settled saves that are not folded yet.
    pub(crate) fn settled_ops(&self) -> u64 {
        let state = self.state();
        let through = state.meta.applied_through;
        state.pending.values().map(|p| p.seqs.iter().filter(|seq| **seq <= through).count() as u64).sum()
    }

    fn waiting(&self, seq: OpSeq) -> Result<Option<Op>, StoreError> {
        self.engine.get(&keys::outbox(seq))?.map(|bytes| decode_op(&bytes)).transpose()
    }

    /// The confirmed record with an op merged in, and whether there was none before.
    fn confirmed_with(&self, op: &Op) -> Result<(Record, bool), StoreError> {
        let standing = self.confirmed(op.record)?;
        let is_new = standing.is_none();
        let mut record = standing.unwrap_or_else(|| Record::empty(op.record, op.home));
        let _conflicts_are_the_servers = record.apply(op);
        Ok((record, is_new))
    }

    /// The greatest number that was ever passed to the network.
    pub(crate) fn sent_through(&self) -> OpSeq {
        self.state().meta.sent_through
    }

    /// Notes that saves up to a number are about to be sent. It is durable before they are sent. A server that has more
    /// than this store ever sent has it from another life of the store.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_sending(&self, through: OpSeq) -> Result<(), StoreError> {
        let writer = self.write_lock();
        if through > self.sent_through() {
            let mut batch = Batch::default();
            put_number(&mut batch, MetaKey::SentThrough, through.0);
            self.engine.commit(batch)?;
            let mut state = self.state_mut();
            let sent = state.kinds_pending(|seq| state.meta.sent_through < seq);
            state.touch(sent);
            state.meta.sent_through = through;
        }
        drop(writer);
        Ok(())
    }

    /// Notes a moment of the hybrid clock that another device or the server made.
    pub(crate) fn note_hlc(&self, seen: Hlc) {
        // It becomes durable with the next receipt or change; until then the outbox holds what matters.
        let mut state = self.state_mut();
        state.meta.hlc = state.meta.hlc.max(seen);
    }

    /// All rejected ops, oldest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn rejected(&self) -> Result<Vec<Rejected>, StoreError> {
        let decode = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            let id = keys::rejected_of(&key).ok_or_else(|| StoreFault::malformed("rejected ops"))?;
            Ok(Rejected::decode(id, &bytes)?)
        };
        self.engine.scan_prefix(&[keys::REJECTED]).map(|entry| decode(entry?)).collect()
    }

    /// One rejected op.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub(crate) fn rejected_save(&self, id: RejectedId) -> Result<Option<Rejected>, StoreError> {
        let bytes = self.engine.get(&keys::rejected(id))?;
        Ok(bytes.map(|bytes| Rejected::decode(id, &bytes)).transpose()?)
    }

    /// Drops a rejected op. Returns whether there was one. A picture that no record names any more is then loose.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn drop_rejected(&self, id: RejectedId) -> Result<bool, StoreError> {
        let writer = self.write_lock();
        let Some(Rejected { op, .. }) = self.rejected_save(id)? else { return Ok(false) };
        let mut batch = Batch::default();
        batch.remove(keys::rejected(id));
        let was_all = self.state().is_all_of(id, op.record) && self.confirmed(op.record)?.is_none();
        let pictures = if was_all { self.unname(&mut batch, op.record) } else { Vec::new() };
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.forget_rejected(id);
        state.pictures.extend(pictures);
        drop(state);
        drop(writer);
        Ok(true)
    }
}

/// Leaves the ops that share the last one's record id to the next push, because more of them may follow: a visit, its
/// shelf and its count take fewer bytes in one frame than in two.
fn leave_last_group(ops: &mut Vec<Op>) {
    let last = ops.last().map(|op| op.record.id);
    if let Some(before) = ops.iter().rposition(|op| Some(op.record.id) != last) {
        ops.truncate(before + 1);
    }
}

/// Keeps a confirmed save, in case the server loses it.
fn keep_sent(batch: &mut Batch, op: &Op) {
    batch.remove(keys::outbox(op.seq));
    batch.put(keys::sent(op.stamp.device, op.seq), stored::encode_op(op));
}

pub(super) fn decode_op(bytes: &[u8]) -> Result<Op, StoreError> {
    Ok(stored::decode_op(bytes).map_err(StoreFault::decode("outbox"))?)
}

impl super::State {
    /// Saves up to a number whose home is no longer in scope. The server has them, and they are not kept.
    fn settled_out_of_scope(&self, through: OpSeq) -> Vec<(RecordKey, OpSeq)> {
        let left = self.pending.iter().filter(|(_, pending)| !self.keeps(pending.home));
        let saves = left.flat_map(|(record, pending)| pending.seqs.iter().map(|seq| (*record, *seq)));
        saves.filter(|(_, seq)| *seq <= through).collect()
    }

    /// Whether a rejected op is all there is of a record, besides its confirmed part.
    fn is_all_of(&self, id: RejectedId, record: RecordKey) -> bool {
        let is_alone = self.rejected_ops.get(&record).is_none_or(|ids| ids.iter().all(|found| *found == id));
        is_alone && !self.pending.contains_key(&record)
    }

    fn forget_pending(&mut self, record: RecordKey, is_gone: impl Fn(OpSeq) -> bool) {
        if let Some(pending) = self.pending.get_mut(&record) {
            pending.seqs.retain(|seq| !is_gone(*seq));
            if pending.seqs.is_empty() {
                self.pending.remove(&record);
            }
        }
    }

    pub(super) fn forget_rejected(&mut self, id: RejectedId) {
        let held = self.rejected_ops.iter().find(|(_, ids)| ids.contains(&id)).map(|(record, _)| record.kind);
        self.touch(held);
        for ids in self.rejected_ops.values_mut() {
            ids.retain(|found| *found != id);
        }
        self.rejected_ops.retain(|_, ids| !ids.is_empty());
    }
}
