//! Fuzzes every public decoder.
//!
//! The seeds are the golden bytes and the corpus. Mutations flip, truncate and splice them, and set lengths to
//! extremes. No decoder may panic. Whatever decodes must encode and decode to the same value.
//!
//! The corpus, `tests/corpus/<decoder>`, holds one rejected input for each error message, so that mutations of it reach
//! as deep into the decoder. It also holds inputs that once caused a failure.
//! `XUNDIAN_FUZZ_SECONDS=60 cargo test -p xundian-tests --test all the_corpus_is_added_to -- --ignored` adds inputs for
//! error messages that have none yet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xundian_protocol::invitation::Invitation;
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, encode_frame};
use xundian_protocol::wire::{stored, v1};

use super::random::{Random, mutated};

/// The number of seeds up to which a target keeps inputs that decoded.
const KEPT_MAX: usize = 400;
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// The largest sizes of a corpus file and of the whole corpus.
const CORPUS_FILE_BYTES_MAX: usize = 4 * 1024;
const CORPUS_BYTES_MAX: u64 = 200_000;

/// A decoder to fuzz: its name, its seeds, and a function that decodes an input and checks the round trip.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    run: fn(&[u8]) -> Result<(), String>,
}

#[test]
fn no_decoder_panics_and_decoded_values_survive_a_round_trip() {
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
        assert_eq!((target.run)(seed), Ok(()), "{}: a seed does not decode: {}", target.name, hex(seed));
    }
    let begun = Instant::now();
    for input in corpus(target.name) {
        let shown = Shown { target: target.name, seed, input: &input };
        let _is_refused = (target.run)(&input).is_err();
        drop(shown);
        target.seeds.push(input);
    }
    while Instant::now() < until {
        let input = mutated(&target.seeds, &mut random);
        let shown = Shown { target: target.name, seed, input: &input };
        let is_good = (target.run)(&input).is_ok();
        drop(shown);
        inputs += 1;
        decoded += u64::from(is_good);
        if is_good && input.len() <= INPUT_BYTES_MAX && target.seeds.len() < KEPT_MAX {
            target.seeds.push(input);
        }
    }
    let a_second = inputs as f64 / begun.elapsed().as_secs_f64().max(0.001);
    eprintln!("fuzz: {}: {inputs} inputs, {a_second:.0} a second, {decoded} of them decoded", target.name);
}

#[test]
fn the_corpus_is_small() {
    let files = targets().into_iter().flat_map(|target| corpus_files(target.name));
    let bytes: u64 = files.map(|file| std::fs::metadata(file).expect("readable").len()).sum();
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
}

#[test]
#[ignore = "adds files to the corpus, to be reviewed and committed"]
fn the_corpus_is_added_to() {
    let (seed, until) = (super::seed("corpus"), super::until());
    std::thread::scope(|scope| {
        for (mut target, stream) in targets().into_iter().zip(1u64..) {
            scope.spawn(move || {
                let mut random = Random(seed ^ (stream << 48));
                let kept = corpus(target.name);
                let mut reasons: BTreeSet<String> =
                    kept.iter().filter_map(|input| reason(&target, input)).collect();
                target.seeds.extend(kept);
                while Instant::now() < until {
                    let input = mutated(&target.seeds, &mut random);
                    let Some(reason) = reason(&target, &input) else { continue };
                    if input.len() <= CORPUS_FILE_BYTES_MAX && reasons.insert(reason.clone()) {
                        std::fs::create_dir_all(corpus_folder(target.name)).expect("a folder");
                        std::fs::write(corpus_folder(target.name).join(reason), &input).expect("written");
                        target.seeds.push(input);
                    }
                }
            });
        }
    });
}

/// Returns the error message for an input, as a file name.
fn reason(target: &Target, input: &[u8]) -> Option<String> {
    let refused = (target.run)(input).err()?;
    let words = refused.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
    Some(words.take(10).collect::<Vec<_>>().join("-").to_lowercase())
}

fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn corpus_files(target: &str) -> Vec<PathBuf> {
    // A decoder may have no corpus.
    let Ok(files) = std::fs::read_dir(corpus_folder(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("readable").path()).collect();
    files.sort_unstable();
    files
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    corpus_files(target).into_iter().map(|file| std::fs::read(file).expect("readable")).collect()
}

/// Prints the input if a decoder panics.
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

/// Returns small pictures of every supported format.
fn pictures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pictures");
    let files = std::fs::read_dir(&folder).expect("our own folder");
    files.map(|file| std::fs::read(file.expect("readable").path()).expect("readable")).collect()
}

/// The thumbnail of any decodable picture is a small JPEG.
fn preview(input: &[u8]) -> Result<(), String> {
    let made = xundian_server::photos::preview_of(input).map_err(|error| error.to_string())?;
    assert!(made.starts_with(b"\xFF\xD8\xFF") && made.len() < 1 << 20);
    Ok(())
}

fn client(input: &[u8]) -> Result<(), String> {
    let frame = v1::decode_client(input).map_err(|error| error.to_string())?;
    assert_eq!(v1::decode_client(&v1::encode_client(&frame)), Ok(frame));
    Ok(())
}

fn server(input: &[u8]) -> Result<(), String> {
    let frame = v1::decode_server(input).map_err(|error| error.to_string())?;
    assert_eq!(v1::decode_server(&v1::encode_server(&frame)), Ok(frame));
    Ok(())
}

fn record(input: &[u8]) -> Result<(), String> {
    let record = stored::decode_record(input).map_err(|error| error.to_string())?;
    assert_eq!(stored::decode_record(&stored::encode_record(&record)), Ok(record));
    Ok(())
}

fn op(input: &[u8]) -> Result<(), String> {
    let op = stored::decode_op(input).map_err(|error| error.to_string())?;
    assert_eq!(stored::decode_op(&stored::encode_op(&op)), Ok(op));
    Ok(())
}

fn numbers(input: &[u8]) -> Result<(), String> {
    let numbers = stored::decode_numbers(input).map_err(|error| error.to_string())?;
    assert_eq!(stored::decode_numbers(&stored::encode_numbers(&numbers)), Ok(numbers));
    Ok(())
}

/// However the stream is split, the reader returns the same frames or the same error.
fn framing(input: &[u8]) -> Result<(), String> {
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
    end.map_err(|error| error.to_string())
}

fn invitation_text(input: &[u8]) -> Result<(), String> {
    let invitation =
        String::from_utf8_lossy(input).parse::<Invitation>().map_err(|error| error.to_string())?;
    assert_eq!(invitation.to_string().parse(), Ok(invitation));
    Ok(())
}

fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in payloads {
        encode_frame(payload, &mut out).expect("a payload within its bound");
    }
    out
}

/// Returns the golden bytes whose names begin with `start`.
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
