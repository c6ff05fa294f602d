//! Validation: whether an op satisfies its kind's declaration. The device refuses to save what the server would refuse.

use super::Unit;
use super::declare::{FieldSpec, KeyType, KindSpec};
use super::{Gtin, header};
use crate::limits::{OP_BYTES_MAX, QUANTITY_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
use crate::record::{Key, Op, Record, Value, ValueType, Write, field_bytes_max};

/// Why an op is invalid, with the field concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The home has another type than the declaration says.
    #[error("a {kind} cannot live in {home}")]
    Home {
        /// The kind's code.
        kind: &'static str,
        /// What was given.
        home: String,
    },
    /// A required field is missing.
    #[error("{kind}.{field} is missing")]
    Missing {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// A value has another type, is too long or too large, or is no known choice.
    #[error("{kind}.{field} cannot be {found}")]
    Value {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
        /// What was given, truncated.
        found: String,
    },
    /// A line's key has another type, is too long, or is not a GTIN.
    #[error("{kind}.{field} cannot have a line with the key {found}")]
    LineKey {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
        /// What was given, truncated.
        found: String,
    },
    /// The writes are empty, too many, or not in order.
    #[error("an op writes 1 to {RECORD_FIELDS_MAX} fields, each once and in order; this one has {writes}")]
    Writes {
        /// How many it has.
        writes: usize,
    },
    /// The op, or the record after it, is too large to be sent.
    #[error(
        "a {kind} cannot hold {fields} fields with {bytes} bytes: at most {RECORD_FIELDS_MAX} with {bytes_max} bytes"
    )]
    TooLarge {
        /// The kind's code.
        kind: &'static str,
        /// The number of fields there would be.
        fields: usize,
        /// The number of bytes there would be.
        bytes: usize,
        /// The bound on bytes.
        bytes_max: usize,
    },
}

/// Validates an op against the declaration of its kind. `existing` is the current record: a required field may be
/// missing from the op if the record has it. Unknown fields pass, so that a newer device can send them through.
///
/// # Errors
/// Returns the first violation.
pub fn validate_op(spec: &KindSpec, op: &Op, existing: Option<&Record>) -> Result<(), Invalid> {
    let kind = spec.code;
    if !spec.home.admits(op.home) {
        return Err(Invalid::Home { kind, home: cut(&op.home) });
    }
    if op.writes.is_empty() || op.writes.len() > RECORD_FIELDS_MAX || !op.is_ordered() {
        return Err(Invalid::Writes { writes: op.writes.len() });
    }
    for write in &op.writes {
        validate_write(kind, spec.field(write.at.tag), write)?;
    }
    validate_size(kind, op, existing)?;
    for field in header::FIELDS.iter().chain(spec.fields).filter(|field| field.required) {
        let written = op.writes.iter().any(|write| write.at.tag == field.tag && write.value != Value::Absent);
        let standing = existing.is_some_and(|record| record.value(field.tag).is_some());
        let removed = op.written(field.tag) == Some(&Value::Absent);
        if removed || !(written || standing) {
            return Err(Invalid::Missing { kind, field: field.name });
        }
    }
    Ok(())
}

/// Validates what holds for ops of every kind: many small ops must not make a record that fits into no frame and no
/// decoder accepts.
///
/// # Errors
/// Returns the violation.
pub fn validate_size(kind: &'static str, op: &Op, existing: Option<&Record>) -> Result<(), Invalid> {
    let fits = |fields, bytes, bytes_max| {
        let fits = fields <= RECORD_FIELDS_MAX && bytes <= bytes_max;
        if fits { Ok(()) } else { Err(Invalid::TooLarge { kind, fields, bytes, bytes_max }) }
    };
    fits(op.writes.len(), op.bytes_max(), OP_BYTES_MAX)?;
    let Some(record) = existing else { return Ok(()) };
    let (mut fields, mut bytes) = (record.fields().len(), record.bytes_max());
    for write in &op.writes {
        let written = field_bytes_max(&write.at, &write.value);
        match record.register(&write.at) {
            None => (fields, bytes) = (fields + 1, bytes + written),
            // Either of the two values may win.
            Some(standing) => bytes += written.saturating_sub(field_bytes_max(&write.at, &standing.value)),
        }
    }
    fits(fields, bytes, RECORD_BYTES_MAX)
}

fn validate_write(kind: &'static str, field: Option<&FieldSpec>, write: &Write) -> Result<(), Invalid> {
    let name = field.map_or("(unknown)", |field| field.name);
    if !write.value.within_limits() {
        return Err(Invalid::Value { kind, field: name, found: cut(&write.value) });
    }
    if !write.at.key.within_limits() {
        return Err(Invalid::LineKey { kind, field: name, found: cut(&write.at.key) });
    }
    let Some(field) = field else { return Ok(()) };
    if !key_fits(field.key, &write.at.key) {
        return Err(Invalid::LineKey { kind, field: name, found: cut(&write.at.key) });
    }
    // An unknown choice passes: a newer version wrote it.
    let fits_type = |found| field.value == ValueType::Any || found == field.value;
    let other_type = write.value.value_type().is_some_and(|found| !fits_type(found));
    let fits = match write.value {
        Value::Int(number) => int_fits(field.unit, number),
        _ => true,
    };
    if other_type || !fits {
        return Err(Invalid::Value { kind, field: name, found: cut(&write.value) });
    }
    Ok(())
}

fn int_fits(unit: Unit, number: i64) -> bool {
    match unit {
        Unit::Day => i32::try_from(number).is_ok(),
        // A moment is not a quantity; it is never summed.
        Unit::None | Unit::UnixMs => true,
        _ => number.unsigned_abs() <= QUANTITY_MAX.unsigned_abs(),
    }
}

fn key_fits(declared: KeyType, key: &Key) -> bool {
    match (declared, key) {
        (KeyType::Any, _)
        | (KeyType::Single, Key::Single)
        | (KeyType::Text, Key::Text(_))
        | (KeyType::Id, Key::Id(_)) => true,
        (KeyType::Day, Key::Number(number)) => i32::try_from(*number).is_ok(),
        (KeyType::Gtin, Key::Number(number)) | (KeyType::GtinLot, Key::NumberText(number, _)) => {
            Gtin::new(*number).is_ok()
        }
        _ => false,
    }
}

fn cut(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    if text.chars().count() <= 80 { text } else { text.chars().take(79).chain(['…']).collect() }
}
