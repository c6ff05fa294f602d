//! Verifies what a device must still have after a power cut or a kill, from its messages in the trace.
//!
//! This module does not know how the work is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use xundian_client::{Client, Issue, Photo, RecordError, RecordId, SaveState};
use xundian_protocol::kinds::{Entity, Outlet};

use super::super::trace::Event;
use super::{Line, OWN, PULLED, Word, issue, line_of, open};
use crate::support::company;

/// The messages of a trace, with their positions.
#[derive(Debug)]
pub struct Words(Vec<(usize, Word)>);

/// Counts how often the journal was folded into sled's tree: a new entry then overwrites the first one in the file.
pub fn folds(trace: &[Event]) -> usize {
    let mut journal = None;
    let mut newest = 0;
    let mut folds = 0;
    for event in trace {
        match event {
            Event::Made { path, node } if path == "store/journal.new" => journal = Some(*node),
            Event::Wrote { node, at, bytes } if Some(*node) == journal => {
                let Some(number) = bytes.get(8..16).and_then(|number| number.try_into().ok()) else {
                    continue;
                };
                let number = u64::from_be_bytes(number);
                if *at == 0 && number > newest {
                    folds += 1;
                }
                // Only entries that are written one at a time begin where a write begins.
                let is_entry =
                    bytes.len() == 16 + bytes.first_chunk().map_or(0, |n| u32::from_be_bytes(*n) as usize);
                newest = if is_entry { number } else { newest };
            }
            _ => {}
        }
    }
    folds
}

/// A record, by kind and id.
type Key = (u16, String);

/// What must be there at a point of a trace.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Whether the content of the folder at the start of the trace is known.
    is_open: bool,
    /// Whether the device was killed, so that the content of its last save is unknown.
    was_killed: bool,
    is_enrolled: bool,
    /// The acknowledged records.
    standing: BTreeMap<Key, String>,
    /// The next save, which may or may not be on the disk, but never in part.
    saving: Vec<Line>,
    /// The records that a sync may just be pulling.
    coming: BTreeMap<Key, String>,
    /// Records saved since the last sync ended, of which the server cannot know.
    unsent: BTreeSet<Key>,
    is_syncing: bool,
    /// Whether a sync began since the last message of a save, so that it may have sent the next save already: the
    /// message of a save is written a moment after the save has returned.
    may_be_sent: bool,
}

impl Line {
    fn key(&self) -> Key {
        (self.kind, self.id.clone())
    }

    fn entry(&self) -> (Key, String) {
        (self.key(), self.digest.clone())
    }
}

impl Words {
    /// Reads the messages of a trace.
    ///
    /// # Errors
    /// Returns an error if one of them cannot be decoded.
    pub fn of(trace: &[Event]) -> Result<Self, serde_json::Error> {
        let said = trace.iter().enumerate().filter_map(|(nth, event)| match event {
            Event::Said(words) => Some(serde_json::from_slice(words).map(|word| (nth, word))),
            _ => None,
        });
        Ok(Self(said.collect::<Result<_, _>>()?))
    }

    /// Returns the number of acknowledged saves.
    pub fn saves(&self) -> usize {
        self.0.iter().filter(|(_, word)| matches!(word, Word::Saved(_))).count()
    }

    /// Reads the messages that an unrecorded device printed before it was killed.
    ///
    /// # Errors
    /// Returns an error if a line cannot be decoded.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, serde_json::Error> {
        let words = lines.into_iter().enumerate().map(|(nth, line)| Ok((nth, serde_json::from_str(line)?)));
        Ok(Self(words.collect::<Result<_, serde_json::Error>>()?))
    }

    /// Returns what must be there after a kill, given all messages.
    pub fn expected_after_kill(&self) -> Expected {
        Expected { was_killed: true, ..self.expected_at(usize::MAX) }
    }

    /// Returns what must be there after the first `after` events.
    pub fn expected_at(&self, after: usize) -> Expected {
        self.expected_from(Expected { is_open: true, ..Expected::default() }, after)
    }

    /// Continues from `expected`, which describes the folder at the start of this trace.
    pub fn expected_from(&self, mut expected: Expected, after: usize) -> Expected {
        let (before, later) = self.0.split_at(self.0.partition_point(|(nth, _)| *nth < after));
        before.iter().for_each(|(_, word)| expected.hear(word));
        if !expected.is_open {
            // Whatever the last trace left in progress was not examined yet.
            return expected;
        }
        expected.saving = later.iter().find_map(|(_, word)| word.saved()).unwrap_or_default().to_vec();
        let coming = later.iter().find_map(|(_, word)| match word {
            Word::Pulled(lines) | Word::Found(lines) => Some(lines),
            _ => None,
        });
        expected.coming = coming.into_iter().flatten().map(Line::entry).collect();
        expected
    }
}

impl Word {
    fn saved(&self) -> Option<&[Line]> {
        if let Self::Saved(lines) = self { Some(lines) } else { None }
    }
}

/// Opens the device in a folder as an app does, and compares it with what must be there. Then one more save must
/// succeed, and be there when the device is opened again.
///
/// # Errors
/// Returns a description of the first difference.
pub fn check(home: &Path, is_sealed: bool, expected: &Expected) -> Result<(), String> {
    let client = open(home, is_sealed).map_err(|error| format!("it does not open: {error}"))?;
    if client.identity().is_none() {
        return if expected.is_enrolled { Err("its enrolment is lost".into()) } else { Ok(()) };
    }
    expected.compare(&client)?;
    compare_pictures(&client, home)?;
    let can_save = expected.standing.keys().any(|(kind, _)| *kind == Outlet::SPEC.kind.0);
    if !can_save {
        return Ok(());
    }
    let saved = go_on(&client).map_err(|error| format!("it cannot save: {error}"))?;
    drop(client);
    let client = open(home, is_sealed).map_err(|error| format!("it does not open again: {error}"))?;
    let found = client.find(Issue::key(saved)).map_err(|error| error.to_string())?;
    if found.is_none() { Err("what was saved after the power cut is lost".into()) } else { Ok(()) }
}

fn go_on(client: &Client) -> Result<RecordId, RecordError> {
    client.raise_issue(company::outlet("A1"), None, &issue("停电之后".into()))
}

impl Expected {
    /// Returns the expectation for a device that was reopened but not examined yet, as at the start of another trace.
    pub fn reopened(&self) -> Self {
        Self { is_open: false, is_syncing: false, ..self.clone() }
    }

    fn hear(&mut self, word: &Word) {
        match word {
            Word::Enrolled => self.is_enrolled = true,
            Word::SyncBegins => {
                (self.is_syncing, self.may_be_sent) = (true, true);
                self.unsent.clear();
            }
            Word::Saved(lines) => {
                // A sync also sends what is saved while it runs.
                if !self.is_syncing && !self.may_be_sent {
                    self.unsent.extend(lines.iter().map(Line::key));
                }
                self.may_be_sent = self.is_syncing;
                self.standing.extend(lines.iter().map(Line::entry));
            }
            Word::Pulled(lines) => {
                self.is_syncing = false;
                self.standing.extend(lines.iter().map(Line::entry));
            }
            Word::Found(lines) => {
                self.is_open = true;
                self.standing.extend(lines.iter().map(Line::entry));
            }
        }
    }

    fn compare(&self, client: &Client) -> Result<(), String> {
        let mut found = BTreeMap::new();
        for kind in OWN.iter().chain(&PULLED) {
            let lines = client.list(*kind, None).map_err(|error| format!("it cannot be read: {error}"))?;
            for line in lines {
                let Line { kind, id, digest } = line_of(&line.record);
                found.insert((kind, id), (digest, line.state));
            }
        }
        let saving: BTreeMap<Key, &String> =
            self.saving.iter().map(|line| (line.key(), &line.digest)).collect();
        let mut untold = 0;
        for (key, digest) in &self.standing {
            let Some((held, state)) = found.get(key) else {
                return Err(format!("{key:?} was acknowledged and is gone"));
            };
            let is_accepted =
                held == digest || saving.get(key) == Some(&held) || self.coming.get(key) == Some(held);
            if !is_accepted {
                untold += 1;
                if !self.was_killed {
                    return Err(format!("{key:?} was acknowledged and has other content"));
                }
            }
            if self.unsent.contains(key) && matches!(state, SaveState::Confirmed | SaveState::Rejected(_)) {
                return Err(format!("{key:?} was never sent and is {state:?}"));
            }
        }
        for (key, (held, _)) in &found {
            let is_known = self.standing.contains_key(key)
                || saving.get(key) == Some(&held)
                || self.coming.get(key) == Some(held);
            if !is_known {
                untold += 1;
                if !self.was_killed {
                    return Err(format!("{key:?} was never saved, or not with this content"));
                }
            }
        }
        // A save writes one record, or the three of a visit.
        if ![0, 1, 3].contains(&untold) {
            return Err(format!("{untold} records differ from what was acknowledged"));
        }
        let has_come = |line: &&Line| found.get(&line.key()).is_some_and(|(held, _)| *held == line.digest);
        let come = self.saving.iter().filter(has_come).count();
        if come != 0 && come != self.saving.len() {
            return Err(format!("only {come} of a save's {} records are there", self.saving.len()));
        }
        Ok(())
    }
}

/// Checks that every photo has its whole picture, and that no file is left over.
fn compare_pictures(client: &Client, home: &Path) -> Result<(), String> {
    let mut named = BTreeSet::new();
    for line in client.list(Photo::SPEC.kind, None).map_err(|error| error.to_string())? {
        let hash = Photo::read(&line.record).content_hash.ok_or("a photo names no picture")?;
        client.photo_bytes(hash).map_err(|error| format!("a photo's picture is lost: {error}"))?;
        named.insert(hash.to_string());
    }
    let entries = match std::fs::read_dir(home.join("photos")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| error.to_string())?,
    };
    for entry in entries {
        let name =
            entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().replace(".sealed", "");
        if !named.contains(&name) {
            return Err(format!("the file {name} is left over in photos"));
        }
    }
    Ok(())
}
