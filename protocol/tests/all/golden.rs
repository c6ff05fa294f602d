//! The golden bytes of version 1, which must decode for ever.
//!
//! A fixture file has a line for each example: its name and its bytes in hex. After a deliberate change of the format,
//! `cargo test -p xundian-protocol golden -- --ignored` rewrites the files. Another version of zstd may compress
//! differently, so the compressed form of a frame is only decoded, and its plain form is compared as well.

use crate::examples;
use std::collections::BTreeMap;
use std::path::PathBuf;
use xundian_protocol::wire::stored::{
    decode_numbers, decode_op, decode_record, encode_numbers, encode_op, encode_record,
};
use xundian_protocol::wire::v1::{decode_client, decode_server, encode_client, encode_server};

/// The encoded examples by name.
type Fixtures = BTreeMap<String, Vec<u8>>;

const COMPRESSED: &str = ".zstd";
const NUMBERS: [i64; 6] = [1, -2, 0, 1 << 40, i64::MIN, i64::MAX];

#[test]
fn stored_values_of_version_1_still_decode_and_encode_to_the_same_bytes() {
    let kept = read("stored_v1.hex");
    assert_eq!(stored(), kept);
    for (code, op) in examples::ops() {
        assert_eq!(decode_op(&kept[&format!("op.{code}")]), Ok(op.clone()), "{code}");
        assert_eq!(decode_record(&kept[&format!("record.{code}")]), Ok(examples::record_of(&op)), "{code}");
    }
    assert_eq!(decode_record(&kept["record.merged"]), Ok(examples::merged_record()));
    assert_eq!(decode_numbers(&kept["numbers"]), Ok(NUMBERS.to_vec()));
}

#[test]
fn frames_of_version_1_still_decode_and_encode_to_the_same_bytes() {
    let kept = read("wire_v1.hex");
    let uncompressed = |(name, bytes): (&String, &Vec<u8>)| {
        (!name.ends_with(COMPRESSED)).then(|| (name.clone(), bytes.clone()))
    };
    let now: Fixtures = frames().iter().filter_map(uncompressed).collect();
    assert_eq!(now, kept.iter().filter_map(uncompressed).collect::<Fixtures>());
    for (name, frame) in examples::client_frames() {
        for bytes in forms(&kept, &format!("client.{name}")) {
            assert_eq!(decode_client(bytes).as_ref(), Ok(&frame), "{name}");
        }
    }
    for (name, frame) in examples::server_frames() {
        for bytes in forms(&kept, &format!("server.{name}")) {
            assert_eq!(decode_server(bytes).as_ref(), Ok(&frame), "{name}");
        }
    }
    assert!(
        kept.keys().any(|name| name.ends_with(COMPRESSED)),
        "at least one example is large enough to be compressed"
    );
}

#[test]
fn there_is_an_example_of_every_kind() {
    let codes: Vec<&str> = examples::ops().iter().map(|(code, _)| *code).collect();
    for spec in xundian_protocol::kinds::ALL {
        assert!(codes.contains(&spec.code), "no example of {}", spec.code);
    }
}

#[test]
#[ignore = "rewrites the golden bytes: only after a deliberate change of format"]
fn rewrite_the_golden_bytes() {
    write("stored_v1.hex", &stored());
    write("wire_v1.hex", &frames());
}

fn stored() -> Fixtures {
    let mut fixtures = Fixtures::new();
    for (code, op) in examples::ops() {
        fixtures.insert(format!("op.{code}"), encode_op(&op));
        fixtures.insert(format!("record.{code}"), encode_record(&examples::record_of(&op)));
    }
    fixtures.insert("record.merged".into(), encode_record(&examples::merged_record()));
    fixtures.insert("numbers".into(), encode_numbers(&NUMBERS));
    fixtures
}

fn frames() -> Fixtures {
    let mut fixtures = Fixtures::new();
    let client =
        examples::client_frames().into_iter().map(|(name, f)| (format!("client.{name}"), encode_client(&f)));
    let server =
        examples::server_frames().into_iter().map(|(name, f)| (format!("server.{name}"), encode_server(&f)));
    for (name, bytes) in client.chain(server) {
        if let Some(plain) = plain_form(&bytes) {
            fixtures.insert(format!("{name}{COMPRESSED}"), bytes);
            fixtures.insert(name, plain);
        } else {
            fixtures.insert(name, bytes);
        }
    }
    fixtures
}

/// The uncompressed form of a compressed payload.
pub(crate) fn plain_form(payload: &[u8]) -> Option<Vec<u8>> {
    let [version, 1, packed @ ..] = payload else { return None };
    let (len, packed) = packed.split_first_chunk::<4>()?;
    let plain = zstd::bulk::decompress(packed, u32::from_be_bytes(*len) as usize).ok()?;
    Some([vec![*version, 0], plain].concat())
}

/// The plain form of a fixture, and the compressed form if there is one.
fn forms<'a>(kept: &'a Fixtures, name: &str) -> impl Iterator<Item = &'a Vec<u8>> {
    std::iter::once(&kept[name]).chain(kept.get(&format!("{name}{COMPRESSED}")))
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(file)
}

fn read(file: &str) -> Fixtures {
    let text = std::fs::read_to_string(path(file)).expect("the fixtures exist");
    let line = |line: &str| {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (name.to_owned(), (0..hex.len()).step_by(2).map(byte).collect())
    };
    text.lines().map(line).collect()
}

fn write(file: &str, fixtures: &Fixtures) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String = fixtures.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect();
    std::fs::create_dir_all(path("")).expect("the folder can be made");
    std::fs::write(path(file), text).expect("the fixtures can be written");
}
