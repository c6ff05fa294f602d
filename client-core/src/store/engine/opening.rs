//! Opening and closing a store's folder: the lock, the checks that sled lacks, and the recovery when opening fails.
//! Knows the names of the files; knows no key or value.
//!
//! | name | content |
//! |---|---|
//! | `db`, `conf`, `snap.*`, `blobs` | sled's own files; `blobs` stays empty |
//! | `key` | the key of a sealed store, see [`super::key_file`]; made before `journal.sealed` |
//! | `key.new` | a key file that is being made |
//! | `journal`, or `journal.sealed` | the latest commits, see [`super::journal`]; made before `db`, never removed |
//! | `journal.new` | a journal that is being made |
//! | `making` | the store is being made: sled's files are not durable yet, and nothing was committed |
//! | `lock` | locked while the store is open; never removed |
//! | `closed` | the store was closed and sled's log has this length (text); absent while it is open |
//! | `acknowledged` | how many commits have returned, u64 BE, and its CRC-32, u32 BE; written after each, never synced |
//! | `before-open` | while sled opens a store that was not closed: a copy of sled's files, see [`super::before_open`] |
//! | `before-open.new`, `before-open.old` | such a copy that is being made, or removed |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::before_open;
use super::journal::{self, Journal};
use super::key_file::{self, KeyFault};
use super::layout::{Writes, count_entries, decode_writes, folded_commits, noted_entries};
use super::{EngineError, from_fault, from_sled};
use crate::disk::{remove_file_if_exists, sync_folder};
use crate::sealing::{Cover, DataKey, StoreKey};

const CACHE_BYTES: u64 = 8 * 1024 * 1024;
const CLOSING_WAIT_MAX: Duration = Duration::from_secs(3);
const DETAIL_CHARS_MAX: usize = 160;
const MAKING_NAME: &str = "making";

/// The parts of an opened store.
pub(super) struct Opened {
    pub(super) cover: Cover,
    pub(super) tree: sled::Db,
    /// The number of its entries, if it can be read to its end.
    pub(super) tree_entries: Option<u64>,
    pub(super) journal: Journal,
    /// The content of the journal, which may not be in the tree yet.
    pub(super) pending: Writes,
    pub(super) claim: Claim,
}

/// The exclusive right to the folder, from before sled opens it until after sled has closed it.
pub(super) struct Claim {
    folder: PathBuf,
    /// Whether everything was written when the store closed.
    pub(super) is_clean: bool,
    acknowledged: File,
    pub(super) lock: File,
}

impl Claim {
    /// Notes how many commits have returned, so that the next opening can detect a missing one.
    pub(super) fn acknowledge(&self, commits: u64) {
        // A number that is too low only detects less, so neither a failure nor a power cut matters here.
        let _ = (&self.acknowledged)
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.acknowledged).write_all(&acknowledgement(commits)));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_clean {
            // Without this mark the next opening is slower but as safe, so a failure does not matter.
            let log_bytes = log_bytes(&self.folder).to_string();
            let _ = fs::write(self.folder.join("closed"), log_bytes);
        }
        // Closing the file would release the lock too, but not while a child process that is just starting holds a copy
        // of it. If this fails, that is the only cost.
        let _ = fs4::FileExt::unlock(&self.lock);
    }
}

/// Opens or creates the store. If that fails, its files are unchanged.
pub(super) fn open(folder: &Path, key: Option<&StoreKey>) -> Result<Opened, EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io_error)?;
    let lock = take_lock(folder)?;
    // Before anything is written: a store with another key stays as it is.
    let cover = cover_of(folder, key)?;
    let is_sealed = cover.is_sealed();
    // An existing copy is from an interrupted opening: sled may have changed its files half-way.
    let was_opening = before_open::put_back(folder).map_err(io_error)?;
    tidy(folder, is_sealed)?;
    if !Journal::is_in(folder, is_sealed) {
        make(folder, is_sealed).map_err(io_error)?;
    }

    let was_closed =
        fs::read_to_string(folder.join("closed")).is_ok_and(|text| text == log_bytes(folder).to_string());
    // sled discards its log after the first damage, even if it then refuses to open. A full disk must not keep a store
    // shut: without room for the copy, sled opens without one, though it needs a little room itself for a snapshot. The
    // journal is not copied, because opening does not change it.
    let has_copy = was_opening || !was_closed && log_bytes(folder) > 0 && before_open::make(folder).is_ok();
    let opened = remove_file_if_exists(&folder.join("closed"))
        .and_then(|()| sync_folder(folder))
        .map_err(io_error)
        .and_then(|()| open_whole(folder, &cover, was_closed));
    if has_copy && matches!(opened, Err(EngineError::Damaged { .. } | EngineError::Io { .. })) {
        before_open::put_back(folder).and_then(|_| before_open::remove(folder)).map_err(io_error)?;
    }
    let Whole { tree, tree_entries, mut journal, pending } = opened?;
    // What sled changed while it opened must be durable before the copy is removed.
    tree.flush().map_err(|error| from_sled(folder, error))?;
    if has_copy {
        before_open::remove(folder).map_err(io_error)?;
    }
    if !was_closed {
        journal.rewrite().map_err(io_error)?;
    }
    sync_names(folder).and_then(|()| end_making(folder)).map_err(io_error)?;
    let path = folder.join("acknowledged");
    let acknowledged =
        OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io_error)?;
    let claim = Claim { folder: folder.to_owned(), is_clean: false, acknowledged, lock };
    Ok(Opened { cover, tree, tree_entries, journal, pending, claim })
}

/// Begins a new store. sled's files become durable only after it has opened.
fn make(folder: &Path, is_sealed: bool) -> io::Result<()> {
    File::create(folder.join(MAKING_NAME))?;
    sync_folder(folder)?;
    Journal::make(folder, is_sealed)?;
    sync_folder(folder)
}

/// From here on commits may follow.
fn end_making(folder: &Path) -> io::Result<()> {
    if folder.join(MAKING_NAME).try_exists()? {
        fs::remove_file(folder.join(MAKING_NAME))?;
        sync_folder(folder)?;
    }
    Ok(())
}

/// A store that opened and lacks nothing that can be detected.
struct Whole {
    tree: sled::Db,
    tree_entries: Option<u64>,
    journal: Journal,
    pending: Writes,
}

/// Opens sled and the journal, and compares counts. sled takes damage inside its log for the end of the log, or skips a
/// part of it; the journal takes damage for its own end. Either would continue without the rest.
fn open_whole(folder: &Path, cover: &Cover, was_closed: bool) -> Result<Whole, EngineError> {
    let tree = open_sled(folder)?;
    let mut pending = Writes::new();
    let replay = |content: &[u8]| decode_writes(content).map(|writes| pending.extend(writes));
    let journal = folded_commits(&tree).and_then(|folded| Journal::open(folder, cover, folded, replay));
    let journal = journal.map_err(|fault| from_fault(folder, fault))?;
    let (found, returned) = (journal.commits(), acknowledged_commits(folder));
    if found < returned {
        return Err(damaged(folder, format!("of {returned} commits {found} are left")));
    }
    let noted = noted_entries(&tree).map_err(|fault| from_fault(folder, fault))?;
    let tree_entries = if was_closed { noted } else { entries_of(&tree) };
    if let (Some(noted), Some(found)) = (noted, tree_entries)
        && noted != found
    {
        return Err(damaged(folder, format!("of {noted} entries of the tree {found} are left")));
    }
    Ok(Whole { tree, tree_entries, journal, pending })
}

/// Counts the tree's entries. If a part of it cannot be read, for which sled may panic, the count is `None`: readers of
/// that part get an error, and the rest is good.
pub(super) fn entries_of(tree: &sled::Db) -> Option<u64> {
    catch_unwind(AssertUnwindSafe(|| count_entries(tree).ok())).ok().flatten()
}

/// How many commits have returned, as far as that is known.
pub(super) fn acknowledged_commits(folder: &Path) -> u64 {
    let bytes = fs::read(folder.join("acknowledged")).unwrap_or_default();
    let commits = bytes.first_chunk().map_or(0, |count| u64::from_be_bytes(*count));
    // A power cut may have torn it, and a wrong number could refuse an intact store.
    if bytes == acknowledgement(commits) { commits } else { 0 }
}

pub(super) fn acknowledgement(commits: u64) -> [u8; 12] {
    let count = commits.to_be_bytes();
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&count);
    bytes[8..].copy_from_slice(&crc32fast::hash(&count).to_be_bytes());
    bytes
}

fn damaged(folder: &Path, detail: impl Into<String>) -> EngineError {
    EngineError::Damaged { folder: folder.to_owned(), detail: detail.into() }
}

/// Our own lock: sled has none on Android and iOS, and its error says neither who holds it nor what to do. The system
/// releases it when the process ends.
pub(super) fn take_lock(folder: &Path) -> Result<File, EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let path = folder.join("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io_error)?;
    // fs4's try_lock and not the standard library's, which Android does not have.
    match fs4::FileExt::try_lock(&lock) {
        Ok(()) => Ok(lock),
        Err(fs4::TryLockError::WouldBlock) => Err(EngineError::InUse { folder: folder.to_owned() }),
        Err(fs4::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// How bytes are written to the disk. Only reads, except for a new store that is to be sealed, which gets its key.
fn cover_of(folder: &Path, key: Option<&StoreKey>) -> Result<Cover, EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let has_key_file = key_file::is_in(folder).map_err(io_error)?;
    if !has_key_file && Journal::is_in(folder, true) {
        return Err(damaged(folder, "it is sealed and the file key is missing"));
    }
    let is_made = Journal::is_in(folder, false) || log_bytes(folder) > 0 || acknowledged_commits(folder) > 0;
    let data = match key {
        None if has_key_file => return Err(EngineError::NeedsKey { folder: folder.to_owned() }),
        None => return Ok(Cover::Plain),
        Some(key) if has_key_file => {
            key_file::read(folder, key).map_err(|fault| from_key_fault(folder, fault))?
        }
        Some(_) if is_made => return Err(EngineError::NotSealed { folder: folder.to_owned() }),
        Some(key) => {
            let data = DataKey::generate().map_err(io_error)?;
            key_file::write(folder, key, &data).map_err(io_error)?;
            data
        }
    };
    Ok(Cover::Sealed(Arc::new(data)))
}

pub(super) fn from_key_fault(folder: &Path, fault: KeyFault) -> EngineError {
    match fault {
        KeyFault::Io(source) => EngineError::Io { folder: folder.to_owned(), source },
        KeyFault::WrongKey => EngineError::WrongKey { folder: folder.to_owned() },
        KeyFault::Newer(version) => EngineError::NewerKeyFile { folder: folder.to_owned(), version },
        KeyFault::Malformed(what) => damaged(folder, what),
    }
}

/// Detects what sled would make worse, and removes what it would fail on.
fn tidy(folder: &Path, is_sealed: bool) -> Result<(), EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let mut has_snapshot = false;
    if folder.join(MAKING_NAME).try_exists().map_err(io_error)? {
        // sled does not open what a power cut left of its first files.
        before_open::remove_files_of_sled(folder).map_err(io_error)?;
    }
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            // A process ended while sled wrote a snapshot. sled would take the unfinished file for the newest one and
            // refuse to open. The finished one before it is still there, and so is the log.
            fs::remove_file(&path).map_err(io_error)?;
        } else {
            has_snapshot |= name.starts_with("snap.");
        }
    }
    journal::remove_unfinished(folder)
        .and_then(|()| key_file::remove_unfinished(folder))
        .and_then(|()| before_open::tidy(folder))
        .map_err(io_error)?;
    let has_log = log_bytes(folder) > 0;
    if !has_log && (has_snapshot || acknowledged_commits(folder) > 0) {
        // sled would create an empty log in its place.
        return Err(damaged(folder, "the file db is missing or empty"));
    }
    if has_log && !Journal::is_in(folder, is_sealed) {
        return Err(damaged(folder, format!("the file {} is missing", journal::name(is_sealed))));
    }
    Ok(())
}

/// Opens sled, which may panic on damage. It gets no flusher thread: every commit is flushed, and an idle store sleeps.
pub(super) fn open_sled(folder: &Path) -> Result<sled::Db, EngineError> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let deadline = Instant::now() + CLOSING_WAIT_MAX;
    loop {
        let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("sled panicked");
            // sled's assertions print whole structures; the beginning tells which one failed.
            damaged(folder, text.chars().take(DETAIL_CHARS_MAX).collect::<String>())
        })?;
        match opened {
            // We hold our own lock, so this is a store of this process whose threads are still closing its files.
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

fn log_bytes(folder: &Path) -> u64 {
    fs::metadata(folder.join("db")).map_or(0, |log| log.len())
}

/// Makes the names of new files durable, which sled does not do.
fn sync_names(folder: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(folder.join("conf"))?.sync_all()?;
    sync_folder(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}
