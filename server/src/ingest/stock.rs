//! The third plan: how changed records change the stock ledgers of outlets, and the levels by day.
//!
//! Most counts are newer than all before; then the latest levels are enough. A late entry changes itself and what
//! follows it up to the next count.

use super::derived_facts::{ChangedFacts, DerivedFacts};
use super::{FigureChanges, Sign, Units};
use crate::store::{LatestLevel, Levels, Statement, StatementLine};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::figures::Contribution;
use xundian_protocol::figures::stock_ledger::{Entry, EntryKey, Level, changes, level_after};
use xundian_protocol::ids::OutletId;

/// The entries of one product's ledger that a batch removes and adds.
#[derive(Default, Debug)]
pub(crate) struct Touched {
    remove: Vec<EntryKey>,
    insert: Vec<Entry>,
}

impl Touched {
    /// The first and the last entry touched.
    fn span(&self) -> Option<(EntryKey, EntryKey)> {
        let places = || self.remove.iter().copied().chain(self.insert.iter().map(|entry| entry.at));
        Some((places().min()?, places().max()?))
    }
}

/// What a batch touches in one outlet, by GTIN.
pub(crate) type TouchedProducts = BTreeMap<u64, Touched>;

/// What a batch touches, by outlet.
#[derive(Default, Debug)]
pub(crate) struct TouchedStock(pub(crate) BTreeMap<OutletId, TouchedProducts>);

impl TouchedStock {
    /// The ledgers that changed records touch.
    pub(crate) fn by(changes: &[ChangedFacts]) -> Self {
        let mut touched = Self::default();
        for ChangedFacts { old, new, .. } in
            changes.iter().filter(|change| change.old.stock != change.new.stock)
        {
            touched.say(old, Sign::TakeBack);
            touched.say(new, Sign::Add);
        }
        touched
    }

    /// Adds what a record states, or removes it.
    pub(crate) fn say(&mut self, facts: &DerivedFacts, sign: Sign) {
        let Some(stock) = &facts.stock else { return };
        let products = self.0.entry(stock.outlet).or_default();
        for (gtin, entry) in stock.entries() {
            let touched = products.entry(gtin).or_default();
            match sign {
                Sign::Add => touched.insert.push(entry),
                Sign::TakeBack => touched.remove.push(entry.at),
            }
        }
    }
}

/// What must be loaded beside an outlet's latest levels.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Late {
    /// The products touched before the end of their ledger.
    pub(crate) products: BTreeSet<u64>,
    /// The first entry touched.
    pub(crate) first: EntryKey,
    /// The last entry touched.
    pub(crate) last: EntryKey,
}

/// The late part of what is touched; `None` on most days.
pub(crate) fn late(touched: &TouchedProducts, levels: &Levels) -> Option<Late> {
    let mut late: Option<Late> = None;
    for (gtin, touched) in touched {
        let Some((first, last)) = touched.span() else { continue };
        if levels.get(gtin).is_none_or(|latest| latest.at < first) {
            continue;
        }
        let late = late.get_or_insert_with(|| Late { products: BTreeSet::new(), first, last });
        late.products.insert(*gtin);
        late.first = late.first.min(first);
        late.last = late.last.max(last);
    }
    late
}

/// The stock of one outlet, as far as a batch can change it.
#[derive(Default, Debug)]
pub(crate) struct OutletStock {
    /// Its latest levels.
    pub(crate) levels: Levels,
    /// The statements around late entries (see [`Late`]).
    pub(crate) statements: BTreeMap<EntryKey, Statement>,
}

/// The outcome for an outlet's stock: statements that are added, changed or removed, and the new latest levels.
pub(crate) struct StockPlan {
    pub(crate) statements: Vec<(EntryKey, Option<Statement>)>,
    pub(crate) levels: Levels,
}

/// Plans one outlet: takes back all changes of the affected stretches, and adds those of the new entries.
pub(crate) fn plan_stock(
    outlet: OutletId,
    touched: &TouchedProducts,
    stock: OutletStock,
    units: &mut Units<'_>,
    out: &mut FigureChanges,
) -> StockPlan {
    let OutletStock { mut levels, statements: standing } = stock;
    let mut statements = standing.clone();
    let mut moved = BTreeSet::new();
    let (mut goes, mut comes) = (Vec::new(), Vec::new());
    for (gtin, touched) in touched {
        let Some((first, _)) = touched.span() else { continue };
        let timeline = Timeline::around(*gtin, first, levels.get(gtin), &standing);
        let after = timeline.after(touched);
        timeline.changes(outlet, &timeline.stretch, &mut goes);
        timeline.changes(outlet, &after, &mut comes);
        for gone in timeline.stretch.iter().filter(|gone| !after.iter().any(|kept| kept.at == gone.at)) {
            moved.insert(gone.at);
            if let Some(statement) = statements.get_mut(&gone.at) {
                statement.remove(*gtin);
            }
        }
        let mut level = timeline.before.map(|before| before.level);
        for entry in &after {
            let next = level_after(level, entry);
            let line = StatementLine { gtin: *gtin, stock: entry.stock, units_after: next.units };
            let statement = statements.entry(entry.at).or_insert_with(|| Statement::around(entry));
            if statement.line(*gtin) != Some(&line) || !statement.is_of(entry) {
                (statement.day, statement.person) = (entry.day, entry.person);
                statement.put(line);
                moved.insert(entry.at);
            }
            level = Some(next);
        }
        if timeline.reaches_end {
            let end = after.last().zip(level).map(|(last, level)| LatestLevel { at: last.at, level });
            match end.or(timeline.before) {
                Some(end) => levels.insert(*gtin, end),
                None => levels.remove(gtin),
            };
        }
    }
    for (mut changes, sign) in [(goes, Sign::TakeBack), (comes, Sign::Add)] {
        // Changes of one person and day are then adjacent, however many products there are.
        changes.sort_by_key(|change| (change.day, change.unit_on, change.person));
        out.count(&changes, sign, units);
    }
    let after = |at: EntryKey| (at, statements.remove(&at).filter(|statement| !statement.lines.is_empty()));
    StockPlan { statements: moved.into_iter().map(after).collect(), levels }
}

/// What all statements of an outlet, oldest first, contribute to the levels by day.
pub(crate) fn stock_changes(outlet: OutletId, statements: &[Statement]) -> Vec<Contribution> {
    let mut levels: BTreeMap<u64, Level> = BTreeMap::new();
    let mut found = Vec::new();
    for (statement, line) in statements.iter().flat_map(|of| of.lines.iter().map(move |line| (of, line))) {
        let (entry, level) = (statement.entry(line), levels.get(&line.gtin).copied());
        found.extend(changes(outlet, line.gtin, level, &entry));
        levels.insert(line.gtin, level_after(level, &entry));
    }
    found
}

/// The part of one product's ledger that a batch changes, before the change.
struct Timeline {
    gtin: u64,
    /// The level before the stretch.
    before: Option<LatestLevel>,
    stretch: Vec<Entry>,
    /// Whether the stretch reaches the end of the ledger.
    reaches_end: bool,
}

impl Timeline {
    /// The part from `first` on. If nothing is late, that is the end.
    fn around(
        gtin: u64,
        first: EntryKey,
        latest: Option<&LatestLevel>,
        statements: &BTreeMap<EntryKey, Statement>,
    ) -> Self {
        if latest.is_none_or(|latest| latest.at < first) {
            return Self { gtin, before: latest.copied(), stretch: Vec::new(), reaches_end: true };
        }
        let line = |statement: &Statement| statement.line(gtin).map(|line| (statement.entry(line), *line));
        let before = statements.range(..first).rev().find_map(|(_, statement)| line(statement));
        let before = before.map(|(entry, line)| LatestLevel {
            at: entry.at,
            level: Level { units: line.units_after, day: entry.day, person: entry.person },
        });
        let stretch: Vec<Entry> =
            statements.range(first..).filter_map(|(_, statement)| Some(line(statement)?.0)).collect();
        let last = stretch.last().map(|entry| entry.at).or(before.map(|before| before.at));
        Self { gtin, before, stretch, reaches_end: latest.map(|latest| latest.at) == last }
    }

    /// The stretch after the batch.
    fn after(&self, touched: &Touched) -> Vec<Entry> {
        let stays = |entry: &&Entry| {
            !touched.remove.contains(&entry.at) && !touched.insert.iter().any(|new| new.at == entry.at)
        };
        let mut after: Vec<Entry> =
            self.stretch.iter().filter(stays).chain(&touched.insert).copied().collect();
        after.sort_by_key(|entry| entry.at);
        after
    }

    /// What entries in place of the stretch contribute to the levels by day.
    fn changes(&self, outlet: OutletId, entries: &[Entry], found: &mut Vec<Contribution>) {
        let mut level = self.before.map(|before| before.level);
        for entry in entries {
            found.extend(changes(outlet, self.gtin, level, entry));
            level = Some(level_after(level, entry));
        }
    }
}
