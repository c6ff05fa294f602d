//! The last fourteen days as bars, each a link to its day.

use crate::console::error::PageError;
use crate::console::format;
use crate::console::kpis::Kpi;
use crate::console::params::{FigureScope, Period};
use crate::console::request_context::RequestContext;
use crate::console::texts as t;
use crate::figures::RollUp;
use maud::{Markup, html};
use xundian_protocol::calendar::Day;

const DAYS: i32 = 14;
const HEIGHT: i64 = 64;
const STEP: i64 = 48;

/// Visits done on each of the fourteen days up to `to`.
pub(super) fn fortnight(
    ctx: &RequestContext,
    scope: FigureScope,
    roll_up: RollUp,
    to: Day,
) -> Result<Markup, PageError> {
    let from = Day(to.0 - DAYS + 1);
    let found = ctx.server.by_day(roll_up, from, to).map_err(PageError::internal)?;
    let done: Vec<(Day, i64)> = (from.0..=to.0)
        .map(Day)
        .map(|day| {
            let figures = found.iter().find(|(found, _)| *found == day);
            (day, figures.map_or(0, |(_, figures)| figures.visits.done))
        })
        .collect();
    let most = done.iter().map(|(_, done)| *done).max().unwrap_or(0).max(1);
    let width = STEP * i64::from(DAYS);
    Ok(html! {
        section.trend {
            h2 { (ctx.t(t::LAST_14_DAYS)) }
            div.scroll {
                svg role="img" viewBox={ "0 0 " (width) " " (HEIGHT + 40) } width=(width) height=(HEIGHT + 40) {
                    @for (place, (day, done)) in (0..).zip(&done) {
                        (bar(scope, *day, *done, most, place * STEP))
                    }
                }
            }
        }
    })
}

fn bar(scope: FigureScope, day: Day, done: i64, most: i64, x: i64) -> Markup {
    let height = (done.max(0) * HEIGHT + most - 1) / most;
    let text = day.to_string();
    html! {
        a href=(Kpi::Done.link(scope, Period::day(day))) {
            rect.hit x=(x) y="0" width=(STEP) height=(HEIGHT + 40) {}
            rect.column x=(x + 10) y=(16 + HEIGHT - height) width=(STEP - 20) height=(height) {}
            text x=(x + STEP / 2) y=(12 + HEIGHT - height) { (format::grouped(done)) }
            text.day x=(x + STEP / 2) y=(HEIGHT + 34) { (text.get(5..).unwrap_or(&text)) }
        }
    }
}
