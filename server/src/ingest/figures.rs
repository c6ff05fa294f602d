//! The second plan: how changed records change the figures. Old contributions are taken back, new ones are added.

use super::derived_facts::{ChangedFacts, DerivedFacts, is_same_owner_and_day};
use super::{Sign, Units};
use crate::store::{Owner, ProvenanceKey};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Cell, Contribution, Dimension, MeasureFamily, Measures, Subject};
use xundian_protocol::record::RecordKey;
use xundian_protocol::simulation::fault_injection::Bug;

/// Changes of figures, collected by day: one record covers many products but few days and subjects.
#[derive(Default, Debug)]
pub(crate) struct FigureChanges {
    days: BTreeMap<(MeasureFamily, Subject, Day), BTreeMap<Dimension, Measures>>,
    /// How often each provenance row is added (+) or removed (−).
    pub(crate) provenance: BTreeMap<ProvenanceKey, i32>,
}

impl FigureChanges {
    /// Adds contributions to the cells of their units and people, or takes them back.
    pub(super) fn count(&mut self, contributions: &[Contribution], sign: Sign, units: &mut Units<'_>) {
        for group in contributions.chunk_by(|a, b| a.family == b.family && is_same_owner_and_day(a, b)) {
            let unit = units.of(&group[0]);
            for subject in group[0].subjects(unit) {
                let day = self.days.entry((group[0].family, subject, group[0].day)).or_default();
                for contribution in group {
                    *day.entry(contribution.dimension).or_default() += sign.of(contribution.measures);
                }
            }
        }
    }

    /// Adds a record's provenance for the owners of its figures, or removes it.
    fn provenance_key(&mut self, key: RecordKey, facts: &DerivedFacts, sign: Sign, units: &mut Units<'_>) {
        for (owner, day) in facts.owners(units) {
            self.note_provenance(owner, day, key, sign);
        }
    }

    fn note_provenance(&mut self, owner: Owner, day: Day, RecordKey { kind, id }: RecordKey, sign: Sign) {
        *self.provenance.entry(ProvenanceKey { owner, day, id, kind }).or_default() += sign.number();
    }

    /// Moves the provenance of units only: a record's outlet and people stay.
    pub(super) fn note_unit_provenance(
        &mut self,
        key: RecordKey,
        facts: &DerivedFacts,
        sign: Sign,
        units: &mut Units<'_>,
    ) {
        for (owner, day) in
            facts.owners(units).into_iter().filter(|(owner, _)| matches!(owner, Owner::Unit(_)))
        {
            self.note_provenance(owner, day, key, sign);
        }
    }

    /// Adds all facts of a record, or takes them back.
    pub(crate) fn say(&mut self, key: RecordKey, facts: &DerivedFacts, sign: Sign, units: &mut Units<'_>) {
        self.count(&facts.contributions, sign, units);
        self.provenance_key(key, facts, sign, units);
    }

    /// What is added to each cell, including cells of months and years; unchanged cells are left out.
    pub(crate) fn cells(&self) -> BTreeMap<Cell, Measures> {
        let mut cells: BTreeMap<Cell, Measures> = BTreeMap::new();
        for ((family, subject, day), dimensions) in &self.days {
            for period in family.periods(*day) {
                for (dimension, measures) in dimensions {
                    let cell = Cell { family: *family, subject: *subject, period, dimension: *dimension };
                    *cells.entry(cell).or_default() += *measures;
                }
            }
        }
        cells.retain(|_, measures| !measures.is_zero());
        cells
    }
}

/// Plans the effect of changed records on flows, and on levels that depend on one record alone.
pub(crate) fn plan_figures(facts: &[ChangedFacts], units: &mut Units<'_>, out: &mut FigureChanges) {
    for ChangedFacts { key, old, new } in facts {
        if !Bug::ContributionNotSubtracted.is_injected() {
            out.say(*key, old, Sign::TakeBack, units);
        }
        out.say(*key, new, Sign::Add, units);
    }
}
