//! Stage 1: bytes → text. Knows the encodings of spreadsheets, and nothing about CSV.

use super::ImportError;

/// The largest accepted file; it is in memory while it is checked.
pub const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;

const UTF8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];
const WORKBOOK_MARKS: [&[u8]; 2] = [b"PK\x03\x04", &[0xD0, 0xCF, 0x11, 0xE0]];
const UTF16_MARKS: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];

/// The encoding of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// UTF-8 without a byte order mark.
    Utf8,
    /// UTF-8 that begins with a byte order mark, as Excel's "CSV UTF-8" does.
    Utf8Bom,
    /// GB18030, which contains GBK and GB2312: what Excel in China saves as "CSV".
    Gb18030,
}

impl Encoding {
    /// The name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf8Bom => "UTF-8 with BOM",
            Self::Gb18030 => "GB18030",
        }
    }
}

/// The text of a file, and its encoding. Bytes that are valid UTF-8 are read as UTF-8: Chinese text in GB18030
/// practically never is.
pub(super) fn decode(bytes: &[u8]) -> Result<(String, Encoding), ImportError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    if WORKBOOK_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(ImportError::Workbook);
    }
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(ImportError::Utf16);
    }
    let not_text = |valid: usize| ImportError::NotText { line: line_at(bytes, valid) };
    if let Some(zero) = bytes.iter().position(|byte| *byte == 0) {
        return Err(not_text(zero));
    }
    if let Some(rest) = bytes.strip_prefix(UTF8_MARK) {
        let text =
            std::str::from_utf8(rest).map_err(|error| not_text(UTF8_MARK.len() + error.valid_up_to()))?;
        return Ok((text.to_owned(), Encoding::Utf8Bom));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text.to_owned(), Encoding::Utf8)),
        Err(error) => encoding_rs::GB18030
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(|text| (text.into_owned(), Encoding::Gb18030))
            .ok_or_else(|| not_text(error.valid_up_to())),
    }
}

fn line_at(bytes: &[u8], offset: usize) -> usize {
    1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count()
}

/// A cell without surrounding blanks of any width and invisible marks.
pub(super) fn trim(cell: &str) -> &str {
    cell.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}'))
}
