//! `verify`: recomputes every figure from all records, compares (promise 4), and on request repairs what differs.

mod repair;

pub use repair::{Mended, RepairReport};

use crate::ingest::{
    DerivedFacts, FigureChanges, OutletStock, Sign, TouchedStock, Units, blob_refs, plan_stock,
};
use crate::server::Server;
use crate::store::{
    BlobRef, Levels, PictureRow, ProvenanceKey, Readable, Reader, Statement, StoreError, UnreadableRow,
};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::figures::stock_ledger::EntryKey;
use xundian_protocol::figures::{Cell, Measures};
use xundian_protocol::ids::OutletId;

/// The result of `verify`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Records read; each was decoded and found intact.
    pub records: usize,
    /// Cells compared.
    pub cells: usize,
    /// Stock entries compared.
    pub stock_entries: usize,
    /// Provenance rows compared.
    pub provenance: usize,
    /// Pictures that records refer to and that are stored.
    pub pictures_stored: usize,
    /// Pictures that records refer to and that have not arrived.
    pub pictures_missing: usize,
    /// Stored pictures that are missing or differ; always zero unless the storage was checked too.
    pub pictures_damaged: usize,
    /// The differences, for people; empty if all is well. At most [`FINDINGS_MAX`].
    pub findings: Vec<String>,
}

/// The most findings listed; further ones would only repeat the same trouble.
pub const FINDINGS_MAX: usize = 100;

impl VerifyReport {
    /// Whether nothing was found.
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds a finding.
    pub(crate) fn find(&mut self, what: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what());
        }
    }
}

/// Stored rows that differ from the records, to be repaired.
#[derive(Default, Debug)]
struct Difference {
    /// Rows that cannot be read.
    unreadable: BTreeSet<UnreadableRow>,
    /// Outlets whose stock statements or latest levels differ.
    outlets: BTreeSet<OutletId>,
    /// Provenance rows that are superfluous or missing.
    provenance: BTreeSet<ProvenanceKey>,
    /// Blob refs that are superfluous or missing.
    blob_refs: BTreeSet<BlobRef>,
    /// What cells lack to be the sums of their records.
    cells: BTreeMap<Cell, Measures>,
}

impl Server {
    /// Reads every record, recomputes all cells, provenance and stock ledgers from them, and compares each with what is
    /// stored. It reads one snapshot, so it may run while devices sync.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        Ok(self.compare()?.0)
    }

    fn compare(&self) -> Result<(VerifyReport, Difference), StoreError> {
        // The directory and the snapshot must be of the same commit.
        let (reader, directory) = self.consistent_reader();
        let mut units = Units::new(&directory);
        let mut comparison =
            Comparison { reader, report: VerifyReport::default(), found: Difference::default() };
        let mut figures = FigureChanges::default();
        let mut stock = TouchedStock::default();
        let mut named = BTreeSet::new();
        for stored in comparison.reader.records(None) {
            let record = stored?.record;
            comparison.report.records += 1;
            let facts = DerivedFacts::by(&record);
            figures.say(record.key, &facts, Sign::Add, &mut units);
            stock.say(&facts, Sign::Add);
            named.extend(blob_refs(&record));
        }
        let mut statements = BTreeMap::new();
        let mut levels = BTreeMap::new();
        for (outlet, touched) in stock.0 {
            let plan = plan_stock(outlet, &touched, OutletStock::default(), &mut units, &mut figures);
            let made = plan.statements.into_iter().filter_map(|(at, made)| Some(((outlet, at), made?)));
            statements.extend(made);
            levels.insert(outlet, plan.levels);
        }
        comparison.cells(figures.cells())?;
        comparison.provenance(figures.provenance)?;
        comparison.statements(statements)?;
        comparison.levels(levels)?;
        comparison.pictures(named)?;
        Ok((comparison.report, comparison.found))
    }
}

/// A snapshot of the stored rows, beside what the records yield.
struct Comparison<'a> {
    reader: Reader<'a>,
    report: VerifyReport,
    found: Difference,
}

impl Comparison<'_> {
    fn cells(&mut self, mut expected: BTreeMap<Cell, Measures>) -> Result<(), StoreError> {
        for row in self.reader.cell_rows() {
            let Some(cells) = readable(row?, &mut self.report, &mut self.found) else { continue };
            for (cell, kept) in cells {
                self.report.cells += 1;
                let computed = expected.remove(&cell).unwrap_or_default();
                if computed != kept {
                    let (Measures(is), Measures(sum)) = (kept, computed);
                    self.report.find(|| format!("{cell:?} holds {is:?}, its records add up to {sum:?}"));
                    let mut lacks = computed;
                    lacks += -kept;
                    self.found.cells.insert(cell, lacks);
                }
            }
        }
        for (cell, Measures(computed)) in &expected {
            self.report.find(|| format!("{cell:?} is missing, its records add up to {computed:?}"));
        }
        self.found.cells.append(&mut expected);
        Ok(())
    }

    fn provenance(&mut self, mut expected: BTreeMap<ProvenanceKey, i32>) -> Result<(), StoreError> {
        self.report.provenance = expected.len();
        for row in self.reader.provenance_rows() {
            let Some(provenance) = readable(row?, &mut self.report, &mut self.found) else { continue };
            for provenance_key in
                provenance.into_iter().filter(|provenance_key| expected.remove(provenance_key).is_none())
            {
                self.report.find(|| format!("{provenance_key:?} is kept, and no record makes it once more"));
                self.found.provenance.insert(provenance_key);
            }
        }
        for missing in expected.into_keys() {
            self.report.find(|| format!("{missing:?} is missing"));
            self.found.provenance.insert(missing);
        }
        Ok(())
    }

    fn statements(
        &mut self,
        mut expected: BTreeMap<(OutletId, EntryKey), Statement>,
    ) -> Result<(), StoreError> {
        for row in self.reader.statement_rows() {
            let Some((outlet, kept)) = readable(row?, &mut self.report, &mut self.found) else { continue };
            self.report.stock_entries += kept.lines.len();
            let computed = expected.remove(&(outlet, kept.at));
            if computed.as_ref() != Some(&kept) {
                self.report
                    .find(|| format!("stock in {outlet}: {kept:?} is kept, the records make {computed:?}"));
                self.found.outlets.insert(outlet);
            }
        }
        for ((outlet, _), missing) in expected {
            self.report.find(|| format!("stock in {outlet}: {missing:?} is missing"));
            self.found.outlets.insert(outlet);
        }
        Ok(())
    }

    fn levels(&mut self, mut expected: BTreeMap<OutletId, Levels>) -> Result<(), StoreError> {
        for row in self.reader.level_rows() {
            let Some((outlet, kept)) = readable(row?, &mut self.report, &mut self.found) else { continue };
            let computed = expected.remove(&outlet).unwrap_or_default();
            if computed != kept {
                self.report.find(|| {
                    format!("the stock in {outlet} ends with {kept:?}, the records make {computed:?}")
                });
                self.found.outlets.insert(outlet);
            }
        }
        for outlet in expected.into_keys() {
            self.report.find(|| format!("the ends of the stock timelines in {outlet} are missing"));
            self.found.outlets.insert(outlet);
        }
        Ok(())
    }

    /// No record tells whether a picture is stored, so this part compares only the references.
    fn pictures(&mut self, mut expected: BTreeSet<BlobRef>) -> Result<(), StoreError> {
        let (mut stored, mut counted) = (None, None);
        for row in self.reader.pictures(None) {
            match row? {
                PictureRow::Stored(picture) => stored = Some(picture.hash),
                PictureRow::Named(kept) if expected.remove(&kept) => {
                    if counted.replace(kept.hash) != Some(kept.hash) {
                        let is_stored = stored == Some(kept.hash);
                        let report = &mut self.report;
                        *if is_stored {
                            &mut report.pictures_stored
                        } else {
                            &mut report.pictures_missing
                        } += 1;
                    }
                }
                PictureRow::Named(kept) => {
                    self.report.find(|| format!("{kept:?} is kept, and no record says so"));
                    self.found.blob_refs.insert(kept);
                }
            }
        }
        for missing in expected {
            self.report.find(|| format!("{missing:?} is missing"));
            self.found.blob_refs.insert(missing);
        }
        Ok(())
    }
}

/// A row's content; an unreadable row is recorded.
fn readable<T>(row: Readable<T>, report: &mut VerifyReport, found: &mut Difference) -> Option<T> {
    let unreadable = row.map_err(|row| {
        report.find(|| format!("the row {row} cannot be read"));
        match row.outlet() {
            Some(outlet) => found.outlets.insert(outlet),
            None => found.unreadable.insert(row),
        }
    });
    unreadable.ok()
}
