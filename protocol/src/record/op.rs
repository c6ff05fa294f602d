//! Ops: the changes of one save to one record.

use super::{FieldKey, Home, RecordKey, Value};
use crate::clock::Stamp;
use crate::ids::OpSeq;

/// One write of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Which field.
    pub at: FieldKey,
    /// The new value.
    pub value: Value,
    /// The stamp of the value that the writer saw; `None` if the field was empty. If the server holds another stamp,
    /// the write was concurrent.
    pub seen: Option<Stamp>,
}

/// What one save changes in one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// Its sequence number on the device.
    pub seq: OpSeq,
    /// The stamp of all its writes.
    pub stamp: Stamp,
    /// The record.
    pub record: RecordKey,
    /// The home of the record.
    pub home: Home,
    /// The written fields in the order of their keys, each key once.
    pub writes: Vec<Write>,
}

impl Op {
    /// The value that this op writes to a field that is not a map.
    pub fn written(&self, tag: u16) -> Option<&Value> {
        let at = FieldKey::single(tag);
        let found = self.writes.binary_search_by(|write| write.at.cmp(&at)).ok()?;
        Some(&self.writes[found].value)
    }

    /// Whether this op writes a field, or a line of it.
    pub fn names(&self, tag: u16) -> bool {
        self.writes.iter().any(|write| write.at.tag == tag)
    }

    /// An upper bound on the stored or sent bytes of this op, at most [`crate::limits::OP_BYTES_MAX`].
    pub fn bytes_max(&self) -> usize {
        self.writes.iter().map(|write| super::field_bytes_max(&write.at, &write.value)).sum()
    }

    /// Whether the writes are in order and each key occurs once, as every reader assumes.
    pub fn is_ordered(&self) -> bool {
        self.writes.windows(2).all(|pair| pair[0].at < pair[1].at)
    }
}
