//! The console: pages for managers and headquarters, rendered on the server, usable without JavaScript.
//!
//! Every figure links to the list behind it. What a user sees follows from their person's position; a user without a
//! person is headquarters. Only this module knows HTTP: no type of axum or maud leaves it except the router that
//! [`serve()`] takes. It only reads the data.

mod attempts;
mod auth;
mod drilldown;
mod error;
mod error_page;
mod format;
mod kpis;
mod layout;
mod link;
mod pages;
mod params;
mod photo;
mod request_context;
mod serve;
mod sessions;
#[cfg(test)]
mod tests;
mod texts;
mod users;

pub use serve::serve;
pub use users::{
    NAME_CHARS_MAX, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, USERS_FILE, User, Users, UsersError,
};

use crate::photos::Photos;
use crate::server::Server;
use auth::Visitor;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use error::PageError;
use layout::Page;
use request_context::RequestContext;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use texts::Lang;
use tokio::sync::Semaphore;

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// How long a page may take, including waiting.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages that read the store at the same time.
const READERS_MAX: usize = 8;
/// Passwords hashed at the same time; each takes 19 MiB.
const HASHING_MAX: usize = 2;

/// What all requests share.
struct Console {
    server: Arc<Server>,
    photos: Arc<Photos>,
    users: Users,
    sessions: sessions::Sessions,
    attempts: attempts::Attempts,
    readers: Arc<Semaphore>,
    hashing: Arc<Semaphore>,
    now_ms: fn() -> i64,
}

/// A view: makes a page for a request, on a thread that may block.
type PageFn = fn(&RequestContext) -> Result<Page, PageError>;

/// The console's pages over a server and its users.
pub fn router(server: Arc<Server>, photos: Arc<Photos>, users: Users) -> Router {
    router_at(server, photos, users, now_ms)
}

/// Like [`router`], with the caller's clock.
fn router_at(server: Arc<Server>, photos: Arc<Photos>, users: Users, now_ms: fn() -> i64) -> Router {
    let console = Console {
        server,
        photos,
        users,
        sessions: sessions::Sessions::new(),
        attempts: attempts::Attempts::default(),
        readers: Arc::new(Semaphore::new(READERS_MAX)),
        hashing: Arc::new(Semaphore::new(HASHING_MAX)),
        now_ms,
    };
    Router::new()
        .route("/", page(pages::first))
        .route("/unit/{id}", page(pages::unit))
        .route("/person/{id}", page(pages::person))
        .route("/outlet/{id}", page(pages::outlet))
        .route("/visit/{id}", page(pages::visit))
        .route("/photo/{id}", get(photo::whole))
        .route("/photo/{id}/preview", get(photo::preview))
        .route("/visits", page(pages::visits))
        .route("/issues", page(pages::issues))
        .route("/products", page(pages::products))
        .route("/shelf", page(pages::shelf))
        .route("/stock", page(pages::stock))
        .route("/devices", page(pages::devices))
        .route("/login", get(auth::login_page).post(auth::log_in))
        .route("/logout", post(auth::log_out))
        .fallback(page(|_| Err(PageError::NotFound)))
        .method_not_allowed_fallback(bad_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .route(layout::STYLE_PATH, get(style))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(middleware::map_response(secured))
        .with_state(Arc::new(console))
}

fn page(page_fn: PageFn) -> MethodRouter<Arc<Console>> {
    get(move |State(console): State<Arc<Console>>, id: Option<Path<String>>, uri: Uri, headers: HeaderMap| {
        show(console, page_fn, id.map(|Path(id)| id), uri, headers)
    })
}

/// Makes the requested page, and answers.
async fn show(
    console: Arc<Console>,
    page_fn: PageFn,
    id: Option<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let shown = move |ctx: &RequestContext| page_fn(ctx).map(|page| layout::html(layout::page(ctx, page)));
    match asked(console, id, uri, headers, shown).await {
        Ok((response, visitor)) => visitor.keep_language(response),
        Err(response) => *response,
    }
}

/// Identifies the user, and runs the request on a thread that may block. An error becomes an answer too.
async fn asked<T: Send + 'static>(
    console: Arc<Console>,
    id: Option<String>,
    uri: Uri,
    headers: HeaderMap,
    page_fn: impl FnOnce(&RequestContext) -> Result<T, PageError> + Send + 'static,
) -> Result<(T, Visitor), Box<Response>> {
    let visitor = match Visitor::of(&uri, &headers) {
        Ok(visitor) => visitor,
        Err((lang, error)) => return Err(Box::new(error_page::of(&error, None, lang))),
    };
    let Ok(permit) = Arc::clone(&console.readers).acquire_owned().await else {
        return Err(Box::new(error_page::of(&PageError::Busy, None, visitor.lang)));
    };
    let lang = visitor.lang;
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let now_ms = (console.now_ms)();
        let done = match auth::known(&console, &visitor, now_ms) {
            Err(error) => Err(Box::new(error_page::of(&error, None, visitor.lang))),
            Ok(None) => Err(Box::new(auth::to_login(&uri))),
            Ok(Some(user)) => {
                let ctx = auth::context(&console, &visitor, user, uri.path().to_owned(), id, now_ms);
                page_fn(&ctx).map_err(|error| Box::new(error_page::of(&error, Some(&ctx), ctx.lang)))
            }
        };
        match done {
            Ok(done) => Ok((done, visitor)),
            Err(response) => Err(Box::new(visitor.keep_language(*response))),
        }
    });
    made.await.unwrap_or_else(|error| Err(Box::new(error_page::of(&PageError::internal(error), None, lang))))
}

async fn bad_method(uri: Uri, headers: HeaderMap) -> Response {
    let lang = Visitor::of(&uri, &headers).map_or_else(|(lang, _)| lang, |visitor| visitor.lang);
    error_page::of(&PageError::BadMethod, None, lang)
}

async fn style() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, layout::STYLE).into_response()
}

/// Aborts requests that take too long. A read of the store in progress continues, and keeps its permit until it ends.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(PAGE_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| error_page::of(&PageError::Busy, None, Lang::default()))
}

/// Adds the security headers, which deny browsers what our pages never need.
async fn secured(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                          base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "geolocation=(), camera=(), microphone=()"),
    ];
    for (name, value) in fixed {
        // A picture sets its own, stricter policy.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
