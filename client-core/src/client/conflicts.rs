//! Conflicts 冲突: listing them on this device, and settling them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::format::{self, Formatter, Text};
use xundian_protocol::kinds::{Conflict, Decision, Entity, FieldSpec, Settlement, Side, spec};
use xundian_protocol::record::{FieldKey, Home, Record, RecordKey, Write};

use super::Client;
use super::edit::edited_kind;
use crate::errors::RecordError;
use crate::recorder::Target;
use crate::store::{Save, SaveState, StoreError};

/// A conflict, for display.
#[derive(Clone, PartialEq, Debug)]
pub struct ConflictLine {
    /// Its id.
    pub id: RecordId,
    /// The home of the conflict and of its record.
    pub home: Home,
    /// The record in conflict.
    pub record: RecordKey,
    /// The field in conflict, and the line of a map.
    pub at: FieldKey,
    /// The field's label.
    pub field: Text,
    /// The line's name, if the field is a map.
    pub line: Option<String>,
    /// The current value when the conflict was found.
    pub kept: ConflictSide,
    /// The value that lost.
    pub lost: ConflictSide,
    /// When the server found it, Unix milliseconds.
    pub found_at_ms: i64,
    /// How it was settled; `None` while open.
    pub settlement: Option<Settlement>,
    /// Whether the field is editable, so that the lost value can be restored. Other conflicts can only be kept: a visit
    /// is corrected by a new one, and reference data by headquarters.
    pub may_restore: bool,
    /// Its save state.
    pub state: SaveState,
}

/// One of the two values.
#[derive(Clone, PartialEq, Debug)]
pub struct ConflictSide {
    /// The value, its author and its time.
    pub side: Side,
    /// The value as text.
    pub text: Text,
}

impl Client {
    /// The conflicts of one home or of all homes on this device: open ones first, then the latest first.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn conflicts(&self, home: Option<Home>) -> Result<Vec<ConflictLine>, StoreError> {
        let (kind, mut records) = (Conflict::SPEC.kind, Vec::new());
        match home {
            Some(home) => self.store.each_of_home(home, Some(kind), |record| records.push(record))?,
            None => self.store.each_of_kind(kind, |record| records.push(record))?,
        }
        let names = self.names_for(&records)?;
        let name = |kind, id| names.get(&RecordKey { kind, id }).cloned();
        let formatter = Formatter { name: &name, ..Formatter::PLAIN };
        let mut lines = Vec::with_capacity(records.len());
        for record in &records {
            let state = self.save_state(record.key)?.unwrap_or(SaveState::Confirmed);
            // A conflict written by a newer server may be unreadable for this version; it is skipped.
            lines.extend(conflict_line(record, state, &formatter));
        }
        lines.sort_by_key(|line| (line.settlement.is_some(), Reverse(line.found_at_ms), line.id));
        Ok(lines)
    }

    /// Settles a conflict; works offline. `Kept` confirms the current value and changes nothing else. `Restored` writes
    /// the lost value into the record again, as an edit made now, in the same save.
    ///
    /// # Errors
    /// Returns an error if the device does not have the conflict or its record, the conflict is already settled, or the
    /// record's kind is not editable.
    pub fn settle_conflict(&self, id: RecordId, decision: Decision) -> Result<(), RecordError> {
        let key = Conflict::key(id);
        self.save(|recorder, _, moment| {
            let record = self.store.record(key)?.ok_or(RecordError::NoSuchRecord { key })?;
            let conflict = Conflict::read(&record);
            if let Some(settled) = conflict.settlement() {
                return Err(RecordError::ConflictSettled { id, decision: settled.decision });
            }
            let captured = self.captured(&record, moment)?;
            if decision == Decision::Restored {
                let ((about, at), lost) =
                    conflict.about().zip(conflict.lost).ok_or(RecordError::NoSuchRecord { key })?;
                let kind = edited_kind(about)?;
                let subject = self.store.record(about)?.ok_or(RecordError::NoSuchRecord { key: about })?;
                let target = Target { existing: Some(&subject), ..Target::new(about.id, subject.home) };
                let restored = Write { at, value: lost.value, seen: None };
                recorder.write_fields(kind, &target, captured, vec![restored])?;
            }
            let target = Target { existing: Some(&record), ..Target::new(id, record.home) };
            let settled = Conflict::settled(decision, recorder.person(), recorder.now_ms());
            recorder.write(&target, captured, &settled)?;
            Ok(((), Save::default()))
        })
    }

    /// The display names of the records that the values of conflicts refer to, as far as this device knows them.
    fn names_for(&self, records: &[Record]) -> Result<BTreeMap<RecordKey, String>, StoreError> {
        let mut names = BTreeMap::new();
        for conflict in records.iter().map(Conflict::read) {
            let Some((about, at)) = conflict.about() else { continue };
            let held = conflict.kept.iter().chain(&conflict.lost);
            for (kind, id) in held.flat_map(|held| format::references(declared(about, &at), held)) {
                let key = RecordKey { kind, id };
                let record = self.store.record(key)?;
                let name = record.and_then(|record| spec(kind)?.display_name(&record));
                names.extend(name.map(|name| (key, name)));
            }
        }
        Ok(names)
    }
}

fn declared(record: RecordKey, at: &FieldKey) -> Option<&'static FieldSpec> {
    spec(record.kind).and_then(|spec| spec.field(at.tag))
}

fn conflict_line(record: &Record, state: SaveState, formatter: &Formatter<'_>) -> Option<ConflictLine> {
    let conflict = Conflict::read(record);
    let (about, at) = conflict.about()?;
    let field = declared(about, &at);
    let side = |side: Side| ConflictSide { text: formatter.value(field, &side.held.value), side };
    let is_reserved = field.is_some_and(|field| field.headquarters);
    Some(ConflictLine {
        id: record.key.id,
        home: record.home,
        record: about,
        field: format::field_label(field, at.tag),
        line: formatter.line(field, &at.key),
        kept: side(conflict.kept_side()?),
        lost: side(conflict.lost_side()?),
        found_at_ms: conflict.found_at_ms?,
        settlement: conflict.settlement(),
        may_restore: edited_kind(about).is_ok() && !is_reserved,
        state,
        at,
    })
}
