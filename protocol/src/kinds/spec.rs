//! What a kind declares about itself.

use super::Role;
use crate::figures::Contribution;
use crate::figures::stock_ledger::Stock;
use crate::ids::{ContentHash, KindId};
use crate::record::{Home, Record, RecordKey, ValueType, Write};

/// A name as people read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    /// Chinese.
    pub zh: &'static str,
    /// English.
    pub en: &'static str,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// The value is no quantity.
    None,
    /// Milliseconds since 1970-01-01 UTC.
    UnixMs,
    /// Milliseconds.
    Ms,
    /// Minutes.
    Min,
    /// Calendar days since 1970-01-01.
    Day,
    /// A number of days.
    Days,
    /// Degrees × 10⁷, WGS-84.
    DegreesE7,
    /// Metres.
    Metres,
    /// Base units of a product (each).
    BaseUnits,
    /// Facings on a shelf.
    Facings,
    /// Millimetres.
    Mm,
    /// Minor units of the currency (fen).
    MinorUnits,
    /// A count of things.
    Count,
    /// Bytes.
    Bytes,
}

/// What keys the lines of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    /// The field is not a map.
    Single,
    /// A product's GTIN.
    Gtin,
    /// A short text.
    Text,
    /// Another record's id.
    Id,
    /// A day, as days since 1970-01-01.
    Day,
    /// A product's GTIN and a lot; a lot means nothing without its GTIN (GS1).
    GtinLot,
    /// Any of them, or none.
    Any,
}

/// One field of a kind.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its number, never reused.
    pub tag: u16,
    /// Its name in files and JSON.
    pub name: &'static str,
    /// Its name for people.
    pub label: Label,
    /// The type of its values.
    pub value: ValueType,
    /// What keys its lines.
    pub key: KeyType,
    /// What a number counts.
    pub unit: Unit,
    /// For a choice: every number with its code and label.
    pub choices: &'static [(i64, &'static str, Label)],
    /// Whether a record without it is refused.
    pub required: bool,
    /// Whether headquarters alone writes it, whoever else writes the kind.
    pub headquarters: bool,
    /// Whether the server alone writes it, as what it found itself: no device does, whoever uses it.
    pub server: bool,
}

/// Where records of a kind live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HomeKind {
    /// [`Home::Company`]
    Company,
    /// [`Home::Unit`]
    Unit,
    /// [`Home::Outlet`]
    Outlet,
    /// [`Home::Person`]
    Person,
    /// Any of them.
    Any,
}

impl HomeKind {
    /// Whether a home is of this kind.
    pub const fn admits(self, home: Home) -> bool {
        matches!(
            (self, home),
            (Self::Any, _)
                | (Self::Company, Home::Company)
                | (Self::Unit, Home::Unit(_))
                | (Self::Outlet, Home::Outlet(_))
                | (Self::Person, Home::Person(_))
        )
    }
}

/// Bytes that belong to a record and travel apart from it, such as a photo's picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// What names them.
    pub hash: ContentHash,
    /// How many they are.
    pub bytes: u64,
}

/// How records of a kind change (the merge codes of DOMAIN B).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WritePolicy {
    /// Written by its author alone; corrected by a new record that names the old (E, C).
    Event,
    /// Edited field by field by whoever may; the later edit stands (L).
    Edited,
    /// Written by headquarters; devices read it (R).
    Reference,
}

/// A business object, declared.
#[derive(Debug)]
pub struct KindSpec {
    /// Its number.
    pub kind: KindId,
    /// Its name in files and JSON.
    pub code: &'static str,
    /// Its name for people.
    pub label: Label,
    /// Where its records live.
    pub home: HomeKind,
    /// How its records change.
    pub write_policy: WritePolicy,
    /// Who may write it, besides headquarters.
    pub writers: &'static [Role],
    /// Its own fields; those of the header come on top.
    pub fields: &'static [FieldSpec],
    /// What a record adds to the figures.
    pub contribute: fn(&Record) -> Vec<Contribution>,
    /// What a record says of the stock of products: (GTIN, entry).
    pub stock: fn(&Record) -> Vec<(u64, Stock)>,
    /// What travels apart from a record.
    pub attachments: fn(&Record) -> Vec<Attachment>,
}

impl KindSpec {
    /// The field with a tag.
    pub fn field(&self, tag: u16) -> Option<&'static FieldSpec> {
        super::header::FIELDS.iter().chain(self.fields).find(|field| field.tag == tag)
    }
}

/// A kind's typed form: what applications fill in and read.
pub trait Entity: Default {
    /// The declaration.
    const SPEC: KindSpec;

    /// The writes that this form stands for: every field that holds something.
    fn writes(&self) -> Vec<Write>;

    /// The form of a record. Values of a type or a choice that this version does not know are left out.
    fn read(record: &Record) -> Self;

    /// The key of a record of this kind.
    fn key(id: crate::ids::RecordId) -> RecordKey {
        RecordKey { kind: Self::SPEC.kind, id }
    }
}
