//! The commands for the console's users.

use super::{CommandError, Output, Password, person};
use crate::console::Users;
use crate::report::{self, Column, Format, Sheet, SheetValue, ShownIn};
use crate::server::Server;

const HEADS: [Column; 3] = [
    Column { key: "name", zh: "用户名", show: ShownIn::Always },
    Column { key: "person_code", zh: "工号", show: ShownIn::Always },
    Column { key: "person", zh: "姓名", show: ShownIn::Always },
];

pub(super) fn add(
    server: &Server,
    name: &str,
    password: &Password,
    code: Option<&str>,
    by: &str,
    now_ms: i64,
) -> Result<Output, CommandError> {
    let id = code.map(|code| person(server, code)).transpose()?;
    users(server)?.add_user(name, &password.0, id)?;
    let sees = code.map_or_else(|| "the nation".to_owned(), |code| format!("what {code} sees"));
    server.note(by, format!("added the console's user {name}, who sees {sees}"), now_ms)?;
    Ok(told(format!("user {name} may log in and sees {sees}\n")))
}

pub(super) fn set_password(
    server: &Server,
    name: &str,
    password: &Password,
    by: &str,
    now_ms: i64,
) -> Result<Output, CommandError> {
    users(server)?.set_password(name, &password.0)?;
    server.note(by, format!("set a new password of the console's user {name}"), now_ms)?;
    Ok(told(format!(
        "user {name} has a new password; whoever was logged in with the old one is logged out\n"
    )))
}

pub(super) fn remove(server: &Server, name: &str, by: &str, now_ms: i64) -> Result<Output, CommandError> {
    users(server)?.remove_user(name)?;
    server.note(by, format!("removed the console's user {name}"), now_ms)?;
    Ok(told(format!("user {name} is removed\n")))
}

pub(super) fn list(server: &Server, format: Format) -> Result<Output, CommandError> {
    let directory = server.directory();
    let row = |user: crate::console::User| {
        let person = user.person.and_then(|id| directory.person(id));
        vec![
            SheetValue::from(user.name),
            person.map_or(SheetValue::Empty, |entry| entry.code.as_str().into()),
            person.map_or_else(|| SheetValue::from("总部"), |entry| entry.name.as_str().into()),
        ]
    };
    let rows: Vec<_> = users(server)?.all()?.into_iter().map(row).collect();
    let sheet = Sheet {
        name: "users",
        title: format!("用户 ({})", rows.len()),
        days: None,
        heads: HEADS.to_vec(),
        rows,
        total: None,
        completeness: None,
    };
    Ok(Output { data: report::write(&sheet, format, false), ..Default::default() })
}

fn users(server: &Server) -> Result<Users, CommandError> {
    Ok(Users::open(server.folder())?)
}

fn told(notes: String) -> Output {
    Output { notes, ..Default::default() }
}
