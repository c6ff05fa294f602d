//! The storage engine, the only module that knows sled 0.34.7. Owns a store's folder, its lock, its one tree of keys
//! and bytes, and the durability of commits. Knows nothing of records, ops, outbox or encodings; no type of sled leaves
//! it.
//!
//! A commit is durable when it returns, with one sync: it becomes one entry of our own journal, a file beside sled's.
//! Readers see the journal as an overlay. When the file is full, its content is folded into the tree and made durable
//! there; only then is the file overwritten from its front. The tree alone may contain half a commit or more at any
//! time, and is never read without the journal over it. If the host app gave a key, entries and values are sealed when
//! they are written, and opened when they are read (docs/adr/0008); the overlay in memory is plain.
//! docs/adr/0002-sled-on-the-device.md has the reasons and the figures.

mod before_open;
#[cfg(target_os = "linux")]
mod durable_linux;
mod journal;
mod key_file;
mod layout;
mod opening;
mod salvage;
mod scan;
mod torn;

#[cfg(feature = "simulation")]
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use journal::Journal;
use layout::{Fault, KEY_BYTES_MAX, VALUE_BYTES_MAX, Writes};
use opening::{Claim, Opened};
pub(crate) use salvage::{Losses, Salvage, cover_of, hold};
pub(crate) use scan::{Entry, KeyRange};

use crate::sealing::{Cover, StoreKey};

/// The entries that a scan reads while it holds the readers' lock.
const PAGE_ENTRIES_MAX: usize = 128;
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Why the engine refused. No message contains a key or a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Another program, or another part of this one, has the store open.
    #[error("the store in {} is already open; close the app or program that uses it, then try again", folder.display())]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The files are corrupt.
    #[error("the store in {} is damaged ({detail}); do not delete it: set the folder aside, rescue what can be read, and start a new store", folder.display())]
    Damaged {
        /// The store's folder.
        folder: PathBuf,
        /// What was found, for an expert who examines the folder.
        detail: String,
    },
    /// The system could not read or write.
    #[error("the store in {} could not be read or written ({source}); check free space and permissions, then try again", folder.display())]
    Io {
        /// The store's folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store is sealed and no key was given. Nothing was changed.
    #[error("the store in {} is sealed: open it with the key that the app keeps in the platform's keystore; nothing was changed", folder.display())]
    NeedsKey {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A key was given and the store is plain. Nothing was changed.
    #[error("the store in {} is not sealed, and a key was given: open it without a key; it cannot be sealed later, so to seal it, sync it and enrol in a new folder with the key; nothing was changed", folder.display())]
    NotSealed {
        /// The store's folder.
        folder: PathBuf,
    },
    /// The store is sealed with another key. Nothing was changed.
    #[error("the key does not fit the store in {}: use the key that it was sealed with, or, after an interrupted change of keys, the other one; nothing was changed", folder.display())]
    WrongKey {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A newer app sealed the store. Nothing was changed.
    #[error("the key file of the store in {} is of version {version}, which this app does not read: update the app; nothing was changed", folder.display())]
    NewerKeyFile {
        /// The store's folder.
        folder: PathBuf,
        /// The version that was found.
        version: u8,
    },
    /// An earlier write failed, so the disk may differ from memory.
    #[error("an earlier write to the store in {} failed; close the store and open it again", folder.display())]
    Stopped {
        /// The store's folder.
        folder: PathBuf,
    },
    /// A key or value is too long. Nothing of its batch was written.
    #[error(
        "a {what} of {bytes} bytes is too long for the store, which takes {bytes_max}; write it in parts"
    )]
    TooLong {
        /// `key` or `value`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The greatest length.
        bytes_max: usize,
    },
    /// This build would lose acknowledged writes in a power cut.
    #[error(
        "this build of the library is not linked with its own sync_file_range, so a save would not survive a power cut; relink it without replacing that symbol (docs/adr/0002)"
    )]
    NotDurable,
}

/// The writes of one commit. Of two writes to one key the later one counts.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    writes: Writes,
}

impl Batch {
    /// Sets a key's value.
    pub(crate) fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.insert(key.into(), Some(value.into()));
    }

    /// Removes a key if it exists.
    pub(crate) fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.writes.insert(key.into(), None);
    }

    /// Its writes; `None` removes a key.
    #[cfg(feature = "simulation")]
    pub(crate) const fn writes(&self) -> &BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        &self.writes
    }
}

/// An open store. Dropping it closes it.
pub(crate) struct Engine {
    folder: PathBuf,
    /// How bytes are written to the disk.
    cover: Cover,
    /// Held during every commit, so that commits are sequential.
    writing: Mutex<Writing>,
    /// The content of the journal, which may not be in the tree yet. Readers share it; only durable commits change it.
    pending: RwLock<Writes>,
    /// Set after a failed write, when the content of the disk is unknown. From then on nothing is read or written.
    has_failed: AtomicBool,
    // Fields drop in this order. The claim is dropped last, after sled has closed its files.
    tree: sled::Db,
    claim: Claim,
}

/// The target of commits.
struct Writing {
    journal: Journal,
    /// The number of entries in the tree; `None` if it is unknown, because the count was removed or a part of the tree
    /// cannot be read. Then the next fold counts them.
    tree_entries: Option<u64>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let is_whole = self.writing.get_mut().is_ok() && !*self.has_failed.get_mut();
        self.claim.is_clean = is_whole && self.tree.flush().is_ok();
    }
}

impl Engine {
    /// Opens the store in a folder, or creates a new one, sealed if there is a key. A store that is damaged or has
    /// another key is refused and left unchanged.
    pub(crate) fn open(folder: &Path, key: Option<&StoreKey>) -> Result<Self, EngineError> {
        #[cfg(target_os = "linux")]
        if !durable_linux::in_force() {
            return Err(EngineError::NotDurable);
        }
        let Opened { cover, tree, tree_entries, journal, pending, claim } = opening::open(folder, key)?;
        Ok(Self {
            folder: folder.to_owned(),
            cover,
            writing: Mutex::new(Writing { journal, tree_entries }),
            pending: RwLock::new(pending),
            has_failed: AtomicBool::new(false),
            tree,
            claim,
        })
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|pending| {
            if let Some(value) = pending.get(key) {
                return Ok(value.clone());
            }
            let stored = self.tree.get(layout::data_key(key))?;
            stored.map(|stored| layout::read_value(&self.tree, &self.cover, key, &stored)).transpose()
        })
    }

    /// Whether a key has a value.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, EngineError> {
        self.read(|pending| match pending.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.tree.contains_key(layout::data_key(key))?),
        })
    }

    /// Scans the entries whose keys have the prefix, in the order of keys. See [`Self::scan_range`].
    pub(crate) fn scan_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        self.scan(KeyRange::of_prefix(prefix))
    }

    /// Scans the entries from one key up to, but not including, another. A scan sees complete commits, but not a
    /// snapshot: what is committed during the scan may appear in its rest.
    pub(crate) fn scan_range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        self.scan(KeyRange { from: from.to_vec(), to: Some(to.to_vec()) })
    }

    /// Writes a batch atomically, and returns when it is durable. Readers see it only then. After [`EngineError::Io`]
    /// or [`EngineError::Damaged`] the store must be opened again; the batch may or may not be in it.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let writes = batch.writes;
        check_lengths(&writes)?;
        if writes.is_empty() {
            return Ok(());
        }
        let mut writing = self.writing.lock().map_err(|_| self.stopped())?;
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(self.stopped());
        }
        let outcome = self.write(&mut writing, writes);
        match &outcome {
            Ok(()) => self.claim.acknowledge(writing.journal.commits()),
            Err(_) => self.has_failed.store(true, Ordering::SeqCst),
        }
        outcome.map_err(|fault| from_fault(&self.folder, fault))
    }

    /// Whether a write failed, so that the store must be opened again.
    pub(crate) fn has_stopped(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst) || self.writing.is_poisoned()
    }

    /// Marks the tree's entries to be counted again, because entries that it lacked are being restored. So a repaired
    /// store is not refused for what it had lost.
    pub(crate) fn recount(&self) -> Result<(), EngineError> {
        let mut writing = self.writing.lock().map_err(|_| self.stopped())?;
        writing.tree_entries = None;
        let forget = || {
            layout::forget_entries(&self.tree)?;
            self.tree.flush()?;
            Ok(())
        };
        let forgotten = forget();
        self.has_failed.fetch_or(forgotten.is_err(), Ordering::SeqCst);
        forgotten.map_err(|fault| from_fault(&self.folder, fault))
    }

    /// How bytes are written to the disk.
    pub(crate) const fn cover(&self) -> &Cover {
        &self.cover
    }

    /// Changes the key of the store. If this is interrupted, the store opens with the old key or with the new one.
    pub(crate) fn change_key(&self, key: &StoreKey) -> Result<(), EngineError> {
        // Two concurrent changes would write to one unfinished file.
        let _alone = self.writing.lock().map_err(|_| self.stopped())?;
        let Cover::Sealed(data) = &self.cover else {
            return Err(EngineError::NotSealed { folder: self.folder.clone() });
        };
        key_file::write(&self.folder, key, data)
            .map_err(|source| EngineError::Io { folder: self.folder.clone(), source })
    }

    /// The size of the store's files on disk.
    pub(crate) fn size_on_disk_bytes(&self) -> Result<u64, EngineError> {
        let writing = self.writing.lock().map_err(|_| self.stopped())?;
        let sizes = || Ok(self.tree.size_on_disk()? + writing.journal.file_bytes()?);
        sizes().map_err(|fault| from_fault(&self.folder, fault))
    }

    fn write(&self, writing: &mut Writing, writes: Writes) -> Result<(), Fault> {
        let mut entry = journal::draft(&self.cover);
        layout::encode_writes(&writes, &mut entry, self.cover.extra_bytes());
        if !writing.journal.has_room(entry.len() + self.cover.extra_bytes()) {
            self.fold(writing)?;
        }
        writing.journal.append(&self.cover, entry)?;
        self.pending.write().unwrap_or_else(PoisonError::into_inner).extend(writes);
        Ok(())
    }

    /// Moves the journal's content into the tree, and resets the journal. Readers continue: the overlay hides each key
    /// while it is moved.
    fn fold(&self, writing: &mut Writing) -> Result<(), Fault> {
        // The count is invalid while the tree is half changed.
        layout::forget_entries(&self.tree)?;
        self.tree.flush()?;
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries = writing.tree_entries;
        for (key, value) in pending.iter() {
            let more = layout::fold_write(&self.tree, &self.cover, key, value.as_deref())?;
            entries = entries.map(|entries| entries.saturating_add_signed(more));
        }
        drop(pending);
        let entries = entries.or_else(|| opening::entries_of(&self.tree));
        // The tree must record these commits durably before the journal drops them.
        self.tree.flush()?;
        layout::end_fold(&self.tree, writing.journal.commits(), entries)?;
        self.tree.flush()?;
        writing.tree_entries = entries;
        writing.journal.begin_anew()?;
        self.pending.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn scan(&self, mut range: KeyRange) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
        let mut page = Vec::new().into_iter();
        let mut is_done = false;
        std::iter::from_fn(move || {
            if page.len() == 0 && !is_done {
                let read = self.read(|pending| {
                    scan::first_entries(
                        &self.tree,
                        &self.cover,
                        pending,
                        &range,
                        (PAGE_ENTRIES_MAX, PAGE_BYTES_MAX),
                    )
                });
                match read {
                    Ok(entries) => {
                        is_done = entries.is_empty();
                        if let Some((last, _)) = entries.last() {
                            // The least key after the last one is that key followed by a zero byte.
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

    fn read<T>(&self, read: impl FnOnce(&Writes) -> Result<T, Fault>) -> Result<T, EngineError> {
        let pending = self.pending.read().map_err(|_| self.stopped())?;
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(self.stopped());
        }
        read(&pending).map_err(|fault| from_fault(&self.folder, fault))
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

fn from_fault(folder: &Path, fault: Fault) -> EngineError {
    match fault {
        Fault::Sled(error) => from_sled(folder, error),
        Fault::Io(source) => EngineError::Io { folder: folder.to_owned(), source },
        Fault::Malformed(what) => EngineError::Damaged { folder: folder.to_owned(), detail: what.to_owned() },
    }
}

fn from_sled(folder: &Path, error: sled::Error) -> EngineError {
    let folder = folder.to_owned();
    match error {
        // sled wraps the system's error in an error of its own, whose text is for programmers.
        sled::Error::Io(source)
            if source.raw_os_error().is_none() && source.kind() != io::ErrorKind::Other =>
        {
            EngineError::Io { folder, source: source.kind().into() }
        }
        sled::Error::Io(source) => EngineError::Io { folder, source },
        error => EngineError::Damaged { folder, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests;
