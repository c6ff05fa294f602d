//! Ingest: how ops become records, figures and a receipt. `load → plan → commit`, where every plan is a pure function
//! of what was loaded.
//!
//! [`mod@merge`] decides each op and record. [`mod@conflicts`] makes records of the concurrent writes that the merge
//! found. [`mod@figures`] plans how changed records change cells, [`mod@stock`] how they change the stock of outlets;
//! both read [`mod@derived_facts`]. [`mod@reattribute`] moves figures between units when an outlet's assignment
//! changes. [`mod@blob_refs`] plans which pictures records refer to.

mod authorise;
mod batch;
mod blob_refs;
mod conflicts;
mod derived_facts;
mod figures;
mod merge;
mod reattribute;
mod stock;

pub(crate) use batch::{Batch, ChangedRecord, Loaded};
pub(crate) use blob_refs::{blob_refs, plan_blob_refs};
pub(crate) use conflicts::{FoundConflict, KnownConflicts, plan_conflicts};
pub(crate) use derived_facts::{DerivedFacts, changed_facts};
pub(crate) use figures::{FigureChanges, plan_figures};
pub(crate) use merge::{Merged, merge};
pub(crate) use reattribute::{affected_outlets, reattribute_outlet};
pub(crate) use stock::{OutletStock, TouchedProducts, TouchedStock, late, plan_stock, stock_changes};

use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Contribution, Measures};
use xundian_protocol::ids::{OrgUnitId, OutletId};

/// Whether facts are added or taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    /// The facts hold now.
    Add,
    /// The facts held before.
    TakeBack,
}

impl Sign {
    const fn number(self) -> i32 {
        match self {
            Self::Add => 1,
            Self::TakeBack => -1,
        }
    }

    fn of(self, measures: Measures) -> Measures {
        match self {
            Self::Add => measures,
            Self::TakeBack => -measures,
        }
    }
}

/// The unit of an outlet on a day, cached: a batch asks for the same few again and again.
pub(crate) struct Units<'a> {
    directory: &'a Directory,
    known: BTreeMap<(OutletId, Day), Option<OrgUnitId>>,
}

impl<'a> Units<'a> {
    pub(crate) const fn new(directory: &'a Directory) -> Self {
        Self { directory, known: BTreeMap::new() }
    }

    pub(crate) fn on(&mut self, outlet: OutletId, day: Day) -> Option<OrgUnitId> {
        *self.known.entry((outlet, day)).or_insert_with(|| self.directory.unit_on(outlet, day))
    }

    fn of(&mut self, contribution: &Contribution) -> Option<OrgUnitId> {
        contribution.outlet.and_then(|outlet| self.on(outlet, contribution.unit_on))
    }
}
