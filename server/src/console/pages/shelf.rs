//! The lines behind the figures of products: what was expected and counted, by outlet.

use super::{list, products};
use crate::console::drilldown::{self, DrillDown, Part};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::Page;
use crate::console::link::Link;
use crate::console::params::FigureScope;
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::figures::{MeasureFamily, ProductFigures};
use xundian_protocol::kinds::{Entity as _, Gtin, Header, ShelfObservation, StockCount};

/// The page of shelf lines or counts, of one product or of all.
pub(in crate::console) fn shelf(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    // All but the stock, which has its own page.
    let choices = &products::WHAT[..products::WHAT.len() - 1];
    let (what, label) = list::choice(ctx, "what", choices)?;
    let gtin = gtin_of(ctx)?;
    let kinds = [ShelfObservation::SPEC.kind, StockCount::SPEC.kind];
    let found = DrillDown::of(ctx, MeasureFamily::Products, &kinds, scope, period)?;
    let measure =
        |part: &Part| products::measure(&ProductFigures::from(part.adds.measures), what).unwrap_or(0);
    let of_product = |part: &&Part| gtin.is_none_or(|gtin| gtin.number() == part.adds.dimension.0);
    let mut rows: Vec<&Part> =
        found.parts.iter().filter(of_product).filter(|part| counts(part, what)).collect();
    rows.sort_by_cached_key(|part| (std::cmp::Reverse(part.adds.day), part.adds.outlet, part.adds.dimension));
    let sum = rows.iter().map(|part| measure(part)).sum();
    let (shown, pager) = list::page_of(ctx, &rows)?;
    let name = ctx.name(scope);
    let is_units = what == "counted";
    let unit = if is_units { t::UNITS_UNIT } else { t::ROWS };
    let body = html! {
        (list::head(ctx, &name, label, sum, unit))
        @if is_units { p.small { (rows.len()) " " (ctx.t(t::ROWS)) } }
        @if let Some(gtin) = gtin { p { (ctx.product(gtin)?) " " (all_products(ctx)) } }
        (list::tabs(ctx, "what", choices, what))
        (table(ctx, &found, shown)?)
        (pager)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::SHELF));
    Ok(Page { title: format!("{name} · {}", ctx.t(label)), crumbs, period: Some(period), body })
}

/// The requested product.
pub(super) fn gtin_of(ctx: &RequestContext) -> Result<Option<Gtin>, PageError> {
    let gtin = ctx.query.get("gtin").map(str::parse).transpose();
    gtin.map_err(|_| PageError::BadRequest(t::BAD_QUERY))
}

/// Whether a line belongs to a list. A count of zero units is a count.
fn counts(part: &Part, what: &str) -> bool {
    let figures = ProductFigures::from(part.adds.measures);
    match what {
        "counted" => figures.counts != 0,
        "facings" => figures.facings_own != 0 || figures.facings_category != 0,
        _ => products::measure(&figures, what).unwrap_or(0) != 0,
    }
}

fn all_products(ctx: &RequestContext) -> Markup {
    let kept = ctx.query.without("gtin").filter(|(name, _)| *name != "page");
    let link = kept.fold(Link::to(ctx.path.clone()), |link, (name, value)| link.with(name, value));
    anchor(&link, ctx.t(t::SHOW_ALL))
}

fn table(ctx: &RequestContext, found: &DrillDown, rows: &[&Part]) -> Result<Markup, PageError> {
    let heads = [
        (t::DAY, false),
        (t::TIME, false),
        (t::OUTLET, false),
        (t::PERSON, false),
        (t::PRODUCT_COLUMN, false),
        (t::PRESENT, false),
        (t::FACINGS, true),
        (t::COUNTED_UNITS, true),
    ];
    Ok(html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody {
                @for part in rows { (row(ctx, found, part, heads.len())?) }
                @if rows.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
    })
}

fn row(ctx: &RequestContext, found: &DrillDown, part: &Part, columns: usize) -> Result<Markup, PageError> {
    let (Some(outlet), Ok(gtin)) = (part.adds.outlet, Gtin::new(part.adds.dimension.0)) else {
        return Ok(html! {});
    };
    if !ctx.may_see_event(outlet, part.adds.day, part.adds.person) {
        return Ok(html! { tr { td.muted colspan=(columns) { (ctx.t(t::OUTSIDE_SCOPE)) } } });
    }
    let record = found.record(part);
    let visit = match record.key.kind {
        kind if kind == StockCount::SPEC.kind => StockCount::read(record).visit,
        _ => ShelfObservation::read(record).visit,
    };
    let figures = ProductFigures::from(part.adds.measures);
    let at = Header::read(record)
        .map(|header| format::time_at(ctx, header.captured_at_ms, Some(outlet), Some(part.adds.day)));
    let time = at.as_deref().unwrap_or("–");
    Ok(html! {
        tr {
            td.nowrap { (part.adds.day) }
            td.nowrap { @match visit { Some(visit) => (anchor(&Link::to(format!("/visit/{visit}")), time)), None => (time) } }
            td { (ctx.link(FigureScope::Outlet(outlet), None)) }
            td { @if let Some(person) = part.adds.person { (ctx.link(FigureScope::Person(person), None)) } }
            td { (ctx.product(gtin)?) }
            td {
                @if figures.audited > 0 {
                    @if figures.absent > 0 {
                        span.tag.bad { (ctx.t(t::ABSENT)) }
                        @if figures.backroom_only > 0 { " " (ctx.t(t::BACKROOM_ONLY)) }
                    } @else { span.tag.good { (ctx.t(t::PRESENT)) } }
                }
            }
            td.n { @if figures.facings_category > 0 || figures.facings_own > 0 { (figures.facings_own) " / " (figures.facings_category) } }
            td.n { @if figures.counts > 0 { (format::grouped(figures.counted_units)) } }
        }
    })
}
