//! The first plan: authorises each op, skips ops applied before, merges the rest, and writes the receipt.
//!
//! It knows no store and no clock. One invalid op never blocks the next.

use super::authorise::{Authoriser, Refused};
use super::batch::{Batch, ChangedRecord, Loaded};
use super::conflicts::FoundConflict;
use crate::store::{RejectedOp, StoredRecord};
use std::collections::HashMap;
use xundian_protocol::access::Directory;
use xundian_protocol::clock::{Clock, Hlc, Stamp, clamp_future};
use xundian_protocol::ids::{DeviceNo, OpSeq};
use xundian_protocol::kinds::Conflict;
use xundian_protocol::limits::{BATCH_CONFLICT_BYTES_TARGET, MESSAGE_BYTES_MAX};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::simulation::fault_injection::Bug;
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Receipt, Rejection};

/// The outcome of the batch.
pub(crate) struct Merged {
    /// Records that changed, ordered by their first op.
    pub(crate) changed: Vec<ChangedRecord>,
    /// The answer to the device.
    pub(crate) receipt: Receipt,
    /// Ops that were rejected.
    pub(crate) rejected: Vec<RejectedOp>,
    /// Ops of this batch whose stamps were replaced.
    pub(crate) restamped: Vec<(OpSeq, Hlc)>,
    /// Fields that two people wrote concurrently.
    pub(crate) conflicts: Vec<FoundConflict>,
}

/// Plans a batch. `clock` is the server's own; stamps in the future are replaced by it.
pub(crate) fn merge(batch: Batch, loaded: Loaded, directory: &Directory, clock: &mut Clock) -> Merged {
    let Batch { device, writer, ops, now_ms } = batch;
    let authoriser = Authoriser { directory, device, writer, now_ms };
    let mut read_set = ReadSet {
        stored: loaded.records,
        changed: Vec::new(),
        index: HashMap::new(),
        conflicts: Vec::new(),
        conflict_bytes: 0,
    };
    let mut receipt =
        Receipt { through: loaded.applied_through, rejections: loaded.rejected, restamped: loaded.restamped };
    let mut restamped = Vec::new();
    let mut rejected = Vec::new();
    for mut op in ops {
        let is_known = op.seq <= receipt.through;
        if is_known && !Bug::OpAppliedTwice.is_injected() {
            continue;
        }
        // After a gap, the missing ops must be sent first. After many conflicts, the rest is left to the next batch.
        if (!is_known && op.seq != receipt.through.next())
            || read_set.conflict_bytes >= BATCH_CONFLICT_BYTES_TARGET
        {
            break;
        }
        receipt.through = receipt.through.max(op.seq);
        let believed = clamp_future(op.stamp.hlc, now_ms);
        let restamp = believed != op.stamp.hlc;
        if let Err(mut refused) = authoriser.check(&op, |key| read_set.current(key)) {
            refused.message.truncate(refused.message.floor_char_boundary(MESSAGE_BYTES_MAX));
            rejected.push(rejection(&op, device, &refused, now_ms));
            receipt.rejections.push(Rejection { seq: op.seq, why: refused.why, message: refused.message });
            continue;
        }
        if restamp {
            op.stamp = Stamp { hlc: clock.tick(now_ms), device: op.stamp.device };
            restamped.push((op.seq, op.stamp.hlc));
        }
        read_set.apply(&op);
    }
    receipt.restamped.extend(&restamped);
    Merged { changed: read_set.changed, receipt, rejected, restamped, conflicts: read_set.conflicts }
}

fn rejection(op: &Op, device: DeviceNo, refused: &Refused, now_ms: i64) -> RejectedOp {
    RejectedOp {
        device,
        seq: op.seq,
        why: refused.why as u16,
        message: refused.message.clone(),
        at_ms: now_ms,
        op: stored::encode_op(op),
    }
}

/// The records that a batch names, in their current state within the batch.
struct ReadSet {
    stored: HashMap<RecordKey, StoredRecord>,
    changed: Vec<ChangedRecord>,
    index: HashMap<RecordKey, usize>,
    conflicts: Vec<FoundConflict>,
    conflict_bytes: usize,
}

impl ReadSet {
    fn current(&self, key: RecordKey) -> Option<&Record> {
        match self.index.get(&key) {
            Some(at) => Some(&self.changed[*at].new),
            None => self.stored.get(&key).map(|stored| &stored.record),
        }
    }

    fn apply(&mut self, op: &Op) {
        let at = match self.index.get(&op.record) {
            Some(at) => *at,
            None => {
                let old = self.stored.remove(&op.record);
                let new =
                    old.as_ref().map_or_else(|| Record::empty(op.record, op.home), |old| old.record.clone());
                self.changed.push(ChangedRecord { old, new, echo: false });
                self.index.insert(op.record, self.changed.len() - 1);
                self.changed.len() - 1
            }
        };
        let changed = &mut self.changed[at];
        let applied = changed.new.apply(op);
        changed.echo |= !applied.conflicts.is_empty();
        for conflict in applied.conflicts.into_iter().filter(|found| Conflict::concerns(op.record, &found.at))
        {
            self.conflict_bytes += Conflict::bytes_max(&conflict);
            self.conflicts.push(FoundConflict { record: op.record, home: op.home, conflict });
        }
    }
}
