//! Urgent matters: those open, overdue, raised or closed.

use super::list;
use crate::console::ask::{Ask, anchor};
use crate::console::behind::{self, Behind};
use crate::console::failure::Failure;
use crate::console::metrics::Metric;
use crate::console::select::{Link, Period, Whose};
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{Issue, IssueState, Label, Typed as _};
use xundian_protocol::record::{Home, Record};
use xundian_protocol::views::View;

const STATES: [(&str, Label); 6] = [
    ("open", t::OPEN),
    ("overdue", t::OVERDUE),
    ("raised", t::RAISED),
    ("closed", t::CLOSED),
    ("due", t::DUE),
    ("closed_by_due", t::CLOSED_BY_DUE),
];
/// Rows that a unit's page shows.
const OPEN_SHOWN: usize = 20;

/// The page of a list of issues.
pub(in crate::console) fn issues(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    let (state, label) = list::choice(ask, "state", &STATES)?;
    let (records, count) = found(ask, whose, period, state)?;
    let (shown, pager) = list::page_of(ask, &records)?;
    let name = ask.name(whose);
    let body = html! {
        (list::head(ask, &name, label, count, t::ROWS))
        (list::tabs(ask, "state", &STATES, state))
        (table(ask, shown, period.to))
        (pager)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::ISSUES));
    Ok(Page { title: format!("{name} · {}", ask.t(t::ISSUES)), crumbs, period: Some(period), body })
}

/// The open issues of a unit, the first ones of them.
pub(super) fn open(ask: &Ask, whose: Whose, period: Period) -> Result<Markup, Failure> {
    let (records, count) = found(ask, whose, period, "open")?;
    Ok(html! {
        h2 { (ask.t(t::ISSUES)) " · " (ask.t(t::OPEN)) " " (anchor(&Metric::Open.link(whose, period), &show::number(count))) }
        (table(ask, &records[..records.len().min(OPEN_SHOWN)], period.to))
    })
}

/// The issues of a state, the most urgent first, and the figure that they make up.
fn found(ask: &Ask, whose: Whose, period: Period, state: &str) -> Result<(Vec<Record>, i64), Failure> {
    let (view, measure) = match state {
        "open" => (View::OpenIssues, 0),
        "overdue" => (View::OpenIssues, 1),
        "raised" => (View::Issues, 0),
        "closed" => (View::Issues, 1),
        "closed_by_due" => (View::Issues, 2),
        _ => (View::Issues, 3),
    };
    let behind = Behind::of(ask, view, &[Issue::SPEC.kind], whose, period)?;
    let mut sums: BTreeMap<_, (i64, &Record)> = BTreeMap::new();
    for part in &behind.parts {
        let record = behind.record(part);
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

/// A table of issues as they stand now; `day` decides what is overdue.
pub(super) fn table(ask: &Ask, records: &[Record], day: Day) -> Markup {
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
            (list::heads(ask, &heads))
            tbody {
                @for record in records { (row(ask, record, day, heads.len())) }
                @if records.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
    }
}

fn row(ask: &Ask, record: &Record, day: Day, columns: usize) -> Markup {
    let issue = Issue::read(record);
    let Home::Outlet(outlet) = record.home else { return html! {} };
    let raised = issue.raised_on.unwrap_or(day);
    if !ask.may_see_event(outlet, raised, issue.raised_by) {
        return html! { tr { td.muted colspan=(columns) { (ask.t(t::OUTSIDE_SCOPE)) } } };
    }
    let open = issue.state != Some(IssueState::Closed);
    let overdue = open && issue.due_on.is_some_and(|due| due < day);
    let person = |id: Option<_>| html! { @if let Some(id) = id { (ask.link(Whose::Person(id), None)) } };
    html! {
        tr {
            td.nowrap {
                span.tag .bad[overdue] .good[!open] { (show::choice(ask.lang, issue.state)) }
                @if overdue { " " span.bad { (ask.t(t::OVERDUE)) } }
            }
            td.nowrap { (show::choice(ask.lang, issue.severity)) }
            td.nowrap { (show::choice(ask.lang, issue.issue_kind)) }
            td { (ask.link(Whose::Outlet(outlet), None)) }
            td.wide {
                (issue.text.as_deref().unwrap_or("–"))
                @if let Some(visit) = issue.visit { " " (anchor(&Link::to(format!("/visit/{visit}")), ask.t(t::VISIT))) }
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
