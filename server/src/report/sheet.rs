//! A report before rendering: headings, rows, a total, and its completeness.

use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::figures::{Completeness, Ratio};
use xundian_protocol::kinds::format::moment;

/// Where a column is shown. A table on a screen has less room than a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShownIn {
    /// In tables, CSV and JSON.
    Always,
    /// In CSV and JSON.
    Data,
    /// In tables.
    Table,
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name in JSON and, after the Chinese one, in CSV; stable.
    pub key: &'static str,
    /// Its name for people.
    pub zh: &'static str,
    /// Where it is shown.
    pub show: ShownIn,
}

/// The value of a row's cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SheetValue {
    /// Nothing.
    Empty,
    /// A text.
    Text(String),
    /// A number.
    Int(i64),
    /// A share, shown as a percentage.
    Ratio(Ratio),
    /// A quotient, shown as a decimal.
    Quotient(Ratio),
}

/// A report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sheet {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its subject, for people.
    pub title: String,
    /// The first and the last day.
    pub days: Option<(Day, Day)>,
    /// The columns.
    pub heads: Vec<Column>,
    /// The rows, each as wide as the headings.
    pub rows: Vec<Vec<SheetValue>>,
    /// The total row.
    pub total: Option<Vec<SheetValue>>,
    /// How much of the data has arrived.
    pub completeness: Option<Completeness>,
}

impl From<&str> for SheetValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SheetValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for SheetValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Option<i64>> for SheetValue {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Empty, Self::Int)
    }
}

/// The label of a total row.
pub(super) fn total_name() -> SheetValue {
    SheetValue::from("合计")
}

/// Up to when all data have arrived.
pub(super) fn through(completeness: &Completeness) -> String {
    completeness.through_ms.map_or_else(String::new, |ms| moment(ms, DEFAULT_ZONE))
}

/// Completeness as a sentence.
pub(super) fn completeness_line(found: &Completeness) -> String {
    let Completeness { devices, complete, .. } = found;
    if *devices == 0 {
        return "数据完整度: 没有设备 (no devices)".into();
    }
    let until = through(found);
    if until.is_empty() {
        return format!(
            "数据完整度: {devices} 台设备中 {complete} 台已传齐 ({complete} of {devices} devices)"
        );
    }
    format!(
        "数据完整度: {devices} 台设备中 {complete} 台已传齐, 数据截至 {until} ({complete} of {devices} devices, to {until})"
    )
}
