//! What the planners take and hand on: a writer's ops, what was loaded for them, and the records that they changed.

use crate::store::StoredRecord;
use std::collections::HashMap;
use xundian_protocol::access::Writer;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{DeviceNo, OpSeq};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::v1::Rejection;

/// Ops of one writer, in the order of their sequence.
pub(crate) struct Batch {
    /// The device that sent them.
    pub(crate) device: DeviceNo,
    /// The person behind it, or headquarters.
    pub(crate) writer: Writer,
    /// The ops.
    pub(crate) ops: Vec<Op>,
    /// The server's clock.
    pub(crate) now_ms: i64,
}

/// What the plan needs to read.
pub(crate) struct Loaded {
    /// The last op of the device that was applied.
    pub(crate) applied_through: OpSeq,
    /// The records that the ops name, as they stand.
    pub(crate) records: HashMap<RecordKey, StoredRecord>,
    /// Of the ops that were applied before: those that were not merged. The receipt that said so may have
    /// been lost, so it is said again.
    pub(crate) rejected: Vec<Rejection>,
    /// Of the ops that were applied before: those whose stamps were replaced.
    pub(crate) restamped: Vec<(OpSeq, Hlc)>,
}

/// A record that the batch changed.
pub(crate) struct ChangedRecord {
    /// As it stood.
    pub(crate) old: Option<StoredRecord>,
    /// As it stands after.
    pub(crate) new: Record,
    /// Whether the author's device holds something else than this and needs it sent back.
    pub(crate) echo: bool,
}
