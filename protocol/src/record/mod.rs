//! Records: the data model, and the one rule by which two copies are merged.
//!
//! A record is a set of fields. A field is a register: a value and the stamp of its write. Of two registers, the one
//! with the greater stamp wins. Sets, lines and ledgers come from the choice of keys, never from a second rule. Merging
//! knows no clock, store or network.

mod merge;
mod op;
mod value;

pub use merge::{Applied, ConcurrentWrite};
pub use op::{Op, Write};
pub use value::{Key, Value, ValueType};

use crate::clock::Stamp;
use crate::ids::{KindId, OrgUnitId, OutletId, PersonId, RecordId};
use crate::limits::FIELD_BYTES;

/// The key of a record: its kind and its id. Records of different kinds may share an id, as a visit and its shelf
/// observation do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey {
    /// The kind.
    pub kind: KindId,
    /// The id.
    pub id: RecordId,
}

/// The sync partition to which a record belongs for ever. Whoever may see a home sees all records in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Home {
    /// The whole company: catalogue, organisation.
    Company,
    /// An organisation unit: its targets, budgets and notices.
    Unit(OrgUnitId),
    /// An outlet: everything that happened there.
    Outlet(OutletId),
    /// A person: route plans, day reports.
    Person(PersonId),
}

/// The key of a field: a stable number, and the line's key if the field is a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldKey {
    /// The field's number within its kind; never reused.
    pub tag: u16,
    /// The line, or [`Key::Single`].
    pub key: Key,
}

impl FieldKey {
    /// The key of a field that is not a map.
    pub const fn single(tag: u16) -> Self {
        Self { tag, key: Key::Single }
    }
}

/// A value with the stamp of its write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// The current value.
    pub value: Value,
    /// The stamp of its write.
    pub stamp: Stamp,
}

/// One field of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Which field.
    pub at: FieldKey,
    /// Its current register.
    pub register: Register,
}

/// A business object: its key, its home and its fields in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Which record.
    pub key: RecordKey,
    /// The home.
    pub home: Home,
    fields: Vec<Field>,
}

impl Record {
    /// A record without fields.
    pub const fn empty(key: RecordKey, home: Home) -> Self {
        Self { key, home, fields: Vec::new() }
    }

    /// A record of these fields. If a key occurs several times, the greater register wins.
    pub fn from_fields(key: RecordKey, home: Home, mut fields: Vec<Field>) -> Self {
        let mut record = Self::empty(key, home);
        if fields.windows(2).all(|pair| pair[0].at < pair[1].at) {
            record.fields = fields;
            return record;
        }
        fields.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| b.register.rank().cmp(&a.register.rank())));
        fields.dedup_by(|later, first| later.at == first.at);
        record.fields = fields;
        record
    }

    /// All fields in the order of their keys, removed fields included.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The fields of one tag: a single field, or all lines of a map.
    pub fn lines(&self, tag: u16) -> &[Field] {
        let start = self.fields.partition_point(|field| field.at.tag < tag);
        let len = self.fields[start..].partition_point(|field| field.at.tag == tag);
        &self.fields[start..start + len]
    }

    /// The register at a key, if the field was ever written.
    pub fn register(&self, at: &FieldKey) -> Option<&Register> {
        let found = self.fields.binary_search_by(|field| field.at.cmp(at)).ok()?;
        Some(&self.fields[found].register)
    }

    /// The value of a field that is not a map; `None` if it was never written or was removed.
    pub fn value(&self, tag: u16) -> Option<&Value> {
        self.register(&FieldKey::single(tag)).map(|register| &register.value).filter(|v| **v != Value::Absent)
    }

    /// An upper bound on the stored or sent bytes of this record, at most [`crate::limits::RECORD_BYTES_MAX`].
    pub fn bytes_max(&self) -> usize {
        self.fields.iter().map(|field| field_bytes_max(&field.at, &field.register.value)).sum()
    }

    /// The greatest stamp of all fields.
    pub fn newest(&self) -> Option<Stamp> {
        self.fields.iter().map(|field| field.register.stamp).max()
    }
}

/// An upper bound on the stored or sent bytes of a field.
pub(crate) const fn field_bytes_max(at: &FieldKey, value: &Value) -> usize {
    FIELD_BYTES + at.key.content_bytes() + value.content_bytes()
}
