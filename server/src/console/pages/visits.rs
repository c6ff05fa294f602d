//! The visits behind a figure, or the planned calls.

use super::list;
use crate::console::drilldown::{self, DrillDown, Part};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::Page;
use crate::console::link::Link;
use crate::console::params::FigureScope;
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::figures::{MeasureFamily, VisitFigures};
use xundian_protocol::ids::{OutletId, RoutePlanId, VisitId};
use xundian_protocol::kinds::{Entity as _, Label, RoutePlan, Visit};
use xundian_protocol::record::Record;

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
pub(in crate::console) fn visits(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    let (what, label) = list::choice(ctx, "what", &WHAT)?;
    let found =
        DrillDown::of(ctx, MeasureFamily::Visits, &[Visit::SPEC.kind, RoutePlan::SPEC.kind], scope, period)?;
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, what) > 0).collect();
    rows.sort_by_cached_key(|part| std::cmp::Reverse((part.adds.day, order(&found, part))));
    let count = rows.iter().map(|part| counts(part, what)).sum();
    let (shown, pager) = list::page_of(ctx, &rows)?;
    let name = ctx.name(scope);
    let body = html! {
        (list::head(ctx, &name, label, count, t::ROWS))
        (summary(ctx, what, &rows))
        (list::tabs(ctx, "what", &WHAT, what))
        @if what == "planned" { (calls_table(ctx, &found, shown, scope)) } @else { (visits_table(ctx, &found, shown, scope)) }
        (pager)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::VISIT_LIST));
    Ok(Page { title: format!("{name} · {}", ctx.t(t::VISIT_LIST)), crumbs, period: Some(period), body })
}

/// The number that a part adds to a list.
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

fn order(found: &DrillDown, part: &Part) -> i64 {
    let record = found.record(part);
    if record.key.kind == RoutePlan::SPEC.kind {
        let plan = RoutePlan::read(record);
        return -part.adds.outlet.and_then(|outlet| plan.call_order.get(&outlet).copied()).unwrap_or(0);
    }
    Visit::read(record).opened_at_ms.unwrap_or(0)
}

/// The figure that the rows add up to, if it is not a plain count.
fn summary(ctx: &RequestContext, what: &str, rows: &[&Part]) -> Markup {
    let mut sum = xundian_protocol::figures::Measures::default();
    for part in rows {
        sum += part.adds.measures;
    }
    let sum = VisitFigures::from(sum);
    html! {
        @if what == "load" {
            p.small {
                (ctx.t(t::DAY_LOAD_HINT)) ": " (sum.done_hypermarket) " ÷ 8 + " (sum.done_chain) " ÷ 24 = "
                b { (format::decimal(sum.day_load())) " " (ctx.t(t::DAYS_UNIT)) }
            }
        } @else if what == "timed" && sum.timed > 0 {
            p.small { (format::duration(sum.time_in_store_ms)) " ÷ " (sum.timed) " = " b { (format::duration(sum.time_in_store_ms / sum.timed)) } }
        }
    }
}

/// Columns that repeat the page's title are left out.
const fn shows_outlet(scope: FigureScope) -> bool {
    !matches!(scope, FigureScope::Outlet(_))
}

const fn shows_person(scope: FigureScope) -> bool {
    !matches!(scope, FigureScope::Person(_))
}

fn visits_table(ctx: &RequestContext, found: &DrillDown, rows: &[&Part], scope: FigureScope) -> Markup {
    let mut heads = vec![(t::DAY, false), (t::TIME, false)];
    if shows_outlet(scope) {
        heads.extend([(t::OUTLET, false), (t::CITY, false)]);
    }
    heads.push((t::CHANNEL, false));
    if shows_person(scope) {
        heads.push((t::PERSON, false));
    }
    heads.extend([(t::STATE, false), (t::MEAN_TIME_SHORT, true), (t::DISTANCE, true)]);
    html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody {
                @for part in rows { (visit_row(ctx, found.record(part), part, scope, heads.len())) }
                @if rows.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
    }
}

fn visit_row(
    ctx: &RequestContext,
    record: &Record,
    part: &Part,
    scope: FigureScope,
    columns: usize,
) -> Markup {
    let Some(outlet) = part.adds.outlet else { return html! {} };
    if !ctx.may_see_event(outlet, part.adds.day, part.adds.person) {
        return hidden(ctx, part, columns - 1);
    }
    let visit = Visit::read(record);
    let entry = ctx.directory.outlet(outlet);
    let link = Link::to(format!("/visit/{}", record.key.id));
    let time = visit.opened_at_ms.map(|ms| format::time_at(ctx, ms, Some(outlet), Some(part.adds.day)));
    html! {
        tr {
            td.nowrap { (part.adds.day) }
            td.nowrap { (anchor(&link, time.as_deref().unwrap_or("–"))) }
            @if shows_outlet(scope) {
                td { (ctx.link(FigureScope::Outlet(outlet), None)) }
                td { (entry.map_or("", |entry| entry.city.as_str())) }
            }
            td { (format::choice(ctx.lang, visit.channel)) }
            @if shows_person(scope) { (person_cell(ctx, part)) }
            td { (state(ctx, &visit)) @if visit.plan.is_none() { " " span.muted { (ctx.t(t::UNPLANNED)) } } }
            td.n { (visit.time_in_store_ms.map_or_else(|| "–".into(), format::duration)) }
            td.n { (visit.distance_m.map_or_else(|| "–".into(), |metres| format!("{} m", format::grouped(metres)))) }
        }
    }
}

fn person_cell(ctx: &RequestContext, part: &Part) -> Markup {
    html! { td { @if let Some(person) = part.adds.person { (ctx.link(FigureScope::Person(person), None)) } } }
}

/// A row that counts, but whose details the user may not see.
fn hidden(ctx: &RequestContext, part: &Part, columns: usize) -> Markup {
    html! { tr { td.nowrap { (part.adds.day) } td.muted colspan=(columns) { (ctx.t(t::OUTSIDE_SCOPE)) } } }
}

/// The state of a visit: done, aborted (with the reason), or open.
pub(super) fn state(ctx: &RequestContext, visit: &Visit) -> Markup {
    html! {
        @if visit.aborted_at_ms.is_some() {
            span.tag.bad { (ctx.t(t::ABORTED)) }
            @if visit.abort_reason.is_some() { " " (format::choice(ctx.lang, visit.abort_reason)) }
        } @else if visit.closed_at_ms.is_some() {
            span.tag.good { (ctx.t(t::DONE)) }
        } @else {
            span.tag { (ctx.t(t::IN_STORE)) }
        }
    }
}

/// The visits made on plans, by plan and outlet.
fn visits_on_plans(found: &DrillDown) -> BTreeMap<(RoutePlanId, OutletId), (VisitId, Visit)> {
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

fn calls_table(ctx: &RequestContext, found: &DrillDown, rows: &[&Part], scope: FigureScope) -> Markup {
    let mut heads = vec![(t::DAY, false)];
    if shows_person(scope) {
        heads.push((t::PERSON, false));
    }
    let call =
        [(t::ORDER, true), (t::OUTLET, false), (t::MUST, false), (t::PURPOSE, false), (t::MADE, false)];
    heads.extend(call);
    let made = visits_on_plans(found);
    let row = |part: &Part| {
        let record = found.record(part);
        let outlet = part.adds.outlet?;
        if !ctx.may_see_event(outlet, part.adds.day, part.adds.person) {
            return Some(hidden(ctx, part, heads.len() - 1));
        }
        let plan = RoutePlan::read(record);
        let visit = made.get(&(RoutePlanId(record.key.id), outlet));
        Some(html! {
            tr {
                td.nowrap { (part.adds.day) }
                @if shows_person(scope) { (person_cell(ctx, part)) }
                (call_cells(ctx, &plan, outlet, visit))
            }
        })
    };
    html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody {
                @for part in rows { @if let Some(row) = row(part) { (row) } }
                @if rows.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
    }
}

/// The table cells of one planned call: order, outlet, must, purpose, and its outcome.
fn call_cells(
    ctx: &RequestContext,
    plan: &RoutePlan,
    outlet: OutletId,
    visit: Option<&(VisitId, Visit)>,
) -> Markup {
    html! {
        td.n { (plan.call_order.get(&outlet).copied().unwrap_or(0)) }
        td { (ctx.link(FigureScope::Outlet(outlet), None)) }
        td { @if plan.call_must.get(&outlet) == Some(&true) { (ctx.t(t::MUST)) } }
        td { (plan.call_purpose.get(&outlet).map_or("", String::as_str)) }
        td {
            @match visit {
                Some((id, visit)) => a href=(Link::to(format!("/visit/{id}"))) { (state(ctx, visit)) },
                None => span.muted { (ctx.t(t::NOT_MADE)) },
            }
        }
    }
}

/// The table of the visits among the parts.
pub(super) fn visits_of(ctx: &RequestContext, found: &DrillDown, scope: FigureScope) -> Markup {
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, "all") > 0).collect();
    rows.sort_by_cached_key(|part| (std::cmp::Reverse(part.adds.day), order(found, part)));
    visits_table(ctx, found, &rows, scope)
}

/// The table of the planned calls among the parts.
pub(super) fn calls_of(ctx: &RequestContext, found: &DrillDown, scope: FigureScope) -> Markup {
    let mut rows: Vec<&Part> = found.parts.iter().filter(|part| counts(part, "planned") > 0).collect();
    rows.sort_by_cached_key(|part| std::cmp::Reverse((part.adds.day, order(found, part))));
    calls_table(ctx, found, &rows, scope)
}
