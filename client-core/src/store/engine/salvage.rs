//! Salvage: reads what can be read of a store that does not open, or is damaged. It works on a copy of the folder,
//! because sled writes while it opens; it knows no record.
//!
//! The journal is read by itself ([`super::torn`]), and the tree if sled opens the copy. The value of a key is that of
//! the latest readable commit. What could not be read is noted in words, and so is every loss that can be known.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::journal::{self, Journal};
use super::layout::{
    Fault, Writes, caller_key, data_end, data_key, folded_commits, noted_entries, read_value,
};
use super::opening::{acknowledged_commits, from_key_fault, open_sled, take_lock};
use super::torn::{self, Torn};
use super::{EngineError, Entry, from_fault, key_file};
use crate::sealing::{Cover, StoreKey};

/// The most bytes read of a journal. It has 4 MiB unless one commit was longer.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most unreadable places of the tree that are skipped.
const HOLES_MAX: usize = 1000;
/// The most losses that are listed one by one.
const LOSSES_LISTED_MAX: usize = 100;

/// What could not be read, in words for people.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    told: Vec<String>,
    untold: u64,
}

impl Losses {
    /// Notes one loss.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        if self.told.len() < LOSSES_LISTED_MAX {
            self.told.push(what.into());
        } else {
            self.untold += 1;
        }
    }

    /// Notes what is missing of a tree that had this many entries. If sled skipped a part of its log, nothing else
    /// reveals it.
    fn count(&mut self, tree: &sled::Db, found: u64) {
        match quietly(|| Ok((folded_commits(tree)?, noted_entries(tree)?))) {
            Ok((_, Some(noted))) if noted > found => {
                self.note(format!("of {noted} entries of the tree {found} came out"));
            }
            Ok((_, Some(noted))) if noted < found => {
                self.note(format!("{} entries of the tree came out that had been removed", found - noted));
            }
            Ok((_, Some(_))) => {}
            Ok((0, None)) if found == 0 => {}
            Ok((_, None)) | Err(_) => {
                self.note("nothing tells how many entries the tree had: some of them may be missing")
            }
        }
    }

    /// All losses; the last line counts those that are not listed.
    pub(crate) fn into_texts(mut self) -> Vec<String> {
        if self.untold > 0 {
            self.told.push(format!("and {} more", self.untold));
        }
        self.told
    }
}

/// Locks a store. The lock file is made with the store and never removed.
pub(crate) fn hold(folder: &Path) -> Result<Option<fs::File>, EngineError> {
    match folder.join("lock").exists() {
        true => take_lock(folder).map(Some),
        false => Ok(None),
    }
}

/// How the bytes of a store that is to be rescued were written. Only reads.
pub(crate) fn cover_of(folder: &Path, key: Option<&StoreKey>) -> Result<Cover, EngineError> {
    let io_error = |source| EngineError::Io { folder: folder.to_owned(), source };
    let has_key_file = key_file::is_in(folder).map_err(io_error)?;
    let is_sealed = has_key_file || Journal::is_in(folder, true);
    match key {
        None if is_sealed => Err(EngineError::NeedsKey { folder: folder.to_owned() }),
        None => Ok(Cover::Plain),
        Some(_) if !is_sealed => Err(EngineError::NotSealed { folder: folder.to_owned() }),
        Some(_) if !has_key_file => Err(EngineError::Damaged {
            folder: folder.to_owned(),
            detail: "it is sealed and the file key is missing, without which nothing of it can be read"
                .into(),
        }),
        Some(key) => {
            let data = key_file::read(folder, key).map_err(|fault| from_key_fault(folder, fault))?;
            Ok(Cover::Sealed(Arc::new(data)))
        }
    }
}

/// A copy of a damaged store, open for reading.
pub(crate) struct Salvage {
    cover: Cover,
    tree: Option<sled::Db>,
    /// What the journal holds beyond the tree.
    newer: Writes,
    /// Entries left over in the journal, for keys that a damaged tree lacks.
    older: Writes,
    /// Keys whose value in the journal cannot be proved to be what was written.
    unproved: BTreeSet<Vec<u8>>,
    losses: Losses,
}

impl Salvage {
    /// Opens a copy as far as possible.
    ///
    /// # Errors
    ///
    /// Returns an error if the copy's files cannot be read at all.
    pub(crate) fn open(copy: &Path, cover: Cover) -> Result<Self, EngineError> {
        let io_error = |source| EngineError::Io { folder: copy.to_owned(), source };
        let mut losses = Losses::default();
        let bytes = read_journal(copy, cover.is_sealed(), &mut losses).map_err(io_error)?;
        let tree = open_tree(copy, &mut losses);
        let folded = tree.as_ref().and_then(|tree| quietly(|| folded_commits(tree)).ok());
        let torn = torn::read(&bytes, &cover);
        let mut salvage = Self {
            cover,
            tree,
            newer: Writes::new(),
            older: Writes::new(),
            unproved: BTreeSet::new(),
            losses,
        };
        salvage.overlay_journal(torn, folded, acknowledged_commits(copy));
        Ok(salvage)
    }

    /// Lays the journal over the tree, and notes missing commits.
    fn overlay_journal(&mut self, torn: Torn, folded: Option<u64>, acknowledged: u64) {
        let first = torn.commits.first_key_value().map(|(number, _)| *number);
        let tree_has = folded.unwrap_or(0);
        if let Some(first) = first.filter(|first| *first > tree_has) {
            self.losses.note(format!("the tree lacks what commits {tree_has} to {} changed", first - 1));
        }
        // The tree contains its commits, unless the tree itself is damaged.
        let is_tree_whole = folded.is_some() && first.is_none_or(|first| first <= tree_has);
        let end = torn.commits.last_key_value().map_or(0, |(number, _)| number + 1).max(tree_has);
        for number in torn.lost.iter().filter(|number| **number >= tree_has || !is_tree_whole) {
            self.losses.note(format!("commit {number} of the journal is damaged"));
        }
        for number in torn.unproved.iter().filter(|number| **number >= tree_has || !is_tree_whole) {
            self.losses
                .note(format!("commit {number} of the journal is readable, and nothing proves it unchanged"));
        }
        if end < acknowledged {
            self.losses.note(format!("commits {end} to {} are missing at the end", acknowledged - 1));
        }
        for (number, writes) in torn.leftovers.into_iter().chain(torn.commits) {
            let is_meant = number >= tree_has || !is_tree_whole;
            for key in writes.keys().filter(|_| is_meant) {
                match torn.unproved.contains(&number) {
                    true => self.unproved.insert(key.clone()),
                    false => self.unproved.remove(key),
                };
            }
            if number >= tree_has {
                self.newer.extend(writes);
            } else if !is_tree_whole {
                self.older.extend(writes);
            }
        }
    }

    /// The value of a key, as far as it can be read.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(value) = self.newer.get(key) {
            return value.clone();
        }
        let stored = self.tree.as_ref().and_then(|tree| {
            let found = quietly(|| Ok(tree.get(data_key(key))?)).ok().flatten()?;
            quietly(|| read_value(tree, &self.cover, key, &found)).ok()
        });
        stored.or_else(|| self.older.get(key).cloned().flatten())
    }

    /// Passes every entry to `visit`, with whether it is proved to be what was written: first the journal, then the
    /// tree. Returns the losses. Memory is bounded by the journal and sled's cache.
    ///
    /// # Errors
    ///
    /// Returns the error of `visit`.
    pub(crate) fn each<E>(
        mut self,
        mut visit: impl FnMut(Entry, bool) -> Result<(), E>,
    ) -> Result<Losses, E> {
        for (key, value) in &self.newer {
            if let Some(value) = value {
                visit((key.clone(), value.clone()), !self.unproved.contains(key))?;
            }
        }
        let mut older = std::mem::take(&mut self.older);
        older.retain(|key, _| !self.newer.contains_key(key));
        if let Some(tree) = self.tree.take() {
            let mut walk = Walk { tree: &tree, next: vec![], holes: 0 };
            let mut entries = 0;
            while let Some((key, stored)) = walk.step(&mut self.losses) {
                entries += 1;
                older.remove(&key);
                if self.newer.contains_key(&key) {
                    continue;
                }
                match quietly(|| read_value(&tree, &self.cover, &key, &stored)) {
                    Ok(value) => visit((key, value), true)?,
                    Err(why) => self.losses.note(format!("a value of the tree cannot be read ({why})")),
                }
            }
            self.losses.count(&tree, entries);
        }
        for (key, value) in older {
            if let Some(value) = value {
                let is_proved = !self.unproved.contains(&key);
                visit((key, value), is_proved)?;
            }
        }
        Ok(self.losses)
    }
}

fn read_journal(copy: &Path, is_sealed: bool, losses: &mut Losses) -> io::Result<Vec<u8>> {
    let name = journal::name(is_sealed);
    let mut bytes = Vec::new();
    match fs::File::open(copy.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            losses.note(format!("the file {name} is missing, and with it the latest commits"));
        }
        Err(error) => return Err(error),
        Ok(file) => {
            let all_bytes = file.metadata()?.len();
            file.take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes)?;
            if all_bytes > JOURNAL_BYTES_MAX {
                losses.note(format!(
                    "of the {all_bytes} bytes of the file {name} the first {JOURNAL_BYTES_MAX} were read"
                ));
            }
        }
    }
    Ok(bytes)
}

/// Opens sled on the copy: first as it is, then without its snapshots, from which it would otherwise start.
fn open_tree(copy: &Path, losses: &mut Losses) -> Option<sled::Db> {
    if fs::metadata(copy.join("db")).map_or(0, |log| log.len()) == 0 {
        losses.note("the file db is missing or empty, and with it all but the latest commits");
        return None;
    }
    let refused = match open_sled(copy) {
        Ok(tree) => return Some(tree),
        Err(error) => error,
    };
    for entry in fs::read_dir(copy).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("snap.") && fs::remove_file(entry.path()).is_err()
        {
            return None;
        }
    }
    match open_sled(copy) {
        Ok(tree) => {
            losses.note("sled's snapshot is damaged; the log was read from its beginning");
            Some(tree)
        }
        Err(_) => {
            losses.note(format!("sled cannot open its files ({})", detail(&refused)));
            None
        }
    }
}

fn detail(error: &EngineError) -> String {
    match error {
        EngineError::Damaged { detail, .. } => detail.clone(),
        error => error.to_string(),
    }
}

/// Walks the tree's entries in the order of keys, and around what cannot be read.
struct Walk<'a> {
    tree: &'a sled::Db,
    /// The least key that is still to be read.
    next: Vec<u8>,
    holes: usize,
}

impl Walk<'_> {
    fn step(&mut self, losses: &mut Losses) -> Option<(Vec<u8>, sled::IVec)> {
        let mut from = if self.next.is_empty() { data_key(&[]) } else { self.next.clone() };
        loop {
            match quietly(|| Ok(self.tree.range(from.clone()..data_end()).next().transpose()?)) {
                Ok(None) => return None,
                Ok(Some((key, stored))) => {
                    // The least key after this one is the key followed by a zero byte.
                    self.next = [&key[..], &[0]].concat();
                    return Some((caller_key(&key), stored));
                }
                Err(why) => {
                    self.holes += 1;
                    if self.holes > HOLES_MAX {
                        losses.note("too much of the tree is damaged; the rest was left unread");
                        return None;
                    }
                    losses.note(format!("a part of the tree cannot be read ({why})"));
                    from = jump_over(&from)?;
                }
            }
        }
    }
}

/// A key after all keys that share all but the last byte with this one. Each further jump goes further.
fn jump_over(key: &[u8]) -> Option<Vec<u8>> {
    let mut key = key.to_vec();
    // The least key after one ends in a zero byte, which says nothing about where the page ends.
    key.pop();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return (key.as_slice() < data_end().as_slice()).then_some(key);
        }
    }
    None
}

/// Reads something that may panic on damage; returns why if it cannot be read.
fn quietly<T>(read: impl FnOnce() -> Result<T, Fault>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(detail(&from_fault(Path::new(""), fault))),
        Err(_) => Err("sled panicked".into()),
    }
}
