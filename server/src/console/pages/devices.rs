//! The devices behind the completeness of a figure.

use super::list;
use crate::console::drilldown;
use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::Page;
use crate::console::params::FigureScope;
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::RollUp;
use crate::store::Device;
use maud::{Markup, html};
use xundian_protocol::calendar::DEFAULT_ZONE;
use xundian_protocol::figures::Subject;

/// The page of the devices that the figures wait for.
pub(in crate::console) fn devices(ctx: &RequestContext) -> Result<Page, PageError> {
    let (scope, period) = (ctx.scope()?, ctx.period()?);
    let roll_up = match scope {
        FigureScope::Nation => RollUp::Nation,
        FigureScope::Unit(id) | FigureScope::UnitOwn(id) => RollUp::Unit(id),
        FigureScope::Unassigned => RollUp::Unassigned,
        FigureScope::Person(id) => RollUp::Person(id),
        FigureScope::Outlet(_) => return Err(PageError::BadRequest(t::BAD_QUERY)),
    };
    let mut devices = ctx.server.devices().map_err(PageError::internal)?;
    devices.retain(|device| {
        device.is_waited_for() && roll_up.covers(&ctx.directory, Subject::Person(device.person), ctx.today())
    });
    devices.sort_by_key(|device| (device.captured_through_ms, device.no));
    let end_ms = period.to.next().start_ms(DEFAULT_ZONE).unwrap_or(i64::MAX);
    let is_complete = |device: &Device| device.captured_through_ms.is_some_and(|through| through >= end_ms);
    let complete = devices.iter().filter(|device| is_complete(device)).count();
    let (shown, pager) = list::page_of(ctx, &devices)?;
    let name = ctx.name(scope);
    let heads = [
        (t::DEVICE, false),
        (t::PERSON, false),
        (t::STATE, false),
        (t::DATA_THROUGH, false),
        (t::LAST_SYNC, false),
        (t::CLOCK_OFFSET, true),
        (t::APP, false),
    ];
    let body = html! {
        h1 { (name) " · " (ctx.t(t::DATA)) }
        p.count { b { (complete) "/" (devices.len()) } " " (ctx.t(t::DEVICES)) }
        div.scroll { table {
            (list::heads(ctx, &heads))
            tbody {
                @for device in shown { (row(ctx, device, is_complete(device))) }
                @if devices.is_empty() { (list::nothing(ctx, heads.len())) }
            }
        } }
        (pager)
    };
    let crumbs = drilldown::crumbs(ctx, scope, period, ctx.t(t::DATA));
    Ok(Page { title: format!("{name} · {}", ctx.t(t::DATA)), crumbs, period: Some(period), body })
}

fn row(ctx: &RequestContext, device: &Device, is_complete: bool) -> Markup {
    let at = |ms: Option<i64>| ms.map_or_else(|| "–".into(), |ms| format::time_at(ctx, ms, None, None));
    html! {
        tr {
            td.nowrap { (device.no) @if !device.label.is_empty() { " " (device.label) } }
            td { (ctx.link(FigureScope::Person(device.person), None)) }
            td { span.tag .good[is_complete] { (ctx.t(if is_complete { t::COMPLETE } else { t::WAITING })) } }
            td.nowrap { (at(device.captured_through_ms)) }
            td.nowrap { (at(device.last_sync_ms)) }
            td.n { (device.clock_offset_ms.map_or_else(|| "–".into(), |ms| format!("{} ms", format::grouped(ms)))) }
            td { (device.app) }
        }
    }
}
