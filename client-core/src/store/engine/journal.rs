//! The journal: a file beside sled in which every commit becomes durable, written by the thread that commits.
//! Owns the file `journal`, or `journal.sealed`; knows no tree, key or value.
//!
//! | bytes | what they are |
//! |---|---|
//! | 4 | the content's length, u32 BE |
//! | 4 | CRC-32 over number and content, begun with the CRC of the entry before it (0 at the front), u32 BE |
//! | 8 | the commit's number, u64 BE |
//! | … | the content, sealed for its number and chain where the store has a key |
//!
//! Entries follow each other from the front, with contiguous numbers. Once the tree has them all, the next
//! entry is written over the first, so that what lies behind it is left from before; it is never taken for
//! entries, as neither its numbers nor its CRCs continue those in front of it. The file is made full of zeros,
//! because a sync is cheaper where nothing but content changes: no length, and no block that was not written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::layout::{Fault, Malformed};
use crate::disk::remove_file_if_exists;
use crate::sealing::{AssociatedData, Cover};

/// How long the file is when it is made, and about how much waits in it to be folded in: a commit that does
/// not fit into the rest begins at the front, and one that is longer than the file makes it longer.
pub(super) const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// What stands in front of an entry's content.
pub(super) const HEADER_BYTES: usize = 16;
const READ_BYTES: usize = 64 * 1024;

const PLAIN_NAME: &str = "journal";
/// Another name, so that a sealed store which lost its key is not taken for a plain one.
const SEALED_NAME: &str = "journal.sealed";
const UNFINISHED_NAME: &str = "journal.new";

/// What the file of a store is called.
pub(super) const fn name(is_sealed: bool) -> &'static str {
    if is_sealed { SEALED_NAME } else { PLAIN_NAME }
}

/// The bytes of an entry to which its content is still to be added.
pub(super) fn draft(cover: &Cover) -> Vec<u8> {
    vec![0; HEADER_BYTES + cover.front_bytes()]
}

/// The open journal.
pub(super) struct Journal {
    file: File,
    /// The number of the next commit; there were so many before it, ever.
    next: u64,
    /// Where its entry goes.
    end: u64,
    /// The CRC of the entry in front of it.
    chain: u32,
}

impl Journal {
    /// Whether a folder has one, sealed or plain.
    pub(super) fn is_in(folder: &Path, is_sealed: bool) -> bool {
        folder.join(name(is_sealed)).exists()
    }

    /// Makes an empty one. Its name is not durable yet: that takes a sync of the folder.
    pub(super) fn make(folder: &Path, is_sealed: bool) -> io::Result<()> {
        let unfinished = folder.join(UNFINISHED_NAME);
        let mut file = File::create(&unfinished)?;
        io::copy(&mut io::repeat(0).take(FILE_BYTES), &mut file)?;
        file.sync_all()?;
        fs::rename(unfinished, folder.join(name(is_sealed)))
    }

    /// Opens the journal of a tree that has the first `folded` commits, and hands the content of those that it
    /// does not have to `replay`, oldest first. Writes nothing.
    ///
    /// The first entry that does not fit its length, its CRC or its number ends the journal: it is left from
    /// before, or belongs to a commit that never returned.
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

    /// Writes once more what was found, and makes it durable. After a sync that failed, a system may show
    /// pages that it neither wrote nor will write, and what is committed behind them would be lost with them.
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

    /// How many commits there were, ever.
    pub(super) const fn commits(&self) -> u64 {
        self.next
    }

    /// Whether an entry of so many bytes can follow. At the front every one can.
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

    /// Goes back to the front. All that was appended must be durable elsewhere by now.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        if self.end > FILE_BYTES {
            self.file.set_len(FILE_BYTES)?;
        }
        self.end = 0;
        self.chain = 0;
        Ok(())
    }

    /// What the file takes.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// From here on everything is written into another file, for tests of what happens when that fails.
    #[cfg(test)]
    pub(super) fn write_into(&mut self, file: File) {
        self.file = file;
    }

    // Each platform has positioned writes of its own; seeking is the same on all, and there is one writer.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }
}

/// Removes what is left of making a journal, where that came to no end.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove_file_if_exists(&folder.join(UNFINISHED_NAME))
}

struct Entry {
    number: u64,
    crc: u32,
    content: Vec<u8>,
}

/// The entry that comes next, if what is there is one.
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

/// The CRC of an entry behind one whose CRC is `chain`.
pub(super) fn crc_of(chain: u32, number: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(chain);
    hasher.update(&number.to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}
