//! The first page: the nation by region, or the user's own scope.

use super::{person, trend, unit};
use crate::console::error::PageError;
use crate::console::kpis::{self, UNIT_COLUMNS};
use crate::console::layout::{self, Page};
use crate::console::params::{FigureScope, Period};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::{Figures, RollUp};
use maud::html;

/// The nation, or the user's own unit or day.
pub(in crate::console) fn first(ctx: &RequestContext) -> Result<Page, PageError> {
    match ctx.first_scope() {
        Some(FigureScope::Unit(id)) => unit::of(ctx, FigureScope::Unit(id)),
        Some(FigureScope::Person(id)) => person::of(ctx, id),
        Some(_) => nation(ctx),
        None => Err(PageError::NoPosition),
    }
}

fn nation(ctx: &RequestContext) -> Result<Page, PageError> {
    let scope = ctx.allowed(FigureScope::Nation)?;
    let period = ctx.period()?;
    let total = ctx.server.figures(RollUp::Nation, period.from, period.to).map_err(PageError::internal)?;
    let regions = by_region(ctx, period)?;
    let body = html! {
        h1 { (ctx.t(t::NATION)) }
        (kpis::completeness(ctx, scope, period, &total))
        (kpis::cards(ctx, scope, period, &total))
        h2 { (ctx.t(t::REGIONS)) }
        (kpis::table(ctx, t::REGIONS, UNIT_COLUMNS, period, &regions, Some((scope, &total))))
        (trend::fortnight(ctx, scope, RollUp::Nation, period.to)?)
    };
    let crumbs = layout::crumbs(ctx, scope, Some(period));
    Ok(Page { title: ctx.t(t::NATION).into(), crumbs, period: Some(period), body })
}

fn by_region(ctx: &RequestContext, period: Period) -> Result<Vec<(FigureScope, Figures)>, PageError> {
    let regions = ctx.server.by_region(period.from, period.to).map_err(PageError::internal)?;
    Ok(regions.into_iter().map(|(roll_up, figures)| (scope_of(roll_up), figures)).collect())
}

/// The scope of a roll-up.
fn scope_of(roll_up: RollUp) -> FigureScope {
    match roll_up {
        RollUp::Nation => FigureScope::Nation,
        RollUp::Unit(id) => FigureScope::Unit(id),
        RollUp::Unassigned => FigureScope::Unassigned,
        RollUp::Person(id) => FigureScope::Person(id),
    }
}
