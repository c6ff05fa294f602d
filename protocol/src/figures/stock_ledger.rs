//! The stock ledger: the stock of one product in one outlet over time. A count states a level, a movement changes it.
//!
//! A count states the whole stock of a product in the outlet, over all locations and lots of its lines. The level at a
//! day is the sum of the changes up to it, so the levels of several outlets can be summed. The change of an entry
//! depends only on the level before it. A late entry therefore affects only itself and the next count after it.

use super::{Contribution, Dimension, MeasureFamily, Measures};
use crate::calendar::Day;
use crate::clock::Stamp;
use crate::ids::{OutletId, PersonId};
use crate::record::RecordKey;

/// What an entry states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Stock {
    /// This many units are in the outlet.
    Counted(i64),
    /// This many units came in; negative if they left.
    Moved(i64),
}

/// The position of an entry in the timeline: first by captured time, then by stamp and record, so that all replicas
/// agree on the order (DOMAIN C4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct EntryKey {
    /// When it was captured, Unix milliseconds.
    pub captured_at_ms: i64,
    /// The stamp of the write.
    pub stamp: Stamp,
    /// The record. The records of a visit share their id, so the key contains the kind.
    pub record: RecordKey,
}

/// One entry of the timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its position.
    pub at: EntryKey,
    /// The business day.
    pub day: Day,
    /// Who recorded it.
    pub person: Option<PersonId>,
    /// What it states.
    pub stock: Stock,
}

/// The stock after an entry, and who recorded that entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// Units on hand.
    pub units: i64,
    /// The day of the last entry. It decides the unit that the stock counts towards.
    pub day: Day,
    /// Who recorded the last entry.
    pub person: Option<PersonId>,
}

/// Returns the level after `entry`, given the level before it.
pub fn level_after(before: Option<Level>, entry: &Entry) -> Level {
    let units = match entry.stock {
        Stock::Counted(units) => units,
        Stock::Moved(units) => before.map_or(0, |level| level.units).saturating_add(units),
    };
    Level { units, day: entry.day, person: entry.person }
}

/// The contributions of `entry`, on its day. The level after it is added to its person and unit. The level before it
/// is subtracted from the person and unit of the entry before.
pub fn changes(
    outlet: OutletId,
    gtin: u64,
    before: Option<Level>,
    entry: &Entry,
) -> impl Iterator<Item = Contribution> {
    let change = move |level: Level, units: i64| Contribution {
        family: MeasureFamily::Stock,
        outlet: Some(outlet),
        person: level.person,
        day: entry.day,
        unit_on: level.day,
        dimension: Dimension(gtin),
        measures: Measures::of(&[units]),
    };
    let goes = before.map(|level| change(level, level.units.wrapping_neg()));
    let after = level_after(before, entry);
    goes.into_iter().chain(std::iter::once(change(after, after.units)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Hlc;
    use crate::ids::{DeviceNo, KindId, RecordId};

    fn entry(day: i32, stock: Stock) -> Entry {
        let stamp = Stamp { hlc: Hlc(1), device: DeviceNo(1) };
        let at = EntryKey {
            captured_at_ms: i64::from(day),
            stamp,
            record: RecordKey { kind: KindId(11), id: RecordId::NIL },
        };
        Entry { at, day: Day(day), person: None, stock }
    }

    fn on_hand(entries: &[Entry], until: i32) -> i64 {
        let mut before = None;
        let mut sum = 0;
        for e in entries {
            for change in changes(OutletId(RecordId::NIL), 1, before, e) {
                if change.day <= Day(until) {
                    sum += change.measures.0[0];
                }
            }
            before = Some(level_after(before, e));
        }
        sum
    }

    #[test]
    fn the_level_of_a_day_is_the_last_count_plus_the_movements_since() {
        let entries = [
            entry(1, Stock::Counted(10)),
            entry(2, Stock::Moved(5)),
            entry(4, Stock::Counted(8)),
            entry(5, Stock::Moved(-3)),
        ];
        let levels: Vec<i64> = (0..7).map(|day| on_hand(&entries, day)).collect();
        assert_eq!(levels, [0, 10, 15, 15, 8, 5, 5]);
    }
}
