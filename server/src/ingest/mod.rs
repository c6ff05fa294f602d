//! Ingest: how ops become records, figures and a receipt. `load → plan → commit`, where every plan is a
//! pure function of what was loaded.
//!
//! Three plans follow each other: [`mod@merge`] decides what happens to each op and record, [`mod@figures`] what
//! the changed records do to the figures, [`mod@stock`] what they do to the stock of outlets. [`mod@restate`]
//! moves figures when outlets change hands.

mod figures;
mod merge;
mod restate;
mod stock;

pub(crate) use figures::{plan_figures, recompute, stock_entries};
pub(crate) use merge::{Batch, ChangedRecord, Loaded, merge};
pub(crate) use restate::{affected_outlets, restate_outlet};
pub(crate) use stock::{OutletStock, TouchedProducts, late, plan_stock, stock_changes, touched_stock};

use crate::store::Owner;
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId};
use xundian_protocol::record::RecordKey;
use xundian_protocol::views::{Cell, Contribution, Dimension, Measures, Subject, View};

/// Changes of figures, gathered by the day: one record speaks of many products but of few days and subjects.
#[derive(Default, Debug)]
pub(crate) struct FigureChanges {
    days: BTreeMap<(View, Subject, Day), BTreeMap<Dimension, Measures>>,
    /// How often each trace comes (+) or goes (−).
    pub(crate) traces: BTreeMap<(Owner, Day, RecordKey), i32>,
}

impl FigureChanges {
    fn add(&mut self, contribution: &Contribution, unit: Option<OrgUnitId>) {
        for subject in contribution.subjects(unit) {
            let day = self.days.entry((contribution.view, subject, contribution.day)).or_default();
            *day.entry(contribution.dimension).or_default() += contribution.measures;
        }
    }

    fn take_back(&mut self, contribution: &Contribution, unit: Option<OrgUnitId>) {
        self.add(&Contribution { measures: -contribution.measures, ..*contribution }, unit);
    }

    /// What is added to each cell, those of months and years included; cells that stay as they are left out.
    pub(crate) fn cells(&self) -> BTreeMap<Cell, Measures> {
        let mut cells: BTreeMap<Cell, Measures> = BTreeMap::new();
        for ((view, subject, day), dimensions) in &self.days {
            for period in view.periods(*day) {
                for (dimension, measures) in dimensions {
                    let cell = Cell { view: *view, subject: *subject, period, dimension: *dimension };
                    *cells.entry(cell).or_default() += *measures;
                }
            }
        }
        cells.retain(|_, measures| !measures.is_zero());
        cells
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
