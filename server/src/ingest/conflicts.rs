//! Conflicts as records: each concurrent write found by the merge becomes a record in the home of the record in
//! conflict.

use super::batch::ChangedRecord;
use std::collections::{BTreeSet, HashMap};
use xundian_protocol::access::Directory;
use xundian_protocol::clock::Stamp;
use xundian_protocol::ids::{DeviceNo, PersonId};
use xundian_protocol::kinds::{Conflict, Entity, Header};
use xundian_protocol::record::{ConcurrentWrite, Field, Home, Record, RecordKey, Register, Write};

/// A conflict that the merge found.
pub(crate) struct FoundConflict {
    /// The record in conflict.
    pub(super) record: RecordKey,
    /// Its home.
    pub(super) home: Home,
    /// The field and its two values.
    pub(super) conflict: ConcurrentWrite,
}

impl FoundConflict {
    /// The key of the conflict's own record.
    pub(crate) fn key(&self) -> RecordKey {
        Conflict::key(Conflict::id_of(self.record, &self.conflict.at, self.conflict.lost.stamp))
    }

    /// The devices that wrote the two values.
    pub(crate) fn devices(&self) -> [DeviceNo; 2] {
        [self.conflict.kept.stamp.device, self.conflict.lost.stamp.device]
    }
}

/// What exists already, for the plan of a batch's conflicts.
pub(crate) struct KnownConflicts {
    /// Conflicts that have a record. It stays as it is: finding a conflict again never overwrites a settlement.
    pub(crate) keys: BTreeSet<RecordKey>,
    /// The people of the devices.
    pub(crate) people: HashMap<DeviceNo, PersonId>,
}

/// The records of the conflicts that a batch found, each once, written by the server with this header and stamp.
pub(crate) fn plan_conflicts(
    found: &[FoundConflict],
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
            // The author is the device whose write caused it and which has not seen it.
            changed.push(ChangedRecord { old: None, new, echo: true });
        }
    }
    changed
}
