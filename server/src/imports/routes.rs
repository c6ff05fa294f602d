//! `import routes`: route plans 路线计划, one record per person and day, one row per call.

use super::current_records::{Codes, CurrentRecords, NO_OUTLET, id_of, plan_on};
use super::draft_record::DraftRecord;
use super::row_reader::RowReader;
use super::rows::Table;
use super::{Checked, ImportError};
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::{Entity, RoutePlan};
use xundian_protocol::record::Home;

const ORDER_MAX: i64 = 1000;

struct Call {
    person_code: String,
    person: PersonId,
    day: Day,
    outlet: OutletId,
    order: Option<i64>,
    purpose: Option<String>,
    must: Option<bool>,
}

#[derive(Default)]
struct Plan {
    line: usize,
    person_code: String,
    order: BTreeMap<OutletId, i64>,
    /// The line of each position in the order.
    places: BTreeMap<i64, usize>,
    purpose: BTreeMap<OutletId, String>,
    must: BTreeMap<OutletId, bool>,
}

pub(super) fn check(
    table: &Table,
    directory: &Directory,
    standing: &impl CurrentRecords,
) -> Result<Checked, ImportError> {
    let codes = Codes::of(directory);
    let mut checked = Checked::default();
    let mut plans: BTreeMap<(PersonId, Day), Plan> = BTreeMap::new();
    for row in &table.rows {
        let mut cells = RowReader::new(table, row);
        if let Some(call) = read(&mut cells, &codes)
            && !cells.is_bad()
        {
            let (line, code) = (cells.line(), call.person_code.clone());
            let new = || Plan { line, person_code: code, ..Default::default() };
            let plan = plans.entry((call.person, call.day)).or_insert_with(new);
            if let Err((column, reason)) = plan.add(call, line) {
                cells.refuse(column, reason);
            }
        }
        checked.bad.append(&mut cells.into_bad());
    }
    let mut of_person = None;
    for ((person, day), plan) in plans.into_iter().filter(|(_, plan)| !plan.order.is_empty()) {
        // Plans are ordered by person, so each person's plans are read once.
        let standing_plans = match of_person.take() {
            Some((known, found)) if known == person => found,
            _ => standing.plans(person)?,
        };
        let derived = || id_of::<RoutePlan>(&[&plan.person_code, &day.to_string()]);
        let id = plan_on(&standing_plans, day).unwrap_or_else(derived);
        of_person = Some((person, standing_plans));
        let line = plan.line;
        let says = RoutePlan {
            day: Some(day),
            call_order: plan.order,
            call_purpose: plan.purpose,
            call_must: plan.must,
            note: None,
        };
        let draft = DraftRecord::new(RoutePlan::key(id), Home::Person(person), &says, table, &[]);
        let draft = draft.replacing(
            const {
                &[
                    RoutePlan::SPEC.tag_of("call_order"),
                    RoutePlan::SPEC.tag_of("call_purpose"),
                    RoutePlan::SPEC.tag_of("call_must"),
                ]
            },
        );
        checked.drafts.push((line, draft));
    }
    Ok(checked)
}

fn read(cells: &mut RowReader<'_>, codes: &Codes) -> Option<Call> {
    let no_person = "nobody has this staff number: import the people first";
    let person = cells.required_name("person", &codes.people, no_person);
    let outlet = cells.required_name("outlet", &codes.outlets, NO_OUTLET);
    cells.require("day");
    let day = cells.day("day");
    let (order, purpose, must) =
        (cells.int("order", 1, ORDER_MAX), cells.text("purpose"), cells.flag("must"));
    let ((person_code, person), (_, outlet)) = (person?, outlet?);
    Some(Call { person_code, person, day: day?, outlet, order, purpose, must })
}

impl Plan {
    fn add(&mut self, call: Call, line: usize) -> Result<(), (&'static str, String)> {
        if let Some(order) = self.order.get(&call.outlet) {
            let first = self.places.get(order).copied().unwrap_or(self.line);
            return Err(("outlet", format!("is on this plan on line {first} already")));
        }
        let order = call.order.unwrap_or_else(|| 1 + self.places.keys().next_back().copied().unwrap_or(0));
        if let Some(first) = self.places.get(&order) {
            return Err(("order", format!("{order} is the place of the call on line {first} already")));
        }
        self.places.insert(order, line);
        self.order.insert(call.outlet, order);
        self.purpose.extend(call.purpose.map(|purpose| (call.outlet, purpose)));
        self.must.extend(call.must.map(|must| (call.outlet, must)));
        Ok(())
    }
}
