//! The journal: a file beside sled in which every commit becomes durable, written by the committing thread. Owns the
//! file `journal`, or `journal.sealed`; knows no tree, key or value.
//!
//! | bytes | content |
//! |---|---|
//! | 4 | the content's length, u32 BE |
//! | 4 | CRC-32 over number and content, continued from the CRC of the entry before (0 at the front), u32 BE |
//! | 8 | the commit's number, u64 BE |
//! | … | the content, sealed for its number and chain if the store has a key |
//!
//! Entries follow each other from the front, with contiguous numbers. Once the tree has all of them, the next entry
//! overwrites the first one. What follows it is left over from before, and is never taken for entries, because neither
//! its numbers nor its CRCs continue those in front of it. The file is created full of zeros: a sync is cheaper if only
//! content changes, and neither the length nor the allocated blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::layout::{Fault, Malformed};
use crate::disk::remove_file_if_exists;
use crate::sealing::{AssociatedData, Cover};

/// The initial length of the file, and about how much waits in it to be folded. A commit that does not fit into the
/// rest starts at the front; one that is longer than the file extends it.
pub(super) const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The bytes in front of an entry's content.
pub(super) const HEADER_BYTES: usize = 16;
const READ_BYTES: usize = 64 * 1024;

const PLAIN_NAME: &str = "journal";
/// A separate name, so that a sealed store without its key is not taken for a plain one.
const SEALED_NAME: &str = "journal.sealed";
const UNFINISHED_NAME: &str = "journal.new";

/// The name of a store's journal file.
pub(super) const fn name(is_sealed: bool) -> &'static str {
    if is_sealed { SEALED_NAME } else { PLAIN_NAME }
}

/// The bytes of an entry whose content is still to be appended.
pub(super) fn draft(cover: &Cover) -> Vec<u8> {
    vec![0; HEADER_BYTES + cover.front_bytes()]
}

/// The open journal.
pub(super) struct Journal {
    file: File,
    /// The number of the next commit, which is also the number of all commits so far.
    next: u64,
    /// The offset of its entry.
    end: u64,
    /// The CRC of the entry before it.
    chain: u32,
}

impl Journal {
    /// Whether a folder has a journal, sealed or plain.
    pub(super) fn is_in(folder: &Path, is_sealed: bool) -> bool {
        folder.join(name(is_sealed)).exists()
    }

    /// Creates an empty journal. Its name becomes durable only with a sync of the folder.
    pub(super) fn make(folder: &Path, is_sealed: bool) -> io::Result<()> {
        let unfinished = folder.join(UNFINISHED_NAME);
        let mut file = File::create(&unfinished)?;
        io::copy(&mut io::repeat(0).take(FILE_BYTES), &mut file)?;
        file.sync_all()?;
        fs::rename(unfinished, folder.join(name(is_sealed)))
    }

    /// Opens the journal of a tree that has the first `folded` commits, and passes the contents of later commits to
    /// `replay`, oldest first. Writes nothing.
    ///
    /// The journal ends at the first entry whose length, CRC or number does not fit. Such an entry is left over, or
    /// belongs to a commit that never returned.
    pub(super) fn open(
        folder: &Path,
        cover: &Cover,
        folded: u64,
        mut replay: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<Self, Fault> {
        let name = name(cover.is_sealed());
        let file = OpenOptions::new().read(true).write(true).open(folder.join(name))?;
        let mut room_bytes = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(READ_BYTES, &file);
        let (mut next, mut end, mut chain) = (None, 0, 0);
        while let Some(entry) = read_entry(&mut reader, room_bytes, chain)? {
            if entry.number > folded && next.is_none() {
                return Err(Fault::Malformed("the journal begins after the last commit in the tree"));
            }
            if next.is_some_and(|next| next != entry.number) {
                break;
            }
            let entry_bytes = (HEADER_BYTES + entry.content.len()) as u64;
            if entry.number >= folded {
                let content =
                    cover.open(AssociatedData::Entry { number: entry.number, chain }, entry.content);
                replay(&content.ok_or("a journal entry that this store's key did not seal")?)?;
            }
            next = Some(entry.number + 1);
            room_bytes -= entry_bytes;
            end += entry_bytes;
            chain = entry.crc;
        }
        Ok(match next {
            Some(next) if next > folded => Self { file, next, end, chain },
            _ => Self { file, next: folded, end: 0, chain: 0 },
        })
    }

    /// Writes the entries found once more, durably. After a failed sync, a system may show pages that it never writes,
    /// and later commits would be lost with them.
    pub(super) fn rewrite(&mut self) -> io::Result<()> {
        let mut chunk = Vec::new();
        for from in (0..self.end).step_by(READ_BYTES) {
            chunk.clear();
            self.file.seek(SeekFrom::Start(from))?;
            (&self.file).take((self.end - from).min(READ_BYTES as u64)).read_to_end(&mut chunk)?;
            self.write_at(from, &chunk)?;
        }
        self.file.sync_data()
    }

    /// The number of commits so far.
    pub(super) const fn commits(&self) -> u64 {
        self.next
    }

    /// Whether an entry of this many bytes fits into the rest. At the front every entry fits.
    pub(super) fn has_room(&self, entry_bytes: usize) -> bool {
        self.end == 0 || self.end + entry_bytes as u64 <= FILE_BYTES
    }

    /// Writes the next commit, a [`draft`] with its content, and returns when it is durable.
    pub(super) fn append(&mut self, cover: &Cover, mut entry: Vec<u8>) -> io::Result<()> {
        let place = AssociatedData::Entry { number: self.next, chain: self.chain };
        cover.seal(place, &mut entry, HEADER_BYTES)?;
        let content = &entry[HEADER_BYTES..];
        let length = u32::try_from(content.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let crc = crc_of(self.chain, self.next, content);
        entry[..4].copy_from_slice(&length.to_be_bytes());
        entry[4..8].copy_from_slice(&crc.to_be_bytes());
        entry[8..HEADER_BYTES].copy_from_slice(&self.next.to_be_bytes());
        self.write_at(self.end, &entry)?;
        self.file.sync_data()?;
        self.next += 1;
        self.end += entry.len() as u64;
        self.chain = crc;
        Ok(())
    }

    /// Returns to the front. Everything appended must be durable elsewhere by now.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        if self.end > FILE_BYTES {
            self.file.set_len(FILE_BYTES)?;
        }
        self.end = 0;
        self.chain = 0;
        Ok(())
    }

    /// The size of the file.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Redirects all writes to another file, for tests of failing writes.
    #[cfg(test)]
    pub(super) fn write_into(&mut self, file: File) {
        self.file = file;
    }

    // Positioned writes differ between platforms. Seeking is the same on all, and there is one writer.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }
}

/// Removes a journal whose making was interrupted.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove_file_if_exists(&folder.join(UNFINISHED_NAME))
}

struct Entry {
    number: u64,
    crc: u32,
    content: Vec<u8>,
}

/// The next entry, if there is one.
fn read_entry(reader: &mut impl Read, room_bytes: u64, chain: u32) -> io::Result<Option<Entry>> {
    let Some(content_room_bytes) = room_bytes.checked_sub(HEADER_BYTES as u64) else { return Ok(None) };
    let (mut length, mut crc, mut number) = ([0; 4], [0; 4], [0; 8]);
    reader.read_exact(&mut length)?;
    reader.read_exact(&mut crc)?;
    reader.read_exact(&mut number)?;
    let (length, crc, number) =
        (u32::from_be_bytes(length), u32::from_be_bytes(crc), u64::from_be_bytes(number));
    if u64::from(length) > content_room_bytes {
        return Ok(None);
    }
    let mut content = vec![0; length as usize];
    reader.read_exact(&mut content)?;
    Ok((crc == crc_of(chain, number, &content)).then_some(Entry { number, crc, content }))
}

/// The CRC of an entry after one whose CRC is `chain`.
pub(super) fn crc_of(chain: u32, number: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(chain);
    hasher.update(&number.to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}
