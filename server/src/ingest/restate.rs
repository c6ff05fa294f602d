//! Restating: when an outlet changes hands, or a position its unit, the figures of the days concerned move
//! from one unit to the other. A backdated change moves past days as well (DESIGN section 6).

use super::figures::{contributions_of, owners};
use super::{ChangedRecord, FigureChanges, Units, stock_changes};
use crate::store::{Owner, Statement};
use std::collections::BTreeSet;
use xundian_protocol::access::Directory;
use xundian_protocol::ids::{OutletId, PositionId};
use xundian_protocol::kinds::{Outlet, OutletAssignment, Position};
use xundian_protocol::record::{Home, Record, RecordKey};
use xundian_protocol::views::Contribution;

/// The outlets whose unit may be another one after these records changed.
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

/// Moves the figures of one outlet from the units that it had to those that it has. `records` are all that
/// add to its figures, `stock` all its statements by place, both as they stand before the batch. `traced` remembers whose traces have moved already.
pub(crate) fn restate_outlet(
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
        for contribution in contributions_of(record, outlet) {
            move_unit(contribution, &mut units_before, &mut units_after, out);
        }
        // A route plan names many outlets; its traces move once, for all of them.
        if !traced.insert(record.key) {
            continue;
        }
        let mut count = |units: &mut Units<'_>, by: i32| {
            for (owner, day) in owners(record, units) {
                if matches!(owner, Owner::Unit(_)) {
                    *out.traces.entry((owner, day, record.key)).or_default() += by;
                }
            }
        };
        count(&mut units_before, -1);
        count(&mut units_after, 1);
    }
    for change in stock_changes(outlet, stock) {
        move_unit(change, &mut units_before, &mut units_after, out);
    }
}

/// Moves a contribution from one unit to another. Only the unit's cells move: the person's stay.
fn move_unit(
    contribution: Contribution,
    before: &mut Units<'_>,
    after: &mut Units<'_>,
    out: &mut FigureChanges,
) {
    let (old, new) = (before.of(&contribution), after.of(&contribution));
    if old != new {
        let of_unit = Contribution { person: None, ..contribution };
        out.take_back(&of_unit, old);
        out.add(&of_unit, new);
    }
}
