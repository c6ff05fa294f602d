//! The conflict commands.

use serde_json::{Value as Json, json};
use xundian_client::{Client, ConflictLine, ConflictSide, Decision, RecordId};
use xundian_protocol::kinds::{self, Choice, format};
use xundian_protocol::record::Home;

use super::CliError;
use super::output::{Output, state_words, time_text};

/// Lists the conflicts of one outlet or of all; open ones first.
pub(super) fn list(client: &Client, outlet: Option<&str>, output: Output) -> Result<(), CliError> {
    let home = outlet.map(|name| client.outlet_named(name).map(Home::Outlet)).transpose()?;
    let conflicts = client.conflicts(home)?;
    let headings =
        ["编号 Id", "记录 Record", "字段 Field", "现值 Kept", "落选值 Lost", "处理 Settlement", "状态 State"];
    let json: Json = conflicts.iter().map(line_json).collect();
    Ok(output.rows(&json, &headings, conflicts.iter().map(row).collect())?)
}

/// Settles one conflict.
pub(super) fn settle(
    client: &Client,
    id: RecordId,
    decision: Decision,
    output: Output,
) -> Result<(), CliError> {
    client.settle_conflict(id, decision)?;
    let label = decision.label();
    let says = format!("{} {}：{id}", label.zh, label.en.to_lowercase());
    Ok(output.answer(&json!({ "settled": id.to_string(), "decision": decision.code() }), says)?)
}

fn row(line: &ConflictLine) -> Vec<String> {
    let kind = kinds::spec(line.record.kind).map_or_else(
        || line.record.kind.0.to_string(),
        |kind| format!("{} {}", kind.label.zh, kind.label.en),
    );
    let of = line.line.as_ref().map_or_else(String::new, |line| format!(" [{line}]"));
    let settled = line.settlement.map_or_else(
        || "未处理 open".to_owned(),
        |settled| {
            let label = settled.decision.label();
            format!("{} {}", label.zh, label.en.to_lowercase())
        },
    );
    vec![
        line.id.to_string(),
        format!("{kind} {}", line.record.id),
        format!("{}{of}", line.field.bilingual()),
        side_text(&line.kept),
        side_text(&line.lost),
        settled,
        state_words(&line.state).1.to_owned(),
    ]
}

fn side_text(ConflictSide { side, text }: &ConflictSide) -> String {
    let value = text.bilingual();
    let headquarters = || "总部 headquarters".to_owned();
    format!("{value}（{}，{}）", side.name.clone().unwrap_or_else(headquarters), time_text(side.at_ms))
}

fn line_json(line: &ConflictLine) -> Json {
    let kind = kinds::spec(line.record.kind);
    let field = kind.and_then(|kind| kind.field(line.at.tag));
    json!({
        "id": line.id.to_string(),
        "kind": kind.map_or_else(|| format!("kind_{}", line.record.kind.0), |kind| kind.code.to_owned()),
        "record": line.record.id.to_string(),
        "field": format::field_name(field, line.at.tag),
        "line": line.line,
        "kept": side_json(&line.kept),
        "lost": side_json(&line.lost),
        "found_at_ms": line.found_at_ms,
        "may_restore": line.may_restore,
        "settlement": line.settlement.map(|settled| json!({
            "decision": settled.decision.code(),
            "by": settled.by.to_string(),
            "at_ms": settled.at_ms,
        })),
        "state": state_words(&line.state).0,
    })
}

fn side_json(ConflictSide { side, text }: &ConflictSide) -> Json {
    json!({
        "zh": text.zh,
        "en": text.en,
        "device": side.device.0,
        "person": side.person.map(|person| person.to_string()),
        "person_name": side.name,
        "at_ms": side.at_ms,
    })
}
