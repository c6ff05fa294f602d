//! Imports: reference data from CSV files, the organisation and people, outlets, products, assignments and route plans.
//!
//! The stages are functions: bytes → [`text`] → [`rows`] → checked rows (one file per kind, with [`row_reader`]) →
//! drafts with only what differs from the current records ([`draft_record`]) → one atomic commit by [`Server::write`].
//! Knows no file system: the command line passes the bytes and writes the bad rows. The columns are in `columns.rs` and
//! docs/IMPORT.md.

mod assignments;
mod columns;
mod current_records;
mod draft_record;
mod org;
mod outcome;
mod outlets;
mod people;
mod products;
mod routes;
mod row_reader;
mod rows;
#[cfg(test)]
mod tests;
mod text;

pub use columns::Column;
pub use outcome::{BadRow, Outcome};
pub(crate) use outlets::unit_named;
pub use text::{Encoding, FILE_BYTES_MAX};

use crate::server::{Draft, Server, WriteError};
use crate::store::StoreError;
use current_records::CurrentRecords;
use draft_record::{Change, DraftRecord};
use rows::Table;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Channel;

/// The content of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// Units 组织单元 and positions 岗位.
    Org,
    /// Staff 人员.
    People,
    /// Outlets 门店.
    Outlets,
    /// Products 产品.
    Products,
    /// Outlets assigned to positions 门店分配.
    Assignments,
    /// Route plans 路线计划.
    Routes,
}

impl ImportKind {
    /// All imports, in the order in which a company is set up.
    pub const ALL: [Self; 6] =
        [Self::Org, Self::People, Self::Outlets, Self::Products, Self::Assignments, Self::Routes];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::People => "people",
            Self::Outlets => "outlets",
            Self::Products => "products",
            Self::Assignments => "assignments",
            Self::Routes => "routes",
        }
    }
}

impl fmt::Display for ImportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no import.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be imported: choose org, people, outlets, products, assignments or routes")]
pub struct ImportKindError {
    text: String,
}

impl FromStr for ImportKind {
    type Err = ImportKindError;
    fn from_str(text: &str) -> Result<Self, ImportKindError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ImportKindError { text: text.chars().take(32).collect() })
    }
}

/// Why a file cannot be imported at all. Errors of single rows are in [`Outcome::bad`].
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is too large.
    #[error("the file has {bytes} bytes, {FILE_BYTES_MAX} are allowed: split it")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The file is a workbook, not CSV.
    #[error("the file is an Excel workbook: save it as \"CSV UTF-8\" and import that")]
    Workbook,
    /// The file is UTF-16.
    #[error("the file is UTF-16 (Excel's \"Unicode text\"): save it as \"CSV UTF-8\" and import that")]
    Utf16,
    /// The file is neither UTF-8 nor GB18030.
    #[error("the file is neither UTF-8 nor GB18030 text (line {line}): save it as \"CSV UTF-8\"")]
    NotText {
        /// The line with the first invalid bytes.
        line: usize,
    },
    /// The file has not even a header.
    #[error("the file is empty: it needs a header line with the names of its columns")]
    Empty,
    /// Columns are missing.
    #[error(
        "columns are missing: {missing}. The file has: {found}. docs/IMPORT.md lists the columns of `import {kind}`"
    )]
    MissingColumns {
        /// The import.
        kind: ImportKind,
        /// The missing columns, with their accepted names.
        missing: String,
        /// The file's header.
        found: String,
    },
    /// Two columns have the same meaning.
    #[error("{first:?} and {second:?} are both the column {column}: remove or rename one")]
    SameColumn {
        /// The column.
        column: &'static str,
        /// The first header.
        first: String,
        /// The second header.
        second: String,
    },
    /// A quotation mark is never closed.
    #[error(
        "a quotation mark in the row on line {line} is never closed, so the lines behind it are lost: close it"
    )]
    OpenQuote {
        /// Where the row begins.
        line: usize,
    },
    /// The CSV reader failed.
    #[error("the file is no CSV ({detail})")]
    Csv {
        /// Its error.
        detail: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused the import.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// An import: the file and the options.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The content of the file.
    pub kind: ImportKind,
    /// The file.
    pub bytes: &'a [u8],
    /// Checks and compares, but writes nothing.
    pub dry_run: bool,
    /// Imports the good rows of a file with bad rows.
    pub skip_bad: bool,
    /// The channel of outlets whose row has none.
    pub channel: Option<Channel>,
}

/// The result of checking one file.
#[derive(Debug, Default)]
struct Checked {
    /// The line and the draft of every good record.
    drafts: Vec<(usize, DraftRecord)>,
    bad: Vec<BadRow>,
    /// Good outlets that belong to no unit.
    unassigned: usize,
}

/// Imports a file in one atomic commit. A file with bad rows changes nothing, unless `skip_bad` is set.
pub fn run(server: &Server, request: &Request<'_>, by: &str, now_ms: i64) -> Result<Outcome, ImportError> {
    let (mut outcome, drafts) = prepare(server, request, Day::in_default_zone(now_ms))?;
    if outcome.is_held_back() || request.dry_run {
        return Ok(outcome);
    }
    if !drafts.is_empty() {
        server.write(drafts, by, now_ms)?;
    }
    outcome.imported = true;
    Ok(outcome)
}

/// All stages except the commit.
fn prepare(
    standing: &impl CurrentRecords,
    request: &Request<'_>,
    today: Day,
) -> Result<(Outcome, Vec<Draft>), ImportError> {
    let (text, encoding) = text::decode(request.bytes)?;
    let table = rows::read(request.kind, &text)?;
    let mut checked = check(&table, request, standing, today)?;
    checked.bad.sort_by_key(|bad| bad.line);
    let mut outcome = Outcome::new(request, encoding, &table, checked.bad);
    outcome.unassigned = checked.unassigned;
    let mut drafts = Vec::new();
    for (_, draft) in checked.drafts {
        let stands = standing.record(draft.key)?;
        let (change, draft) = draft_record::compare(draft, stands.as_ref());
        match change {
            Change::Created => outcome.created += 1,
            Change::Changed => outcome.changed += 1,
            Change::Unchanged => outcome.unchanged += 1,
        }
        drafts.extend(Some(draft).filter(|_| change != Change::Unchanged));
    }
    Ok((outcome, drafts))
}

fn check(
    table: &Table,
    request: &Request<'_>,
    standing: &impl CurrentRecords,
    today: Day,
) -> Result<Checked, ImportError> {
    let directory = standing.directory();
    Ok(match request.kind {
        ImportKind::Org => org::check(table, &directory),
        ImportKind::People => people::check(table, &directory, today),
        ImportKind::Outlets => outlets::check(table, &directory, request.channel),
        ImportKind::Products => products::check(table),
        ImportKind::Assignments => assignments::check(table, &directory, standing)?,
        ImportKind::Routes => routes::check(table, &directory, standing)?,
    })
}
