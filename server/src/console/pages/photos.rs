//! The photos of a visit and of the issues raised during it.

use crate::console::error::PageError;
use crate::console::format;
use crate::console::link::Link;
use crate::console::request_context::{RequestContext, anchor};
use crate::console::texts as t;
use crate::store::Preview;
use maud::{Markup, html};
use std::collections::BTreeSet;
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{
    ClockGrade, Entity as _, FixGrade, Header, Label, MediaType, Outlet, Photo, PhotoSource, header,
};
use xundian_protocol::record::{Home, Record};

/// The distance from an outlet without its own fence beyond which the page marks a photo.
const FAR_M: i64 = 300;

/// A photo on the page.
struct Shown {
    id: RecordId,
    header: Header,
    form: Photo,
    corrected: bool,
    /// `None` while the picture has not arrived.
    preview: Option<Preview>,
}

/// The photos of a visit that were not corrected; `None` if there are none.
pub(super) fn of_visit(
    ctx: &RequestContext,
    visit: VisitId,
    outlet: OutletId,
    issues: &[Record],
) -> Result<Option<Markup>, PageError> {
    let issues: BTreeSet<RecordId> = issues.iter().map(|record| record.key.id).collect();
    let is_of = |photo: &Photo| {
        photo.visit == Some(visit) || photo.issue.is_some_and(|issue| issues.contains(&issue))
    };
    let records =
        ctx.server.records_of_home(Home::Outlet(outlet), Photo::SPEC.kind).map_err(PageError::internal)?;
    let mut shown = Vec::new();
    for record in &records {
        let form = Photo::read(record);
        let Some(header) = Header::read(record).filter(|_| is_of(&form)) else { continue };
        if !ctx.may_see_event(outlet, header.business_day, Some(header.actor)) {
            continue;
        }
        let stored = form.content_hash.map(|hash| ctx.photos.stored(hash)).transpose();
        let preview = stored.map_err(PageError::internal)?.flatten().map(|picture| picture.preview);
        let corrected = header::is_corrected(record);
        shown.push(Shown { id: record.key.id, header, form, corrected, preview });
    }
    if shown.is_empty() {
        return Ok(None);
    }
    shown.sort_by_key(|photo| (photo.corrected, photo.form.taken_at_ms, photo.id));
    let fence_m = ctx.record(Outlet::key(outlet.0))?.and_then(|record| Outlet::read(&record).geofence_m);
    Ok(Some(html! {
        h2 { (ctx.t(t::PHOTOS)) small { (shown.len()) } }
        div.photos { @for photo in &shown { (figure(ctx, photo, outlet, fence_m.unwrap_or(FAR_M))) } }
    }))
}

fn figure(ctx: &RequestContext, photo: &Shown, outlet: OutletId, fence_m: i64) -> Markup {
    let Shown { header, form, corrected, .. } = photo;
    let taken = form.taken_at_ms.unwrap_or(header.captured_at_ms);
    let doubts = doubts(form, header, fence_m);
    html! {
        figure.photo .corrected[*corrected] {
            (picture(ctx, photo))
            figcaption {
                b { (format::choice(ctx.lang, form.subject)) }
                @if form.issue.is_some() { " " span.tag { (ctx.t(t::ISSUES)) } }
                @if *corrected { " " span.tag.bad { (ctx.t(t::CORRECTED)) } }
                div.small {
                    (format::time_at(ctx, taken, Some(outlet), Some(header.business_day)))
                    " · " (format::choice(ctx.lang, form.source))
                    @if let Some(metres) = form.distance_m { " · " (ctx.t(t::DISTANCE)) " " (format::grouped(metres)) " m" }
                }
                @if !doubts.is_empty() {
                    div.doubts { @for doubt in &doubts { span.tag.bad { (ctx.t(*doubt)) } " " } }
                }
                @if let Some(position) = position(form) { div.small.code { (position) } }
                @if let Some(note) = &form.note { p { (note) } }
                @if let Some(earlier) = header.corrects {
                    div.small { (ctx.t(t::CORRECTS)) " " (earlier) }
                }
            }
        }
    }
}

/// The thumbnail, or its placeholder.
fn picture(ctx: &RequestContext, photo: &Shown) -> Markup {
    let link = Link::to(format!("/photo/{}", photo.id));
    let label = ctx.t(photo.form.subject.map_or(t::PHOTOS, xundian_protocol::kinds::Choice::label));
    let is_decoded = photo.form.media_type != Some(MediaType::Heic);
    html! {
        @match photo.preview {
            None => div.frame.waiting { (ctx.t(t::PICTURE_WAITING)) },
            Some(Preview::Untried | Preview::Made) if is_decoded => {
                a.frame href=(link) {
                    img src={ (link) "/preview" } alt=(label) loading="lazy";
                }
            }
            Some(_) => div.frame.waiting { (anchor(&link, &format_and_size(ctx, &photo.form))) },
        }
    }
}

fn format_and_size(ctx: &RequestContext, form: &Photo) -> String {
    let kibibytes = (form.size_bytes.unwrap_or(0).max(0) + 1023) / 1024;
    format!("{} · {} KiB", format::choice(ctx.lang, form.media_type), format::grouped(kibibytes))
}

/// What weakens a photo as evidence.
fn doubts(form: &Photo, header: &Header, fence_m: i64) -> Vec<Label> {
    let mut doubts = Vec::new();
    if form.source == Some(PhotoSource::Chosen) {
        doubts.push(t::DOUBT_CHOSEN);
    }
    match form.position_grade {
        Some(FixGrade::Measured) => {}
        Some(FixGrade::Mocked) => doubts.push(t::DOUBT_MOCKED),
        Some(FixGrade::Missing) | None => doubts.push(t::DOUBT_NO_POSITION),
    }
    // The device's own inaccuracy counts in the person's favour.
    if form.distance_m.is_some_and(|metres| metres - form.accuracy_m.unwrap_or(0) > fence_m) {
        doubts.push(t::DOUBT_FAR);
    }
    if header.clock_grade != ClockGrade::Trusted {
        doubts.push(t::DOUBT_CLOCK);
    }
    doubts
}

fn position(form: &Photo) -> Option<String> {
    let (latitude, longitude) = form.latitude_e7.zip(form.longitude_e7)?;
    let accuracy =
        form.accuracy_m.map_or_else(String::new, |metres| format!(" ± {} m", format::grouped(metres)));
    Some(format!("{}, {}{accuracy}", format::degrees(latitude), format::degrees(longitude)))
}
