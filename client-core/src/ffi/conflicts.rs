//! Conflicts, edits and mended saves for apps.

use xundian_protocol::ids::{DeviceNo, PersonId, RecordId};
use xundian_protocol::kinds::{Decision, KeyedValue, Settlement, format, spec};
use xundian_protocol::record::{Field, FieldKey, Home, Key, Record, RecordKey, Register, Value};

use super::client::Client;
use super::errors::ClientError;
use super::kinds::{Kind, RecordContent};
use crate::client::{ConflictLine as CoreLine, ConflictSide as CoreSide};
use crate::store::{RejectedId, SaveState};

/// A conflict: two people wrote the same field and neither knew of the other.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ConflictLine {
    /// Its id.
    pub id: RecordId,
    /// Where it and the record that it is about live.
    pub home: Home,
    /// The kind of that record; none where this version does not know it.
    pub kind: Option<Kind>,
    /// The record that it is about.
    pub record: RecordId,
    /// The field's name.
    pub field: String,
    /// What people call the field, in Chinese.
    pub field_zh: String,
    /// The same in English.
    pub field_en: String,
    /// The line, where the field is a map: a product with its GTIN, a day, an outlet.
    pub line: Option<String>,
    /// The value that stood when the conflict was found.
    pub kept: ConflictValue,
    /// The value that lost.
    pub lost: ConflictValue,
    /// When the server found it, Unix milliseconds.
    pub found_at_ms: i64,
    /// How it was settled; none while it is open.
    pub settlement: Option<Settlement>,
    /// Whether the value that lost can be restored. Where it cannot, the conflict can be kept all the same.
    pub may_restore: bool,
    /// Where it stands on its way to the server.
    pub state: SaveState,
}

/// One of the two values of a conflict, and who wrote it when.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ConflictValue {
    /// How it reads in Chinese.
    pub text_zh: String,
    /// How it reads in English.
    pub text_en: String,
    /// A form of the record's kind that holds this field alone, and nothing where the value was removed; none where
    /// this version does not know the kind.
    pub content: Option<RecordContent>,
    /// The device that wrote it; 0 is headquarters.
    pub device: DeviceNo,
    /// Who wrote it; none for headquarters.
    pub person: Option<PersonId>,
    /// Their name at that time.
    pub person_name: Option<String>,
    /// When they wrote it, Unix milliseconds.
    pub at_ms: i64,
}

/// How a conflict was settled, by whom and when.
#[uniffi::remote(Record)]
pub struct Settlement {
    /// How.
    pub decision: Decision,
    /// By whom.
    pub by: PersonId,
    /// When, by their device's clock; Unix milliseconds.
    pub at_ms: Option<i64>,
}

/// A value with the key of its line, of whatever type.
#[uniffi::remote(Record)]
pub struct KeyedValue {
    /// The line, or `Single`.
    pub key: Key,
    /// The value; `Absent` where it was removed or was never there.
    pub value: Value,
}

/// Which line of a map.
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

/// What a field holds.
#[uniffi::remote(Enum)]
pub enum Value {
    /// Nothing any more.
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

/// What several people change: editing it, mending what was refused, and settling what they changed at once.
#[uniffi::export]
impl Client {
    /// Writes the filled-in fields of a form into a record that people edit, such as an outlet or an issue. With the
    /// form that the person had before them, just what differs from it is written, what they emptied is removed, and
    /// what somebody else changed in the meantime ends as a conflict instead of being lost.
    ///
    /// # Errors
    /// Returns an error if the device has no such record, the kind is not edited, or a value is not allowed.
    #[uniffi::method(default(before = None))]
    pub fn edit(
        &self,
        id: RecordId,
        content: RecordContent,
        before: Option<RecordContent>,
    ) -> Result<(), ClientError> {
        let kind = content.kind();
        if let Some(other) = before.as_ref().map(RecordContent::kind).filter(|before| *before != kind) {
            return Err(ClientError::argument(format!("the form is a {kind:?}, the one before a {other:?}")));
        }
        let key = RecordKey { kind: kind.id(), id };
        self.save(|core| core.edit_fields(key, content.writes(), before.map(|before| before.writes())))
    }

    /// Saves what lies in the rejected tray anew, with the fields of a form in the place of those that were refused. It
    /// leaves the tray.
    ///
    /// # Errors
    /// Returns an error if the tray has no such entry, the form is of another kind, or a value is not allowed.
    pub fn mend_rejected(&self, id: RejectedId, content: RecordContent) -> Result<(), ClientError> {
        self.save(|core| core.mend_fields(id, content.kind().spec(), content.writes()))
    }

    /// The conflicts of a home, such as an outlet, or of all that this device sees: open ones first, then by when they
    /// were found, the latest first.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(home = None))]
    pub fn conflicts(&self, home: Option<Home>) -> Result<Vec<ConflictLine>, ClientError> {
        Ok(self.core()?.conflicts(home)?.into_iter().map(ConflictLine::from).collect())
    }

    /// Settles a conflict. To keep says that what stands is right; to restore writes the value that lost again.
    ///
    /// # Errors
    /// Returns an error if the device has no such conflict or not its record, it is settled already, or the kind of its
    /// record is not edited.
    pub fn settle_conflict(&self, id: RecordId, decision: Decision) -> Result<(), ClientError> {
        self.save(|core| core.settle_conflict(id, decision))
    }
}
