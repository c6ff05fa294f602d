//! A trace: the ordered events of what a program did to a folder, and the file format for them.
//!
//! A file is identified by its inode number, because names come and go. Paths are relative to the folder. This module
//! does not know who writes events or what they mean.

use std::fs;
use std::io;
use std::path::Path;

/// One change, sync or message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A file was created. The inode number may be reused from a removed file.
    Made {
        /// Its path.
        path: String,
        /// Its inode number.
        node: u64,
    },
    /// A folder was created.
    MadeFolder {
        /// Its path.
        path: String,
    },
    /// Bytes were written.
    Wrote {
        /// The file's inode number.
        node: u64,
        /// The offset of the first byte.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file was truncated, or extended with zeros.
    SetLength {
        /// The file's inode number.
        node: u64,
        /// Its new length.
        length: u64,
    },
    /// A file or folder was renamed, replacing any file that had the new name.
    Renamed {
        /// The old path.
        from: String,
        /// The new path.
        to: String,
    },
    /// A hard link was made.
    Linked {
        /// The existing path.
        from: String,
        /// The new path.
        to: String,
    },
    /// A file's name was unlinked.
    Removed {
        /// The path.
        path: String,
    },
    /// An empty folder was removed.
    RemovedFolder {
        /// Its path.
        path: String,
    },
    /// A file was synced.
    Synced {
        /// The file's inode number.
        node: u64,
        /// Whether by `fdatasync` rather than `fsync`.
        is_data: bool,
    },
    /// A folder was synced, and with it the names in it.
    SyncedFolder {
        /// Its path.
        path: String,
    },
    /// Everything was synced.
    SyncedAll,
    /// A message of the program, such as that a save has returned.
    Said(Vec<u8>),
}

/// A trace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("the trace cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The content is not a valid trace.
    #[error("the trace is malformed at byte {at}")]
    Malformed {
        /// The offset of the invalid event.
        at: usize,
    },
}

impl Event {
    /// Appends the encoded event: a tag, then numbers as eight bytes each, then texts and bytes, each after its length.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Made { path, node } => entry(into, 1, &[*node], &[path.as_bytes()]),
            Self::MadeFolder { path } => entry(into, 2, &[], &[path.as_bytes()]),
            Self::Wrote { node, at, bytes } => entry(into, 3, &[*node, *at], &[bytes]),
            Self::SetLength { node, length } => entry(into, 4, &[*node, *length], &[]),
            Self::Renamed { from, to } => entry(into, 5, &[], &[from.as_bytes(), to.as_bytes()]),
            Self::Linked { from, to } => entry(into, 6, &[], &[from.as_bytes(), to.as_bytes()]),
            Self::Removed { path } => entry(into, 7, &[], &[path.as_bytes()]),
            Self::RemovedFolder { path } => entry(into, 8, &[], &[path.as_bytes()]),
            Self::Synced { node, is_data } => entry(into, 9, &[*node, u64::from(*is_data)], &[]),
            Self::SyncedFolder { path } => entry(into, 10, &[], &[path.as_bytes()]),
            Self::SyncedAll => entry(into, 11, &[], &[]),
            Self::Said(words) => entry(into, 12, &[], &[words]),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.take(1)?[0] {
            1 => Self::Made { node: reader.number()?, path: reader.text()? },
            2 => Self::MadeFolder { path: reader.text()? },
            3 => Self::Wrote { node: reader.number()?, at: reader.number()?, bytes: reader.part()?.to_vec() },
            4 => Self::SetLength { node: reader.number()?, length: reader.number()? },
            5 => Self::Renamed { from: reader.text()?, to: reader.text()? },
            6 => Self::Linked { from: reader.text()?, to: reader.text()? },
            7 => Self::Removed { path: reader.text()? },
            8 => Self::RemovedFolder { path: reader.text()? },
            9 => Self::Synced { node: reader.number()?, is_data: reader.number()? == 1 },
            10 => Self::SyncedFolder { path: reader.text()? },
            11 => Self::SyncedAll,
            12 => Self::Said(reader.part()?.to_vec()),
            _ => return None,
        })
    }
}

/// Reads a whole trace.
///
/// # Errors
/// Returns an error if the file cannot be read or is not a valid trace.
pub fn read(file: &Path) -> Result<Vec<Event>, TraceError> {
    let bytes = fs::read(file)?;
    let mut reader = Reader { bytes: &bytes, at: 0 };
    let mut events = Vec::new();
    while reader.at < bytes.len() {
        let at = reader.at;
        events.push(Event::decode(&mut reader).ok_or(TraceError::Malformed { at })?);
    }
    Ok(events)
}

fn entry(into: &mut Vec<u8>, tag: u8, numbers: &[u64], parts: &[&[u8]]) {
    into.push(tag);
    for number in numbers {
        into.extend_from_slice(&number.to_be_bytes());
    }
    for part in parts {
        into.extend_from_slice(&(part.len() as u64).to_be_bytes());
        into.extend_from_slice(part);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.part()?.to_vec()).ok()
    }
}
