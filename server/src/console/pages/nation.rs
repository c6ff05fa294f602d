//! The first page: the nation by regions, or what the user sees instead.

use super::{person, trend, unit};
use crate::console::ask::Ask;
use crate::console::failure::Failure;
use crate::console::metrics::{self, UNIT_COLUMNS};
use crate::console::select::{Period, Whose};
use crate::console::shell::{self, Page};
use crate::console::texts as t;
use crate::figures::{Figures, Scope};
use maud::html;

/// The nation, or the user's own unit or day.
pub(in crate::console) fn first(ask: &Ask) -> Result<Page, Failure> {
    match ask.first_whose() {
        Some(Whose::Unit(id)) => unit::of(ask, Whose::Unit(id)),
        Some(Whose::Person(id)) => person::of(ask, id),
        Some(_) => nation(ask),
        None => Err(Failure::NoPosition),
    }
}

fn nation(ask: &Ask) -> Result<Page, Failure> {
    let whose = ask.allowed(Whose::Nation)?;
    let period = ask.period()?;
    let total = ask.server.figures(Scope::Nation, period.from, period.to).map_err(Failure::broken)?;
    let regions = by_region(ask, period)?;
    let body = html! {
        h1 { (ask.t(t::NATION)) }
        (metrics::completeness(ask, whose, period, &total))
        (metrics::cards(ask, whose, period, &total))
        h2 { (ask.t(t::REGIONS)) }
        (metrics::table(ask, t::REGIONS, UNIT_COLUMNS, period, &regions, Some((whose, &total))))
        (trend::fortnight(ask, whose, Scope::Nation, period.to)?)
    };
    let crumbs = shell::crumbs(ask, whose, Some(period));
    Ok(Page { title: ask.t(t::NATION).into(), crumbs, period: Some(period), body })
}

fn by_region(ask: &Ask, period: Period) -> Result<Vec<(Whose, Figures)>, Failure> {
    let regions = ask.server.by_region(period.from, period.to).map_err(Failure::broken)?;
    Ok(regions.into_iter().map(|(scope, figures)| (whose_of(scope), figures)).collect())
}

/// Whose figures a scope stands for.
fn whose_of(scope: Scope) -> Whose {
    match scope {
        Scope::Nation => Whose::Nation,
        Scope::Unit(id) => Whose::Unit(id),
        Scope::Unassigned => Whose::Unassigned,
        Scope::Person(id) => Whose::Person(id),
    }
}
