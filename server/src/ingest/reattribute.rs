//! Reattribution: when an outlet changes hands, or a position its unit, the figures of the days concerned move from one
//! unit to the other. A backdated change moves past days as well.

use super::derived_facts::DerivedFacts;
use super::{ChangedRecord, FigureChanges, Sign, Units, stock_changes};
use crate::store::Statement;
use std::collections::BTreeSet;
use xundian_protocol::access::Directory;
use xundian_protocol::figures::Contribution;
use xundian_protocol::ids::{OutletId, PositionId};
use xundian_protocol::kinds::{Outlet, OutletAssignment, Position};
use xundian_protocol::record::{Home, Record, RecordKey};

/// The outlets whose unit may differ after these records changed.
pub(crate) fn affected_outlets(
    changed: &[ChangedRecord],
    before: &Directory,
    after: &Directory,
) -> BTreeSet<OutletId> {
    let mut outlets = BTreeSet::new();
    for change in changed {
        let key = change.new.key;
        if key.kind == Position::SPEC.kind {
            let id = PositionId(key.id);
            let unit = |directory: &Directory| directory.position(id).map(|position| position.unit);
            if unit(before) != unit(after) {
                outlets.extend(after.outlets_ever_of(id).chain(before.outlets_ever_of(id)));
            }
        } else if (key.kind == Outlet::SPEC.kind || key.kind == OutletAssignment::SPEC.kind)
            && let Home::Outlet(outlet) = change.new.home
        {
            outlets.insert(outlet);
        }
    }
    outlets
}

/// Moves the figures of one outlet from its old units to its new ones. `records` are all records that contribute to its
/// figures, `stock` all its stock statements in order, both before the batch. `traced` remembers whose provenance has
/// moved already.
pub(crate) fn reattribute_outlet(
    outlet: OutletId,
    records: &[Record],
    stock: &[Statement],
    before: &Directory,
    after: &Directory,
    traced: &mut BTreeSet<RecordKey>,
    out: &mut FigureChanges,
) {
    let mut units_before = Units::new(before);
    let mut units_after = Units::new(after);
    for record in records {
        let mut facts = DerivedFacts::by(record);
        // A route plan names many outlets; its provenance moves once for all of them.
        if traced.insert(record.key) {
            out.note_unit_provenance(record.key, &facts, Sign::TakeBack, &mut units_before);
            out.note_unit_provenance(record.key, &facts, Sign::Add, &mut units_after);
        }
        facts.contributions.retain(|contribution| contribution.outlet == Some(outlet));
        move_units(facts.contributions, &mut units_before, &mut units_after, out);
    }
    move_units(stock_changes(outlet, stock), &mut units_before, &mut units_after, out);
}

/// Moves contributions between units. Only cells of units move; those of people stay.
fn move_units(
    mut contributions: Vec<Contribution>,
    before: &mut Units<'_>,
    after: &mut Units<'_>,
    out: &mut FigureChanges,
) {
    for contribution in &mut contributions {
        contribution.person = None;
    }
    out.count(&contributions, Sign::TakeBack, before);
    out.count(&contributions, Sign::Add, after);
}
