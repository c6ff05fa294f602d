//! The second plan: what changed records do to the figures. What a record added before is taken back, what
//! it adds now is added.

use super::derived_facts::{ChangedFacts, DerivedFacts, is_same_owner_and_day};
use super::{Sign, Units};
use crate::store::{Owner, ProvenanceKey};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Cell, Contribution, Dimension, MeasureFamily, Measures, Subject};
use xundian_protocol::record::RecordKey;
use xundian_protocol::simulation::fault_injection::Bug;

/// Changes of figures, gathered by the day: one record speaks of many products but of few days and subjects.
#[derive(Default, Debug)]
pub(crate) struct FigureChanges {
    days: BTreeMap<(MeasureFamily, Subject, Day), BTreeMap<Dimension, Measures>>,
    /// How often each trace comes (+) or goes (−).
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

    /// Notes that a record adds to the figures of its owners, or does so no longer.
    fn provenance_key(&mut self, key: RecordKey, facts: &DerivedFacts, sign: Sign, units: &mut Units<'_>) {
        for (owner, day) in facts.owners(units) {
            self.note_provenance(owner, day, key, sign);
        }
    }

    fn note_provenance(&mut self, owner: Owner, day: Day, RecordKey { kind, id }: RecordKey, sign: Sign) {
        *self.provenance.entry(ProvenanceKey { owner, day, id, kind }).or_default() += sign.number();
    }

    /// Moves the traces of units alone: a record's outlet and people stay.
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

    /// Adds all that a record says, or takes it back.
    pub(crate) fn say(&mut self, key: RecordKey, facts: &DerivedFacts, sign: Sign, units: &mut Units<'_>) {
        self.count(&facts.contributions, sign, units);
        self.provenance_key(key, facts, sign, units);
    }

    /// What is added to each cell, those of months and years included; cells that stay as they are left out.
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

/// Plans what changed records do to flows and to levels that depend on one record alone.
pub(crate) fn plan_figures(facts: &[ChangedFacts], units: &mut Units<'_>, out: &mut FigureChanges) {
    for ChangedFacts { key, old, new } in facts {
        if !Bug::ViewNotTakenBack.is_injected() {
            out.say(*key, old, Sign::TakeBack, units);
        }
        out.say(*key, new, Sign::Add, units);
    }
}
