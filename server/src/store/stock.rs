//! How stock ledgers are stored: one row for everything a record states about an outlet's products, and one row for the
//! latest levels of an outlet.

use super::{StoreError, keys, rows};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::stock_ledger::{Entry, EntryKey, Level, Stock};
use xundian_protocol::ids::PersonId;
use xundian_protocol::wire::stored;

/// What one record states about the stock of an outlet, with the levels after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Its entry key in the ledgers of all its products.
    pub at: EntryKey,
    /// The business day.
    pub day: Day,
    /// Who recorded it.
    pub person: Option<PersonId>,
    /// Its products, by GTIN.
    pub lines: Vec<StatementLine>,
}

/// What a statement says about one product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatementLine {
    /// The product.
    pub gtin: u64,
    /// The count or movement.
    pub stock: Stock,
    /// Units on hand after it.
    pub units_after: i64,
}

impl Statement {
    /// A statement without lines, for an entry.
    pub(crate) const fn around(entry: &Entry) -> Self {
        Self { at: entry.at, day: entry.day, person: entry.person, lines: Vec::new() }
    }

    /// Whether it has the day and the person of an entry.
    pub(crate) fn is_of(&self, entry: &Entry) -> bool {
        (self.day, self.person) == (entry.day, entry.person)
    }

    /// The line of a product.
    pub(crate) fn line(&self, gtin: u64) -> Option<&StatementLine> {
        let at = self.lines.binary_search_by_key(&gtin, |line| line.gtin).ok()?;
        Some(&self.lines[at])
    }

    /// Whether it counts a product.
    pub(super) fn counts(&self, gtin: u64) -> bool {
        self.line(gtin).is_some_and(|line| matches!(line.stock, Stock::Counted(_)))
    }

    /// Sets a line; an existing one of the same product is replaced.
    pub(crate) fn put(&mut self, line: StatementLine) {
        match self.lines.binary_search_by_key(&line.gtin, |line| line.gtin) {
            Ok(at) => self.lines[at] = line,
            Err(at) => self.lines.insert(at, line),
        }
    }

    /// Removes the line of a product.
    pub(crate) fn remove(&mut self, gtin: u64) {
        self.lines.retain(|line| line.gtin != gtin);
    }

    /// A line as an entry of its product's ledger.
    pub(crate) const fn entry(&self, line: &StatementLine) -> Entry {
        Entry { at: self.at, day: self.day, person: self.person, stock: line.stock }
    }

    /// The person, then numbers: the day; for each line its GTIN minus the one before, 0 for counted or 1 for moved,
    /// the units, the units after it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut numbers = Vec::with_capacity(1 + 4 * self.lines.len());
        numbers.push(i64::from(self.day.0));
        let mut last = 0;
        for StatementLine { gtin, stock, units_after } in &self.lines {
            let (form, units) = match stock {
                Stock::Counted(units) => (0, *units),
                Stock::Moved(units) => (1, *units),
            };
            numbers.extend([(gtin - last).cast_signed(), form, units, *units_after]);
            last = *gtin;
        }
        [&rows::person_bytes(self.person)[..], &stored::encode_numbers(&numbers)].concat()
    }

    pub(super) fn decode(at: EntryKey, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::damaged("stock", "its layout");
        let (person, rest) = bytes.split_first_chunk::<16>().ok_or_else(damaged)?;
        let numbers = stored::decode_numbers(rest).map_err(|error| StoreError::damaged("stock", error))?;
        let (day, lines) = read_lines(&numbers).ok_or_else(damaged)?;
        Ok(Self { at, day, person: rows::person_of(*person), lines })
    }
}

fn read_lines(numbers: &[i64]) -> Option<(Day, Vec<StatementLine>)> {
    let (day, rest) = numbers.split_first()?;
    let (lines, []) = rest.as_chunks::<4>() else { return None };
    let mut gtin = 0u64;
    let line = |[step, form, units, units_after]: &[i64; 4]| {
        gtin = gtin.checked_add_signed(*step)?;
        let stock = match form {
            0 => Stock::Counted(*units),
            1 => Stock::Moved(*units),
            _ => return None,
        };
        Some(StatementLine { gtin, stock, units_after: *units_after })
    };
    Some((Day(i32::try_from(*day).ok()?), lines.iter().map(line).collect::<Option<_>>()?))
}

/// The latest level of a stock ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatestLevel {
    /// The key of the last entry.
    pub at: EntryKey,
    /// The level after it.
    pub level: Level,
}

/// The latest levels of an outlet, by GTIN.
pub type Levels = BTreeMap<u64, LatestLevel>;

/// The count of entry keys u32 (most lines share a few); each as key and person; then numbers: the day of each key; for
/// each product its GTIN minus the one before, which key, the units.
pub(super) fn encode_levels(levels: &Levels) -> Vec<u8> {
    let mut entries: Vec<LatestLevel> = Vec::new();
    let mut lines = Vec::with_capacity(3 * levels.len());
    let mut last = 0;
    for (gtin, latest) in levels {
        let is_here = |entry: &LatestLevel| entry.at == latest.at;
        let entry = entries.iter().rposition(is_here).unwrap_or_else(|| {
            entries.push(*latest);
            entries.len() - 1
        });
        lines.extend([(gtin - last).cast_signed(), (entry as u64).cast_signed(), latest.level.units]);
        last = *gtin;
    }
    let mut out = u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    for LatestLevel { at, level } in &entries {
        out.extend(keys::at(at));
        out.extend(rows::person_bytes(level.person));
    }
    let days = entries.iter().map(|entry| i64::from(entry.level.day.0));
    out.extend(stored::encode_numbers(&days.chain(lines).collect::<Vec<_>>()));
    out
}

pub(super) fn decode_levels(bytes: &[u8]) -> Result<Levels, StoreError> {
    let damaged = || StoreError::damaged("levels", "its layout");
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let mut entries = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (entry, after) = rest.split_first_chunk::<{ keys::AT_BYTES }>().ok_or_else(damaged)?;
        let (person, after) = after.split_first_chunk::<16>().ok_or_else(damaged)?;
        entries.push((keys::read_at(entry).ok_or_else(damaged)?, rows::person_of(*person)));
        rest = after;
    }
    let numbers = stored::decode_numbers(rest).map_err(|error| StoreError::damaged("levels", error))?;
    read_levels(&entries, &numbers).ok_or_else(damaged)
}

fn read_levels(entries: &[(EntryKey, Option<PersonId>)], numbers: &[i64]) -> Option<Levels> {
    let (days, rest) = numbers.split_at_checked(entries.len())?;
    let (lines, []) = rest.as_chunks::<3>() else { return None };
    let mut gtin = 0u64;
    let line = |[step, entry, units]: &[i64; 3]| {
        gtin = gtin.checked_add_signed(*step)?;
        let entry = usize::try_from(*entry).ok()?;
        let (at, person) = *entries.get(entry)?;
        let day = Day(i32::try_from(*days.get(entry)?).ok()?);
        Some((gtin, LatestLevel { at, level: Level { units: *units, day, person } }))
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xundian_protocol::clock::{Hlc, Stamp};
    use xundian_protocol::ids::{DeviceNo, KindId, RecordId};
    use xundian_protocol::record::RecordKey;

    fn at() -> impl Strategy<Value = EntryKey> {
        (any::<i64>(), any::<u64>(), any::<u32>(), 0..3u8).prop_map(
            |(captured_at_ms, hlc, device, record)| EntryKey {
                captured_at_ms,
                stamp: Stamp { hlc: Hlc(hlc), device: DeviceNo(device) },
                record: RecordKey { kind: KindId(record.into()), id: RecordId::from_bytes([record; 16]) },
            },
        )
    }

    fn person() -> impl Strategy<Value = Option<PersonId>> {
        prop::option::of((1..9u8).prop_map(|n| PersonId(RecordId::from_bytes([n; 16]))))
    }

    proptest! {
        #[test]
        fn statements_come_back(
            at in at(), day in any::<i32>(), person in person(),
            lines in prop::collection::btree_map(0..99_999_999_999_999u64, (any::<bool>(), any::<i64>(), any::<i64>()), 0..30),
        ) {
            let line = |(gtin, (counted, units, units_after))| {
                let stock = if counted { Stock::Counted(units) } else { Stock::Moved(units) };
                StatementLine { gtin, stock, units_after }
            };
            let statement = Statement { at, day: Day(day), person, lines: lines.into_iter().map(line).collect() };
            prop_assert_eq!(Statement::decode(at, &statement.encode()).expect("its own bytes"), statement);
        }

        #[test]
        fn levels_come_back(
            entries in prop::collection::vec((at(), any::<i32>(), person()), 1..4),
            lines in prop::collection::btree_map(0..99_999_999_999_999u64, (any::<prop::sample::Index>(), any::<i64>()), 0..30),
        ) {
            let line = |(gtin, (entry, units)): (u64, (prop::sample::Index, i64))| {
                let (at, day, person) = *entry.get(&entries);
                (gtin, LatestLevel { at, level: Level { units, day: Day(day), person } })
            };
            let levels: Levels = lines.into_iter().map(line).collect();
            prop_assert_eq!(decode_levels(&encode_levels(&levels)).expect("its own bytes"), levels);
        }

        #[test]
        fn other_bytes_are_an_error(at in at(), bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = (Statement::decode(at, &bytes), decode_levels(&bytes));
        }
    }
}
