//! The console: pages for managers and headquarters, made on the server, readable without JavaScript.
//!
//! Every figure is a link to the list that it is made of. What a user sees follows from the position of
//! the person behind them; a user without a person is headquarters. This module alone knows HTTP: no type
//! of axum or maud leaves it but the router that [`serve()`] takes. It only reads the data.

mod ask;
mod attempts;
mod behind;
mod door;
mod failure;
mod metrics;
mod pages;
mod photo;
mod select;
mod serve;
mod sessions;
mod shell;
mod show;
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
use ask::Ask;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use door::Visitor;
use failure::Failure;
use shell::Page;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use texts::Lang;
use tokio::sync::Semaphore;

/// The most bytes of a form.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// How long a page may take, waiting included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages that read the store at one time.
const READERS_MAX: usize = 8;
/// Passwords that are looked at at one time; each takes 19 MiB.
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

/// Makes a page of what was asked; runs where it may block.
type View = fn(&Ask) -> Result<Page, Failure>;

/// The console's pages over a server and its users.
pub fn router(server: Arc<Server>, photos: Arc<Photos>, users: Users) -> Router {
    router_at(server, photos, users, now_ms)
}

/// The same with a clock of the caller's.
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
        .route("/login", get(door::login_page).post(door::log_in))
        .route("/logout", post(door::log_out))
        .fallback(page(|_| Err(Failure::NotFound)))
        .method_not_allowed_fallback(bad_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .route(shell::STYLE_PATH, get(style))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(middleware::map_response(secured))
        .with_state(Arc::new(console))
}

fn page(view: View) -> MethodRouter<Arc<Console>> {
    get(move |State(console): State<Arc<Console>>, id: Option<Path<String>>, uri: Uri, headers: HeaderMap| {
        show(console, view, id.map(|Path(id)| id), uri, headers)
    })
}

/// Makes the page that is asked for, and answers.
async fn show(
    console: Arc<Console>,
    view: View,
    id: Option<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let shown = move |ask: &Ask| view(ask).map(|page| shell::html(shell::page(ask, page)));
    match asked(console, id, uri, headers, shown).await {
        Ok((response, visitor)) => visitor.keep_language(response),
        Err(response) => *response,
    }
}

/// Finds out who asks, and does what they ask for where it may block. What goes wrong is an answer too.
async fn asked<T: Send + 'static>(
    console: Arc<Console>,
    id: Option<String>,
    uri: Uri,
    headers: HeaderMap,
    view: impl FnOnce(&Ask) -> Result<T, Failure> + Send + 'static,
) -> Result<(T, Visitor), Box<Response>> {
    let visitor = match Visitor::of(&uri, &headers) {
        Ok(visitor) => visitor,
        Err((lang, failure)) => return Err(Box::new(failure.response(None, lang))),
    };
    let Ok(permit) = Arc::clone(&console.readers).acquire_owned().await else {
        return Err(Box::new(Failure::Busy.response(None, visitor.lang)));
    };
    let lang = visitor.lang;
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let now_ms = (console.now_ms)();
        let done = match door::known(&console, &visitor, now_ms) {
            Err(failure) => Err(Box::new(failure.response(None, visitor.lang))),
            Ok(None) => Err(Box::new(door::to_login(&uri))),
            Ok(Some(user)) => {
                let ask = door::ask(&console, &visitor, user, uri.path().to_owned(), id, now_ms);
                view(&ask).map_err(|failure| Box::new(failure.response(Some(&ask), ask.lang)))
            }
        };
        match done {
            Ok(done) => Ok((done, visitor)),
            Err(response) => Err(Box::new(visitor.keep_language(*response))),
        }
    });
    made.await.unwrap_or_else(|error| Err(Box::new(Failure::broken(error).response(None, lang))))
}

async fn bad_method(uri: Uri, headers: HeaderMap) -> Response {
    let lang = Visitor::of(&uri, &headers).map_or_else(|(lang, _)| lang, |visitor| visitor.lang);
    Failure::BadMethod.response(None, lang)
}

async fn style() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, shell::STYLE).into_response()
}

/// Ends what takes too long. A read of the store that has begun goes on and keeps its place among the
/// readers until it is done.
async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(PAGE_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| Failure::Busy.response(None, Lang::default()))
}

/// Adds the headers that keep browsers from doing what pages of ours never ask for.
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
        // A picture comes with a policy of its own, which allows less.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
