//! Repairs stored rows that differ from the records. Records are the truth and are never changed.
//!
//! Devices may sync meanwhile. Stock, provenance and blob refs are rebuilt from the records within the commit that
//! repairs them. Cells are sums over many records, so each gets only what it lacked at the comparison: commits since
//! then have changed stored and recomputed cells alike. That holds only if commits find intact stock and provenance, so
//! these are repaired first and the cells are compared again.

use super::{Difference, VerifyReport};
use crate::ingest::{
    DerivedFacts, FigureChanges, OutletStock, Sign, TouchedStock, Units, blob_refs, plan_stock,
};
use crate::server::{Server, audit};
use crate::store::{Changes, ProvenanceKey, Reader, StoreError};
use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::time::Duration;
use xundian_protocol::access::Directory;
use xundian_protocol::ids::{FeedSeq, OutletId};
use xundian_protocol::record::{Home, RecordKey};

/// The most rows that one commit repairs, or records that it reads for that.
const AT_ONCE: usize = 1_000;
/// The most comparisons: one that finds everything, one for the cells once the rest is intact, one that finds nothing,
/// and one more.
const COMPARISONS_MAX: u32 = 4;
/// A pause between two commits, so that devices' commits get their turn.
const PAUSE: Duration = Duration::from_millis(1);

/// What `verify` found and repaired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepairReport {
    /// The findings at the beginning.
    pub found: VerifyReport,
    /// What was repaired.
    pub mended: Mended,
    /// The findings at the end.
    pub left: VerifyReport,
}

/// How much was repaired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mended {
    /// Unreadable rows that were removed.
    pub unreadable: usize,
    /// Outlets whose stock was rebuilt.
    pub outlets: usize,
    /// Provenance rows and blob refs.
    pub provenance: usize,
    /// Cells.
    pub cells: usize,
}

impl Mended {
    /// The total number of repairs.
    pub const fn total(&self) -> usize {
        self.unreadable + self.outlets + self.provenance + self.cells
    }
}

impl std::ops::AddAssign for Mended {
    fn add_assign(&mut self, other: Self) {
        self.unreadable += other.unreadable;
        self.outlets += other.outlets;
        self.provenance += other.provenance;
        self.cells += other.cells;
    }
}

impl std::fmt::Display for Mended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unreadable, outlets, provenance, cells } = self;
        write!(
            f,
            "{cells} cells, {provenance} traces, the stock of {outlets} outlets, {unreadable} unreadable rows"
        )
    }
}

impl Server {
    /// Does what [`Self::verify`] does, and repairs what it finds, a bounded number of rows per commit, each with an
    /// entry in the audit trail. Devices may sync meanwhile. After an interruption, the next run repairs what is left.
    /// `by` is the administrator.
    pub fn repair_views(&self, by: &str, now_ms: i64) -> Result<RepairReport, StoreError> {
        self.repair_views_in(AT_ONCE, by, now_ms, || {
            std::thread::sleep(PAUSE);
            ControlFlow::Continue(())
        })
    }

    /// Like [`Self::repair_views`], in commits of a given size; `between` runs after each and may stop the repair.
    pub(crate) fn repair_views_in(
        &self,
        at_once: usize,
        by: &str,
        now_ms: i64,
        mut between: impl FnMut() -> ControlFlow<()>,
    ) -> Result<RepairReport, StoreError> {
        // Two concurrent repairs would add what a cell lacks twice.
        let _alone = self.repairing.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, mut difference) = self.compare()?;
        let mut report = RepairReport { left: found.clone(), found, mended: Mended::default() };
        for _ in 1..COMPARISONS_MAX {
            if report.left.is_clean() {
                break;
            }
            if !difference.is_of_cells_alone() {
                difference.cells.clear();
            }
            while let Some(mended) = self.mend_some(&mut difference, at_once, by, now_ms)? {
                report.mended += mended;
                if between().is_break() {
                    return Ok(report);
                }
            }
            (report.left, difference) = self.compare()?;
        }
        Ok(report)
    }

    /// Repairs the next rows of a difference in one commit, and removes them from it; `None` if there are none.
    fn mend_some(
        &self,
        difference: &mut Difference,
        at_once: usize,
        by: &str,
        now_ms: i64,
    ) -> Result<Option<Mended>, StoreError> {
        // A rebuild needs the records and the organisation of this very commit.
        self.change_with_directory(|reader, directory| {
            let mut changes = Changes::default();
            let mended = plan(reader, directory, difference, at_once, &mut changes)?;
            if mended.total() > 0 {
                changes.audit.push(audit(now_ms, by, format!("mended figures from their records: {mended}")));
            }
            Ok((changes, (mended.total() > 0).then_some(mended)))
        })
    }
}

fn plan(
    reader: &Reader<'_>,
    directory: &Directory,
    difference: &mut Difference,
    at_once: usize,
    changes: &mut Changes,
) -> Result<Mended, StoreError> {
    let mut units = Units::new(directory);
    let mut mended = Mended::default();
    while changes.unreadable.len() < at_once
        && let Some(row) = difference.unreadable.pop_first()
    {
        changes.unreadable.push(row);
    }
    mended.unreadable = changes.unreadable.len();
    if mended.unreadable > 0 {
        // The row's rightful content is written by a later commit, which finds no row.
        return Ok(mended);
    }
    let mut work = 0;
    while work < at_once
        && let Some(outlet) = difference.outlets.pop_first()
    {
        work += 1 + plan_outlet(reader, outlet, &mut units, changes)?;
        mended.outlets += 1;
    }
    while work < at_once
        && let Some(provenance_key) = difference.provenance.pop_first()
    {
        changes.provenance.insert(provenance_key, is_made(reader, &provenance_key, &mut units)?);
        (work, mended.provenance) = (work + 1, mended.provenance + 1);
    }
    while work < at_once
        && let Some(blob_ref) = difference.blob_refs.pop_first()
    {
        let stored = reader.record(blob_ref.record)?;
        let is_named = stored.is_some_and(|stored| blob_refs(&stored.record).contains(&blob_ref));
        changes.pictures.blob_refs.insert(blob_ref, is_named);
        (work, mended.provenance) = (work + 1, mended.provenance + 1);
    }
    while work < at_once
        && let Some((cell, lacks)) = difference.cells.pop_first()
    {
        changes.cells.insert(cell, lacks);
        (work, mended.cells) = (work + 1, mended.cells + 1);
    }
    Ok(mended)
}

impl Difference {
    fn is_of_cells_alone(&self) -> bool {
        let Self { unreadable, outlets, provenance, blob_refs, cells: _ } = self;
        unreadable.is_empty() && outlets.is_empty() && provenance.is_empty() && blob_refs.is_empty()
    }
}

/// Plans the whole stock of an outlet from the records in its home; returns their number.
fn plan_outlet(
    reader: &Reader<'_>,
    outlet: OutletId,
    units: &mut Units<'_>,
    changes: &mut Changes,
) -> Result<usize, StoreError> {
    let mut stock = TouchedStock::default();
    let keys = reader.feed(Home::Outlet(outlet), FeedSeq(0))?;
    for (key, _) in &keys {
        if let Some(stored) = reader.record(*key)? {
            stock.say(&DerivedFacts::by(&stored.record), Sign::Add);
        }
    }
    let touched = stock.0.remove(&outlet).unwrap_or_default();
    // Its contributions to cells are compared separately.
    let mut figures = FigureChanges::default();
    let plan = plan_stock(outlet, &touched, OutletStock::default(), units, &mut figures);
    changes.stock.rebuilt.push(outlet);
    changes
        .stock
        .statements
        .extend(plan.statements.into_iter().map(|(at, statement)| (outlet, at, statement)));
    changes.stock.levels.push((outlet, plan.levels));
    Ok(keys.len())
}

/// Whether a provenance row's record yields it in its present state.
fn is_made(
    reader: &Reader<'_>,
    provenance_key: &ProvenanceKey,
    units: &mut Units<'_>,
) -> Result<bool, StoreError> {
    let stored = reader.record(RecordKey { kind: provenance_key.kind, id: provenance_key.id })?;
    let owners = stored.map(|stored| DerivedFacts::by(&stored.record).owners(units)).unwrap_or_default();
    Ok(owners.contains(&(provenance_key.owner, provenance_key.day)))
}
