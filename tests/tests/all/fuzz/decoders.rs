//! Every public decoder against broken bytes.
//!
//! The golden bytes and the corpus are the seeds; they are flipped, cut, spliced, and their lengths set to extremes. No
//! decoder may panic, and what decodes must encode and decode to the same.

use std::path::Path;
use std::time::Instant;
use xundian_protocol::invitation::Invitation;
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, encode_frame};
use xundian_protocol::wire::{stored, v1};

use super::random::{Random, mutated};

/// Inputs that a target keeps because they decoded.
const KEPT_MAX: usize = 400;
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// A decoder: its name, its seeds, and a run that says whether the input decoded.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    run: fn(&[u8]) -> bool,
}

#[test]
fn no_decoder_panics_and_what_decodes_comes_back() {
    let (seed, until) = (super::seed("decoders"), super::until());
    std::thread::scope(|scope| {
        for (target, stream) in targets().into_iter().zip(1u64..) {
            scope.spawn(move || fuzz(target, seed, seed ^ (stream << 48), until));
        }
    });
}

fn fuzz(mut target: Target, seed: u64, stream: u64, until: Instant) {
    let mut random = Random(stream);
    let (mut inputs, mut decoded) = (0u64, 0u64);
    for seed in &target.seeds {
        assert!((target.run)(seed), "{}: a seed does not decode: {}", target.name, hex(seed));
    }
    while Instant::now() < until {
        let input = mutated(&target.seeds, &mut random);
        let shown = Shown { target: target.name, seed, input: &input };
        let is_good = (target.run)(&input);
        drop(shown);
        inputs += 1;
        decoded += u64::from(is_good);
        if is_good && input.len() <= INPUT_BYTES_MAX && target.seeds.len() < KEPT_MAX {
            target.seeds.push(input);
        }
    }
    eprintln!("fuzz: {}: {inputs} inputs, {decoded} of them decoded", target.name);
}

/// Prints what broke a decoder.
struct Shown<'a> {
    target: &'static str,
    seed: u64,
    input: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fuzz: {} fails (XUNDIAN_SEED={}) on {}", self.target, self.seed, hex(self.input));
        }
    }
}

// ---- The decoders ----

fn targets() -> Vec<Target> {
    let stored_seeds = |kind: &str| fixtures("stored_v1.hex", kind);
    let frames = |side: &str| fixtures("wire_v1.hex", side);
    let invitation =
        Invitation::new("field.example.cn:7443".into(), [7; 32], [9; 16]).expect("a good address");
    vec![
        Target { name: "decode_client", seeds: frames("client."), run: client },
        Target { name: "decode_server", seeds: frames("server."), run: server },
        Target { name: "decode_record", seeds: stored_seeds("record."), run: record },
        Target { name: "decode_op", seeds: stored_seeds("op."), run: op },
        Target { name: "decode_numbers", seeds: stored_seeds("numbers"), run: numbers },
        Target {
            name: "FrameReader",
            seeds: vec![framed(&frames("client.")), framed(&frames("server."))],
            run: framing,
        },
        Target { name: "preview_of", seeds: pictures(), run: preview },
        Target { name: "Invitation", seeds: vec![invitation.to_string().into_bytes()], run: invitation_text },
    ]
}

/// Small pictures of every form that is decoded.
fn pictures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pictures");
    let files = std::fs::read_dir(&folder).expect("our own folder");
    files.map(|file| std::fs::read(file.expect("readable").path()).expect("readable")).collect()
}

/// Whatever a picture is, its thumbnail is a small JPEG picture.
fn preview(input: &[u8]) -> bool {
    let Ok(made) = xundian_server::photos::preview_of(input) else { return false };
    assert!(made.starts_with(b"\xFF\xD8\xFF") && made.len() < 1 << 20);
    true
}

fn client(input: &[u8]) -> bool {
    let Ok(frame) = v1::decode_client(input) else { return false };
    assert_eq!(v1::decode_client(&v1::encode_client(&frame)), Ok(frame));
    true
}

fn server(input: &[u8]) -> bool {
    let Ok(frame) = v1::decode_server(input) else { return false };
    assert_eq!(v1::decode_server(&v1::encode_server(&frame)), Ok(frame));
    true
}

fn record(input: &[u8]) -> bool {
    let Ok(record) = stored::decode_record(input) else { return false };
    assert_eq!(stored::decode_record(&stored::encode_record(&record)), Ok(record));
    true
}

fn op(input: &[u8]) -> bool {
    let Ok(op) = stored::decode_op(input) else { return false };
    assert_eq!(stored::decode_op(&stored::encode_op(&op)), Ok(op));
    true
}

fn numbers(input: &[u8]) -> bool {
    let Ok(numbers) = stored::decode_numbers(input) else { return false };
    assert_eq!(stored::decode_numbers(&stored::encode_numbers(&numbers)), Ok(numbers));
    true
}

/// However a stream is split, the same frames come out of it, or the same error.
fn framing(input: &[u8]) -> bool {
    let read = |chunk: usize| {
        let mut reader = FrameReader::new(FRAME_BYTES_MAX);
        let mut frames = Vec::new();
        for bytes in input.chunks(chunk) {
            reader.push(bytes);
            loop {
                match reader.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
        }
        (frames, reader.finish())
    };
    let (frames, end) = read(input.len().max(1));
    assert_eq!(read(7), (frames.clone(), end.clone()));
    if end.is_ok() {
        assert_eq!(framed(&frames), input);
    }
    end.is_ok()
}

fn invitation_text(input: &[u8]) -> bool {
    let Ok(invitation) = String::from_utf8_lossy(input).parse::<Invitation>() else { return false };
    assert_eq!(invitation.to_string().parse(), Ok(invitation));
    true
}

fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        encode_frame(payload, &mut out).expect("a payload within its bound");
    }
    out
}

/// The golden bytes whose names start so.
pub(super) fn fixtures(file: &str, start: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/fixtures").join(file);
    let text = std::fs::read_to_string(path).expect("the golden bytes are there");
    let lines =
        text.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| name.starts_with(start));
    lines.map(|(_, hex)| from_hex(hex)).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
