//! The devices behind the completeness of a figure.

use super::list;
use crate::console::ask::Ask;
use crate::console::behind;
use crate::console::failure::Failure;
use crate::console::select::Whose;
use crate::console::shell::Page;
use crate::console::show;
use crate::console::texts as t;
use crate::figures::Scope;
use crate::store::Device;
use maud::{Markup, html};
use xundian_protocol::calendar::DEFAULT_ZONE;
use xundian_protocol::views::Subject;

/// The page of the devices that the figures wait for.
pub(in crate::console) fn devices(ask: &Ask) -> Result<Page, Failure> {
    let (whose, period) = (ask.whose()?, ask.period()?);
    let scope = match whose {
        Whose::Nation => Scope::Nation,
        Whose::Unit(id) | Whose::UnitOwn(id) => Scope::Unit(id),
        Whose::Unassigned => Scope::Unassigned,
        Whose::Person(id) => Scope::Person(id),
        Whose::Outlet(_) => return Err(Failure::BadRequest(t::BAD_QUERY)),
    };
    let mut devices = ask.server.devices().map_err(Failure::broken)?;
    devices.retain(|device| {
        device.is_waited_for() && scope.covers(&ask.directory, Subject::Person(device.person), ask.today())
    });
    devices.sort_by_key(|device| (device.captured_through_ms, device.no));
    let end_ms = period.to.next().start_ms(DEFAULT_ZONE).unwrap_or(i64::MAX);
    let is_complete = |device: &Device| device.captured_through_ms.is_some_and(|through| through >= end_ms);
    let complete = devices.iter().filter(|device| is_complete(device)).count();
    let (shown, pager) = list::page_of(ask, &devices)?;
    let name = ask.name(whose);
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
        h1 { (name) " · " (ask.t(t::DATA)) }
        p.count { b { (complete) "/" (devices.len()) } " " (ask.t(t::DEVICES)) }
        div.scroll { table {
            (list::heads(ask, &heads))
            tbody {
                @for device in shown { (row(ask, device, is_complete(device))) }
                @if devices.is_empty() { (list::nothing(ask, heads.len())) }
            }
        } }
        (pager)
    };
    let crumbs = behind::crumbs(ask, whose, period, ask.t(t::DATA));
    Ok(Page { title: format!("{name} · {}", ask.t(t::DATA)), crumbs, period: Some(period), body })
}

fn row(ask: &Ask, device: &Device, is_complete: bool) -> Markup {
    let at = |ms: Option<i64>| ms.map_or_else(|| "–".into(), |ms| show::time_at(ask, ms, None, None));
    html! {
        tr {
            td.nowrap { (device.no) @if !device.label.is_empty() { " " (device.label) } }
            td { (ask.link(Whose::Person(device.person), None)) }
            td { span.tag .good[is_complete] { (ask.t(if is_complete { t::COMPLETE } else { t::WAITING })) } }
            td.nowrap { (at(device.captured_through_ms)) }
            td.nowrap { (at(device.last_sync_ms)) }
            td.n { (device.clock_offset_ms.map_or_else(|| "–".into(), |ms| format!("{} ms", show::number(ms)))) }
            td { (device.app) }
        }
    }
}
