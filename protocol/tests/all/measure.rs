//! Benchmarks of the encodings, run by hand:
//! `cargo test --release -p xundian-protocol measure -- --ignored --nocapture`.

use crate::examples::{DAY, NOON_MS, count, gtin, header, shelf, visit};
use crate::random::Random;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use xundian_protocol::clock::{Clock, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{Entity, Header, ShelfObservation, StockCount, Visit};
use xundian_protocol::limits::{BATCH_OPS_MAX, BATCH_PLAIN_BYTES_TARGET, bytes_in_frame};
use xundian_protocol::record::{Home, Op, Record};
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Changes, ClientFrame, Push, ServerFrame, decode_client, decode_server};
use xundian_protocol::wire::v1::{encode_client, encode_server};

const VISITS: u64 = 2_000;
const LINES: u64 = 20;
const PASSES: u32 = 5;

/// Field work like that of docs/PERFORMANCE.md: three ops for each visit.
fn field_work() -> Vec<Op> {
    let mut random = Random::new(7);
    let mut clock = Clock::default();
    let mut ops = Vec::new();
    for n in 0..VISITS {
        let at_ms = NOON_MS + n.cast_signed() * 1_200_000 + random.below(300_000).cast_signed();
        let id = random.id(at_ms);
        let home = Home::Outlet(OutletId(RecordId::derived(Visit::SPEC.kind, &(n % 240).to_string())));
        let header = Header { captured_at_ms: at_ms, ..header() };
        let lines: Vec<_> = (0..LINES).map(|_| gtin(random.below(60))).collect();
        let mut of = |low: i64, span: u64| -> BTreeMap<_, i64> {
            lines.iter().map(|gtin| (*gtin, low + random.below(span).cast_signed())).collect()
        };
        let (facings, shelf_units, backroom) = (of(1, 8), of(0, 30), of(0, 60));
        let price_minor =
            lines.iter().map(|gtin| (*gtin, 590 + (gtin.number() / 10 % 40).cast_signed() * 50)).collect();
        let present = shelf_units.iter().map(|(gtin, units)| (*gtin, *units > 2)).collect();
        let visit = Visit {
            opened_at_ms: Some(at_ms - 1_500_000 - random.below(600_000).cast_signed()),
            closed_at_ms: Some(at_ms),
            time_in_store_ms: Some(1_500_000 + random.below(600_000).cast_signed()),
            latitude_e7: Some(399_000_000 + random.below(1_000_000).cast_signed()),
            longitude_e7: Some(1_163_000_000 + random.below(1_000_000).cast_signed()),
            ..visit()
        };
        let in_visit = Some(VisitId(id));
        let shelf =
            ShelfObservation { visit: in_visit, present, facings_own: facings, price_minor, ..shelf(0) };
        let count = StockCount {
            visit: in_visit,
            shelf_units,
            backroom_units: backroom,
            lot_units: BTreeMap::new(),
            lot_expires_on: BTreeMap::new(),
            ..count(0)
        };
        for (record, form) in [
            (Visit::key(id), visit.writes()),
            (ShelfObservation::key(id), shelf.writes()),
            (StockCount::key(id), count.writes()),
        ] {
            let stamp = Stamp { hlc: clock.tick(at_ms), device: DeviceNo(7) };
            let writes = header.writes().into_iter().chain(form).collect();
            ops.push(Op { seq: OpSeq(ops.len() as u64 + 1), stamp, record, home, writes });
        }
    }
    ops
}

/// Splits ops into pushes, as a device splits its outbox.
fn pushes(ops: Vec<Op>) -> Vec<ClientFrame> {
    let mut pushes = vec![Vec::new()];
    let mut bytes = 0;
    for op in ops {
        let full = pushes.last().is_some_and(|ops: &Vec<Op>| ops.len() >= BATCH_OPS_MAX);
        if full || bytes >= BATCH_PLAIN_BYTES_TARGET {
            pushes.push(Vec::new());
            bytes = 0;
        }
        bytes += bytes_in_frame(stored::encode_op(&op).len(), op.writes.len());
        pushes.last_mut().expect("one at least").push(op);
    }
    pushes.into_iter().map(|ops| ClientFrame::Push(Push { ops })).collect()
}

/// Runs `work` several times. Returns the result and the duration of the fastest run.
fn time<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    let mut best: Option<(T, Duration)> = None;
    for _ in 0..PASSES {
        let start = Instant::now();
        let done = work();
        let took = start.elapsed();
        if best.as_ref().is_none_or(|(_, before)| took < *before) {
            best = Some((done, took));
        }
    }
    best.expect("one pass at least")
}

fn plain_of(payload: &[u8]) -> Vec<u8> {
    let len = u32::from_be_bytes(payload[2..6].try_into().unwrap()) as usize;
    zstd::bulk::decompress(&payload[6..], len).unwrap()
}

#[test]
#[ignore = "prints figures; run it in release"]
fn measure_a_push_of_six_thousand_ops() {
    let ops = field_work();
    let fields: usize = ops.iter().map(|op| op.writes.len()).sum();
    println!("{} ops, {fields} fields, day {DAY}", ops.len());
    let (encoded, took) = time(|| ops.iter().map(stored::encode_op).collect::<Vec<_>>());
    println!("stored: {} KB, encode {took:?}", encoded.iter().map(Vec::len).sum::<usize>() / 1000);
    let (_, took) =
        time(|| encoded.iter().map(|bytes| stored::decode_op(bytes).unwrap()).collect::<Vec<_>>());
    println!("stored: decode {took:?}");
    let records: Vec<Record> = ops.iter().map(crate::examples::record_of).collect();

    let frames = pushes(ops);
    let (payloads, took) = time(|| frames.iter().map(encode_client).collect::<Vec<_>>());
    let sent: usize = payloads.iter().map(Vec::len).sum();
    println!("push: {} frames, {} KB sent, encode with zstd {took:?}", frames.len(), sent / 1000);
    let (decoded, took) =
        time(|| payloads.iter().map(|payload| decode_client(payload).unwrap()).collect::<Vec<_>>());
    println!("push: decode with zstd {took:?}");
    assert_eq!(decoded, frames);
    let plain: Vec<Vec<u8>> = payloads.iter().map(|payload| plain_of(payload)).collect();
    println!("plain: {} KB", plain.iter().map(Vec::len).sum::<usize>() / 1000);
    for level in [1, 3, 6, 9, 12, 19] {
        let (packed, took) = time(|| {
            plain.iter().map(|plain| zstd::bulk::compress(plain, level).unwrap()).collect::<Vec<_>>()
        });
        println!("zstd {level}: {} KB, {took:?}", packed.iter().map(Vec::len).sum::<usize>() / 1000);
    }

    let from = xundian_protocol::ids::FeedSeq(0);
    let changes: Vec<ServerFrame> = records
        .chunks(3_000)
        .map(|records| {
            ServerFrame::Changes(Changes { home: None, from, to: from, records: records.to_vec() })
        })
        .collect();
    let (payloads, took) = time(|| changes.iter().map(encode_server).collect::<Vec<_>>());
    println!("changes: {} KB, encode {took:?}", payloads.iter().map(Vec::len).sum::<usize>() / 1000);
    let (_, took) =
        time(|| payloads.iter().map(|payload| decode_server(payload).unwrap()).collect::<Vec<_>>());
    println!("changes: decode {took:?}");
}
