//! Conflicts, edits and corrections of rejected ops, for apps.

use xundian_protocol::ids::{DeviceNo, PersonId, RecordId};
use xundian_protocol::kinds::{Decision, KeyedValue, Settlement, format, spec};
use xundian_protocol::record::{Field, FieldKey, Home, Key, Record, RecordKey, Register, Value};

use super::client::Client;
use super::errors::ClientError;
use super::kinds::{Kind, RecordContent};
use crate::client::{ConflictLine as CoreLine, ConflictSide as CoreSide};
use crate::store::{RejectedId, SaveState};

/// A conflict: two people wrote the same field, neither aware of the other's value.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ConflictLine {
    /// Its id.
    pub id: RecordId,
    /// The home of the conflict and of its record.
    pub home: Home,
    /// The kind of the record; none if this version does not know it.
    pub kind: Option<Kind>,
    /// The record in conflict.
    pub record: RecordId,
    /// The field's name.
    pub field: String,
    /// The field's Chinese label.
    pub field_zh: String,
    /// The field's English label.
    pub field_en: String,
    /// The line's key as text, if the field is a map: a product with its GTIN, a day, an outlet.
    pub line: Option<String>,
    /// The current value when the conflict was found.
    pub kept: ConflictValue,
    /// The value that lost.
    pub lost: ConflictValue,
    /// When the server found it, Unix milliseconds.
    pub found_at_ms: i64,
    /// How it was settled; none while open.
    pub settlement: Option<Settlement>,
    /// Whether the lost value can be restored. If not, the conflict can still be settled as kept.
    pub may_restore: bool,
    /// Its save state.
    pub state: SaveState,
}

/// One of the two values of a conflict, with its author and time.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ConflictValue {
    /// The value as Chinese text.
    pub text_zh: String,
    /// The value as English text.
    pub text_en: String,
    /// An entity of the record's kind with only this field, or no field if the value was removed; none if this version
    /// does not know the kind.
    pub content: Option<RecordContent>,
    /// The device that wrote it; 0 is headquarters.
    pub device: DeviceNo,
    /// The author; none for headquarters.
    pub person: Option<PersonId>,
    /// The author's name at that time.
    pub person_name: Option<String>,
    /// When it was written, Unix milliseconds.
    pub at_ms: i64,
}

/// How a conflict was settled, by whom and when.
#[uniffi::remote(Record)]
pub struct Settlement {
    /// The decision.
    pub decision: Decision,
    /// The person who settled it.
    pub by: PersonId,
    /// When, by their device's clock; Unix milliseconds.
    pub at_ms: Option<i64>,
}

/// A value with the key of its line.
#[uniffi::remote(Record)]
pub struct KeyedValue {
    /// The line, or `Single`.
    pub key: Key,
    /// The value; `Absent` if it was removed or never existed.
    pub value: Value,
}

/// The key of a map's line.
#[uniffi::remote(Enum)]
pub enum Key {
    /// The field is not a map.
    Single,
    /// A number, such as a GTIN or a day.
    Number(u64),
    /// A short text.
    Text(String),
    /// Another record's id.
    Id(RecordId),
    /// A number and a text, such as a GTIN and a lot.
    NumberText(u64, String),
}

/// The value of a field.
#[uniffi::remote(Enum)]
pub enum Value {
    /// No value.
    Absent,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Another record's id.
    Id(RecordId),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

impl From<CoreLine> for ConflictLine {
    fn from(line: CoreLine) -> Self {
        let CoreLine { id, home, record, at, field, kept, lost, .. } = line;
        let declared = spec(record.kind).and_then(|spec| spec.field(at.tag));
        let name = format::field_name(declared, at.tag);
        Self {
            id,
            home,
            kind: Kind::of(record.kind),
            record: record.id,
            field: name,
            field_zh: field.zh,
            field_en: field.en,
            line: line.line,
            kept: value(record, home, at.tag, kept),
            lost: value(record, home, at.tag, lost),
            found_at_ms: line.found_at_ms,
            settlement: line.settlement,
            may_restore: line.may_restore,
            state: line.state,
        }
    }
}

fn value(record: RecordKey, home: Home, tag: u16, CoreSide { side, text }: CoreSide) -> ConflictValue {
    let stamp = xundian_protocol::clock::Stamp {
        hlc: xundian_protocol::clock::Hlc::at_ms(side.at_ms),
        device: side.device,
    };
    let field = Field {
        at: FieldKey { tag, key: side.held.key },
        register: Register { value: side.held.value, stamp },
    };
    ConflictValue {
        text_zh: text.zh,
        text_en: text.en,
        content: RecordContent::read(&Record::from_fields(record, home, vec![field])),
        device: side.device,
        person: side.person,
        person_name: side.name,
        at_ms: side.at_ms,
    }
}

/// Editing shared records, correcting rejected ops, and settling conflicts.
#[uniffi::export]
impl Client {
    /// Writes the filled-in fields of an entity into a shared record, such as an outlet or an issue. With `before`, the
    /// entity as the person saw it, only the differences are written, emptied fields are removed, and a concurrent
    /// change becomes a conflict instead of being lost.
    ///
    /// # Errors
    /// Returns an error if the device has no such record, the kind is not editable, or a value is not allowed.
    #[uniffi::method(default(before = None))]
    pub fn edit(
        &self,
        id: RecordId,
        content: RecordContent,
        before: Option<RecordContent>,
    ) -> Result<(), ClientError> {
        let kind = content.kind();
        if let Some(other) = before.as_ref().map(RecordContent::kind).filter(|before| *before != kind) {
            return Err(ClientError::argument(format!(
                "the content is a {kind:?}, but `before` is a {other:?}"
            )));
        }
        let key = RecordKey { kind: kind.id(), id };
        self.save(|core| core.edit_fields(key, content.writes(), before.map(|before| before.writes())))
    }

    /// Saves a rejected op again as a new op, with the given entity's fields in place of its own, and removes it from
    /// the rejected ops.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected op, the entity is of another kind, or a value is not allowed.
    pub fn mend_rejected(&self, id: RejectedId, content: RecordContent) -> Result<(), ClientError> {
        self.save(|core| core.mend_fields(id, content.kind().spec(), content.writes()))
    }

    /// Returns the conflicts of a home, such as an outlet, or of all homes on this device. Open ones come first, and of
    /// both the latest first.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(home = None))]
    pub fn conflicts(&self, home: Option<Home>) -> Result<Vec<ConflictLine>, ClientError> {
        Ok(self.core()?.conflicts(home)?.into_iter().map(ConflictLine::from).collect())
    }

    /// Settles a conflict. `Kept` confirms the current value; `Restored` writes the lost value again.
    ///
    /// # Errors
    /// Returns an error if the device does not have the conflict or its record, the conflict is already settled, or the
    /// record's kind is not editable.
    pub fn settle_conflict(&self, id: RecordId, decision: Decision) -> Result<(), ClientError> {
        self.save(|core| core.settle_conflict(id, decision))
    }
}
