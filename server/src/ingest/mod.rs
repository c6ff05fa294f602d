//! Ingest: how ops become records, figures and a receipt. `load → plan → commit`, where every plan is a
//! pure function of what was loaded.
//!
//! Three plans follow each other: [`mod@merge`] decides what happens to each op and record, and
//! [`mod@conflicts`] makes records of what it found two people to have written at once; [`mod@figures`] decides what
//! the changed records do to the figures, [`mod@stock`] what they do to the stock of outlets; [`mod@said`] is
//! what records say to the latter two. [`mod@restate`] moves figures when outlets change hands. [`mod@pictures`] is
//! what records name that travels apart from them.

mod conflicts;
mod figures;
mod merge;
mod pictures;
mod restate;
mod said;
mod stock;

pub(crate) use conflicts::{Found, KnownConflicts, plan_conflicts};
pub(crate) use figures::{FigureChanges, plan_figures};
pub(crate) use merge::{Batch, ChangedRecord, Loaded, merge};
pub(crate) use pictures::{namings, plan_namings};
pub(crate) use restate::{affected_outlets, restate_outlet};
pub(crate) use said::{Said, said_anew};
pub(crate) use stock::{OutletStock, TouchedProducts, TouchedStock, late, plan_stock, stock_changes};

use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId};
use xundian_protocol::views::{Contribution, Measures};

/// Whether what a record says comes in or goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sign {
    /// It is said now.
    Add,
    /// It was said before.
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

/// The unit of an outlet on a day, remembered: a batch asks for the same few again and again.
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
