//! Records as JSON, from the kinds' declarations: for programs that read what the command line and a rescue write.

use serde_json::{Map, Value as Json, json};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::ContentHash;
use xundian_protocol::kinds::{FieldSpec, KeyType, Unit, spec};
use xundian_protocol::record::{Field, Home, Key, Op, Record, Register, Value};

/// A record: kind, id, home, and its fields by name, maps as objects by their lines' keys.
pub fn record_json(record: &Record) -> Map<String, Json> {
    let known = spec(record.key.kind);
    let mut fields = Map::new();
    for field in record.fields().iter().filter(|field| field.register.value != Value::Absent) {
        let declared = known.and_then(|kind| kind.field(field.at.tag));
        let name =
            declared.map_or_else(|| format!("field_{}", field.at.tag), |declared| declared.name.to_owned());
        let value = value_json(declared, &field.register.value);
        if field.at.key == Key::Single {
            fields.insert(name, value);
        } else if let Json::Object(lines) = fields.entry(name).or_insert_with(|| json!({})) {
            lines.insert(key_text(declared, &field.at.key), value);
        }
    }
    let kind = known.map_or_else(|| format!("kind_{}", record.key.kind.0), |kind| kind.code.to_owned());
    Map::from_iter([
        ("kind".to_owned(), json!(kind)),
        ("id".to_owned(), json!(record.key.id.to_string())),
        ("home".to_owned(), json!(home_text(record.home))),
        ("fields".to_owned(), Json::Object(fields)),
    ])
}

/// What a save alone says, as a record.
pub fn op_record(op: &Op) -> Record {
    let fields = op.writes.iter().map(|write| Field {
        at: write.at.clone(),
        register: Register { value: write.value.clone(), stamp: op.stamp },
    });
    Record::from_fields(op.record, op.home, fields.collect())
}

fn value_json(field: Option<&FieldSpec>, value: &Value) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => match field.and_then(|field| choice(field, *number)) {
            Some(code) => json!(code),
            None if field.is_some_and(|field| field.unit == Unit::Day) => json!(day_text(*number)),
            None => json!(number),
        },
        Value::Text(text) => json!(text),
        Value::Id(id) => json!(id.to_string()),
        Value::Bytes(bytes) => hash(bytes).map_or_else(|| json!(bytes), |hash| json!(hash.to_string())),
    }
}

/// Bytes of the length of a content hash, which people and programs read in hexadecimal digits.
pub fn hash(bytes: &[u8]) -> Option<ContentHash> {
    bytes.try_into().ok().map(ContentHash)
}

fn choice(field: &FieldSpec, number: i64) -> Option<&'static str> {
    field.choices.iter().find(|choice| choice.0 == number).map(|choice| choice.1)
}

/// A day as 2026-11-23; a number that is none as it is.
pub fn day_text(number: i64) -> String {
    i32::try_from(number).map_or_else(|_| number.to_string(), |day| Day(day).to_string())
}

/// The key of a line; empty where the field is no map.
pub fn key_text(field: Option<&FieldSpec>, key: &Key) -> String {
    let is_day = field.is_some_and(|field| field.key == KeyType::Day);
    match key {
        Key::Number(number) if is_day => day_text(number.cast_signed()),
        Key::Single => String::new(),
        Key::Number(number) => format!("{number:014}"),
        Key::Text(text) => text.clone(),
        Key::Id(id) => id.to_string(),
        Key::NumberText(number, text) => format!("{number:014}/{text}"),
    }
}

/// A home, such as `outlet/018f…`.
pub fn home_text(home: Home) -> String {
    match home {
        Home::Company => "company".into(),
        Home::Unit(id) => format!("unit/{id}"),
        Home::Outlet(id) => format!("outlet/{id}"),
        Home::Person(id) => format!("person/{id}"),
    }
}
