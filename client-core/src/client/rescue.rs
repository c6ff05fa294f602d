//! Rescue: reads everything readable of a damaged store into a file, and moves such a store aside so that the device
//! can be enrolled again.
//!
//! The file is NDJSON: one JSON object a line, whose `is` names its type. docs/INTEGRATE.md lists the types.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use xundian_protocol::ids::ContentHash;

use super::{PHOTOS_FOLDER, STORE_FOLDER};
use crate::json::{op_record, record_json};
use crate::photos::{PhotoFileError, PhotoFolder};
use crate::sealing::{Cover, StoreKey};
use crate::store::{self, Copied, PictureState, Rescued, StoreError};

/// The identity files, which are useless without the identity in the store.
const IDENTITY_FILES: [&str; 4] = ["device.key", "device.csr", "device.crt", "authority.crt"];

/// The result of a rescue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RescueReport {
    /// Unsent ops.
    pub unsent: u64,
    /// Rejected ops.
    pub rejected: u64,
    /// Acknowledged saves and confirmed records.
    pub confirmed: u64,
    /// Pictures that the server does not have, as far as the store knows; their files are in the folder beside the
    /// file.
    pub pictures: u64,
    /// Items whose bytes are there but cannot be decoded; the file holds them raw.
    pub unreadable: u64,
    /// The known losses, in words for people. Further records may be missing; the server has those (docs/adr/0002).
    pub losses: Vec<String>,
}

/// Why nothing, or not everything, was rescued. The store is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// There is no store.
    #[error("{} holds no device: name the folder that the app opens", folder.display())]
    NoStore {
        /// The given folder.
        folder: PathBuf,
    },
    /// The store is in use, or the key does not fit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {} ({source}): check the path, its permissions and the room on its disk; the store is as it was", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> RescueError + 'a {
    move |source| RescueError::File { action, path: path.to_owned(), source }
}

/// Reads everything readable of a device's store into a new file, one item a line, and the pictures that the server
/// does not have into a folder beside it, with the same name and `.photos`. Nothing is written into the device's
/// folder: a copy of the store is made beside the file and removed at the end. It takes the time to read the store
/// once or twice and the pictures once, and memory for the journal, a small cache, the record ids and one picture.
///
/// # Errors
/// Returns an error if the store is in use, the key does not fit, the file or the folder already exists, or the disk
/// is full.
pub fn rescue(home: &Path, key: Option<&StoreKey>, into_file: &Path) -> Result<RescueReport, RescueError> {
    let folder = home.join(STORE_FOLDER);
    if !folder.is_dir() {
        return Err(RescueError::NoStore { folder: home.to_owned() });
    }
    let _held = store::hold(&folder)?;
    let cover = store::check(&folder, key)?;
    let file = File::create_new(into_file).map_err(failed("make", into_file))?;
    let mut copy_path = into_file.as_os_str().to_owned();
    copy_path.push(format!(".copy-{}", now_ms()));
    let copy_path = PathBuf::from(copy_path);
    let mut rescue = Rescue::new(home, cover, file, into_file);
    let copy = Copied::of(&folder, copy_path.clone()).map_err(failed("copy the store into", &copy_path));
    let written = copy.and_then(|copy| rescue.write(&copy));
    if written.is_err() {
        rescue.remove();
    }
    written.map(|()| rescue.report)
}

/// A rescue in progress.
struct Rescue<'a> {
    cover: Cover,
    photos: PhotoFolder,
    into_file: &'a Path,
    lines: BufWriter<File>,
    into_folder: PathBuf,
    has_folder: bool,
    report: RescueReport,
}

impl<'a> Rescue<'a> {
    fn new(home: &Path, cover: Cover, file: File, into_file: &'a Path) -> Self {
        let photos = PhotoFolder::new(home.join(PHOTOS_FOLDER), cover.clone());
        let mut into_folder = into_file.as_os_str().to_owned();
        into_folder.push(".photos");
        Self {
            cover,
            photos,
            into_file,
            lines: BufWriter::new(file),
            into_folder: into_folder.into(),
            has_folder: false,
            report: RescueReport::default(),
        }
    }

    fn write(&mut self, copy: &Copied) -> Result<(), RescueError> {
        let (mut unsent, mut stored) = (BTreeSet::new(), BTreeSet::new());
        let losses = copy.each(self.cover.clone(), |item, is_proved| {
            self.report.count(&item);
            match item {
                Rescued::Picture { hash, state: PictureState::Stored } if is_proved => {
                    stored.insert(hash);
                }
                // The lost entry may be the one that shows that a loose picture is unsent.
                Rescued::Picture { state: PictureState::Loose | PictureState::Stored, .. } => {}
                Rescued::Picture { hash, .. } => _ = unsent.insert(hash),
                item => self.write_item(&item, is_proved)?,
            }
            Ok::<_, RescueError>(())
        })?;
        self.report.losses = losses.into_texts();
        self.write_pictures(&unsent, &stored)?;
        let into_file = self.into_file;
        let written = self.lines.flush().and_then(|()| self.lines.get_ref().sync_all());
        written.map_err(failed("write", into_file))
    }

    fn write_item(&mut self, item: &Rescued, is_proved: bool) -> Result<(), RescueError> {
        let Some(mut line) = line(item) else { return Ok(()) };
        if !is_proved {
            line["unproved"] = json!(true);
        }
        writeln!(self.lines, "{line}").map_err(failed("write", self.into_file))
    }

    /// Writes the pictures that the server is not known to have. A file without a row is among them: its row may have
    /// been lost.
    fn write_pictures(
        &mut self,
        unsent: &BTreeSet<ContentHash>,
        stored: &BTreeSet<ContentHash>,
    ) -> Result<(), RescueError> {
        let (there, unread) = self.photos.list();
        self.report.losses.extend(unread.iter().map(ToString::to_string));
        let gone = unsent.iter().filter(|hash| there.iter().all(|(found, _)| found != *hash));
        let gone = gone.map(|hash| format!("the file of picture {hash}, which was not sent, is gone"));
        self.report.losses.extend(gone);
        for (hash, bytes) in there.into_iter().filter(|(hash, _)| !stored.contains(hash)) {
            match self.photos.open(hash, bytes).and_then(|picture| picture.read_whole()) {
                Ok(picture) => self.write_picture(hash, &picture)?,
                Err(PhotoFileError::Io { source, .. }) => {
                    self.report.losses.push(format!("picture {hash} cannot be read: {source}"));
                }
                Err(_) => self.report.losses.push(format!("picture {hash} is damaged")),
            }
        }
        Ok(())
    }

    fn write_picture(&mut self, hash: ContentHash, picture: &[u8]) -> Result<(), RescueError> {
        if !self.has_folder {
            fs::create_dir(&self.into_folder).map_err(failed("make", &self.into_folder))?;
            self.has_folder = true;
        }
        let path = self.into_folder.join(hash.to_string());
        let attempt = || {
            let mut file = File::create_new(&path)?;
            file.write_all(picture)?;
            file.sync_all()
        };
        attempt().map_err(failed("write", &path))?;
        self.report.pictures += 1;
        let line = json!({ "is": "picture", "hash": hash.to_string(), "bytes": picture.len(), "file": path });
        writeln!(self.lines, "{line}").map_err(failed("write", self.into_file))
    }

    /// A partial file could be mistaken for a complete one. If it cannot be removed, the error says that it is
    /// incomplete.
    fn remove(&self) {
        let _ = fs::remove_file(self.into_file);
        if self.has_folder {
            let _ = fs::remove_dir_all(&self.into_folder);
        }
    }
}

/// Moves a device's store and identity aside: they are renamed, never deleted, and the folder is like that of a new
/// device. Returns the new folder. Rescue the store first.
///
/// # Errors
/// Returns an error if the store is in use, or the folder cannot be written.
pub fn set_aside(home: &Path) -> Result<PathBuf, RescueError> {
    let folder = home.join(STORE_FOLDER);
    if !folder.is_dir() {
        return Err(RescueError::NoStore { folder: home.to_owned() });
    }
    let _held = store::hold(&folder)?;
    let names = || IDENTITY_FILES.into_iter().chain([PHOTOS_FOLDER, STORE_FOLDER]);
    let aside = match broken_off(home, names()) {
        Some(aside) => aside,
        None => {
            let aside = home.join(format!("set-aside-{}", now_ms()));
            fs::create_dir(&aside).map_err(failed("make", &aside))?;
            aside
        }
    };
    // The store is moved last: a repeated call continues after an interruption.
    for name in names() {
        match fs::rename(home.join(name), aside.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(failed("move into", &aside))?,
        }
    }
    #[cfg(unix)]
    for changed in [&aside, home] {
        File::open(changed).and_then(|folder| folder.sync_all()).map_err(failed("write", changed))?;
    }
    Ok(aside)
}

/// The folder of an interrupted call, which holds some files but not the store.
fn broken_off(home: &Path, names: impl Iterator<Item = &'static str> + Clone) -> Option<PathBuf> {
    let entries = fs::read_dir(home).ok()?.flatten();
    let asides = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("set-aside-"));
    let has_room = |aside: &PathBuf| {
        !aside.join(STORE_FOLDER).exists()
            && names.clone().all(|name| !aside.join(name).exists() || !home.join(name).exists())
    };
    asides.map(|entry| entry.path()).find(has_room)
}

impl RescueReport {
    fn count(&mut self, item: &Rescued) {
        match item {
            Rescued::Save { is_settled: false, .. } => self.unsent += 1,
            Rescued::Rejected { .. } => self.rejected += 1,
            Rescued::Save { is_settled: true, .. } | Rescued::Record(_) => self.confirmed += 1,
            Rescued::Unreadable { .. } => self.unreadable += 1,
            Rescued::Device(_) | Rescued::OpenVisit(_) | Rescued::Picture { .. } => {}
        }
    }
}

/// The line of an item; `None` for what is written with its file.
fn line(item: &Rescued) -> Option<Json> {
    Some(match item {
        Rescued::Device(identity) => json!({
            "is": "device",
            "device": identity.device.0,
            "person": identity.person.to_string(),
            "person_name": identity.person_name,
            "server": identity.server,
        }),
        Rescued::Save { op, bytes, is_settled, is_sent } => {
            let mut line = record_json(&op_record(op));
            line.insert("is".into(), json!(if *is_settled { "settled" } else { "unsent" }));
            line.insert("seq".into(), json!(op.seq.0));
            line.insert("saved_at_ms".into(), json!(op.stamp.hlc.unix_ms()));
            line.insert("was_sent".into(), json!(is_sent));
            line.insert("stored".into(), json!(hex(bytes)));
            Json::Object(line)
        }
        Rescued::Rejected { rejected, bytes } => {
            let mut line = record_json(&op_record(&rejected.op));
            line.insert("is".into(), json!("rejected"));
            line.insert("rejected_id".into(), json!(rejected.id.to_string()));
            line.insert("why".into(), json!(format!("{:?}", rejected.why)));
            line.insert("message".into(), json!(rejected.message));
            line.insert("stored".into(), json!(hex(bytes)));
            Json::Object(line)
        }
        Rescued::Record(record) => {
            let mut line = record_json(record);
            line.insert("is".into(), json!("record"));
            Json::Object(line)
        }
        Rescued::Picture { .. } => return None,
        Rescued::OpenVisit(visit) => json!({ "is": "open_visit", "visit": visit.to_string() }),
        Rescued::Unreadable { key, value } => {
            json!({ "is": "unreadable", "key": hex(key), "value": hex(value) })
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a `String` never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The time, which makes names unique.
fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
