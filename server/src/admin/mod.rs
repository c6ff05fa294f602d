//! Administration: the commands that the command line gives to a server, running or not.
//!
//! There is one [`Command`] and one [`execute`]. While `serve` runs, the command line sends a command
//! through the Unix socket `admin.sock` in the data folder; else it opens the data folder itself and
//! executes the same. So both ways do the same. Ignores how commands are spelled: that is the command
//! line's.

mod devices;
mod socket;
#[cfg(test)]
mod tests;
mod users;
mod verify;

pub use socket::{REQUEST_BYTES_MAX, RequestError, SOCKET_FILE, listen, request};

use crate::enrolment::{InviteError, RevokeError};
use crate::imports::{self, ImportError, ImportKind};
use crate::photos::{Photos, PhotosError};
use crate::report::{self, Format, ReportError};
use crate::server::Server;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use xundian_protocol::ids::PersonId;
use xundian_protocol::invitation::InvitationError;
use xundian_protocol::kinds::{Channel, Choice};

/// What the server is told to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Import the attached file.
    Import {
        /// What it holds.
        kind: ImportKind,
        /// Check and compare, but write nothing.
        dry_run: bool,
        /// Import the good rows of a file that has bad ones.
        skip_bad: bool,
        /// The channel's code for outlets whose row names none.
        channel: Option<String>,
        /// Whether to answer in JSON.
        json: bool,
    },
    /// Invite a person to enrol a device.
    Invite {
        /// The staff number.
        person: String,
        /// How long the invitation is good.
        valid_ms: i64,
        /// Where devices find the server, host:port.
        address: String,
    },
    /// List the devices.
    Devices {
        /// How.
        format: Format,
    },
    /// Revoke a device.
    Revoke {
        /// Its number.
        device: u32,
    },
    /// Make a report.
    Report(report::Request),
    /// Recompute every figure from all records and compare, and look for every stored picture.
    Verify {
        /// How to answer.
        format: Format,
        /// Whether to read all pictures as well.
        #[serde(default)]
        pictures: bool,
        /// Whether to mend the figures that do not agree.
        #[serde(default)]
        repair_views: bool,
    },
    /// Add a user of the console.
    AddUser {
        /// The name to log in with.
        name: String,
        /// The password.
        password: Password,
        /// The staff number of the person whose position decides what the user sees; none for headquarters.
        person: Option<String>,
    },
    /// Set a user's password.
    SetPassword {
        /// The name.
        name: String,
        /// The password.
        password: Password,
    },
    /// Remove a user.
    RemoveUser {
        /// The name.
        name: String,
    },
    /// List the users of the console.
    Users {
        /// How.
        format: Format,
    },
}

/// A password on its way; it stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Output {
    /// What was asked for: goes to standard output.
    pub data: String,
    /// What people should know: goes to standard error.
    pub notes: String,
    /// Bad rows of an import, to be put beside its file.
    pub bad_rows_csv: Option<String>,
    /// Whether something is not as it should be, so that the exit code says so.
    pub failed: bool,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A channel that there is not.
    #[error("{text:?} is no channel; the channels are: {known}")]
    Channel {
        /// What was given.
        text: String,
        /// The codes.
        known: String,
    },
    /// Nobody has the staff number.
    #[error("nobody has the staff number {code:?}: `import people` brings people in")]
    Person {
        /// What was given.
        code: String,
    },
    /// An invitation.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The address of an invitation.
    #[error(transparent)]
    Address(#[from] InvitationError),
    /// A revocation.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// A report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A user.
    #[error(transparent)]
    Users(#[from] crate::console::UsersError),
    /// The pictures of photos.
    #[error(transparent)]
    Photos(#[from] PhotosError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command was given up inside.
    #[error("the command failed inside the server: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Does what a command says. `attachment` is the file of an import; `by` is who gives the command, for the audit trail.
/// `photos` are opened where the command needs them.
///
/// # Errors
/// Returns an error if the command cannot be done.
pub async fn execute(
    server: Arc<Server>,
    photos: impl FnOnce() -> Result<Arc<Photos>, PhotosError>,
    command: Command,
    attachment: Vec<u8>,
    by: String,
    now_ms: i64,
) -> Result<Output, CommandError> {
    if matches!(command, Command::Verify { .. }) {
        return verify::run(server, &photos()?, command, by, now_ms).await;
    }
    // What a command does blocks: it reads and writes the store.
    spawn_blocking(move || administer(&server, &command, &attachment, &by, now_ms)).await?
}

fn administer(
    server: &Server,
    command: &Command,
    attachment: &[u8],
    by: &str,
    now_ms: i64,
) -> Result<Output, CommandError> {
    match command {
        Command::Import { .. } => import(server, command, attachment, by, now_ms),
        Command::Invite { person, valid_ms, address } => {
            devices::invite(server, person, *valid_ms, address, by, now_ms)
        }
        Command::Devices { format } => devices::list(server, *format),
        Command::Revoke { device } => devices::revoke(server, *device, by, now_ms),
        Command::Report(request) => Ok(Output { data: report::run(server, request)?, ..Default::default() }),
        Command::Verify { .. } => Ok(Output::default()),
        Command::AddUser { name, password, person } => {
            users::add(server, name, password, person.as_deref(), by, now_ms)
        }
        Command::SetPassword { name, password } => users::set_password(server, name, password, by, now_ms),
        Command::RemoveUser { name } => users::remove(server, name, by, now_ms),
        Command::Users { format } => users::list(server, *format),
    }
}

fn import(
    server: &Server,
    command: &Command,
    bytes: &[u8],
    by: &str,
    now_ms: i64,
) -> Result<Output, CommandError> {
    let Command::Import { kind, dry_run, skip_bad, channel, json } = command else {
        return Ok(Output::default());
    };
    let channel = channel.as_deref().map(read_channel).transpose()?;
    let request = imports::Request { kind: *kind, bytes, dry_run: *dry_run, skip_bad: *skip_bad, channel };
    let outcome = imports::run(server, &request, by, now_ms)?;
    let data = if *json { format!("{:#}\n", serde_json::json!(outcome)) } else { String::new() };
    Ok(Output {
        data,
        notes: outcome.summary(),
        failed: outcome.is_held_back(),
        bad_rows_csv: outcome.bad_rows_csv.filter(|_| outcome.imported),
    })
}

fn read_channel(text: &str) -> Result<Channel, CommandError> {
    let codes = || Channel::CHOICES.iter().map(|choice| choice.1).collect::<Vec<_>>().join(", ");
    Channel::from_code(text)
        .ok_or_else(|| CommandError::Channel { text: text.chars().take(32).collect(), known: codes() })
}

/// The person of a staff number.
fn person(server: &Server, code: &str) -> Result<PersonId, CommandError> {
    let directory = server.directory();
    let found = directory.people().find(|(_, entry)| entry.code == code).map(|(id, _)| id);
    found.ok_or_else(|| CommandError::Person { code: code.chars().take(64).collect() })
}
