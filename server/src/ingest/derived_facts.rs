//! Facts derived from a record, shared by all planners: its contributions to figures and its stock entries.

use super::{ChangedRecord, Units};
use crate::store::Owner;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::Contribution;
use xundian_protocol::figures::stock_ledger::{Entry, EntryKey, Stock};
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::{Home, Record, RecordKey};

/// The facts derived from a record; none for a kind that this server does not know.
#[derive(Default, PartialEq)]
pub(crate) struct DerivedFacts {
    /// Its contributions to figures.
    pub(super) contributions: Vec<Contribution>,
    /// Its stock entries.
    pub(super) stock: Option<StockFacts>,
}

/// The stock of an outlet, as one record states it.
#[derive(PartialEq)]
pub(super) struct StockFacts {
    pub(super) outlet: OutletId,
    pub(super) at: EntryKey,
    day: Day,
    person: PersonId,
    /// The products, by GTIN.
    lines: Vec<(u64, Stock)>,
}

impl StockFacts {
    /// The lines as entries of their products' stock ledgers.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, Entry)> {
        let entry = |stock| Entry { at: self.at, day: self.day, person: Some(self.person), stock };
        self.lines.iter().map(move |(gtin, stock)| (*gtin, entry(*stock)))
    }
}

impl DerivedFacts {
    /// The facts of a record in its present state.
    pub(crate) fn by(record: &Record) -> Self {
        let Some(spec) = kinds::spec(record.key.kind) else { return Self::default() };
        let stock = |outlet, lines| {
            let (header, stamp) = (Header::read(record)?, record.newest()?);
            let at = EntryKey { captured_at_ms: header.captured_at_ms, stamp, record: record.key };
            Some(StockFacts { outlet, at, day: header.business_day, person: header.actor, lines })
        };
        let stock = match (record.home, (spec.stock)(record)) {
            (Home::Outlet(outlet), lines) if !lines.is_empty() => stock(outlet, lines),
            _ => None,
        };
        Self { contributions: (spec.contribute)(record), stock }
    }

    /// The owners and days of the figures that it contributes to; each once.
    pub(crate) fn owners(&self, units: &mut Units<'_>) -> Vec<(Owner, Day)> {
        let mut owners = Vec::new();
        // The lines of one record mostly share outlet and day.
        for group in self.contributions.chunk_by(is_same_owner_and_day) {
            let Contribution { outlet, person, day, .. } = group[0];
            owners.extend(person.map(|person| (Owner::Person(person), day)));
            if let Some(outlet) = outlet {
                owners.push((Owner::Outlet(outlet), day));
                owners.push((Owner::Unit(units.of(&group[0])), day));
            }
        }
        if let Some(StockFacts { outlet, day, person, .. }) = &self.stock {
            owners.push((Owner::Person(*person), *day));
            owners.push((Owner::Outlet(*outlet), *day));
            owners.push((Owner::Unit(units.on(*outlet, *day)), *day));
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

/// Whether two contributions go to cells that differ only in measure family and dimension.
pub(super) fn is_same_owner_and_day(a: &Contribution, b: &Contribution) -> bool {
    (a.outlet, a.person, a.day, a.unit_on) == (b.outlet, b.person, b.day, b.unit_on)
}

/// A changed record whose facts changed.
pub(crate) struct ChangedFacts {
    pub(super) key: RecordKey,
    pub(super) old: DerivedFacts,
    pub(super) new: DerivedFacts,
}

/// The changed records whose facts changed.
pub(crate) fn changed_facts(changed: &[ChangedRecord]) -> Vec<ChangedFacts> {
    let facts = |change: &ChangedRecord| {
        let old = change.old.as_ref().map(|old| DerivedFacts::by(&old.record)).unwrap_or_default();
        let new = DerivedFacts::by(&change.new);
        (old != new).then_some(ChangedFacts { key: change.new.key, old, new })
    };
    changed.iter().filter_map(facts).collect()
}
