//! Records as JSON, from the kinds' declarations, for programs that read the output of the command line or of a rescue.

use serde_json::{Map, Value as Json, json};
use xundian_protocol::kinds::format::{self, Meaning};
use xundian_protocol::kinds::{FieldSpec, spec};
use xundian_protocol::record::{Field, Home, Key, Op, Record, Register, Value};

/// A record: kind, id, home, and its fields by name, maps as objects by their lines' keys.
pub fn record_json(record: &Record) -> Map<String, Json> {
    let known = spec(record.key.kind);
    let mut fields = Map::new();
    for field in record.fields().iter().filter(|field| field.register.value != Value::Absent) {
        let declared = known.and_then(|kind| kind.field(field.at.tag));
        let name = format::field_name(declared, field.at.tag);
        let value = value_json(declared, &field.register.value);
        if field.at.key == Key::Single {
            fields.insert(name, value);
        } else if let Json::Object(lines) = fields.entry(name).or_insert_with(|| json!({})) {
            lines.insert(format::line_key(declared, &field.at.key), value);
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

/// One op as a record.
pub fn op_record(op: &Op) -> Record {
    let fields = op.writes.iter().map(|write| Field {
        at: write.at.clone(),
        register: Register { value: write.value.clone(), stamp: op.stamp },
    });
    Record::from_fields(op.record, op.home, fields.collect())
}

fn value_json(field: Option<&FieldSpec>, value: &Value) -> Json {
    match Meaning::of(field, value) {
        Meaning::Absent => Json::Null,
        Meaning::Bool(yes) => json!(yes),
        Meaning::Choice { code, .. } => json!(code),
        Meaning::Day(day) => json!(day.to_string()),
        Meaning::Moment(number) | Meaning::Duration(number) | Meaning::Number { number, .. } => json!(number),
        Meaning::Text(text) => json!(text),
        Meaning::Reference { id, .. } => json!(id.to_string()),
        Meaning::Hash(hash) => json!(hash.to_string()),
        Meaning::Bytes(bytes) => json!(bytes),
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
