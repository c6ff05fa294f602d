//! Stage 2: text → rows. Finds the documented columns by their names and synonyms. Knows no kind of record.

use super::columns::Column;
use super::text::trim;
use super::{ImportError, ImportKind};
use std::collections::BTreeMap;

/// A row of a file, unchanged.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The line on which it begins, from 1; the header is on line 1.
    pub(super) line: usize,
    /// Its cells, untrimmed.
    pub(super) cells: Vec<String>,
}

/// A file as rows under known columns.
#[derive(Debug)]
pub(super) struct Table {
    /// The file's header.
    pub(super) headers: Vec<String>,
    /// The rows that are not empty.
    pub(super) rows: Vec<Row>,
    /// Columns unknown to the import.
    pub(super) ignored: Vec<String>,
    column_indexes: BTreeMap<&'static str, usize>,
}

impl Table {
    /// Whether the file has a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.column_indexes.contains_key(column)
    }

    /// The index of a column.
    pub(super) fn column_index(&self, column: &str) -> Option<usize> {
        self.column_indexes.get(column).copied()
    }

    /// A column's name as the file spells it.
    pub(super) fn spelled<'a>(&'a self, column: &'a str) -> &'a str {
        self.column_index(column).map_or(column, |place| trim(&self.headers[place]))
    }
}

/// Parses the rows of a text. Empty ones, which Excel leaves at the end, are skipped.
pub(super) fn read(kind: ImportKind, text: &str) -> Result<Table, ImportError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut lines = Lines::new(text);
    let mut headers: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    let mut last_line = 1;
    while reader.read_record(&mut record).map_err(|error| ImportError::Csv { detail: error.to_string() })? {
        let offset = record.position().map_or(0, csv::Position::byte);
        let line = lines.of_record_at(usize::try_from(offset).unwrap_or(usize::MAX));
        last_line = line;
        let cells: Vec<String> = record.iter().map(str::to_owned).collect();
        if cells.iter().all(|cell| trim(cell).is_empty()) {
            continue;
        }
        match headers {
            None => headers = Some(cells),
            Some(_) => rows.push(Row { line, cells }),
        }
    }
    refuse_open_quote(text, last_line, rows.last())?;
    let headers = headers.ok_or(ImportError::Empty)?;
    let (column_indexes, ignored) = column_indexes(kind, &headers)?;
    Ok(Table { headers, rows, ignored, column_indexes })
}

/// Refuses an unclosed quotation mark, which would silently swallow all lines after it.
fn refuse_open_quote(text: &str, line: usize, last: Option<&Row>) -> Result<(), ImportError> {
    let swallowed = last.is_some_and(|row| row.cells.iter().any(|cell| cell.contains('\n')));
    if swallowed && text.matches('"').count() % 2 == 1 {
        return Err(ImportError::OpenQuote { line });
    }
    Ok(())
}

type ColumnIndexes = (BTreeMap<&'static str, usize>, Vec<String>);

fn column_indexes(kind: ImportKind, headers: &[String]) -> Result<ColumnIndexes, ImportError> {
    let mut column_indexes: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut ignored = Vec::new();
    for (place, header) in headers.iter().enumerate() {
        let Some(column) = kind.columns().iter().find(|column| column.is_named(header)) else {
            ignored.extend(Some(trim(header).to_owned()).filter(|name| !name.is_empty()));
            continue;
        };
        if let Some(first) = column_indexes.insert(column.name, place) {
            let (first, second) = (headers[first].clone(), header.clone());
            return Err(ImportError::SameColumn { column: column.name, first, second });
        }
    }
    let missing: Vec<&'static Column> = kind
        .columns()
        .iter()
        .filter(|column| column.required && !column_indexes.contains_key(column.name))
        .collect();
    if !missing.is_empty() {
        let missing = missing.iter().map(|column| column.spellings()).collect::<Vec<_>>().join("; ");
        let found = headers.iter().map(|header| trim(header)).collect::<Vec<_>>().join(", ");
        return Err(ImportError::MissingColumns { kind, missing, found });
    }
    Ok((column_indexes, ignored))
}

/// Counts lines while advancing through a text. The CSV reader's own count is wrong with CR LF or skipped empty lines.
struct Lines<'a> {
    bytes: &'a [u8],
    counted: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    const fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), counted: 0, line: 1 }
    }

    /// The line of the first cell at or after an offset; offsets only grow.
    fn of_record_at(&mut self, offset: usize) -> usize {
        let offset = offset.min(self.bytes.len());
        let gap = self.bytes[offset..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let newlines = self.bytes[self.counted..offset + gap].iter().filter(|byte| **byte == b'\n').count();
        self.line += newlines;
        self.counted = offset + gap;
        self.line
    }
}
