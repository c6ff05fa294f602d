//! bincode with the settings of this crate: a limit on what a decoder allocates, and no trailing bytes.

use crate::limits::{DECODE_BYTES_MAX, SMALL_BYTES_MAX, SMALL_DECODE_BYTES_MAX};
use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::{Decode, Encode};

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
const SMALL_CONFIG: Configuration<LittleEndian, Varint, Limit<SMALL_DECODE_BYTES_MAX>> =
    bincode::config::standard().with_limit::<SMALL_DECODE_BYTES_MAX>();

/// Why bytes could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the value is empty")]
    Empty,
    /// The program does not know the version.
    #[error("the value is of format version {found}; this program reads version {known}: update it")]
    Version {
        /// The version byte found.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// The bytes are not a valid value.
    #[error("the value is malformed: {0}")]
    Malformed(String),
    /// Bytes are left after the value.
    #[error("the value is malformed: {0} bytes too many")]
    Trailing(usize),
    /// A bound of [`crate::limits`] was exceeded.
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
    /// Returns an error if `found` is over `max`.
    pub(super) const fn bound(what: &'static str, found: usize, max: usize) -> Result<(), Self> {
        if found > max { Err(Self::TooLarge { what, found, max }) } else { Ok(()) }
    }

    pub(super) fn malformed(what: impl std::fmt::Display) -> Self {
        Self::Malformed(what.to_string())
    }
}

/// Appends a value's bytes.
pub(super) fn put<T: Encode>(value: &T, out: &mut Vec<u8>) {
    // Writing into memory fails only if the encoder of a type fails. All encoders here are derived.
    if let Err(error) = bincode::encode_into_std_write(value, out, CONFIG) {
        unreachable!("derived encoders do not fail: {error}");
    }
}

/// Decodes one value from the front of `bytes` and advances past it.
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

/// The largest number that bincode's varint encodes as a single byte (docs/WIRE.md).
const VARINT_BYTE_MAX: u8 = 250;

/// Appends the same bytes as [`put`], but faster: rows of figures are long, and most of their numbers are small.
pub(super) fn put_number(number: i64, out: &mut Vec<u8>) {
    let zigzag = (number << 1) ^ (number >> 63);
    match u8::try_from(zigzag) {
        Ok(byte) if byte <= VARINT_BYTE_MAX => out.push(byte),
        _ => put(&number, out),
    }
}

/// Decodes the same number as [`take`], but faster.
pub(super) fn take_number(bytes: &mut &[u8]) -> Result<i64, DecodeError> {
    match bytes.split_first() {
        Some((&byte, rest)) if byte <= VARINT_BYTE_MAX => {
            *bytes = rest;
            Ok(small_number(byte))
        }
        _ => take(bytes),
    }
}

/// The number of a one-byte varint. It is zigzag-encoded: 0, 1, 2, 3 are 0, −1, 1, −2.
fn small_number(byte: u8) -> i64 {
    i64::from(byte >> 1) ^ -i64::from(byte & 1)
}

/// A list of whole numbers. It has the same bytes as a `Vec<i64>`, but is encoded and decoded faster.
#[derive(Debug)]
pub(super) struct Numbers(pub(super) Vec<i64>);

impl Encode for Numbers {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.0.len() as u64).encode(encoder)?;
        let mut bytes = Vec::with_capacity(2 * self.0.len());
        self.0.iter().for_each(|number| put_number(*number, &mut bytes));
        encoder.writer().write(&bytes)
    }
}

impl<Context> Decode<Context> for Numbers {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, bincode::error::DecodeError> {
        let claimed = u64::decode(decoder)?;
        let len =
            usize::try_from(claimed).map_err(|_| bincode::error::DecodeError::OutsideUsizeRange(claimed))?;
        decoder.claim_container_read::<i64>(len)?;
        let mut numbers = Vec::with_capacity(len);
        for _ in 0..len {
            let small = match decoder.reader().peek_read(1) {
                Some(&[byte]) if byte <= VARINT_BYTE_MAX => Some(small_number(byte)),
                _ => None,
            };
            numbers.push(if let Some(number) = small {
                decoder.reader().consume(1);
                number
            } else {
                // Decoding a number claims its bytes, which were already claimed for the whole list.
                decoder.unclaim_bytes_read(size_of::<i64>());
                i64::decode(decoder)?
            });
        }
        Ok(Self(numbers))
    }
}

bincode::impl_borrow_decode!(Numbers);

/// Decodes one value that must use all bytes.
pub(super) fn take_all<T: Decode<()>>(mut bytes: &[u8]) -> Result<T, DecodeError> {
    let value = take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(DecodeError::Trailing(bytes.len())) }
}

/// Removes the version byte from the front.
pub(super) fn version(bytes: &[u8], known: u8) -> Result<&[u8], DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((found, rest)) if *found == known => Ok(rest),
        Some((found, _)) => Err(DecodeError::Version { found: *found, known }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_fast_path_for_numbers_encodes_like_the_general_one(
            number in prop_oneof![any::<i64>(), -200..200i64], behind in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let (mut short, mut any) = (Vec::new(), Vec::new());
            put_number(number, &mut short);
            put(&number, &mut any);
            prop_assert_eq!(&short, &any);
            short.extend(&behind);
            let mut rest = &short[..];
            prop_assert_eq!(take_number(&mut rest), Ok(number));
            prop_assert_eq!(rest, &behind[..]);
        }

        #[test]
        fn the_fast_path_for_lists_encodes_like_the_general_one(
            numbers in prop::collection::vec(prop_oneof![any::<i64>(), -200..200i64], 0..300),
        ) {
            let (mut fast, mut any) = (Vec::new(), Vec::new());
            put(&Numbers(numbers.clone()), &mut fast);
            put(&numbers, &mut any);
            prop_assert_eq!(&fast, &any);
            prop_assert_eq!(take_all::<Numbers>(&fast).map(|read| read.0), Ok(numbers));
        }

        #[test]
        fn the_fast_path_for_lists_decodes_like_the_general_one(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let (mut fast, mut any) = (&bytes[..], &bytes[..]);
            prop_assert_eq!(take::<Numbers>(&mut fast).ok().map(|read| read.0), take::<Vec<i64>>(&mut any).ok());
            prop_assert_eq!(fast, any);
        }

        #[test]
        fn the_fast_path_for_numbers_decodes_like_the_general_one(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let (mut short, mut any) = (&bytes[..], &bytes[..]);
            prop_assert_eq!(take_number(&mut short).ok(), take::<i64>(&mut any).ok());
            prop_assert_eq!(short, any);
        }
    }
}
