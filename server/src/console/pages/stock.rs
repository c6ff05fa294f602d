//! The stock of one product, or of one outlet, at the end of a day: each outlet's last level.

use super::{list, shelf};
use crate::console::drilldown::{self, OnHand};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::Page;
use crate::console::params::FigureScope;
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::kinds::Gtin;

/// The page of the stock.
pub(in crate::console) fn stock(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    let gtin = shelf::gtin_of(ctx)?;
    let mut rows = drilldown::on_hand(ctx, scope, gtin.map(Gtin::number), period.to)?;
    rows.sort_by_key(|row| (std::cmp::Reverse(row.level.units), row.outlet, row.gtin));
    let sum = rows.iter().map(|row| row.level.units).sum();
    let (shown, pager) = list::page_of(ctx, &rows)?;
    let name = ctx.name(scope);
    let body = html! {
        (list::head(ctx, &name, t::STOCK, sum, t::UNITS_UNIT))
        p.small { (ctx.t(t::OF_DAY)) " " (period.to) " · " (rows.len()) " " (ctx.t(t::ROWS)) }
        @if let Some(gtin) = gtin { p { (ctx.product(gtin)?) } }
        (table(ctx, shown, gtin.is_none())?)
        (pager)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::STOCK));
    Ok(Page { title: format!("{name} · {}", ctx.t(t::STOCK)), crumbs, period: Some(period), body })
}

fn table(ctx: &RequestContext, rows: &[OnHand], names_product: bool) -> Result<Markup, PageError> {
    let mut heads = vec![(t::OUTLET, false), (t::CITY, false)];
    if names_product {
        heads.push((t::PRODUCT_COLUMN, false));
    }
    let before_units = heads.len();
    heads.extend([(t::UNITS, true), (t::LAST_ENTRY, false), (t::PERSON, false)]);
    let row = |row: &OnHand| {
        if !ctx.may_see_event(row.outlet, row.level.day, row.level.person) {
            let units = format::grouped(row.level.units);
            return Ok(
                html! { tr { td.muted colspan=(before_units) { (ctx.t(t::OUTSIDE_SCOPE)) } td.n { (units) } td {} td {} } },
            );
        }
        let entry = ctx.directory.outlet(row.outlet);
        let product = Gtin::new(row.gtin).ok().map(|gtin| ctx.product(gtin)).transpose()?;
        Ok(html! {
            tr {
                td { (ctx.link(FigureScope::Outlet(row.outlet), None)) }
                td { (entry.map_or("", |entry| entry.city.as_str())) }
                @if names_product { td { @if let Some(product) = product { (product) } } }
                td.n { (format::grouped(row.level.units)) }
                td.nowrap { (row.level.day) }
                td { @if let Some(person) = row.level.person { (ctx.link(FigureScope::Person(person), None)) } }
            }
        })
    };
    let cells: Vec<Markup> = rows.iter().map(row).collect::<Result<_, PageError>>()?;
    Ok(html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody {
                @for cell in &cells { (cell) }
                @if rows.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
    })
}
