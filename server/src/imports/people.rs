//! `import people`: staff 人员 and the positions that they hold.

use super::Checked;
use super::cells::Cells;
use super::known::{Codes, Seen, id_of};
use super::plan::{Filled, Form};
use super::rows::Table;
use xundian_protocol::access::Directory;
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::{Person, PersonStatus, Typed};
use xundian_protocol::record::Home;

/// `status` is required, so an empty cell leaves it as it is.
const FIELDS: &[Filled] = &[("position", "position"), ("joined_on", "joined_on"), ("left_on", "left_on")];

pub(super) fn check(table: &Table, directory: &Directory) -> Checked {
    let codes = Codes::of(directory);
    let mut checked = Checked::default();
    let mut seen = Seen::default();
    for row in &table.rows {
        let mut cells = Cells::new(table, row);
        let says = read(&mut cells, &codes, &mut seen);
        match says.code.clone().filter(|_| !cells.is_bad()) {
            Some(code) => {
                let derived = || PersonId(id_of::<Person>(&[&code]));
                let id = codes.people.get(&code).copied().unwrap_or_else(derived);
                let form = Form::new(Person::key(id.0), Home::Person(id), &says, table, FIELDS);
                let defaults = Person { status: Some(PersonStatus::Active), ..Default::default() };
                checked.forms.push((row.line, form.or_new(&defaults)));
            }
            None => checked.bad.append(&mut cells.into_bad()),
        }
    }
    checked
}

fn read(cells: &mut Cells<'_>, codes: &Codes, seen: &mut Seen) -> Person {
    let code = cells.required_code("code");
    if let Some(first) = code.as_ref().and_then(|code| seen.before(code, cells.line())) {
        cells.refuse("code", format!("stands on line {first} already"));
    }
    let position = cells.code("position").and_then(|code| {
        let found = codes.positions.get(&code).copied();
        if found.is_none() {
            cells.refuse("position", "no position has this code: import the organisation first");
        }
        found
    });
    let (joined_on, left_on) = (cells.day("joined_on"), cells.day("left_on"));
    if joined_on.zip(left_on).is_some_and(|(joined, left)| left < joined) {
        cells.refuse("left_on", "is before the first day of work");
    }
    let name = cells.required_text("name");
    Person { code, name, status: cells.choice("status"), position, joined_on, left_on }
}
