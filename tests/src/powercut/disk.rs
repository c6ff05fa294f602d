//! Simulates what a disk holds after a power cut: a model of a folder, fed with the events of a trace.
//!
//! For each file and folder the model knows what a sync has made durable, and the changes since. A cut keeps what is
//! durable, and chooses from the rest as POSIX allows. Each write to a file is kept, dropped or torn independently. Of
//! the name changes in a folder, a prefix is kept. Syncing a file makes no name durable. A rename from one folder to
//! another is lost or kept in both.
//!
//! The model does not interpret the bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;

use super::trace::Event;

/// The unit of a write that a disk keeps or loses as a whole.
const SECTOR_BYTES: usize = 512;
/// Runs of zeros of this size are not written out but left as a hole.
const HOLE_BYTES: usize = 64 * 1024;

/// A trace that is inconsistent, because the recorder missed a change.
#[derive(Debug, thiserror::Error)]
#[error("event {event} does not fit what was recorded before it: {what}")]
pub struct Misfit {
    /// Its index in the trace.
    pub event: usize,
    /// What is wrong.
    pub what: String,
}

/// What happens to changes that were not synced.
#[derive(Debug)]
pub enum Luck {
    /// All of it is lost.
    Dropped,
    /// All of them are kept, as after a kill.
    Kept,
    /// Each change is kept, dropped or torn at random.
    Random(Box<StdRng>),
}

/// The content of a file: `bytes`, followed by zeros up to `length`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    length: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLength(u64),
}

#[derive(Clone, Debug, Default)]
struct Node {
    durable: Content,
    /// The changes since the last sync.
    pending: Vec<Change>,
}

/// What a name refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    File(usize),
    Folder(usize),
}

/// A change of names in one folder: each name now refers to an entry, or to none. A rename within a folder changes two
/// names in one step. A rename between folders is one step in each of them, both with the same number.
#[derive(Clone, Debug)]
struct Step {
    number: u64,
    names: Vec<(String, Option<Entry>)>,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    now: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    pending: Vec<Step>,
}

/// The model of the recorded folder.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    by_number: HashMap<u64, usize>,
    /// The first one is the recorded folder itself.
    folders: Vec<Folder>,
    steps: u64,
    events: usize,
}

/// A folder as a power cut left it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    folders: Vec<String>,
    files: BTreeMap<String, Content>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            by_number: HashMap::new(),
            folders: vec![Folder::default()],
            steps: 0,
            events: 0,
        }
    }
}

impl Disk {
    /// Applies the next event of the trace.
    ///
    /// # Errors
    /// Returns an error if the event does not fit the state of the model.
    pub fn apply(&mut self, event: &Event) -> Result<(), Misfit> {
        self.change(event)
            .map_err(|what| Misfit { event: self.events, what: format!("{what}: {}", short(event)) })?;
        self.events += 1;
        Ok(())
    }

    fn change(&mut self, event: &Event) -> Result<(), &'static str> {
        match event {
            Event::Made { path, node } => {
                self.nodes.push(Node::default());
                self.by_number.insert(*node, self.nodes.len() - 1);
                self.name(path, Entry::File(self.nodes.len() - 1))
            }
            Event::MadeFolder { path } => {
                self.folders.push(Folder::default());
                self.name(path, Entry::Folder(self.folders.len() - 1))
            }
            Event::Wrote { node, at, bytes } => {
                let at = usize::try_from(*at).map_err(|_| "a place beyond memory")?;
                self.pend(*node, Change::Write { at, bytes: bytes.clone() })
            }
            Event::SetLength { node, length } => self.pend(*node, Change::SetLength(*length)),
            Event::Renamed { from, to } => self.rename(from, to),
            Event::Linked { from, to } => {
                let entry = self.find(from).ok_or("no such name")?;
                self.name(to, entry)
            }
            Event::Removed { path } | Event::RemovedFolder { path } => self.unname(path),
            Event::Synced { node, .. } => {
                let node = *self.by_number.get(node).ok_or("no such file")?;
                self.nodes[node].sync();
                Ok(())
            }
            Event::SyncedFolder { path } => {
                let folder = self.folder(path).ok_or("no such folder")?;
                self.sync_folder(folder, u64::MAX);
                Ok(())
            }
            Event::SyncedAll => {
                self.nodes.iter_mut().for_each(Node::sync);
                (0..self.folders.len()).for_each(|folder| self.sync_folder(folder, u64::MAX));
                Ok(())
            }
            Event::Said(_) => Ok(()),
        }
    }

    fn pend(&mut self, number: u64, change: Change) -> Result<(), &'static str> {
        let node = *self.by_number.get(&number).ok_or("no such file")?;
        self.nodes[node].pending.push(change);
        Ok(())
    }

    fn name(&mut self, path: &str, entry: Entry) -> Result<(), &'static str> {
        let (folder, name) = self.place(path)?;
        self.step(folder, vec![(name, Some(entry))]);
        Ok(())
    }

    fn unname(&mut self, path: &str) -> Result<(), &'static str> {
        self.find(path).ok_or("no such name")?;
        let (folder, name) = self.place(path)?;
        self.step(folder, vec![(name, None)]);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), &'static str> {
        let entry = self.find(from).ok_or("no such name")?;
        let ((old_folder, old_name), (new_folder, new_name)) = (self.place(from)?, self.place(to)?);
        if old_folder == new_folder {
            self.step(old_folder, vec![(old_name, None), (new_name, Some(entry))]);
        } else {
            self.step(old_folder, vec![(old_name, None)]);
            self.steps -= 1;
            self.step(new_folder, vec![(new_name, Some(entry))]);
        }
        Ok(())
    }

    fn step(&mut self, folder: usize, names: Vec<(String, Option<Entry>)>) {
        self.steps += 1;
        let folder = &mut self.folders[folder];
        take_step(&mut folder.now, &names);
        folder.pending.push(Step { number: self.steps, names });
    }

    /// Makes the steps of a folder durable up to a number. If such a step is also in another folder, it and all steps
    /// before it become durable there too.
    fn sync_folder(&mut self, folder: usize, through: u64) {
        let count = self.folders[folder].pending.iter().take_while(|step| step.number <= through).count();
        let steps: Vec<Step> = self.folders[folder].pending.drain(..count).collect();
        for step in steps {
            take_step(&mut self.folders[folder].durable, &step.names);
            let other = (0..self.folders.len())
                .find(|other| self.folders[*other].pending.iter().any(|of| of.number == step.number));
            if let Some(other) = other {
                self.sync_folder(other, step.number);
            }
        }
    }

    fn find(&self, path: &str) -> Option<Entry> {
        let mut entry = Entry::Folder(0);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Entry::Folder(folder) = entry else { return None };
            entry = *self.folders[folder].now.get(name)?;
        }
        Some(entry)
    }

    fn folder(&self, path: &str) -> Option<usize> {
        self.find(path).and_then(|entry| if let Entry::Folder(folder) = entry { Some(folder) } else { None })
    }

    fn place(&self, path: &str) -> Result<(usize, String), &'static str> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.folder(above).ok_or("no such folder")?, name.to_owned()))
    }

    /// Returns what a power cut at this moment leaves.
    pub fn cut(&self, luck: &mut Luck) -> Image {
        let names = self.names_kept(luck);
        // The share of kept writes differs from cut to cut, from nearly all to nearly none.
        let kept_share = if let Luck::Random(rng) = luck { rng.random_range(0.0..=1.0) } else { 0.0 };
        let mut contents: HashMap<usize, Content> = HashMap::new();
        let mut image = Image::default();
        let mut open = vec![(String::new(), 0)];
        while let Some((above, folder)) = open.pop() {
            for (name, entry) in &names[folder] {
                let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
                match entry {
                    Entry::Folder(inner) => {
                        image.folders.push(path.clone());
                        open.push((path, *inner));
                    }
                    Entry::File(node) => {
                        let content =
                            contents.entry(*node).or_insert_with(|| self.nodes[*node].cut(luck, kept_share));
                        image.files.insert(path, content.clone());
                    }
                }
            }
        }
        image.folders.sort();
        image
    }

    /// Returns the names in each folder after the cut.
    fn names_kept(&self, luck: &mut Luck) -> Vec<BTreeMap<String, Entry>> {
        let pending = |folder: &Folder| folder.pending.len();
        let mut kept: Vec<usize> = match luck {
            Luck::Dropped => vec![0; self.folders.len()],
            Luck::Kept => self.folders.iter().map(pending).collect(),
            Luck::Random(rng) => {
                self.folders.iter().map(|folder| rng.random_range(0..=pending(folder))).collect()
            }
        };
        // A rename between two folders is kept in both or in neither.
        while let Some((folder, step)) = self.torn_apart(&kept) {
            kept[folder] = step;
        }
        let names = |(folder, kept): (&Folder, &usize)| {
            let mut names = folder.durable.clone();
            folder.pending[..*kept].iter().for_each(|step| take_step(&mut names, &step.names));
            names
        };
        self.folders.iter().zip(&kept).map(names).collect()
    }

    /// Finds a step that is kept in one of its two folders and lost in the other.
    fn torn_apart(&self, kept: &[usize]) -> Option<(usize, usize)> {
        let lost: Vec<u64> = self
            .folders
            .iter()
            .zip(kept)
            .flat_map(|(folder, kept)| folder.pending[*kept..].iter().map(|step| step.number))
            .collect();
        self.folders.iter().zip(kept).enumerate().find_map(|(nth, (folder, kept))| {
            let step = folder.pending[..*kept].iter().position(|step| lost.contains(&step.number))?;
            Some((nth, step))
        })
    }
}

impl Node {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            self.durable.apply(&change);
        }
    }

    fn cut(&self, luck: &mut Luck, kept_share: f64) -> Content {
        let mut content = self.durable.clone();
        for change in &self.pending {
            match luck {
                Luck::Dropped => {}
                Luck::Kept => content.apply(change),
                Luck::Random(rng) => content.apply_by_luck(change, rng, kept_share),
            }
        }
        content
    }
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { at, bytes } => self.write(*at, bytes),
            Change::SetLength(length) => {
                let length_here = usize::try_from(*length).unwrap_or(usize::MAX);
                self.bytes.truncate(length_here);
                self.length = *length;
            }
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.length = self.length.max(end as u64);
    }

    /// Keeps, drops or tears one change at random.
    fn apply_by_luck(&mut self, change: &Change, rng: &mut StdRng, kept_share: f64) {
        let Change::Write { at, bytes } = change else {
            if rng.random_bool(kept_share) {
                self.apply(change);
            }
            return;
        };
        // A file may have grown on the disk before its new bytes have arrived.
        if rng.random_bool(0.5) {
            self.length = self.length.max((at + bytes.len()) as u64);
        }
        match rng.random_range(0..6) {
            0 => {
                let kept = rng.random_range(0..=bytes.len());
                if kept > 0 {
                    self.write(*at, &bytes[..kept]);
                }
            }
            1 => {
                let mut from = 0;
                while from < bytes.len() {
                    let to = (from + SECTOR_BYTES - (at + from) % SECTOR_BYTES).min(bytes.len());
                    if rng.random_bool(kept_share) {
                        self.write(at + from, &bytes[from..to]);
                    }
                    from = to;
                }
            }
            _ if rng.random_bool(kept_share) => self.write(*at, bytes),
            _ => {}
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let (shorter, longer) =
            if self.bytes.len() < other.bytes.len() { (self, other) } else { (other, self) };
        let (front, rest) = longer.bytes.split_at(shorter.bytes.len());
        self.length == other.length && front == shorter.bytes && rest.iter().all(|byte| *byte == 0)
    }
}

impl Image {
    /// Writes the image into an empty folder.
    ///
    /// # Errors
    /// Returns an error if a file or folder cannot be created.
    pub fn write(&self, into: &Path) -> io::Result<()> {
        for folder in &self.folders {
            fs::create_dir(into.join(folder))?;
        }
        for (path, content) in &self.files {
            let file = File::create(into.join(path))?;
            file.set_len(content.length)?;
            for (nth, piece) in content.bytes.chunks(HOLE_BYTES).enumerate() {
                if piece.iter().any(|byte| *byte != 0) {
                    file.write_all_at(piece, (nth * HOLE_BYTES) as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a folder as an image.
    ///
    /// # Errors
    /// Returns an error if a file or folder cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        let mut open = vec![String::new()];
        while let Some(above) = open.pop() {
            for entry in fs::read_dir(folder.join(&above))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if above.is_empty() { name } else { format!("{above}/{name}") };
                if entry.file_type()?.is_dir() {
                    image.folders.push(path.clone());
                    open.push(path);
                } else if entry.file_type()?.is_file() {
                    let bytes = fs::read(entry.path())?;
                    let length = bytes.len() as u64;
                    image.files.insert(path, Content { bytes, length });
                }
            }
        }
        image.folders.sort();
        Ok(image)
    }

    /// Describes each difference to another image; empty if they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.folders != other.folders {
            found.push(format!("folders {:?} and {:?}", self.folders, other.folders));
        }
        let names = |image: &Self| image.files.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(other) {
            found.push(format!("files {:?} and {:?}", names(self), names(other)));
        }
        for (path, content) in &self.files {
            let Some(others) = other.files.get(path) else { continue };
            if !content.is_same(others) {
                let (length, others_length) = (content.length, others.length);
                found.push(format!("{path}: contents differ, lengths {length} and {others_length}"));
            }
        }
        found
    }
}

fn take_step(names: &mut BTreeMap<String, Entry>, step: &[(String, Option<Entry>)]) {
    for (name, entry) in step {
        match entry {
            Some(entry) => _ = names.insert(name.clone(), *entry),
            None => _ = names.remove(name),
        }
    }
}

/// Formats an event in one line.
pub fn short(event: &Event) -> String {
    match event {
        Event::Wrote { node, at, bytes } => format!("Wrote {} bytes at {at} of {node}", bytes.len()),
        Event::Said(words) => {
            format!("Said {}", String::from_utf8_lossy(words).chars().take(80).collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
