//! The photo commands.

use serde_json::{Value as Json, json};
use xundian_client::{Client, NewPhoto, PhotoLine, PhotoOf, PhotoState, RecordError};
use xundian_protocol::kinds::Choice;

use super::CliError;
use super::args::{PhotoArgs, PhotoCommand, PhotoOfArg};
use super::output::{Output, state_words};
use super::record_commands;

pub(super) fn photo(client: &Client, command: PhotoCommand, output: Output) -> Result<(), CliError> {
    match command {
        PhotoCommand::Attach(args) => attach(client, args, output),
        PhotoCommand::List { of } => list(client, &of, output),
        PhotoCommand::Retry { picture } => {
            client.retry_photo(picture)?;
            let human = format!("将重新上传 will be offered again: {picture}");
            Ok(output.answer(&json!({ "retried": picture.to_string() }), human)?)
        }
        PhotoCommand::Drop { picture } => {
            client.drop_photo(picture)?;
            let human = format!("图片已移除，记录保留 picture dropped, its record stays: {picture}");
            Ok(output.answer(&json!({ "dropped": picture.to_string() }), human)?)
        }
    }
}

fn attach(client: &Client, args: PhotoArgs, output: Output) -> Result<(), CliError> {
    let photo = NewPhoto {
        subject: args.subject,
        source: args.source,
        taken_at_ms: args.taken_at,
        fix: record_commands::given_fix(&args.fix)?,
        note: args.note,
    };
    let id = client.attach_photo_file(meant(client, &args.of)?, &photo, &args.file)?;
    record_commands::saved(id, "照片已添加 photo attached", output)
}

fn list(client: &Client, of: &PhotoOfArg, output: Output) -> Result<(), CliError> {
    let lines = client.photos_of(meant(client, of)?)?;
    let json: Json = lines.iter().map(line_json).collect();
    let headings = ["编号 Id", "内容 Subject", "大小 Bytes", "记录 Record", "图片 Picture", "状态 State"];
    Ok(output.rows(&json, &headings, lines.iter().map(row).collect())?)
}

fn line_json(line: &PhotoLine) -> Json {
    let mut json = json!({
        "id": line.line.record.key.id.to_string(),
        "subject": line.photo.subject.map(Choice::code),
        "source": line.photo.source.map(Choice::code),
        "taken_at_ms": line.photo.taken_at_ms,
        "picture": line.photo.content_hash.map(|hash| hash.to_string()),
        "bytes": line.photo.size_bytes,
        "record_state": state_words(&line.line.state).0,
        "state": words(&line.state).0,
    });
    match &line.state {
        PhotoState::Waiting { sent_bytes } => json["sent_bytes"] = json!(sent_bytes),
        PhotoState::Declined { why, message, is_tried_again } => {
            json["why"] = json!(format!("{why:?}"));
            json["message"] = json!(message);
            json["is_tried_again"] = json!(is_tried_again);
        }
        PhotoState::Stored | PhotoState::Damaged | PhotoState::NotHere => {}
    }
    json
}

fn row(line: &PhotoLine) -> Vec<String> {
    let subject = line.photo.subject.map(Choice::label);
    let state = match &line.state {
        PhotoState::Waiting { sent_bytes: sent @ 1.. } => {
            format!("{}，已上传 sent {sent}", words(&line.state).1)
        }
        PhotoState::Declined { message, .. } => format!("{}：{message}", words(&line.state).1),
        state => words(state).1.to_owned(),
    };
    vec![
        line.line.record.key.id.to_string(),
        subject.map_or_else(String::new, |label| format!("{} {}", label.zh, label.en)),
        line.photo.size_bytes.map_or_else(String::new, |bytes| bytes.to_string()),
        state_words(&line.line.state).1.to_owned(),
        line.photo.content_hash.map_or_else(String::new, |hash| hash.to_string()),
        state,
    ]
}

/// A picture's state, as a word for programs and a word for people.
const fn words(state: &PhotoState) -> (&'static str, &'static str) {
    match state {
        PhotoState::Waiting { .. } => ("waiting", "待上传 waiting"),
        PhotoState::Stored => ("stored", "已上传 stored"),
        PhotoState::Declined { .. } => ("declined", "被拒绝 declined"),
        PhotoState::Damaged => ("damaged", "已损坏，请重新添加 damaged, attach it again"),
        PhotoState::NotHere => ("not_here", "不在本机 not on this device"),
    }
}

fn meant(client: &Client, of: &PhotoOfArg) -> Result<PhotoOf, RecordError> {
    match (of.issue, of.visit) {
        (Some(issue), _) => Ok(PhotoOf::Issue(issue)),
        (None, Some(visit)) => Ok(PhotoOf::Visit(visit)),
        (None, None) => client.current_visit().map(PhotoOf::Visit),
    }
}
