//! What all lists share: the count above, the tabs, and pages of rows.

use crate::console::error::PageError;
use crate::console::format;
use crate::console::layout::same_page;
use crate::console::link::Link;
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use maud::{Markup, html};
use xundian_protocol::kinds::Label;

/// Rows of one page of a list.
const ROWS_MAX: usize = 200;

/// The rows of the requested page, and the links to the other pages.
pub(super) fn page_of<'a, T>(ctx: &RequestContext, rows: &'a [T]) -> Result<(&'a [T], Markup), PageError> {
    let bad = || PageError::BadRequest(t::BAD_QUERY);
    let page: usize = ctx.query.get("page").map_or(Ok(1), str::parse).map_err(|_| bad())?;
    let pages = rows.len().div_ceil(ROWS_MAX).max(1);
    if page == 0 || page > pages {
        return Err(bad());
    }
    let start = (page - 1) * ROWS_MAX;
    let shown = &rows[start..rows.len().min(start + ROWS_MAX)];
    let to = |page: usize| same_page(ctx, "page").with("page", page);
    let pager = html! {
        @if pages > 1 {
            nav.pager {
                @if page > 1 { a href=(to(page - 1)) rel="prev" { "‹ " (ctx.t(t::EARLIER_ROWS)) } }
                span { (start + 1) "–" (start + shown.len()) " / " (rows.len()) }
                @if page < pages { a href=(to(page + 1)) rel="next" { (ctx.t(t::LATER_ROWS)) " ›" } }
            }
        }
    };
    Ok((shown, pager))
}

/// The head of a list: its scope, its name, and its figure.
pub(super) fn head(ctx: &RequestContext, name: &str, what: Label, count: i64, unit: Label) -> Markup {
    html! {
        h1 { (name) " · " (ctx.t(what)) }
        p.count { b { (format::grouped(count)) } " " (ctx.t(unit)) }
    }
}

/// The sibling lists, by the value of one parameter.
pub(super) fn tabs(
    ctx: &RequestContext,
    parameter: &str,
    choices: &[(&str, Label)],
    current: &str,
) -> Markup {
    html! {
        nav.tabs {
            @for (value, label) in choices {
                @if *value == current { b { (ctx.t(*label)) } }
                @else { a href=(tab(ctx, parameter, value)) { (ctx.t(*label)) } }
            }
        }
    }
}

fn tab(ctx: &RequestContext, parameter: &str, value: &str) -> Link {
    let kept = ctx.query.without(parameter).filter(|(name, _)| *name != "page");
    let link = kept.fold(Link::to(ctx.path.clone()), |link, (name, value)| link.with(name, value));
    link.with(parameter, value)
}

/// The label of a choice of [`tabs`]; an unknown one is refused.
pub(super) fn choice<'a>(
    ctx: &'a RequestContext,
    parameter: &str,
    choices: &[(&'a str, Label)],
) -> Result<(&'a str, Label), PageError> {
    let value = ctx.query.get(parameter).unwrap_or(choices[0].0);
    let found = choices.iter().find(|(known, _)| *known == value);
    found.copied().ok_or(PageError::BadRequest(t::BAD_QUERY))
}

/// A row that says that there are none.
pub(super) fn nothing(ctx: &RequestContext, columns: usize) -> Markup {
    html! { tr { td.empty colspan=(columns) { (ctx.t(t::NOTHING)) } } }
}

/// The column headings; those with `true` are for numbers.
pub(super) fn heads(ctx: &RequestContext, heads: &[(Label, bool)]) -> Markup {
    html! { thead { tr { @for (label, numeric) in heads { th scope="col" .n[*numeric] { (ctx.t(*label)) } } } } }
}
