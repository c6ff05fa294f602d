//! Pictures in progress: a file each in the data folder's spool, appended piece by piece.
//!
//! Nothing here is synced to disk. After a crash the end of a file may be lost or torn. The hash of its front shows
//! that; the device then sends from where both agree, or everything. The spool knows no store and no clock.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use xundian_protocol::ids::{ContentHash, ContentHasher, DeviceNo};
use xundian_protocol::limits::PHOTO_BYTES_MAX;

/// The limits of the spool.
#[derive(Clone, Copy, Debug)]
pub struct SpoolLimits {
    /// The most pictures in progress of one device. The oldest is evicted for the next.
    pub per_device_max: usize,
    /// The most pictures in progress of all devices.
    pub pictures_max: usize,
    /// The most bytes of all pictures, each counted with its whole size.
    pub bytes_max: u64,
    /// Bytes that stay free on the disk, which also holds the records.
    pub disk_free_bytes_min: u64,
    /// A picture untouched for this long may be evicted if there is no room.
    pub idle_ms: i64,
    /// A picture untouched for this long is removed.
    pub age_ms_max: i64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            per_device_max: 4,
            pictures_max: 4096,
            bytes_max: 4 << 30,
            disk_free_bytes_min: 1 << 30,
            idle_ms: 10 * 60 * 1000,
            age_ms_max: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

/// The distance between two saved hash states. If a piece replaces bytes, at most this many are hashed again.
const MARK_BYTES: u64 = 1 << 20;
const _: () = assert!(PHOTO_BYTES_MAX / MARK_BYTES <= 16);

/// One picture in progress. Devices that send the same picture do not share a file, so that none can corrupt another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    /// The sending device.
    pub(super) device: DeviceNo,
    /// The hash of the complete picture.
    pub(super) hash: ContentHash,
}

/// The received front of a picture in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Front {
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// Its hash.
    pub(super) hash: ContentHash,
    /// The claimed size of the whole picture.
    pub(super) of_bytes: u64,
}

/// Why a picture cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// Other pictures take all the room.
    #[error("too many pictures are in progress at the moment: try again later")]
    Full,
    /// The disk is nearly full.
    #[error("the server's disk is nearly full: nothing was lost, try again later")]
    DiskFull,
    /// A piece exceeds the claimed size.
    #[error("the picture is larger than its record says, so that it cannot be the right one")]
    TooLarge,
    /// The disk failed.
    #[error("the server cannot store pictures at the moment: nothing was lost, try again later")]
    Disk(#[from] io::Error),
}

/// The pictures in progress.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    limits: SpoolLimits,
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// The claimed size of the picture; the size of its file until a device claims one.
    bytes: u64,
    touched_ms: i64,
    /// `None` until the file was read, and after a failed write.
    held: Arc<Mutex<Option<Running>>>,
}

/// The hash of a file's content, and its saved states.
#[derive(Debug, Default)]
struct Running {
    bytes: u64,
    hasher: ContentHasher,
    marks: Vec<ContentHasher>,
}

impl Spool {
    /// Opens the spool in a folder, or creates it. Files with other names are removed: nothing else belongs there.
    pub(super) fn open(folder: PathBuf, limits: SpoolLimits) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut entries = HashMap::new();
        for file in fs::read_dir(&folder)? {
            let file = file?;
            let about = file.metadata()?;
            let Some(key) = file.file_name().to_str().and_then(Key::read) else {
                tracing::warn!("{} is not a picture in progress and is removed", file.path().display());
                fs::remove_file(file.path())?;
                continue;
            };
            let touched = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let touched_ms = i64::try_from(touched.as_millis()).unwrap_or(i64::MAX);
            entries.insert(key, Entry { bytes: about.len(), touched_ms, held: Arc::default() });
        }
        Ok(Self { folder, limits, entries: Mutex::new(entries) })
    }

    /// Begins a picture of this size, or resumes it.
    pub(super) fn begin(&self, key: Key, bytes: u64, now_ms: i64) -> Result<Front, SpoolError> {
        let held = {
            let mut entries = self.lock();
            if !entries.contains_key(&key) {
                self.make_room(&mut entries, key.device, bytes, now_ms)?;
            }
            let entry = entries.entry(key).or_insert_with(|| Entry {
                bytes,
                touched_ms: now_ms,
                held: Arc::default(),
            });
            (entry.bytes, entry.touched_ms) = (bytes, now_ms);
            Arc::clone(&entry.held)
        };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running(key, &mut held)?;
        if running.bytes > bytes {
            // It was begun with a larger size, so it cannot be this one.
            self.cut(key, running, 0)?;
        }
        Ok(running.front(bytes))
    }

    /// Stores a piece. Returns `None` if nothing was begun.
    pub(super) fn keep(
        &self,
        key: Key,
        from: u64,
        piece: &[u8],
        now_ms: i64,
    ) -> Result<Option<Front>, SpoolError> {
        let (held, of_bytes) = {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(&key) else { return Ok(None) };
            entry.touched_ms = now_ms;
            (Arc::clone(&entry.held), entry.bytes)
        };
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running(key, &mut held)?;
        if from > running.bytes {
            return Ok(Some(running.front(of_bytes)));
        }
        if from + piece.len() as u64 > of_bytes {
            return Err(SpoolError::TooLarge);
        }
        let kept = self.cut(key, running, from).and_then(|()| self.append(key, running, piece));
        let front = running.front(of_bytes);
        if let Err(error) = kept {
            // The file's content is now unknown: it is read again.
            *held = None;
            return Err(error);
        }
        Ok(Some(front))
    }

    /// Everything received of a picture.
    pub(super) fn read(&self, key: Key) -> Result<Vec<u8>, SpoolError> {
        let mut bytes = Vec::new();
        File::open(self.path(key))?.take(PHOTO_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Discards what was received of a picture.
    pub(super) fn remove(&self, key: Key) -> Result<(), SpoolError> {
        self.lock().remove(&key);
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes pictures untouched for too long. Returns their number.
    pub(super) fn sweep(&self, now_ms: i64) -> Result<usize, SpoolError> {
        let old = |entry: &Entry| now_ms.saturating_sub(entry.touched_ms) > self.limits.age_ms_max;
        let keys: Vec<Key> =
            self.lock().iter().filter(|(_, entry)| old(entry)).map(|(key, _)| *key).collect();
        for key in &keys {
            self.remove(*key)?;
        }
        Ok(keys.len())
    }

    /// Makes room for one more picture: evicts the device's own oldest one, and idle ones of all devices.
    fn make_room(
        &self,
        entries: &mut HashMap<Key, Entry>,
        device: DeviceNo,
        bytes: u64,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let own = |entries: &HashMap<Key, Entry>| entries.keys().filter(|key| key.device == device).count();
        while own(entries) >= self.limits.per_device_max {
            self.give_way(entries, |key, _| key.device == device)?;
        }
        let idle_since_ms = now_ms.saturating_sub(self.limits.idle_ms);
        let all = |entries: &HashMap<Key, Entry>| entries.values().map(|entry| entry.bytes).sum::<u64>();
        while entries.len() >= self.limits.pictures_max || all(entries) + bytes > self.limits.bytes_max {
            if !self.give_way(entries, |_, entry| entry.touched_ms <= idle_since_ms)? {
                return Err(SpoolError::Full);
            }
        }
        // It is stored here first and then in the storage, which may be a folder on the same disk.
        if fs4::available_space(&self.folder)? < self.limits.disk_free_bytes_min + 2 * bytes {
            return Err(SpoolError::DiskFull);
        }
        Ok(())
    }

    /// Evicts the picture untouched for the longest among those that may go. Returns whether there was one.
    fn give_way(
        &self,
        entries: &mut HashMap<Key, Entry>,
        may_go: impl Fn(&Key, &Entry) -> bool,
    ) -> Result<bool, SpoolError> {
        let going = entries.iter().filter(|(key, entry)| may_go(key, entry));
        let Some(key) = going.min_by_key(|(_, entry)| entry.touched_ms).map(|(key, _)| *key) else {
            return Ok(false);
        };
        entries.remove(&key);
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(true),
        }
    }

    /// The state of a file: cached, or read from it.
    fn running<'a>(&self, key: Key, held: &'a mut Option<Running>) -> Result<&'a mut Running, SpoolError> {
        if held.is_none() {
            let mut running = Running::default();
            match File::open(self.path(key)) {
                Ok(file) => running.read(file.take(PHOTO_BYTES_MAX))?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            *held = Some(running);
        }
        Ok(held.get_or_insert_default())
    }

    fn append(&self, key: Key, running: &mut Running, piece: &[u8]) -> Result<(), SpoolError> {
        let file = File::options().create(true).truncate(false).write(true).open(self.path(key))?;
        file.write_all_at(piece, running.bytes).map_err(full_disk)?;
        running.take(piece);
        Ok(())
    }

    /// Truncates a file. The bytes behind it need not be read again: they are replaced.
    fn cut(&self, key: Key, running: &mut Running, at: u64) -> Result<(), SpoolError> {
        if at == running.bytes {
            return Ok(());
        }
        let mut file = File::options().read(true).write(true).open(self.path(key))?;
        file.set_len(at)?;
        running.rewind(at);
        file.seek(SeekFrom::Start(running.bytes))?;
        Ok(running.read(file.take(at - running.bytes))?)
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(format!("{}-{}", key.device.0, key.hash))
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn read(name: &str) -> Option<Self> {
        let (device, hash) = name.split_once('-')?;
        Some(Self { device: DeviceNo(device.parse().ok()?), hash: hash.parse().ok()? })
    }
}

impl Running {
    fn front(&self, of_bytes: u64) -> Front {
        Front { bytes: self.bytes, hash: self.hasher.hash(), of_bytes }
    }

    /// Appends bytes to the hash, and saves its state at each mark on the way.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let into_mark = self.bytes % MARK_BYTES;
            if into_mark == 0 {
                self.marks.push(self.hasher.clone());
            }
            let room = usize::try_from(MARK_BYTES - into_mark).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(now);
            self.bytes += now.len() as u64;
            bytes = later;
        }
    }

    fn read(&mut self, mut file: impl io::Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                read => self.take(&buffer[..read]),
            }
        }
    }

    /// Returns to the last mark at or before an offset.
    fn rewind(&mut self, to: u64) {
        let mark = usize::try_from(to / MARK_BYTES).unwrap_or(usize::MAX);
        self.marks.truncate(mark + 1);
        self.hasher = self.marks.pop().unwrap_or_default();
        self.bytes = self.marks.len() as u64 * MARK_BYTES;
    }
}

/// Distinguishes a full disk, because an administrator can act on it.
fn full_disk(error: io::Error) -> SpoolError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SpoolError::DiskFull,
        _ => SpoolError::Disk(error),
    }
}
