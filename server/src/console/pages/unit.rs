//! A region or an area: its figures, its children, its people, products and open issues.

use super::{issues, products, trend};
use crate::console::error::PageError;
use crate::console::kpis::{self, PEOPLE_COLUMNS, UNIT_COLUMNS};
use crate::console::layout::{self, Page};
use crate::console::params::{FigureScope, Period, read_id};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::{Figures, RollUp};
use maud::{Markup, html};
use xundian_protocol::ids::OrgUnitId;

/// The page of the unit in the path; `none` is everything outside the regions.
pub(in crate::console) fn unit(ctx: &RequestContext) -> Result<Page, PageError> {
    match ctx.id.as_deref() {
        Some("none") => of(ctx, ctx.allowed(FigureScope::Unassigned)?),
        Some(id) => of(ctx, ctx.allowed(FigureScope::Unit(read_id(id)?))?),
        None => Err(PageError::NotFound),
    }
}

/// The page of a unit.
pub(super) fn of(ctx: &RequestContext, scope: FigureScope) -> Result<Page, PageError> {
    let period = ctx.period()?;
    let roll_up = match scope {
        FigureScope::Unit(id) => RollUp::Unit(id),
        _ => RollUp::Unassigned,
    };
    let total = total(ctx, roll_up, period)?;
    let name = ctx.name(scope);
    let body = html! {
        h1 { (name) (kind(ctx, scope)) }
        (kpis::completeness(ctx, scope, period, &total))
        (kpis::cards(ctx, scope, period, &total))
        @if let FigureScope::Unit(id) = scope { (below(ctx, id, period, &total)?) }
        (people(ctx, roll_up, period)?)
        h2 { (ctx.t(t::PRODUCTS)) }
        (products::table(ctx, scope, period, None)?)
        (issues::open(ctx, scope, period)?)
        (trend::fortnight(ctx, scope, roll_up, period.to)?)
    };
    Ok(Page { title: name, crumbs: layout::crumbs(ctx, scope, Some(period)), period: Some(period), body })
}

/// The figures of a scope. Those outside the regions are the same row as in the nation's table.
fn total(ctx: &RequestContext, roll_up: RollUp, period: Period) -> Result<Figures, PageError> {
    if roll_up != RollUp::Unassigned {
        return ctx.server.figures(roll_up, period.from, period.to).map_err(PageError::internal);
    }
    let regions = ctx.server.by_region(period.from, period.to).map_err(PageError::internal)?;
    Ok(regions
        .into_iter()
        .find(|(found, _)| *found == roll_up)
        .map_or_else(Figures::default, |(_, figures)| figures))
}

fn kind(ctx: &RequestContext, scope: FigureScope) -> Markup {
    let entry = if let FigureScope::Unit(id) = scope { ctx.directory.unit(id) } else { None };
    html! {
        @if let Some(entry) = entry {
            " " small { (ctx.t(xundian_protocol::kinds::Choice::label(entry.unit_type))) " " span.code { (entry.code) } }
        }
    }
}

fn below(ctx: &RequestContext, id: OrgUnitId, period: Period, total: &Figures) -> Result<Markup, PageError> {
    let below = ctx.server.by_unit_below(id, period.from, period.to).map_err(PageError::internal)?;
    let row = |(roll_up, figures)| {
        let scope = match roll_up {
            RollUp::Unit(child) if child != id => FigureScope::Unit(child),
            _ => FigureScope::UnitOwn(id),
        };
        (scope, figures)
    };
    let rows: Vec<(FigureScope, Figures)> = below.into_iter().map(row).collect();
    // A leaf has only its own outlets: its cards show everything.
    let is_leaf = rows.iter().all(|(scope, _)| matches!(scope, FigureScope::UnitOwn(_)));
    Ok(html! {
        @if !is_leaf {
            h2 { (ctx.t(t::UNITS_BELOW)) }
            (kpis::table(ctx, t::UNIT, UNIT_COLUMNS, period, &rows, Some((FigureScope::Unit(id), total))))
        }
    })
}

fn people(ctx: &RequestContext, roll_up: RollUp, period: Period) -> Result<Markup, PageError> {
    let people = ctx.server.by_person(roll_up, period.from, period.to).map_err(PageError::internal)?;
    let rows: Vec<(FigureScope, Figures)> =
        people.into_iter().map(|(person, figures)| (FigureScope::Person(person), figures)).collect();
    Ok(html! {
        h2 { (ctx.t(t::PEOPLE)) }
        (kpis::table(ctx, t::PERSON, PEOPLE_COLUMNS, period, &rows, None))
        p.small { (ctx.t(t::PEOPLE_NOTE)) }
    })
}
