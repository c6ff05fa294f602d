//! The open conflicts of an outlet: what two people wrote at once. They are settled on a device.

use crate::console::ask::{Ask, anchor};
use crate::console::failure::Failure;
use crate::console::select::Link;
use crate::console::show;
use crate::console::texts as t;
use maud::{Markup, html};
use std::cmp::Reverse;
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::text::{self, Names};
use xundian_protocol::kinds::{self, Conflict, FieldSpec, Held, Product, Side, Typed as _, Visit};
use xundian_protocol::record::{FieldKey, Home, RecordKey};

/// Conflicts that the page shows, the latest first.
const SHOWN_MAX: usize = 50;

/// The section of an outlet's page; nothing where no conflict is open.
pub(super) fn open_of(ask: &Ask, outlet: OutletId) -> Result<Markup, Failure> {
    let records =
        ask.server.records_of_home(Home::Outlet(outlet), Conflict::SPEC.kind).map_err(Failure::broken)?;
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
        open.iter().take(SHOWN_MAX).map(|conflict| row(ask, conflict, outlet)).collect::<Result<_, _>>()?;
    Ok(html! {
        h2 { (ask.t(t::CONFLICTS)) " " small { (show::number(i64::try_from(open.len()).unwrap_or(i64::MAX))) } }
        p.muted { (ask.t(t::CONFLICTS_NOTE)) }
        div.scroll { table { (super::list::heads(ask, &heads)) tbody { @for row in &rows { (row) } } } }
    })
}

fn row(ask: &Ask, conflict: &Conflict, outlet: OutletId) -> Result<Markup, Failure> {
    // What a newer server writes otherwise is no conflict that this version can show.
    let (Some((about, at)), Some(kept), Some(lost)) =
        (conflict.about(), conflict.kept_side(), conflict.lost_side())
    else {
        return Ok(html! {});
    };
    let spec = kinds::spec(about.kind);
    let field = spec.and_then(|spec| spec.field(at.tag));
    let label = text::field(field, at.tag);
    let line = line(ask, field, &at, &lost.held)?;
    Ok(html! {
        tr {
            td { @match spec { Some(spec) => (ask.t(spec.label)), None => (about.kind.0) } (visit_link(ask, about)?) }
            td { (ask.of(&label)) @if let Some(line) = line { " " span.muted { (line) } } }
            td { (side(ask, field, &kept, outlet)) }
            td { (side(ask, field, &lost, outlet)) }
            td.nowrap { @if let Some(at_ms) = conflict.found_at_ms { (show::time_at(ask, at_ms, Some(outlet), None)) } }
        }
    })
}

/// A link to the visit in which the record was made, if it was: what is seen in one shares its id.
fn visit_link(ask: &Ask, about: RecordKey) -> Result<Markup, Failure> {
    let visit = ask.record(Visit::key(about.id))?;
    let link = || anchor(&Link::to(format!("/visit/{}", about.id)), ask.t(t::VISIT));
    Ok(html! { @if visit.is_some() { " " (link()) } })
}

fn line(ask: &Ask, field: Option<&FieldSpec>, at: &FieldKey, held: &Held) -> Result<Option<String>, Failure> {
    let mut names = Names::new();
    for id in text::named(field, held) {
        let outlet = ask.directory.outlet(OutletId(id)).map(|entry| entry.name.clone());
        let person = || ask.directory.person(PersonId(id)).map(|entry| entry.name.clone());
        let name = match outlet.or_else(person) {
            Some(name) => Some(name),
            None => ask.record(Product::key(id))?.and_then(|record| Product::read(&record).name),
        };
        names.extend(name.map(|name| (id, name)));
    }
    Ok(text::line(field, &at.key, &names))
}

fn side(ask: &Ask, field: Option<&FieldSpec>, side: &Side, outlet: OutletId) -> Markup {
    let value = field.map_or_else(
        || ask.of(&text::value(None, &side.held.value, &Names::new())),
        |field| show::value(ask, field, &side.held.value, Some(outlet)),
    );
    html! {
        (value) br;
        small.muted {
            @match &side.name { Some(name) => (name), None => (ask.t(t::HEADQUARTERS)) }
            " · " (show::time_at(ask, side.at_ms, Some(outlet), None))
        }
    }
}
