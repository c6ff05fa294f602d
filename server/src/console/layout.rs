//! The layout of every page: header, breadcrumbs, the choice of days.

use super::link::Link;
use super::params::{FigureScope, Period};
use super::request_context::RequestContext;
use super::texts::{self as t, Lang};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use xundian_protocol::calendar::Day;

/// Where the style sheet is served.
pub(super) const STYLE_PATH: &str = "/style.css";
/// The style sheet.
pub(super) const STYLE: &str = include_str!("style.css");

/// The page that a view returns.
pub(super) struct Page {
    /// The title, in the page's language.
    pub(super) title: String,
    /// The breadcrumbs, from above.
    pub(super) crumbs: Vec<Markup>,
    /// The days of the page, if they can be chosen.
    pub(super) period: Option<Period>,
    /// The content below the header.
    pub(super) body: Markup,
}

/// A page for a logged-in user.
pub(super) fn page(ctx: &RequestContext, page: Page) -> Markup {
    let Page { title, crumbs, period, body } = page;
    let switch = same_page(ctx, "lang").with("lang", ctx.lang.other().code());
    document(
        ctx.lang,
        &title,
        &html! {
            a.skip href="#content" { (ctx.t(t::SKIP_TO_CONTENT)) }
            header.bar {
                a.brand href="/" { b { "巡店" } " Xundian" }
                nav {
                    a href=(switch) lang=(ctx.lang.other().tag()) { (ctx.t(t::OTHER_LANGUAGE)) }
                    span.user { (ctx.user) }
                    form method="post" action="/logout" {
                        input type="hidden" name="csrf" value=(ctx.form_token);
                        button.plain type="submit" { (ctx.t(t::LOG_OUT)) }
                    }
                }
            }
            @if !crumbs.is_empty() {
                nav.crumbs aria-label="breadcrumb" { ol { @for crumb in &crumbs { li { (crumb) } } } }
            }
            main #content {
                @if let Some(period) = period { (days(ctx, period)) }
                (body)
            }
            footer { (ctx.t(t::BUILT_FROM)) }
        },
    )
}

/// A page for a visitor who is not logged in.
pub(super) fn bare(lang: Lang, title: &str, body: &Markup) -> Markup {
    document(lang, title, &html! { main.alone #content { (body) } })
}

fn document(lang: Lang, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (lang.of(t::PRODUCT)) }
                link rel="stylesheet" href=(STYLE_PATH);
                link rel="icon" href="data:,";
            }
            body { (body) }
        }
    }
}

/// The response with a page.
pub(super) fn html(page: Markup) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], page.into_string()).into_response()
}

/// This page's address without one parameter.
pub(super) fn same_page(ctx: &RequestContext, without: &str) -> Link {
    ctx.query.without(without).fold(Link::to(ctx.path.clone()), |link, (name, value)| link.with(name, value))
}

/// This page's address for other days.
fn on_days(ctx: &RequestContext, period: Period) -> Link {
    let kept = ctx.query.without("day").filter(|(name, _)| !["from", "to", "page"].contains(name));
    kept.fold(Link::to(ctx.path.clone()), |link, (name, value)| link.with(name, value)).period(period)
}

/// The choice of days: previous, next, by form and by name.
fn days(ctx: &RequestContext, period: Period) -> Markup {
    let today = ctx.today();
    let month_start = Day(today.0 - i32::try_from(chrono::Datelike::day0(&today.date())).unwrap_or(0));
    let named = [
        (t::TODAY, Period::day(today)),
        (t::THIS_WEEK, Period { from: today.week_start(), to: today }),
        (t::THIS_MONTH, Period { from: month_start, to: today }),
    ];
    let kept = || ctx.query.without("day").filter(|(name, _)| !["from", "to", "page"].contains(name));
    html! {
        nav.days aria-label=(ctx.t(t::DAY)) {
            a.step href=(on_days(ctx, period.moved(-1))) title=(ctx.t(t::PREVIOUS)) { "‹" }
            strong { (period) }
            @if period.to < today { a.step href=(on_days(ctx, period.moved(1))) title=(ctx.t(t::NEXT)) { "›" } }
            @else { span.step.off { "›" } }
            span.named {
                @for (label, choice) in named {
                    @if choice == period { b { (ctx.t(label)) } }
                    @else { a href=(on_days(ctx, choice)) { (ctx.t(label)) } }
                }
            }
            form method="get" action=(ctx.path) {
                @for (name, value) in kept() { input type="hidden" name=(name) value=(value); }
                label { (ctx.t(t::FROM)) " " input type="date" name="from" required value=(period.from); }
                label { (ctx.t(t::TO)) " " input type="date" name="to" required value=(period.to); }
                button type="submit" { (ctx.t(t::SHOW)) }
            }
        }
    }
}

/// The breadcrumbs from the nation down to a scope; the last one is the page itself.
pub(super) fn crumbs(ctx: &RequestContext, scope: FigureScope, period: Option<Period>) -> Vec<Markup> {
    let directory = &ctx.directory;
    let unit = match scope {
        FigureScope::Nation | FigureScope::Unassigned => None,
        FigureScope::Unit(unit) | FigureScope::UnitOwn(unit) => Some(unit),
        FigureScope::Person(person) => {
            directory.last_known_position(person, ctx.today()).map(|(_, position)| position.unit)
        }
        FigureScope::Outlet(outlet) => directory.unit_on(outlet, ctx.today()),
    };
    let mut crumbs = vec![ctx.link(FigureScope::Nation, period)];
    let chain = unit.map_or_else(Vec::new, |unit| directory.chain(unit));
    // The company and its centres are above the regions; the nation represents them.
    let shown =
        chain.iter().rev().filter(|unit| directory.unit(**unit).is_some_and(|entry| entry.parent.is_some()));
    let regional = |unit: &&xundian_protocol::ids::OrgUnitId| {
        directory.region_of(**unit).is_some() || Some(**unit) == chain.first().copied()
    };
    crumbs.extend(shown.filter(regional).map(|unit| ctx.link(FigureScope::Unit(*unit), period)));
    if matches!(
        scope,
        FigureScope::Unassigned | FigureScope::UnitOwn(_) | FigureScope::Person(_) | FigureScope::Outlet(_)
    ) {
        let name =
            if let FigureScope::UnitOwn(_) = scope { ctx.t(t::OWN_OUTLETS).into() } else { ctx.name(scope) };
        let link = scope.page();
        let link = period.map_or(link.clone(), |period| link.period(period));
        crumbs.push(
            html! { @if let FigureScope::UnitOwn(_) = scope { (name) } @else { a href=(link) { (name) } } },
        );
    }
    crumbs
}
