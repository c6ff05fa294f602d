//! A region or an area: its figures, what is below it, its people, products and open issues.

use super::{issues, products, trend};
use crate::console::ask::Ask;
use crate::console::failure::Failure;
use crate::console::metrics::{self, PEOPLE_COLUMNS, UNIT_COLUMNS};
use crate::console::select::{Period, Whose, read_id};
use crate::console::shell::{self, Page};
use crate::console::texts as t;
use crate::figures::{Figures, Scope};
use maud::{Markup, html};
use xundian_protocol::ids::OrgUnitId;

/// The page of the unit in the path; `none` is what belongs to no region.
pub(in crate::console) fn unit(ask: &Ask) -> Result<Page, Failure> {
    match ask.id.as_deref() {
        Some("none") => of(ask, ask.allowed(Whose::Unassigned)?),
        Some(id) => of(ask, ask.allowed(Whose::Unit(read_id(id)?))?),
        None => Err(Failure::NotFound),
    }
}

/// The page of a unit.
pub(super) fn of(ask: &Ask, whose: Whose) -> Result<Page, Failure> {
    let period = ask.period()?;
    let scope = match whose {
        Whose::Unit(id) => Scope::Unit(id),
        _ => Scope::Unassigned,
    };
    let total = total(ask, scope, period)?;
    let name = ask.name(whose);
    let body = html! {
        h1 { (name) (kind(ask, whose)) }
        (metrics::completeness(ask, whose, period, &total))
        (metrics::cards(ask, whose, period, &total))
        @if let Whose::Unit(id) = whose { (below(ask, id, period, &total)?) }
        (people(ask, scope, period)?)
        h2 { (ask.t(t::PRODUCTS)) }
        (products::table(ask, whose, period, None)?)
        (issues::open(ask, whose, period)?)
        (trend::fortnight(ask, whose, scope, period.to)?)
    };
    Ok(Page { title: name, crumbs: shell::crumbs(ask, whose, Some(period)), period: Some(period), body })
}

/// The figures of a scope. Those of no region are the very row of the nation's table.
fn total(ask: &Ask, scope: Scope, period: Period) -> Result<Figures, Failure> {
    if scope != Scope::Unassigned {
        return ask.server.figures(scope, period.from, period.to).map_err(Failure::broken);
    }
    let regions = ask.server.by_region(period.from, period.to).map_err(Failure::broken)?;
    Ok(regions
        .into_iter()
        .find(|(found, _)| *found == scope)
        .map_or_else(Figures::default, |(_, figures)| figures))
}

fn kind(ask: &Ask, whose: Whose) -> Markup {
    let entry = if let Whose::Unit(id) = whose { ask.directory.unit(id) } else { None };
    html! {
        @if let Some(entry) = entry {
            " " small { (ask.t(xundian_protocol::kinds::Choice::label(entry.unit_type))) " " span.code { (entry.code) } }
        }
    }
}

fn below(ask: &Ask, id: OrgUnitId, period: Period, total: &Figures) -> Result<Markup, Failure> {
    let below = ask.server.by_unit_below(id, period.from, period.to).map_err(Failure::broken)?;
    let row = |(scope, figures)| {
        let whose = match scope {
            Scope::Unit(child) if child != id => Whose::Unit(child),
            _ => Whose::UnitOwn(id),
        };
        (whose, figures)
    };
    let rows: Vec<(Whose, Figures)> = below.into_iter().map(row).collect();
    // A leaf has its own outlets alone: its cards say it all.
    let is_leaf = rows.iter().all(|(whose, _)| matches!(whose, Whose::UnitOwn(_)));
    Ok(html! {
        @if !is_leaf {
            h2 { (ask.t(t::UNITS_BELOW)) }
            (metrics::table(ask, t::UNIT, UNIT_COLUMNS, period, &rows, Some((Whose::Unit(id), total))))
        }
    })
}

fn people(ask: &Ask, scope: Scope, period: Period) -> Result<Markup, Failure> {
    let people = ask.server.by_person(scope, period.from, period.to).map_err(Failure::broken)?;
    let rows: Vec<(Whose, Figures)> =
        people.into_iter().map(|(person, figures)| (Whose::Person(person), figures)).collect();
    Ok(html! {
        h2 { (ask.t(t::PEOPLE)) }
        (metrics::table(ask, t::PERSON, PEOPLE_COLUMNS, period, &rows, None))
        p.small { (ask.t(t::PEOPLE_NOTE)) }
    })
}
