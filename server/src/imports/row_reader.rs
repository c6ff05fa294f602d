//! Reads the cells of one row: each function converts a column's text to a value, or records why it cannot.

use super::BadRow;
use super::rows::{Row, Table};
use super::text::trim;
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Choice;
use xundian_protocol::limits::TEXT_BYTES_MAX;

/// A code is a key of maps and part of messages.
const CODE_CHARS_MAX: usize = 64;
/// How much of a cell a message quotes.
const FOUND_CHARS_MAX: usize = 60;
const DAY_FIRST: &str = "1900-01-01";
const DAY_LAST: &str = "2199-12-31";

/// What to do with more digits than are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finer {
    /// Refuse them: money.
    Refused,
    /// Round half away from zero: measured positions.
    Rounded,
}

/// The reader of one row. Every function returns `None` for an empty cell and for a bad one; bad ones are recorded, and
/// a row with one is refused as a whole.
pub(super) struct RowReader<'a> {
    table: &'a Table,
    row: &'a Row,
    bad: Vec<BadRow>,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(table: &'a Table, row: &'a Row) -> Self {
        let mut cells = Self { table, row, bad: Vec::new() };
        let width = table.headers.len();
        if row.cells.iter().skip(width).any(|cell| !trim(cell).is_empty()) {
            let reason = format!(
                "the row has {} cells, the header {width}: quote cells that hold a comma",
                row.cells.len()
            );
            cells.note(String::new(), &row.cells[width..].join(","), reason);
        }
        cells
    }

    pub(super) const fn line(&self) -> usize {
        self.row.line
    }

    /// The errors of the row.
    pub(super) fn into_bad(self) -> Vec<BadRow> {
        self.bad
    }

    pub(super) fn is_bad(&self) -> bool {
        !self.bad.is_empty()
    }

    /// Records that a column's cell is refused.
    pub(super) fn refuse(&mut self, column: &str, reason: impl Into<String>) {
        let found = self.raw(column).to_owned();
        self.note(self.table.spelled(column).to_owned(), &found, reason.into());
    }

    fn note(&mut self, column: String, found: &str, reason: String) {
        let cut = found.chars().take(FOUND_CHARS_MAX).collect();
        self.bad.push(BadRow { line: self.row.line, column, found: cut, reason });
    }

    /// The trimmed text of a cell; empty if the row or the file does not have it.
    pub(super) fn raw(&self, column: &str) -> &'a str {
        let cell = self.table.column_index(column).and_then(|place| self.row.cells.get(place));
        cell.map_or("", |cell| trim(cell))
    }

    fn parse<T>(&mut self, column: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let raw = self.raw(column);
        if raw.is_empty() {
            return None;
        }
        parse(raw).map_err(|reason| self.refuse(column, reason)).ok()
    }

    /// Records an empty cell of a required column.
    pub(super) fn require(&mut self, column: &str) {
        if self.raw(column).is_empty() {
            self.refuse(column, "must not be empty");
        }
    }

    /// A text on one line.
    pub(super) fn text(&mut self, column: &str) -> Option<String> {
        self.parse(column, |raw| {
            if raw.len() > TEXT_BYTES_MAX {
                let bytes = raw.len();
                return Err(format!(
                    "is {bytes} bytes long, {TEXT_BYTES_MAX} are allowed: is a quotation mark left open?"
                ));
            }
            Ok(raw
                .split(['\r', '\n'])
                .map(trim)
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "))
        })
    }

    /// A required text.
    pub(super) fn required_text(&mut self, column: &str) -> Option<String> {
        self.require(column);
        self.text(column)
    }

    /// A code; empty if the cell is.
    pub(super) fn code(&mut self, column: &str) -> Option<String> {
        self.parse(column, |raw| {
            if raw.chars().count() > CODE_CHARS_MAX {
                return Err(format!("is longer than the {CODE_CHARS_MAX} characters of a code"));
            }
            if raw.chars().any(char::is_control) {
                return Err("holds a line break or control character: is a quotation mark left open?".into());
            }
            Ok(raw.to_owned())
        })
    }

    /// A required code.
    pub(super) fn required_code(&mut self, column: &str) -> Option<String> {
        self.require(column);
        self.code(column)
    }

    /// A required code that must be one of `known`; otherwise `unknown` says what to do.
    pub(super) fn required_name<Id: Copy>(
        &mut self,
        column: &str,
        known: &BTreeMap<String, Id>,
        unknown: &str,
    ) -> Option<(String, Id)> {
        let code = self.required_code(column)?;
        let found = known.get(&code).copied();
        if found.is_none() {
            self.refuse(column, unknown);
        }
        Some((code, found?))
    }

    /// A choice, by its code or by its Chinese or English label.
    pub(super) fn choice<C: Choice>(&mut self, column: &str) -> Option<C> {
        self.parse(column, |raw| {
            choice(raw).ok_or_else(|| {
                let known: Vec<_> =
                    C::CHOICES.iter().map(|(_, code, label)| format!("{code} {}", label.zh)).collect();
                format!("is none of {}", known.join(", "))
            })
        })
    }

    /// A calendar day.
    pub(super) fn day(&mut self, column: &str) -> Option<Day> {
        self.parse(column, day)
    }

    /// A whole number within bounds.
    pub(super) fn int(&mut self, column: &str, min: i64, max: i64) -> Option<i64> {
        self.parse(column, |raw| {
            let number = decimal(raw, 0, Finer::Refused)?;
            if (min..=max).contains(&number) {
                Ok(number)
            } else {
                Err(format!("is not within {min} to {max}"))
            }
        })
    }

    /// A decimal as an integer multiple of 10⁻ᵈⁱᵍⁱᵗˢ.
    pub(super) fn decimal(&mut self, column: &str, digits: u32, finer: Finer) -> Option<i64> {
        self.parse(column, |raw| decimal(raw, digits, finer))
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, column: &str) -> Option<bool> {
        self.parse(column, |raw| match raw.to_lowercase().as_str() {
            "yes" | "y" | "true" | "1" | "是" => Ok(true),
            "no" | "n" | "false" | "0" | "否" => Ok(false),
            _ => Err("is neither yes 是 nor no 否".into()),
        })
    }
}

/// A choice by its code or label.
fn choice<C: Choice>(text: &str) -> Option<C> {
    let named = |entry: &&(i64, &str, xundian_protocol::kinds::Label)| {
        text.eq_ignore_ascii_case(entry.1) || text == entry.2.zh || text.eq_ignore_ascii_case(entry.2.en)
    };
    C::CHOICES.iter().find(named).and_then(|entry| C::from_number(entry.0))
}

/// A day as 2026-11-23, 2026/11/23, 2026.11.23, 2026年11月23日 or 20261123, with or without Excel's midnight.
fn day(raw: &str) -> Result<Day, String> {
    let date = raw.split_once([' ', 'T']).map_or(raw, |(date, time)| {
        if time.chars().all(|c| matches!(c, '0' | ':' | '.')) { date } else { raw }
    });
    let no_day = || {
        let serial = raw.len() == 5 && raw.bytes().all(|byte| byte.is_ascii_digit());
        let hint = if serial { ": this is Excel's count of days; format the column as a date" } else { "" };
        format!("is no day; write it as 2026-11-23{hint}")
    };
    let parts: Vec<&str> = if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        vec![&date[..4], &date[4..6], &date[6..]]
    } else {
        date.trim_end_matches('日').split(['-', '/', '.', '年', '月']).collect()
    };
    let [year, month, day] = parts.as_slice() else { return Err(no_day()) };
    let digits =
        |part: &str, max: usize| (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if year.len() != 4 || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return Err(no_day());
    }
    let day: Day = format!("{year}-{month:0>2}-{day:0>2}").parse().map_err(|_| no_day())?;
    let bound = |text: &str| text.parse::<Day>().unwrap_or(day);
    if day < bound(DAY_FIRST) || bound(DAY_LAST) < day {
        return Err(format!("is not within {DAY_FIRST} to {DAY_LAST}"));
    }
    Ok(day)
}

/// A decimal text as an integer multiple of 10⁻ᵈⁱᵍⁱᵗˢ, from its digits alone, without floats.
pub(super) fn decimal(raw: &str, digits: u32, finer: Finer) -> Result<i64, String> {
    let no_number = || {
        let hint = if raw.contains(['e', 'E']) {
            ": Excel wrote it in powers of ten; format the column as text"
        } else {
            ""
        };
        format!("is no plain decimal number{hint}")
    };
    let (negative, unsigned) = match raw.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, raw.strip_prefix('+').unwrap_or(raw)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(no_number());
    }
    let kept = fraction.len().min(usize::try_from(digits).unwrap_or(usize::MAX));
    let (kept, rest) = fraction.split_at(kept);
    if finer == Finer::Refused && rest.bytes().any(|byte| byte != b'0') {
        return Err(match digits {
            0 => "is no whole number".into(),
            _ => format!("has more than {digits} digits after the point"),
        });
    }
    let padded = format!("{whole}{kept:0<width$}", width = usize::try_from(digits).unwrap_or(0));
    let too_large = |_| "is too large".to_owned();
    let magnitude: i64 =
        padded.trim_start_matches('0').parse().or_else(|error: std::num::ParseIntError| {
            if *error.kind() == std::num::IntErrorKind::Empty { Ok(0) } else { Err(too_large(error)) }
        })?;
    let up = i64::from(rest.bytes().next().is_some_and(|byte| byte >= b'5'));
    let magnitude = magnitude.checked_add(up).ok_or_else(|| "is too large".to_owned())?;
    Ok(if negative { -magnitude } else { magnitude })
}
