//! The lines behind the figures of products: what was looked for and counted, outlet by outlet.

use super::{list, products};
use crate::console::ask::{Ask, anchor};
use crate::console::behind::{self, Behind, Part};
use crate::console::failure::Failure;
use crate::console::select::{Link, Whose};
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::kinds::{Gtin, Header, ShelfObservation, StockCount, Typed as _};
use xundian_protocol::views::{ProductFigures, View};

/// The page of shelf lines or counts, of one product or of all.
pub(in crate::console) fn shelf(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    // All but the stock, which has a page of its own.
    let choices = &products::WHAT[..products::WHAT.len() - 1];
    let (what, label) = list::choice(ask, "what", choices)?;
    let gtin = gtin_of(ask)?;
    let kinds = [ShelfObservation::SPEC.kind, StockCount::SPEC.kind];
    let found = Behind::of(ask, View::Products, &kinds, whose, period)?;
    let measure =
        |part: &Part| products::measure(&ProductFigures::from(part.adds.measures), what).unwrap_or(0);
    let of_product = |part: &&Part| gtin.is_none_or(|gtin| gtin.number() == part.adds.dimension.0);
    let mut rows: Vec<&Part> =
        found.parts.iter().filter(of_product).filter(|part| counts(part, what)).collect();
    rows.sort_by_cached_key(|part| (std::cmp::Reverse(part.adds.day), part.adds.outlet, part.adds.dimension));
    let sum = rows.iter().map(|part| measure(part)).sum();
    let (shown, pager) = list::page_of(ask, &rows)?;
    let name = ask.name(whose);
    let is_units = what == "counted";
    let unit = if is_units { t::UNITS_UNIT } else { t::ROWS };
    let body = html! {
        (list::head(ask, &name, label, sum, unit))
        @if is_units { p.small { (rows.len()) " " (ask.t(t::ROWS)) } }
        @if let Some(gtin) = gtin { p { (ask.product(gtin)?) " " (all_products(ask)) } }
        (list::tabs(ask, "what", choices, what))
        (table(ask, &found, shown)?)
        (pager)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::SHELF));
    Ok(Page { title: format!("{name} · {}", ask.t(label)), crumbs, period: Some(period), body })
}

/// The product that the query asks for.
pub(super) fn gtin_of(ask: &Ask) -> Result<Option<Gtin>, Failure> {
    let gtin = ask.query.get("gtin").map(str::parse).transpose();
    gtin.map_err(|_| Failure::BadRequest(t::BAD_QUERY))
}

/// Whether a line belongs to a list. A count of no units is a count all the same.
fn counts(part: &Part, what: &str) -> bool {
    let figures = ProductFigures::from(part.adds.measures);
    match what {
        "counted" => figures.counts != 0,
        "facings" => figures.facings_own != 0 || figures.facings_category != 0,
        _ => products::measure(&figures, what).unwrap_or(0) != 0,
    }
}

fn all_products(ask: &Ask) -> Markup {
    let kept = ask.query.without("gtin").filter(|(name, _)| *name != "page");
    let link = kept.fold(Link::to(ask.path.clone()), |link, (name, value)| link.with(name, value));
    anchor(&link, ask.t(t::SHOW_ALL))
}

fn table(ask: &Ask, found: &Behind, rows: &[&Part]) -> Result<Markup, Failure> {
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
            (list::heads(ask, &heads))
            tbody {
                @for part in rows { (row(ask, found, part, heads.len())?) }
                @if rows.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
    })
}

fn row(ask: &Ask, found: &Behind, part: &Part, columns: usize) -> Result<Markup, Failure> {
    let (Some(outlet), Ok(gtin)) = (part.adds.outlet, Gtin::new(part.adds.dimension.0)) else {
        return Ok(html! {});
    };
    if !ask.may_see_event(outlet, part.adds.day, part.adds.person) {
        return Ok(html! { tr { td.muted colspan=(columns) { (ask.t(t::OUTSIDE_SCOPE)) } } });
    }
    let record = found.record(part);
    let visit = match record.key.kind {
        kind if kind == StockCount::SPEC.kind => StockCount::read(record).visit,
        _ => ShelfObservation::read(record).visit,
    };
    let figures = ProductFigures::from(part.adds.measures);
    let at = Header::read(record)
        .map(|header| show::time_at(ask, header.captured_at_ms, Some(outlet), Some(part.adds.day)));
    let time = at.as_deref().unwrap_or("–");
    Ok(html! {
        tr {
            td.nowrap { (part.adds.day) }
            td.nowrap { @match visit { Some(visit) => (anchor(&Link::to(format!("/visit/{visit}")), time)), None => (time) } }
            td { (ask.link(Whose::Outlet(outlet), None)) }
            td { @if let Some(person) = part.adds.person { (ask.link(Whose::Person(person), None)) } }
            td { (ask.product(gtin)?) }
            td {
                @if figures.audited > 0 {
                    @if figures.absent > 0 {
                        span.tag.bad { (ask.t(t::ABSENT)) }
                        @if figures.backroom_only > 0 { " " (ask.t(t::BACKROOM_ONLY)) }
                    } @else { span.tag.good { (ask.t(t::PRESENT)) } }
                }
            }
            td.n { @if figures.facings_category > 0 || figures.facings_own > 0 { (figures.facings_own) " / " (figures.facings_category) } }
            td.n { @if figures.counts > 0 { (show::number(figures.counted_units)) } }
        }
    })
}
