//! The output of the command line: tables for people, JSON for programs. Both come from the kinds' declarations.

use std::io::Write;

use chrono::{DateTime, Local};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value as Json, json};
use xundian_client::json::{self, home_text};
use xundian_client::{RecordLine, SaveState};
use xundian_protocol::kinds::format::{self, Formatter};
use xundian_protocol::kinds::{FieldSpec, KindSpec, header, spec};
use xundian_protocol::record::{Record, Value};

/// The form of the output: JSON or text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints an answer, as JSON or as text.
    pub(crate) fn answer(self, json: &Json, human: impl std::fmt::Display) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?
        } else {
            writeln!(out, "{human}")?
        }
        // A program that reads a line may rely on it at once.
        out.flush()
    }

    /// Prints rows under their headings.
    pub(crate) fn rows(self, json: &Json, headings: &[&str], rows: Vec<Vec<String>>) -> std::io::Result<()> {
        self.answer(json, table(headings, rows))
    }
}

fn table(headings: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.to_vec());
    table.add_rows(rows);
    table
}

/// A record's save state, as a word for programs and a word for people.
pub(crate) const fn state_words(state: &SaveState) -> (&'static str, &'static str) {
    match state {
        SaveState::Saved => ("saved", "已保存 saved"),
        SaveState::Sent => ("sent", "已发送 sent"),
        SaveState::Confirmed => ("confirmed", "已确认 confirmed"),
        SaveState::Rejected(_) => ("rejected", "被拒绝 rejected"),
    }
}

/// A list of records as JSON.
pub(crate) fn lines_json(lines: &[RecordLine]) -> Json {
    lines.iter().map(line_json).collect()
}

/// A record as JSON: its fields by name, maps as objects by their lines' keys.
pub(crate) fn line_json(line: &RecordLine) -> Json {
    let mut json = json::record_json(&line.record);
    json.insert("state".into(), json!(state_words(&line.state).0));
    Json::Object(json)
}

/// The rows of one record: label and value of each field.
pub(crate) fn record_rows(line: &RecordLine) -> Vec<Vec<String>> {
    let known = spec(line.record.key.kind);
    let mut rows = vec![
        vec!["编号 Id".into(), line.record.key.id.to_string()],
        vec!["归属 Home".into(), home_text(line.record.home)],
        vec!["状态 State".into(), state_words(&line.state).1.into()],
    ];
    for field in line.record.fields().iter().filter(|field| field.register.value != Value::Absent) {
        let declared = known.and_then(|kind| kind.field(field.at.tag));
        let mut label = format::field_label(declared, field.at.tag).bilingual();
        if let Some(line) = Formatter::PLAIN.line(declared, &field.at.key) {
            label = format!("{label} [{line}]");
        }
        rows.push(vec![label, value_text(declared, &field.register.value)]);
    }
    rows
}

/// The table of a list: headings and rows, with the single fields that at least one record fills.
pub(crate) fn list_table(kind: &KindSpec, lines: &[RecordLine]) -> (Vec<String>, Vec<Vec<String>>) {
    let is_filled = |field: &&FieldSpec| lines.iter().any(|line| line.record.value(field.tag).is_some());
    let columns: Vec<&FieldSpec> = kind.fields.iter().filter(is_filled).take(LIST_COLUMNS_MAX).collect();
    let headings = ["编号 Id", "业务日期 Day", "状态 State"].map(str::to_owned).into_iter();
    let headings =
        headings.chain(columns.iter().map(|field| format!("{} {}", field.label.zh, field.label.en)));
    let row = |line: &RecordLine| {
        let day = line.record.value(header::BUSINESS_DAY);
        let day_spec = header::FIELDS.iter().find(|field| field.tag == header::BUSINESS_DAY);
        let first = [
            line.record.key.id.to_string(),
            day.map(|day| value_text(day_spec, day)).unwrap_or_default(),
            state_words(&line.state).1.to_owned(),
        ];
        let value = |field: &&FieldSpec| cell(field, &line.record);
        first.into_iter().chain(columns.iter().map(value)).collect()
    };
    (headings.collect(), lines.iter().map(row).collect())
}

/// More columns do not fit on a terminal.
const LIST_COLUMNS_MAX: usize = 7;

fn cell(field: &FieldSpec, record: &Record) -> String {
    record.value(field.tag).map(|value| value_text(Some(field), value)).unwrap_or_default()
}

fn value_text(field: Option<&FieldSpec>, value: &Value) -> String {
    Formatter { moment: &time_text, ..Formatter::PLAIN }.value(field, value).bilingual()
}

/// A moment in this computer's time zone.
pub(crate) fn time_text(unix_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(unix_ms);
    at.map_or_else(
        || unix_ms.to_string(),
        |at| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// The fields of a rejected save, for people.
pub(crate) fn op_fields(op: &xundian_protocol::record::Op) -> String {
    let known = spec(op.record.kind);
    let one = |write: &xundian_protocol::record::Write| {
        let declared = known.and_then(|kind| kind.field(write.at.tag));
        declared.map(|field| format!("{}={}", field.label.zh, value_text(Some(field), &write.value)))
    };
    let own = op.writes.iter().filter(|write| write.at.tag >= header::TAGS_END);
    own.filter_map(one).take(4).collect::<Vec<_>>().join("，")
}

/// A record made from one op, so that a rejected save is shown like a record.
pub(crate) fn op_json(op: &xundian_protocol::record::Op) -> Json {
    line_json(&RecordLine { record: json::op_record(op), state: SaveState::Rejected(Vec::new()) })
}
