//! Administration: the commands for a server, running or not.
//!
//! There is one [`Command`] and one [`execute`]. While `serve` runs, the command line sends a command through the Unix
//! socket `admin.sock` in the data folder; otherwise it opens the data folder itself and executes the same command.
//! Ignores the command line's syntax.

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

/// A command for the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Import the attached file.
    Import {
        /// The content of the file.
        kind: ImportKind,
        /// Checks and compares, but writes nothing.
        dry_run: bool,
        /// Imports the good rows of a file with bad rows.
        skip_bad: bool,
        /// The channel's code for outlets whose row has none.
        channel: Option<String>,
        /// Whether to answer in JSON.
        json: bool,
    },
    /// Invite a person to enrol a device.
    Invite {
        /// The staff number.
        person: String,
        /// How long the invitation is valid.
        valid_ms: i64,
        /// Where devices find the server, host:port.
        address: String,
    },
    /// List the devices.
    Devices {
        /// The output format.
        format: Format,
    },
    /// Revoke a device.
    Revoke {
        /// Its number.
        device: u32,
    },
    /// Print a report.
    Report(report::Request),
    /// Recompute every figure from all records and compare, and look for every stored picture.
    Verify {
        /// The output format.
        format: Format,
        /// Whether to read all pictures as well.
        #[serde(default)]
        pictures: bool,
        /// Whether to repair the figures that differ.
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
        /// The output format.
        format: Format,
    },
}

/// A password in transit; it is kept out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The outcome of a command.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Output {
    /// The answer, for standard output.
    pub data: String,
    /// Messages for people, for standard error.
    pub notes: String,
    /// The bad rows of an import, to be written beside its file.
    pub bad_rows_csv: Option<String>,
    /// Whether the exit code reports a failure.
    pub failed: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An import failed.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// There is no such channel.
    #[error("{text:?} is no channel; the channels are: {known}")]
    Channel {
        /// The given text.
        text: String,
        /// The known codes.
        known: String,
    },
    /// No person has this staff number.
    #[error("nobody has the staff number {code:?}: `import people` brings people in")]
    Person {
        /// The given number.
        code: String,
    },
    /// An invitation failed.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The address of an invitation is invalid.
    #[error(transparent)]
    Address(#[from] InvitationError),
    /// A revocation failed.
    #[error(transparent)]
    Revoke(#[from] RevokeError),
    /// A report failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A change of users failed.
    #[error(transparent)]
    Users(#[from] crate::console::UsersError),
    /// The pictures cannot be read.
    #[error(transparent)]
    Photos(#[from] PhotosError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task was cancelled or panicked.
    #[error("the command failed inside the server: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Executes a command. `attachment` is the file of an import; `by` is the administrator, for the audit trail. `photos`
/// are opened if the command needs them.
///
/// # Errors
/// Returns an error if the command fails.
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
    // Commands block: they read and write the store.
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

/// The person with a staff number.
fn person(server: &Server, code: &str) -> Result<PersonId, CommandError> {
    let directory = server.directory();
    let found = directory.people().find(|(_, entry)| entry.code == code).map(|(id, _)| id);
    found.ok_or_else(|| CommandError::Person { code: code.chars().take(64).collect() })
}
