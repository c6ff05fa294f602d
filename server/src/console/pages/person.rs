//! A person's days: figures, planned calls, visits, day reports, departure checks.

use super::{trend, visits};
use crate::console::drilldown::DrillDown;
use crate::console::error::PageError;
use crate::console::format;
use crate::console::kpis;
use crate::console::layout::{self, Page};
use crate::console::params::{FigureScope, Period, read_id};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::RollUp;
use maud::{Markup, html};
use xundian_protocol::figures::MeasureFamily;
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::{
    Choice as _, DayReport, DepartureCheck, Entity, Header, KindSpec, RoutePlan, Visit, header,
};
use xundian_protocol::record::{Home, Record};

/// The page of the person in the path.
pub(in crate::console) fn person(ctx: &RequestContext) -> Result<Page, PageError> {
    let id = ctx.id.as_deref().ok_or(PageError::NotFound)?;
    of(ctx, read_id(id)?)
}

/// The page of a person.
pub(super) fn of(ctx: &RequestContext, person: PersonId) -> Result<Page, PageError> {
    let scope = ctx.allowed(FigureScope::Person(person))?;
    let period = ctx.period()?;
    let figures =
        ctx.server.figures(RollUp::Person(person), period.from, period.to).map_err(PageError::internal)?;
    let found =
        DrillDown::of(ctx, MeasureFamily::Visits, &[Visit::SPEC.kind, RoutePlan::SPEC.kind], scope, period)?;
    let name = ctx.name(scope);
    let reports = of_days(ctx, person, &DayReport::SPEC, period)?;
    let checks = of_days(ctx, person, &DepartureCheck::SPEC, period)?;
    let body = html! {
        h1 { (name) (position(ctx, person)) }
        (kpis::completeness(ctx, scope, period, &figures))
        (kpis::cards(ctx, scope, period, &figures))
        h2 { (ctx.t(t::PLANNED_CALLS)) }
        (visits::calls_of(ctx, &found, scope))
        h2 { (ctx.t(t::VISIT_LIST)) }
        (visits::visits_of(ctx, &found, scope))
        div.columns {
            section { h2 { (ctx.t(t::DEPARTURE_CHECK)) } (records(ctx, &checks, &DepartureCheck::SPEC)) }
            section { h2 { (ctx.t(t::DAY_REPORT)) } (records(ctx, &reports, &DayReport::SPEC)) }
        }
        (trend::fortnight(ctx, scope, RollUp::Person(person), period.to)?)
    };
    Ok(Page { title: name, crumbs: layout::crumbs(ctx, scope, Some(period)), period: Some(period), body })
}

fn position(ctx: &RequestContext, person: PersonId) -> Markup {
    let code = ctx.directory.person(person).map_or("", |entry| entry.code.as_str());
    html! {
        " " small {
            @if let Some((_, entry)) = ctx.directory.last_known_position(person, ctx.today()) {
                (entry.title) " · "
                @if entry.title != ctx.t(entry.role.label()) { (ctx.t(entry.role.label())) " · " }
                 (ctx.link(FigureScope::Unit(entry.unit), None)) " "
            } @else { (ctx.t(t::VACANT)) " " }
            span.code { (code) }
        }
    }
}

/// A person's own records of some days, the newest first.
fn of_days(
    ctx: &RequestContext,
    person: PersonId,
    spec: &KindSpec,
    period: Period,
) -> Result<Vec<Record>, PageError> {
    let mut records =
        ctx.server.records_of_home(Home::Person(person), spec.kind).map_err(PageError::internal)?;
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

fn records(ctx: &RequestContext, records: &[Record], spec: &KindSpec) -> Markup {
    html! {
        @for record in records {
            dl.record {
                @if let Some(header) = Header::read(record) {
                    div { dt { (ctx.t(t::TIME)) } dd { (format::time_at(ctx, header.captured_at_ms, None, None)) } }
                }
                @if spec.kind == DepartureCheck::SPEC.kind { (verdict(ctx, &DepartureCheck::read(record))) }
                (fields(ctx, record, spec))
            }
        }
        @if records.is_empty() { p.empty { (ctx.t(t::NOTHING)) } }
    }
}

fn verdict(ctx: &RequestContext, check: &DepartureCheck) -> Markup {
    let passes = check.passes();
    html! {
        div {
            dt { (ctx.t(t::STATE)) }
            dd { span.tag .good[passes] .bad[!passes] { (ctx.t(if passes { t::PASSES } else { t::FAILS })) } }
        }
    }
}

/// The single fields of a record with their labels, as its kind declares them.
pub(super) fn fields(ctx: &RequestContext, record: &Record, spec: &KindSpec) -> Markup {
    let outlet = if let Home::Outlet(outlet) = record.home { Some(outlet) } else { None };
    html! {
        @for field in spec.fields {
            @if let Some(value) = record.value(field.tag) {
                div { dt { (ctx.t(field.label)) } dd { (format::value(ctx, Some(field), value, outlet)) } }
            }
        }
    }
}
