//! `record FILE`: whole visits from a file of one JSON object a line. `xundian record --help` has the format.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use xundian_client::{
    AbortReason, Client, Gtin, IssueKind, NewIssue, Severity, ShelfObservation, StockCount, VisitBundle,
    VisitId,
};

use super::CliError;
use super::args::{choice, due, moment_ms};
use super::output::Output;
use super::record_commands::gps_fix;

/// The longest accepted line. A visit with a thousand products takes about 150 KB.
const LINE_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn record(client: &Client, file: &Path, output: Output) -> Result<(), CliError> {
    let cannot = |source| CliError::File { file: file.display().to_string(), source };
    let (input, bytes): (Box<dyn Read>, u64) = if file.as_os_str() == "-" {
        (Box::new(std::io::stdin().lock()), 0)
    } else {
        let opened = File::open(file).map_err(cannot)?;
        let bytes = opened.metadata().map_err(cannot)?.len();
        (Box::new(opened), bytes)
    };
    let bar = progress_bar(bytes, output);
    let mut lines = Lines { input: BufReader::new(bar.wrap_read(input)), number: 0 };
    let (mut saved, mut bad) = (0, 0);
    while let Some((number, line)) = lines.next().map_err(cannot)? {
        match line.and_then(|line| record_line(client, &line)) {
            Ok(Some(visit)) => {
                saved += 1;
                bar.set_message(format!("{saved}"));
                if output.json {
                    output.answer(&json!({ "saved": visit.to_string() }), "")?;
                }
            }
            Ok(None) => {}
            Err(why) => {
                bad += 1;
                bar.suspend(|| eprintln!("{}:{number}: {why}", file.display()));
            }
        }
    }
    bar.finish_and_clear();
    if !output.json {
        output.answer(&json!({}), format!("已保存 saved {saved}，未保存 not saved {bad}"))?;
    }
    if bad > 0 { Err(CliError::BadLines { bad, saved }) } else { Ok(()) }
}

fn progress_bar(bytes: u64, output: Output) -> ProgressBar {
    if output.json || bytes == 0 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template(
        "记录 record [{bar:30}] {bytes}/{total_bytes} {msg} 次拜访 visits {eta}",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// A line's number, and its bytes or why they cannot be read.
type NumberedLine = (u64, Result<Vec<u8>, String>);

/// Reads lines of bounded length.
struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Returns the next line.
    fn next(&mut self) -> std::io::Result<Option<NumberedLine>> {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        if self.input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() > LINE_BYTES_MAX && !line.ends_with(b"\n") {
            self.skip_line()?;
            let why = format!(
                "该行过长 the line is longer than {LINE_BYTES_MAX} bytes: record fewer products in one visit"
            );
            return Ok(Some((self.number, Err(why))));
        }
        Ok(Some((self.number, Ok(line))))
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
        loop {
            let (used, found) = {
                let chunk = self.input.fill_buf()?;
                match chunk.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (chunk.len(), chunk.is_empty()),
                }
            };
            self.input.consume(used);
            if found {
                return Ok(());
            }
        }
    }
}

/// Saves the visit of one line. Returns `None` for an empty line.
fn record_line(client: &Client, line: &[u8]) -> Result<Option<VisitId>, String> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: VisitLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let bundle = line.bundle(client)?;
    client.record(&bundle).map(Some).map_err(|error| error.to_string())
}

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VisitLine {
    id: Option<String>,
    outlet: String,
    opened_at: Time,
    closed_at: Option<Time>,
    aborted_at: Option<Time>,
    abort_reason: Option<String>,
    time_in_store_ms: Option<i64>,
    #[serde(rename = "position")]
    fix: Option<GpsFixLine>,
    #[serde(default)]
    tasks: BTreeMap<String, bool>,
    note: Option<String>,
    #[serde(default)]
    lines: Vec<ProductLine>,
    #[serde(default)]
    issues: Vec<IssueLine>,
}

/// RFC 3339 text, or Unix milliseconds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Time {
    UnixMs(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GpsFixLine {
    latitude: f64,
    longitude: f64,
    accuracy_m: Option<i64>,
    #[serde(default)]
    mocked: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductLine {
    gtin: String,
    present: Option<bool>,
    in_backroom: Option<bool>,
    #[serde(alias = "facings_own")]
    facings: Option<i64>,
    facings_category: Option<i64>,
    facings_empty: Option<i64>,
    #[serde(alias = "price")]
    price_minor: Option<i64>,
    #[serde(alias = "shelf_units")]
    shelf: Option<i64>,
    #[serde(alias = "stack_units")]
    stack: Option<i64>,
    #[serde(alias = "backroom_units")]
    backroom: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueLine {
    kind: String,
    severity: String,
    text: String,
    due: Option<String>,
}

impl Time {
    fn unix_ms(&self) -> Result<i64, String> {
        match self {
            Self::UnixMs(unix_ms) => Ok(*unix_ms),
            Self::Text(text) => moment_ms(text),
        }
    }
}

impl VisitLine {
    fn bundle(self, client: &Client) -> Result<VisitBundle, String> {
        let outlet = client.outlet_named(&self.outlet).map_err(|error| error.to_string())?;
        let opened_at_ms = self.opened_at.unix_ms()?;
        let abort_reason = self.abort_reason.as_deref().map(choice::<AbortReason>).transpose()?;
        let ended_at = match (&self.closed_at, &self.aborted_at, abort_reason) {
            (Some(closed), None, None) => closed,
            (None, Some(aborted), Some(_)) => aborted,
            _ => return Err("a visit has either closed_at, or aborted_at with abort_reason".into()),
        };
        let fix = match &self.fix {
            None => None,
            Some(at) => {
                let found = gps_fix(at.latitude, at.longitude, at.accuracy_m, at.mocked);
                Some(found.map_err(|error| error.to_string())?)
            }
        };
        let id =
            self.id.as_deref().map(str::parse::<VisitId>).transpose().map_err(|error| error.to_string())?;
        let mut bundle = VisitBundle {
            id,
            abort_reason,
            time_in_store_ms: self.time_in_store_ms,
            fix,
            task_answers: self.tasks,
            note: self.note,
            issues: self.issues.iter().map(IssueLine::issue).collect::<Result<_, _>>()?,
            ..VisitBundle::new(outlet, opened_at_ms, ended_at.unix_ms()?)
        };
        for line in &self.lines {
            line.add(&mut bundle.shelf, &mut bundle.count)?;
        }
        Ok(bundle)
    }
}

impl ProductLine {
    fn add(&self, shelf: &mut ShelfObservation, count: &mut StockCount) -> Result<(), String> {
        let gtin: Gtin =
            self.gtin.parse().map_err(|error: xundian_protocol::kinds::GtinError| error.to_string())?;
        shelf.present.extend(self.present.map(|value| (gtin, value)));
        shelf.in_backroom.extend(self.in_backroom.map(|value| (gtin, value)));
        shelf.facings_own.extend(self.facings.map(|value| (gtin, value)));
        shelf.facings_category.extend(self.facings_category.map(|value| (gtin, value)));
        shelf.facings_empty.extend(self.facings_empty.map(|value| (gtin, value)));
        shelf.price_minor.extend(self.price_minor.map(|value| (gtin, value)));
        count.shelf_units.extend(self.shelf.map(|value| (gtin, value)));
        count.stack_units.extend(self.stack.map(|value| (gtin, value)));
        count.backroom_units.extend(self.backroom.map(|value| (gtin, value)));
        Ok(())
    }
}

impl IssueLine {
    fn issue(&self) -> Result<NewIssue, String> {
        Ok(NewIssue {
            issue_kind: choice::<IssueKind>(&self.kind)?,
            severity: choice::<Severity>(&self.severity)?,
            text: self.text.clone(),
            due: self.due.as_deref().map(due).transpose()?.unwrap_or_default(),
            assignee: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_and_the_next_one_is_read() {
        let long = vec![b'x'; LINE_BYTES_MAX + 70_000];
        let text = [b"one\n", &long[..], b"\ntwo"].concat();
        let mut lines = Lines { input: BufReader::new(&text[..]), number: 0 };
        assert_eq!(lines.next().expect("reads"), Some((1, Ok(b"one\n".to_vec()))));
        assert!(matches!(lines.next().expect("reads"), Some((2, Err(_)))));
        assert_eq!(lines.next().expect("reads"), Some((3, Ok(b"two".to_vec()))));
        assert_eq!(lines.next().expect("reads"), None);
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let line: VisitLine = serde_json::from_str(
            r#"{"outlet":"S1","opened_at":"2026-11-23T09:00:00+08:00","closed_at":1795395600000}"#,
        )
        .expect("a line");
        assert_eq!(line.opened_at.unix_ms(), Ok(1_795_395_600_000));
        assert_eq!(line.closed_at.expect("a time").unix_ms(), Ok(1_795_395_600_000));
        assert!(Time::Text("nine".into()).unix_ms().is_err());
        let unknown = serde_json::from_str::<VisitLine>(r#"{"outlet":"S1","opened_at":1,"closd_at":2}"#);
        assert!(unknown.expect_err("refused").to_string().contains("closd_at"));
    }
}
