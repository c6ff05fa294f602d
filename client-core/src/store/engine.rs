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
mod scan;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use layout::{KEY_BYTES_MAX, ReadError, VALUE_BYTES_MAX, Writes};
pub(crate) use scan::Entry;
use scan::KeyRange;

const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// After so many commits, or bytes of them, the journal is folded in.
const JOURNAL_ENTRIES_MAX: u64 = 1024;
const JOURNAL_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A scan holds the readers' lock for so much at a time.
const PAGE_ENTRIES_MAX: usize = 128;
const PAGE_BYTES_MAX: usize = 256 * 1024;
const LOCK_FILE: &str = "lock";
const CLOSING_WAIT_MAX: Duration = Duration::from_secs(3);

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
    #[error("a {what} of {bytes} bytes is too long for the store, which takes {bytes_max}; write it in parts")]
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
    // Fields drop in this order: the lock goes last, after sled has written and closed its files.
    tree: sled::Db,
    _lock: File,
}

/// Which journal entries wait to be folded in.
struct Journal {
    first: u64,
    next: u64,
    bytes: usize,
    failed: bool,
}

impl Engine {
    /// Opens the store in a folder, or makes a new one. A damaged store is refused and left as it is.
    pub(crate) fn open(folder: &Path) -> Result<Self, EngineError> {
        #[cfg(target_os = "linux")]
        if !durable_linux::in_force() {
            return Err(EngineError::NotDurable);
        }
        let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io_error)?;
        let lock = take_lock(folder)?;
        tidy_before_open(folder)?;
        let tree = open_sled(folder)?;
        tree.flush().map_err(|error| from_sled(folder, error))?;
        sync_names(folder).map_err(io_error)?;

        let entries = layout::read_journal(&tree).map_err(|error| from_read(folder, error))?;
        let first = entries.first().map_or(0, |(number, _)| *number);
        let next = entries.last().map_or(0, |(number, _)| *number + 1);
        let pending = entries.into_iter().flat_map(|(_, writes)| writes).collect();
        // The bytes are not counted anew: the bound on entries alone folds them in soon.
        let journal = Mutex::new(Journal { first, next, bytes: 0, failed: false });
        Ok(Self { folder: folder.to_owned(), journal, pending: RwLock::new(pending), tree, _lock: lock })
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
    pub(crate) fn scan_prefix(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Entry, EngineError>> + '_ {
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

    /// The last entry whose key begins with the prefix.
    pub(crate) fn last_with_prefix(&self, prefix: &[u8]) -> Result<Option<Entry>, EngineError> {
        self.read(|pending| scan::last_entry(&self.tree, pending, &KeyRange::of_prefix(prefix)))
    }

    /// Writes a batch, all or nothing, and returns when it is durable. Readers see it only then.
    /// After an error nothing more is written until the store is opened again, and the batch may or may not
    /// be found there.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let writes = batch.writes;
        check_lengths(&writes)?;
        if writes.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal.lock().map_err(|_| self.stopped())?;
        if journal.failed {
            return Err(self.stopped());
        }
        let outcome = match layout::encode_writes(&writes) {
            Some(entry) => self.append(&mut journal, entry, writes),
            None => self.fold(&mut journal, writes),
        };
        journal.failed = outcome.is_err();
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

        let is_full = journal.next - journal.first >= JOURNAL_ENTRIES_MAX || journal.bytes >= JOURNAL_BYTES_MAX;
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
        self.tree.apply_batch(batch)?;
        // Journal entries are durable already, and stay so until a later commit makes this batch durable too.
        if !writes.is_empty() {
            self.tree.flush()?;
        }
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
        read(&pending).map_err(|error| from_read(&self.folder, error))
    }

    fn stopped(&self) -> EngineError {
        EngineError::Stopped { folder: self.folder.clone() }
    }
}

/// A lock of our own: sled has none on Android and iOS, and its own says neither who nor what to do.
/// The system frees it when the process ends, however it ends.
fn take_lock(folder: &Path) -> Result<File, EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let path = folder.join(LOCK_FILE);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io_error)?;
    // fs4's and not the standard library's try_lock, which Android does not have.
    match fs4::FileExt::try_lock(&lock) {
        Ok(()) => Ok(lock),
        Err(fs4::TryLockError::WouldBlock) => Err(EngineError::InUse { folder: folder.to_owned() }),
        Err(fs4::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// Finds what sled would make worse, and removes what it would stumble over.
fn tidy_before_open(folder: &Path) -> Result<(), EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let mut has_snapshot = false;
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            // A process ended while sled wrote a snapshot. sled would take the unfinished file for the newest
            // one and refuse to open; the finished one before it is still there, and so is the log.
            fs::remove_file(&path).map_err(io_error)?;
        } else {
            has_snapshot |= name.starts_with("snap.");
        }
    }
    let log_bytes = fs::metadata(folder.join("db")).map_or(0, |log| log.len());
    if has_snapshot && log_bytes == 0 {
        // sled would make an empty log in its place.
        let detail = "the file db is missing or empty".to_owned();
        return Err(EngineError::Damaged { folder: folder.to_owned(), detail });
    }
    Ok(())
}

/// Opens sled, which may panic on damage. No flusher thread: every commit is flushed, and an idle store sleeps.
fn open_sled(folder: &Path) -> Result<sled::Db, EngineError> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let deadline = Instant::now() + CLOSING_WAIT_MAX;
    loop {
        let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let detail = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked").to_owned();
            EngineError::Damaged { folder: folder.to_owned(), detail }
        })?;
        match opened {
            // We hold our own lock, so this is a store of this process whose threads still close its files.
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                if Instant::now() >= deadline {
                    return Err(EngineError::InUse { folder: folder.to_owned() });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.map_err(|error| from_sled(folder, error)),
        }
    }
}

/// Makes the names of new files durable, which sled leaves to luck.
fn sync_names(folder: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(folder.join("conf"))?.sync_all()?;
    #[cfg(unix)]
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        // The parent of a bare name is the empty path, which stands for the current folder.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
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
