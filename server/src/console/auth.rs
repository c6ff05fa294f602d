//! Authentication: logging in and out, and identifying the user of a request. Owns cookies and the checks of forms.

use super::Console;
use super::error::PageError;
use super::error_page;
use super::layout;
use super::link::Link;
use super::params::Query;
use super::request_context::{RequestContext, Visibility};
use super::serve::Caller;
use super::sessions::{SESSION_MS, new_token};
use super::texts::{self as t, Lang};
use super::users::User;
use axum::extract::{ConnectInfo, Form, Query as RawQuery, State};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use std::net::IpAddr;
use std::sync::Arc;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Label;

const SESSION_COOKIE: &str = "xundian_session";
const FORM_COOKIE: &str = "xundian_form";
const LANG_COOKIE: &str = "xundian_lang";
const FORM_COOKIE_S: i64 = 3600;
const LANG_COOKIE_S: i64 = 365 * 24 * 3600;

/// What every request contains, before the user is identified.
#[derive(Clone)]
pub(super) struct Visitor {
    /// The parameters of the address.
    pub(super) query: Query,
    /// The language of the answer.
    pub(super) lang: Lang,
    /// Whether the answer sets the language cookie.
    sets_lang: bool,
    /// Whether the visitor came over TLS, as reported by a proxy in front. A false claim only leads to a stricter
    /// cookie.
    is_secure: bool,
    session: Option<String>,
    form: Option<String>,
}

impl Visitor {
    /// Reads the query and the cookies.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, (Lang, PageError)> {
        let from_cookie = cookie(headers, LANG_COOKIE).and_then(Lang::from_code);
        let lang = from_cookie.unwrap_or_default();
        let pairs = RawQuery::<Vec<(String, String)>>::try_from_uri(uri);
        let RawQuery(pairs) = pairs.map_err(|_| (lang, PageError::BadRequest(t::BAD_QUERY)))?;
        let query = Query::from_pairs(pairs).map_err(|error| (lang, error))?;
        let chosen = query.get("lang").and_then(Lang::from_code);
        Ok(Self {
            lang: chosen.unwrap_or(lang),
            sets_lang: chosen.is_some() && chosen != from_cookie,
            is_secure: headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https"),
            session: cookie(headers, SESSION_COOKIE).map(str::to_owned),
            form: cookie(headers, FORM_COOKIE).map(str::to_owned),
            query,
        })
    }

    /// Adds the language cookie to an answer, if the language was chosen.
    pub(super) fn keep_language(&self, mut response: Response) -> Response {
        if self.sets_lang {
            self.set_cookie(&mut response, LANG_COOKIE, self.lang.code(), LANG_COOKIE_S);
        }
        response
    }

    fn set_cookie(&self, response: &mut Response, name: &str, value: &str, max_age_s: i64) {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The logged-in user, if their password and person are unchanged. Reads the users' file, so it may block.
pub(super) fn known(
    console: &Console,
    visitor: &Visitor,
    now_ms: i64,
) -> Result<Option<(User, String)>, PageError> {
    let Some(token) = &visitor.session else { return Ok(None) };
    let Some(session) = console.sessions.find(token, now_ms) else { return Ok(None) };
    let user = console.users.find(&session.user).map_err(PageError::internal)?;
    match user.filter(|user| user.fingerprint() == session.fingerprint) {
        Some(user) => Ok(Some((user, console.sessions.form_token(token)))),
        None => {
            console.sessions.end(token);
            Ok(None)
        }
    }
}

/// The request of a logged-in user.
pub(super) fn context(
    console: &Console,
    visitor: &Visitor,
    (user, form_token): (User, String),
    path: String,
    id: Option<String>,
    now_ms: i64,
) -> RequestContext {
    let directory = console.server.directory();
    RequestContext {
        visibility: Visibility::of(user.person, &directory, Day::in_default_zone(now_ms)),
        server: Arc::clone(&console.server),
        photos: Arc::clone(&console.photos),
        directory,
        user: user.name,
        lang: visitor.lang,
        now_ms,
        path,
        id,
        query: visitor.query.clone(),
        form_token,
    }
}

/// Redirects to the login page, and back afterwards.
pub(super) fn to_login(uri: &Uri) -> Response {
    let next = uri.path_and_query().map_or("/", |next| next.as_str());
    let link = Link::to("/login");
    see_other(&if next == "/" { link } else { link.with("next", next) })
}

fn see_other(link: &Link) -> Response {
    let to = HeaderValue::from_str(&link.to_string()).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// An address within the console and nothing else: no other host, no line break.
fn next_page(next: Option<&str>) -> Link {
    let is_ours = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    Link::to(next.filter(is_ours).unwrap_or("/"))
}

/// `GET /login`
pub(super) async fn login_page(
    State(console): State<Arc<Console>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let visitor = match Visitor::of(&uri, &headers) {
        Ok(visitor) => visitor,
        Err((lang, error)) => return error_page::of(&error, None, lang),
    };
    let next = visitor.query.get("next").unwrap_or("/").to_owned();
    let response = login_form(&console, &visitor, &next, None, StatusCode::OK);
    visitor.keep_language(response)
}

/// The form, with a fresh cookie that its token belongs to.
fn login_form(
    console: &Console,
    visitor: &Visitor,
    next: &str,
    problem: Option<Label>,
    status: StatusCode,
) -> Response {
    let cookie = visitor.form.clone().unwrap_or_else(new_token);
    let body = login_body(visitor.lang, next, &console.sessions.form_token(&cookie), problem);
    let page = layout::bare(visitor.lang, visitor.lang.of(t::LOG_IN), &body);
    let mut response = (status, layout::html(page)).into_response();
    visitor.set_cookie(&mut response, FORM_COOKIE, &cookie, FORM_COOKIE_S);
    response
}

fn login_body(lang: Lang, next: &str, token: &str, problem: Option<Label>) -> Markup {
    let switch = Link::to("/login").with("lang", lang.other().code()).with("next", next);
    html! {
        section.login {
            h1 { b { "巡店" } " Xundian" }
            p.muted { (lang.of(t::WHAT_IT_IS)) }
            @if let Some(problem) = problem { p.problem role="alert" { (lang.of(problem)) } }
            form method="post" action="/login" {
                input type="hidden" name="csrf" value=(token);
                input type="hidden" name="next" value=(next);
                label { (lang.of(t::USER_NAME)) input name="name" autocomplete="username" autocapitalize="none" maxlength="64" required autofocus; }
                label { (lang.of(t::PASSWORD)) input name="password" type="password" autocomplete="current-password" maxlength="256" required; }
                button type="submit" { (lang.of(t::LOG_IN)) }
            }
            p.small { (lang.of(t::LOGIN_HELP)) }
            p.small { a href=(switch) lang=(lang.other().tag()) { (lang.of(t::OTHER_LANGUAGE)) } }
        }
    }
}

/// The fields of the login form.
#[derive(serde::Deserialize)]
pub(super) struct Login {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    next: String,
}

/// `POST /login`
pub(super) async fn log_in(
    State(console): State<Arc<Console>>,
    ConnectInfo(Caller(address)): ConnectInfo<Caller>,
    uri: Uri,
    headers: HeaderMap,
    form: Result<Form<Login>, axum::extract::rejection::FormRejection>,
) -> Response {
    let visitor = match Visitor::of(&uri, &headers) {
        Ok(visitor) => visitor,
        Err((lang, error)) => return error_page::of(&error, None, lang),
    };
    let Ok(Form(login)) = form else {
        return error_page::of(&PageError::BadRequest(t::BAD_QUERY), None, visitor.lang);
    };
    let again = |problem, status| login_form(&console, &visitor, &login.next, Some(problem), status);
    let cookie = visitor.form.as_deref().unwrap_or("");
    if !console.sessions.is_ours(cookie, &login.csrf) {
        return again(t::LOGIN_EXPIRED, StatusCode::FORBIDDEN);
    }
    let now_ms = (console.now_ms)();
    if !console.attempts.take(&login.name, address.ip(), now_ms) {
        tracing::warn!(%address, "too many attempts to log in");
        return again(t::LOGIN_TOO_MANY, StatusCode::TOO_MANY_REQUESTS);
    }
    match verify(&console, &login, address.ip()).await {
        Err(error) => error_page::of(&error, None, visitor.lang),
        Ok(None) => again(t::LOGIN_FAILED, StatusCode::UNAUTHORIZED),
        Ok(Some(user)) => {
            // A new token at every login: one known to somebody else before becomes worthless.
            if let Some(old) = &visitor.session {
                console.sessions.end(old);
            }
            let token = console.sessions.start(&user.name, user.fingerprint(), now_ms);
            let mut response = see_other(&next_page(Some(&login.next)));
            visitor.set_cookie(&mut response, SESSION_COOKIE, &token, SESSION_MS / 1000);
            visitor.set_cookie(&mut response, FORM_COOKIE, "", 0);
            response
        }
    }
}

/// Verifies a password. Hashing takes memory and time, so concurrent checks are bounded.
async fn verify(console: &Arc<Console>, login: &Login, address: IpAddr) -> Result<Option<User>, PageError> {
    let permit = Arc::clone(&console.hashing).acquire_owned().await.map_err(|_| PageError::Busy)?;
    let (name, password) = (login.name.clone(), login.password.clone());
    let users = console.users.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        users.verify(&name, &password)
    });
    let user = verified.await.map_err(PageError::internal)?.map_err(PageError::internal)?;
    if user.is_some() {
        console.attempts.succeeded(&login.name, address);
    }
    Ok(user)
}

/// The fields of the logout form.
#[derive(serde::Deserialize)]
pub(super) struct Logout {
    #[serde(default)]
    csrf: String,
}

/// `POST /logout`
pub(super) async fn log_out(
    State(console): State<Arc<Console>>,
    uri: Uri,
    headers: HeaderMap,
    form: Result<Form<Logout>, axum::extract::rejection::FormRejection>,
) -> Response {
    let visitor = match Visitor::of(&uri, &headers) {
        Ok(visitor) => visitor,
        Err((lang, error)) => return error_page::of(&error, None, lang),
    };
    let Ok(Form(Logout { csrf })) = form else {
        return error_page::of(&PageError::BadRequest(t::BAD_QUERY), None, visitor.lang);
    };
    let Some(token) = &visitor.session else { return see_other(&Link::to("/login")) };
    if !console.sessions.is_ours(token, &csrf) {
        return error_page::of(&PageError::Forged, None, visitor.lang);
    }
    console.sessions.end(token);
    let mut response = see_other(&Link::to("/login"));
    visitor.set_cookie(&mut response, SESSION_COOKIE, "", 0);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_come_after_the_login() {
        let next = |text| next_page(Some(text)).to_string();
        assert_eq!(next("/unit/none?day=2026-11-23"), "/unit/none?day=2026-11-23");
        for bad in
            ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x", "", "login"]
        {
            assert_eq!(next(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("a=1; xundian_lang=en; b=2"));
        assert_eq!(cookie(&headers, LANG_COOKIE), Some("en"));
        assert_eq!(cookie(&headers, "lang"), None);
    }
}
