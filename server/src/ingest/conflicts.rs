//! Conflicts as records: what the merge found becomes a record in the home of the record that it is about, and
//! whoever settles one must have the right to what settling may write.

use super::ChangedRecord;
use super::merge::Refused;
use std::collections::{BTreeSet, HashMap};
use xundian_protocol::access::{Directory, Writer};
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::Stamp;
use xundian_protocol::ids::{DeviceNo, PersonId};
use xundian_protocol::kinds::{self, Conflict, Entity, Header};
use xundian_protocol::record::{self, Field, Home, Op, Record, RecordKey, Register, Write};
use xundian_protocol::wire::v1::Refusal;

/// A conflict that the merge found.
pub(crate) struct Found {
    /// The record that it is about.
    pub(super) record: RecordKey,
    /// Where that record lives.
    pub(super) home: Home,
    /// The field and its two values.
    pub(super) conflict: record::ConcurrentWrite,
}

impl Found {
    /// The key of its record.
    pub(crate) fn key(&self) -> RecordKey {
        Conflict::key(Conflict::id_of(self.record, &self.conflict.at, self.conflict.lost.stamp))
    }

    /// The devices that wrote the two values.
    pub(crate) fn devices(&self) -> [DeviceNo; 2] {
        [self.conflict.kept.stamp.device, self.conflict.lost.stamp.device]
    }
}

/// What stands already, for the plan of the conflicts that a batch found.
pub(crate) struct KnownConflicts {
    /// Those that have a record. It stays as it is: no second finding writes over a settlement.
    pub(crate) keys: BTreeSet<RecordKey>,
    /// The people of the devices.
    pub(crate) people: HashMap<DeviceNo, PersonId>,
}

/// The records of the conflicts that a batch found, each once, written by the server with this header and stamp.
pub(crate) fn plan_conflicts(
    found: &[Found],
    mut known: KnownConflicts,
    directory: &Directory,
    header: &Header,
    stamp: Stamp,
) -> Vec<ChangedRecord> {
    let who = |device: DeviceNo| {
        let person = *known.people.get(&device)?;
        let name = directory.person(person).map(|entry| entry.name.clone());
        Some((person, name.unwrap_or_default()))
    };
    let mut changed = Vec::new();
    for found in found {
        let key = found.key();
        if known.keys.insert(key) {
            let form = Conflict::of(found.record, &found.conflict, header.captured_at_ms, who);
            let field =
                |write: Write| Field { at: write.at, register: Register { value: write.value, stamp } };
            let fields = header.writes().into_iter().chain(form.writes()).map(field).collect();
            let new = Record::from_fields(key, found.home, fields);
            // Its author is the device whose write brought it about, and has not seen it.
            changed.push(ChangedRecord { old: None, new, echo: true });
        }
    }
    changed
}

/// Checks what a person says of a conflict: they settle it in their own name, and they have the right to write
/// the field that it is about, as restoring writes it.
pub(super) fn check_settlement(
    directory: &Directory,
    person: PersonId,
    op: &Op,
    standing: Option<&Record>,
    day: Day,
    today: Day,
) -> Result<(), Refused> {
    let mut settlers = Conflict::settlers(op).peekable();
    if settlers.peek().is_none() || settlers.any(|by| by != Some(person)) {
        let message = "a conflict is settled in one's own name alone, and by nothing else".into();
        return Err(Refused { why: Refusal::Invalid, message });
    }
    let conflict = standing.map(Conflict::read).unwrap_or_default();
    let Some((record, at)) = conflict.about() else { return Ok(()) };
    // About a kind that this server does not know its home alone decides, as it does for the record itself.
    let Some(spec) = kinds::spec(record.kind) else { return Ok(()) };
    let value = conflict.lost.map(|lost| lost.value).unwrap_or(record::Value::Absent);
    let restoring = Op { record, writes: vec![Write { at, value, seen: None }], ..op.clone() };
    Ok(directory.may_write(Writer::Person(person), spec, &restoring, day, today)?)
}
