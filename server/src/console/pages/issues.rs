//! Urgent matters: open, overdue, raised or closed.

use super::list;
use crate::console::drilldown::{self, DrillDown};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::kpis::Kpi;
use crate::console::layout::Page;
use crate::console::link::Link;
use crate::console::params::{FigureScope, Period};
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::MeasureFamily;
use xundian_protocol::kinds::{Entity as _, Issue, IssueState, Label};
use xundian_protocol::record::{Home, Record};

const STATES: [(&str, Label); 6] = [
    ("open", t::OPEN),
    ("overdue", t::OVERDUE),
    ("raised", t::RAISED),
    ("closed", t::CLOSED),
    ("due", t::DUE),
    ("closed_by_due", t::CLOSED_BY_DUE),
];
/// The most rows on a unit's page.
const OPEN_SHOWN: usize = 20;

/// The page of a list of issues.
pub(in crate::console) fn issues(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    let (state, label) = list::choice(ctx, "state", &STATES)?;
    let (records, count) = found(ctx, scope, period, state)?;
    let (shown, pager) = list::page_of(ctx, &records)?;
    let name = ctx.name(scope);
    let body = html! {
        (list::head(ctx, &name, label, count, t::ROWS))
        (list::tabs(ctx, "state", &STATES, state))
        (table(ctx, shown, period.to))
        (pager)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::ISSUES));
    Ok(Page { title: format!("{name} · {}", ctx.t(t::ISSUES)), crumbs, period: Some(period), body })
}

/// The first open issues of a unit.
pub(super) fn open(ctx: &RequestContext, scope: FigureScope, period: Period) -> Result<Markup, PageError> {
    let (records, count) = found(ctx, scope, period, "open")?;
    Ok(html! {
        h2 { (ctx.t(t::ISSUES)) " · " (ctx.t(t::OPEN)) " " (anchor(&Kpi::Open.link(scope, period), &format::grouped(count))) }
        (table(ctx, &records[..records.len().min(OPEN_SHOWN)], period.to))
    })
}

/// The issues with a state, the most urgent first, and the figure that they add up to.
fn found(
    ctx: &RequestContext,
    scope: FigureScope,
    period: Period,
    state: &str,
) -> Result<(Vec<Record>, i64), PageError> {
    let (view, measure) = match state {
        "open" => (MeasureFamily::OpenIssues, 0),
        "overdue" => (MeasureFamily::OpenIssues, 1),
        "raised" => (MeasureFamily::Issues, 0),
        "closed" => (MeasureFamily::Issues, 1),
        "closed_by_due" => (MeasureFamily::Issues, 2),
        _ => (MeasureFamily::Issues, 3),
    };
    let drilldown = DrillDown::of(ctx, view, &[Issue::SPEC.kind], scope, period)?;
    let mut sums: BTreeMap<_, (i64, &Record)> = BTreeMap::new();
    for part in &drilldown.parts {
        let record = drilldown.record(part);
        sums.entry(record.key).or_insert((0, record)).0 += part.adds.measures.0[measure];
    }
    let count = sums.values().map(|(sum, _)| sum).sum();
    let mut records: Vec<Record> =
        sums.into_values().filter(|(sum, _)| *sum != 0).map(|(_, record)| record.clone()).collect();
    records.sort_by_cached_key(|record| {
        let issue = Issue::read(record);
        (issue.due_on, std::cmp::Reverse(issue.severity), record.key)
    });
    Ok((records, count))
}

/// A table of issues in their present state; `day` decides what is overdue.
pub(super) fn table(ctx: &RequestContext, records: &[Record], day: Day) -> Markup {
    let spec = |tag| Issue::SPEC.field(tag).map_or(t::NOTE, |field| field.label);
    let heads = [
        (t::STATE, false),
        (spec(18), false),
        (spec(17), false),
        (t::OUTLET, false),
        (spec(19), false),
        (spec(21), false),
        (spec(20), false),
        (spec(22), false),
        (spec(23), false),
        (spec(26), false),
    ];
    html! {
        div.scroll { table.text {
            (list::heads(ctx, &heads))
            tbody {
                @for record in records { (row(ctx, record, day, heads.len())) }
                @if records.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
    }
}

fn row(ctx: &RequestContext, record: &Record, day: Day, columns: usize) -> Markup {
    let issue = Issue::read(record);
    let Home::Outlet(outlet) = record.home else { return html! {} };
    let raised = issue.raised_on.unwrap_or(day);
    if !ctx.may_see_event(outlet, raised, issue.raised_by) {
        return html! { tr { td.muted colspan=(columns) { (ctx.t(t::OUTSIDE_SCOPE)) } } };
    }
    let open = issue.state != Some(IssueState::Closed);
    let overdue = open && issue.due_on.is_some_and(|due| due < day);
    let person =
        |id: Option<_>| html! { @if let Some(id) = id { (ctx.link(FigureScope::Person(id), None)) } };
    html! {
        tr {
            td.nowrap {
                span.tag .bad[overdue] .good[!open] { (format::choice(ctx.lang, issue.state)) }
                @if overdue { " " span.bad { (ctx.t(t::OVERDUE)) } }
            }
            td.nowrap { (format::choice(ctx.lang, issue.severity)) }
            td.nowrap { (format::choice(ctx.lang, issue.issue_kind)) }
            td { (ctx.link(FigureScope::Outlet(outlet), None)) }
            td.wide {
                (issue.text.as_deref().unwrap_or("–"))
                @if let Some(visit) = issue.visit { " " (anchor(&Link::to(format!("/visit/{visit}")), ctx.t(t::VISIT))) }
            }
            td.nowrap { (person(issue.raised_by)) }
            td.nowrap { (raised) }
            td.nowrap { @if let Some(due) = issue.due_on { (due) } }
            td.nowrap { (person(issue.assignee)) }
            td.wide {
                @if let Some(closed) = issue.closed_on { (closed) " " }
                (issue.resolution.as_deref().unwrap_or(""))
            }
        }
    }
}
