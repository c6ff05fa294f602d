//! An outlet: its profile, its responsible people, its latest visits, stock and issues.

use super::{conflicts, issues, person, visits};
use crate::console::drilldown::{self, DrillDown, OnHand};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::{self, Page};
use crate::console::params::{FigureScope, Period, read_id};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::access::Assignment;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::MeasureFamily;
use xundian_protocol::ids::{OutletId, PositionId};
use xundian_protocol::kinds::{Entity as _, Gtin, Issue, IssueState, Outlet, Visit};
use xundian_protocol::record::Home;

/// The days of visits that the page shows.
const VISIT_DAYS: i32 = 90;

/// The page of the outlet in the path.
pub(in crate::console) fn outlet(ctx: &RequestContext) -> Result<Page, PageError> {
    let id: OutletId = read_id(ctx.id.as_deref().ok_or(PageError::NotFound)?)?;
    let scope = ctx.allowed(FigureScope::Outlet(id))?;
    let day = ctx.period()?.to;
    let record = ctx.record(Outlet::key(id.0))?.ok_or(PageError::NotFound)?;
    let days = Period { from: Day(day.0 - VISIT_DAYS + 1), to: day };
    let found = DrillDown::of(ctx, MeasureFamily::Visits, &[Visit::SPEC.kind], scope, days)?;
    let mut stock = drilldown::on_hand(ctx, scope, None, day)?;
    stock.sort_by_key(|row| row.gtin);
    let name = ctx.name(scope);
    let body = html! {
        h1 { (name) }
        div.columns {
            section { h2 { (ctx.t(t::PROFILE)) } dl.record { (person::fields(ctx, &record, &Outlet::SPEC)) } }
            section { h2 { (ctx.t(t::ASSIGNMENT)) } (assignments(ctx, id)) }
        }
        (conflicts::open_of(ctx, id)?)
        h2 { (ctx.t(t::LATEST_VISITS)) }
        (visits::visits_of(ctx, &found, scope))
        h2 { (ctx.t(t::STOCK)) " " small { (ctx.t(t::OF_DAY)) " " (day) } }
        (stock_table(ctx, &stock)?)
        h2 { (ctx.t(t::ISSUES)) }
        (issues_of(ctx, id, day)?)
    };
    Ok(Page { title: name, crumbs: layout::crumbs(ctx, scope, None), period: Some(Period::day(day)), body })
}

fn assignments(ctx: &RequestContext, outlet: OutletId) -> Markup {
    let mut all: Vec<Assignment> = ctx.directory.assignments(outlet).collect();
    all.sort_by_key(|assignment| std::cmp::Reverse((assignment.epoch, assignment.from)));
    let current = ctx.directory.assignment_on(outlet, ctx.today());
    html! {
        div.scroll { table {
            (super::list::heads(ctx, &[(t::ASSIGNMENT, false), (t::PERSON, false), (t::UNIT, false), (t::FROM, false), (t::TO, false)]))
            tbody {
                @for assignment in &all {
                    tr {
                        td {
                            (ctx.directory.position(assignment.position).map_or("–", |entry| entry.title.as_str()))
                            @if Some(*assignment) == current { " " span.tag.good { (ctx.t(t::CURRENT)) } }
                        }
                        td { (holders(ctx, assignment.position)) }
                        td { @if let Some(entry) = ctx.directory.position(assignment.position) { (ctx.link(FigureScope::Unit(entry.unit), None)) } }
                        td.nowrap { (assignment.from) }
                        td.nowrap { @if let Some(to) = assignment.to { (to) } }
                    }
                }
                @if all.is_empty() { (super::list::nothing(ctx, 5)) }
            }
        } }
    }
}

/// The holders of a position today.
fn holders(ctx: &RequestContext, position: PositionId) -> Markup {
    let holders: Vec<_> = ctx
        .directory
        .people()
        .filter(|(_, entry)| entry.position_on(ctx.today()) == Some(position))
        .map(|(id, _)| id)
        .collect();
    html! {
        @for (place, holder) in holders.iter().enumerate() {
            @if place > 0 { ", " }
            (ctx.link(FigureScope::Person(*holder), None))
        }
        @if holders.is_empty() { span.muted { (ctx.t(t::VACANT)) } }
    }
}

fn stock_table(ctx: &RequestContext, rows: &[OnHand]) -> Result<Markup, PageError> {
    let heads = [(t::PRODUCT_COLUMN, false), (t::UNITS, true), (t::LAST_ENTRY, false), (t::PERSON, false)];
    let row = |row: &OnHand| {
        let product = Gtin::new(row.gtin).ok().map(|gtin| ctx.product(gtin)).transpose()?;
        Ok(html! {
            tr {
                td { @if let Some(product) = product { (product) } }
                td.n { (format::grouped(row.level.units)) }
                td.nowrap { (row.level.day) }
                td { @if let Some(person) = row.level.person { (ctx.link(FigureScope::Person(person), None)) } }
            }
        })
    };
    let cells: Vec<Markup> = rows.iter().map(row).collect::<Result<_, PageError>>()?;
    Ok(html! {
        div.scroll { table {
            (super::list::heads(ctx, &heads))
            tbody {
                @for cell in &cells { (cell) }
                @if rows.is_empty() { (super::list::nothing(ctx, heads.len())) }
            }
        } }
    })
}

fn issues_of(ctx: &RequestContext, outlet: OutletId, day: Day) -> Result<Markup, PageError> {
    let mut records =
        ctx.server.records_of_home(Home::Outlet(outlet), Issue::SPEC.kind).map_err(PageError::internal)?;
    records.sort_by_cached_key(|record| {
        let issue = Issue::read(record);
        (issue.state == Some(IssueState::Closed), std::cmp::Reverse(issue.raised_on), record.key)
    });
    Ok(issues::table(ctx, &records, day))
}
