//! The store key of a sealed device, read from a file. An app reads it from the platform's keystore instead.

use std::fs;
use std::path::Path;

use serde_json::json;
use xundian_client::{Client, StoreKey};
use zeroize::Zeroizing;

use super::CliError;
use super::output::Output;

/// Reads a key: 32 raw bytes, or hexadecimal digits with or without a line end.
pub(super) fn read(file: &Path) -> Result<StoreKey, CliError> {
    let shown = || file.display().to_string();
    let bytes = Zeroizing::new(fs::read(file).map_err(|source| CliError::File { file: shown(), source })?);
    let key = parse(&bytes).map(StoreKey::new);
    key.ok_or_else(|| CliError::Key { file: shown() })
}

fn parse(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok().or_else(|| from_hex(bytes.trim_ascii()))
}

fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Re-seals the device with the key in another file.
pub(super) fn change(client: &Client, new_key_file: &Path, output: Output) -> Result<(), CliError> {
    client.change_key(&read(new_key_file)?)?;
    let file = new_key_file.display();
    let human = format!("密钥已更换 the device opens with the key in {file} now; the old one may be deleted");
    Ok(output.answer(&json!({ "key_file": file.to_string() }), human)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_their_digits() {
        assert_eq!(parse(&[0xab; 32]), Some([0xab; 32]));
        for digits in ["ab".repeat(32), "aB".repeat(32), format!("{}\r\n", "ab".repeat(32))] {
            assert_eq!(parse(digits.as_bytes()), Some([0xab; 32]), "{digits}");
        }
        for wrong in ["ab".repeat(31), "ag".repeat(32), "ab".repeat(33), String::new()] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("no-key");
        fs::write(&file, "a password").expect("written");
        let refused = read(&file).expect_err("no key").to_string();
        assert!(refused.contains("no-key") && refused.contains("32 bytes"), "{refused}");
        assert!(matches!(read(folder.path()), Err(CliError::File { .. })));
    }
}
