//! Ops: what one save changes.

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
    /// The stamp of the value that the writer saw; `None` where the field was empty. Where the server then
    /// holds another stamp, two people changed the field without knowing of each other.
    pub seen: Option<Stamp>,
}

/// What one save changes of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Op {
    /// Its place in what the device saved.
    pub seq: OpSeq,
    /// When and by which device; all written fields get it.
    pub stamp: Stamp,
    /// The record.
    pub record: RecordKey,
    /// Where the record lives.
    pub home: Home,
    /// The written fields, in the order of their keys, each once.
    pub writes: Vec<Write>,
}

impl Op {
    /// The value that this op writes into a field that is not a map.
    pub fn written(&self, tag: u16) -> Option<&Value> {
        let at = FieldKey::single(tag);
        let found = self.writes.binary_search_by(|write| write.at.cmp(&at)).ok()?;
        Some(&self.writes[found].value)
    }

    /// Whether this op writes a field, or a line of it.
    pub fn names(&self, tag: u16) -> bool {
        self.writes.iter().any(|write| write.at.tag == tag)
    }

    /// The most bytes that this op takes as stored or sent; bounded by [`crate::limits::OP_BYTES_MAX`].
    pub fn bytes_max(&self) -> usize {
        self.writes.iter().map(|write| super::field_bytes_max(&write.at, &write.value)).sum()
    }

    /// Whether the writes are in order and each key stands once, as every reader relies on.
    pub fn is_ordered(&self) -> bool {
        self.writes.windows(2).all(|pair| pair[0].at < pair[1].at)
    }
}
