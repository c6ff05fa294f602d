//! The frame of every page: header, breadcrumbs, the choice of days.

use super::ask::Ask;
use super::select::{Link, Period, Whose};
use super::texts::{self as t, Lang};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use xundian_protocol::calendar::Day;

/// Where the style sheet is served.
pub(super) const STYLE_PATH: &str = "/style.css";
/// The style sheet.
pub(super) const STYLE: &str = include_str!("style.css");

/// What a view makes of a request.
pub(super) struct Page {
    /// The title, in the page's language.
    pub(super) title: String,
    /// The way to the page, from above.
    pub(super) crumbs: Vec<Markup>,
    /// The days that it is about, where they can be chosen.
    pub(super) period: Option<Period>,
    /// What is below the header.
    pub(super) body: Markup,
}

/// A page for somebody who is logged in.
pub(super) fn page(ask: &Ask, page: Page) -> Markup {
    let Page { title, crumbs, period, body } = page;
    let switch = same_page(ask, "lang").with("lang", ask.lang.other().code());
    document(
        ask.lang,
        &title,
        &html! {
            a.skip href="#content" { (ask.t(t::SKIP_TO_CONTENT)) }
            header.bar {
                a.brand href="/" { b { "巡店" } " Xundian" }
                nav {
                    a href=(switch) lang=(ask.lang.other().tag()) { (ask.t(t::OTHER_LANGUAGE)) }
                    span.user { (ask.user) }
                    form method="post" action="/logout" {
                        input type="hidden" name="csrf" value=(ask.form_token);
                        button.plain type="submit" { (ask.t(t::LOG_OUT)) }
                    }
                }
            }
            @if !crumbs.is_empty() {
                nav.crumbs aria-label="breadcrumb" { ol { @for crumb in &crumbs { li { (crumb) } } } }
            }
            main #content {
                @if let Some(period) = period { (days(ask, period)) }
                (body)
            }
            footer { (ask.t(t::BUILT_FROM)) }
        },
    )
}

/// A page for somebody who is not logged in.
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

/// The answer that carries a page.
pub(super) fn html(page: Markup) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], page.into_string()).into_response()
}

/// This page's address without one parameter.
pub(super) fn same_page(ask: &Ask, without: &str) -> Link {
    ask.query.without(without).fold(Link::to(ask.path.clone()), |link, (name, value)| link.with(name, value))
}

/// This page's address about other days.
fn on_days(ask: &Ask, period: Period) -> Link {
    let kept = ask.query.without("day").filter(|(name, _)| !["from", "to", "page"].contains(name));
    kept.fold(Link::to(ask.path.clone()), |link, (name, value)| link.with(name, value)).period(period)
}

/// The choice of days: before, after, by form and by name.
fn days(ask: &Ask, period: Period) -> Markup {
    let today = ask.today();
    let month_start = Day(today.0 - i32::try_from(chrono::Datelike::day0(&today.date())).unwrap_or(0));
    let named = [
        (t::TODAY, Period::day(today)),
        (t::THIS_WEEK, Period { from: today.week_start(), to: today }),
        (t::THIS_MONTH, Period { from: month_start, to: today }),
    ];
    let kept = || ask.query.without("day").filter(|(name, _)| !["from", "to", "page"].contains(name));
    html! {
        nav.days aria-label=(ask.t(t::DAY)) {
            a.step href=(on_days(ask, period.moved(-1))) title=(ask.t(t::PREVIOUS)) { "‹" }
            strong { (period) }
            @if period.to < today { a.step href=(on_days(ask, period.moved(1))) title=(ask.t(t::NEXT)) { "›" } }
            @else { span.step.off { "›" } }
            span.named {
                @for (label, choice) in named {
                    @if choice == period { b { (ask.t(label)) } }
                    @else { a href=(on_days(ask, choice)) { (ask.t(label)) } }
                }
            }
            form method="get" action=(ask.path) {
                @for (name, value) in kept() { input type="hidden" name=(name) value=(value); }
                label { (ask.t(t::FROM)) " " input type="date" name="from" required value=(period.from); }
                label { (ask.t(t::TO)) " " input type="date" name="to" required value=(period.to); }
                button type="submit" { (ask.t(t::SHOW)) }
            }
        }
    }
}

/// The way from the nation down to whose figures these are; the last one is the page itself.
pub(super) fn crumbs(ask: &Ask, whose: Whose, period: Option<Period>) -> Vec<Markup> {
    let directory = &ask.directory;
    let unit = match whose {
        Whose::Nation | Whose::Unassigned => None,
        Whose::Unit(unit) | Whose::UnitOwn(unit) => Some(unit),
        Whose::Person(person) => directory.placed_on(person, ask.today()).map(|(_, position)| position.unit),
        Whose::Outlet(outlet) => directory.unit_on(outlet, ask.today()),
    };
    let mut crumbs = vec![ask.link(Whose::Nation, period)];
    let chain = unit.map_or_else(Vec::new, |unit| directory.chain(unit));
    // The company and its centres stand above the regions; the nation stands for them.
    let shown =
        chain.iter().rev().filter(|unit| directory.unit(**unit).is_some_and(|entry| entry.parent.is_some()));
    let regional = |unit: &&xundian_protocol::ids::OrgUnitId| {
        directory.region_of(**unit).is_some() || Some(**unit) == chain.first().copied()
    };
    crumbs.extend(shown.filter(regional).map(|unit| ask.link(Whose::Unit(*unit), period)));
    if matches!(whose, Whose::Unassigned | Whose::UnitOwn(_) | Whose::Person(_) | Whose::Outlet(_)) {
        let name = if let Whose::UnitOwn(_) = whose { ask.t(t::OWN_OUTLETS).into() } else { ask.name(whose) };
        let link = whose.page();
        let link = period.map_or(link.clone(), |period| link.period(period));
        crumbs
            .push(html! { @if let Whose::UnitOwn(_) = whose { (name) } @else { a href=(link) { (name) } } });
    }
    crumbs
}
