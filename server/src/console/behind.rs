//! What a figure is made of: the records behind it, found by their traces and counted by the very
//! function that filled the cells, so that a list always adds up to its figure.

use super::ask::Ask;
use super::failure::Failure;
use super::select::{FIRST_DAY, Link, Period, Whose};
use super::shell;
use crate::store::Owner;
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{KindId, OrgUnitId, OutletId};
use xundian_protocol::kinds::{self, Header, StockCount, StockMovement};
use xundian_protocol::record::{Home, Record, RecordKey};
use xundian_protocol::views::ledger::{At, Entry, Level, level_after};
use xundian_protocol::views::{Contribution, View};

/// Records that one page is made from; beyond it the page offers narrower choices.
const RECORDS_MAX: usize = 20_000;

/// A record and one of the parts that it adds to a figure.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Which record, in [`Behind::records`].
    record: usize,
    /// What it adds.
    pub(super) adds: Contribution,
}

/// The records behind some figures.
pub(super) struct Behind {
    records: Vec<Record>,
    /// What they add to the figures that were asked for, newest day first.
    pub(super) parts: Vec<Part>,
}

impl Behind {
    /// The record that adds a part.
    pub(super) fn record(&self, part: &Part) -> &Record {
        &self.records[part.record]
    }

    /// What is behind the figures of one view: for flows those of the period, for levels those since ever.
    pub(super) fn of(
        ask: &Ask,
        view: View,
        kinds: &[KindId],
        whose: Whose,
        period: Period,
    ) -> Result<Self, Failure> {
        let from = match view.nature() {
            xundian_protocol::views::Nature::Flow => period.from,
            xundian_protocol::views::Nature::Level => FIRST_DAY,
        };
        let days = Period { from, to: period.to };
        let mut behind = Self { records: Vec::new(), parts: Vec::new() };
        for key in keys(ask, whose, kinds, days)? {
            let Some(record) = ask.record(key)? else { continue };
            let Some(spec) = kinds::spec(key.kind) else { continue };
            let counts = |part: &Contribution| {
                part.view == view && days.contains(part.day) && whose.owns(&ask.directory, part)
            };
            let at = behind.records.len();
            let parts = (spec.contribute)(&record).into_iter().filter(counts);
            behind.parts.extend(parts.map(|adds| Part { record: at, adds }));
            behind.records.push(record);
        }
        Ok(behind)
    }
}

/// The keys of all records of some kinds that add to anything of `whose` on these days.
fn keys(ask: &Ask, whose: Whose, kinds: &[KindId], days: Period) -> Result<BTreeSet<RecordKey>, Failure> {
    let mut keys = BTreeSet::new();
    for owner in owners(ask, whose) {
        for kind in kinds {
            let traces =
                ask.server.traces(owner, Some(*kind), days.from, days.to).map_err(Failure::broken)?;
            keys.extend(traces.into_iter().map(|(_, key)| key));
        }
        if keys.len() > RECORDS_MAX {
            return Err(Failure::TooMany(narrower(ask, whose, days)));
        }
    }
    Ok(keys)
}

/// The leaves under which the store keeps the traces of these figures.
fn owners(ask: &Ask, whose: Whose) -> Vec<Owner> {
    match whose {
        Whose::Person(person) => vec![Owner::Person(person)],
        Whose::Outlet(outlet) => vec![Owner::Outlet(outlet)],
        _ => {
            let leaves = ask.directory.units().map(|(unit, _)| Some(unit)).chain([None]);
            leaves.filter(|leaf| whose.holds(&ask.directory, *leaf)).map(Owner::Unit).collect()
        }
    }
}

/// The same page about less.
fn narrower(ask: &Ask, whose: Whose, days: Period) -> Vec<(String, Link)> {
    let directory = &ask.directory;
    let about = |whose: Whose, period: Period| {
        let kept = ask.query.without("day");
        let kept = kept
            .filter(|(name, _)| !["from", "to", "unit", "own", "person", "outlet", "page"].contains(name));
        let link = kept.fold(Link::to(ask.path.clone()), |link, (name, value)| link.with(name, value));
        link.whose(whose).period(period)
    };
    let below: Vec<OrgUnitId> = match whose {
        Whose::Nation => {
            directory.units().filter(|(_, entry)| entry.unit_type.is_region()).map(|(id, _)| id).collect()
        }
        Whose::Unit(unit) => {
            directory.units().filter(|(_, entry)| entry.parent == Some(unit)).map(|(id, _)| id).collect()
        }
        _ => Vec::new(),
    };
    let shown = ask.period().unwrap_or(days);
    let mut choices: Vec<_> =
        below.into_iter().map(|unit| (ask.unit_name(unit), about(Whose::Unit(unit), shown))).collect();
    if let Whose::Unit(unit) = whose {
        let people = directory.people_within(unit, ask.today()).take(200);
        choices.extend(people.map(|person| (ask.person_name(person), about(Whose::Person(person), shown))));
    }
    if shown.days() > 1 {
        choices.push((shown.to.to_string(), about(whose, Period::day(shown.to))));
    }
    if choices.is_empty() {
        choices.push((ask.name(whose), whose.page().period(Period::day(shown.to))));
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
    /// The level, and whose last entry put it there.
    pub(super) level: Level,
}

/// The stock on hand at the end of a day, by outlet and product: the levels whose last entry counts to
/// `whose`. It walks the same timeline as the ingest.
pub(super) fn on_hand(ask: &Ask, whose: Whose, gtin: Option<u64>, day: Day) -> Result<Vec<OnHand>, Failure> {
    let kinds = [StockCount::SPEC.kind, StockMovement::SPEC.kind];
    let outlets: BTreeSet<OutletId> = match whose {
        Whose::Outlet(outlet) => BTreeSet::from([outlet]),
        _ => {
            let mut outlets = BTreeSet::new();
            for key in keys(ask, whose, &kinds, Period { from: FIRST_DAY, to: day })? {
                if let Some(Home::Outlet(outlet)) = ask.record(key)?.map(|record| record.home) {
                    outlets.insert(outlet);
                }
            }
            outlets
        }
    };
    let mut found = Vec::new();
    for outlet in outlets {
        for (gtin, level) in levels(ask, outlet, gtin, day)? {
            let unit_counts = || whose.holds(&ask.directory, ask.directory.unit_on(outlet, level.day));
            let counts = match whose {
                Whose::Outlet(_) => true,
                Whose::Person(person) => level.person == Some(person),
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
fn levels(ask: &Ask, outlet: OutletId, gtin: Option<u64>, day: Day) -> Result<BTreeMap<u64, Level>, Failure> {
    let mut entries: BTreeMap<u64, Vec<Entry>> = BTreeMap::new();
    for kind in [StockCount::SPEC.kind, StockMovement::SPEC.kind] {
        let records = ask.server.records_of_home(Home::Outlet(outlet), kind).map_err(Failure::broken)?;
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
    let at = At { captured_at_ms: header.captured_at_ms, stamp, record: record.key };
    let entry =
        |(gtin, stock)| (gtin, Entry { at, day: header.business_day, person: Some(header.actor), stock });
    (spec.stock)(record).into_iter().map(entry).collect()
}

/// The breadcrumbs of a list, with its own name at the end.
pub(super) fn crumbs(ask: &Ask, whose: Whose, period: Period, name: &str) -> Vec<maud::Markup> {
    let mut crumbs = shell::crumbs(ask, whose, Some(period));
    crumbs.push(maud::html! { (name) });
    crumbs
}
