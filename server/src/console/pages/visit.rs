//! A visit with everything that was recorded during it.

use super::{issues, list, photos, visits};
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::{self, Page};
use crate::console::link::Link;
use crate::console::params::{FigureScope, Period, read_id};
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::FieldValue as _;
use xundian_protocol::kinds::{
    Entity, Gtin, Header, Issue, ShelfObservation, StockCount, StockMovement, Visit, header,
};
use xundian_protocol::record::{Home, Record};

const NOTE: u16 = Visit::SPEC.tag_of("note");
const OPENED_AT: u16 = Visit::SPEC.tag_of("opened_at_ms");
const CLOSED_AT: u16 = Visit::SPEC.tag_of("closed_at_ms");
const ABORTED_AT: u16 = Visit::SPEC.tag_of("aborted_at_ms");
const ABORT_REASON: u16 = Visit::SPEC.tag_of("abort_reason");
const TIME_IN_STORE: u16 = Visit::SPEC.tag_of("time_in_store_ms");
const CHANNEL: u16 = Visit::SPEC.tag_of("channel");
const PLAN: u16 = Visit::SPEC.tag_of("plan");
const POSITION_GRADE: u16 = Visit::SPEC.tag_of("position_grade");
const ACCURACY: u16 = Visit::SPEC.tag_of("accuracy_m");
const DISTANCE: u16 = Visit::SPEC.tag_of("distance_m");

/// The page of the visit in the path.
pub(in crate::console) fn visit(ctx: &RequestContext) -> Result<Page, PageError> {
    let id: VisitId = read_id(ctx.id.as_deref().ok_or(PageError::NotFound)?)?;
    // For users who do not see the nation, a missing visit looks like one outside their scope.
    let missing = || if ctx.visibility.is_nation() { PageError::NotFound } else { PageError::Denied };
    let record = ctx.record(Visit::key(id.0))?.ok_or_else(missing)?;
    let (Home::Outlet(outlet), Some(header)) = (record.home, Header::read(&record)) else {
        return Err(missing());
    };
    if !ctx.may_see_event(outlet, header.business_day, Some(header.actor)) {
        return Err(PageError::Denied);
    }
    let form = Visit::read(&record);
    let raised = issues_of(ctx, id, outlet)?;
    let name = format!("{} · {}", ctx.name(FigureScope::Outlet(outlet)), header.business_day);
    let body = html! {
        h1 { (name) " " (visits::state(ctx, &form)) }
        (corrections(ctx, &record, &header))
        div.columns {
            section { h2 { (ctx.t(t::VISIT)) } (facts(ctx, &form, &header, outlet)) }
            section {
                h2 { (ctx.t(t::POSITION)) } (position(ctx, &form))
                h2 { (ctx.t(t::TASKS)) } (tasks(ctx, &form))
            }
        }
        @if let Some(note) = &form.note { h2 { (label(ctx, NOTE)) } p.note { (note) } }
        @if let Some(photos) = photos::of_visit(ctx, id, outlet, &raised)? { (photos) }
        (parts(ctx, id, outlet)?)
        h2 { (ctx.t(t::ISSUES)) }
        (issues::table(ctx, &raised, header.business_day))
    };
    let day = Some(Period::day(header.business_day));
    let mut crumbs = layout::crumbs(ctx, FigureScope::Outlet(outlet), day);
    if let Some(last) = crumbs.last_mut() {
        *last = ctx.link(FigureScope::Outlet(outlet), None);
    }
    crumbs.push(html! { (ctx.t(t::VISIT)) });
    Ok(Page { title: name, crumbs, period: None, body })
}

fn label(ctx: &RequestContext, tag: u16) -> &'static str {
    Visit::SPEC.field(tag).map_or("", |field| ctx.t(field.label))
}

fn line(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn corrected_by(record: &Record) -> Option<RecordId> {
    record.value(header::CORRECTED_BY).and_then(RecordId::from_value)
}

fn corrections(ctx: &RequestContext, record: &Record, header: &Header) -> Markup {
    let visit = |id: RecordId| anchor(&Link::to(format!("/visit/{id}")), &id.to_string());
    html! {
        @if let Some(later) = corrected_by(record) {
            p.warning { (ctx.t(t::NOT_COUNTED)) " " (ctx.t(t::CORRECTED_BY)) " " (visit(later)) }
        }
        @if let Some(earlier) = header.corrects { p.small { (ctx.t(t::CORRECTS)) " " (visit(earlier)) } }
    }
}

fn facts(ctx: &RequestContext, form: &Visit, header: &Header, outlet: OutletId) -> Markup {
    let day = Some(header.business_day);
    let time = |ms| html! { (format::time_at(ctx, ms, Some(outlet), day)) };
    let grade = header.clock_grade;
    let trusted = grade == xundian_protocol::kinds::ClockGrade::Trusted;
    html! {
        dl.record {
            (line(ctx.t(t::OUTLET), ctx.link(FigureScope::Outlet(outlet), None)))
            (line(label(ctx, header::ACTOR), ctx.link(FigureScope::Person(header.actor), day.map(Period::day))))
            (line(label(ctx, header::BUSINESS_DAY), html! { (header.business_day) }))
            @if let Some(ms) = form.opened_at_ms { (line(label(ctx, OPENED_AT), time(ms))) }
            @if let Some(ms) = form.closed_at_ms { (line(label(ctx, CLOSED_AT), time(ms))) }
            @if let Some(ms) = form.aborted_at_ms { (line(label(ctx, ABORTED_AT), time(ms))) }
            @if form.abort_reason.is_some() { (line(label(ctx, ABORT_REASON), html! { (format::choice(ctx.lang, form.abort_reason)) })) }
            @if let Some(ms) = form.time_in_store_ms { (line(label(ctx, TIME_IN_STORE), html! { (format::duration(ms)) })) }
            (line(label(ctx, CHANNEL), html! { (format::choice(ctx.lang, form.channel)) }))
            (line(label(ctx, PLAN), html! { (ctx.t(if form.plan.is_some() { t::PLANNED } else { t::UNPLANNED })) }))
            (line(label(ctx, header::CLOCK_GRADE), html! { span .warn[!trusted] { (format::choice(ctx.lang, Some(grade))) } }))
        }
    }
}

fn position(ctx: &RequestContext, form: &Visit) -> Markup {
    let measured = form.position_grade == Some(xundian_protocol::kinds::FixGrade::Measured);
    html! {
        dl.record {
            (line(label(ctx, POSITION_GRADE), html! { span .warn[!measured] { (format::choice(ctx.lang, form.position_grade)) } }))
            @if let (Some(latitude), Some(longitude)) = (form.latitude_e7, form.longitude_e7) {
                (line("WGS-84", html! { (format::degrees(latitude)) ", " (format::degrees(longitude)) }))
            }
            @if let Some(metres) = form.accuracy_m { (line(label(ctx, ACCURACY), html! { "± " (format::grouped(metres)) " m" })) }
            @if let Some(metres) = form.distance_m { (line(label(ctx, DISTANCE), html! { (format::grouped(metres)) " m" })) }
        }
    }
}

fn tasks(ctx: &RequestContext, form: &Visit) -> Markup {
    html! {
        @if form.task_answers.is_empty() { p.empty { (ctx.t(t::NOTHING)) } }
        @else {
            dl.record {
                @for (task, answer) in &form.task_answers {
                    (line(task, html! { span.tag .good[*answer] .bad[!*answer] { (format::yes_no(ctx.lang, *answer)) } }))
                }
            }
        }
    }
}

/// Records of an outlet that belong to the visit and were not corrected.
fn of_visit<K: Entity>(
    ctx: &RequestContext,
    outlet: OutletId,
    is: impl Fn(&K) -> bool,
) -> Result<Vec<(Record, K)>, PageError> {
    let records =
        ctx.server.records_of_home(Home::Outlet(outlet), K::SPEC.kind).map_err(PageError::internal)?;
    let forms = records.into_iter().map(|record| {
        let form = K::read(&record);
        (record, form)
    });
    let mut found: Vec<_> = forms.filter(|(_, form)| is(form)).collect();
    found.sort_by_key(|(record, _)| (header::is_corrected(record), record.key));
    Ok(found)
}

/// Shelf, counts and movements.
fn parts(ctx: &RequestContext, id: VisitId, outlet: OutletId) -> Result<Markup, PageError> {
    let shelves = of_visit(ctx, outlet, |form: &ShelfObservation| form.visit == Some(id))?;
    let counts = of_visit(ctx, outlet, |form: &StockCount| form.visit == Some(id))?;
    let movements = of_visit(ctx, outlet, |form: &StockMovement| form.visit == Some(id))?;
    let mark = |record: &Record| html! { @if header::is_corrected(record) { " " span.tag.bad { (ctx.t(t::CORRECTED)) } } };
    Ok(html! {
        @for (record, form) in &shelves { h2 { (ctx.t(t::SHELF_LINES)) (mark(record)) } (shelf(ctx, form)?) }
        @if shelves.is_empty() { h2 { (ctx.t(t::SHELF_LINES)) } p.empty { (ctx.t(t::NOTHING)) } }
        @for (record, form) in &counts { h2 { (ctx.t(t::STOCK_COUNTS)) (mark(record)) } (count(ctx, form)?) }
        @if counts.is_empty() { h2 { (ctx.t(t::STOCK_COUNTS)) } p.empty { (ctx.t(t::NOTHING)) } }
        @if !movements.is_empty() {
            h2 { (ctx.t(t::STOCK_MOVEMENTS)) }
            div.scroll { table {
                (list::heads(ctx, &[(t::CAUSE, false), (t::PRODUCT_COLUMN, false), (t::UNITS, true)]))
                tbody { @for (record, form) in &movements { (movement(ctx, record, form)?) } }
            } }
        }
    })
}

fn shelf(ctx: &RequestContext, form: &ShelfObservation) -> Result<Markup, PageError> {
    let heads = [(t::PRODUCT_COLUMN, false), (t::PRESENT, false), (t::FACINGS, true), (t::PRICE, true)];
    let products: BTreeSet<Gtin> =
        form.present.keys().chain(form.facings_own.keys()).chain(form.price_minor.keys()).copied().collect();
    let number = |of: &BTreeMap<Gtin, i64>, gtin: &Gtin| {
        of.get(gtin).map_or_else(|| "–".into(), |n| format::grouped(*n))
    };
    Ok(html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody { @for gtin in &products { tr {
                td { (ctx.product(*gtin)?) }
                td {
                    @match form.present.get(gtin) {
                        Some(true) => span.tag.good { (ctx.t(t::PRESENT)) },
                        Some(false) => {
                            span.tag.bad { (ctx.t(t::ABSENT)) }
                            @if form.in_backroom.get(gtin) == Some(&true) { " " (ctx.t(t::BACKROOM_ONLY)) }
                        },
                        None => "–",
                    }
                }
                td.n { (number(&form.facings_own, gtin)) " / " (number(&form.facings_category, gtin)) }
                td.n { (form.price_minor.get(gtin).map_or_else(|| "–".into(), |minor| format::money(*minor))) }
            } } }
        } }
    })
}

fn count(ctx: &RequestContext, form: &StockCount) -> Result<Markup, PageError> {
    let places = [&form.shelf_units, &form.stack_units, &form.backroom_units];
    let heads = [
        (t::PRODUCT_COLUMN, false),
        (t::LOCATION_SHELF, true),
        (t::LOCATION_STACK, true),
        (t::LOCATION_BACKROOM, true),
        (t::TOTAL, true),
        (t::LOTS, false),
    ];
    let products: BTreeSet<Gtin> = places.iter().flat_map(|place| place.keys().copied()).collect();
    Ok(html! {
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody { @for gtin in &products { tr {
                td { (ctx.product(*gtin)?) }
                @for place in places { td.n { (place.get(gtin).map_or_else(|| "–".into(), |units| format::grouped(*units))) } }
                td.n { b { (format::grouped(places.iter().filter_map(|place| place.get(gtin)).sum())) } }
                td { (lots(form, *gtin)) }
            } } }
        } }
    })
}

fn lots(form: &StockCount, gtin: Gtin) -> Markup {
    let of_product = form.lot_units.iter().filter(|((product, _), _)| *product == gtin);
    html! {
        @for ((product, lot), units) in of_product {
            span.lot {
                (lot) " × " (format::grouped(*units))
                @if let Some(expires) = form.lot_expires_on.get(&(*product, lot.clone())) { " → " (expires) }
            } " "
        }
    }
}

fn movement(ctx: &RequestContext, record: &Record, form: &StockMovement) -> Result<Markup, PageError> {
    let corrected = header::is_corrected(record);
    Ok(html! {
        @for (gtin, units) in &form.units {
            tr {
                td { (format::choice(ctx.lang, form.cause)) @if corrected { " " span.tag.bad { (ctx.t(t::CORRECTED)) } } }
                td { (ctx.product(*gtin)?) }
                td.n { @if *units > 0 { "+" } (format::grouped(*units)) }
            }
        }
    })
}

fn issues_of(ctx: &RequestContext, id: VisitId, outlet: OutletId) -> Result<Vec<Record>, PageError> {
    let found = of_visit(ctx, outlet, |form: &Issue| form.visit == Some(id))?;
    Ok(found.into_iter().map(|(record, _)| record).collect())
}
