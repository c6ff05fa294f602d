//! RoutePlan 路线计划 with its planned calls: who visits what on which day (S6.6).

use super::declare::header;
use super::declare::kind;
use crate::calendar::Day;
use crate::figures::{Contribution, Dimension, MeasureFamily, VisitFigures};
use crate::ids::{OutletId, PersonId};
use crate::record::{Home, Record};
use std::collections::BTreeMap;

kind! {
    /// The calls planned for one person on one day. A planned call is a line of the plan, keyed by its outlet: its
    /// position in the order, its purpose, and whether it is mandatory.
    RoutePlan = 7, "route_plan", "路线计划" / "Route plan";
    home Person; write_policy Edited; writers [Manager];
    contribute contribute;
    {
        /// The day.
        day: Option<Day> = 16, "日期" / "Day", Day, required;
        /// Each outlet's position in the order of calls, from 1.
        call_order: BTreeMap<OutletId, i64> = 17, "拜访顺序" / "Order of calls", Count;
        /// The purpose of a call.
        call_purpose: BTreeMap<OutletId, String> = 18, "拜访目的" / "Purpose", None;
        /// Whether a call is mandatory.
        call_must: BTreeMap<OutletId, bool> = 19, "必访" / "Must", None;
        /// A note for the day.
        note: Option<String> = 20, "备注" / "Note", None;
    }
}

fn contribute(record: &Record) -> Vec<Contribution> {
    let plan = <RoutePlan as super::Entity>::read(record);
    let (Home::Person(person), Some(day), false) = (record.home, plan.day, header::is_corrected(record))
    else {
        return Vec::new();
    };
    plan.call_order.keys().map(|outlet| planned_call(person, *outlet, day)).collect()
}

fn planned_call(person: PersonId, outlet: OutletId, day: Day) -> Contribution {
    Contribution {
        family: MeasureFamily::Visits,
        outlet: Some(outlet),
        person: Some(person),
        day,
        unit_on: day,
        dimension: Dimension::default(),
        measures: VisitFigures { planned: 1, ..Default::default() }.measures(),
    }
}
