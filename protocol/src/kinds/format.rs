//! The formatter of values. It interprets a stored value by its field's declaration, and writes it for people in
//! Chinese and in English.
//!
//! [`Meaning`] is the interpretation, for programs and tables that need typed values. [`Formatter`] turns it into text.
//! The caller provides the names of records and formats moments in a time zone.

use super::Product;
use super::declare::{FieldSpec, KeyType, KeyedValue, Label, Unit};
use super::gtin::Gtin;
use crate::calendar::{DEFAULT_ZONE, Day, moment_text};
use crate::ids::{ContentHash, KindId, RecordId};
use crate::record::{Key, Value};

/// A text for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl From<Label> for Text {
    fn from(label: Label) -> Self {
        Self { zh: label.zh.into(), en: label.en.into() }
    }
}

impl Text {
    fn both(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { zh: text.clone(), en: text }
    }

    /// A text followed by a unit.
    fn with_unit(text: &str, zh: &str, en: &str) -> Self {
        Self { zh: format!("{text} {zh}"), en: format!("{text} {en}") }
    }

    /// Both languages in one line; once if they are the same.
    pub fn bilingual(&self) -> String {
        if self.zh == self.en { self.zh.clone() } else { format!("{} {}", self.zh, self.en) }
    }
}

/// What a stored value means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning<'a> {
    /// Nothing.
    Absent,
    /// A yes or no.
    Bool(bool),
    /// A text.
    Text(&'a str),
    /// One of the field's choices.
    Choice {
        /// Its name for programs.
        code: &'static str,
        /// Its name for people.
        label: Label,
    },
    /// A calendar day.
    Day(Day),
    /// A moment, Unix milliseconds.
    Moment(i64),
    /// A length of time, in milliseconds.
    Duration(i64),
    /// A number of a unit, scaled by 10 to the power of `digits`.
    Number {
        /// The number as stored.
        number: i64,
        /// How many of its digits are decimals.
        digits: usize,
        /// What it counts.
        unit: Unit,
    },
    /// A record.
    Reference {
        /// Its kind, if the field declares it.
        kind: Option<KindId>,
        /// Its id.
        id: RecordId,
    },
    /// The hash of content.
    Hash(ContentHash),
    /// Other bytes.
    Bytes(&'a [u8]),
}

impl<'a> Meaning<'a> {
    /// The meaning of a field's value. Without a declaration, numbers have no unit and ids name no known kind.
    pub fn of(field: Option<&FieldSpec>, value: &'a Value) -> Self {
        match value {
            Value::Absent => Self::Absent,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Text(text) => Self::Text(text),
            Value::Int(number) => Self::of_int(field, *number),
            Value::Id(id) => Self::Reference { kind: field.and_then(|field| field.refers_to), id: *id },
            Value::Bytes(bytes) => match bytes.as_slice().try_into() {
                Ok(hash) => Self::Hash(ContentHash(hash)),
                Err(_) => Self::Bytes(bytes),
            },
        }
    }

    fn of_int(field: Option<&FieldSpec>, number: i64) -> Self {
        let choice = field.and_then(|field| field.choices.iter().find(|choice| choice.0 == number));
        if let Some((_, code, label)) = choice {
            return Self::Choice { code, label: *label };
        }
        let unit = field.map_or(Unit::None, |field| field.unit);
        let digits = match unit {
            Unit::DegreesE7 => 7,
            Unit::MinorUnits => 2,
            _ => 0,
        };
        match (unit, i32::try_from(number)) {
            (Unit::Day, Ok(day)) => Self::Day(Day(day)),
            (Unit::UnixMs, _) => Self::Moment(number),
            (Unit::Ms, _) => Self::Duration(number),
            _ => Self::Number { number, digits, unit },
        }
    }
}

/// Writes values for people.
#[derive(Clone, Copy)]
pub struct Formatter<'a> {
    /// Returns the name of a record, if the caller knows it.
    pub name: &'a dyn Fn(KindId, RecordId) -> Option<String>,
    /// Formats a moment (Unix milliseconds) in the reader's time zone.
    pub moment: &'a dyn Fn(i64) -> String,
}

impl Formatter<'_> {
    /// A formatter that knows no names, with moments in [`DEFAULT_ZONE`].
    pub const PLAIN: Self = Self { name: &|_, _| None, moment: &|unix_ms| moment(unix_ms, DEFAULT_ZONE) };

    /// The value of a field.
    pub fn value(&self, field: Option<&FieldSpec>, value: &Value) -> Text {
        match Meaning::of(field, value) {
            Meaning::Absent => Text { zh: "（无）".into(), en: "(none)".into() },
            Meaning::Bool(true) => Text { zh: "是".into(), en: "yes".into() },
            Meaning::Bool(false) => Text { zh: "否".into(), en: "no".into() },
            Meaning::Text(text) => Text::both(text),
            Meaning::Choice { label, .. } => label.into(),
            Meaning::Day(day) => Text::both(day.to_string()),
            Meaning::Moment(unix_ms) => Text::both((self.moment)(unix_ms)),
            Meaning::Duration(ms) => Text::both(duration(ms)),
            Meaning::Number { number, digits, unit } => number_text(number, digits, unit),
            Meaning::Reference { kind, id } => Text::both(self.reference(kind, id)),
            Meaning::Hash(hash) => Text::both(hash.to_string()),
            Meaning::Bytes(bytes) => Text::with_unit(&grouped(bytes.len() as i64), "字节", "bytes"),
        }
    }

    /// The line key of a field that is a map; `None` for [`Key::Single`].
    pub fn line(&self, field: Option<&FieldSpec>, key: &Key) -> Option<String> {
        let day = |number: &u64| i32::try_from(*number).ok().map(|day| Day(day).to_string());
        let product = |number: u64| {
            let code = format!("{number:014}");
            let name =
                gtin(field, key).and_then(|gtin| (self.name)(Product::SPEC.kind, Product::id_of(gtin)));
            name.map_or_else(|| code.clone(), |name| format!("{name} {code}"))
        };
        Some(match (key, field.map(|field| field.key)) {
            (Key::Single, _) => return None,
            (Key::Number(number), Some(KeyType::Day)) => day(number).unwrap_or_else(|| number.to_string()),
            (Key::Number(number), Some(KeyType::Gtin)) => product(*number),
            (Key::Number(number), _) => number.to_string(),
            (Key::Text(text), _) => text.clone(),
            (Key::Id(id), _) => self.reference(field.and_then(|field| field.line_refers_to), *id),
            (Key::NumberText(number, text), Some(KeyType::GtinLot)) => {
                format!("{} / {text}", product(*number))
            }
            (Key::NumberText(number, text), _) => format!("{number} / {text}"),
        })
    }

    fn reference(&self, kind: Option<KindId>, id: RecordId) -> String {
        kind.and_then(|kind| (self.name)(kind, id)).unwrap_or_else(|| id.to_string())
    }
}

/// The records that a value and its line key refer to, with their kinds. A [`Formatter`] asks for their names.
pub fn references(field: Option<&FieldSpec>, held: &KeyedValue) -> Vec<(KindId, RecordId)> {
    let value = match held.value {
        Value::Id(id) => field.and_then(|field| Some((field.refers_to?, id))),
        _ => None,
    };
    let line = match &held.key {
        Key::Id(id) => field.and_then(|field| Some((field.line_refers_to?, *id))),
        key => gtin(field, key).map(|gtin| (Product::SPEC.kind, Product::id_of(gtin))),
    };
    value.into_iter().chain(line).collect()
}

/// The label of a field; its tag if this version does not know the field.
pub fn field_label(field: Option<&FieldSpec>, tag: u16) -> Text {
    let unknown = || Text { zh: format!("字段 {tag}"), en: format!("Field {tag}") };
    field.map_or_else(unknown, |field| field.label.into())
}

/// The name of a field for programs; `field_` and its tag if this version does not know the field.
pub fn field_name(field: Option<&FieldSpec>, tag: u16) -> String {
    field.map_or_else(|| format!("field_{tag}"), |field| field.name.to_owned())
}

/// The key of a line for programs; empty for [`Key::Single`].
pub fn line_key(field: Option<&FieldSpec>, key: &Key) -> String {
    match key {
        Key::Single => String::new(),
        Key::Number(number) if field.is_some_and(|field| field.key == KeyType::Day) => {
            i32::try_from(*number).map_or_else(|_| number.to_string(), |day| Day(day).to_string())
        }
        Key::Number(number) => format!("{number:014}"),
        Key::Text(text) => text.clone(),
        Key::Id(id) => id.to_string(),
        Key::NumberText(number, text) => format!("{number:014}/{text}"),
    }
}

/// A moment to the minute in an IANA zone, or in [`DEFAULT_ZONE`] if that zone is unknown; the number itself if the
/// moment is outside of the calendar.
pub fn moment(unix_ms: i64, zone: &str) -> String {
    let text = moment_text(unix_ms, zone).or_else(|| moment_text(unix_ms, DEFAULT_ZONE));
    text.unwrap_or_else(|| unix_ms.to_string())
}

/// A length of time: `32:05`, or `1:02:05`.
pub fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A whole number with thousands separators.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of 10⁻ᵈⁱᵍⁱᵗˢ as a decimal.
pub fn decimal(number: i64, digits: usize) -> String {
    let sign = if number < 0 { "−" } else { "" };
    let text = format!("{:0>width$}", number.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn number_text(number: i64, digits: usize, unit: Unit) -> Text {
    let counted = grouped(number);
    match unit {
        Unit::Min => Text::with_unit(&counted, "分钟", "min"),
        Unit::Days => Text::with_unit(&counted, "天", "d"),
        Unit::Metres => Text::with_unit(&counted, "米", "m"),
        Unit::Mm => Text::with_unit(&counted, "毫米", "mm"),
        Unit::Bytes => Text::with_unit(&counted, "字节", "bytes"),
        Unit::BaseUnits | Unit::Facings | Unit::Count => Text::both(counted),
        Unit::DegreesE7 => Text::both(format!("{}°", decimal(number, digits))),
        Unit::MinorUnits => Text::both(decimal(number, digits)),
        // A number without a unit may be an identifier, so it is not grouped.
        Unit::None | Unit::UnixMs | Unit::Ms | Unit::Day => Text::both(number.to_string()),
    }
}

/// The product of a line, if the field's lines are keyed by products.
fn gtin(field: Option<&FieldSpec>, key: &Key) -> Option<Gtin> {
    let is_keyed = field.is_some_and(|field| matches!(field.key, KeyType::Gtin | KeyType::GtinLot));
    match key {
        Key::Number(number) | Key::NumberText(number, _) if is_keyed => Gtin::new(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Conflict, Outlet, RoutePlan, StockCount, Visit, header, spec};

    fn of(name: &str, held: Value) -> Text {
        let field = Outlet::SPEC.field(Outlet::SPEC.tag_of(name));
        Formatter::PLAIN.value(field, &held)
    }

    #[test]
    fn values_are_formatted_in_both_languages() {
        assert_eq!(of("channel", Value::Int(3)), Text { zh: "连锁".into(), en: "Chain".into() });
        assert_eq!(of("channel", Value::Int(99)), Text::both("99"), "a choice of a newer version");
        assert_eq!(of("latitude_e7", Value::Int(-312_304_567)).en, "−31.2304567°");
        assert_eq!(of("note", Value::Absent).zh, "（无）");
        assert_eq!(Formatter::PLAIN.value(None, &Value::Bytes(vec![0, 255])).en, "2 bytes");
        assert_eq!(Formatter::PLAIN.value(None, &Value::Bytes(vec![7; 32])).en, "07".repeat(32));
        assert_eq!(moment(1_795_453_200_000, DEFAULT_ZONE), "2026-11-24 01:00");
        assert_eq!(["0", "999", "1,000", "−1,234,567"], [0, 999, 1000, -1_234_567].map(grouped));
        assert_eq!([duration(1_925_000), duration(3_725_000)], ["32:05", "1:02:05"]);
        assert_eq!([decimal(-1205, 2), decimal(5, 2), decimal(7, 0)], ["−12.05", "0.05", "7"]);
    }

    #[test]
    fn a_line_is_named_by_its_product() {
        let gtin: Gtin = "6901234567892".parse().expect("a GTIN");
        let lots = StockCount::SPEC.field(StockCount::SPEC.tag_of("lot_units"));
        let held = KeyedValue { key: Key::NumberText(gtin.number(), "L7".into()), value: Value::Int(3) };
        assert_eq!(references(lots, &held), [(Product::SPEC.kind, Product::id_of(gtin))]);
        let name =
            |kind, id| ((kind, id) == (Product::SPEC.kind, Product::id_of(gtin))).then(|| "纯牛奶".into());
        let formatter = Formatter { name: &name, ..Formatter::PLAIN };
        assert_eq!(formatter.line(lots, &held.key).as_deref(), Some("纯牛奶 06901234567892 / L7"));
        assert_eq!(formatter.line(lots, &Key::Single), None);
    }

    #[test]
    fn an_id_is_resolved_by_the_kind_that_its_field_refers_to() {
        let id = RecordId::from_bytes([7; 16]);
        let name = |kind, _| spec(kind).map(|spec| spec.code.to_owned());
        let formatter = Formatter { name: &name, ..Formatter::PLAIN };
        let value = |field| formatter.value(field, &Value::Id(id)).en;
        assert_eq!(value(Visit::SPEC.field(header::ACTOR)), "person");
        assert_eq!(value(Visit::SPEC.field(Visit::SPEC.tag_of("plan"))), "route_plan");
        assert_eq!(value(Conflict::SPEC.field(Conflict::SPEC.tag_of("record"))), id.to_string());
        assert_eq!(value(None), id.to_string());
        let calls = RoutePlan::SPEC.field(RoutePlan::SPEC.tag_of("call_order"));
        assert_eq!(formatter.line(calls, &Key::Id(id)).as_deref(), Some("outlet"));
    }
}
