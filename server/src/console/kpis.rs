//! The KPIs of a page: the label of each, how it is written, and the list behind it.

use super::format;
use super::link::Link;
use super::params::{FigureScope, Period};
use super::request_context::RequestContext;
use super::texts as t;
use crate::figures::Figures;
use maud::{Markup, html};
use xundian_protocol::figures::Ratio;
use xundian_protocol::kinds::Label;

/// A figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kpi {
    Planned,
    Compliance,
    Visits,
    Done,
    Aborted,
    DayLoad,
    MeanTime,
    Audited,
    Absent,
    Osa,
    Oos,
    BackroomOnly,
    ShareOfShelf,
    Counts,
    CountedUnits,
    StockUnits,
    Raised,
    Closed,
    OnTime,
    Open,
    Overdue,
    Devices,
}

use Kpi::*;

/// The cards of a page, by their group.
pub(super) const CARDS: [(Label, &[Kpi]); 4] = [
    (t::VISITS, &[Planned, Visits, Done, Aborted, Compliance, DayLoad, MeanTime]),
    (t::SHELF, &[Audited, Absent, Osa, Oos, BackroomOnly, ShareOfShelf]),
    (t::STOCK, &[StockUnits, Counts, CountedUnits]),
    (t::ISSUES, &[Open, Overdue, Raised, Closed, OnTime]),
];

/// The columns of a table of units.
pub(super) const UNIT_COLUMNS: &[Kpi] = &[
    Devices, Planned, Done, Aborted, Compliance, DayLoad, MeanTime, Audited, Absent, Oos, StockUnits, Open,
    Overdue,
];

/// The columns of a table of people.
pub(super) const PEOPLE_COLUMNS: &[Kpi] =
    &[Planned, Done, Aborted, Compliance, DayLoad, MeanTime, Audited, Absent, Oos, CountedUnits, Raised];

/// How much attention a figure needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tone {
    Plain,
    Zero,
    Waiting,
    Bad,
}

impl Kpi {
    /// Its full name.
    pub(super) const fn label(self) -> Label {
        match self {
            Planned => t::PLANNED,
            Compliance => t::COMPLIANCE,
            Visits => t::ALL_VISITS,
            Done => t::DONE,
            Aborted => t::ABORTED,
            DayLoad => t::DAY_LOAD,
            MeanTime => t::MEAN_TIME,
            Audited => t::AUDITED,
            Absent => t::ABSENT,
            Osa => t::OSA,
            Oos => t::OOS,
            BackroomOnly => t::BACKROOM_ONLY,
            ShareOfShelf => t::SHARE_OF_SHELF,
            Counts => t::COUNTS,
            CountedUnits => t::COUNTED_UNITS,
            StockUnits => t::STOCK_UNITS,
            Raised => t::RAISED,
            Closed => t::CLOSED,
            OnTime => t::ON_TIME,
            Open => t::OPEN,
            Overdue => t::OVERDUE,
            Devices => t::DATA,
        }
    }

    /// Its column heading.
    const fn head(self) -> Label {
        match self {
            Compliance => t::COMPLIANCE_SHORT,
            MeanTime => t::MEAN_TIME_SHORT,
            StockUnits => t::STOCK,
            _ => self.label(),
        }
    }

    /// The number, if the figure is a count, which its list must add up to.
    pub(super) const fn count(self, figures: &Figures) -> Option<i64> {
        let (visits, products, issues) = (&figures.visits, &figures.products, &figures.issues);
        Some(match self {
            Planned => visits.planned,
            Visits => visits.visits,
            Done => visits.done,
            Aborted => visits.aborted,
            Audited => products.audited,
            Absent => products.absent,
            BackroomOnly => products.backroom_only,
            Counts => products.counts,
            CountedUnits => products.counted_units,
            StockUnits => figures.stock_units,
            Raised => issues.raised,
            Closed => issues.closed,
            Open => issues.open,
            Overdue => issues.overdue,
            Compliance | DayLoad | MeanTime | Osa | Oos | ShareOfShelf | OnTime | Devices => return None,
        })
    }

    const fn ratio(self, figures: &Figures) -> Option<Ratio> {
        Some(match self {
            Compliance => figures.visits.call_compliance(),
            Osa => figures.products.osa(),
            Oos => figures.products.oos(),
            ShareOfShelf => figures.products.share_of_shelf(),
            OnTime => figures.issues.on_time(),
            _ => return None,
        })
    }

    /// The figure as text.
    pub(super) fn text(self, ctx: &RequestContext, figures: &Figures) -> String {
        if let Some(count) = self.count(figures) {
            return format::grouped(count);
        }
        if let Some(ratio) = self.ratio(figures) {
            return format::percent(ratio);
        }
        match self {
            DayLoad => format!("{} {}", format::decimal(figures.visits.day_load()), ctx.t(t::DAYS_UNIT)),
            MeanTime => {
                let seconds = figures.visits.mean_time_in_store_s();
                seconds.map_or_else(|| "–".into(), |seconds| format::duration(seconds * 1000))
            }
            _ => format!("{}/{}", figures.completeness.complete, figures.completeness.devices),
        }
    }

    /// The numerator and denominator of a ratio, in the small print of its card.
    fn small_print(self, ctx: &RequestContext, figures: &Figures) -> Option<String> {
        match self {
            DayLoad => Some(ctx.t(t::DAY_LOAD_HINT).into()),
            MeanTime => Some(format!("{} {}", format::grouped(figures.visits.timed), ctx.t(t::ROWS))),
            _ => {
                let ratio = self.ratio(figures)?;
                Some(format!("{} / {}", format::grouped(ratio.numerator), format::grouped(ratio.denominator)))
            }
        }
    }

    fn tone(self, figures: &Figures) -> Tone {
        match (self, self.count(figures)) {
            (Overdue, Some(1..)) => Tone::Bad,
            (_, Some(0)) => Tone::Zero,
            (Devices, _) if figures.completeness.complete < figures.completeness.devices => Tone::Waiting,
            _ => Tone::Plain,
        }
    }

    /// The link to the list behind the figure.
    pub(super) fn link(self, scope: FigureScope, period: Period) -> Link {
        let visits = |what| Link::to("/visits").with("what", what);
        let products = |what| Link::to("/products").with("what", what);
        let issues = |state| Link::to("/issues").with("state", state);
        let link = match self {
            Planned | Compliance => visits("planned"),
            Visits => visits("all"),
            Done => visits("done"),
            Aborted => visits("aborted"),
            DayLoad => visits("load"),
            MeanTime => visits("timed"),
            Audited | Osa => products("audited"),
            Absent | Oos => products("absent"),
            BackroomOnly => products("backroom"),
            ShareOfShelf => products("facings"),
            Counts => products("counts"),
            CountedUnits => products("counted"),
            StockUnits => products("stock"),
            Raised => issues("raised"),
            Closed => issues("closed"),
            OnTime => issues("due"),
            Open => issues("open"),
            Overdue => issues("overdue"),
            Devices => Link::to("/devices"),
        };
        link.scope(scope).period(period)
    }

    /// The figure as a link to its list.
    fn anchor(self, ctx: &RequestContext, scope: FigureScope, period: Period, figures: &Figures) -> Markup {
        if let (Devices, FigureScope::UnitOwn(_)) = (self, scope) {
            // People belong to units; nobody belongs to a unit's own outlets alone.
            return html! { "–" };
        }
        let tone = self.tone(figures);
        let link = self.link(scope, period);
        html! {
            a.figure .zero[tone == Tone::Zero] .waiting[tone == Tone::Waiting] .bad[tone == Tone::Bad] href=(link) { (self.text(ctx, figures)) }
        }
    }
}

/// The cards of all totals.
pub(super) fn cards(ctx: &RequestContext, scope: FigureScope, period: Period, figures: &Figures) -> Markup {
    html! {
        div.groups {
            @for (title, kpis) in CARDS {
                section.group {
                    h2 { (ctx.t(title)) }
                    dl.cards {
                        @for kpi in kpis {
                            div.card {
                                dt { (ctx.t(kpi.label())) }
                                dd {
                                    (kpi.anchor(ctx, scope, period, figures))
                                    @if let Some(small) = kpi.small_print(ctx, figures) { small { (small) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table of figures: a row for each of `rows`, and `total` in the footer.
pub(super) fn table(
    ctx: &RequestContext,
    head: Label,
    columns: &[Kpi],
    period: Period,
    rows: &[(FigureScope, Figures)],
    total: Option<(FigureScope, &Figures)>,
) -> Markup {
    let cells = |scope, figures: &Figures| {
        html! { @for kpi in columns { td.n { (kpi.anchor(ctx, scope, period, figures)) } } }
    };
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { (ctx.t(head)) } @for kpi in columns { th.n scope="col" { (ctx.t(kpi.head())) } } } }
                tbody {
                    @for (scope, figures) in rows {
                        tr { th scope="row" { (ctx.link(*scope, Some(period))) } (cells(*scope, figures)) }
                    }
                    @if rows.is_empty() { tr { td.empty colspan=(columns.len() + 1) { (ctx.t(t::NOTHING)) } } }
                }
                @if let Some((scope, figures)) = total {
                    tfoot { tr { th scope="row" { (ctx.t(t::TOTAL)) } (cells(scope, figures)) } }
                }
            }
        }
    }
}

/// How complete the figures are: "41/44 台设备，数据至 17:00".
pub(super) fn completeness(
    ctx: &RequestContext,
    scope: FigureScope,
    period: Period,
    figures: &Figures,
) -> Markup {
    let found = &figures.completeness;
    let through = found.through_ms.map(|ms| format::time_at(ctx, ms, None, Some(period.to)));
    let partial = found.complete < found.devices;
    let comma = if ctx.lang == super::texts::Lang::Zh { "，" } else { ", " };
    html! {
        p.completeness.partial[partial] {
            @if found.devices == 0 {
                (ctx.t(t::NO_DEVICES))
            } @else {
                a href=(Devices.link(scope, period)) {
                    (found.complete) "/" (found.devices) " " (ctx.t(t::DEVICES)) (comma)
                    @match through {
                        Some(through) => { (ctx.t(t::DATA_THROUGH)) " " (through) }
                        None => (ctx.t(t::NEVER_SYNCED)),
                    }
                }
            }
        }
    }
}
