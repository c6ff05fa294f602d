//! What a disk holds after a power cut: a model of a folder that is fed with the events of a trace.
//!
//! Of each file and folder it knows what a sync has made durable, and what was done since. A cut keeps what is
//! durable. Of the rest it chooses, as POSIX allows: each write of a file's bytes is kept, dropped or torn by itself;
//! of what happened to the names in a folder the first so many are kept. Syncing a file makes no name durable. A name
//! that moves from one folder to another is lost or kept in both.
//!
//! Ignores what the bytes mean.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;

use super::trace::Event;

/// A disk keeps or loses such a piece of a write as a whole.
const SECTOR_BYTES: usize = 512;
/// Zeros of so many bytes in a row are not written out: they are a hole.
const HOLE_BYTES: usize = 64 * 1024;

/// A trace that does not fit together: something was done that the recorder did not see.
#[derive(Debug, thiserror::Error)]
#[error("event {event} does not fit what was recorded before it: {what}")]
pub struct Misfit {
    /// Its place in the trace.
    pub event: usize,
    /// What is wrong.
    pub what: String,
}

/// What becomes of that which was not synced.
#[derive(Debug)]
pub enum Luck {
    /// All of it is lost.
    Dropped,
    /// All of it is there: what a kill leaves.
    Kept,
    /// A choice for each.
    Random(Box<StdRng>),
}

/// The bytes of a file; behind those that are given it is zeros up to its length.
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
    /// Since the last sync.
    pending: Vec<Change>,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    File(usize),
    Folder(usize),
}

/// What happened to one name: it stands for something from then on, or for nothing. A renaming within a folder is one
/// step of two of them; one between folders is a step of the same number in both.
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

/// The model.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    by_number: HashMap<u64, usize>,
    /// The first one is the folder of the trace itself, which is there.
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
    /// Takes in what was done next.
    ///
    /// # Errors
    /// Returns an error if it cannot have been done to what is there.
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

    /// Makes the steps of a folder durable up to a number, and with one that is in two folders those of the other.
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

    /// What is there after a power cut at this moment.
    pub fn cut(&self, luck: &mut Luck) -> Image {
        let names = self.names_kept(luck);
        // How much is kept differs from cut to cut: now nearly all, now nearly nothing.
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

    /// The names of each folder.
    fn names_kept(&self, luck: &mut Luck) -> Vec<BTreeMap<String, Entry>> {
        let pending = |folder: &Folder| folder.pending.len();
        let mut kept: Vec<usize> = match luck {
            Luck::Dropped => vec![0; self.folders.len()],
            Luck::Kept => self.folders.iter().map(pending).collect(),
            Luck::Random(rng) => {
                self.folders.iter().map(|folder| rng.random_range(0..=pending(folder))).collect()
            }
        };
        // What is in two folders is kept in both or in none.
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

    /// A step that is kept in one folder and not in the other one that it belongs to as well.
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

    /// Keeps, drops or tears one change.
    fn apply_by_luck(&mut self, change: &Change, rng: &mut StdRng, kept_share: f64) {
        let Change::Write { at, bytes } = change else {
            if rng.random_bool(kept_share) {
                self.apply(change);
            }
            return;
        };
        // A file may have become longer on the disk before its bytes have come there.
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
    /// Writes it into an empty folder.
    ///
    /// # Errors
    /// Returns an error if the system does not let us.
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

    /// Reads a folder.
    ///
    /// # Errors
    /// Returns an error if the system does not let us.
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

    /// Where two folders differ, in a few words; empty where they are the same.
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
                found.push(format!("{path}: other bytes, {length} and {others_length} of them"));
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

/// An event in a line.
pub fn short(event: &Event) -> String {
    match event {
        Event::Wrote { node, at, bytes } => format!("Wrote {} bytes at {at} of {node}", bytes.len()),
        Event::Said(words) => {
            format!("Said {}", String::from_utf8_lossy(words).chars().take(80).collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
