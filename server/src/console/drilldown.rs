//! The drill-down of a figure: the records behind it, found through provenance and evaluated by the same function that
//! filled the cells, so that a list always adds up to its figure.

use super::error::PageError;
use super::layout;
use super::link::Link;
use super::params::{FIRST_DAY, FigureScope, Period};
use super::request_context::RequestContext;
use crate::store::Owner;
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::stock_ledger::{Entry, EntryKey, Level, level_after};
use xundian_protocol::figures::{Contribution, MeasureFamily};
use xundian_protocol::ids::{KindId, OrgUnitId, OutletId};
use xundian_protocol::kinds::{self, Header, StockCount, StockMovement};
use xundian_protocol::record::{Home, Record, RecordKey};

/// The most records that one page is made from; beyond it the page offers narrower choices.
const RECORDS_MAX: usize = 20_000;

/// A record and one of its contributions to a figure.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The record, as an index into [`DrillDown::records`].
    record: usize,
    /// The contribution.
    pub(super) adds: Contribution,
}

/// The records behind some figures.
pub(super) struct DrillDown {
    records: Vec<Record>,
    /// Their contributions to the requested figures, newest day first.
    pub(super) parts: Vec<Part>,
}

impl DrillDown {
    /// The record of a contribution.
    pub(super) fn record(&self, part: &Part) -> &Record {
        &self.records[part.record]
    }

    /// What is behind the figures of one measure family: for flows within the period, for levels since the beginning.
    pub(super) fn of(
        ctx: &RequestContext,
        family: MeasureFamily,
        kinds: &[KindId],
        scope: FigureScope,
        period: Period,
    ) -> Result<Self, PageError> {
        let from = match family.nature() {
            xundian_protocol::figures::Nature::Flow => period.from,
            xundian_protocol::figures::Nature::Level => FIRST_DAY,
        };
        let days = Period { from, to: period.to };
        let mut drilldown = Self { records: Vec::new(), parts: Vec::new() };
        for key in keys(ctx, scope, kinds, days)? {
            let Some(record) = ctx.record(key)? else { continue };
            let Some(spec) = kinds::spec(key.kind) else { continue };
            let counts = |part: &Contribution| {
                part.family == family && days.contains(part.day) && scope.owns(&ctx.directory, part)
            };
            let at = drilldown.records.len();
            let parts = (spec.contribute)(&record).into_iter().filter(counts);
            drilldown.parts.extend(parts.map(|adds| Part { record: at, adds }));
            drilldown.records.push(record);
        }
        Ok(drilldown)
    }
}

/// The keys of all records of some kinds that contribute to any figure of `scope` on these days.
fn keys(
    ctx: &RequestContext,
    scope: FigureScope,
    kinds: &[KindId],
    days: Period,
) -> Result<BTreeSet<RecordKey>, PageError> {
    let mut keys = BTreeSet::new();
    for owner in owners(ctx, scope) {
        for kind in kinds {
            let provenance =
                ctx.server.provenance(owner, Some(*kind), days.from, days.to).map_err(PageError::internal)?;
            keys.extend(provenance.into_iter().map(|(_, key)| key));
        }
        if keys.len() > RECORDS_MAX {
            return Err(PageError::TooMany(narrower(ctx, scope, days)));
        }
    }
    Ok(keys)
}

/// The owners under which the store keeps the provenance of these figures.
fn owners(ctx: &RequestContext, scope: FigureScope) -> Vec<Owner> {
    match scope {
        FigureScope::Person(person) => vec![Owner::Person(person)],
        FigureScope::Outlet(outlet) => vec![Owner::Outlet(outlet)],
        _ => {
            let leaves = ctx.directory.units().map(|(unit, _)| Some(unit)).chain([None]);
            leaves.filter(|leaf| scope.holds(&ctx.directory, *leaf)).map(Owner::Unit).collect()
        }
    }
}

/// The same page for a narrower scope or period.
fn narrower(ctx: &RequestContext, scope: FigureScope, days: Period) -> Vec<(String, Link)> {
    let directory = &ctx.directory;
    let about = |scope: FigureScope, period: Period| {
        let kept = ctx.query.without("day");
        let kept = kept
            .filter(|(name, _)| !["from", "to", "unit", "own", "person", "outlet", "page"].contains(name));
        let link = kept.fold(Link::to(ctx.path.clone()), |link, (name, value)| link.with(name, value));
        link.scope(scope).period(period)
    };
    let below: Vec<OrgUnitId> = match scope {
        FigureScope::Nation => {
            directory.units().filter(|(_, entry)| entry.unit_type.is_region()).map(|(id, _)| id).collect()
        }
        FigureScope::Unit(unit) => {
            directory.units().filter(|(_, entry)| entry.parent == Some(unit)).map(|(id, _)| id).collect()
        }
        _ => Vec::new(),
    };
    let shown = ctx.period().unwrap_or(days);
    let mut choices: Vec<_> =
        below.into_iter().map(|unit| (ctx.unit_name(unit), about(FigureScope::Unit(unit), shown))).collect();
    if let FigureScope::Unit(unit) = scope {
        let people = directory.people_within(unit, ctx.today()).take(200);
        choices.extend(
            people.map(|person| (ctx.person_name(person), about(FigureScope::Person(person), shown))),
        );
    }
    if shown.days() > 1 {
        choices.push((shown.to.to_string(), about(scope, Period::day(shown.to))));
    }
    if choices.is_empty() {
        choices.push((ctx.name(scope), scope.page().period(Period::day(shown.to))));
    }
    choices
}

/// The stock of one product in one outlet.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnHand {
    /// The outlet.
    pub(super) outlet: OutletId,
    /// Its GTIN.
    pub(super) gtin: u64,
    /// The level, and the person and unit of its last entry.
    pub(super) level: Level,
}

/// The stock on hand at the end of a day, by outlet and product: the levels whose last entry belongs to `scope`. It
/// uses the same stock ledger as ingest.
pub(super) fn on_hand(
    ctx: &RequestContext,
    scope: FigureScope,
    gtin: Option<u64>,
    day: Day,
) -> Result<Vec<OnHand>, PageError> {
    let kinds = [StockCount::SPEC.kind, StockMovement::SPEC.kind];
    let outlets: BTreeSet<OutletId> = match scope {
        FigureScope::Outlet(outlet) => BTreeSet::from([outlet]),
        _ => {
            let mut outlets = BTreeSet::new();
            for key in keys(ctx, scope, &kinds, Period { from: FIRST_DAY, to: day })? {
                if let Some(Home::Outlet(outlet)) = ctx.record(key)?.map(|record| record.home) {
                    outlets.insert(outlet);
                }
            }
            outlets
        }
    };
    let mut found = Vec::new();
    for outlet in outlets {
        for (gtin, level) in levels(ctx, outlet, gtin, day)? {
            let unit_counts = || scope.holds(&ctx.directory, ctx.directory.unit_on(outlet, level.day));
            let counts = match scope {
                FigureScope::Outlet(_) => true,
                FigureScope::Person(person) => level.person == Some(person),
                _ => unit_counts(),
            };
            if counts {
                found.push(OnHand { outlet, gtin, level });
            }
        }
    }
    Ok(found)
}

/// The levels of one outlet at the end of a day, by product.
fn levels(
    ctx: &RequestContext,
    outlet: OutletId,
    gtin: Option<u64>,
    day: Day,
) -> Result<BTreeMap<u64, Level>, PageError> {
    let mut entries: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    for kind in [StockCount::SPEC.kind, StockMovement::SPEC.kind] {
        let records = ctx.server.records_of_home(Home::Outlet(outlet), kind).map_err(PageError::internal)?;
        for record in records {
            for (product, entry) in entries_of(&record) {
                if entry.day <= day && gtin.is_none_or(|gtin| gtin == product) {
                    entries.entry(product).or_default().push(entry);
                }
            }
        }
    }
    let mut levels = BTreeMap::new();
    for (product, mut timeline) in entries {
        timeline.sort_by_key(|entry| entry.at);
        let level = timeline.iter().fold(None, |before, entry| Some(level_after(before, entry)));
        levels.extend(level.map(|level| (product, level)));
    }
    Ok(levels)
}

fn entries_of(record: &Record) -> Vec<(u64, Entry)> {
    let (Some(spec), Some(header), Some(stamp)) =
        (kinds::spec(record.key.kind), Header::read(record), record.newest())
    else {
        return Vec::new();
    };
    let at = EntryKey { captured_at_ms: header.captured_at_ms, stamp, record: record.key };
    let entry =
        |(gtin, stock)| (gtin, Entry { at, day: header.business_day, person: Some(header.actor), stock });
    (spec.stock)(record).into_iter().map(entry).collect()
}

/// The breadcrumbs of a list, ending with its own name.
pub(super) fn crumbs(
    ctx: &RequestContext,
    scope: FigureScope,
    period: Period,
    name: &str,
) -> Vec<maud::Markup> {
    let mut crumbs = layout::crumbs(ctx, scope, Some(period));
    crumbs.push(maud::html! { (name) });
    crumbs
}
