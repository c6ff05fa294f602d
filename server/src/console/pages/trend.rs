//! The last fourteen days as bars, each a link to its day.

use crate::console::ask::Ask;
use crate::console::failure::Failure;
use crate::console::metrics::Metric;
use crate::console::select::{Period, Whose};
use crate::console::show;
use crate::console::texts as t;
use crate::figures::Scope;
use maud::{Markup, html};
use xundian_protocol::calendar::Day;

const DAYS: i32 = 14;
const HEIGHT: i64 = 64;
const STEP: i64 = 48;

/// Visits done on each of the fourteen days up to `to`.
pub(super) fn fortnight(ask: &Ask, whose: Whose, scope: Scope, to: Day) -> Result<Markup, Failure> {
    let from = Day(to.0 - DAYS + 1);
    let found = ask.server.by_day(scope, from, to).map_err(Failure::broken)?;
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
            h2 { (ask.t(t::LAST_14_DAYS)) }
            div.scroll {
                svg role="img" viewBox={ "0 0 " (width) " " (HEIGHT + 40) } width=(width) height=(HEIGHT + 40) {
                    @for (place, (day, done)) in (0..).zip(&done) {
                        (bar(whose, *day, *done, most, place * STEP))
                    }
                }
            }
        }
    })
}

fn bar(whose: Whose, day: Day, done: i64, most: i64, x: i64) -> Markup {
    let height = (done.max(0) * HEIGHT + most - 1) / most;
    let text = day.to_string();
    html! {
        a href=(Metric::Done.link(whose, Period::day(day))) {
            rect.hit x=(x) y="0" width=(STEP) height=(HEIGHT + 40) {}
            rect.column x=(x + 10) y=(16 + HEIGHT - height) width=(STEP - 20) height=(height) {}
            text x=(x + STEP / 2) y=(12 + HEIGHT - height) { (show::number(done)) }
            text.day x=(x + STEP / 2) y=(HEIGHT + 34) { (text.get(5..).unwrap_or(&text)) }
        }
    }
}
