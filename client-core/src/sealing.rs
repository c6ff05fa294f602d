//! Sealing: encryption at rest, if the host app has a key. Owns the keys in memory and the one AEAD; knows no file,
//! folder, record or encoding.
//!
//! The host's key seals only the store's own key, a random key that is made with the store. So a change of the host's
//! key rewrites a few bytes and no value. docs/adr/0008-sealed-with-the-hosts-key.md has the reasons.
//!
//! Sealed bytes are a nonce of 12 bytes, the ciphertext, and a tag of 16 bytes. Nonces are random: a counter would
//! repeat in a folder that was copied or restored.

use std::fmt;
use std::io;
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// The bytes that sealing adds.
const EXTRA_BYTES: usize = NONCE_LEN + TAG_BYTES;
/// The length of the store's sealed key.
pub(crate) const WRAPPED_BYTES: usize = KEY_BYTES + EXTRA_BYTES;
/// The length of the name of a host key.
pub(crate) const KEY_NAME_BYTES: usize = 8;

// Each use has a key of its own, so that no use reveals anything about another.
const WRAPPING_CONTEXT: &str = "xundian 2026-11 store: the host's key seals the store's key";
const NAMING_CONTEXT: &str = "xundian 2026-11 store: the name of the host's key";

/// The key of the host app: 32 random bytes that the app keeps in the platform's keystore. It is never written to the
/// disk, and is wiped from memory when dropped.
pub struct StoreKey(Zeroizing<[u8; KEY_BYTES]>);

impl StoreKey {
    /// A key from its bytes. They must come from a cryptographic random number generator, not from a password.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A name for the key that reveals nothing about it. It distinguishes a wrong key from a damaged file.
    pub(crate) fn name(&self) -> [u8; KEY_NAME_BYTES] {
        let derived = Zeroizing::new(blake3::derive_key(NAMING_CONTEXT, &*self.0));
        let mut name = [0; KEY_NAME_BYTES];
        name.copy_from_slice(&derived[..KEY_NAME_BYTES]);
        name
    }

    fn wrapping(&self) -> io::Result<Aead> {
        Aead::new(&Zeroizing::new(blake3::derive_key(WRAPPING_CONTEXT, &*self.0)))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey { secret }")
    }
}

/// The store's own key, which seals everything in the store.
pub(crate) struct DataKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    aead: Aead,
}

impl DataKey {
    /// Makes a random key.
    pub(crate) fn generate() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_random(&mut *bytes)?;
        Self::new(bytes)
    }

    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> io::Result<Self> {
        Ok(Self { aead: Aead::new(&bytes)?, bytes })
    }

    /// Seals the store's key with the host's, bound to the bytes `beside` it.
    pub(crate) fn wrap(&self, key: &StoreKey, beside: &[u8]) -> io::Result<Vec<u8>> {
        let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
        wrapped.resize(NONCE_LEN, 0);
        wrapped.extend_from_slice(&*self.bytes);
        key.wrapping()?.seal(beside, &mut wrapped, 0)?;
        Ok(wrapped)
    }

    /// Opens what [`Self::wrap`] sealed; `None` if it is something else.
    pub(crate) fn unwrap(key: &StoreKey, beside: &[u8], wrapped: &[u8]) -> io::Result<Option<Self>> {
        let Some(opened) = key.wrapping()?.open(beside, wrapped.to_vec()).map(Zeroizing::new) else {
            return Ok(None);
        };
        if opened.len() != KEY_BYTES {
            return Ok(None);
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        bytes.copy_from_slice(&opened);
        Self::new(bytes).map(Some)
    }
}

/// What sealed bytes are bound to. They can be opened only with the same data.
#[derive(Clone, Copy)]
pub(crate) enum AssociatedData<'a> {
    /// The content of a journal entry with this number, after an entry with this CRC.
    Entry {
        /// The commit's number.
        number: u64,
        /// The CRC of the entry before it.
        chain: u32,
    },
    /// The value of a key.
    Value(&'a [u8]),
    /// A file of the device's folder.
    File(&'a str),
    /// A piece of a picture. It opens only as this piece of this picture with this length, so pieces can neither be
    /// swapped nor left out.
    Piece {
        /// The picture's hash.
        picture: &'a [u8; 32],
        /// The picture's length.
        bytes: u64,
        /// The index of the piece, from 0.
        nth: u64,
    },
}

impl AssociatedData<'_> {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Entry { number, chain } => [&[1][..], &number.to_be_bytes(), &chain.to_be_bytes()].concat(),
            Self::Value(key) => [&[2], key].concat(),
            Self::File(name) => [&[3], name.as_bytes()].concat(),
            Self::Piece { picture, bytes, nth } => {
                [&[4], &picture[..], &bytes.to_be_bytes(), &nth.to_be_bytes()].concat()
            }
        }
    }
}

/// How a store's bytes are written to the disk: plain or sealed.
#[derive(Clone)]
pub(crate) enum Cover {
    /// Bytes are written as they are.
    Plain,
    /// Bytes are sealed with the store's key.
    Sealed(Arc<DataKey>),
}

impl Cover {
    /// Whether bytes are sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// The bytes that [`Self::seal`] needs in front.
    pub(crate) const fn front_bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Sealed(_) => NONCE_LEN,
        }
    }

    /// The bytes that sealing adds in total, including those in front.
    pub(crate) const fn extra_bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Sealed(_) => EXTRA_BYTES,
        }
    }

    /// Seals the bytes from `from` on, in place. They begin with the room for the front bytes.
    pub(crate) fn seal(&self, data: AssociatedData<'_>, bytes: &mut Vec<u8>, from: usize) -> io::Result<()> {
        match self {
            Self::Plain => Ok(()),
            Self::Sealed(key) => key.aead.seal(&data.bytes(), bytes, from),
        }
    }

    /// Opens sealed bytes; `None` if they are not what this key sealed for this data.
    pub(crate) fn open(&self, data: AssociatedData<'_>, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Plain => Some(bytes),
            Self::Sealed(key) => key.aead.open(&data.bytes(), bytes),
        }
    }
}

struct Aead(LessSafeKey);

impl Aead {
    fn new(key: &[u8; KEY_BYTES]) -> io::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, beside: &[u8], bytes: &mut Vec<u8>, from: usize) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let plain_from = from + NONCE_LEN;
        bytes[from..plain_from].copy_from_slice(&nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(beside), &mut bytes[plain_from..]);
        // Sealing fails only for more than 256 GiB.
        let tag = sealed.map_err(|_| io::ErrorKind::FileTooLarge)?;
        bytes.extend_from_slice(tag.as_ref());
        Ok(())
    }

    fn open(&self, beside: &[u8], mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(bytes.get(..NONCE_LEN)?).ok()?;
        let plain_bytes = self.0.open_within(nonce, Aad::from(beside), &mut bytes, NONCE_LEN..).ok()?.len();
        bytes.truncate(plain_bytes);
        Some(bytes)
    }
}

fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| io::Error::other("the system gives no random numbers"))
}

#[cfg(test)]
mod tests;
