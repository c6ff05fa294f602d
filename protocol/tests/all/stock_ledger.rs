//! The stock ledger: the changes of levels sum up to the stock.

use crate::examples::id;
use proptest::prelude::*;
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::figures::MeasureFamily;
use xundian_protocol::figures::stock_ledger::{Entry, EntryKey, Level, Stock, changes, level_after};
use xundian_protocol::ids::{DeviceNo, KindId, OutletId, PersonId, RecordId};
use xundian_protocol::record::RecordKey;

const GTIN: u64 = 6_901_234_567_892;
const DAYS: i32 = 12;

/// A timeline that is ordered by moment and by day.
fn timeline() -> impl Strategy<Value = Vec<Entry>> {
    let units = prop_oneof![8 => -50i64..200, 1 => any::<i64>()];
    let stock = (any::<bool>(), units)
        .prop_map(|(counted, n)| if counted { Stock::Counted(n) } else { Stock::Moved(n) });
    let entry = (0..DAYS, 0u8..3, stock).prop_map(|(day, person, stock)| {
        let at = EntryKey {
            captured_at_ms: i64::from(day),
            stamp: Stamp { hlc: Hlc(0), device: DeviceNo(u32::from(person)) },
            record: RecordKey { kind: KindId(11), id: RecordId::NIL },
        };
        Entry { at, day: Day(day), person: Some(PersonId(id(person))), stock }
    });
    prop::collection::vec(entry, 0..20).prop_map(|mut entries| {
        entries.sort_by_key(|entry| entry.day);
        entries
    })
}

/// Every change of a timeline: (day of the change, day that decides the unit, person, units).
fn all_changes(entries: &[Entry]) -> Vec<(Day, Day, Option<PersonId>, i64)> {
    let mut before: Option<Level> = None;
    let mut found = Vec::new();
    for entry in entries {
        for change in changes(OutletId(id(40)), GTIN, before, entry) {
            assert_eq!(
                (change.family, change.dimension.0, change.outlet),
                (MeasureFamily::Stock, GTIN, Some(OutletId(id(40))))
            );
            found.push((change.day, change.unit_on, change.person, change.measures.0[0]));
        }
        before = Some(level_after(before, entry));
    }
    found
}

fn level(entries: &[Entry], until: Day) -> Option<Level> {
    let until = entries.iter().filter(|entry| entry.day <= until);
    until.fold(None, |before, entry| Some(level_after(before, entry)))
}

proptest! {
    #[test]
    fn the_changes_up_to_a_day_sum_up_to_the_stock_of_that_day(entries in timeline()) {
        let changes = all_changes(&entries);
        for day in (-1..=DAYS).map(Day) {
            let sum = changes.iter().filter(|change| change.0 <= day).fold(0i64, |sum, change| sum.wrapping_add(change.3));
            prop_assert_eq!(sum, level(&entries, day).map_or(0, |level| level.units), "up to {:?}", day);
        }
    }

    #[test]
    fn all_stock_counts_for_the_person_of_the_last_entry_and_for_nobody_else(entries in timeline()) {
        let mut held: BTreeMap<(Day, Option<PersonId>), i64> = BTreeMap::new();
        for (_, unit_on, person, units) in all_changes(&entries) {
            let sum = held.entry((unit_on, person)).or_default();
            *sum = sum.wrapping_add(units);
        }
        held.retain(|_, units| *units != 0);
        let last = level(&entries, Day(DAYS)).filter(|level| level.units != 0);
        let expected: BTreeMap<_, _> = last.map(|level| ((level.day, level.person), level.units)).into_iter().collect();
        prop_assert_eq!(held, expected);
    }

    #[test]
    fn a_late_entry_changes_nothing_after_the_next_count(entries in timeline(), late in timeline()) {
        prop_assume!(!late.is_empty());
        let late = late[0];
        let place = entries.partition_point(|entry| entry.day <= late.day);
        let mut with = entries.clone();
        with.insert(place, late);
        let next_count = entries[place..].iter().position(|entry| matches!(entry.stock, Stock::Counted(_)));
        let Some(next_count) = next_count else { return Ok(()) };
        let after = |entries: &[Entry], until: usize| {
            entries[..until].iter().fold(None, |before, entry| Some(level_after(before, entry)))
        };
        let place = place + next_count + 1;
        prop_assert_eq!(after(&entries, place), after(&with, place + 1));
    }
}
