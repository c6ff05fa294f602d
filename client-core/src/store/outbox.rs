//! Saves, and what becomes of them: they wait in the outbox until a receipt merges them into the confirmed
//! record or lays them into the rejected tray.

use std::collections::{BTreeMap, HashMap};

use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::limits::{BATCH_OPS_MAX, BATCH_PLAIN_BYTES_TARGET, OUTBOX_OPS_MAX};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Receipt, Rejection};

use super::engine::Batch;
use super::keys::{self, MetaKey};
use super::{OpenVisit, Rejected, RejectedId, Store, StoreError, StoreFault, put_number};

/// Ops that one batch of a receipt moves. A longer receipt is done in several; each op moves in one.
const RECEIPT_OPS_PER_BATCH: usize = BATCH_OPS_MAX;

/// What one save writes.
#[derive(Debug, Default)]
pub(crate) struct Save {
    /// The ops, numbered from [`Store::next_seq`] on.
    pub(crate) ops: Vec<Op>,
    /// A visit that begins with this save.
    pub(crate) opens: Option<OpenVisit>,
    /// A visit that ends with it.
    pub(crate) closes: Option<xundian_protocol::ids::RecordId>,
    /// A rejected save that it sends again.
    pub(crate) resends: Option<RejectedId>,
}

/// A receipt, op by op.
struct Verdicts<'a> {
    rejections: HashMap<OpSeq, &'a Rejection>,
    /// The moment that the server put in the place of one that lay in the future.
    restamped: HashMap<OpSeq, Hlc>,
}

/// What a receipt did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ReceiptOutcome {
    /// Saves that the server merged.
    pub(crate) merged: u64,
    /// Saves that went to the rejected tray.
    pub(crate) rejected: u64,
}

impl Store {
    /// Writes a save, all of it or nothing, and returns when it is durable.
    ///
    /// # Errors
    /// Where the outbox is full, the numbers are not the next ones, or the store cannot be written. Nothing
    /// was saved then.
    pub(crate) fn save(&self, save: Save) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let (mut next, unsent) = {
            let state = self.state();
            (state.meta.next_seq, state.pending_ops)
        };
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
        self.engine.commit(batch)?;
        self.note_saved(&save, next);
        drop(writer);
        Ok(())
    }

    fn note_saved(&self, save: &Save, next: OpSeq) {
        let mut state = self.state_mut();
        state.meta.next_seq = next;
        for op in &save.ops {
            state.note_pending(op.record, op.home, op.seq);
            state.pending_ops += 1;
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

    /// The visits that were opened on this device and not closed.
    pub(crate) fn open_visits(&self) -> Vec<OpenVisit> {
        self.state().open_visits.clone()
    }

    /// How many saves wait to be sent.
    pub(crate) fn unsent_ops(&self) -> u64 {
        self.state().pending_ops
    }

    /// The oldest save that waits to be sent.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn oldest_unsent(&self) -> Result<Option<Op>, StoreError> {
        match self.engine.scan_prefix(&[keys::OUTBOX]).next() {
            None => Ok(None),
            Some(entry) => Ok(Some(stored::decode_op(&entry?.1).map_err(StoreFault::decode("outbox"))?)),
        }
    }

    /// The waiting saves from a number on, as many as fit into one push.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn unsent_from(&self, from: OpSeq) -> Result<Vec<Op>, StoreError> {
        let mut ops = Vec::new();
        let mut bytes_taken = 0;
        for entry in self.engine.scan_range(&keys::outbox(from), &[keys::OUTBOX + 1]) {
            let (_, bytes) = entry?;
            ops.push(stored::decode_op(&bytes).map_err(StoreFault::decode("outbox"))?);
            bytes_taken += bytes.len();
            if ops.len() >= BATCH_OPS_MAX || bytes_taken >= BATCH_PLAIN_BYTES_TARGET {
                break;
            }
        }
        Ok(ops)
    }

    /// Commits a receipt: the ops that it names leave the outbox, merged or rejected. Committing the same
    /// receipt again does nothing.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub(crate) fn receive(&self, receipt: &Receipt) -> Result<ReceiptOutcome, StoreError> {
        let writer = self.write_lock();
        let verdicts = Verdicts {
            rejections: receipt.rejections.iter().map(|rejection| (rejection.seq, rejection)).collect(),
            restamped: receipt.restamped.iter().copied().collect(),
        };
        let mut outcome = ReceiptOutcome::default();
        loop {
            let ops = self.outbox_through(receipt.through)?;
            if ops.is_empty() {
                break;
            }
            let moved = self.move_out(ops, &verdicts)?;
            outcome.merged += moved.merged;
            outcome.rejected += moved.rejected;
        }
        drop(writer);
        Ok(outcome)
    }

    fn outbox_through(&self, through: OpSeq) -> Result<Vec<(Op, Vec<u8>)>, StoreError> {
        let to = keys::outbox(OpSeq(through.0.saturating_add(1)));
        let entries = self.engine.scan_range(&[keys::OUTBOX], &to).take(RECEIPT_OPS_PER_BATCH);
        entries
            .map(|entry| {
                let (_, bytes) = entry?;
                Ok((stored::decode_op(&bytes).map_err(StoreFault::decode("outbox"))?, bytes))
            })
            .collect()
    }

    fn move_out(
        &self,
        mut ops: Vec<(Op, Vec<u8>)>,
        verdicts: &Verdicts<'_>,
    ) -> Result<ReceiptOutcome, StoreError> {
        let mut batch = Batch::default();
        let mut merged: BTreeMap<RecordKey, (Record, bool)> = BTreeMap::new();
        let mut rejected = Vec::new();
        let (mut through, mut merged_ops) = (OpSeq(0), 0);
        for (op, bytes) in &mut ops {
            through = op.seq;
            batch.remove(keys::outbox(op.seq));
            if let Some(rejection) = verdicts.rejections.get(&op.seq) {
                let id = RejectedId { device: op.stamp.device, seq: op.seq };
                let value = Rejected::encode(rejection.why, &rejection.message, bytes);
                batch.put(keys::rejected(id), value);
                rejected.push((op.record, id));
                continue;
            }
            merged_ops += 1;
            if let Some(hlc) = verdicts.restamped.get(&op.seq) {
                op.stamp.hlc = *hlc;
            }
            // The server has it; what left the scope meanwhile is not kept here.
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
        let (next_seq, hlc) = {
            let state = self.state();
            (state.meta.next_seq, state.meta.hlc)
        };
        put_number(&mut batch, MetaKey::NextSeq, next_seq.0);
        put_number(&mut batch, MetaKey::Hlc, hlc.0);
        put_number(&mut batch, MetaKey::AppliedThrough, through.0);
        self.engine.commit(batch)?;
        let outcome = ReceiptOutcome { merged: merged_ops, rejected: rejected.len() as u64 };
        self.note_moved(&ops, rejected, through);
        Ok(outcome)
    }

    /// The confirmed record with an op merged in, and whether there was none before.
    fn confirmed_with(&self, op: &Op) -> Result<(Record, bool), StoreError> {
        let standing = self.confirmed(op.record)?;
        let is_new = standing.is_none();
        let mut record = standing.unwrap_or_else(|| Record::empty(op.record, op.home));
        let _conflicts_are_the_servers = record.apply(op);
        Ok((record, is_new))
    }

    fn note_moved(&self, ops: &[(Op, Vec<u8>)], rejected: Vec<(RecordKey, RejectedId)>, through: OpSeq) {
        let mut state = self.state_mut();
        for (op, _) in ops {
            if let Some(pending) = state.pending.get_mut(&op.record) {
                pending.seqs.retain(|seq| *seq > through);
                if pending.seqs.is_empty() {
                    state.pending.remove(&op.record);
                }
            }
        }
        state.pending_ops = state.pending_ops.saturating_sub(ops.len() as u64);
        state.meta.applied_through = through;
        for (record, id) in rejected {
            state.tray.entry(record).or_default().push(id);
        }
    }

    /// The greatest number that was ever handed to the network.
    pub(crate) fn sent_through(&self) -> OpSeq {
        self.state().meta.sent_through
    }

    /// Notes that saves up to a number are about to be sent. It is durable before they are: a server that has
    /// more than this store ever sent has it from another life of the store.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(crate) fn note_sending(&self, through: OpSeq) -> Result<(), StoreError> {
        let writer = self.write_lock();
        if through > self.sent_through() {
            let mut batch = Batch::default();
            put_number(&mut batch, MetaKey::SentThrough, through.0);
            self.engine.commit(batch)?;
            self.state_mut().meta.sent_through = through;
        }
        drop(writer);
        Ok(())
    }

    /// Notes a moment of the hybrid clock that somebody else made.
    pub(crate) fn note_hlc(&self, seen: Hlc) {
        // It becomes durable with the next receipt or change; until then the outbox holds what matters.
        let mut state = self.state_mut();
        state.meta.hlc = state.meta.hlc.max(seen);
    }

    /// All rejected saves, oldest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn rejected(&self) -> Result<Vec<Rejected>, StoreError> {
        let decode = |(key, bytes): (Vec<u8>, Vec<u8>)| {
            let id = keys::rejected_of(&key).ok_or_else(|| StoreFault::malformed("rejected tray"))?;
            Ok(Rejected::decode(id, &bytes)?)
        };
        self.engine.scan_prefix(&[keys::REJECTED]).map(|entry| decode(entry?)).collect()
    }

    /// One rejected save.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn rejected_save(&self, id: RejectedId) -> Result<Option<Rejected>, StoreError> {
        let bytes = self.engine.get(&keys::rejected(id))?;
        Ok(bytes.map(|bytes| Rejected::decode(id, &bytes)).transpose()?)
    }

    /// Throws a rejected save away, once its author wants that. Returns whether there was one.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(crate) fn drop_rejected(&self, id: RejectedId) -> Result<bool, StoreError> {
        let writer = self.write_lock();
        if !self.engine.contains(&keys::rejected(id))? {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.remove(keys::rejected(id));
        self.engine.commit(batch)?;
        self.state_mut().forget_rejected(id);
        drop(writer);
        Ok(true)
    }
}

impl super::State {
    fn forget_rejected(&mut self, id: RejectedId) {
        for ids in self.tray.values_mut() {
            ids.retain(|found| *found != id);
        }
        self.tray.retain(|_, ids| !ids.is_empty());
    }
}
