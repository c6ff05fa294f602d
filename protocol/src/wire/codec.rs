//! bincode with our settings: a bound on what a decoder takes, and no bytes left over.

use crate::limits::{DECODE_BYTES_MAX, SMALL_BYTES_MAX, SMALL_DECODE_BYTES_MAX};
use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
const SMALL_CONFIG: Configuration<LittleEndian, Varint, Limit<SMALL_DECODE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<SMALL_DECODE_BYTES_MAX>();

/// Bytes that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the value is empty")]
    Empty,
    /// A version that this program does not know.
    #[error("the value is of format version {found}; this program reads version {known}: update it")]
    Version {
        /// The version byte found.
        found: u8,
        /// The one that this program reads.
        known: u8,
    },
    /// The bytes make no value.
    #[error("the value is malformed: {0}")]
    Malformed(String),
    /// Bytes are left after the value.
    #[error("the value is malformed: {0} bytes too many")]
    Trailing(usize),
    /// A bound of [`crate::limits`] was passed.
    #[error("the value is too large: {what} {found}, at most {max}")]
    TooLarge {
        /// What is bounded.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// The bound.
        max: usize,
    },
}

impl DecodeError {
    /// An error where `found` is over `max`.
    pub(super) const fn bound(what: &'static str, found: usize, max: usize) -> Result<(), Self> {
        if found > max { Err(Self::TooLarge { what, found, max }) } else { Ok(()) }
    }

    pub(super) fn malformed(what: impl std::fmt::Display) -> Self {
        Self::Malformed(what.to_string())
    }
}

/// Appends a value's bytes.
pub(super) fn put<T: Encode>(value: &T, out: &mut Vec<u8>) {
    // Writing into memory fails only where a type's own encoder does, and ours are all derived.
    if let Err(error) = bincode::encode_into_std_write(value, out, CONFIG) {
        unreachable!("derived encoders do not fail: {error}");
    }
}

/// Reads one value from the front of `bytes` and moves past it.
pub(super) fn take<T: Decode<()>>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let decoded = if bytes.len() <= SMALL_BYTES_MAX {
        bincode::decode_from_slice(bytes, SMALL_CONFIG)
    } else {
        bincode::decode_from_slice(bytes, CONFIG)
    };
    let (value, used) = decoded.map_err(DecodeError::malformed)?;
    *bytes = &bytes[used..];
    Ok(value)
}

/// Reads one value that must use all bytes.
pub(super) fn take_all<T: Decode<()>>(mut bytes: &[u8]) -> Result<T, DecodeError> {
    let value = take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(bytes.len())) }
}

/// Takes the version byte off the front.
pub(super) fn version(bytes: &[u8], known: u8) -> Result<&[u8], DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((found, rest)) if *found == known => Ok(rest),
        Some((found, _)) => Err(DecodeError::Version { found: *found, known }),
    }
}
