//! Rows: the common form in which ops and records are encoded.
//!
//! A row's fields are grouped into runs of one tag. Lines that several tags share, as the shelf, backroom and facings
//! of one visit share its GTINs, are written once.

use super::DecodeError;
use crate::clock::{Hlc, Stamp};
use crate::ids::{DeviceNo, KindId, OrgUnitId, OutletId, PersonId, RecordId};
use crate::limits::{FRAME_KEY_BYTES_MAX, RECORD_FIELDS_MAX};
use crate::record::{FieldKey, Home, Key, RecordKey, Value};
use bincode::{Decode, Encode};
use std::cell::Cell;

/// An op or a record: with borrowed fields for encoding, or with owned fields after decoding.
#[derive(Debug)]
pub(super) struct Row<F> {
    pub(super) record: RecordKey,
    pub(super) home: Home,
    pub(super) stamps: Vec<Stamp>,
    pub(super) fields: Vec<F>,
}

/// A field that is being encoded. `stamp` is an index into the row's stamps.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRef<'a> {
    pub(super) at: &'a FieldKey,
    pub(super) value: &'a Value,
    pub(super) stamp: u32,
}

/// A decoded field.
#[derive(Debug)]
pub(super) struct RowField {
    pub(super) at: FieldKey,
    pub(super) value: Value,
    pub(super) stamp: u32,
}

#[derive(Encode, Decode, Clone, Copy, PartialEq, Debug)]
pub(super) struct WireStamp {
    pub(super) hlc: u64,
    pub(super) device: u32,
}

impl From<Stamp> for WireStamp {
    fn from(stamp: Stamp) -> Self {
        Self { hlc: stamp.hlc.0, device: stamp.device.0 }
    }
}

impl From<WireStamp> for Stamp {
    fn from(wire: WireStamp) -> Self {
        Self { hlc: Hlc(wire.hlc), device: DeviceNo(wire.device) }
    }
}

/// A value to encode, borrowed.
#[derive(Encode)]
pub(super) enum WireValueRef<'a> {
    Absent,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Id(&'a [u8; 16]),
    Bytes(&'a [u8]),
}

impl<'a> From<&'a Value> for WireValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Absent => Self::Absent,
            Value::Bool(v) => Self::Bool(*v),
            Value::Int(v) => Self::Int(*v),
            Value::Text(v) => Self::Text(v),
            Value::Id(v) => Self::Id(v.as_bytes()),
            Value::Bytes(v) => Self::Bytes(v),
        }
    }
}

/// A decoded value.
#[derive(Decode)]
pub(super) enum WireValue {
    Absent,
    Bool(bool),
    Int(i64),
    Text(String),
    Id([u8; 16]),
    Bytes(Vec<u8>),
}

impl From<WireValue> for Value {
    fn from(wire: WireValue) -> Self {
        match wire {
            WireValue::Absent => Self::Absent,
            WireValue::Bool(v) => Self::Bool(v),
            WireValue::Int(v) => Self::Int(v),
            WireValue::Text(v) => Self::Text(v),
            WireValue::Id(v) => Self::Id(RecordId::from_bytes(v)),
            WireValue::Bytes(v) => Self::Bytes(v),
        }
    }
}

/// A line key to encode, borrowed.
#[derive(Encode)]
pub(super) enum WireKeyRef<'a> {
    Single,
    Number(u64),
    Text(&'a str),
    Id(&'a [u8; 16]),
    NumberText(u64, &'a str),
}

impl<'a> From<&'a Key> for WireKeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        match key {
            Key::Single => Self::Single,
            Key::Number(n) => Self::Number(*n),
            Key::Text(t) => Self::Text(t),
            Key::Id(id) => Self::Id(id.as_bytes()),
            Key::NumberText(n, t) => Self::NumberText(*n, t),
        }
    }
}

/// A decoded line key.
#[derive(Decode)]
pub(super) enum WireKey {
    Single,
    Number(u64),
    Text(String),
    Id([u8; 16]),
    NumberText(u64, String),
}

impl From<WireKey> for Key {
    fn from(wire: WireKey) -> Self {
        match wire {
            WireKey::Single => Self::Single,
            WireKey::Number(n) => Self::Number(n),
            WireKey::Text(t) => Self::Text(t),
            WireKey::Id(id) => Self::Id(RecordId::from_bytes(id)),
            WireKey::NumberText(n, t) => Self::NumberText(n, t),
        }
    }
}

#[derive(Encode, Decode, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum WireHome {
    Company,
    Unit([u8; 16]),
    Outlet([u8; 16]),
    Person([u8; 16]),
}

impl From<Home> for WireHome {
    fn from(home: Home) -> Self {
        match home {
            Home::Company => Self::Company,
            Home::Unit(id) => Self::Unit(*id.0.as_bytes()),
            Home::Outlet(id) => Self::Outlet(*id.0.as_bytes()),
            Home::Person(id) => Self::Person(*id.0.as_bytes()),
        }
    }
}

impl From<WireHome> for Home {
    fn from(wire: WireHome) -> Self {
        match wire {
            WireHome::Company => Self::Company,
            WireHome::Unit(id) => Self::Unit(OrgUnitId(RecordId::from_bytes(id))),
            WireHome::Outlet(id) => Self::Outlet(OutletId(RecordId::from_bytes(id))),
            WireHome::Person(id) => Self::Person(PersonId(RecordId::from_bytes(id))),
        }
    }
}

#[derive(Encode, Decode, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct WireRecordKey {
    pub(super) kind: u16,
    pub(super) id: [u8; 16],
}

impl From<RecordKey> for WireRecordKey {
    fn from(key: RecordKey) -> Self {
        Self { kind: key.kind.0, id: *key.id.as_bytes() }
    }
}

impl From<WireRecordKey> for RecordKey {
    fn from(wire: WireRecordKey) -> Self {
        Self { kind: KindId(wire.kind), id: RecordId::from_bytes(wire.id) }
    }
}

/// The shape of a run: consecutive fields of one tag.
#[derive(Encode, Decode, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct RunShape {
    pub(super) tag: u16,
    /// The number of lines; 0 for a field that is not a map.
    pub(super) lines: u32,
    /// Whether its keys are those of the last run in this row that wrote its own.
    pub(super) shared_keys: bool,
}

/// Consecutive fields of one tag, with their shape.
pub(super) struct Run<'r, 'a> {
    pub(super) shape: RunShape,
    pub(super) fields: &'r [FieldRef<'a>],
}

/// Groups a row's fields, which are in order, into runs.
pub(super) fn runs<'r, 'a>(fields: &'r [FieldRef<'a>]) -> Vec<Run<'r, 'a>> {
    let mut keys: &[FieldRef<'a>] = &[];
    let same_tag_and_form = |a: &FieldRef<'_>, b: &FieldRef<'_>| {
        a.at.tag == b.at.tag && a.at.key != Key::Single && b.at.key != Key::Single
    };
    fields
        .chunk_by(same_tag_and_form)
        .map(|fields| {
            let tag = fields[0].at.tag;
            if fields[0].at.key == Key::Single {
                return Run { shape: RunShape { tag, lines: 0, shared_keys: false }, fields };
            }
            let shared_keys = keys.len() == fields.len()
                && keys.iter().zip(fields).all(|(before, field)| before.at.key == field.at.key);
            if !shared_keys {
                keys = fields;
            }
            let lines = u32::try_from(fields.len()).unwrap_or(u32::MAX);
            Run { shape: RunShape { tag, lines, shared_keys }, fields }
        })
        .collect()
}

/// The bytes that the line keys of one frame may still take.
pub(super) struct KeyBudget(Cell<usize>);

impl KeyBudget {
    pub(super) const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Counts one copy of a key, before it is made.
    fn take(&self, key: &Key) -> Result<(), DecodeError> {
        self.0.set(self.0.get() + key.content_bytes());
        DecodeError::bound("bytes of keys", self.0.get(), FRAME_KEY_BYTES_MAX)
    }
}

/// Rebuilds fields from shapes, keys and values. Checks the bounds on fields and keys before it allocates memory for
/// them.
pub(super) struct FieldsReader<'a> {
    fields: Vec<RowField>,
    keys: Vec<Key>,
    budget: &'a KeyBudget,
}

impl<'a> FieldsReader<'a> {
    pub(super) fn new(shapes: &[RunShape], budget: &'a KeyBudget) -> Result<Self, DecodeError> {
        let total: u64 = shapes.iter().map(|shape| u64::from(shape.lines.max(1))).sum();
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        DecodeError::bound("fields of a record", total, RECORD_FIELDS_MAX)?;
        Ok(Self { fields: Vec::with_capacity(total), keys: Vec::new(), budget })
    }

    /// Reads one run. `key` and `value` return the next key and value.
    pub(super) fn run(
        &mut self,
        shape: RunShape,
        mut key: impl FnMut() -> Result<Key, DecodeError>,
        mut value: impl FnMut() -> Result<(Value, u32), DecodeError>,
    ) -> Result<(), DecodeError> {
        let tag = shape.tag;
        if shape.lines == 0 {
            let (value, stamp) = value()?;
            self.fields.push(RowField { at: FieldKey::single(tag), value, stamp });
            return Ok(());
        }
        let lines = shape.lines as usize;
        if !shape.shared_keys {
            self.keys.clear();
            for _ in 0..lines {
                self.keys.push(key()?);
            }
        } else if self.keys.len() != lines {
            return Err(DecodeError::malformed("a run shares keys, but there are none"));
        }
        for at in 0..lines {
            let (value, stamp) = value()?;
            self.budget.take(&self.keys[at])?;
            self.fields.push(RowField { at: FieldKey { tag, key: self.keys[at].clone() }, value, stamp });
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<RowField> {
        self.fields
    }
}
