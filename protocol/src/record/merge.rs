//! The merge rule: of two registers, the one with the greater stamp wins.
//!
//! A record under this rule is a join-semilattice (Shapiro et al., "Conflict-free Replicated Data Types", 2011):
//! merging is commutative, associative and idempotent, so order and repetition do not matter.

use super::{Field, FieldKey, Op, Record, Register, Value};
use crate::clock::Stamp;
use crate::simulation::fault_injection::Bug;

/// Two writes of one field whose writers did not know of each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConcurrentWrite {
    /// The field.
    pub at: FieldKey,
    /// The value that won.
    pub kept: Register,
    /// The value that lost, kept for a person to see.
    pub lost: Register,
}

/// The result of applying an op.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Whether any field changed.
    pub changed: bool,
    /// Fields whose current value the writer had not seen.
    pub conflicts: Vec<ConcurrentWrite>,
}

impl Register {
    /// What decides between two registers: the stamp. The value is compared only so that two copies with the same stamp
    /// and different values, which no correct device makes, still end equal everywhere.
    pub(super) fn rank(&self) -> (Stamp, &Value) {
        (self.stamp, &self.value)
    }
}

impl Record {
    /// Merges another copy of this record into this one. Returns whether anything changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        debug_assert_eq!(self.key, other.key);
        self.take_in(other.fields.clone())
    }

    /// Merges fields that are in the order of their keys.
    fn take_in(&mut self, theirs: Vec<Field>) -> bool {
        if self.fields.is_empty() {
            self.fields = theirs;
            return !self.fields.is_empty();
        }
        let mut changed = false;
        let mut merged = Vec::with_capacity(self.fields.len().max(theirs.len()));
        let mut mine = std::mem::take(&mut self.fields).into_iter().peekable();
        for theirs in theirs {
            while let Some(field) = mine.next_if(|field| field.at < theirs.at) {
                merged.push(field);
            }
            match mine.next_if(|field| field.at == theirs.at) {
                Some(field)
                    if field.register.rank() >= theirs.register.rank()
                        && !Bug::MergeByArrival.is_injected() =>
                {
                    merged.push(field);
                }
                _ => {
                    changed = true;
                    merged.push(theirs);
                }
            }
        }
        merged.extend(mine);
        self.fields = merged;
        changed
    }

    /// Merges the writes of an op, and reports the fields whose current value the writer had not seen.
    pub fn apply(&mut self, op: &Op) -> Applied {
        debug_assert!(op.is_ordered());
        let conflicts = op.writes.iter().filter_map(|write| self.conflict(write, op.stamp)).collect();
        let fields = op
            .writes
            .iter()
            .map(|write| Field {
                at: write.at.clone(),
                register: Register { value: write.value.clone(), stamp: op.stamp },
            })
            .collect();
        Applied { changed: self.take_in(fields), conflicts }
    }

    fn conflict(&self, write: &super::Write, stamp: Stamp) -> Option<ConcurrentWrite> {
        let standing = self.register(&write.at)?;
        // The same write sent again, a write that saw the current value, and a write of an equal value are no conflict.
        if standing.stamp == stamp || write.seen == Some(standing.stamp) || standing.value == write.value {
            return None;
        }
        // A device's later write knew its earlier one.
        if standing.stamp.device == stamp.device {
            return None;
        }
        let written = Register { value: write.value.clone(), stamp };
        let (kept, lost) = if standing.rank() >= written.rank() {
            (standing.clone(), written)
        } else {
            (written, standing.clone())
        };
        Some(ConcurrentWrite { at: write.at.clone(), kept, lost })
    }
}
