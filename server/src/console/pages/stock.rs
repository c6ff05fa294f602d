//! The stock of one product, or of one outlet, at the end of a day: each outlet's last level.

use super::{list, shelf};
use crate::console::ask::Ask;
use crate::console::behind::{self, OnHand};
use crate::console::failure::Failure;
use crate::console::select::Whose;
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::kinds::Gtin;

/// The page of the stock.
pub(in crate::console) fn stock(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    let gtin = shelf::gtin_of(ask)?;
    let mut rows = behind::on_hand(ask, whose, gtin.map(Gtin::number), period.to)?;
    rows.sort_by_key(|row| (std::cmp::Reverse(row.level.units), row.outlet, row.gtin));
    let sum = rows.iter().map(|row| row.level.units).sum();
    let (shown, pager) = list::page_of(ask, &rows)?;
    let name = ask.name(whose);
    let body = html! {
        (list::head(ask, &name, t::STOCK, sum, t::UNITS_UNIT))
        p.small { (ask.t(t::OF_DAY)) " " (period.to) " · " (rows.len()) " " (ask.t(t::ROWS)) }
        @if let Some(gtin) = gtin { p { (ask.product(gtin)?) } }
        (table(ask, shown, gtin.is_none())?)
        (pager)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::STOCK));
    Ok(Page { title: format!("{name} · {}", ask.t(t::STOCK)), crumbs, period: Some(period), body })
}

fn table(ask: &Ask, rows: &[OnHand], names_product: bool) -> Result<Markup, Failure> {
    let mut heads = vec![(t::OUTLET, false), (t::CITY, false)];
    if names_product {
        heads.push((t::PRODUCT_COLUMN, false));
    }
    let before_units = heads.len();
    heads.extend([(t::UNITS, true), (t::LAST_ENTRY, false), (t::PERSON, false)]);
    let row = |row: &OnHand| {
        if !ask.may_see_event(row.outlet, row.level.day, row.level.person) {
            let units = show::number(row.level.units);
            return Ok(
                html! { tr { td.muted colspan=(before_units) { (ask.t(t::OUTSIDE_SCOPE)) } td.n { (units) } td {} td {} } },
            );
        }
        let entry = ask.directory.outlet(row.outlet);
        let product = Gtin::new(row.gtin).ok().map(|gtin| ask.product(gtin)).transpose()?;
        Ok(html! {
            tr {
                td { (ask.link(Whose::Outlet(row.outlet), None)) }
                td { (entry.map_or("", |entry| entry.city.as_str())) }
                @if names_product { td { @if let Some(product) = product { (product) } } }
                td.n { (show::number(row.level.units)) }
                td.nowrap { (row.level.day) }
                td { @if let Some(person) = row.level.person { (ask.link(Whose::Person(person), None)) } }
            }
        })
    };
    let cells: Vec<Markup> = rows.iter().map(row).collect::<Result<_, Failure>>()?;
    Ok(html! {
        div.scroll { table {
            (list::heads(ask, &heads))
            tbody {
                @for cell in &cells { (cell) }
                @if rows.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
    })
}
