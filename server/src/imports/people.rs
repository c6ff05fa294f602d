//! `import people`: staff 人员 and the positions that they hold.

use super::Checked;
use super::current_records::{Codes, Seen, id_of};
use super::draft_record::{DraftRecord, Filled};
use super::row_reader::RowReader;
use super::rows::Table;
use xundian_protocol::access::{Directory, PersonEntry};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{Entity, Person, PersonStatus};
use xundian_protocol::record::Home;

/// `status` is required, so an empty cell leaves it as it is.
const FIELDS: &[Filled] =
    &[("joined_on", Person::SPEC.tag_of("joined_on")), ("left_on", Person::SPEC.tag_of("left_on"))];

pub(super) fn check(table: &Table, directory: &Directory, today: Day) -> Checked {
    let codes = Codes::of(directory);
    let mut checked = Checked::default();
    let mut seen = Seen::default();
    for row in &table.rows {
        let mut cells = RowReader::new(table, row);
        let mut says = read(&mut cells, &mut seen);
        let said = read_position(&mut cells, &codes);
        match says.code.clone().filter(|_| !cells.is_bad()) {
            Some(code) => {
                let derived = || PersonId(id_of::<Person>(&[&code]));
                let id = codes.people.get(&code).copied().unwrap_or_else(derived);
                let standing = directory.person(id);
                let has_left = match says.status {
                    Some(status) => status == PersonStatus::Left,
                    None => standing.is_some_and(|entry| !entry.active),
                };
                if has_left {
                    // Work is accepted up to the last day, so a person who has left needs one; the last position stays.
                    says.left_on = says.left_on.or(standing.and_then(|entry| entry.left_on)).or(Some(today));
                } else if table.has("position") {
                    hold(&mut says, said, standing, today);
                }
                let draft = DraftRecord::new(Person::key(id.0), Home::Person(id), &says, table, FIELDS);
                let defaults = Person { status: Some(PersonStatus::Active), ..Default::default() };
                checked.drafts.push((row.line, draft.or_new(&defaults)));
            }
            None => checked.bad.append(&mut cells.into_bad()),
        }
    }
    checked
}

fn read(cells: &mut RowReader<'_>, seen: &mut Seen) -> Person {
    let code = cells.required_code("code");
    if let Some(first) = code.as_ref().and_then(|code| seen.before(code, cells.line())) {
        cells.refuse("code", format!("stands on line {first} already"));
    }
    let (joined_on, left_on) = (cells.day("joined_on"), cells.day("left_on"));
    if joined_on.zip(left_on).is_some_and(|(joined, left)| left < joined) {
        cells.refuse("left_on", "is before the first day of work");
    }
    let name = cells.required_text("name");
    Person { code, name, status: cells.choice("status"), joined_on, left_on, ..Default::default() }
}

/// The position in a row, and its first day.
fn read_position(cells: &mut RowReader<'_>, codes: &Codes) -> (Option<PositionId>, Option<Day>) {
    let position = cells.code("position").and_then(|code| {
        let found = codes.positions.get(&code).copied();
        if found.is_none() {
            cells.refuse("position", "no position has this code: import the organisation first");
        }
        found
    });
    let from = cells.day("position_from");
    if from.is_some_and(|from| from < Day(0)) {
        cells.refuse("position_from", "is before 1970");
    }
    (position, from)
}

/// Adds a position to those that a person has held. Without a day, a move begins tomorrow: today's work was done in the
/// old position, and may be unsent yet.
fn hold(
    says: &mut Person,
    (position, from): (Option<PositionId>, Option<Day>),
    standing: Option<&PersonEntry>,
    today: Day,
) {
    let held_on = |day| standing.and_then(|entry| entry.position_on(day));
    match (standing, from) {
        (None, None) => says.position = position,
        (Some(_), None) if held_on(today) == position || held_on(today.next()) == position => {}
        (_, from) => {
            let position = position.unwrap_or(PositionId(RecordId::NIL));
            says.position_from.insert(from.unwrap_or(today.next()), position);
        }
    }
}
