//! Conflict 冲突: two people wrote the same field without knowing of each other.
//!
//! The merge decides which value wins. The losing value must reach the people concerned, so a conflict is a record in
//! the home of the record that it is about: it is synced, merged and listed like every other record. The server writes
//! what it found. Whoever may write the field settles it.

use super::declare::KeyedValue;
use super::declare::header;
use super::declare::{choice, kind};
use crate::clock::Stamp;
use crate::ids::{DeviceNo, KindId, PersonId, RecordId};
use crate::limits::FIELD_BYTES;
use crate::record::{self, FieldKey, Key, RecordKey, Register};

choice! {
    /// How a conflict was settled.
    Decision {
        /// The winning value is right.
        Kept = 1, "kept", "维持现值" / "Kept";
        /// The losing value is right; it was written again.
        Restored = 2, "restored", "恢复落选值" / "Restored";
    }
}

kind! {
    /// Two concurrent writes of one field: the value that won when the server found them, and the value that lost.
    /// Keeping and restoring write different fields, so that both are recorded if two people settle the conflict at
    /// once. Restoring takes precedence, because only it changed the record.
    Conflict = 16, "conflict", "冲突" / "Conflict";
    home Any; write_policy Edited; writers [Merchandiser, Representative, Manager];
    {
        /// The kind number of the record that it is about.
        record_kind: Option<i64> = 16, "记录类型" / "Record kind", None, required, server;
        /// The record that it is about.
        record: Option<RecordId> = 17, "记录" / "Record", None, required, server;
        /// The tag of the field.
        field: Option<i64> = 18, "字段" / "Field", None, required, server;
        /// The value that won when the conflict was found, with the key of its line.
        kept: Option<KeyedValue> = 19, "保留的值" / "Value kept", None, server;
        /// The device that wrote it; 0 is the server, for headquarters.
        kept_device: Option<i64> = 20, "保留值的设备" / "Device of the value kept", None, server;
        /// Who wrote it, if a person's device did.
        kept_by: Option<PersonId> = 21, "保留值的填写人" / "Writer of the value kept", None, server;
        /// Their name at that time. Not every device knows every person.
        kept_by_name: Option<String> = 22, "保留值填写人姓名" / "Name of that writer", None, server;
        /// When they wrote it.
        kept_at_ms: Option<i64> = 23, "保留值的时间" / "Moment of the value kept", UnixMs, server;
        /// The value that lost, with the key of its line.
        lost: Option<KeyedValue> = 24, "落选的值" / "Value that lost", None, server;
        /// The device that wrote it.
        lost_device: Option<i64> = 25, "落选值的设备" / "Device of the value that lost", None, server;
        /// Who wrote it, if a person's device did.
        lost_by: Option<PersonId> = 26, "落选值的填写人" / "Writer of the value that lost", None, server;
        /// Their name at that time.
        lost_by_name: Option<String> = 27, "落选值填写人姓名" / "Name of that writer", None, server;
        /// When they wrote it.
        lost_at_ms: Option<i64> = 28, "落选值的时间" / "Moment of the value that lost", UnixMs, server;
        /// When the server found it.
        found_at_ms: Option<i64> = 29, "发现时间" / "Found at", UnixMs, server;
        /// Who decided that the winning value is right.
        settled_kept_by: Option<PersonId> = 30, "维持现值的人" / "Kept by", None;
        /// When.
        settled_kept_at_ms: Option<i64> = 31, "维持现值的时间" / "Kept at", UnixMs;
        /// Who wrote the losing value again.
        settled_restored_by: Option<PersonId> = 32, "恢复落选值的人" / "Restored by", None;
        /// When.
        settled_restored_at_ms: Option<i64> = 33, "恢复落选值的时间" / "Restored at", UnixMs;
    }
}

/// The tags of the people who settled it.
const SETTLED_BY: [u16; 2] = [30, 32];

/// How a conflict was settled, by whom and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// How.
    pub decision: Decision,
    /// By whom.
    pub by: PersonId,
    /// When, by their device's clock, Unix milliseconds.
    pub at_ms: Option<i64>,
}

/// One of the two values, with its writer and moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// The value.
    pub held: KeyedValue,
    /// The device that wrote it.
    pub device: DeviceNo,
    /// The person who uses that device; `None` for headquarters.
    pub person: Option<PersonId>,
    /// Their name when the conflict was found.
    pub name: Option<String>,
    /// When it was written, Unix milliseconds.
    pub at_ms: i64,
}

impl Conflict {
    /// Whether two concurrent writes of a field need a person to settle them. Header fields need none, and two people
    /// who settle one conflict at once make no further conflict.
    pub fn concerns(record: RecordKey, at: &FieldKey) -> bool {
        record.kind != Self::SPEC.kind && !header::MOMENT.contains(&at.tag)
    }

    /// The id of the conflict in which a write lost. It is the same however often the conflict is found.
    pub fn id_of(record: RecordKey, at: &FieldKey, lost: Stamp) -> RecordId {
        // The line comes last, because only it may contain any text.
        let line = match &at.key {
            Key::Single => String::new(),
            Key::Number(number) => format!("number {number}"),
            Key::Text(text) => format!("text {text}"),
            Key::Id(id) => format!("id {id}"),
            Key::NumberText(number, text) => format!("number {number} text {text}"),
        };
        let (kind, tag, moment, device) = (record.kind.0, at.tag, lost.hlc.0, lost.device.0);
        RecordId::derived(Self::SPEC.kind, &format!("{kind}/{}/{tag}/{moment}/{device}/{line}", record.id))
    }

    /// The conflict for what the merge found. `who` gives the person of a device and their name.
    pub fn of(
        record: RecordKey,
        found: &record::ConcurrentWrite,
        found_at_ms: i64,
        who: impl Fn(DeviceNo) -> Option<(PersonId, String)>,
    ) -> Self {
        let held =
            |register: &Register| KeyedValue { key: found.at.key.clone(), value: register.value.clone() };
        let (kept, lost) = (&found.kept, &found.lost);
        let (kept_by, kept_by_name) = who(kept.stamp.device).unzip();
        let (lost_by, lost_by_name) = who(lost.stamp.device).unzip();
        Self {
            record_kind: Some(record.kind.0.into()),
            record: Some(record.id),
            field: Some(found.at.tag.into()),
            kept: Some(held(kept)),
            kept_device: Some(kept.stamp.device.0.into()),
            kept_by,
            kept_by_name,
            kept_at_ms: Some(kept.stamp.hlc.unix_ms()),
            lost: Some(held(lost)),
            lost_device: Some(lost.stamp.device.0.into()),
            lost_by,
            lost_by_name,
            lost_at_ms: Some(lost.stamp.hlc.unix_ms()),
            found_at_ms: Some(found_at_ms),
            ..Self::default()
        }
    }

    /// The most bytes of a conflict record for what the merge found, without the names.
    pub const fn bytes_max(found: &record::ConcurrentWrite) -> usize {
        let values = found.kept.value.content_bytes() + found.lost.value.content_bytes();
        let fields = Self::SPEC.fields.len() + header::FIELDS.len();
        fields * (FIELD_BYTES + 16) + 2 * found.at.key.content_bytes() + values
    }

    /// The record that it is about, and the field; `None` if the record does not say.
    pub fn about(&self) -> Option<(RecordKey, FieldKey)> {
        let kind = KindId(u16::try_from(self.record_kind?).ok()?);
        let tag = u16::try_from(self.field?).ok()?;
        let key = self.lost.as_ref()?.key.clone();
        Some((RecordKey { kind, id: self.record? }, FieldKey { tag, key }))
    }

    /// The value that won when the conflict was found.
    pub fn kept_side(&self) -> Option<Side> {
        let name = self.kept_by_name.clone();
        side(self.kept.as_ref()?, self.kept_device?, self.kept_by, name, self.kept_at_ms?)
    }

    /// The value that lost.
    pub fn lost_side(&self) -> Option<Side> {
        let name = self.lost_by_name.clone();
        side(self.lost.as_ref()?, self.lost_device?, self.lost_by, name, self.lost_at_ms?)
    }

    /// How it was settled; `None` while it is open.
    pub fn settlement(&self) -> Option<Settlement> {
        let restored = self.settled_restored_by.map(|by| Settlement {
            decision: Decision::Restored,
            by,
            at_ms: self.settled_restored_at_ms,
        });
        let kept = || {
            let by = self.settled_kept_by?;
            Some(Settlement { decision: Decision::Kept, by, at_ms: self.settled_kept_at_ms })
        };
        restored.or_else(kept)
    }

    /// The entity with the fields that settle it.
    pub fn settled(decision: Decision, by: PersonId, at_ms: i64) -> Self {
        match decision {
            Decision::Kept => {
                Self { settled_kept_by: Some(by), settled_kept_at_ms: Some(at_ms), ..Self::default() }
            }
            Decision::Restored => {
                Self { settled_restored_by: Some(by), settled_restored_at_ms: Some(at_ms), ..Self::default() }
            }
        }
    }

    /// The people by whom an op says that a conflict was settled, one for each field that it writes; `None` for a field
    /// that it clears.
    pub fn settlers(op: &record::Op) -> impl Iterator<Item = Option<PersonId>> {
        let written = SETTLED_BY.into_iter().filter_map(|tag| op.written(tag));
        written.map(<PersonId as super::FieldValue>::from_value)
    }
}

fn side(
    held: &KeyedValue,
    device: i64,
    person: Option<PersonId>,
    name: Option<String>,
    at_ms: i64,
) -> Option<Side> {
    let device = DeviceNo(u32::try_from(device).ok()?);
    Some(Side { held: held.clone(), device, person, name, at_ms })
}
