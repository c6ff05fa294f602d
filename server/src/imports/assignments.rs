//! `import assignments`: which position is responsible for which outlet 门店分配, from when to when.

use super::current_records::{Codes, CurrentRecords, NO_OUTLET, id_of};
use super::draft_record::{DraftRecord, Filled};
use super::row_reader::RowReader;
use super::rows::Table;
use super::{Checked, ImportError};
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PositionId};
use xundian_protocol::kinds::{Entity, OutletAssignment};
use xundian_protocol::record::{Home, RecordKey};

const FIELDS: &[Filled] =
    &[("to", OutletAssignment::SPEC.tag_of("to")), ("reason", OutletAssignment::SPEC.tag_of("reason"))];

struct Entry {
    place: usize,
    line: usize,
    key: RecordKey,
    outlet: OutletId,
    position: PositionId,
    from: Day,
    to: Option<Day>,
    epoch: Option<i64>,
    reason: Option<String>,
}

pub(super) fn check(
    table: &Table,
    directory: &Directory,
    standing: &impl CurrentRecords,
) -> Result<Checked, ImportError> {
    let codes = Codes::of(directory);
    let mut checked = Checked::default();
    let mut keys = BTreeMap::new();
    let mut entries = Vec::new();
    for (place, row) in table.rows.iter().enumerate() {
        let mut cells = RowReader::new(table, row);
        let entry = read(&mut cells, &codes, place);
        if let Some(first) = entry.as_ref().and_then(|entry| keys.insert(entry.key, entry.line)) {
            cells.refuse(
                "outlet",
                format!("is assigned to this position from this day on line {first} already"),
            );
        }
        entries.extend(entry.filter(|_| !cells.is_bad()));
        checked.bad.append(&mut cells.into_bad());
    }
    // Later assignments get the greater number, in whatever order the file has them.
    entries.sort_by_key(|entry| (entry.outlet, entry.from, entry.place));
    let mut epochs = Epochs { directory, taken: BTreeMap::new() };
    for entry in entries {
        let stands = standing.record(entry.key)?.map(|record| OutletAssignment::read(&record));
        match epochs.give(&entry, stands.and_then(|record| record.epoch)) {
            Ok(epoch) => checked.drafts.push((entry.line, draft(table, entry, epoch))),
            Err(reason) => {
                let mut cells = RowReader::new(table, &table.rows[entry.place]);
                cells.refuse("epoch", reason);
                checked.bad.append(&mut cells.into_bad());
            }
        }
    }
    Ok(checked)
}

fn read(cells: &mut RowReader<'_>, codes: &Codes, place: usize) -> Option<Entry> {
    let outlet = cells.required_name("outlet", &codes.outlets, NO_OUTLET);
    let no_position = "no position has this code: import the organisation first";
    let position = cells.required_name("position", &codes.positions, no_position);
    cells.require("from");
    let (from, to) = (cells.day("from"), cells.day("to"));
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        cells.refuse("to", "is before the first day");
    }
    let (epoch, reason) = (cells.int("epoch", 1, i64::from(i32::MAX)), cells.text("reason"));
    let (from, (outlet_code, outlet), (position_code, position)) = (from?, outlet?, position?);
    let id = id_of::<OutletAssignment>(&[&outlet_code, &position_code, &from.to_string()]);
    let key = OutletAssignment::key(id);
    Some(Entry { place, line: cells.line(), key, outlet, position, from, to, epoch, reason })
}

/// The given handover numbers, by outlet.
struct Epochs<'a> {
    directory: &'a Directory,
    taken: BTreeMap<OutletId, BTreeMap<i64, usize>>,
}

impl Epochs<'_> {
    /// The number of an assignment: from the file, else from the current record, else the next one.
    fn give(&mut self, entry: &Entry, stands: Option<i64>) -> Result<i64, String> {
        let greatest = self.directory.assignments(entry.outlet).map(|found| found.epoch).max();
        let taken = self.taken.entry(entry.outlet).or_default();
        let next = 1 + greatest.max(taken.keys().next_back().copied()).unwrap_or(0);
        let epoch = entry.epoch.or(stands).unwrap_or(next);
        if let Some(line) = taken.get(&epoch) {
            return Err(format!("{epoch} is the number of the assignment on line {line} already"));
        }
        taken.insert(epoch, entry.line);
        Ok(epoch)
    }
}

fn draft(table: &Table, entry: Entry, epoch: i64) -> DraftRecord {
    let says = OutletAssignment {
        position: Some(entry.position),
        epoch: Some(epoch),
        from: Some(entry.from),
        to: entry.to,
        reason: entry.reason,
    };
    DraftRecord::new(entry.key, Home::Outlet(entry.outlet), &says, table, FIELDS)
}
