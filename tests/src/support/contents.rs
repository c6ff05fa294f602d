//! A server's whole content, for tests that nothing changed or that two servers hold the same.

use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{MeasureFamily, Measures, Subject};
use xundian_protocol::kinds;
use xundian_protocol::record::Record;
use xundian_server::Server;
use xundian_server::figures::CellSubjects;

/// A period that contains everything in these tests.
pub const ALWAYS: (Day, Day) = (Day(0), Day(36_500));

/// The records of every kind, and every figure by unit and by person.
#[derive(Clone, PartialEq, Debug)]
pub struct Contents {
    records: BTreeMap<&'static str, Vec<Record>>,
    figures: Vec<(MeasureFamily, Vec<CellSum>)>,
}

/// A subject, a dimension and the sum of its cells.
type CellSum = (Subject, u64, Measures);

impl Contents {
    /// Reads the content of a server.
    ///
    /// # Panics
    /// Panics if the store cannot be read.
    pub fn of(server: &Server) -> Self {
        let (from, to) = ALWAYS;
        let mut figures = Vec::new();
        for family in MeasureFamily::ALL {
            for of in [CellSubjects::Units, CellSubjects::People] {
                figures.push((family, server.cells(family, of, from, to).expect("readable cells")));
            }
        }
        let records =
            |spec: &&kinds::KindSpec| (spec.code, server.records(spec.kind).expect("readable records"));
        Self { records: kinds::ALL.iter().map(records).collect(), figures }
    }

    /// Returns the number of records of a kind, given by its code.
    pub fn count(&self, kind: &str) -> usize {
        self.records.get(kind).map_or(0, Vec::len)
    }

    /// Describes each difference to another content; empty if they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (kind, records) in &self.records {
            let others = other.records.get(kind).map_or(&[][..], Vec::as_slice);
            if records != others {
                found.push(format!("{kind}: records differ, {} and {} of them", records.len(), others.len()));
            }
        }
        found.extend(self.figure_differences(other));
        found
    }

    /// Whether there are no figures at all.
    pub fn has_no_figures(&self) -> bool {
        self.figures.iter().all(|(_, rows)| rows.is_empty())
    }

    /// Describes each difference in the figures.
    pub fn figure_differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.figures.iter().zip(&other.figures).filter(|((_, rows), (_, others))| rows != others);
        pairs.map(|((family, rows), (_, others))| format!("{family:?}: {rows:?} and {others:?}")).collect()
    }
}
