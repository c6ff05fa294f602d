//! The fields of every record: who captured its last change, when, and how reliable that time is (DOMAIN B, "Common
//! header"). They are ordinary registers with reserved tags.

use super::choice::{Choice, choice};
use super::codec::FieldValue;
use super::field::{FieldSpec, KeyType, Label, Unit};
use crate::calendar::Day;
use crate::ids::{PersonId, RecordId};
use crate::record::{FieldKey, Record, Value, ValueType, Write};

/// The first tag that a kind may use for its own fields.
pub const TAGS_END: u16 = 16;

/// Who captured it.
pub const ACTOR: u16 = 1;
/// When it was captured.
pub const CAPTURED_AT_MS: u16 = 2;
/// The device's offset from UTC at that moment.
pub const UTC_OFFSET_MIN: u16 = 3;
/// How reliable that moment is.
pub const CLOCK_GRADE: u16 = 4;
/// The outlet's local day.
pub const BUSINESS_DAY: u16 = 5;
/// The record that this one corrects.
pub const CORRECTS: u16 = 6;
/// The record that corrects this one. The figures of this record no longer count.
pub const CORRECTED_BY: u16 = 7;

/// Who, when and on which day. An op writes all of these tags or none.
pub const MOMENT: [u16; 5] = [ACTOR, CAPTURED_AT_MS, UTC_OFFSET_MIN, CLOCK_GRADE, BUSINESS_DAY];

choice! {
    /// How reliable a captured time is 时钟可信度.
    ClockGrade {
        /// The clock was set against the server's since the device last started.
        Trusted = 1, "trusted", "可信" / "trusted";
        /// The clock was set against the server's before the device last started.
        Drifted = 2, "drifted", "可能偏差" / "drifted";
        /// The clock was never set against the server's.
        Unverified = 3, "unverified", "未校准" / "unverified";
    }
}

const fn field(
    tag: u16,
    name: &'static str,
    zh: &'static str,
    en: &'static str,
    value: ValueType,
    unit: Unit,
) -> FieldSpec {
    let required = matches!(tag, ACTOR | CAPTURED_AT_MS | BUSINESS_DAY);
    let choices: &[_] = if tag == CLOCK_GRADE { <ClockGrade as Choice>::CHOICES } else { &[] };
    FieldSpec {
        tag,
        name,
        label: Label { zh, en },
        value,
        key: KeyType::Single,
        refers_to: if tag == ACTOR { Some(PersonId::KIND) } else { None },
        line_refers_to: None,
        unit,
        choices,
        required,
        natural_key: false,
        display_name: false,
        headquarters: false,
        server: false,
    }
}

/// The declarations of the header's fields.
pub static FIELDS: [FieldSpec; 7] = [
    field(ACTOR, "actor", "记录人", "Recorded by", ValueType::Id, Unit::None),
    field(CAPTURED_AT_MS, "captured_at_ms", "记录时间", "Captured at", ValueType::Int, Unit::UnixMs),
    field(UTC_OFFSET_MIN, "utc_offset_min", "时区偏移", "Offset from UTC", ValueType::Int, Unit::Min),
    field(CLOCK_GRADE, "clock_grade", "时钟可信度", "Clock grade", ValueType::Int, Unit::None),
    field(BUSINESS_DAY, "business_day", "业务日期", "Business day", ValueType::Int, Unit::Day),
    field(CORRECTS, "corrects", "更正", "Corrects", ValueType::Id, Unit::None),
    field(CORRECTED_BY, "corrected_by", "被更正", "Corrected by", ValueType::Id, Unit::None),
];

/// The header of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Who captured it.
    pub actor: PersonId,
    /// When, in Unix milliseconds by the device's clock.
    pub captured_at_ms: i64,
    /// The device's offset from UTC, in minutes.
    pub utc_offset_min: i64,
    /// How reliable the time is.
    pub clock_grade: ClockGrade,
    /// The local day of the outlet.
    pub business_day: Day,
    /// The record that this one corrects.
    pub corrects: Option<RecordId>,
}

impl Header {
    /// The writes of this header, in the order of their tags.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = vec![
            single(ACTOR, self.actor.to_value()),
            single(CAPTURED_AT_MS, Value::Int(self.captured_at_ms)),
            single(UTC_OFFSET_MIN, Value::Int(self.utc_offset_min)),
            single(CLOCK_GRADE, self.clock_grade.to_value()),
            single(BUSINESS_DAY, self.business_day.to_value()),
        ];
        writes.extend(self.corrects.map(|id| single(CORRECTS, Value::Id(id))));
        writes
    }

    /// The header of a record; `None` if a required field is missing.
    pub fn read(record: &Record) -> Option<Self> {
        Self::from_values(|tag| record.value(tag))
    }

    /// The header that an op writes; `None` if a required field is missing.
    pub fn of_op(op: &crate::record::Op) -> Option<Self> {
        Self::from_values(|tag| op.written(tag))
    }

    fn from_values<'a>(value: impl Fn(u16) -> Option<&'a Value>) -> Option<Self> {
        Some(Self {
            actor: PersonId::from_value(value(ACTOR)?)?,
            captured_at_ms: i64::from_value(value(CAPTURED_AT_MS)?)?,
            utc_offset_min: value(UTC_OFFSET_MIN).and_then(i64::from_value).unwrap_or(0),
            clock_grade: value(CLOCK_GRADE)
                .and_then(ClockGrade::from_value)
                .unwrap_or(ClockGrade::Unverified),
            business_day: Day::from_value(value(BUSINESS_DAY)?)?,
            corrects: value(CORRECTS).and_then(RecordId::from_value),
        })
    }
}

/// Whether a later record replaces this one, so that its figures no longer count.
pub fn is_corrected(record: &Record) -> bool {
    record.value(CORRECTED_BY).is_some()
}

fn single(tag: u16, value: Value) -> Write {
    Write { at: FieldKey::single(tag), value, seen: None }
}
