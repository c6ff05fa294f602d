//! The second plan: what changed records do to the figures. What a record added before is taken back, what
//! it adds now is added (DESIGN section 6).

use super::{ChangedRecord, FigureChanges, Units};
use crate::store::Owner;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::OutletId;
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::{Home, Record};
use xundian_protocol::views::Contribution;
use xundian_protocol::views::ledger::{At, Entry};

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

/// What a record adds to the figures of one outlet; a route plan speaks of many.
pub(super) fn contributions_of(record: &Record, outlet: OutletId) -> impl Iterator<Item = Contribution> {
    contributions(record).into_iter().filter(move |contribution| contribution.outlet == Some(outlet))
}
