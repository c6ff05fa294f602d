//! How values are written: numbers, times, durations and the fields of a record.

use super::request_context::RequestContext;
use super::texts::{self as t, Lang};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day, utc_offset_min};
use xundian_protocol::figures::Ratio;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId};
use xundian_protocol::kinds::{FieldSpec, Unit};
use xundian_protocol::record::Value;

/// A whole number with its thousands apart.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('−');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A ratio as a percentage with one digit, which is what a table has room for.
pub(super) fn percent(ratio: Ratio) -> String {
    let tenths = ratio.basis_points().map(|bp| (bp + 5).div_euclid(10));
    tenths.map_or_else(|| "–".into(), |tenths| format!("{}.{}%", tenths / 10, tenths % 10))
}

/// A ratio as a decimal with two digits.
pub(super) fn decimal(ratio: Ratio) -> String {
    let hundredths = ratio.basis_points().map(|bp| (bp + 50).div_euclid(100));
    hundredths
        .map_or_else(|| "–".into(), |hundredths| format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

/// A length of time: `32:05`, or `1:02:05`.
pub(super) fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A moment in a zone: its day and its time.
pub(super) fn moment(unix_ms: i64, zone: &str) -> (Day, String) {
    let offset = utc_offset_min(unix_ms, zone).unwrap_or(8 * 60);
    let minutes = unix_ms.div_euclid(60_000) + offset;
    let day = i32::try_from(minutes.div_euclid(24 * 60)).unwrap_or(0);
    let minute = minutes.rem_euclid(24 * 60);
    (Day(day), format!("{:02}:{:02}", minute / 60, minute % 60))
}

/// The time of a moment in the zone of an outlet; with its day where that is not `day`.
pub(super) fn time_at(
    ctx: &RequestContext,
    unix_ms: i64,
    outlet: Option<OutletId>,
    day: Option<Day>,
) -> String {
    let zone = outlet.and_then(|outlet| ctx.directory.outlet(outlet)?.time_zone.as_deref());
    let (on, time) = moment(unix_ms, zone.unwrap_or(DEFAULT_ZONE));
    if day == Some(on) { time } else { format!("{on} {time}") }
}

/// Yes or no.
pub(super) const fn yes_no(lang: Lang, yes: bool) -> &'static str {
    lang.of(if yes { t::YES } else { t::NO })
}

/// A choice's name.
pub(super) fn choice<C: xundian_protocol::kinds::Choice>(lang: Lang, choice: Option<C>) -> &'static str {
    choice.map_or("–", |choice| lang.of(choice.label()))
}

/// The value of a field, by what its declaration says of it.
pub(super) fn value(
    ctx: &RequestContext,
    field: &FieldSpec,
    value: &Value,
    outlet: Option<OutletId>,
) -> String {
    match value {
        Value::Absent => "–".into(),
        Value::Bool(yes) => yes_no(ctx.lang, *yes).into(),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => format!("{} B", bytes.len()),
        Value::Id(id) => {
            let directory = &ctx.directory;
            let unit = directory.unit(OrgUnitId(*id)).map(|_| ctx.unit_name(OrgUnitId(*id)));
            let person = || directory.person(PersonId(*id)).map(|entry| entry.name.clone());
            let position = || directory.position(PositionId(*id)).map(|entry| entry.title.clone());
            unit.or_else(person).or_else(position).unwrap_or_else(|| id.to_string())
        }
        Value::Int(int) => int_value(ctx, field, *int, outlet),
    }
}

fn int_value(ctx: &RequestContext, field: &FieldSpec, int: i64, outlet: Option<OutletId>) -> String {
    if let Some(choice) = field.choices.iter().find(|choice| choice.0 == int) {
        return ctx.t(choice.2).into();
    }
    match field.unit {
        Unit::UnixMs => time_at(ctx, int, outlet, None),
        Unit::Ms => duration(int),
        Unit::Day => i32::try_from(int).map_or_else(|_| int.to_string(), |day| Day(day).to_string()),
        Unit::Days => format!("{} {}", number(int), ctx.t(t::DAYS_UNIT)),
        Unit::DegreesE7 => degrees(int),
        Unit::Metres => format!("{} m", number(int)),
        Unit::Mm => format!("{} mm", number(int)),
        Unit::MinorUnits => money(int),
        Unit::Min => format!("{int} min"),
        Unit::None => int.to_string(),
        Unit::BaseUnits | Unit::Facings | Unit::Count | Unit::Bytes => number(int),
    }
}

/// Degrees from degrees × 10⁷.
pub(super) fn degrees(e7: i64) -> String {
    let sign = if e7 < 0 { "−" } else { "" };
    let e7 = e7.unsigned_abs();
    format!("{sign}{}.{:05}°", e7 / 10_000_000, e7 % 10_000_000 / 100)
}

/// An amount from minor units of a hundredth.
pub(super) fn money(minor: i64) -> String {
    let sign = if minor < 0 { "−" } else { "" };
    let minor = minor.unsigned_abs();
    format!("{sign}{}.{:02}", minor / 100, minor % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(["0", "999", "1,000", "−1,234,567"], [0, 999, 1000, -1_234_567].map(number));
        assert_eq!(percent(Ratio { numerator: 10_517, denominator: 94_043 }), "11.2%");
        assert_eq!(percent(Ratio { numerator: 1, denominator: 0 }), "–");
        assert_eq!(decimal(Ratio { numerator: 25, denominator: 24 }), "1.04");
        assert_eq!(duration(3_725_000), "1:02:05");
        let (day, time) = moment(1_795_453_200_000, DEFAULT_ZONE);
        assert_eq!((day.to_string().as_str(), time.as_str()), ("2026-11-24", "01:00"));
        assert_eq!(degrees(-312_304_567), "−31.23045°");
        assert_eq!(money(-1205), "−12.05");
    }
}
