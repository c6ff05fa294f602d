//! `verify`: recomputes every figure from all records and compares (promise 4).

use crate::ingest::{FigureChanges, StockWork, Touched, Units, plan_stock, recompute, stock_entries};
use crate::server::Server;
use crate::store::{LatestLevel, Reader, StockEntry, StoreError};
use std::collections::BTreeMap;
use xundian_protocol::ids::OutletId;
use xundian_protocol::views::Measures;
use xundian_protocol::views::ledger::{At, Entry};

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

    fn find(&mut self, what: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what());
        }
    }
}

type Timelines = BTreeMap<(OutletId, u64), Vec<Entry>>;

impl Server {
    /// Reads every record, recomputes all cells, traces and stock timelines from them, and compares each
    /// with what is kept. It sees one moment of the store, so it may run while devices sync.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        // The directory and the store's moment must be of the same commit.
        let (reader, directory) = self.consistent_reader();
        let mut units = Units::new(&directory);
        let mut report = VerifyReport::default();
        let mut figures = FigureChanges::default();
        let mut timelines = Timelines::new();
        for stored in reader.records(None) {
            let record = stored?.record;
            report.records += 1;
            recompute(&record, &mut units, &mut figures);
            for (outlet, gtin, entry) in stock_entries(&record) {
                timelines.entry((outlet, gtin)).or_default().push(entry);
            }
        }
        let mut expected = BTreeMap::new();
        for ((outlet, gtin), entries) in timelines {
            let work = StockWork {
                outlet,
                gtin,
                touched: Touched { remove: Vec::new(), insert: entries },
                before: None,
                stretch: Vec::new(),
                latest: None,
            };
            let plan = plan_stock(&work, &mut units, &mut figures);
            let entries: BTreeMap<At, StockEntry> =
                plan.entries.into_iter().filter_map(|(at, entry)| Some((at, entry?))).collect();
            expected.insert((outlet, gtin), (entries, plan.latest.flatten()));
        }
        compare_cells(&reader, &figures, &mut report)?;
        compare_traces(&reader, &figures, &mut report)?;
        compare_stock(&reader, expected, &mut report)?;
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
    for (owner, day, key) in figures.traces.keys() {
        report.traces += 1;
        if !reader.has_trace(*owner, *day, *key)? {
            report.find(|| format!("the trace of {key:?} under {owner:?} on {day} is missing"));
        }
    }
    let kept = reader.trace_count()?;
    if kept != report.traces {
        let computed = report.traces;
        report.find(|| format!("{kept} traces are kept, the records make {computed}"));
    }
    Ok(())
}

type Expected = BTreeMap<(OutletId, u64), (BTreeMap<At, StockEntry>, Option<LatestLevel>)>;

fn compare_stock(
    reader: &Reader<'_>,
    mut expected: Expected,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    for row in reader.stock(None) {
        let (outlet, gtin, kept) = row?;
        report.stock_entries += 1;
        let computed =
            expected.get_mut(&(outlet, gtin)).and_then(|(entries, _)| entries.remove(&kept.entry.at));
        if computed != Some(kept) {
            report.find(|| {
                format!("stock of {gtin} in {outlet}: {kept:?} is kept, the records make {computed:?}")
            });
        }
    }
    for ((outlet, gtin), (missing, latest)) in expected {
        for entry in missing.values() {
            report.find(|| format!("stock of {gtin} in {outlet}: {entry:?} is missing"));
        }
        let kept = reader.levels(outlet)?.into_iter().find(|(of, _)| *of == gtin).map(|(_, level)| level);
        if kept != latest {
            report.find(|| {
                format!("stock of {gtin} in {outlet} ends with {kept:?}, the records make {latest:?}")
            });
        }
    }
    Ok(())
}
