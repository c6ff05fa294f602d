//! The outcome of an import, for people and for the file of bad rows.

use super::rows::{Row, Table};
use super::text::Encoding;
use super::{ImportKind, Request};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most bad rows that a message lists; the file of bad rows has them all.
const LISTED_MAX: usize = 20;

/// Why a row cannot be imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BadRow {
    /// The line on which it begins; the header is on line 1.
    pub line: usize,
    /// The column, as the file spells it; empty if the whole row is meant.
    pub column: String,
    /// The cell's text, shortened.
    pub found: String,
    /// What is wrong.
    pub reason: String,
}

/// The outcome of an import, or of a dry run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Outcome {
    /// The import.
    pub kind: ImportKind,
    /// The file's encoding.
    pub encoding: &'static str,
    /// Rows that are not empty.
    pub rows: usize,
    /// Records that did not exist before.
    pub created: usize,
    /// Records that existed and differed.
    pub changed: usize,
    /// Records that already had these values.
    pub unchanged: usize,
    /// Good outlets that belong to no unit.
    pub unassigned: usize,
    /// Columns unknown to the import.
    pub ignored_columns: Vec<String>,
    /// The errors of rows; a row can have several.
    pub bad: Vec<BadRow>,
    /// Rows with errors.
    pub bad_rows: usize,
    /// The bad rows as a CSV file to correct and import again.
    #[serde(skip)]
    pub bad_rows_csv: Option<String>,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// Whether bad rows were to be skipped.
    pub skip_bad: bool,
    /// Whether the good rows were written.
    pub imported: bool,
}

impl Outcome {
    pub(super) fn new(request: &Request<'_>, encoding: Encoding, table: &Table, bad: Vec<BadRow>) -> Self {
        let bad_rows_csv = Some(bad_rows_csv(request.kind, table, &bad)).filter(|_| !bad.is_empty());
        let mut lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        lines.dedup();
        Self {
            kind: request.kind,
            encoding: encoding.name(),
            rows: table.rows.len(),
            created: 0,
            changed: 0,
            unchanged: 0,
            unassigned: 0,
            ignored_columns: table.ignored.clone(),
            bad_rows: lines.len(),
            bad,
            bad_rows_csv,
            dry_run: request.dry_run,
            skip_bad: request.skip_bad,
            imported: false,
        }
    }

    /// Whether bad rows prevent the whole import.
    pub const fn is_held_back(&self) -> bool {
        !self.bad.is_empty() && !self.skip_bad
    }

    /// The outcome in sentences, one a line.
    pub fn summary(&self) -> String {
        let mut text = format!("import {}: {} rows, {}\n", self.kind, self.rows, self.encoding);
        if !self.ignored_columns.is_empty() {
            let _ = writeln!(text, "ignored columns: {}", self.ignored_columns.join(", "));
        }
        for bad in self.bad.iter().take(LISTED_MAX) {
            let column = if bad.column.is_empty() { "row" } else { &bad.column };
            let _ = writeln!(text, "line {}, {column} {:?}: {}", bad.line, bad.found, bad.reason);
        }
        if self.bad.len() > LISTED_MAX {
            let _ = writeln!(text, "and {} more", self.bad.len() - LISTED_MAX);
        }
        if self.bad_rows > 0 {
            let _ = writeln!(text, "bad rows: {}", self.bad_rows);
        }
        if self.is_held_back() {
            text.push_str("nothing was imported: mend these rows, or add --skip-bad to import the others\n");
            return text;
        }
        let _ = writeln!(
            text,
            "created {}, changed {}, unchanged {}",
            self.created, self.changed, self.unchanged
        );
        if self.unassigned > 0 {
            let _ = writeln!(
                text,
                "{} outlets belong to no unit; they are shown as unassigned 未分配",
                self.unassigned
            );
        }
        if self.dry_run {
            text.push_str("this was a dry run: nothing was written\n");
        }
        text
    }
}

/// The bad rows with their original cells, followed by line, column and reason. The byte order mark makes Excel read it
/// as UTF-8.
fn bad_rows_csv(kind: ImportKind, table: &Table, bad: &[BadRow]) -> String {
    let mut reasons: BTreeMap<usize, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for bad in bad {
        let (columns, whys) = reasons.entry(bad.line).or_default();
        columns.push(&bad.column);
        whys.push(&bad.reason);
    }
    let width = table.headers.len();
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(vec![0xEF, 0xBB, 0xBF]);
    let told = ["line", "column", "reason"].map(|name| {
        // The file is corrected and imported again, so no known column name may occur twice.
        let known = kind.columns().iter().any(|column| column.is_named(name));
        if known { format!("bad_{name}") } else { name.to_owned() }
    });
    // Writing to memory cannot fail.
    let _ = writer.write_record(table.headers.iter().chain(&told));
    for row in &table.rows {
        let Some((columns, whys)) = reasons.get(&row.line) else { continue };
        let tail = [row.line.to_string(), columns.join("; "), whys.join("; ")];
        let _ = writer.write_record(padded(row, width).chain(tail.iter().map(String::as_str)));
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The row's cells under the header: further cells would push the reasons out of their columns.
fn padded(row: &Row, width: usize) -> impl Iterator<Item = &str> {
    (0..width).map(|place| row.cells.get(place).map_or("", String::as_str))
}
