//! Days and weeks: the calendar day of a moment in the time zone of its outlet.

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use std::fmt;
use std::str::FromStr;

/// The time zone of an outlet that has none of its own.
pub const DEFAULT_ZONE: &str = "Asia/Shanghai";

/// A calendar day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(pub i32);

impl Day {
    /// The day of a Gregorian date.
    pub fn of(date: NaiveDate) -> Self {
        Self(date.to_epoch_days())
    }

    /// The Gregorian date. Days outside of chrono's range give the nearest date in it.
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_epoch_days(self.0).unwrap_or(if self.0 < 0 { NaiveDate::MIN } else { NaiveDate::MAX })
    }

    /// The day of a moment in [`DEFAULT_ZONE`], the company's zone; 1970-01-01 for a moment outside of the calendar.
    pub fn in_default_zone(unix_ms: i64) -> Self {
        Self::local(unix_ms, DEFAULT_ZONE).unwrap_or(Self(0))
    }

    /// The local day of a moment (Unix milliseconds) in an IANA zone; `None` for an unknown zone.
    pub fn local(unix_ms: i64, zone: &str) -> Option<Self> {
        let zone: chrono_tz::Tz = zone.parse().ok()?;
        Some(Self::of(DateTime::from_timestamp_millis(unix_ms)?.with_timezone(&zone).date_naive()))
    }

    /// The first moment of this day in an IANA zone, in Unix milliseconds.
    pub fn start_ms(self, zone: &str) -> Option<i64> {
        let zone: chrono_tz::Tz = zone.parse().ok()?;
        let midnight = self.date().and_hms_opt(0, 0, 0)?;
        zone.from_local_datetime(&midnight).earliest().map(|at| at.timestamp_millis())
    }

    /// The Monday of this day's ISO 8601 week.
    #[must_use]
    pub fn week_start(self) -> Self {
        Self(self.0.saturating_sub(self.date().weekday().num_days_from_monday().cast_signed()))
    }

    /// The number of months since year 0. It identifies a month and orders months.
    pub fn month(self) -> i32 {
        let date = self.date();
        date.year() * 12 + date.month0().cast_signed()
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The offset from UTC of a moment in a zone, in minutes.
pub fn utc_offset_min(unix_ms: i64, zone: &str) -> Option<i64> {
    let zone: chrono_tz::Tz = zone.parse().ok()?;
    let at = DateTime::from_timestamp_millis(unix_ms)?.with_timezone(&zone);
    Some(i64::from(at.offset().fix().local_minus_utc() / 60))
}

/// A moment in a zone to the minute, such as `2026-11-23 17:02`; `None` for an unknown zone or a moment outside of the
/// calendar.
pub fn moment_text(unix_ms: i64, zone: &str) -> Option<String> {
    let zone: chrono_tz::Tz = zone.parse().ok()?;
    let at = DateTime::from_timestamp_millis(unix_ms)?.with_timezone(&zone);
    Some(at.format("%Y-%m-%d %H:%M").to_string())
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

/// A text that is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a day; write it as 2026-11-23")]
pub struct DayError {
    text: String,
}

impl FromStr for Day {
    type Err = DayError;
    fn from_str(text: &str) -> Result<Self, DayError> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(Self::of)
            .map_err(|_| DayError { text: text.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_evening_in_utc_is_the_next_day_in_shanghai() {
        let evening = "2026-11-23".parse::<Day>().map(|d| i64::from(d.0) * 86_400_000 + 17 * 3_600_000);
        let day = Day::local(evening.unwrap_or(0), DEFAULT_ZONE);
        assert_eq!(day.map(|d| d.to_string()).as_deref(), Some("2026-11-24"));
    }

    #[test]
    fn weeks_start_on_monday() {
        let sunday: Day = "2026-11-29".parse().unwrap_or(Day(0));
        assert_eq!(sunday.week_start().to_string(), "2026-11-23");
    }
}
