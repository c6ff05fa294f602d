//! The second plan: what changed records do to the figures. What a record added before is taken back, what
//! it adds now is added (DESIGN section 6).

use super::{ChangedRecord, FigureChanges, Units};
use crate::store::{LatestLevel, Owner, StockEntry};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::OutletId;
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::{Home, Record};
use xundian_protocol::views::Contribution;
use xundian_protocol::views::ledger::{At, Entry, Level, changes, level_after};

/// What a record adds to the figures; nothing for a kind that this server does not know.
pub(super) fn contributions(record: &Record) -> Vec<Contribution> {
    kinds::spec(record.key.kind).map_or_else(Vec::new, |spec| (spec.contribute)(record))
}

/// Plans what changed records do to flows and to levels that depend on one record alone.
pub(crate) fn plan_figures(changed: &[ChangedRecord], units: &mut Units<'_>, out: &mut FigureChanges) {
    for change in changed {
        let key = change.new.key;
        let old = change.old.as_ref().map(|old| Said::by(&old.record)).unwrap_or_default();
        let new = Said::by(&change.new);
        if old == new {
            continue;
        }
        for contribution in &old.contributions {
            let unit = units.of(contribution);
            out.take_back(contribution, unit);
        }
        for contribution in &new.contributions {
            let unit = units.of(contribution);
            out.add(contribution, unit);
        }
        let mut count = |said: &Said, by: i32| {
            for (owner, day) in said.owners(units) {
                *out.traces.entry((owner, day, key)).or_default() += by;
            }
        };
        count(&old, -1);
        count(&new, 1);
    }
}

/// What a record says: what it adds to the figures, and where and when it speaks of stock.
#[derive(Default, PartialEq)]
struct Said {
    contributions: Vec<Contribution>,
    stock: Option<(OutletId, Entry)>,
}

impl Said {
    fn by(record: &Record) -> Self {
        let stock = stock_entries(record).first().map(|(outlet, _, entry)| (*outlet, *entry));
        Self { contributions: contributions(record), stock }
    }

    /// Whose figures it adds to, on which days; each once.
    fn owners(&self, units: &mut Units<'_>) -> Vec<(Owner, Day)> {
        let mut owners = Vec::new();
        let mut last = None;
        for contribution in &self.contributions {
            let place = (contribution.outlet, contribution.person, contribution.day, contribution.unit_on);
            // The lines of one record mostly speak of one place and day.
            if last.replace(place) == Some(place) {
                continue;
            }
            let day = contribution.day;
            owners.extend(contribution.person.map(|person| (Owner::Person(person), day)));
            if let Some(outlet) = contribution.outlet {
                owners.push((Owner::Outlet(outlet), day));
                owners.push((Owner::Unit(units.of(contribution)), day));
            }
        }
        if let Some((outlet, entry)) = &self.stock {
            owners.extend(entry.person.map(|person| (Owner::Person(person), entry.day)));
            owners.push((Owner::Outlet(*outlet), entry.day));
            owners.push((Owner::Unit(units.on(*outlet, entry.day)), entry.day));
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

/// Adds all that one record makes, from nothing: what `verify` compares the kept figures with.
pub(crate) fn recompute(record: &Record, units: &mut Units<'_>, out: &mut FigureChanges) {
    for contribution in contributions(record) {
        let unit = units.of(&contribution);
        out.add(&contribution, unit);
    }
    for (owner, day) in owners(record, units) {
        out.traces.insert((owner, day, record.key), 1);
    }
}

/// Whose figures a record adds to, on which days; each once.
pub(super) fn owners(record: &Record, units: &mut Units<'_>) -> Vec<(Owner, Day)> {
    Said::by(record).owners(units)
}

/// What a record says of the stock of products.
pub(crate) fn stock_entries(record: &Record) -> Vec<(OutletId, u64, Entry)> {
    let (Some(spec), Home::Outlet(outlet)) = (kinds::spec(record.key.kind), record.home) else {
        return Vec::new();
    };
    let said = (spec.stock)(record);
    let (false, Some(header), Some(stamp)) = (said.is_empty(), Header::read(record), record.newest()) else {
        return Vec::new();
    };
    let at = At { captured_at_ms: header.captured_at_ms, stamp, record: record.key.id };
    let entry = |(gtin, stock)| {
        (outlet, gtin, Entry { at, day: header.business_day, person: Some(header.actor), stock })
    };
    said.into_iter().map(entry).collect()
}

/// The entries of one timeline that a batch takes out and puts in.
#[derive(Default, Debug)]
pub(crate) struct Touched {
    pub(crate) remove: Vec<At>,
    pub(crate) insert: Vec<Entry>,
}

impl Touched {
    /// The first and the last place touched.
    pub(crate) fn span(&self) -> Option<(At, At)> {
        let places = || self.remove.iter().copied().chain(self.insert.iter().map(|entry| entry.at));
        Some((places().min()?, places().max()?))
    }
}

/// The timelines that changed records touch.
pub(crate) fn touched_stock(changed: &[ChangedRecord]) -> BTreeMap<(OutletId, u64), Touched> {
    let mut touched: BTreeMap<_, Touched> = BTreeMap::new();
    for change in changed {
        let old = change.old.as_ref().map_or_else(Vec::new, |old| stock_entries(&old.record));
        let new = stock_entries(&change.new);
        if old == new {
            continue;
        }
        for (outlet, gtin, entry) in old {
            touched.entry((outlet, gtin)).or_default().remove.push(entry.at);
        }
        for (outlet, gtin, entry) in new {
            touched.entry((outlet, gtin)).or_default().insert.push(entry);
        }
    }
    touched
}

/// One timeline: what is touched, and the stretch of it that this can move.
pub(crate) struct StockWork {
    pub(crate) outlet: OutletId,
    pub(crate) gtin: u64,
    pub(crate) touched: Touched,
    /// The level before the stretch.
    pub(crate) before: Option<(At, Level)>,
    /// The stretch as it stands.
    pub(crate) stretch: Vec<StockEntry>,
    /// The end of the timeline as it stands.
    pub(crate) latest: Option<LatestLevel>,
}

/// What becomes of a timeline: entries that come or go, and its new end where that moved.
pub(crate) struct StockPlan {
    pub(crate) entries: Vec<(At, Option<StockEntry>)>,
    pub(crate) latest: Option<Option<LatestLevel>>,
}

/// Plans one timeline: takes back all changes of the stretch and adds those of what stands in it after.
pub(crate) fn plan_stock(work: &StockWork, units: &mut Units<'_>, out: &mut FigureChanges) -> StockPlan {
    let StockWork { outlet, gtin, touched, before, stretch, latest } = work;
    let mut after: Vec<Entry> = stretch.iter().map(|stored| stored.entry).collect();
    after.retain(|entry| !touched.remove.contains(&entry.at));
    after.extend(&touched.insert);
    after.sort_by_key(|entry| entry.at);
    let level_before = before.map(|(_, level)| level);
    let mut walk = |entries: &[Entry], sign: i64, levels: &mut Vec<Level>| {
        let mut level = level_before;
        for entry in entries {
            for change in changes(*outlet, *gtin, level, entry) {
                let unit = units.of(&change);
                if sign > 0 {
                    out.add(&change, unit);
                } else {
                    out.take_back(&change, unit);
                }
            }
            let next = level_after(level, entry);
            levels.push(next);
            level = Some(next);
        }
    };
    let standing: Vec<Entry> = stretch.iter().map(|stored| stored.entry).collect();
    walk(&standing, -1, &mut Vec::new());
    let mut levels = Vec::new();
    walk(&after, 1, &mut levels);

    let gone = standing.iter().filter(|entry| !after.iter().any(|kept| kept.at == entry.at));
    let mut entries: Vec<(At, Option<StockEntry>)> = gone.map(|entry| (entry.at, None)).collect();
    for (entry, level) in after.iter().zip(&levels) {
        let stored = StockEntry { entry: *entry, units_after: level.units };
        if !stretch.contains(&stored) {
            entries.push((entry.at, Some(stored)));
        }
    }
    let last_standing = stretch.last().map(|stored| stored.entry.at).or(before.map(|(at, _)| at));
    let reaches_end = latest.is_none_or(|latest| last_standing == Some(latest.at));
    let end = || {
        let last = after.last().zip(levels.last());
        last.map(|(entry, level)| LatestLevel { at: entry.at, level: *level })
            .or_else(|| before.map(|(at, level)| LatestLevel { at, level }))
    };
    StockPlan { entries, latest: reaches_end.then(end) }
}

/// What a record adds to the figures of one outlet; a route plan speaks of many.
pub(super) fn contributions_of(record: &Record, outlet: OutletId) -> impl Iterator<Item = Contribution> {
    contributions(record).into_iter().filter(move |contribution| contribution.outlet == Some(outlet))
}
