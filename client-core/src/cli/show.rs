//! The commands that show what the device holds.

use serde_json::{Value as Json, json};
use xundian_client::{Client, RecordId};
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{self, KindSpec, Outlet};
use xundian_protocol::record::RecordKey;

use super::CliError;
use super::args::RejectedCommand;
use super::output::{self, Output, time_text};

pub(super) fn status(client: &Client, output: Output) -> Result<(), CliError> {
    let (status, identity) = (client.status()?, client.identity());
    let json = json!({
        "device": identity.as_ref().map(|identity| identity.device.0),
        "person": identity.as_ref().map(|identity| identity.person.to_string()),
        "person_name": identity.as_ref().map(|identity| identity.person_name.clone()),
        "server": identity.as_ref().map(|identity| identity.server.clone()),
        "unsent_ops": status.unsent_ops,
        "oldest_unsent_ms": status.oldest_unsent_ms,
        "rejected_ops": status.rejected_ops,
        "unsent_photos": status.unsent_photos,
        "unsent_photo_bytes": status.unsent_photo_bytes,
        "oldest_unsent_photo_ms": status.oldest_unsent_photo_ms,
        "stuck_photos": status.stuck_photos,
        "last_sync_ms": status.last_sync_ms,
        "safe_to_lose_up_to_ms": status.safe_to_lose_up_to_ms,
        "server_offset_ms": status.server_offset_ms,
        "homes": status.homes,
        "store_bytes": status.store_bytes,
        "is_sealed": status.is_sealed,
    });
    let never = || "从未 never".to_owned();
    let who = identity.map_or_else(
        || "未注册 not enrolled".to_owned(),
        |identity| format!("{} {} @ {}", identity.device, identity.person_name, identity.server),
    );
    let sealed = if status.is_sealed { "是 yes" } else { "否，明文保存 no, the files are plain" };
    let rows = [
        ("设备 Device", who),
        ("待发送 Waiting to be sent", status.unsent_ops.to_string()),
        ("最早未发送 Oldest of them", status.oldest_unsent_ms.map_or_else(|| "—".to_owned(), time_text)),
        ("被拒绝 Rejected", status.rejected_ops.to_string()),
        (
            "待上传图片 Pictures waiting",
            format!("{}（{} KiB）", status.unsent_photos, status.unsent_photo_bytes.div_ceil(1024)),
        ),
        ("无法上传的图片 Pictures stuck", status.stuck_photos.to_string()),
        ("上次同步 Last sync", status.last_sync_ms.map_or_else(never, time_text)),
        (
            "手机遗失也安全，截至 Safe to lose this phone up to",
            status.safe_to_lose_up_to_ms.map_or_else(never, time_text),
        ),
        ("范围 Homes in scope", status.homes.to_string()),
        ("占用空间 On disk", format!("{} KiB", status.store_bytes / 1024)),
        ("本机加密 Sealed on disk", sealed.to_owned()),
    ];
    let rows = rows.map(|(label, value)| vec![label.to_owned(), value]).to_vec();
    Ok(output.rows(&json, &["项目 Item", "值 Value"], rows)?)
}

pub(super) fn list(client: &Client, kind: &str, day: Option<Day>, output: Output) -> Result<(), CliError> {
    let kind = kind_named(kind)?;
    let lines = client.list(kind.kind, day)?;
    let (headings, rows) = output::list_table(kind, &lines);
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    Ok(output.rows(&output::lines_json(&lines), &headings, rows)?)
}

pub(super) fn show(client: &Client, kind: &str, id: &str, output: Output) -> Result<(), CliError> {
    let kind = kind_named(kind)?;
    let id = if kind.kind == Outlet::SPEC.kind {
        client.outlet_named(id)?.0
    } else {
        let wrong = |_| CliError::Id { kind: kind.code.to_owned(), id: id.chars().take(64).collect() };
        id.parse::<RecordId>().map_err(wrong)?
    };
    let key = RecordKey { kind: kind.kind, id };
    let line = client.find(key)?.ok_or(xundian_client::RecordError::NoSuchRecord { key })?;
    Ok(output.rows(&output::line_json(&line), &["字段 Field", "值 Value"], output::record_rows(&line))?)
}

pub(super) fn rejected(client: &Client, command: &RejectedCommand, output: Output) -> Result<(), CliError> {
    match command {
        RejectedCommand::List => list_rejected(client, output),
        RejectedCommand::Resend { id } => {
            client.resend_rejected(*id)?;
            Ok(output.answer(
                &json!({ "resent": id.to_string() }),
                format!("已重新提交 will be sent again: {id}"),
            )?)
        }
        RejectedCommand::Drop { id } => {
            client.drop_rejected(*id)?;
            Ok(output.answer(&json!({ "dropped": id.to_string() }), format!("已丢弃 dropped: {id}"))?)
        }
    }
}

fn list_rejected(client: &Client, output: Output) -> Result<(), CliError> {
    let rejected = client.rejected()?;
    let json: Json = rejected
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id.to_string(),
                "why": format!("{:?}", entry.why),
                "message": entry.message,
                "save": output::op_json(&entry.op),
            })
        })
        .collect();
    let row = |entry: &xundian_client::Rejected| {
        let kind = kinds::spec(entry.op.record.kind);
        vec![
            entry.id.to_string(),
            kind.map_or_else(String::new, |kind| format!("{} {}", kind.label.zh, kind.label.en)),
            output::op_fields(&entry.op),
            entry.message.clone(),
        ]
    };
    let headings = ["编号 Id", "类型 Kind", "内容 Content", "原因 Why"];
    Ok(output.rows(&json, &headings, rejected.iter().map(row).collect())?)
}

fn kind_named(code: &str) -> Result<&'static KindSpec, CliError> {
    kinds::spec_by_code(code).ok_or_else(|| {
        let known: Vec<_> = kinds::ALL.iter().map(|kind| kind.code).collect();
        CliError::Kind { kind: code.chars().take(64).collect(), known: known.join(", ") }
    })
}
