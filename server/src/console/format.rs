//! How the console writes values: the protocol's formatter, with the page's language, names and time zones.

use super::request_context::RequestContext;
use super::texts::{self as t, Lang};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::figures::Ratio;
use xundian_protocol::ids::{KindId, OutletId, RecordId};
use xundian_protocol::kinds::format::{Formatter, moment};
pub(super) use xundian_protocol::kinds::format::{duration, grouped};
use xundian_protocol::kinds::{self, FieldSpec};
use xundian_protocol::record::{Key, RecordKey, Value};

/// A ratio as a percentage with one digit, as much as a table has room for.
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

/// A moment in an outlet's time zone, with its day unless that is `day`.
pub(super) fn time_at(
    ctx: &RequestContext,
    unix_ms: i64,
    outlet: Option<OutletId>,
    day: Option<Day>,
) -> String {
    let zone = outlet.and_then(|outlet| ctx.directory.outlet(outlet)?.time_zone.as_deref());
    let text = moment(unix_ms, zone.unwrap_or(DEFAULT_ZONE));
    match text.split_once(' ') {
        Some((on, time)) if day.is_some_and(|day| day.to_string() == on) => time.to_owned(),
        _ => text,
    }
}

/// Yes or no.
pub(super) const fn yes_no(lang: Lang, yes: bool) -> &'static str {
    lang.of(if yes { t::YES } else { t::NO })
}

/// A choice's name.
pub(super) fn choice<C: xundian_protocol::kinds::Choice>(lang: Lang, choice: Option<C>) -> &'static str {
    choice.map_or("–", |choice| lang.of(choice.label()))
}

/// The value of a field or of a map's line.
pub(super) fn value(
    ctx: &RequestContext,
    field: Option<&FieldSpec>,
    value: &Value,
    outlet: Option<OutletId>,
) -> String {
    with_formatter(ctx, outlet, |formatter| ctx.of(&formatter.value(field, value)))
}

/// The line of a map field; `None` for other fields.
pub(super) fn line(ctx: &RequestContext, field: Option<&FieldSpec>, key: &Key) -> Option<String> {
    with_formatter(ctx, None, |formatter| formatter.line(field, key))
}

fn with_formatter<T>(
    ctx: &RequestContext,
    outlet: Option<OutletId>,
    format: impl FnOnce(Formatter<'_>) -> T,
) -> T {
    format(Formatter {
        name: &|kind, id| name(ctx, kind, id),
        moment: &|unix_ms| time_at(ctx, unix_ms, outlet, None),
    })
}

/// The name of a record; its id if it cannot be read.
fn name(ctx: &RequestContext, kind: KindId, id: RecordId) -> Option<String> {
    let record = ctx.record(RecordKey { kind, id });
    let record = record.inspect_err(|error| tracing::warn!(%error, "a name cannot be read")).ok()??;
    kinds::spec(kind)?.display_name(&record)
}

/// Degrees from degrees × 10⁷.
pub(super) fn degrees(e7: i64) -> String {
    let sign = if e7 < 0 { "−" } else { "" };
    let e7 = e7.unsigned_abs();
    format!("{sign}{}.{:05}°", e7 / 10_000_000, e7 % 10_000_000 / 100)
}

/// An amount from minor units of a hundredth.
pub(super) fn money(minor: i64) -> String {
    kinds::format::decimal(minor, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(percent(Ratio { numerator: 10_517, denominator: 94_043 }), "11.2%");
        assert_eq!(percent(Ratio { numerator: 1, denominator: 0 }), "–");
        assert_eq!(decimal(Ratio { numerator: 25, denominator: 24 }), "1.04");
        assert_eq!(degrees(-312_304_567), "−31.23045°");
        assert_eq!(money(-1205), "−12.05");
    }
}
