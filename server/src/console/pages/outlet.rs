//! An outlet: its profile, who looks after it, its latest visits, stock and issues.

use super::{conflicts, issues, person, visits};
use crate::console::ask::Ask;
use crate::console::behind::{self, Behind, OnHand};
use crate::console::failure::Failure;
use crate::console::select::{Period, Whose, read_id};
use crate::console::shell::{self, Page};
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::access::Assignment;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PositionId};
use xundian_protocol::kinds::{Gtin, Issue, IssueState, Outlet, Typed as _, Visit};
use xundian_protocol::record::Home;
use xundian_protocol::views::View;

/// Days of visits that the page shows.
const VISIT_DAYS: i32 = 90;

/// The page of the outlet in the path.
pub(in crate::console) fn outlet(ask: &Ask) -> Result<Page, Failure> {
    let id: OutletId = read_id(ask.id.as_deref().ok_or(Failure::NotFound)?)?;
    let whose = ask.allowed(Whose::Outlet(id))?;
    let day = ask.period()?.to;
    let record = ask.record(Outlet::key(id.0))?.ok_or(Failure::NotFound)?;
    let days = Period { from: Day(day.0 - VISIT_DAYS + 1), to: day };
    let found = Behind::of(ask, View::Visits, &[Visit::SPEC.kind], whose, days)?;
    let mut stock = behind::on_hand(ask, whose, None, day)?;
    stock.sort_by_key(|row| row.gtin);
    let name = ask.name(whose);
    let body = html! {
        h1 { (name) }
        div.columns {
            section { h2 { (ask.t(t::PROFILE)) } dl.record { (person::fields(ask, &record, &Outlet::SPEC)) } }
            section { h2 { (ask.t(t::ASSIGNMENT)) } (assignments(ask, id)) }
        }
        (conflicts::open_of(ask, id)?)
        h2 { (ask.t(t::LATEST_VISITS)) }
        (visits::visits_of(ask, &found, whose))
        h2 { (ask.t(t::STOCK)) " " small { (ask.t(t::OF_DAY)) " " (day) } }
        (stock_table(ask, &stock)?)
        h2 { (ask.t(t::ISSUES)) }
        (issues_of(ask, id, day)?)
    };
    Ok(Page { title: name, crumbs: shell::crumbs(ask, whose, None), period: Some(Period::day(day)), body })
}

fn assignments(ask: &Ask, outlet: OutletId) -> Markup {
    let mut all: Vec<Assignment> = ask.directory.assignments(outlet).collect();
    all.sort_by_key(|assignment| std::cmp::Reverse((assignment.epoch, assignment.from)));
    let current = ask.directory.assignment_on(outlet, ask.today());
    html! {
        div.scroll { table {
            (super::list::heads(ask, &[(t::ASSIGNMENT, false), (t::PERSON, false), (t::UNIT, false), (t::FROM, false), (t::TO, false)]))
            tbody {
                @for assignment in &all {
                    tr {
                        td {
                            (ask.directory.position(assignment.position).map_or("–", |entry| entry.title.as_str()))
                            @if Some(*assignment) == current { " " span.tag.good { (ask.t(t::CURRENT)) } }
                        }
                        td { (holders(ask, assignment.position)) }
                        td { @if let Some(entry) = ask.directory.position(assignment.position) { (ask.link(Whose::Unit(entry.unit), None)) } }
                        td.nowrap { (assignment.from) }
                        td.nowrap { @if let Some(to) = assignment.to { (to) } }
                    }
                }
                @if all.is_empty() { (super::list::nothing(ask, 5)) }
            }
        } }
    }
}

/// Who holds a position today.
fn holders(ask: &Ask, position: PositionId) -> Markup {
    let holders: Vec<_> = ask
        .directory
        .people()
        .filter(|(_, entry)| entry.position_on(ask.today()) == Some(position))
        .map(|(id, _)| id)
        .collect();
    html! {
        @for (place, holder) in holders.iter().enumerate() {
            @if place > 0 { ", " }
            (ask.link(Whose::Person(*holder), None))
        }
        @if holders.is_empty() { span.muted { (ask.t(t::VACANT)) } }
    }
}

fn stock_table(ask: &Ask, rows: &[OnHand]) -> Result<Markup, Failure> {
    let heads = [(t::PRODUCT_COLUMN, false), (t::UNITS, true), (t::LAST_ENTRY, false), (t::PERSON, false)];
    let row = |row: &OnHand| {
        let product = Gtin::new(row.gtin).ok().map(|gtin| ask.product(gtin)).transpose()?;
        Ok(html! {
            tr {
                td { @if let Some(product) = product { (product) } }
                td.n { (show::number(row.level.units)) }
                td.nowrap { (row.level.day) }
                td { @if let Some(person) = row.level.person { (ask.link(Whose::Person(person), None)) } }
            }
        })
    };
    let cells: Vec<Markup> = rows.iter().map(row).collect::<Result<_, Failure>>()?;
    Ok(html! {
        div.scroll { table {
            (super::list::heads(ask, &heads))
            tbody {
                @for cell in &cells { (cell) }
                @if rows.is_empty() { (super::list::nothing(ask, heads.len())) }
            }
        } }
    })
}

fn issues_of(ask: &Ask, outlet: OutletId, day: Day) -> Result<Markup, Failure> {
    let mut records =
        ask.server.records_of_home(Home::Outlet(outlet), Issue::SPEC.kind).map_err(Failure::broken)?;
    records.sort_by_cached_key(|record| {
        let issue = Issue::read(record);
        (issue.state == Some(IssueState::Closed), std::cmp::Reverse(issue.raised_on), record.key)
    });
    Ok(issues::table(ask, &records, day))
}
