//! By product: expected, absent, counted, and the stock on hand.

use super::list;
use crate::console::drilldown::{self, DrillDown};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::Page;
use crate::console::link::Link;
use crate::console::params::{FigureScope, Period};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::CellSubjects;
use maud::{Markup, html};
use std::collections::BTreeMap;
use xundian_protocol::figures::{MeasureFamily, Measures, ProductFigures, Subject};
use xundian_protocol::kinds::{Gtin, Label, ShelfObservation, StockCount};

/// The lists of [`mod@super::shelf`] and the stock, by their `what`; a column each.
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
pub(in crate::console) fn products(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    let (what, label) = list::choice(ctx, "what", &WHAT)?;
    let name = ctx.name(scope);
    let body = html! {
        h1 { (name) " · " (ctx.t(t::PRODUCTS)) " · " (ctx.t(label)) }
        (table(ctx, scope, period, Some(what))?)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::PRODUCTS));
    Ok(Page { title: format!("{name} · {}", ctx.t(t::PRODUCTS)), crumbs, period: Some(period), body })
}

/// The table of all products; `chosen` is the page's column.
pub(super) fn table(
    ctx: &RequestContext,
    scope: FigureScope,
    period: Period,
    chosen: Option<&str>,
) -> Result<Markup, PageError> {
    let mut rows = rows(ctx, scope, period)?;
    rows.sort_by_key(|row| std::cmp::Reverse(chosen.map_or(row.products.absent, |what| value(row, what))));
    let total = rows.iter().fold(Row::none(), |mut sum, row| {
        sum.add(row);
        sum
    });
    Ok(html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { (ctx.t(t::PRODUCT_COLUMN)) }
                    @for (what, label) in WHAT { th.n scope="col" .chosen[chosen == Some(what)] { (ctx.t(label)) } }
                    th.n scope="col" { (ctx.t(t::OOS)) }
                } }
                tbody {
                    @for row in &rows {
                        tr { th scope="row" { (ctx.product(row.gtin)?) } (row_cells(row, scope, period, chosen)) }
                    }
                    @if rows.is_empty() { (list::nothing(ctx, WHAT.len() + 2)) }
                }
                tfoot { tr { th scope="row" { (ctx.t(t::TOTAL)) } (total_cells(ctx, &total, scope, period, chosen)) } }
            }
        }
    })
}

fn row_cells(row: &Row, scope: FigureScope, period: Period, chosen: Option<&str>) -> Markup {
    let link = |what: &str| match what {
        "stock" => Link::to("/stock").with("gtin", row.gtin).scope(scope).period(period),
        _ => Link::to("/shelf").with("what", what).with("gtin", row.gtin).scope(scope).period(period),
    };
    html! {
        @for (what, _) in WHAT {
            td.n .chosen[chosen == Some(what)] { a.figure .zero[value(row, what) == 0] href=(link(what)) { (text(row, what)) } }
        }
        td.n { a.figure href=(link("absent")) { (format::percent(row.products.oos())) } }
    }
}

fn total_cells(
    ctx: &RequestContext,
    total: &Row,
    scope: FigureScope,
    period: Period,
    chosen: Option<&str>,
) -> Markup {
    let shelf = |what: &str| Link::to("/shelf").with("what", what).scope(scope).period(period);
    html! {
        @for (what, _) in WHAT {
            td.n .chosen[chosen == Some(what)] {
                @if what == "stock" { (text(total, what)) } @else { a.figure href=(shelf(what)) { (text(total, what)) } }
            }
        }
        td.n { a.figure href=(shelf("absent")) title=(ctx.t(t::OOS)) { (format::percent(total.products.oos())) } }
    }
}

fn text(row: &Row, what: &str) -> String {
    match what {
        "facings" => format::percent(row.products.share_of_shelf()),
        _ => format::grouped(value(row, what)),
    }
}

fn value(row: &Row, what: &str) -> i64 {
    measure(&row.products, what).unwrap_or(row.stock_units)
}

/// The measure that a list of shelf lines counts; `None` for the stock.
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

fn rows(ctx: &RequestContext, scope: FigureScope, period: Period) -> Result<Vec<Row>, PageError> {
    let mut sums: BTreeMap<u64, (Measures, i64)> = BTreeMap::new();
    if let FigureScope::Outlet(_) = scope {
        // An outlet has no cells of its own.
        let kinds = [ShelfObservation::SPEC.kind, StockCount::SPEC.kind];
        for part in &DrillDown::of(ctx, MeasureFamily::Products, &kinds, scope, period)?.parts {
            sums.entry(part.adds.dimension.0).or_default().0 += part.adds.measures;
        }
        for stock in drilldown::on_hand(ctx, scope, None, period.to)? {
            sums.entry(stock.gtin).or_default().1 += stock.level.units;
        }
    } else {
        for (gtin, measures) in cells(ctx, MeasureFamily::Products, scope, period)? {
            sums.entry(gtin).or_default().0 += measures;
        }
        for (gtin, measures) in cells(ctx, MeasureFamily::Stock, scope, period)? {
            sums.entry(gtin).or_default().1 += measures.0[0];
        }
    }
    let row = |(gtin, (measures, stock_units)): (u64, (Measures, i64))| {
        Some(Row { gtin: Gtin::new(gtin).ok()?, products: ProductFigures::from(measures), stock_units })
    };
    Ok(sums.into_iter().filter_map(row).collect())
}

/// The cells of a measure family that belong to `scope`, with their product.
fn cells(
    ctx: &RequestContext,
    family: MeasureFamily,
    scope: FigureScope,
    period: Period,
) -> Result<Vec<(u64, Measures)>, PageError> {
    let of = if let FigureScope::Person(person) = scope {
        CellSubjects::Person(person)
    } else {
        CellSubjects::Units
    };
    let cells = ctx.server.cells(family, of, period.from, period.to).map_err(PageError::internal)?;
    let counts = |subject: &Subject| match subject {
        Subject::Unit(leaf) => scope.holds(&ctx.directory, *leaf),
        Subject::Person(_) => true,
    };
    Ok(cells.into_iter().filter(|(of, ..)| counts(of)).map(|(_, gtin, measures)| (gtin, measures)).collect())
}
