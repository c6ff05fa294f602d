//! The formulas of DOMAIN section D over summed measures.

use super::Measures;

/// A numerator over a denominator, shown together and never averaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ratio {
    /// The number counted.
    pub numerator: i64,
    /// The number that it is counted out of.
    pub denominator: i64,
}

impl Ratio {
    /// The ratio in basis points, rounded half up; `None` if the denominator is not positive.
    pub fn basis_points(self) -> Option<i64> {
        if self.denominator <= 0 {
            return None;
        }
        // The sums come from what devices sent, so they may have any size.
        let (numerator, denominator) = (i128::from(self.numerator), i128::from(self.denominator));
        let rounded = (numerator * 20_000 + denominator).div_euclid(2 * denominator);
        Some(i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The ratio as a percentage with two digits, or a dash.
    pub fn percent(self) -> String {
        let two_digits = |bp: i64| {
            let (sign, bp) = (if bp < 0 { "−" } else { "" }, bp.unsigned_abs());
            format!("{sign}{}.{:02} %", bp / 100, bp % 100)
        };
        self.basis_points().map_or_else(|| "–".into(), two_digits)
    }
}

/// Visits 拜访 of a period (S6.5–S6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VisitFigures {
    /// Planned calls.
    pub planned: i64,
    /// Planned calls that were made and closed.
    pub planned_done: i64,
    /// Visits opened.
    pub visits: i64,
    /// Visits closed.
    pub done: i64,
    /// Visits aborted.
    pub aborted: i64,
    /// The total time in store of the visits that have one, in milliseconds.
    pub time_in_store_ms: i64,
    /// Visits that have a time in store.
    pub timed: i64,
    /// Visits done in hypermarkets 大卖场.
    pub done_hypermarket: i64,
    /// Visits done in chain outlets 连锁.
    pub done_chain: i64,
}

impl VisitFigures {
    /// The measures of [`super::MeasureFamily::Visits`].
    pub fn measures(&self) -> Measures {
        Measures::of(&[
            self.planned,
            self.planned_done,
            self.visits,
            self.done,
            self.aborted,
            self.time_in_store_ms,
            self.timed,
            self.done_hypermarket,
            self.done_chain,
        ])
    }

    /// Call compliance 拜访完成率: planned calls made ÷ planned calls.
    pub const fn call_compliance(&self) -> Ratio {
        Ratio { numerator: self.planned_done, denominator: self.planned }
    }

    /// Day load 日标准 in days: hypermarkets ÷ 8 + chain outlets ÷ 24 (S6.6), as a fraction over 24.
    pub const fn day_load(&self) -> Ratio {
        Ratio { numerator: self.done_hypermarket * 3 + self.done_chain, denominator: 24 }
    }

    /// The mean time in store, in seconds; `None` if no visit has one.
    pub const fn mean_time_in_store_s(&self) -> Option<i64> {
        if self.timed == 0 { None } else { Some(self.time_in_store_ms / self.timed / 1000) }
    }
}

impl From<Measures> for VisitFigures {
    fn from(Measures(m): Measures) -> Self {
        Self {
            planned: m[0],
            planned_done: m[1],
            visits: m[2],
            done: m[3],
            aborted: m[4],
            time_in_store_ms: m[5],
            timed: m[6],
            done_hypermarket: m[7],
            done_chain: m[8],
        }
    }
}

/// The shelf checks and stock counts of products in a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProductFigures {
    /// Listed products that were looked for.
    pub audited: i64,
    /// Of the audited products, those not on the shelf.
    pub absent: i64,
    /// Of the absent products, those in the backroom.
    pub backroom_only: i64,
    /// Own facings seen.
    pub facings_own: i64,
    /// Facings of the category seen.
    pub facings_category: i64,
    /// Counts of stock.
    pub counts: i64,
    /// Units counted.
    pub counted_units: i64,
}

impl ProductFigures {
    /// The measures of [`super::MeasureFamily::Products`].
    pub fn measures(&self) -> Measures {
        Measures::of(&[
            self.audited,
            self.absent,
            self.backroom_only,
            self.facings_own,
            self.facings_category,
            self.counts,
            self.counted_units,
        ])
    }

    /// On-shelf availability 在架率: present ÷ audited.
    pub const fn osa(&self) -> Ratio {
        Ratio { numerator: self.audited - self.absent, denominator: self.audited }
    }

    /// Out of stock 缺货率: absent ÷ audited.
    pub const fn oos(&self) -> Ratio {
        Ratio { numerator: self.absent, denominator: self.audited }
    }

    /// Share of shelf 排面占比: own facings ÷ category facings.
    pub const fn share_of_shelf(&self) -> Ratio {
        Ratio { numerator: self.facings_own, denominator: self.facings_category }
    }
}

impl From<Measures> for ProductFigures {
    fn from(Measures(m): Measures) -> Self {
        Self {
            audited: m[0],
            absent: m[1],
            backroom_only: m[2],
            facings_own: m[3],
            facings_category: m[4],
            counts: m[5],
            counted_units: m[6],
        }
    }
}

/// Urgent matters 急待解决问题: flows of a period and levels at its end (S6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IssueFigures {
    /// Raised in the period.
    pub raised: i64,
    /// Closed in the period.
    pub closed: i64,
    /// Of those due in the period, closed by their due day.
    pub closed_by_due: i64,
    /// Due in the period.
    pub due: i64,
    /// Open at the end of the period.
    pub open: i64,
    /// Open and past their due day at the end of the period.
    pub overdue: i64,
}

impl IssueFigures {
    /// The figures from the flows of the period and the levels at its end.
    pub const fn new(Measures(flow): Measures, Measures(level): Measures) -> Self {
        Self {
            raised: flow[0],
            closed: flow[1],
            closed_by_due: flow[2],
            due: flow[3],
            open: level[0],
            overdue: level[1],
        }
    }

    /// The share of issues that were closed in time: closed by the due day ÷ due.
    pub const fn on_time(&self) -> Ratio {
        Ratio { numerator: self.closed_by_due, denominator: self.due }
    }
}

/// How much of the data behind a figure has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Completeness {
    /// Active devices.
    pub devices: i64,
    /// Devices whose watermark is past the end of the period.
    pub complete: i64,
    /// The earliest watermark of the devices, Unix milliseconds. Everything captured before it has arrived.
    pub through_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_hypermarkets_or_twenty_four_chain_outlets_are_a_day() {
        let full = |done_hypermarket, done_chain| {
            VisitFigures { done_hypermarket, done_chain, ..Default::default() }.day_load().basis_points()
        };
        assert_eq!(full(8, 0), Some(10_000));
        assert_eq!(full(0, 24), Some(10_000));
        assert_eq!(full(4, 12), Some(10_000));
    }

    #[test]
    fn figures_round_trip_through_measures() {
        let figures = VisitFigures { planned: 1, done_chain: 9, timed: 4, ..Default::default() };
        assert_eq!(VisitFigures::from(figures.measures()), figures);
        let figures = ProductFigures { audited: 3, counted_units: -2, ..Default::default() };
        assert_eq!(ProductFigures::from(figures.measures()), figures);
    }

    #[test]
    fn nothing_audited_has_no_rate() {
        assert_eq!(ProductFigures::default().oos().percent(), "–");
        assert_eq!(Ratio { numerator: 10_517, denominator: 94_043 }.percent(), "11.18 %");
    }
}
