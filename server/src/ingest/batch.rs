//! The inputs and outputs of the planners: a writer's ops, what was loaded for them, and the records that they changed.

use crate::store::StoredRecord;
use std::collections::HashMap;
use xundian_protocol::access::Writer;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{DeviceNo, OpSeq};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::v1::Rejection;

/// Ops of one writer, by sequence.
pub(crate) struct Batch {
    /// The device that sent them.
    pub(crate) device: DeviceNo,
    /// The device's person, or headquarters.
    pub(crate) writer: Writer,
    /// The ops.
    pub(crate) ops: Vec<Op>,
    /// The server's clock.
    pub(crate) now_ms: i64,
}

/// What the plan reads.
pub(crate) struct Loaded {
    /// The last applied op of the device.
    pub(crate) applied_through: OpSeq,
    /// The records that the ops name, before the batch.
    pub(crate) records: HashMap<RecordKey, StoredRecord>,
    /// Rejections among the ops that were applied before. The receipt with them may have been lost, so they are
    /// repeated.
    pub(crate) rejected: Vec<Rejection>,
    /// Ops that were applied before, with replaced stamps.
    pub(crate) restamped: Vec<(OpSeq, Hlc)>,
}

/// A record that the batch changed.
pub(crate) struct ChangedRecord {
    /// The record before the batch.
    pub(crate) old: Option<StoredRecord>,
    /// The record after the batch.
    pub(crate) new: Record,
    /// Whether the author's device holds a different state and needs the record sent back.
    pub(crate) echo: bool,
}
