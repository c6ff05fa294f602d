//! A photo's picture and thumbnail: the only bytes of the console that are not its own.
//!
//! A user who may see an outlet's events on the photo's day may see the picture. Several headers tell a browser that it
//! is a picture and nothing that runs.

use super::error::PageError;
use super::error_page;
use super::params::read_id;
use super::request_context::RequestContext;
use super::{Console, asked};
use crate::photos::Photos;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use xundian_protocol::ids::{ContentHash, RecordId};
use xundian_protocol::kinds::{Choice as _, Entity as _, Header, MediaType, Photo};
use xundian_protocol::record::Home;

/// What the shown content may do: nothing. The style is for browsers that show a picture alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
/// Only this browser caches it, and revalidates each time.
const KEPT: &str = "private, no-cache";

/// The picture of the photo in the path.
pub(super) async fn whole(
    State(console): State<Arc<Console>>,
    id: Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let photos = Arc::clone(&console.photos);
    let hash = match seen(console, id, uri, &headers).await {
        Ok(hash) => hash,
        Err(response) => return *response,
    };
    let etag = format!("\"{hash}\"");
    if is_known(&headers, &etag) {
        return answer(StatusCode::NOT_MODIFIED, &etag, None, Vec::new());
    }
    match photos.read(hash).await {
        Ok(bytes) => {
            let form = MediaType::of(&bytes);
            answer(StatusCode::OK, &etag, Some((form, hash)), bytes)
        }
        Err(error) => error_page::of(&PageError::internal(error), None, super::texts::Lang::default()),
    }
}

/// The thumbnail of the photo in the path.
pub(super) async fn preview(
    State(console): State<Arc<Console>>,
    id: Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let photos: Arc<Photos> = Arc::clone(&console.photos);
    let hash = match seen(console, id, uri, &headers).await {
        Ok(hash) => hash,
        Err(response) => return *response,
    };
    let etag = format!("\"{hash}-preview\"");
    if is_known(&headers, &etag) {
        return answer(StatusCode::NOT_MODIFIED, &etag, None, Vec::new());
    }
    match photos.preview(hash).await {
        Ok(Some(bytes)) => answer(StatusCode::OK, &etag, Some((Some(MediaType::Jpeg), hash)), bytes),
        Ok(None) => error_page::of(&PageError::NotFound, None, super::texts::Lang::default()),
        Err(error) => error_page::of(&PageError::internal(error), None, super::texts::Lang::default()),
    }
}

/// The picture of a photo, if the user may see it and it has arrived.
async fn seen(
    console: Arc<Console>,
    Path(id): Path<String>,
    uri: Uri,
    headers: &HeaderMap,
) -> Result<ContentHash, Box<Response>> {
    asked(console, Some(id), uri, headers.clone(), picture_of).await.map(|(hash, _)| hash)
}

fn picture_of(ctx: &RequestContext) -> Result<ContentHash, PageError> {
    let id: RecordId = read_id(ctx.id.as_deref().ok_or(PageError::NotFound)?)?;
    // As for a visit: a missing photo looks like one outside the scope.
    let missing = || if ctx.visibility.is_nation() { PageError::NotFound } else { PageError::Denied };
    let record = ctx.record(Photo::key(id))?.ok_or_else(missing)?;
    let (Home::Outlet(outlet), Some(header)) = (record.home, Header::read(&record)) else {
        return Err(missing());
    };
    if !ctx.may_see_event(outlet, header.business_day, Some(header.actor)) {
        return Err(PageError::Denied);
    }
    let hash = Photo::read(&record).content_hash.ok_or(PageError::NotFound)?;
    let stored = ctx.photos.stored(hash).map_err(PageError::internal)?;
    stored.map(|picture| picture.hash).ok_or(PageError::NotFound)
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let asked = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    asked.flat_map(|line| line.split(',')).any(|known| known.trim().trim_start_matches("W/") == etag)
}

/// The response with a picture of a known format; another format is offered as a download.
fn answer(
    status: StatusCode,
    etag: &str,
    of: Option<(Option<MediaType>, ContentHash)>,
    bytes: Vec<u8>,
) -> Response {
    let mut response = (status, bytes).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some((form, hash)) = of {
        let (kind, ending, shown) = match form {
            Some(form @ MediaType::Jpeg) => (form.code(), "jpg", "inline"),
            Some(form @ MediaType::Png) => (form.code(), "png", "inline"),
            Some(form @ MediaType::Webp) => (form.code(), "webp", "inline"),
            Some(form @ MediaType::Heic) => (form.code(), "heic", "attachment"),
            None => ("application/octet-stream", "bin", "attachment"),
        };
        set(header::CONTENT_TYPE, kind);
        set(header::CONTENT_DISPOSITION, &format!("{shown}; filename=\"{hash}.{ending}\""));
    }
    set(header::ETAG, etag);
    set(header::CACHE_CONTROL, KEPT);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}
