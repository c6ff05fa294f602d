//! A visit with everything that was recorded during it.

use super::{issues, list, photos, visits};
use crate::console::ask::{Ask, anchor};
use crate::console::failure::Failure;
use crate::console::select::{Link, Period, Whose, read_id};
use crate::console::shell::{self, Page};
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::types::FieldValue as _;
use xundian_protocol::kinds::{
    Gtin, Header, Issue, ShelfObservation, StockCount, StockMovement, Typed, Visit, header,
};
use xundian_protocol::record::{Home, Record};

/// The page of the visit in the path.
pub(in crate::console) fn visit(ask: &Ask) -> Result<Page, Failure> {
    let id: VisitId = read_id(ask.id.as_deref().ok_or(Failure::NotFound)?)?;
    // To all who do not see the nation, a visit that does not exist looks like one outside their scope.
    let missing = || if ask.sight.is_nation() { Failure::NotFound } else { Failure::Denied };
    let record = ask.record(Visit::key(id.0))?.ok_or_else(missing)?;
    let (Home::Outlet(outlet), Some(header)) = (record.home, Header::read(&record)) else {
        return Err(missing());
    };
    if !ask.may_see_event(outlet, header.business_day, Some(header.actor)) {
        return Err(Failure::Denied);
    }
    let form = Visit::read(&record);
    let raised = issues_of(ask, id, outlet)?;
    let name = format!("{} · {}", ask.name(Whose::Outlet(outlet)), header.business_day);
    let body = html! {
        h1 { (name) " " (visits::state(ask, &form)) }
        (corrections(ask, &record, &header))
        div.columns {
            section { h2 { (ask.t(t::VISIT)) } (facts(ask, &form, &header, outlet)) }
            section {
                h2 { (ask.t(t::POSITION)) } (position(ask, &form))
                h2 { (ask.t(t::TASKS)) } (tasks(ask, &form))
            }
        }
        @if let Some(note) = &form.note { h2 { (spec_label(ask, 29)) } p.note { (note) } }
        @if let Some(photos) = photos::of_visit(ask, id, outlet, &raised)? { (photos) }
        (parts(ask, id, outlet)?)
        h2 { (ask.t(t::ISSUES)) }
        (issues::table(ask, &raised, header.business_day))
    };
    let day = Some(Period::day(header.business_day));
    let mut crumbs = shell::crumbs(ask, Whose::Outlet(outlet), day);
    if let Some(last) = crumbs.last_mut() {
        *last = ask.link(Whose::Outlet(outlet), None);
    }
    crumbs.push(html! { (ask.t(t::VISIT)) });
    Ok(Page { title: name, crumbs, period: None, body })
}

fn spec_label(ask: &Ask, tag: u16) -> &'static str {
    Visit::SPEC.field(tag).map_or("", |field| ask.t(field.label))
}

fn line(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn corrected_by(record: &Record) -> Option<RecordId> {
    record.value(header::CORRECTED_BY).and_then(RecordId::from_value)
}

fn corrections(ask: &Ask, record: &Record, header: &Header) -> Markup {
    let visit = |id: RecordId| anchor(&Link::to(format!("/visit/{id}")), &id.to_string());
    html! {
        @if let Some(later) = corrected_by(record) {
            p.warning { (ask.t(t::NOT_COUNTED)) " " (ask.t(t::CORRECTED_BY)) " " (visit(later)) }
        }
        @if let Some(earlier) = header.corrects { p.small { (ask.t(t::CORRECTS)) " " (visit(earlier)) } }
    }
}

fn facts(ask: &Ask, form: &Visit, header: &Header, outlet: OutletId) -> Markup {
    let day = Some(header.business_day);
    let time = |ms| html! { (show::time_at(ask, ms, Some(outlet), day)) };
    let grade = header.clock_grade;
    let label =
        |tag| header::FIELDS.iter().find(|field| field.tag == tag).map_or("", |field| ask.t(field.label));
    let trusted = grade == xundian_protocol::kinds::ClockGrade::Trusted;
    html! {
        dl.record {
            (line(ask.t(t::OUTLET), ask.link(Whose::Outlet(outlet), None)))
            (line(label(header::ACTOR), ask.link(Whose::Person(header.actor), day.map(Period::day))))
            (line(label(header::BUSINESS_DAY), html! { (header.business_day) }))
            @if let Some(ms) = form.opened_at_ms { (line(spec_label(ask, 16), time(ms))) }
            @if let Some(ms) = form.closed_at_ms { (line(spec_label(ask, 17), time(ms))) }
            @if let Some(ms) = form.aborted_at_ms { (line(spec_label(ask, 18), time(ms))) }
            @if form.abort_reason.is_some() { (line(spec_label(ask, 19), html! { (show::choice(ask.lang, form.abort_reason)) })) }
            @if let Some(ms) = form.time_in_store_ms { (line(spec_label(ask, 20), html! { (show::duration(ms)) })) }
            (line(spec_label(ask, 22), html! { (show::choice(ask.lang, form.channel)) }))
            (line(spec_label(ask, 21), html! { (ask.t(if form.plan.is_some() { t::PLANNED } else { t::UNPLANNED })) }))
            (line(label(header::CLOCK_GRADE), html! { span .warn[!trusted] { (show::choice(ask.lang, Some(grade))) } }))
        }
    }
}

fn position(ask: &Ask, form: &Visit) -> Markup {
    let measured = form.position_grade == Some(xundian_protocol::kinds::PositionGrade::Measured);
    html! {
        dl.record {
            (line(spec_label(ask, 26), html! { span .warn[!measured] { (show::choice(ask.lang, form.position_grade)) } }))
            @if let (Some(latitude), Some(longitude)) = (form.latitude_e7, form.longitude_e7) {
                (line("WGS-84", html! { (show::degrees(latitude)) ", " (show::degrees(longitude)) }))
            }
            @if let Some(metres) = form.accuracy_m { (line(spec_label(ask, 25), html! { "± " (show::number(metres)) " m" })) }
            @if let Some(metres) = form.distance_m { (line(spec_label(ask, 27), html! { (show::number(metres)) " m" })) }
        }
    }
}

fn tasks(ask: &Ask, form: &Visit) -> Markup {
    html! {
        @if form.task_answers.is_empty() { p.empty { (ask.t(t::NOTHING)) } }
        @else {
            dl.record {
                @for (task, answer) in &form.task_answers {
                    (line(task, html! { span.tag .good[*answer] .bad[!*answer] { (show::yes_no(ask.lang, *answer)) } }))
                }
            }
        }
    }
}

/// Records of an outlet that name the visit, those that stand first.
fn of_visit<K: Typed>(
    ask: &Ask,
    outlet: OutletId,
    is: impl Fn(&K) -> bool,
) -> Result<Vec<(Record, K)>, Failure> {
    let records = ask.server.records_of_home(Home::Outlet(outlet), K::SPEC.kind).map_err(Failure::broken)?;
    let forms = records.into_iter().map(|record| {
        let form = K::read(&record);
        (record, form)
    });
    let mut found: Vec<_> = forms.filter(|(_, form)| is(form)).collect();
    found.sort_by_key(|(record, _)| (header::is_corrected(record), record.key));
    Ok(found)
}

/// Shelf, counts and movements.
fn parts(ask: &Ask, id: VisitId, outlet: OutletId) -> Result<Markup, Failure> {
    let shelves = of_visit(ask, outlet, |form: &ShelfObservation| form.visit == Some(id))?;
    let counts = of_visit(ask, outlet, |form: &StockCount| form.visit == Some(id))?;
    let movements = of_visit(ask, outlet, |form: &StockMovement| form.visit == Some(id))?;
    let mark = |record: &Record| html! { @if header::is_corrected(record) { " " span.tag.bad { (ask.t(t::CORRECTED)) } } };
    Ok(html! {
        @for (record, form) in &shelves { h2 { (ask.t(t::SHELF_LINES)) (mark(record)) } (shelf(ask, form)?) }
        @if shelves.is_empty() { h2 { (ask.t(t::SHELF_LINES)) } p.empty { (ask.t(t::NOTHING)) } }
        @for (record, form) in &counts { h2 { (ask.t(t::STOCK_COUNTS)) (mark(record)) } (count(ask, form)?) }
        @if counts.is_empty() { h2 { (ask.t(t::STOCK_COUNTS)) } p.empty { (ask.t(t::NOTHING)) } }
        @if !movements.is_empty() {
            h2 { (ask.t(t::STOCK_MOVEMENTS)) }
            div.scroll { table {
                (list::heads(ask, &[(t::CAUSE, false), (t::PRODUCT_COLUMN, false), (t::UNITS, true)]))
                tbody { @for (record, form) in &movements { (movement(ask, record, form)?) } }
            } }
        }
    })
}

fn shelf(ask: &Ask, form: &ShelfObservation) -> Result<Markup, Failure> {
    let heads = [(t::PRODUCT_COLUMN, false), (t::PRESENT, false), (t::FACINGS, true), (t::PRICE, true)];
    let products: BTreeSet<Gtin> =
        form.present.keys().chain(form.facings_own.keys()).chain(form.price_minor.keys()).copied().collect();
    let number =
        |of: &BTreeMap<Gtin, i64>, gtin: &Gtin| of.get(gtin).map_or_else(|| "–".into(), |n| show::number(*n));
    Ok(html! {
        div.scroll { table {
            (list::heads(ask, &heads))
            tbody { @for gtin in &products { tr {
                td { (ask.product(*gtin)?) }
                td {
                    @match form.present.get(gtin) {
                        Some(true) => span.tag.good { (ask.t(t::PRESENT)) },
                        Some(false) => {
                            span.tag.bad { (ask.t(t::ABSENT)) }
                            @if form.in_backroom.get(gtin) == Some(&true) { " " (ask.t(t::BACKROOM_ONLY)) }
                        },
                        None => "–",
                    }
                }
                td.n { (number(&form.facings_own, gtin)) " / " (number(&form.facings_category, gtin)) }
                td.n { (form.price_minor.get(gtin).map_or_else(|| "–".into(), |minor| show::money(*minor))) }
            } } }
        } }
    })
}

fn count(ask: &Ask, form: &StockCount) -> Result<Markup, Failure> {
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
            (list::heads(ask, &heads))
            tbody { @for gtin in &products { tr {
                td { (ask.product(*gtin)?) }
                @for place in places { td.n { (place.get(gtin).map_or_else(|| "–".into(), |units| show::number(*units))) } }
                td.n { b { (show::number(places.iter().filter_map(|place| place.get(gtin)).sum())) } }
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
                (lot) " × " (show::number(*units))
                @if let Some(expires) = form.lot_expires_on.get(&(*product, lot.clone())) { " → " (expires) }
            } " "
        }
    }
}

fn movement(ask: &Ask, record: &Record, form: &StockMovement) -> Result<Markup, Failure> {
    let corrected = header::is_corrected(record);
    Ok(html! {
        @for (gtin, units) in &form.units {
            tr {
                td { (show::choice(ask.lang, form.cause)) @if corrected { " " span.tag.bad { (ask.t(t::CORRECTED)) } } }
                td { (ask.product(*gtin)?) }
                td.n { @if *units > 0 { "+" } (show::number(*units)) }
            }
        }
    })
}

fn issues_of(ask: &Ask, id: VisitId, outlet: OutletId) -> Result<Vec<Record>, Failure> {
    let found = of_visit(ask, outlet, |form: &Issue| form.visit == Some(id))?;
    Ok(found.into_iter().map(|(record, _)| record).collect())
}
