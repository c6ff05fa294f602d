//! Reports: the figures of the nation, a unit or an outlet, and the records of one visit, as tables for people, CSV for
//! spreadsheets and JSON for programs.
//!
//! A report is read from [`Server`] into [`Sheet`]s, which know no format, and rendered from them. Every figure is a
//! sum of cells; ratios keep their numerator and denominator.

mod figures;
mod outlet;
mod render;
mod sheet;
#[cfg(test)]
mod tests;
mod visit;

pub use sheet::{Column, Sheet, SheetValue, ShownIn};

use crate::server::Server;
use crate::store::StoreError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xundian_protocol::calendar::Day;

/// The subject of a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportSubject {
    /// All regions, the outlets of no region, and their sum.
    Nation,
    /// A unit, by its code or name, and what is directly below it.
    Unit(String),
    /// The outlets that belong to no unit.
    Unassigned,
    /// One outlet, by its code.
    Outlet(String),
    /// Everything that one visit recorded, by its id.
    Visit(String),
}

/// What each row of a report is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// A unit; in the report of an outlet, a visit.
    #[default]
    #[serde(rename = "place")]
    Unit,
    /// A product.
    Product,
    /// A person.
    Person,
    /// A day.
    Day,
}

/// The format of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// CSV, UTF-8.
    Csv,
    /// JSON with stable names.
    Json,
}

/// A text that names no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {known}")]
pub struct ChoiceError {
    text: String,
    known: &'static str,
}

impl FromStr for GroupBy {
    type Err = ChoiceError;
    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "place" | "unit" => Ok(Self::Unit),
            "product" => Ok(Self::Product),
            "person" => Ok(Self::Person),
            "day" => Ok(Self::Day),
            _ => Err(ChoiceError { text: text.into(), known: "unit, product, person, day" }),
        }
    }
}

impl FromStr for Format {
    type Err = ChoiceError;
    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(ChoiceError { text: text.into(), known: "table, csv, json" }),
        }
    }
}

/// A request for a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The subject.
    pub what: ReportSubject,
    /// The first day.
    #[serde(with = "day_text")]
    pub from: Day,
    /// The last day.
    #[serde(with = "day_text")]
    pub to: Day,
    /// What each row is.
    pub by: GroupBy,
    /// The format.
    pub format: Format,
    /// Whether CSV begins with a byte order mark, by which Excel recognises UTF-8.
    pub bom: bool,
}

/// Why a report failed.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The last day is before the first.
    #[error("the period ends on {to}, before it begins on {from}: swap --from and --to")]
    Days {
        /// The first day.
        from: Day,
        /// The last day.
        to: Day,
    },
    /// One row per day would be too many rows.
    #[error("a report by day has at most {DAYS_MAX} days, this one {days}: shorten the period")]
    TooManyDays {
        /// The number of days.
        days: i64,
    },
    /// There is no such unit.
    #[error("{text:?} names no unit ({reason}); the units are: {known}")]
    Unit {
        /// The given text.
        text: String,
        /// The reason.
        reason: String,
        /// The codes and names of the regions.
        known: String,
    },
    /// There is no such outlet.
    #[error("no outlet has the code {code:?}: check it against the file that was imported")]
    Outlet {
        /// The given code.
        code: String,
    },
    /// There is no such visit.
    #[error("there is no visit {text:?}: `report outlet CODE` lists the visits of an outlet with their ids")]
    Visit {
        /// The given text.
        text: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The most rows of a report by day.
pub const DAYS_MAX: i64 = 366;

/// Reads a report and renders it.
pub fn run(server: &Server, request: &Request) -> Result<String, ReportError> {
    Ok(write(&read(server, request)?, request.format, request.bom))
}

/// Renders a sheet; `bom` adds a byte order mark, by which Excel recognises UTF-8, to CSV.
pub(crate) fn write(sheet: &Sheet, format: Format, bom: bool) -> String {
    match format {
        Format::Table => render::table(sheet),
        Format::Csv => render::csv(sheet, bom),
        Format::Json => render::json(sheet),
    }
}

/// Reads a report.
pub fn read(server: &Server, request: &Request) -> Result<Sheet, ReportError> {
    let (from, to) = (request.from, request.to);
    if to < from {
        return Err(ReportError::Days { from, to });
    }
    let days = i64::from(to.0) - i64::from(from.0) + 1;
    if request.by == GroupBy::Day && days > DAYS_MAX {
        return Err(ReportError::TooManyDays { days });
    }
    match &request.what {
        ReportSubject::Nation => figures::nation(server, request),
        ReportSubject::Unit(name) => figures::unit(server, name, request),
        ReportSubject::Unassigned => figures::unassigned(server, request),
        ReportSubject::Outlet(code) => outlet::read(server, code, request),
        ReportSubject::Visit(id) => visit::read(server, id),
    }
}

impl fmt::Display for GroupBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Product => "product",
            Self::Person => "person",
            Self::Day => "day",
        })
    }
}

/// Writes days as 2026-11-23.
mod day_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use xundian_protocol::calendar::Day;

    pub(super) fn serialize<S: Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(day)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Day, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
