//! The one module that knows sled 0.34.7. Owns a store's folder, its lock, its one tree of keys and bytes, and
//! what makes a commit durable. Knows nothing of records, ops, outbox or encodings; no type of sled leaves it.
//!
//! A commit is durable when it returns, with one sync. sled's own batches cost two, because it syncs a batch's
//! beginning apart from its content; so a small commit becomes one entry of a journal inside the tree, and many
//! entries are folded into place together by one of sled's batches. Readers see the journal as an overlay.
//! docs/adr/0002-sled-on-the-device.md has the reasons and the figures.

#[cfg(target_os = "linux")]
mod durable_linux;
mod layout;
mod opening;
mod scan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use layout::{KEY_BYTES_MAX, ReadError, VALUE_BYTES_MAX, Writes};
use opening::Claim;
pub(crate) use scan::Entry;
use scan::KeyRange;

/// After so many commits, or bytes of them, the journal is folded in.
const JOURNAL_ENTRIES_MAX: u64 = 1024;
const JOURNAL_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A scan holds the readers' lock for so much at a time.
const PAGE_ENTRIES_MAX: usize = 128;
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Why the engine refused. No message names a key or a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Another program, or another part of this one, has the store open.
    #[error("the store in {} is already open; close the app or program that uses it, then try again", folder.display())]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The files are not what was written.
    #[error("the store in {} is damaged ({detail}); do not delete it: set the folder aside, rescue what can be read, and start a new store", folder.display())]
    Damaged {
        /// The store's folder.
        folder: PathBuf,
        /// What was found, for whoever examines the folder.
        detail: String,
    },
    /// The system could not read or write.
    #[error("the store in {} could not be read or written ({source}); check free space and permissions, then open it again", folder.display())]
    Io {
        /// The store's folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write failed, so that what is in memory may be more than what is on disk.
    #[error("an earlier write to the store in {} failed; close the store and open it again", folder.display())]
    Stopped {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A key or value is longer than the engine takes. Nothing of its batch was written.
    #[error(
        "a {what} of {bytes} bytes is too long for the store, which takes {bytes_max}; write it in parts"
    )]
    TooLong {
        /// `key` or `value`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        bytes_max: usize,
    },
    /// This build would lose acknowledged writes at a power cut.
    #[error(
        "this build of the library is not linked with its own sync_file_range, so that a save would not survive a power cut; relink it without replacing that symbol (docs/adr/0002)"
    )]
    NotDurable,
}

/// What one commit writes. Of two writes to one key the later counts.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    writes: Writes,
}

impl Batch {
    /// Sets a key's value.
    pub(crate) fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.insert(key.into(), Some(value.into()));
    }

    /// Removes a key, if it is there.
    pub(crate) fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.writes.insert(key.into(), None);
    }
}

/// An open store. Closing it is dropping it.
pub(crate) struct Engine {
    folder: PathBuf,
    /// Held through every commit, so that they are one after the other; sled gains nothing from more writers.
    journal: Mutex<Journal>,
    /// What the journal holds and the tree does not. Readers share it; it changes only for durable commits.
    pending: RwLock<Writes>,
    /// Set while memory may hold more than the disk: from then on nothing is read or written.
    has_failed: AtomicBool,
    // Fields drop in this order: the claim goes last, after sled has written and closed its files.
    tree: sled::Db,
    claim: Claim,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let is_whole = self.journal.get_mut().is_ok() && !*self.has_failed.get_mut();
        self.claim.is_clean = is_whole && self.tree.flush().is_ok();
    }
}

/// Commits have numbers from 0; those from `first` on that have a journal entry wait to be folded in.
struct Journal {
    first: u64,
    next: u64,
    bytes: usize,
}

impl Engine {
    /// Opens the store in a folder, or makes a new one. A damaged store is refused and left as it is.
    pub(crate) fn open(folder: &Path) -> Result<Self, EngineError> {
        #[cfg(target_os = "linux")]
        if !durable_linux::in_force() {
            return Err(EngineError::NotDurable);
        }
        let (tree, recovered, claim) = opening::open(folder)?;
        let next = recovered.commits;
        let first = recovered.journal.first().map_or(next, |(number, _)| *number);
        let pending = recovered.journal.into_iter().flat_map(|(_, writes)| writes).collect();
        // The bytes are not counted anew: the bound on entries alone folds them in soon.
        let journal = Mutex::new(Journal { first, next, bytes: 0 });
        Ok(Self {
            folder: folder.to_owned(),
            journal,
            pending: RwLock::new(pending),
            has_failed: AtomicBool::new(false),
            tree,
            claim,
        })
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|pending| {
            if let Some(value) = pending.get(key) {
                return Ok(value.clone());
            }
            let stored = self.tree.get(layout::data_key(key))?;
            stored.map(|stored| layout::read_value(&self.tree, key, &stored)).transpose()
        })
    }

    /// Whether a key has a value.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, EngineError> {
        self.read(|pending| match pending.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.tree.contains_key(layout::data_key(key))?),
        })
    }

    /// The entries whose keys begin with the prefix, in the order of keys. See [`Self::scan_range`].
    pub(crate) fn scan_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        self.scan(KeyRange::of_prefix(prefix))
    }

    /// The entries from one key up to, not including, another. A scan sees whole commits, but not one moment:
    /// what is committed while it runs may appear further on.
    pub(crate) fn scan_range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        self.scan(KeyRange { from: from.to_vec(), to: Some(to.to_vec()) })
    }

    /// Writes a batch, all or nothing, and returns when it is durable. Readers see it only then.
    /// After [`EngineError::Io`] or [`EngineError::Damaged`] the store must be opened again; the batch may or may
    /// not be found there.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let writes = batch.writes;
        check_lengths(&writes)?;
        if writes.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal.lock().map_err(|_| self.stopped())?;
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(self.stopped());
        }
        let outcome = match layout::encode_writes(&writes) {
            Some(entry) => self.append(&mut journal, entry, writes),
            None => self.fold(&mut journal, writes),
        };
        match &outcome {
            Ok(()) => self.claim.acknowledge(journal.next),
            Err(_) => self.has_failed.store(true, Ordering::SeqCst),
        }
        outcome.map_err(|error| from_read(&self.folder, error))
    }

    /// What the store's files take on disk.
    pub(crate) fn size_on_disk_bytes(&self) -> Result<u64, EngineError> {
        self.tree.size_on_disk().map_err(|error| from_sled(&self.folder, error))
    }

    /// A small commit: one journal entry, one sync.
    fn append(&self, journal: &mut Journal, entry: Vec<u8>, writes: Writes) -> Result<(), ReadError> {
        let entry_bytes = entry.len();
        self.tree.insert(layout::journal_key(journal.next), entry)?;
        self.tree.flush()?;
        journal.next += 1;
        journal.bytes += entry_bytes;
        self.pending.write().unwrap_or_else(PoisonError::into_inner).extend(writes);

        let is_full =
            journal.next - journal.first >= JOURNAL_ENTRIES_MAX || journal.bytes >= JOURNAL_BYTES_MAX;
        if is_full { self.fold(journal, Writes::new()) } else { Ok(()) }
    }

    /// Moves the journal and further writes into place, all in one of sled's batches.
    fn fold(&self, journal: &mut Journal, writes: Writes) -> Result<(), ReadError> {
        // A panic under this lock is one under the journal's too, so that no commit comes here after it.
        let mut pending = self.pending.write().unwrap_or_else(PoisonError::into_inner);
        let mut batch = sled::Batch::default();
        for (key, value) in pending.iter().filter(|(key, _)| !writes.contains_key(*key)).chain(&writes) {
            layout::add_write(&self.tree, &mut batch, key, value.as_deref())?;
        }
        for number in journal.first..journal.next {
            batch.remove(layout::journal_key(number));
        }
        journal.next += u64::from(!writes.is_empty());
        layout::add_commit_count(&mut batch, journal.next);
        // Readers wait for the lock above; should this fail, they must not see what it left in memory.
        self.has_failed.store(true, Ordering::SeqCst);
        self.tree.apply_batch(batch)?;
        // Journal entries are durable already, and stay so until a later commit makes this batch durable too.
        if !writes.is_empty() {
            self.tree.flush()?;
        }
        self.has_failed.store(false, Ordering::SeqCst);
        pending.clear();
        journal.first = journal.next;
        journal.bytes = 0;
        Ok(())
    }

    fn scan(&self, mut range: KeyRange) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        let mut page = Vec::new().into_iter();
        let mut is_done = false;
        std::iter::from_fn(move || {
            if page.len() == 0 && !is_done {
                let read = self.read(|pending| {
                    scan::first_entries(&self.tree, pending, &range, PAGE_ENTRIES_MAX, PAGE_BYTES_MAX)
                });
                match read {
                    Ok(entries) => {
                        is_done = entries.is_empty();
                        if let Some((last, _)) = entries.last() {
                            // The least key after the last one is that key and a zero byte.
                            range.from = [last, &[0][..]].concat();
                        }
                        page = entries.into_iter();
                    }
                    Err(error) => {
                        is_done = true;
                        return Some(Err(error));
                    }
                }
            }
            page.next().map(Ok)
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Writes) -> Result<T, ReadError>) -> Result<T, EngineError> {
        let pending = self.pending.read().map_err(|_| self.stopped())?;
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(self.stopped());
        }
        read(&pending).map_err(|error| from_read(&self.folder, error))
    }

    fn stopped(&self) -> EngineError {
        EngineError::Stopped { folder: self.folder.clone() }
    }
}

fn check_lengths(writes: &Writes) -> Result<(), EngineError> {
    for (key, value) in writes {
        let value_bytes = value.as_ref().map_or(0, Vec::len);
        for (what, bytes, bytes_max) in
            [("key", key.len(), KEY_BYTES_MAX), ("value", value_bytes, VALUE_BYTES_MAX)]
        {
            if bytes > bytes_max {
                return Err(EngineError::TooLong { what, bytes, bytes_max });
            }
        }
    }
    Ok(())
}

fn from_read(folder: &Path, error: ReadError) -> EngineError {
    match error {
        ReadError::Sled(error) => from_sled(folder, error),
        ReadError::Malformed(what) => {
            EngineError::Damaged { folder: folder.to_owned(), detail: what.to_owned() }
        }
    }
}

fn from_sled(folder: &Path, error: sled::Error) -> EngineError {
    let folder = folder.to_owned();
    match error {
        sled::Error::Io(source) => EngineError::Io { folder, source },
        error => EngineError::Damaged { folder, detail: error.to_string() },
    }
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
