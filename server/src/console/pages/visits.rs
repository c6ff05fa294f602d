//! The visits behind a figure, or the planned calls.

use super::list;
use crate::console::ask::{Ask, anchor};
use crate::console::behind::{self, Behind, Part};
use crate::console::failure::Failure;
use crate::console::select::{Link, Whose};
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::ids::{OutletId, RoutePlanId, VisitId};
use xundian_protocol::kinds::{Label, RoutePlan, Typed as _, Visit};
use xundian_protocol::record::Record;
use xundian_protocol::views::{View, VisitFigures};

const WHAT: [(&str, Label); 7] = [
    ("all", t::ALL_VISITS),
    ("planned", t::PLANNED),
    ("planned_done", t::PLANNED_DONE),
    ("done", t::DONE),
    ("aborted", t::ABORTED),
    ("load", t::DAY_LOAD),
    ("timed", t::MEAN_TIME),
];

/// The page of a list of visits.
pub(in crate::console) fn visits(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    let (what, label) = list::choice(ask, "what", &WHAT)?;
    let found = Behind::of(ask, View::Visits, &[Visit::SPEC.kind, RoutePlan::SPEC.kind], whose, period)?;
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, what) > 0).collect();
    rows.sort_by_cached_key(|part| std::cmp::Reverse((part.adds.day, order(&found, part))));
    let count = rows.iter().map(|part| counts(part, what)).sum();
    let (shown, pager) = list::page_of(ask, &rows)?;
    let name = ask.name(whose);
    let body = html! {
        (list::head(ask, &name, label, count, t::ROWS))
        (summary(ask, what, &rows))
        (list::tabs(ask, "what", &WHAT, what))
        @if what == "planned" { (calls_table(ask, &found, shown, whose)) } @else { (visits_table(ask, &found, shown, whose)) }
        (pager)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::VISIT_LIST));
    Ok(Page { title: format!("{name} · {}", ask.t(t::VISIT_LIST)), crumbs, period: Some(period), body })
}

/// How much a part counts in a list.
fn counts(part: &Part, what: &str) -> i64 {
    let figures = VisitFigures::from(part.adds.measures);
    match what {
        "planned" => figures.planned,
        "planned_done" => figures.planned_done,
        "done" => figures.done,
        "aborted" => figures.aborted,
        "load" => figures.done_hypermarket + figures.done_chain,
        "timed" => figures.timed,
        _ => figures.visits,
    }
}

fn order(found: &Behind, part: &Part) -> i64 {
    let record = found.record(part);
    if record.key.kind == RoutePlan::SPEC.kind {
        let plan = RoutePlan::read(record);
        return -part.adds.outlet.and_then(|outlet| plan.call_order.get(&outlet).copied()).unwrap_or(0);
    }
    Visit::read(record).opened_at_ms.unwrap_or(0)
}

/// What the figure makes of its rows, where it is no plain count.
fn summary(ask: &Ask, what: &str, rows: &[&Part]) -> Markup {
    let mut sum = xundian_protocol::views::Measures::default();
    for part in rows {
        sum += part.adds.measures;
    }
    let sum = VisitFigures::from(sum);
    html! {
        @if what == "load" {
            p.small {
                (ask.t(t::DAY_LOAD_HINT)) ": " (sum.done_hypermarket) " ÷ 8 + " (sum.done_chain) " ÷ 24 = "
                b { (show::decimal(sum.day_load())) " " (ask.t(t::DAYS_UNIT)) }
            }
        } @else if what == "timed" && sum.timed > 0 {
            p.small { (show::duration(sum.time_in_store_ms)) " ÷ " (sum.timed) " = " b { (show::duration(sum.time_in_store_ms / sum.timed)) } }
        }
    }
}

/// Columns that say what the page's title says already are left out.
const fn shows_outlet(whose: Whose) -> bool {
    !matches!(whose, Whose::Outlet(_))
}

const fn shows_person(whose: Whose) -> bool {
    !matches!(whose, Whose::Person(_))
}

fn visits_table(ask: &Ask, found: &Behind, rows: &[&Part], whose: Whose) -> Markup {
    let mut heads = vec![(t::DAY, false), (t::TIME, false)];
    if shows_outlet(whose) {
        heads.extend([(t::OUTLET, false), (t::CITY, false)]);
    }
    heads.push((t::CHANNEL, false));
    if shows_person(whose) {
        heads.push((t::PERSON, false));
    }
    heads.extend([(t::STATE, false), (t::MEAN_TIME_SHORT, true), (t::DISTANCE, true)]);
    html! {
        div.scroll { table {
            (list::heads(ask, &heads))
            tbody {
                @for part in rows { (visit_row(ask, found.record(part), part, whose, heads.len())) }
                @if rows.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
    }
}

fn visit_row(ask: &Ask, record: &Record, part: &Part, whose: Whose, columns: usize) -> Markup {
    let Some(outlet) = part.adds.outlet else { return html! {} };
    if !ask.may_see_event(outlet, part.adds.day, part.adds.person) {
        return hidden(ask, part, columns - 1);
    }
    let visit = Visit::read(record);
    let entry = ask.directory.outlet(outlet);
    let link = Link::to(format!("/visit/{}", record.key.id));
    let time = visit.opened_at_ms.map(|ms| show::time_at(ask, ms, Some(outlet), Some(part.adds.day)));
    html! {
        tr {
            td.nowrap { (part.adds.day) }
            td.nowrap { (anchor(&link, time.as_deref().unwrap_or("–"))) }
            @if shows_outlet(whose) {
                td { (ask.link(Whose::Outlet(outlet), None)) }
                td { (entry.map_or("", |entry| entry.city.as_str())) }
            }
            td { (show::choice(ask.lang, visit.channel)) }
            @if shows_person(whose) { (person_cell(ask, part)) }
            td { (state(ask, &visit)) @if visit.plan.is_none() { " " span.muted { (ask.t(t::UNPLANNED)) } } }
            td.n { (visit.time_in_store_ms.map_or_else(|| "–".into(), show::duration)) }
            td.n { (visit.distance_m.map_or_else(|| "–".into(), |metres| format!("{} m", show::number(metres)))) }
        }
    }
}

fn person_cell(ask: &Ask, part: &Part) -> Markup {
    html! { td { @if let Some(person) = part.adds.person { (ask.link(Whose::Person(person), None)) } } }
}

/// A row that counts, of which the user may not see more.
fn hidden(ask: &Ask, part: &Part, columns: usize) -> Markup {
    html! { tr { td.nowrap { (part.adds.day) } td.muted colspan=(columns) { (ask.t(t::OUTSIDE_SCOPE)) } } }
}

/// Where a visit stands: done, aborted (why), or still in the store.
pub(super) fn state(ask: &Ask, visit: &Visit) -> Markup {
    html! {
        @if visit.aborted_at_ms.is_some() {
            span.tag.bad { (ask.t(t::ABORTED)) }
            @if visit.abort_reason.is_some() { " " (show::choice(ask.lang, visit.abort_reason)) }
        } @else if visit.closed_at_ms.is_some() {
            span.tag.good { (ask.t(t::DONE)) }
        } @else {
            span.tag { (ask.t(t::IN_STORE)) }
        }
    }
}

/// The visits made on plans, by plan and outlet.
fn visits_on_plans(found: &Behind) -> BTreeMap<(RoutePlanId, OutletId), (VisitId, Visit)> {
    let mut made = BTreeMap::new();
    for part in &found.parts {
        let record = found.record(part);
        if record.key.kind != Visit::SPEC.kind {
            continue;
        }
        let visit = Visit::read(record);
        if let (Some(plan), Some(outlet)) = (visit.plan, part.adds.outlet) {
            made.insert((plan, outlet), (VisitId(record.key.id), visit));
        }
    }
    made
}

fn calls_table(ask: &Ask, found: &Behind, rows: &[&Part], whose: Whose) -> Markup {
    let mut heads = vec![(t::DAY, false)];
    if shows_person(whose) {
        heads.push((t::PERSON, false));
    }
    let call =
        [(t::ORDER, true), (t::OUTLET, false), (t::MUST, false), (t::PURPOSE, false), (t::MADE, false)];
    heads.extend(call);
    let made = visits_on_plans(found);
    let row = |part: &Part| {
        let record = found.record(part);
        let outlet = part.adds.outlet?;
        if !ask.may_see_event(outlet, part.adds.day, part.adds.person) {
            return Some(hidden(ask, part, heads.len() - 1));
        }
        let plan = RoutePlan::read(record);
        let visit = made.get(&(RoutePlanId(record.key.id), outlet));
        Some(html! {
            tr {
                td.nowrap { (part.adds.day) }
                @if shows_person(whose) { (person_cell(ask, part)) }
                (call_cells(ask, &plan, outlet, visit))
            }
        })
    };
    html! {
        div.scroll { table {
            (list::heads(ask, &heads))
            tbody {
                @for part in rows { @if let Some(row) = row(part) { (row) } }
                @if rows.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
    }
}

/// The cells of one planned call: order, outlet, must, purpose, and what became of it.
fn call_cells(ask: &Ask, plan: &RoutePlan, outlet: OutletId, visit: Option<&(VisitId, Visit)>) -> Markup {
    html! {
        td.n { (plan.call_order.get(&outlet).copied().unwrap_or(0)) }
        td { (ask.link(Whose::Outlet(outlet), None)) }
        td { @if plan.call_must.get(&outlet) == Some(&true) { (ask.t(t::MUST)) } }
        td { (plan.call_purpose.get(&outlet).map_or("", String::as_str)) }
        td {
            @match visit {
                Some((id, visit)) => a href=(Link::to(format!("/visit/{id}"))) { (state(ask, visit)) },
                None => span.muted { (ask.t(t::NOT_MADE)) },
            }
        }
    }
}

/// The table of the visits among the parts.
pub(super) fn visits_of(ask: &Ask, found: &Behind, whose: Whose) -> Markup {
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, "all") > 0).collect();
    rows.sort_by_cached_key(|part| (std::cmp::Reverse(part.adds.day), order(found, part)));
    visits_table(ask, found, &rows, whose)
}

/// The table of the planned calls among the parts.
pub(super) fn calls_of(ask: &Ask, found: &Behind, whose: Whose) -> Markup {
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, "planned") > 0).collect();
    rows.sort_by_cached_key(|part| std::cmp::Reverse((part.adds.day, order(found, part))));
    calls_table(ask, found, &rows, whose)
}
