//! The file `key`: the store's own key, sealed with the host's. Owns this one file; knows no value, journal or tree. A
//! store that has the file is sealed; without it, a sealed store can never be read again.
//!
//! | bytes | content |
//! |---|---|
//! | 1 | version = 1 |
//! | 8 | the name of the host's key |
//! | 60 | the store's key, sealed with the host's |
//! | 4 | CRC-32 of all before, u32 BE, which distinguishes damage from a wrong key |
//!
//! A change of the host's key writes a new file beside the old one and renames it. So at any moment either the old key
//! or the new key opens the store.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::layout::Malformed;
use crate::disk::{remove_file_if_exists, sync_folder};
use crate::sealing::{DataKey, KEY_NAME_BYTES, StoreKey, WRAPPED_BYTES};

const NAME: &str = "key";
const UNFINISHED_NAME: &str = "key.new";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + KEY_NAME_BYTES;
const CRC_BYTES: usize = 4;
const FILE_BYTES: usize = HEAD_BYTES + WRAPPED_BYTES + CRC_BYTES;

/// Why the store's key is not available.
#[derive(Debug)]
pub(super) enum KeyFault {
    Io(io::Error),
    /// The file is intact, and was sealed with another key.
    WrongKey,
    /// A newer app wrote it.
    Newer(u8),
    Malformed(Malformed),
}

impl From<io::Error> for KeyFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether a folder's store is sealed.
pub(super) fn is_in(folder: &Path) -> io::Result<bool> {
    folder.join(NAME).try_exists()
}

/// Reads the store's key. Writes nothing.
pub(super) fn read(folder: &Path, key: &StoreKey) -> Result<DataKey, KeyFault> {
    let bytes = fs::read(folder.join(NAME))?;
    let Some((content, crc)) = bytes.split_last_chunk::<CRC_BYTES>() else {
        return Err(KeyFault::Malformed("the file key is cut off"));
    };
    if crc32fast::hash(content) != u32::from_be_bytes(*crc) {
        return Err(KeyFault::Malformed("the file key is not what was written"));
    }
    if let Some(version) = content.first().filter(|version| **version != VERSION) {
        return Err(KeyFault::Newer(*version));
    }
    if bytes.len() != FILE_BYTES {
        return Err(KeyFault::Malformed("the file key has another length than was written"));
    }
    let (head, wrapped) = content.split_at(HEAD_BYTES);
    if head[1..] != key.name() {
        return Err(KeyFault::WrongKey);
    }
    DataKey::unwrap(key, head, wrapped)?.ok_or(KeyFault::Malformed("the file key holds no key"))
}

/// Writes the store's key. After a crash, the old or the new file is there, complete.
pub(super) fn write(folder: &Path, key: &StoreKey, data: &DataKey) -> io::Result<()> {
    write_unfinished(folder, key, data)?;
    fs::rename(folder.join(UNFINISHED_NAME), folder.join(NAME))?;
    sync_folder(folder)
}

pub(super) fn write_unfinished(folder: &Path, key: &StoreKey, data: &DataKey) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&key.name());
    let wrapped = data.wrap(key, &bytes)?;
    bytes.extend_from_slice(&wrapped);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    let mut file = File::create(folder.join(UNFINISHED_NAME))?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// Removes a key file whose writing was interrupted.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove_file_if_exists(&folder.join(UNFINISHED_NAME))
}
