//! `verify`: recomputes every figure from all records and compares (promise 4).

use crate::ingest::{FigureChanges, OutletStock, Said, Sign, TouchedStock, Units, namings, plan_stock};
use crate::server::Server;
use crate::store::{Levels, Naming, PictureRow, Reader, Statement, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::ids::OutletId;
use xundian_protocol::views::Measures;
use xundian_protocol::views::ledger::At;

/// What `verify` found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Records read, each decoded and found whole.
    pub records: usize,
    /// Cells compared.
    pub cells: usize,
    /// Stock entries compared.
    pub stock_entries: usize,
    /// Traces compared.
    pub traces: usize,
    /// Pictures that records name and that are stored.
    pub pictures_stored: usize,
    /// Pictures that records name and that have not come yet.
    pub pictures_missing: usize,
    /// Pictures that were stored and are gone or others; none was looked for unless the storage was asked too.
    pub pictures_damaged: usize,
    /// What does not agree, for people; empty where all is well. At most [`FINDINGS_MAX`].
    pub findings: Vec<String>,
}

/// Findings that are listed; more than these are only a sign of the same trouble.
pub const FINDINGS_MAX: usize = 100;

impl VerifyReport {
    /// Whether nothing was found.
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Notes that something does not agree.
    pub(crate) fn find(&mut self, what: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what());
        }
    }
}

impl Server {
    /// Reads every record, recomputes all cells, traces and stock timelines from them, and compares each
    /// with what is kept. It sees one moment of the store, so it may run while devices sync.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        // The directory and the store's moment must be of the same commit.
        let (reader, directory) = self.consistent_reader();
        let mut units = Units::new(&directory);
        let mut report = VerifyReport::default();
        let mut figures = FigureChanges::default();
        let mut stock = TouchedStock::default();
        let mut named = BTreeSet::new();
        for stored in reader.records(None) {
            let record = stored?.record;
            report.records += 1;
            let said = Said::by(&record);
            figures.say(record.key, &said, Sign::Add, &mut units);
            stock.say(&said, Sign::Add);
            named.extend(namings(&record));
        }
        let mut statements = BTreeMap::new();
        let mut levels = BTreeMap::new();
        for (outlet, touched) in stock.0 {
            let plan = plan_stock(outlet, &touched, OutletStock::default(), &mut units, &mut figures);
            let made = plan.statements.into_iter().filter_map(|(at, made)| Some(((outlet, at), made?)));
            statements.extend(made);
            levels.insert(outlet, plan.levels);
        }
        compare_cells(&reader, &figures, &mut report)?;
        compare_traces(&reader, &figures, &mut report)?;
        compare_statements(&reader, statements, &mut report)?;
        compare_levels(&reader, levels, &mut report)?;
        compare_pictures(&reader, named, &mut report)?;
        Ok(report)
    }
}

fn compare_cells(
    reader: &Reader<'_>,
    figures: &FigureChanges,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let mut expected = figures.cells();
    reader.all_cells(|cell, kept| {
        report.cells += 1;
        let computed = expected.remove(&cell).unwrap_or_default();
        if computed != kept {
            report.find(|| format!("{cell:?} holds {:?}, its records add up to {:?}", kept.0, computed.0));
        }
    })?;
    for (cell, Measures(computed)) in expected {
        report.find(|| format!("{cell:?} is missing, its records add up to {computed:?}"));
    }
    Ok(())
}

fn compare_traces(
    reader: &Reader<'_>,
    figures: &FigureChanges,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    for trace in figures.traces.keys() {
        report.traces += 1;
        if !reader.has_trace(trace)? {
            report.find(|| format!("{trace:?} is missing"));
        }
    }
    let kept = reader.trace_count()?;
    if kept != report.traces {
        let computed = report.traces;
        report.find(|| format!("{kept} traces are kept, the records make {computed}"));
    }
    Ok(())
}

fn compare_statements(
    reader: &Reader<'_>,
    mut expected: BTreeMap<(OutletId, At), Statement>,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    for row in reader.statements() {
        let (outlet, kept) = row?;
        report.stock_entries += kept.lines.len();
        let computed = expected.remove(&(outlet, kept.at));
        if computed.as_ref() != Some(&kept) {
            report.find(|| format!("stock in {outlet}: {kept:?} is kept, the records make {computed:?}"));
        }
    }
    for ((outlet, _), missing) in expected {
        report.find(|| format!("stock in {outlet}: {missing:?} is missing"));
    }
    Ok(())
}

fn compare_levels(
    reader: &Reader<'_>,
    mut expected: BTreeMap<OutletId, Levels>,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    for row in reader.all_levels() {
        let (outlet, kept) = row?;
        let computed = expected.remove(&outlet).unwrap_or_default();
        if computed != kept {
            report
                .find(|| format!("the stock in {outlet} ends with {kept:?}, the records make {computed:?}"));
        }
    }
    for outlet in expected.keys() {
        report.find(|| format!("the ends of the stock timelines in {outlet} are missing"));
    }
    Ok(())
}

/// Whether a picture is stored is said by no record, so this part alone compares what is named.
fn compare_pictures(
    reader: &Reader<'_>,
    mut expected: BTreeSet<Naming>,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let (mut stored, mut counted) = (None, None);
    for row in reader.pictures(None) {
        match row? {
            PictureRow::Stored(picture) => stored = Some(picture.hash),
            PictureRow::Named(kept) if expected.remove(&kept) => {
                if counted.replace(kept.hash) != Some(kept.hash) {
                    let is_stored = stored == Some(kept.hash);
                    *if is_stored { &mut report.pictures_stored } else { &mut report.pictures_missing } += 1;
                }
            }
            PictureRow::Named(kept) => report.find(|| format!("{kept:?} is kept, and no record says so")),
        }
    }
    for missing in expected {
        report.find(|| format!("{missing:?} is missing"));
    }
    Ok(())
}
