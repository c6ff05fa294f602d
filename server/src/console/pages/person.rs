//! A person's days: figures, planned calls, visits, day reports, departure checks.

use super::{trend, visits};
use crate::console::ask::Ask;
use crate::console::behind::Behind;
use crate::console::failure::Failure;
use crate::console::metrics;
use crate::console::select::{Period, Whose, read_id};
use crate::console::shell::{self, Page};
use crate::console::show;
use crate::console::texts as t;
use crate::figures::Scope;
use maud::{Markup, html};
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::{
    Choice as _, DayReport, DepartureCheck, Header, KindSpec, RoutePlan, Typed, Visit, header,
};
use xundian_protocol::record::{Home, Record};
use xundian_protocol::views::View;

/// The page of the person in the path.
pub(in crate::console) fn person(ask: &Ask) -> Result<Page, Failure> {
    let id = ask.id.as_deref().ok_or(Failure::NotFound)?;
    of(ask, read_id(id)?)
}

/// The page of a person.
pub(super) fn of(ask: &Ask, person: PersonId) -> Result<Page, Failure> {
    let whose = ask.allowed(Whose::Person(person))?;
    let period = ask.period()?;
    let figures =
        ask.server.figures(Scope::Person(person), period.from, period.to).map_err(Failure::broken)?;
    let found = Behind::of(ask, View::Visits, &[Visit::SPEC.kind, RoutePlan::SPEC.kind], whose, period)?;
    let name = ask.name(whose);
    let reports = of_days(ask, person, &DayReport::SPEC, period)?;
    let checks = of_days(ask, person, &DepartureCheck::SPEC, period)?;
    let body = html! {
        h1 { (name) (position(ask, person)) }
        (metrics::completeness(ask, whose, period, &figures))
        (metrics::cards(ask, whose, period, &figures))
        h2 { (ask.t(t::PLANNED_CALLS)) }
        (visits::calls_of(ask, &found, whose))
        h2 { (ask.t(t::VISIT_LIST)) }
        (visits::visits_of(ask, &found, whose))
        div.columns {
            section { h2 { (ask.t(t::DEPARTURE_CHECK)) } (records(ask, &checks, &DepartureCheck::SPEC)) }
            section { h2 { (ask.t(t::DAY_REPORT)) } (records(ask, &reports, &DayReport::SPEC)) }
        }
        (trend::fortnight(ask, whose, Scope::Person(person), period.to)?)
    };
    Ok(Page { title: name, crumbs: shell::crumbs(ask, whose, Some(period)), period: Some(period), body })
}

fn position(ask: &Ask, person: PersonId) -> Markup {
    let code = ask.directory.person(person).map_or("", |entry| entry.code.as_str());
    html! {
        " " small {
            @if let Some((_, entry)) = ask.directory.placed_on(person, ask.today()) {
                (entry.title) " · "
                @if entry.title != ask.t(entry.role.label()) { (ask.t(entry.role.label())) " · " }
                 (ask.link(Whose::Unit(entry.unit), None)) " "
            } @else { (ask.t(t::VACANT)) " " }
            span.code { (code) }
        }
    }
}

/// A person's own records of some days, the newest first.
fn of_days(ask: &Ask, person: PersonId, spec: &KindSpec, period: Period) -> Result<Vec<Record>, Failure> {
    let mut records = ask.server.records_of_home(Home::Person(person), spec.kind).map_err(Failure::broken)?;
    let day = |record: &Record| {
        let reported = (spec.kind == DayReport::SPEC.kind).then(|| DayReport::read(record).day).flatten();
        reported.or_else(|| Header::read(record).map(|header| header.business_day))
    };
    records.retain(|record| {
        !header::is_corrected(record) && day(record).is_some_and(|day| period.contains(day))
    });
    records.sort_by_cached_key(|record| std::cmp::Reverse((day(record), record.key)));
    Ok(records)
}

fn records(ask: &Ask, records: &[Record], spec: &KindSpec) -> Markup {
    html! {
        @for record in records {
            dl.record {
                @if let Some(header) = Header::read(record) {
                    div { dt { (ask.t(t::TIME)) } dd { (show::time_at(ask, header.captured_at_ms, None, None)) } }
                }
                @if spec.kind == DepartureCheck::SPEC.kind { (verdict(ask, &DepartureCheck::read(record))) }
                (fields(ask, record, spec))
            }
        }
        @if records.is_empty() { p.empty { (ask.t(t::NOTHING)) } }
    }
}

fn verdict(ask: &Ask, check: &DepartureCheck) -> Markup {
    let passes = check.passes();
    html! {
        div {
            dt { (ask.t(t::STATE)) }
            dd { span.tag .good[passes] .bad[!passes] { (ask.t(if passes { t::PASSES } else { t::FAILS })) } }
        }
    }
}

/// The single fields of a record with their labels, as its kind declares them.
pub(super) fn fields(ask: &Ask, record: &Record, spec: &KindSpec) -> Markup {
    let outlet = if let Home::Outlet(outlet) = record.home { Some(outlet) } else { None };
    html! {
        @for field in spec.fields {
            @if let Some(value) = record.value(field.tag) {
                div { dt { (ask.t(field.label)) } dd { (show::value(ask, field, value, outlet)) } }
            }
        }
    }
}
