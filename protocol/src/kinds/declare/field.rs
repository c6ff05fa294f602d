//! The declaration of a field.

use crate::ids::KindId;
use crate::record::ValueType;

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
    /// The value is not a quantity.
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

/// The type of the line keys of a field.
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
    /// A product's GTIN and a lot. A lot is unique only within its GTIN (GS1).
    GtinLot,
    /// Any of them, or no key.
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
    /// The type of its line keys.
    pub key: KeyType,
    /// For an id: the kind of the record that it names, if there is only one such kind.
    pub refers_to: Option<KindId>,
    /// For lines keyed by an id: the kind of the record that the key names.
    pub line_refers_to: Option<KindId>,
    /// What a number counts.
    pub unit: Unit,
    /// For a choice: every number with its code and label.
    pub choices: &'static [(i64, &'static str, Label)],
    /// Whether a record without it is refused.
    pub required: bool,
    /// Whether only headquarters writes the field, even if other roles write the kind.
    pub headquarters: bool,
    /// Whether it is the code by which people and imports name the record.
    pub natural_key: bool,
    /// Whether it is the name by which people know the record.
    pub display_name: bool,
    /// Whether only the server writes the field. No device does.
    pub server: bool,
}
