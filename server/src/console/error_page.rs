//! The page shown in place of one that cannot be shown.

use super::error::PageError;
use super::layout::{self, Page};
use super::link::Link;
use super::request_context::RequestContext;
use super::texts::{self as t, Lang};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use xundian_protocol::kinds::Label;

/// The page for an error. Without `ctx` nobody is logged in.
pub(super) fn of(error: &PageError, ctx: Option<&RequestContext>, lang: Lang) -> Response {
    if let PageError::Internal(cause) = error {
        tracing::error!(%cause, "a console page could not be made");
    }
    let (title, text) = error.words();
    let narrower = match error {
        PageError::TooMany(links) => links.as_slice(),
        _ => &[],
    };
    let body = words(lang, title, text, narrower);
    let page = Page { title: lang.of(title).to_owned(), crumbs: Vec::new(), period: None, body };
    let page = match ctx {
        Some(ctx) => layout::page(ctx, page),
        None => layout::bare(lang, &page.title, &page.body),
    };
    (error.status(), layout::html(page)).into_response()
}

fn words(lang: Lang, title: Label, text: Label, narrower: &[(String, Link)]) -> Markup {
    html! {
        section.notice {
            h1 { (lang.of(title)) }
            p { (lang.of(text)) }
            @if narrower.is_empty() {
                p { a href="/" { (lang.of(t::HOME_LINK)) } }
            } @else {
                ul.choices { @for (name, link) in narrower { li { a href=(link) { (name) } } } }
            }
        }
    }
}
