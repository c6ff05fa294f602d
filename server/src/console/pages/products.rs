//! By product: what was looked for, absent, counted, and the stock on hand.

use super::list;
use crate::console::ask::Ask;
use crate::console::behind::{self, Behind};
use crate::console::failure::Failure;
use crate::console::select::{Link, Period, Whose};
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use crate::figures::Of;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::kinds::{Gtin, Label, ShelfObservation, StockCount};
use xundian_protocol::views::{Measures, ProductFigures, Subject, View};

/// The lists of [`mod@super::shelf`] and the stock, as `what` names them; a column each.
pub(super) const WHAT: [(&str, Label); 7] = [
    ("audited", t::AUDITED),
    ("absent", t::ABSENT),
    ("backroom", t::BACKROOM_ONLY),
    ("facings", t::SHARE_OF_SHELF),
    ("counts", t::COUNTS),
    ("counted", t::COUNTED_UNITS),
    ("stock", t::STOCK_UNITS),
];

/// One product's figures.
struct Row {
    gtin: Gtin,
    products: ProductFigures,
    stock_units: i64,
}

/// The page of all products.
pub(in crate::console) fn products(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    let (what, label) = list::choice(ask, "what", &WHAT)?;
    let name = ask.name(whose);
    let body = html! {
        h1 { (name) " · " (ask.t(t::PRODUCTS)) " · " (ask.t(label)) }
        (table(ask, whose, period, Some(what))?)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::PRODUCTS));
    Ok(Page { title: format!("{name} · {}", ask.t(t::PRODUCTS)), crumbs, period: Some(period), body })
}

/// The table of all products; `chosen` is the column that the page is about.
pub(super) fn table(
    ask: &Ask,
    whose: Whose,
    period: Period,
    chosen: Option<&str>,
) -> Result<Markup, Failure> {
    let mut rows = rows(ask, whose, period)?;
    rows.sort_by_key(|row| std::cmp::Reverse(chosen.map_or(row.products.absent, |what| value(row, what))));
    let total = rows.iter().fold(Row::none(), |mut sum, row| {
        sum.add(row);
        sum
    });
    Ok(html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { (ask.t(t::PRODUCT_COLUMN)) }
                    @for (what, label) in WHAT { th.n scope="col" .chosen[chosen == Some(what)] { (ask.t(label)) } }
                    th.n scope="col" { (ask.t(t::OOS)) }
                } }
                tbody {
                    @for row in &rows {
                        tr { th scope="row" { (ask.product(row.gtin)?) } (row_cells(row, whose, period, chosen)) }
                    }
                    @if rows.is_empty() { (list::nothing(ask, WHAT.len() + 2)) }
                }
                tfoot { tr { th scope="row" { (ask.t(t::TOTAL)) } (total_cells(ask, &total, whose, period, chosen)) } }
            }
        }
    })
}

fn row_cells(row: &Row, whose: Whose, period: Period, chosen: Option<&str>) -> Markup {
    let link = |what: &str| match what {
        "stock" => Link::to("/stock").with("gtin", row.gtin).whose(whose).period(period),
        _ => Link::to("/shelf").with("what", what).with("gtin", row.gtin).whose(whose).period(period),
    };
    html! {
        @for (what, _) in WHAT {
            td.n .chosen[chosen == Some(what)] { a.figure .zero[value(row, what) == 0] href=(link(what)) { (text(row, what)) } }
        }
        td.n { a.figure href=(link("absent")) { (show::percent(row.products.oos())) } }
    }
}

fn total_cells(ask: &Ask, total: &Row, whose: Whose, period: Period, chosen: Option<&str>) -> Markup {
    let shelf = |what: &str| Link::to("/shelf").with("what", what).whose(whose).period(period);
    html! {
        @for (what, _) in WHAT {
            td.n .chosen[chosen == Some(what)] {
                @if what == "stock" { (text(total, what)) } @else { a.figure href=(shelf(what)) { (text(total, what)) } }
            }
        }
        td.n { a.figure href=(shelf("absent")) title=(ask.t(t::OOS)) { (show::percent(total.products.oos())) } }
    }
}

fn text(row: &Row, what: &str) -> String {
    match what {
        "facings" => show::percent(row.products.share_of_shelf()),
        _ => show::number(value(row, what)),
    }
}

fn value(row: &Row, what: &str) -> i64 {
    measure(&row.products, what).unwrap_or(row.stock_units)
}

/// The measure that a list of shelf lines counts; none for the stock.
pub(super) fn measure(products: &ProductFigures, what: &str) -> Option<i64> {
    Some(match what {
        "audited" => products.audited,
        "absent" => products.absent,
        "backroom" => products.backroom_only,
        "facings" => products.facings_own,
        "counts" => products.counts,
        "counted" => products.counted_units,
        _ => return None,
    })
}

impl Row {
    fn none() -> Self {
        let gtin = Gtin::with_check_digit(1).unwrap_or_else(|_| unreachable!("1 has a check digit"));
        Self { gtin, products: ProductFigures::default(), stock_units: 0 }
    }

    fn add(&mut self, row: &Self) {
        let mut sum = self.products.measures();
        sum += row.products.measures();
        self.products = sum.into();
        self.stock_units += row.stock_units;
    }
}

fn rows(ask: &Ask, whose: Whose, period: Period) -> Result<Vec<Row>, Failure> {
    let mut sums: BTreeMap<u64, (Measures, i64)> = BTreeMap::new();
    if let Whose::Outlet(_) = whose {
        // An outlet has no cells of its own.
        let kinds = [ShelfObservation::SPEC.kind, StockCount::SPEC.kind];
        for part in &Behind::of(ask, View::Products, &kinds, whose, period)?.parts {
            sums.entry(part.adds.dimension.0).or_default().0 += part.adds.measures;
        }
        for stock in behind::on_hand(ask, whose, None, period.to)? {
            sums.entry(stock.gtin).or_default().1 += stock.level.units;
        }
    } else {
        for (gtin, measures) in cells(ask, View::Products, whose, period)? {
            sums.entry(gtin).or_default().0 += measures;
        }
        for (gtin, measures) in cells(ask, View::Stock, whose, period)? {
            sums.entry(gtin).or_default().1 += measures.0[0];
        }
    }
    let row = |(gtin, (measures, stock_units)): (u64, (Measures, i64))| {
        Some(Row { gtin: Gtin::new(gtin).ok()?, products: ProductFigures::from(measures), stock_units })
    };
    Ok(sums.into_iter().filter_map(row).collect())
}

/// The cells of a view that count to `whose`, with their product.
fn cells(ask: &Ask, view: View, whose: Whose, period: Period) -> Result<Vec<(u64, Measures)>, Failure> {
    let of = if let Whose::Person(person) = whose { Of::Person(person) } else { Of::Units };
    let cells = ask.server.cells(view, of, period.from, period.to).map_err(Failure::broken)?;
    let counts = |subject: &Subject| match subject {
        Subject::Unit(leaf) => whose.holds(&ask.directory, *leaf),
        Subject::Person(_) => true,
    };
    Ok(cells.into_iter().filter(|(of, ..)| counts(of)).map(|(_, gtin, measures)| (gtin, measures)).collect())
}
