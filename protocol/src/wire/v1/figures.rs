//! Figures on the wire: each subject once, and each measure as a column.

use crate::figures::{MEASURES_MAX, Measures, Subject};
use crate::ids::{OrgUnitId, PersonId, RecordId};
use crate::limits::FIGURE_ROWS_MAX;
use crate::wire::DecodeError;
use crate::wire::codec::Numbers;
use bincode::{Decode, Encode};

/// Rows of figures. Decoding checks their bounds; encoded rows come from a store.
#[derive(Encode, Decode)]
pub(super) struct WireFigures {
    /// Each subject with the number of its rows.
    subjects: Vec<(WireSubject, u32)>,
    /// The difference of each row's dimension to that of the row before, with wrap-around.
    steps: Vec<u64>,
    /// One column for each measure, up to the last one that is not zero everywhere.
    measures: Vec<Numbers>,
}

#[derive(Encode, Decode)]
enum WireSubject {
    Unassigned,
    Unit([u8; 16]),
    Person([u8; 16]),
}

impl From<Subject> for WireSubject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Unit(None) => Self::Unassigned,
            Subject::Unit(Some(unit)) => Self::Unit(*unit.0.as_bytes()),
            Subject::Person(person) => Self::Person(*person.0.as_bytes()),
        }
    }
}

impl From<WireSubject> for Subject {
    fn from(subject: WireSubject) -> Self {
        match subject {
            WireSubject::Unassigned => Self::Unit(None),
            WireSubject::Unit(id) => Self::Unit(Some(OrgUnitId(RecordId::from_bytes(id)))),
            WireSubject::Person(id) => Self::Person(PersonId(RecordId::from_bytes(id))),
        }
    }
}

impl WireFigures {
    pub(super) fn of(rows: &[(Subject, u64, Measures)]) -> Self {
        let of_subject = |group: &[(Subject, u64, Measures)]| {
            (group[0].0.into(), u32::try_from(group.len()).unwrap_or(u32::MAX))
        };
        let subjects = rows.chunk_by(|a, b| a.0 == b.0).map(of_subject).collect();
        let before = std::iter::once(0).chain(rows.iter().map(|row| row.1));
        let steps = rows.iter().zip(before).map(|(row, before)| row.1.wrapping_sub(before)).collect();
        let is_used = |measure: &usize| rows.iter().any(|row| row.2.0[*measure] != 0);
        let used = (0..MEASURES_MAX).rev().find(is_used).map_or(0, |last| last + 1);
        let column = |measure: usize| Numbers(rows.iter().map(|row| row.2.0[measure]).collect());
        Self { subjects, steps, measures: (0..used).map(column).collect() }
    }

    pub(super) fn rows(self) -> Result<Vec<(Subject, u64, Measures)>, DecodeError> {
        let count = self.steps.len();
        DecodeError::bound("rows of figures", count, FIGURE_ROWS_MAX)?;
        DecodeError::bound("measures of figures", self.measures.len(), MEASURES_MAX)?;
        if self.measures.iter().any(|column| column.0.len() != count) {
            return Err(DecodeError::malformed("a measure does not have one value for each row"));
        }
        let of_subjects: u64 = self.subjects.iter().map(|(_, rows)| u64::from(*rows)).sum();
        if of_subjects != count as u64 {
            return Err(DecodeError::malformed(
                "the row counts of the subjects do not add up to the number of rows",
            ));
        }
        let mut rows = Vec::with_capacity(count);
        let mut dimension = 0u64;
        let mut steps = self.steps.into_iter();
        for (subject, of_subject) in self.subjects {
            let subject = Subject::from(subject);
            for step in steps.by_ref().take(of_subject as usize) {
                dimension = dimension.wrapping_add(step);
                rows.push((subject, dimension, Measures::default()));
            }
        }
        for (measure, column) in self.measures.into_iter().enumerate() {
            for (row, value) in rows.iter_mut().zip(column.0) {
                row.2.0[measure] = value;
            }
        }
        Ok(rows)
    }
}
