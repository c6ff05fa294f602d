//! Records: what a business object is made of, and the one rule by which two copies become one.
//!
//! A record is a set of fields, a field is a register (a value and the stamp of its writer), and of two
//! registers the one with the greater stamp stands. Sets, lines and ledgers come from the choice of keys,
//! never from a second rule. Merge knows no clock, store or network.

mod merge;
mod op;
mod value;

pub use merge::{Applied, ConcurrentWrite};
pub use op::{Op, Write};
pub use value::{Key, Value, ValueType};

use crate::clock::Stamp;
use crate::ids::{KindId, OrgUnitId, OutletId, PersonId, RecordId};
use crate::limits::FIELD_BYTES;

/// Which record: its kind and its id. Two records of different kinds may share an id, as a visit and the
/// shelf observation made during it do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey {
    /// What it is.
    pub kind: KindId,
    /// Which one.
    pub id: RecordId,
}

/// Where a record lives for ever; who may see a home sees all in it.
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

/// Which field of a record: a stable number, and the line's key where the field is a map.
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

/// A value and who wrote it when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// What stands.
    pub value: Value,
    /// The write that put it there.
    pub stamp: Stamp,
}

/// One field of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Which field.
    pub at: FieldKey,
    /// What stands in it.
    pub register: Register,
}

/// A business object: its key, its home and its fields in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Which record.
    pub key: RecordKey,
    /// Where it lives.
    pub home: Home,
    fields: Vec<Field>,
}

impl Record {
    /// A record without fields.
    pub const fn empty(key: RecordKey, home: Home) -> Self {
        Self { key, home, fields: Vec::new() }
    }

    /// A record of these fields. Of several for one key the greater register stands.
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

    /// All fields in the order of their keys, removed ones included.
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

    /// The value of a field that is not a map; `None` where it was never written or was removed.
    pub fn value(&self, tag: u16) -> Option<&Value> {
        self.register(&FieldKey::single(tag)).map(|register| &register.value).filter(|v| **v != Value::Absent)
    }

    /// The most bytes that this record takes as stored or sent; bounded by
    /// [`crate::limits::RECORD_BYTES_MAX`].
    pub fn bytes_max(&self) -> usize {
        self.fields.iter().map(|field| field_bytes_max(&field.at, &field.register.value)).sum()
    }

    /// The greatest stamp of all fields.
    pub fn newest(&self) -> Option<Stamp> {
        self.fields.iter().map(|field| field.register.stamp).max()
    }
}

/// The most bytes that a field takes as stored or sent.
pub(crate) const fn field_bytes_max(at: &FieldKey, value: &Value) -> usize {
    FIELD_BYTES + at.key.content_bytes() + value.content_bytes()
}
