//! Renders sheets as a table, as CSV and as JSON.

use super::sheet::{Column, Sheet, SheetValue, ShownIn, completeness_line, through};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};
use xundian_protocol::figures::Ratio;

/// A table for people, with its title above and its completeness below.
pub(super) fn table(sheet: &Sheet) -> String {
    let places = places(sheet, ShownIn::Data);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(places.iter().map(|place| sheet.heads[*place].zh));
    for row in sheet.rows.iter().chain(&sheet.total) {
        table.add_row(places.iter().map(|place| shown(&row[*place])));
    }
    for (shown, place) in places.iter().enumerate() {
        let is_text = |row: &Vec<SheetValue>| matches!(row[*place], SheetValue::Text(_) | SheetValue::Empty);
        if !sheet.rows.iter().chain(&sheet.total).all(is_text)
            && let Some(column) = table.column_mut(shown)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n{table}\n", sheet.title);
    if let Some(completeness) = &sheet.completeness {
        text.push_str(&completeness_line(completeness));
        text.push('\n');
    }
    text
}

/// CSV: headings in Chinese followed by the stable name, a ratio in three columns, no text that is a formula.
pub(super) fn csv(sheet: &Sheet, bom: bool) -> String {
    let start = if bom { vec![0xEF, 0xBB, 0xBF] } else { Vec::new() };
    let mut writer = csv::Writer::from_writer(start);
    let places = places(sheet, ShownIn::Table);
    let heads = places.iter().flat_map(|place| {
        let Column { zh, key, .. } = sheet.heads[*place];
        parts_of(sheet, *place).iter().map(move |part| format!("{zh} {key}{part}"))
    });
    // Writing to memory cannot fail.
    let _ = writer.write_record(heads);
    for row in sheet.rows.iter().chain(&sheet.total) {
        let cells = places.iter().flat_map(|place| plain(&row[*place], parts_of(sheet, *place).len()));
        let _ = writer.write_record(cells);
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// JSON: an object with the rows as objects.
pub(super) fn json(sheet: &Sheet) -> String {
    let places = places(sheet, ShownIn::Table);
    let object = |row: &Vec<SheetValue>| {
        places
            .iter()
            .map(|place| (sheet.heads[*place].key.to_owned(), value(&row[*place])))
            .collect::<Map<_, _>>()
    };
    let mut report = json!({
        "report": sheet.name,
        "title": sheet.title,
        "rows": sheet.rows.iter().map(object).collect::<Vec<_>>(),
    });
    if let Some((from, to)) = sheet.days {
        report["from"] = json!(from.to_string());
        report["to"] = json!(to.to_string());
    }
    if let Some(total) = &sheet.total {
        report["total"] = Value::Object(object(total));
    }
    if let Some(found) = &sheet.completeness {
        report["completeness"] = json!({
            "devices": found.devices,
            "complete": found.complete,
            "through_ms": found.through_ms,
            "through": Some(through(found)).filter(|text| !text.is_empty()),
        });
    }
    format!("{report:#}\n")
}

fn places(sheet: &Sheet, hidden: ShownIn) -> Vec<usize> {
    sheet.heads.iter().enumerate().filter(|(_, head)| head.show != hidden).map(|(place, _)| place).collect()
}

/// Ratio columns are three columns in CSV, whatever single rows hold.
fn parts_of(sheet: &Sheet, place: usize) -> &'static [&'static str] {
    let of = |row: &Vec<SheetValue>| match row[place] {
        SheetValue::Ratio(_) => Some(&["_numerator", "_denominator", "_percent"][..]),
        SheetValue::Quotient(_) => Some(&["_numerator", "_denominator", ""][..]),
        SheetValue::Empty | SheetValue::Text(_) | SheetValue::Int(_) => None,
    };
    sheet.rows.iter().chain(&sheet.total).find_map(of).unwrap_or(&[""])
}

fn shown(cell: &SheetValue) -> String {
    match cell {
        SheetValue::Empty => String::new(),
        SheetValue::Text(text) => text.clone(),
        SheetValue::Int(number) => number.to_string(),
        SheetValue::Ratio(ratio) if ratio.denominator == 0 => "–".into(),
        SheetValue::Ratio(ratio) => format!("{}/{} {}", ratio.numerator, ratio.denominator, ratio.percent()),
        SheetValue::Quotient(ratio) => decimal(*ratio, 100).unwrap_or_else(|| "–".into()),
    }
}

fn plain(cell: &SheetValue, parts: usize) -> Vec<String> {
    match cell {
        SheetValue::Text(text) => vec![not_a_formula(text)],
        SheetValue::Int(number) => vec![number.to_string()],
        SheetValue::Ratio(ratio) => fraction(*ratio, decimal(*ratio, 1)),
        SheetValue::Quotient(ratio) => fraction(*ratio, decimal(*ratio, 100)),
        SheetValue::Empty => vec![String::new(); parts],
    }
}

/// A text that a spreadsheet does not run. Text typed on a phone must not become a formula when the file is opened
/// (OWASP, "CSV Injection"): a leading apostrophe keeps it text.
fn not_a_formula(text: &str) -> String {
    let begins_one = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if begins_one && text.parse::<f64>().is_err() { format!("'{text}") } else { text.to_owned() }
}

fn fraction(ratio: Ratio, quotient: Option<String>) -> Vec<String> {
    vec![ratio.numerator.to_string(), ratio.denominator.to_string(), quotient.unwrap_or_default()]
}

fn value(cell: &SheetValue) -> Value {
    let number =
        |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    match cell {
        SheetValue::Empty => Value::Null,
        SheetValue::Text(text) => json!(text),
        SheetValue::Int(int) => json!(int),
        SheetValue::Ratio(Ratio { numerator, denominator }) => {
            let percent = number(decimal(Ratio { numerator: *numerator, denominator: *denominator }, 1));
            json!({ "numerator": numerator, "denominator": denominator, "percent": percent })
        }
        SheetValue::Quotient(Ratio { numerator, denominator }) => {
            let quotient = number(decimal(Ratio { numerator: *numerator, denominator: *denominator }, 100));
            json!({ "numerator": numerator, "denominator": denominator, "value": quotient })
        }
    }
}

/// The ratio's basis points divided by a hundred (a percentage) or ten thousand (the quotient), as a decimal with two
/// digits, without floats.
fn decimal(ratio: Ratio, coarser: i64) -> Option<String> {
    let hundredths = ratio.basis_points().map(|bp| (bp + coarser / 2).div_euclid(coarser))?;
    let sign = if hundredths < 0 { "-" } else { "" };
    let hundredths = hundredths.unsigned_abs();
    Some(format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_in_a_file_for_spreadsheets_is_a_formula() {
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(not_a_formula(formula), format!("'{formula}"));
        }
        for text in ["", "店主要求下周补货", "-12", "+8.5", "a=b", "'=1"] {
            assert_eq!(not_a_formula(text), text);
        }
    }
}
