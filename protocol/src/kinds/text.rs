//! How the values of fields read for people, in Chinese and in English, by what the fields' declarations say.

use super::Product;
use super::declare::{FieldSpec, KeyType, KeyedValue, Label, Unit};
use super::gtin::Gtin;
use crate::calendar::{DEFAULT_ZONE, Day, moment_text};
use crate::ids::RecordId;
use crate::record::{Key, Value};
use std::collections::BTreeMap;

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
}

/// What ids mean to people: the names of records by their ids.
pub type Names = BTreeMap<RecordId, String>;

/// The records that a value of a field names, the product of its line among them.
pub fn named(field: Option<&FieldSpec>, held: &KeyedValue) -> Vec<RecordId> {
    let value = if let Value::Id(id) = held.value { Some(id) } else { None };
    let line = match &held.key {
        Key::Id(id) => Some(*id),
        key => gtin(field, key).map(Product::id_of),
    };
    value.into_iter().chain(line).collect()
}

/// The name of a field; the number of one that this version does not know.
pub fn field(field: Option<&FieldSpec>, tag: u16) -> Text {
    let unknown = || Text { zh: format!("字段 {tag}"), en: format!("Field {tag}") };
    field.map_or_else(unknown, |field| field.label.into())
}

/// The line of a field that is a map; `None` where it is none.
pub fn line(field: Option<&FieldSpec>, key: &Key, names: &Names) -> Option<String> {
    let product = |number: u64| {
        let code = format!("{number:014}");
        let name = Gtin::new(number).ok().and_then(|gtin| names.get(&Product::id_of(gtin)));
        name.map_or_else(|| code.clone(), |name| format!("{name} {code}"))
    };
    let is_product = gtin(field, key).is_some();
    Some(match key {
        Key::Single => return None,
        Key::Number(number) if field.is_some_and(|field| field.key == KeyType::Day) => {
            i32::try_from(*number).map_or_else(|_| number.to_string(), |day| Day(day).to_string())
        }
        Key::Number(number) if is_product => product(*number),
        Key::Number(number) => number.to_string(),
        Key::Text(text) => text.clone(),
        Key::Id(id) => names.get(id).cloned().unwrap_or_else(|| id.to_string()),
        Key::NumberText(number, text) if is_product => format!("{} / {text}", product(*number)),
        Key::NumberText(number, text) => format!("{number} / {text}"),
    })
}

/// The value of a field.
pub fn value(field: Option<&FieldSpec>, value: &Value, names: &Names) -> Text {
    match value {
        Value::Absent => Text { zh: "（无）".into(), en: "(none)".into() },
        Value::Bool(true) => Text { zh: "是".into(), en: "yes".into() },
        Value::Bool(false) => Text { zh: "否".into(), en: "no".into() },
        Value::Text(text) => Text::both(text.as_str()),
        Value::Id(id) => Text::both(names.get(id).cloned().unwrap_or_else(|| id.to_string())),
        Value::Bytes(bytes) => Text::both(hex(bytes)),
        Value::Int(number) => int(field, *number),
    }
}

fn int(field: Option<&FieldSpec>, number: i64) -> Text {
    let choice = field.and_then(|field| field.choices.iter().find(|choice| choice.0 == number));
    if let Some((_, _, label)) = choice {
        return (*label).into();
    }
    match field.map_or(Unit::None, |field| field.unit) {
        Unit::UnixMs => Text::both(moment(number)),
        Unit::Day => {
            Text::both(i32::try_from(number).map_or_else(|_| number.to_string(), |day| Day(day).to_string()))
        }
        Unit::Ms => Text { zh: format!("{} 秒", fixed(number, 3)), en: format!("{} s", fixed(number, 3)) },
        Unit::Min => Text { zh: format!("{number} 分钟"), en: format!("{number} min") },
        Unit::Days => Text { zh: format!("{number} 天"), en: format!("{number} d") },
        Unit::DegreesE7 => Text::both(format!("{}°", fixed(number, 7))),
        Unit::Metres => Text { zh: format!("{number} 米"), en: format!("{number} m") },
        Unit::Mm => Text { zh: format!("{number} 毫米"), en: format!("{number} mm") },
        Unit::MinorUnits => Text::both(fixed(number, 2)),
        Unit::Bytes => Text { zh: format!("{number} 字节"), en: format!("{number} B") },
        Unit::None | Unit::BaseUnits | Unit::Facings | Unit::Count => Text::both(number.to_string()),
    }
}

/// A moment where the company is; the number where no calendar has it.
pub fn moment(unix_ms: i64) -> String {
    moment_text(unix_ms, DEFAULT_ZONE).unwrap_or_else(|| unix_ms.to_string())
}

/// The product of a line, where the field's lines are keyed by products or nothing is known of the field.
fn gtin(field: Option<&FieldSpec>, key: &Key) -> Option<Gtin> {
    let is_keyed = field.is_none_or(|field| matches!(field.key, KeyType::Gtin | KeyType::GtinLot));
    match key {
        Key::Number(number) | Key::NumberText(number, _) if is_keyed => Gtin::new(*number).ok(),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number of 10⁻ᵈⁱᵍⁱᵗˢ as a decimal.
fn fixed(number: i64, digits: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", number.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Outlet, StockCount};

    fn of(name: &str, held: Value) -> Text {
        let spec = Outlet::SPEC.fields.iter().find(|field| field.name == name).expect("declared");
        value(Some(spec), &held, &Names::new())
    }

    #[test]
    fn values_read_in_both_languages() {
        assert_eq!(of("channel", Value::Int(3)), Text { zh: "连锁".into(), en: "Chain".into() });
        assert_eq!(of("channel", Value::Int(99)), Text::both("99"), "a choice of a newer version");
        assert_eq!(of("latitude_e7", Value::Int(-312_304_567)).en, "-31.2304567°");
        assert_eq!(of("note", Value::Absent).zh, "（无）");
        assert_eq!(value(None, &Value::Bytes(vec![0, 255]), &Names::new()).en, "00ff");
        assert_eq!(moment(1_795_453_200_000), "2026-11-24 01:00");
    }

    #[test]
    fn a_line_is_named_by_its_product() {
        let gtin: Gtin = "6901234567892".parse().expect("a GTIN");
        let lots = StockCount::SPEC.fields.iter().find(|field| field.name == "lot_units");
        let held = KeyedValue { key: Key::NumberText(gtin.number(), "L7".into()), value: Value::Int(3) };
        let names: Names = named(lots, &held).into_iter().map(|id| (id, "纯牛奶".into())).collect();
        assert_eq!(line(lots, &held.key, &names).as_deref(), Some("纯牛奶 06901234567892 / L7"));
        assert_eq!(line(lots, &Key::Single, &names), None);
    }
}
