//! Stage 4: what a checked row would write, compared with the current record. Pure.

use super::rows::Table;
use crate::server::Draft;
use xundian_protocol::kinds::Entity;
use xundian_protocol::record::{FieldKey, Home, Record, RecordKey, Value, Write};

/// A column and the tag of its field.
pub(super) type Filled = (&'static str, u16);

/// The desired state of one record.
#[derive(Clone, Debug)]
pub(super) struct DraftRecord {
    pub(super) key: RecordKey,
    pub(super) home: Home,
    /// The file's values.
    writes: Vec<Write>,
    /// Further values of a new record, for fields that the file leaves open.
    defaults: Vec<Write>,
    /// Fields whose cell is empty: the file removes their value.
    clears: Vec<u16>,
    /// Maps whose lines the file gives completely.
    replaces: Vec<u16>,
}

/// What an import would do to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Created,
    Changed,
    Unchanged,
}

impl DraftRecord {
    /// Builds a draft from the file's values. A field whose columns are in the file with empty cells is cleared; a
    /// field whose columns are not in the file is left alone.
    pub(super) fn new<T: Entity>(
        key: RecordKey,
        home: Home,
        says: &T,
        table: &Table,
        filled: &[Filled],
    ) -> Self {
        let writes = says.writes();
        let empty = |tag: u16| !writes.iter().any(|write| write.at.tag == tag);
        let given = filled.iter().filter(|(column, _)| table.has(column)).map(|(_, tag)| *tag);
        let clears = given.filter(|tag| empty(*tag)).collect();
        Self { key, home, writes, defaults: Vec::new(), clears, replaces: Vec::new() }
    }

    /// Adds the values of a new record for fields that the file leaves open.
    pub(super) fn or_new<T: Entity>(mut self, defaults: &T) -> Self {
        self.defaults = defaults.writes();
        self
    }

    /// Marks maps whose lines the file gives completely: other lines are removed.
    pub(super) fn replacing(mut self, tags: &[u16]) -> Self {
        self.replaces = tags.to_vec();
        self
    }
}

/// Compares a draft with the current record, and returns only the fields that differ.
pub(super) fn compare(draft: DraftRecord, standing: Option<&Record>) -> (Change, Draft) {
    let Some(record) = standing else {
        let mut writes = draft.writes;
        for default in draft.defaults {
            if !writes.iter().any(|write| write.at.tag == default.at.tag) {
                writes.push(default);
            }
        }
        writes.sort_by(|a, b| a.at.cmp(&b.at));
        return (Change::Created, Draft { key: draft.key, home: draft.home, writes });
    };
    let removed = |at: &FieldKey| {
        let cleared = draft.clears.contains(&at.tag);
        let replaced = draft.replaces.contains(&at.tag);
        (cleared || replaced) && !draft.writes.iter().any(|write| write.at == *at)
    };
    let gone = record.fields().iter().filter(|field| removed(&field.at));
    let gone = gone.map(|field| Write { at: field.at.clone(), value: Value::Absent, seen: None });
    let mut writes: Vec<Write> = draft.writes.iter().cloned().chain(gone).collect();
    writes.retain_mut(|write| {
        let register = record.register(&write.at);
        write.seen = register.map(|register| register.stamp);
        register.is_none_or(|register| register.value != write.value)
    });
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    let change = if writes.is_empty() { Change::Unchanged } else { Change::Changed };
    (change, Draft { key: draft.key, home: record.home, writes })
}
