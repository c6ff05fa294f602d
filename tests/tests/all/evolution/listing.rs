//! All that a store holds as text, which is kept beside a fixture. It names kinds and fields by their numbers, so that
//! it stays the same however their declarations grow.

use std::fmt::Write as _;
use std::path::Path;

use xundian_client::{Client, PhotoOf, PhotoState, SaveState, VisitId};
use xundian_protocol::ids::ContentHash;
use xundian_protocol::kinds::{self, Visit};
use xundian_protocol::record::{Home, Key, Op, Record, Value, Write};
use xundian_protocol::views::ledger::Stock;
use xundian_protocol::views::{Period, Subject};
use xundian_server::store::{PictureRow, Store};

use super::kinds::FUTURE;

/// What an app can see of a device.
pub(super) fn of_device(client: &Client) -> String {
    let mut out = String::new();
    let identity = client.identity().expect("enrolled");
    line(&mut out, format!("device {} of {} {}", identity.device, identity.person, identity.person_name));
    let status = client.status().expect("readable");
    line(
        &mut out,
        format!(
            "unsent {} since {:?}, rejected {}, unsent photos {} of {} bytes, last sync {:?}, homes {}, sealed {}",
            status.unsent_ops,
            status.oldest_unsent_ms,
            status.rejected_ops,
            status.unsent_photos,
            status.unsent_photo_bytes,
            status.last_sync_ms,
            status.homes,
            status.is_sealed
        ),
    );
    line(&mut out, format!("open visit {:?}", client.current_visit().ok().map(|visit| visit.to_string())));
    for kind in kinds::ALL.iter().map(|spec| spec.kind).chain([FUTURE]) {
        for found in client.list(kind, None).expect("readable") {
            record(&mut out, &found.record, &state(&found.state));
            if kind == Visit::SPEC.kind {
                photos(&mut out, client, VisitId(found.record.key.id));
            }
        }
    }
    for rejected in client.rejected().expect("readable") {
        line(&mut out, format!("rejected {} for {}: {}", rejected.id, rejected.why as u16, rejected.message));
        op(&mut out, &rejected.op);
    }
    out
}

/// All that a server's store holds but the audit trail, which is for people.
pub(super) fn of_server(data: &Path) -> String {
    let store = Store::open(&data.join("store")).expect("a store of a format that is read");
    let reader = store.reader();
    let mut out = String::new();
    line(
        &mut out,
        format!(
            "feed head {}, clock {}",
            reader.feed_head().expect("readable").0,
            reader.clock().expect("readable").0
        ),
    );
    for device in reader.devices().expect("readable") {
        let text = format!(
            "device {} of {} {:?}, applied through {}, revoked {:?}, captured through {:?}",
            device.no,
            device.person,
            device.label,
            device.applied_through.0,
            device.revoked_at_ms,
            device.captured_through_ms
        );
        line(&mut out, text);
    }
    for found in reader.records(None) {
        let found = found.expect("readable");
        let place = found.place;
        record(
            &mut out,
            &found.record,
            &format!("at {} by {}, foreign {}", place.seq.0, place.author, place.foreign.0),
        );
    }
    for rejected in reader.rejected().expect("readable") {
        let text = format!(
            "rejected {} of {} for {}: {}",
            rejected.seq.0, rejected.device, rejected.why, rejected.message
        );
        line(&mut out, text);
        op(&mut out, &xundian_protocol::wire::stored::decode_op(&rejected.op).expect("readable"));
    }
    let cell = |cell: xundian_protocol::views::Cell, measures: xundian_protocol::views::Measures| {
        let (subject, period) = (subject(cell.subject), period(cell.period));
        line(
            &mut out,
            format!("cell {} {subject} {period} {} {:?}", cell.view.number(), cell.dimension.0, measures.0),
        );
    };
    reader.all_cells(cell).expect("readable");
    for row in reader.statements() {
        let (outlet, statement) = row.expect("readable");
        for entry in &statement.lines {
            let (said, units) = match entry.stock {
                Stock::Counted(units) => ("counted", units),
                Stock::Moved(units) => ("moved", units),
            };
            let day = statement.day;
            line(
                &mut out,
                format!(
                    "stock in {outlet} on {day} of {}: {said} {units}, then {}",
                    entry.gtin, entry.units_after
                ),
            );
        }
    }
    for row in reader.pictures(None) {
        match row.expect("readable") {
            PictureRow::Stored(picture) => {
                line(
                    &mut out,
                    format!(
                        "picture {} of {} bytes, thumbnail {}",
                        picture.hash, picture.bytes, picture.preview as u8
                    ),
                );
            }
            PictureRow::Named(named) => {
                let text = format!(
                    "picture {} named by {} {} of {}",
                    named.hash, named.record.kind.0, named.record.id, named.author
                );
                line(&mut out, text);
            }
        }
    }
    line(&mut out, format!("traces {}", reader.trace_count().expect("readable")));
    out
}

fn line(out: &mut String, text: String) {
    writeln!(out, "{text}").expect("a text takes all");
}

fn record(out: &mut String, record: &Record, state: &str) {
    line(out, format!("record {} {} in {}, {state}", record.key.kind.0, record.key.id, home(record.home)));
    for field in record.fields() {
        let (at, stamp) = (&field.at, field.register.stamp);
        let value = value(&field.register.value);
        line(out, format!("  {}{} = {value} by {} at {}", at.tag, key(&at.key), stamp.device, stamp.hlc.0));
    }
}

fn op(out: &mut String, op: &Op) {
    let stamp = op.stamp;
    line(
        out,
        format!(
            "  {} {} in {} by {} at {}",
            op.record.kind.0,
            op.record.id,
            home(op.home),
            stamp.device,
            stamp.hlc.0
        ),
    );
    for Write { at, value: written, seen } in &op.writes {
        let seen = seen.map(|seen| format!(" seen {} at {}", seen.device, seen.hlc.0)).unwrap_or_default();
        line(out, format!("    {}{} = {}{seen}", at.tag, key(&at.key), value(written)));
    }
}

fn photos(out: &mut String, client: &Client, visit: VisitId) {
    for photo in client.photos_of(PhotoOf::Visit(visit)).expect("readable") {
        let hash = photo.photo.content_hash.expect("a photo names its picture");
        let state = match photo.state {
            PhotoState::Waiting { sent_bytes } => format!("waits, {sent_bytes} bytes of it sent"),
            PhotoState::Stored => "stored".to_owned(),
            other => format!("{other:?}"),
        };
        let is_whole = client.photo_bytes(hash).is_ok_and(|bytes| ContentHash::of(&bytes) == hash);
        line(out, format!("  picture {hash} {state}, here and whole {is_whole}"));
    }
}

fn state(state: &SaveState) -> String {
    match state {
        SaveState::Saved => "saved".to_owned(),
        SaveState::Sent => "sent".to_owned(),
        SaveState::Confirmed => "confirmed".to_owned(),
        SaveState::Rejected(ids) => {
            format!("rejected {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
    }
}

fn home(home: Home) -> String {
    match home {
        Home::Company => "the company".to_owned(),
        Home::Unit(id) => format!("unit {id}"),
        Home::Outlet(id) => format!("outlet {id}"),
        Home::Person(id) => format!("person {id}"),
    }
}

fn key(key: &Key) -> String {
    match key {
        Key::Single => String::new(),
        Key::Number(number) => format!("[{number}]"),
        Key::Text(text) => format!("[{text:?}]"),
        Key::Id(id) => format!("[{id}]"),
        Key::NumberText(number, text) => format!("[{number} {text:?}]"),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Absent => "nothing".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Id(id) => id.to_string(),
        Value::Bytes(bytes) => {
            format!("bytes {}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    }
}

fn subject(subject: Subject) -> String {
    match subject {
        Subject::Unit(unit) => {
            format!("unit {}", unit.map_or_else(|| "none".to_owned(), |unit| unit.to_string()))
        }
        Subject::Person(person) => format!("person {person}"),
    }
}

fn period(period: Period) -> String {
    match period {
        Period::Year(year) => format!("year {year}"),
        Period::Month(month) => format!("month {month}"),
        Period::Day(day) => format!("day {day}"),
    }
}
