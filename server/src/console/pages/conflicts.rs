//! The open conflicts of an outlet: concurrent writes by two people. They are settled on a device.

use crate::console::error::PageError;
use crate::console::format;
use crate::console::link::Link;
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use maud::{Markup, html};
use std::cmp::Reverse;
use xundian_protocol::ids::OutletId;
use xundian_protocol::kinds::format::field_label;
use xundian_protocol::kinds::{self, Conflict, Entity as _, FieldSpec, Side, Visit};
use xundian_protocol::record::{Home, RecordKey};

/// The most conflicts shown, the latest first.
const SHOWN_MAX: usize = 50;

/// The section of an outlet's page; empty if no conflict is open.
pub(super) fn open_of(ctx: &RequestContext, outlet: OutletId) -> Result<Markup, PageError> {
    let records =
        ctx.server.records_of_home(Home::Outlet(outlet), Conflict::SPEC.kind).map_err(PageError::internal)?;
    let mut open: Vec<Conflict> = records.iter().map(Conflict::read).collect();
    open.retain(|conflict| conflict.settlement().is_none());
    open.sort_by_key(|conflict| Reverse(conflict.found_at_ms));
    if open.is_empty() {
        return Ok(html! {});
    }
    let heads = [
        (t::RECORD, false),
        (t::FIELD, false),
        (t::VALUE_KEPT, false),
        (t::VALUE_LOST, false),
        (t::FOUND, false),
    ];
    let rows: Vec<Markup> =
        open.iter().take(SHOWN_MAX).map(|conflict| row(ctx, conflict, outlet)).collect::<Result<_, _>>()?;
    Ok(html! {
        h2 { (ctx.t(t::CONFLICTS)) " " small { (format::grouped(i64::try_from(open.len()).unwrap_or(i64::MAX))) } }
        p.muted { (ctx.t(t::CONFLICTS_NOTE)) }
        div.scroll { table { (super::list::heads(ctx, &heads)) tbody { @for row in &rows { (row) } } } }
    })
}

fn row(ctx: &RequestContext, conflict: &Conflict, outlet: OutletId) -> Result<Markup, PageError> {
    // A conflict written by a newer server may be unreadable for this version; it is skipped.
    let (Some((about, at)), Some(kept), Some(lost)) =
        (conflict.about(), conflict.kept_side(), conflict.lost_side())
    else {
        return Ok(html! {});
    };
    let spec = kinds::spec(about.kind);
    let field = spec.and_then(|spec| spec.field(at.tag));
    let label = field_label(field, at.tag);
    let line = format::line(ctx, field, &at.key);
    Ok(html! {
        tr {
            td { @match spec { Some(spec) => (ctx.t(spec.label)), None => (about.kind.0) } (visit_link(ctx, about)?) }
            td { (ctx.of(&label)) @if let Some(line) = line { " " span.muted { (line) } } }
            td { (side(ctx, field, &kept, outlet)) }
            td { (side(ctx, field, &lost, outlet)) }
            td.nowrap { @if let Some(at_ms) = conflict.found_at_ms { (format::time_at(ctx, at_ms, Some(outlet), None)) } }
        }
    })
}

/// A link to the visit in which the record was made, if any: records of a visit share its id.
fn visit_link(ctx: &RequestContext, about: RecordKey) -> Result<Markup, PageError> {
    let visit = ctx.record(Visit::key(about.id))?;
    let link = || anchor(&Link::to(format!("/visit/{}", about.id)), ctx.t(t::VISIT));
    Ok(html! { @if visit.is_some() { " " (link()) } })
}

fn side(ctx: &RequestContext, field: Option<&FieldSpec>, side: &Side, outlet: OutletId) -> Markup {
    let value = format::value(ctx, field, &side.held.value, Some(outlet));
    html! {
        (value) br;
        small.muted {
            @match &side.name { Some(name) => (name), None => (ctx.t(t::HEADQUARTERS)) }
            " · " (format::time_at(ctx, side.at_ms, Some(outlet), None))
        }
    }
}
