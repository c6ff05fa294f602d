//! Hostile frames: the memory that they may cost before they are refused.

use crate::examples;
use crate::memory::peak_of;
use crate::random::Random;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, FeedSeq, KindId, OpSeq, OutletId, RecordId};
use xundian_protocol::limits::{
    CHANGES_PLAIN_BYTES_TARGET, FIGURE_ROWS_MAX, FRAME_BYTES_MAX, FRAME_PLAIN_BYTES_MAX, RECORD_BYTES_MAX,
    SCOPE_HOMES_MAX,
};
use xundian_protocol::record::{Field, FieldKey, Home, Key, Record, RecordKey, Register, Value};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::stored::{decode_op, decode_record};
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, Pull, ServerFrame, decode_client, decode_server, encode_client, encode_server,
};

const MIB: usize = 1024 * 1024;
/// The peak memory for any frame, without its payload: plain bytes, columns, rows and ops together.
const PEAK_MAX: usize = 128 * MIB;
/// The peak memory for a small frame: the decoder's limit, and about as much again for what is built from it.
const SMALL_PEAK_MAX: usize = 5 * MIB;

// ---- Frames built by hand ----

/// Bytes, with numbers encoded as bincode's varints.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(mut self, number: u64) -> Self {
        match number {
            0..=250 => self.0.push(number as u8),
            251..=0xffff => self.0.extend([&[251], &(number as u16).to_le_bytes()[..]].concat()),
            0x1_0000..=0xffff_ffff => self.0.extend([&[252], &(number as u32).to_le_bytes()[..]].concat()),
            _ => self.0.extend([&[253], &number.to_le_bytes()[..]].concat()),
        }
        self
    }

    fn numbers(self, numbers: impl IntoIterator<Item = u64>) -> Self {
        numbers.into_iter().fold(self, Self::number)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn list(self, bytes: &[u8]) -> Self {
        self.number(bytes.len() as u64).raw(bytes)
    }
}

/// The parts of a push, as the decoder reads them.
#[derive(Default)]
struct RawPush {
    seen: Bytes,
    seen_len: u64,
    shapes: Vec<Vec<(u64, u64, bool)>>,
    rows: u64,
    stamps: Bytes,
    columns: Vec<(u64, Bytes, u64, Bytes)>,
}

impl RawPush {
    fn plain(&self) -> Vec<u8> {
        let rows = self.rows as usize;
        let mut out = Bytes::default().numbers([1, 1, self.seen_len]).raw(&self.seen.0);
        out = out.number(self.shapes.len() as u64);
        for runs in &self.shapes {
            out = out.numbers([9, runs.len() as u64]);
            for (tag, lines, shared) in runs {
                out = out.numbers([*tag, *lines, u64::from(*shared)]);
            }
        }
        out = out.number(self.rows).list(&vec![0; rows]).list(&vec![7; rows * 16]).list(&vec![0; rows]);
        out = out.list(&self.stamps.0).list(&[]).number(self.columns.len() as u64);
        for (tag, keys, form, values) in &self.columns {
            out = out.numbers([9, *tag]).list(&keys.0).number(*form).list(&values.0);
        }
        out.0
    }

    fn payload(&self) -> Vec<u8> {
        zstd_payload(&self.plain())
    }

    /// Adds one stamp for each row.
    fn stamped(mut self) -> Self {
        self.stamps = Bytes::default().numbers((0..self.rows).flat_map(|_| [1, 2, 7]));
        self
    }
}

fn zstd_payload(plain: &[u8]) -> Vec<u8> {
    let len = u32::try_from(plain.len()).unwrap().to_be_bytes();
    [&[1, 1], &len[..], &zstd::bulk::compress(plain, 3).unwrap()].concat()
}

const BOOLS: u64 = 3;
const MIXED: u64 = 0;

fn text_key(len: usize) -> Bytes {
    Bytes::default().number(2).list(&vec![b'k'; len])
}

/// Decodes a payload that must be refused, and checks the memory that it cost.
fn refused(payload: &[u8]) -> DecodeError {
    let (decoded, peak) = peak_of(|| decode_client(payload));
    assert!(peak <= PEAK_MAX, "{} payload bytes cost {} MiB", payload.len(), peak / MIB);
    decoded.expect_err("a hostile frame is refused")
}

fn is_too_large(error: &DecodeError, of: &str) -> bool {
    matches!(error, DecodeError::TooLarge { what, .. } if *what == of)
}

#[test]
fn valid_parts_make_a_push() {
    let columns = vec![(1, text_key(3), MIXED, Bytes::default().numbers([1, 1]))];
    let push =
        RawPush { shapes: vec![vec![(1, 1, false)]], rows: 1, columns, ..RawPush::default() }.stamped();
    let Ok(ClientFrame::Push(push)) = decode_client(&push.payload()) else { panic!("no push") };
    assert_eq!(push.ops[0].writes[0].value, Value::Bool(true));
    assert_eq!(push.ops[0].writes[0].at.key, Key::Text("kkk".into()));
}

// ---- Amplification ----

#[test]
fn a_long_key_shared_by_all_tags_is_refused_before_it_is_copied() {
    let mut runs = vec![(0, 1, false)];
    runs.extend((1..8192).map(|tag| (tag, 1, true)));
    let columns = |tag| {
        let keys = if tag == 0 { text_key(4 * MIB) } else { Bytes::default() };
        (tag, keys, BOOLS, Bytes::default().number(1))
    };
    let push = RawPush {
        shapes: vec![runs],
        rows: 1,
        columns: (0..8192).map(columns).collect(),
        ..RawPush::default()
    };
    let payload = push.stamped().payload();
    assert!(payload.len() < 64 * 1024, "the frame is small: {}", payload.len());
    assert!(is_too_large(&refused(&payload), "bytes of keys"));
}

#[test]
fn millions_of_stamps_without_fields_are_refused() {
    let count = 3_000_000;
    let stamps = Bytes::default().number(count).raw(&vec![0; 2 * count as usize]);
    let push = RawPush { shapes: vec![Vec::new()], rows: 1, stamps, ..RawPush::default() };
    assert!(is_too_large(&refused(&push.payload()), "stamps of a row"));
}

#[test]
fn rows_that_share_a_wide_shape_are_refused_at_the_bound_on_fields() {
    let rows = 100;
    let keys = Bytes::default().numbers((0..rows).flat_map(|_| (0..8000).flat_map(|n| [1, n % 200])));
    let values = Bytes(vec![1; rows * 8000]);
    let columns = vec![(1, keys, BOOLS, values)];
    let push =
        RawPush { shapes: vec![vec![(1, 8000, false)]], rows: rows as u64, columns, ..RawPush::default() };
    assert!(is_too_large(&refused(&push.stamped().payload()), "fields of a frame"));
}

#[test]
fn more_fields_columns_rows_or_shapes_than_the_bounds_are_refused() {
    let wide = RawPush { shapes: vec![vec![(1, 8193, false)]], rows: 1, ..RawPush::default() }.stamped();
    assert!(is_too_large(&refused(&wide.payload()), "fields of a record"));
    let lines =
        RawPush { shapes: vec![vec![(1, u64::from(u32::MAX), false); 9]], rows: 1, ..RawPush::default() };
    assert!(is_too_large(&refused(&lines.stamped().payload()), "fields of a record"));
    let columns = (0..9000).map(|tag| (tag, Bytes::default(), BOOLS, Bytes::default())).collect();
    let columns = RawPush { shapes: vec![Vec::new()], rows: 1, columns, ..RawPush::default() };
    assert!(is_too_large(&refused(&columns.payload()), "columns of a frame"));
    let rows = RawPush { rows: 5000, ..RawPush::default() };
    assert!(is_too_large(&refused(&rows.payload()), "rows of a frame"));
    let shapes = RawPush { shapes: vec![Vec::new(); 70_000], rows: 1, ..RawPush::default() };
    assert!(is_too_large(&refused(&shapes.payload()), "shapes of a frame"));
}

#[test]
fn millions_of_empty_lists_are_refused() {
    let count = 3_000_000;
    let seen = Bytes(vec![0; 2 * count as usize]);
    let push = RawPush { seen, seen_len: count, rows: 0, ..RawPush::default() };
    assert!(matches!(refused(&push.payload()), DecodeError::Malformed(_)));
}

#[test]
fn the_largest_accepted_push_stays_within_the_memory_bound() {
    let rows = 36;
    let keys = Bytes::default().numbers((0..rows).flat_map(|_| (0..900).flat_map(|n| [4, n, 0])));
    let runs: Vec<_> = (0..9).map(|tag| (tag, 900, tag > 0)).collect();
    let columns = |tag| {
        let keys = if tag == 0 { Bytes(keys.0.clone()) } else { Bytes::default() };
        (tag, keys, BOOLS, Bytes(vec![1; rows as usize * 900]))
    };
    let push =
        RawPush { shapes: vec![runs], rows, columns: (0..9).map(columns).collect(), ..RawPush::default() };
    let payload = push.stamped().payload();
    let (decoded, peak) = peak_of(|| decode_client(&payload));
    let Ok(ClientFrame::Push(push)) = decoded else { panic!("{decoded:?}") };
    assert_eq!(push.ops.iter().map(|op| op.writes.len()).sum::<usize>(), 36 * 8100);
    assert!(peak <= PEAK_MAX, "{} MiB", peak / MIB);
}

// ---- Claims and compression ----

#[test]
fn a_small_frame_costs_little_memory_whatever_it_claims() {
    let extremes: [&[u8]; 5] = [
        &[250],
        &[251, 255, 255],
        &[252, 255, 255, 255, 127],
        &[252, 0, 0, 16, 0],
        &[253, 255, 255, 255, 255, 255, 255, 255, 127],
    ];
    let mut frames: Vec<Vec<u8>> =
        examples::client_frames().iter().map(|(_, frame)| encode_client(frame)).collect();
    frames.extend(examples::server_frames().iter().map(|(_, frame)| encode_server(frame)));
    for payload in frames {
        let plain = crate::golden::plain_form(&payload).unwrap_or(payload);
        for at in 2..plain.len() {
            for extreme in extremes {
                let claimed = [&plain[..at], extreme, &plain[at + 1..]].concat();
                let (_, peak) =
                    peak_of(|| (decode_client(&claimed).is_ok(), decode_server(&claimed).is_ok()));
                assert!(peak <= SMALL_PEAK_MAX, "{extreme:?} at {at} of {plain:?} cost {peak}");
            }
        }
    }
    for (_, op) in examples::ops() {
        let bytes = xundian_protocol::wire::stored::encode_op(&op);
        for at in 1..bytes.len() {
            for extreme in extremes {
                let claimed = [&bytes[..at], extreme, &bytes[at + 1..]].concat();
                let (_, peak) = peak_of(|| (decode_op(&claimed).is_ok(), decode_record(&claimed).is_ok()));
                assert!(peak <= SMALL_PEAK_MAX, "{extreme:?} at {at} of {bytes:?} cost {peak}");
            }
        }
    }
}

#[test]
fn a_compressed_frame_is_refused_by_its_claimed_size() {
    let zeros = zstd::bulk::compress(&vec![0; 20 * MIB], 3).unwrap();
    let claiming = |len: usize| [&[1, 1], &u32::try_from(len).unwrap().to_be_bytes()[..], &zeros].concat();
    for (len, limit) in
        [(20 * MIB, MIB), (u32::MAX as usize, MIB), (FRAME_PLAIN_BYTES_MAX, 9 * MIB), (5, MIB)]
    {
        let (decoded, peak) = peak_of(|| decode_client(&claiming(len)));
        assert!(decoded.is_err());
        assert!(peak <= limit, "a claim of {len} costs {peak}");
    }
    let hello = examples::client_frames()[0].1.clone();
    let plain = encode_client(&hello)[2..].to_vec();
    assert_eq!(decode_client(&zstd_payload(&plain)), Ok(hello));
    let mut longer = zstd_payload(&plain);
    longer[5] += 1;
    assert!(decode_client(&longer).is_err(), "shorter than announced");
    assert!(decode_client(&[1, 2, 0, 0]).is_err(), "no such compression");
    assert!(decode_client(&[1, 1, 0]).is_err(), "no length");
    assert!(decode_client(&vec![1; FRAME_BYTES_MAX + 1]).is_err(), "over the bound of the framing");
}

#[test]
fn figures_or_a_scope_over_their_bound_are_refused() {
    let scope = Bytes::default().numbers([2, SCOPE_HOMES_MAX as u64 + 1]).raw(&vec![0; SCOPE_HOMES_MAX + 1]);
    let decoded = decode_server(&zstd_payload(&scope.0));
    assert!(is_too_large(&decoded.unwrap_err(), "homes of a scope"));
    let measures = Bytes::default().numbers([5, 1, 0, 1, 1, 0, 11]).raw(&[1, 0].repeat(11));
    assert!(is_too_large(&decode_server(&zstd_payload(&measures.0)).unwrap_err(), "measures of figures"));
    let rows = FIGURE_ROWS_MAX + 1;
    let rows = Bytes::default().numbers([5, 1, 0, rows as u64, rows as u64]).raw(&vec![0; rows + 1]);
    assert!(is_too_large(&decode_server(&zstd_payload(&rows.0)).unwrap_err(), "rows of figures"));
}

#[test]
fn figures_with_inconsistent_parts_are_refused() {
    let answer = |parts: &[u64]| {
        let bytes = Bytes::default().numbers([5]).numbers(parts.iter().copied());
        decode_server(&zstd_payload(&bytes.0))
    };
    // One subject (outlets without a unit) and its number of rows, the differences of dimensions, the columns.
    assert!(answer(&[1, 0, 1, 1, 7, 1, 1, 4]).is_ok());
    assert!(answer(&[0, 1, 7, 1, 1, 4]).is_err(), "a row without a subject");
    assert!(answer(&[1, 0, 1, 2, 7, 7, 1, 2, 4, 4]).is_err(), "one row more than its subject has");
    assert!(answer(&[1, 0, 1, 1, 7, 1, 0]).is_err(), "a column without a value");
    assert!(answer(&[1, 0, 1, 1, 7, 1, 2, 4, 4]).is_err(), "a column with one value too many");
    assert!(answer(&[1, 0, 9, 1, 7, 1, 1, 4]).is_err(), "a subject with more rows than there are");
}

// ---- Values within the bounds fit ----

#[test]
fn the_largest_scope_and_its_first_pull_fit_into_a_frame() {
    let mut random = Random::new(1);
    let homes: Vec<Home> = (0..SCOPE_HOMES_MAX)
        .map(|_| {
            let bytes = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
            Home::Outlet(OutletId(RecordId::from_bytes(bytes.try_into().unwrap())))
        })
        .collect();
    let behind = homes.iter().map(|home| (*home, FeedSeq(random.next()))).collect();
    let scope = ServerFrame::Scope(homes);
    let payload = encode_server(&scope);
    assert!(payload.len() <= FRAME_BYTES_MAX, "{}", payload.len());
    assert_eq!(decode_server(&payload), Ok(scope));
    let pull = Pull {
        scope_digest: [1; 16],
        cursor: FeedSeq(1 << 40),
        behind,
        sent_through: OpSeq(1),
        captured_through_ms: 0,
    };
    let payload = encode_client(&ClientFrame::Pull(pull));
    assert!(payload.len() <= FRAME_BYTES_MAX, "{}", payload.len());
    assert!(decode_client(&payload).is_ok());
}

#[test]
fn a_full_frame_of_changes_with_the_largest_record_fits() {
    let mut random = Random::new(3);
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < CHANGES_PLAIN_BYTES_TARGET + RECORD_BYTES_MAX {
        let record = large_record(&mut random);
        assert!(record.bytes_max() <= RECORD_BYTES_MAX);
        bytes += record.bytes_max();
        records.push(record);
    }
    let changes = Changes { home: None, from: FeedSeq(0), to: FeedSeq(1), records };
    let frame = ServerFrame::Changes(changes);
    let payload = encode_server(&frame);
    assert!(payload.len() <= FRAME_BYTES_MAX, "{}", payload.len());
    assert_eq!(decode_server(&payload), Ok(frame));
}

/// A record near the bound on its size: incompressible bytes, and a different stamp for each field.
fn large_record(random: &mut Random) -> Record {
    let field = |n| {
        let value = (0..100).flat_map(|_| random.next().to_be_bytes()).collect();
        let stamp = Stamp { hlc: Hlc(random.next()), device: DeviceNo(random.next() as u32) };
        Field {
            at: FieldKey { tag: 20, key: Key::Number(n) },
            register: Register { value: Value::Bytes(value), stamp },
        }
    };
    let fields: Vec<Field> = (0..1200).map(field).collect();
    Record::from_fields(RecordKey { kind: KindId(9), id: random.id(0) }, Home::Company, fields)
}
