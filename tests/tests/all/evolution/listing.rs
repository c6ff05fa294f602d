//! Lists the content of a store as text, to be kept beside a fixture. Kinds and fields appear as numbers, so the text
//! does not change when declarations grow.

use std::fmt::Write as _;
use std::path::Path;

use xundian_client::{Client, PhotoOf, PhotoState, SaveState, VisitId};
use xundian_protocol::figures::stock_ledger::Stock;
use xundian_protocol::figures::{Cell, Period, Subject};
use xundian_protocol::ids::ContentHash;
use xundian_protocol::kinds::{self, Visit};
use xundian_protocol::record::{Home, Key, Op, Record, Value, Write};
use xundian_protocol::wire::stored;
use xundian_server::store::{BlobRef, Picture, PictureRow, Reader, Store};

use super::kinds::FUTURE;

/// Lists what an app can see of a device.
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

/// Lists a server's store, except for the audit trail, whose text is for people.
pub(super) fn of_server(data: &Path) -> String {
    let store = Store::open(&data.join("store")).expect("a store of a format that is read");
    let reader = store.reader();
    let mut out = String::new();
    let (head, clock) = (reader.feed_head().expect("readable"), reader.clock().expect("readable"));
    line(&mut out, format!("feed head {}, clock {}", head.0, clock.0));
    devices_and_records(&mut out, &reader);
    figures(&mut out, &reader);
    pictures(&mut out, &reader);
    out
}

fn devices_and_records(out: &mut String, reader: &Reader<'_>) {
    for device in reader.devices().expect("readable") {
        let (applied, captured) = (device.applied_through.0, device.captured_through_ms);
        let text = format!("device {} of {} {:?}", device.no, device.person, device.label);
        let revoked = device.revoked_at_ms;
        line(
            out,
            format!("{text}, applied through {applied}, revoked {revoked:?}, captured through {captured:?}"),
        );
    }
    for found in reader.records(None) {
        let found = found.expect("readable");
        let position = found.position;
        let state = format!("at {} by {}, foreign {}", position.seq.0, position.author, position.foreign.0);
        record(out, &found.record, &state);
    }
    for rejected in reader.rejected().expect("readable") {
        let (seq, device) = (rejected.seq.0, rejected.device);
        line(out, format!("rejected {seq} of {device} for {}: {}", rejected.why, rejected.message));
        op(out, &stored::decode_op(&rejected.op).expect("readable"));
    }
}

fn figures(out: &mut String, reader: &Reader<'_>) {
    for (cell, measures) in reader.cell_rows().flat_map(|row| row.expect("a store").expect("readable")) {
        let Cell { family, dimension, .. } = cell;
        let (subject, period) = (subject(cell.subject), period(cell.period));
        line(out, format!("cell {} {subject} {period} {} {:?}", family.number(), dimension.0, measures.0));
    }
    for row in reader.statement_rows() {
        let (outlet, statement) = row.expect("a store").expect("readable");
        for entry in &statement.lines {
            let said = match entry.stock {
                Stock::Counted(units) => format!("counted {units}"),
                Stock::Moved(units) => format!("moved {units}"),
            };
            let (day, gtin, after) = (statement.day, entry.gtin, entry.units_after);
            line(out, format!("stock in {outlet} on {day} of {gtin}: {said}, then {after}"));
        }
    }
    let provenance = reader.provenance_rows().map(|row| row.expect("a store").expect("readable").len());
    line(out, format!("traces {}", provenance.sum::<usize>()));
}

fn pictures(out: &mut String, reader: &Reader<'_>) {
    for row in reader.pictures(None) {
        match row.expect("readable") {
            PictureRow::Stored(Picture { hash, bytes, preview }) => {
                line(out, format!("picture {hash} of {bytes} bytes, thumbnail {}", preview as u8));
            }
            PictureRow::Named(BlobRef { hash, author, record, .. }) => {
                line(out, format!("picture {hash} named by {} {} of {author}", record.kind.0, record.id));
            }
        }
    }
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
