//! Pictures under way: a file each in the data folder's spool, appended piece by piece.
//!
//! Nothing here is synced to the disk. After a crash the end of a file may be lost or torn, which the hash of its
//! front tells; the device then sends from the place up to which both agree, or all of it. The spool knows no store
//! and no clock.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;
use xundian_protocol::ids::{ContentHash, ContentHasher, DeviceNo};
use xundian_protocol::limits::PHOTO_BYTES_MAX;

/// What the spool may take.
#[derive(Clone, Copy, Debug)]
pub struct SpoolLimits {
    /// Pictures under way of one device. The oldest one makes room for the next.
    pub per_device_max: usize,
    /// Pictures under way of all devices.
    pub pictures_max: usize,
    /// Bytes of all, each counted with its whole size.
    pub bytes_max: u64,
    /// Bytes that stay free on the disk: it is the same that records are written to.
    pub disk_free_bytes_min: u64,
    /// What nobody has touched for so long gives way to others where there is no room.
    pub idle_ms: i64,
    /// What nobody has touched for so long is removed.
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

/// Between two of these, bytes need to be hashed anew where a piece replaces what is there.
const MARK_BYTES: u64 = 1 << 20;
const _: () = assert!(PHOTO_BYTES_MAX / MARK_BYTES <= 16);

/// One picture under way: devices that send the same do not share a file, so that none can spoil another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    /// Who sends it.
    pub(super) device: DeviceNo,
    /// What it should become.
    pub(super) hash: ContentHash,
}

/// What is held of a picture under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Front {
    /// So many bytes.
    pub(super) bytes: u64,
    /// Their hash.
    pub(super) hash: ContentHash,
    /// How large the whole picture is said to be.
    pub(super) of_bytes: u64,
}

/// Why a picture cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// Others take all the room.
    #[error("too many pictures are under way at this moment: try again later")]
    Full,
    /// The disk has little room left.
    #[error("the server's disk is nearly full: nothing was lost, try again later")]
    DiskFull,
    /// A piece reaches past the size that was said.
    #[error("the picture is larger than its record says, so that it cannot be the right one")]
    TooLarge,
    /// The disk.
    #[error("the server cannot keep pictures at this moment: nothing was lost, try again later")]
    Disk(#[from] io::Error),
}

/// The pictures under way.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    limits: SpoolLimits,
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// How large the picture is said to be; what its file holds until somebody says so.
    bytes: u64,
    touched_ms: i64,
    /// `None` until the file was read, and where a write has failed.
    held: Arc<Mutex<Option<Running>>>,
}

/// The hash of what a file holds, and how it stood at each mark.
#[derive(Debug, Default)]
struct Running {
    bytes: u64,
    hasher: ContentHasher,
    marks: Vec<ContentHasher>,
}

impl Spool {
    /// Opens the spool in a folder, or makes it. Files of other names are removed: nothing else belongs there.
    pub(super) fn open(folder: PathBuf, limits: SpoolLimits) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut entries = HashMap::new();
        for file in fs::read_dir(&folder)? {
            let file = file?;
            let about = file.metadata()?;
            let Some(key) = file.file_name().to_str().and_then(Key::read) else {
                tracing::warn!("{} is no picture under way and is removed", file.path().display());
                fs::remove_file(file.path())?;
                continue;
            };
            let touched = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let touched_ms = i64::try_from(touched.as_millis()).unwrap_or(i64::MAX);
            entries.insert(key, Entry { bytes: about.len(), touched_ms, held: Arc::default() });
        }
        Ok(Self { folder, limits, entries: Mutex::new(entries) })
    }

    /// Begins a picture of so many bytes, or goes on with it.
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
            // It was begun as a larger one, so that it cannot be this one.
            self.cut(key, running, 0)?;
        }
        Ok(running.front(bytes))
    }

    /// Keeps a piece. `None` where nothing was begun.
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
            // What the file holds now is not known: it is read again.
            *held = None;
            return Err(error);
        }
        Ok(Some(front))
    }

    /// All that is held of a picture.
    pub(super) fn read(&self, key: Key) -> Result<Vec<u8>, SpoolError> {
        let mut bytes = Vec::new();
        File::open(self.path(key))?.take(PHOTO_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Throws away what is held of a picture.
    pub(super) fn remove(&self, key: Key) -> Result<(), SpoolError> {
        self.lock().remove(&key);
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes what nobody has touched for too long; says how many pictures that were.
    pub(super) fn sweep(&self, now_ms: i64) -> Result<usize, SpoolError> {
        let old = |entry: &Entry| now_ms.saturating_sub(entry.touched_ms) > self.limits.age_ms_max;
        let keys: Vec<Key> =
            self.lock().iter().filter(|(_, entry)| old(entry)).map(|(key, _)| *key).collect();
        for key in &keys {
            self.remove(*key)?;
        }
        Ok(keys.len())
    }

    /// Makes room for one more picture: of the device's own the oldest goes, of all others those that lie idle.
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
        // It lies here first and then in the store of pictures, which may be a folder on the same disk.
        if fs4::available_space(&self.folder)? < self.limits.disk_free_bytes_min + 2 * bytes {
            return Err(SpoolError::DiskFull);
        }
        Ok(())
    }

    /// Removes the picture that was touched longest ago of those that may go. Says whether there was one.
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

    /// What a file holds: remembered, or read from it.
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

    /// Cuts a file off at a place. What is behind it need not be read again: it is replaced.
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

    /// Takes in the bytes that follow, and marks how it stands at each mark on the way.
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

    /// Goes back to the last mark before a place, or at it.
    fn rewind(&mut self, to: u64) {
        let mark = usize::try_from(to / MARK_BYTES).unwrap_or(usize::MAX);
        self.marks.truncate(mark + 1);
        self.hasher = self.marks.pop().unwrap_or_default();
        self.bytes = self.marks.len() as u64 * MARK_BYTES;
    }
}

/// A disk without room is told apart, as somebody can do something about it.
fn full_disk(error: io::Error) -> SpoolError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SpoolError::DiskFull,
        _ => SpoolError::Disk(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICE: DeviceNo = DeviceNo(7);
    const NOW_MS: i64 = 1_795_428_000_000;

    fn limits() -> SpoolLimits {
        SpoolLimits { disk_free_bytes_min: 0, ..SpoolLimits::default() }
    }

    fn open(folder: &tempfile::TempDir, limits: SpoolLimits) -> Spool {
        Spool::open(folder.path().join("spool"), limits).expect("a folder of our own")
    }

    fn key(device: u32, picture: &[u8]) -> Key {
        Key { device: DeviceNo(device), hash: ContentHash::of(picture) }
    }

    /// Bytes that differ from place to place.
    fn picture(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at / 251 + at * 7) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        /// Whatever pieces come, and wherever the server is killed, what is held is what a plain list of bytes says,
        /// and its hash is theirs.
        #[test]
        fn it_holds_what_a_list_of_bytes_would(
            pieces in prop::collection::vec((0..2_500_000u64, 0..600_000usize, any::<u8>(), 0..6u8), 1..16),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let size = 3_000_000;
            let key = Key { device: DEVICE, hash: ContentHash([1; 32]) };
            let mut spool = open(&folder, limits());
            let mut model: Vec<u8> = Vec::new();
            spool.begin(key, size, NOW_MS).expect("room");
            for (place, bytes, with, how) in pieces {
                // Mostly where a device would send: at the end, or from the beginning.
                let from = match how { 0 => place, 1 => 0, _ => model.len() as u64 };
                let piece = vec![with; bytes];
                let fits = from + bytes as u64 <= size;
                match spool.keep(key, from, &piece, NOW_MS) {
                    Ok(_) if from > model.len() as u64 => {}
                    Ok(_) => {
                        prop_assert!(fits);
                        model.truncate(usize::try_from(from).expect("small"));
                        model.extend(&piece);
                    }
                    Err(SpoolError::TooLarge) => prop_assert!(!fits),
                    Err(error) => prop_assert!(false, "{error}"),
                }
                if with % 5 == 0 {
                    spool = open(&folder, limits());
                }
                let front = spool.begin(key, size, NOW_MS).expect("room");
                prop_assert_eq!((front.bytes, front.hash), (model.len() as u64, ContentHash::of(&model)));
            }
            if !model.is_empty() {
                prop_assert!(spool.read(key).expect("readable") == model);
            }
        }
    }

    #[test]
    fn the_end_of_a_file_that_a_crash_tore_is_told_by_its_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = picture(100_000);
        let key = key(1, &whole);
        let spool = open(&folder, limits());
        spool.begin(key, 100_000, NOW_MS).expect("room");
        spool.keep(key, 0, &whole[..60_000], NOW_MS).expect("room");
        let mut torn = fs::read(spool.path(key)).expect("it is there");
        torn.truncate(50_000);
        torn[49_000..].fill(0);
        fs::write(spool.path(key), &torn).expect("writable");
        let spool = open(&folder, limits());
        let front = spool.begin(key, 100_000, NOW_MS).expect("room");
        assert_eq!((front.bytes, front.hash), (50_000, ContentHash::of(&torn)));
        // The device sees that this is not its own front, and sends all.
        let front = spool.keep(key, 0, &whole, NOW_MS).expect("room").expect("begun");
        assert_eq!((front.bytes, front.hash), (100_000, ContentHash::of(&whole)));
    }

    #[test]
    fn room_is_made_by_ones_own_oldest_and_by_what_lies_idle() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits =
            SpoolLimits { per_device_max: 2, pictures_max: 3, bytes_max: 300, idle_ms: 50, ..limits() };
        let spool = open(&folder, limits);
        let pictures: Vec<Vec<u8>> = (0..9u8).map(|n| vec![n; 100]).collect();
        let put = |device, n: usize, now_ms| {
            let key = key(device, &pictures[n]);
            spool.begin(key, 100, now_ms)?;
            spool.keep(key, 0, &pictures[n][..10], now_ms)
        };
        let holds = |device, n: usize| spool.path(key(device, &pictures[n])).exists();
        put(1, 0, 10).expect("room");
        put(1, 1, 20).expect("room");
        put(1, 2, 30).expect("its own oldest makes room");
        assert!(!holds(1, 0) && holds(1, 1) && holds(1, 2));
        put(2, 3, 40).expect("room");
        assert!(matches!(put(3, 4, 50), Err(SpoolError::Full)), "nothing lies idle yet");
        put(3, 4, 75).expect("the first device's picture lies idle");
        assert!(!holds(1, 1) && holds(1, 2) && holds(2, 3) && holds(3, 4));
        let large = spool.begin(key(4, b"large"), 301, 1000);
        assert!(matches!(large, Err(SpoolError::Full)), "more than there is room for at all");
    }

    #[test]
    fn a_disk_that_is_nearly_full_takes_no_new_picture_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = picture(1000);
        let key = key(1, &whole);
        let spool = open(&folder, limits());
        spool.begin(key, 1000, NOW_MS).expect("room");
        spool.keep(key, 0, &whole[..500], NOW_MS).expect("room");
        let spool = open(&folder, SpoolLimits { disk_free_bytes_min: u64::MAX / 2, ..limits() });
        assert_eq!(spool.begin(key, 1000, NOW_MS).expect("it was begun before").bytes, 500);
        let other = Key { device: DEVICE, ..key };
        assert!(matches!(spool.begin(other, 1000, NOW_MS), Err(SpoolError::DiskFull)));
    }

    #[test]
    fn what_lies_there_too_long_is_swept_and_strange_files_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = open(&folder, limits());
        let (old, new) = (key(1, b"old"), key(1, b"new"));
        for (key, now_ms) in [(old, NOW_MS), (new, NOW_MS + 8 * 24 * 3_600_000)] {
            spool.begin(key, 3, now_ms).expect("room");
            spool.keep(key, 0, b"n", now_ms).expect("room");
        }
        fs::write(spool.path(old).with_file_name("a note"), b"").expect("writable");
        assert_eq!(spool.sweep(NOW_MS + 8 * 24 * 3_600_000).expect("removable"), 1);
        assert!(!spool.path(old).exists() && spool.path(new).exists());
        let spool = open(&folder, limits());
        assert_eq!(fs::read_dir(spool.folder()).expect("readable").count(), 1);
    }
}
