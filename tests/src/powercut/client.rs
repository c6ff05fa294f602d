//! A device's work to be recorded, and what must be left of it after a power cut.
//!
//! Each save is told in the trace once it has returned, with the records that it wrote and a digest of what they
//! then held. While one thread saves, another one syncs, so that receipts, pulled changes and the folding
//! of settled saves lie between the saves' own commits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use xundian_client::{
    Client, ContentHash, Due, Issue, IssueKind, NewIssue, NewPhoto, Photo, PhotoOf, PhotoSource,
    PhotoSubject, RecordError, RecordId, SaveState, Severity, ShelfObservation, StockCount, StoreError,
    StoreKey, Visit, VisitId,
};
use xundian_protocol::ids::KindId;
use xundian_protocol::kinds::{Outlet, Product, Typed};
use xundian_protocol::record::{Record, RecordKey};
use xundian_server::sessions;

use super::trace::Event;
use crate::support::{company, device, photo};

/// Products that a visit looks at.
const LINES: u64 = 4;
/// How long a note is: long ones fill the journal sooner.
const NOTE_BYTES: usize = 8000;
/// What is recorded, in turn.
const OUTLETS: [&str; 3] = ["A1", "A2", "A3"];
const PHOTO_BYTES: usize = 60_000;
/// A sync begins after so many, and the work goes on meanwhile.
const ROUNDS_A_SYNC: usize = 5;
/// The host's key of a sealed device.
const KEY: [u8; 32] = [0x5a; 32];

/// The kinds that the device writes.
const OWN: [KindId; 5] = [
    Visit::SPEC.kind,
    ShelfObservation::SPEC.kind,
    StockCount::SPEC.kind,
    Issue::SPEC.kind,
    Photo::SPEC.kind,
];
/// The kinds that only others write.
const PULLED: [KindId; 2] = [Outlet::SPEC.kind, Product::SPEC.kind];

/// A record and a digest of what it holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    kind: u16,
    id: String,
    digest: String,
}

/// What the device says in the trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// It is enrolled.
    Enrolled,
    /// A save has returned; these records hold this now.
    Saved(Vec<Line>),
    /// A sync begins.
    SyncBegins,
    /// A sync has ended; of others the device has these records.
    Pulled(Vec<Line>),
    /// The device was opened and has these records.
    Found(Vec<Line>),
}

/// One life of the recording process on a device's folder.
#[derive(Debug)]
pub struct Life<'a> {
    /// The device's home folder.
    pub home: &'a Path,
    /// Whether it is sealed.
    pub is_sealed: bool,
    /// For a device that is not enrolled yet.
    pub invitation: Option<&'a str>,
    /// So many rounds of work.
    pub rounds: usize,
    /// Whether there is a server to sync with.
    pub is_online: bool,
    /// Whether photos are taken.
    pub takes_photos: bool,
}

/// Why a life came to an early end.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// The device could not be enrolled.
    #[error(transparent)]
    Enrol(#[from] xundian_client::EnrolError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A save.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A word.
    #[error(transparent)]
    Word(#[from] serde_json::Error),
    /// The runtime.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What takes the words.
pub type Say = fn(&[u8]);

fn tell(say: Say, word: &Word) -> Result<(), LifeError> {
    say(&serde_json::to_vec(word)?);
    Ok(())
}

/// Opens the device in a folder.
///
/// # Errors
/// As [`Client::open`].
pub fn open(home: &Path, is_sealed: bool) -> Result<Client, StoreError> {
    if is_sealed { Client::open_with_key(home, &StoreKey::new(KEY)) } else { Client::open(home) }
}

/// Works on a device until its rounds are done. What it returns is still open. `works` is called once it works.
///
/// # Errors
/// Where something is refused, as on a disk that is full.
pub fn live(life: &Life<'_>, say: Say, works: impl FnOnce()) -> Result<Arc<Client>, LifeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let Some(invitation) = life.invitation {
        let client = open(life.home, life.is_sealed)?;
        runtime.block_on(client.enrol_here(invitation, "phone"))?;
        tell(say, &Word::Enrolled)?;
        runtime.block_on(sync_once(&client, say))?;
        drop(client);
    }
    let client = Arc::new(open(life.home, life.is_sealed)?);
    tell(say, &Word::Found(lines_of(&client, &[&OWN[..], &PULLED].concat())?))?;
    let (done, mut doing) = watch::channel(0_usize);
    let syncing = {
        let (client, is_online) = (Arc::clone(&client), life.is_online);
        runtime.spawn(async move {
            loop {
                if doing.borrow_and_update().is_multiple_of(ROUNDS_A_SYNC) && is_online {
                    sync_once(&client, say).await?;
                }
                // An error means that the work is over.
                if doing.changed().await.is_err() {
                    return Ok::<_, LifeError>(());
                }
            }
        })
    };
    let work = Work { client: &client, say, takes_photos: life.takes_photos };
    // The last life may have ended in the midst of one.
    if let Ok(visit) = client.current_visit() {
        client.close_visit(visit)?;
        work.told(Visit::key(visit.0))?;
    }
    works();
    for nth in 0..life.rounds {
        work.round(nth)?;
        done.send_replace(nth + 1);
    }
    drop(done);
    runtime.block_on(syncing).map_err(std::io::Error::other)??;
    Ok(client)
}

async fn sync_once(client: &Client, say: Say) -> Result<(), LifeError> {
    tell(say, &Word::SyncBegins)?;
    // Where the server does not answer, the next one tries again.
    let _ended = client.sync(|_| {}).await.is_ok();
    tell(say, &Word::Pulled(lines_of(client, &PULLED)?))
}

struct Work<'a> {
    client: &'a Client,
    say: Say,
    takes_photos: bool,
}

impl Work<'_> {
    /// A recorded visit and two issues each time, and now and then a visit that is lived through, with a photo.
    fn round(&self, nth: usize) -> Result<(), LifeError> {
        let outlet = company::outlet(OUTLETS[nth % OUTLETS.len()]);
        let opened_at_ms = sessions::now_ms() - 3_600_000;
        let mut bundle = device::bundle(outlet, opened_at_ms, LINES);
        bundle.note = Some(note(nth));
        let visit = self.client.record(&bundle)?;
        self.told_visit(visit)?;
        for _ in 0..2 {
            let issue = self.client.raise_issue(outlet, Some(visit), &issue(note(nth)))?;
            self.told(Issue::key(issue))?;
        }
        if !nth.is_multiple_of(8) {
            return Ok(());
        }
        let visit = self.client.open_visit(outlet, None)?;
        self.told(Visit::key(visit.0))?;
        self.client.update_visit(visit, BTreeMap::new(), Some(note(nth)))?;
        self.told(Visit::key(visit.0))?;
        self.client.observe_shelf(visit, &bundle.shelf)?;
        self.told(ShelfObservation::key(visit.0))?;
        if self.takes_photos {
            let shelf = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
            let picture = photo::jpeg(PHOTO_BYTES, rand::random());
            match self.client.attach_photo(PhotoOf::Visit(visit), &shelf, &picture) {
                Ok(id) => self.told(Photo::key(id))?,
                Err(error) => return self.without_photo(visit, error),
            }
        }
        self.client.close_visit(visit)?;
        self.told(Visit::key(visit.0))
    }

    /// A photo that finds no room keeps nobody from going on.
    fn without_photo(&self, visit: VisitId, error: RecordError) -> Result<(), LifeError> {
        self.client.close_visit(visit)?;
        self.told(Visit::key(visit.0))?;
        Err(error.into())
    }

    fn told_visit(&self, visit: VisitId) -> Result<(), LifeError> {
        let keys = [Visit::key(visit.0), ShelfObservation::key(visit.0), StockCount::key(visit.0)];
        self.tell_of(&keys)
    }

    fn told(&self, key: RecordKey) -> Result<(), LifeError> {
        self.tell_of(&[key])
    }

    fn tell_of(&self, keys: &[RecordKey]) -> Result<(), LifeError> {
        let mut lines = Vec::new();
        for key in keys {
            lines.extend(self.client.find(*key)?.map(|line| line_of(&line.record)));
        }
        tell(self.say, &Word::Saved(lines))
    }
}

fn note(nth: usize) -> String {
    format!("第{nth}次").chars().cycle().take(NOTE_BYTES / 3).collect()
}

/// What a record holds, without who wrote it when: a merge at the server changes nothing of that.
pub(super) fn line_of(record: &Record) -> Line {
    let values: Vec<_> = record.fields().iter().map(|field| (&field.at, &field.register.value)).collect();
    let digest = ContentHash::of(format!("{:?} {values:?}", record.home).as_bytes()).to_string();
    Line { kind: record.key.kind.0, id: record.key.id.to_string(), digest }
}

fn lines_of(client: &Client, kinds: &[KindId]) -> Result<Vec<Line>, StoreError> {
    let mut lines = Vec::new();
    for kind in kinds {
        lines.extend(client.list(*kind, None)?.iter().map(|line| line_of(&line.record)));
    }
    Ok(lines)
}

/// The words of a trace with their places.
#[derive(Debug)]
pub struct Words(Vec<(usize, Word)>);

/// How often the journal was folded into sled's tree: a commit's entry went over the first one.
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
                // Only entries that are written one by one begin where a write begins.
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

/// What must be there at some point of a trace.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Whether it is known what the trace began with.
    is_open: bool,
    /// Whether the device was killed, so that nobody knows what its last save was to be.
    was_killed: bool,
    is_enrolled: bool,
    /// What was acknowledged.
    standing: BTreeMap<Key, String>,
    /// What the next save writes, which may have come to the disk: all of it or nothing.
    saving: Vec<Line>,
    /// What a sync may just be bringing.
    coming: BTreeMap<Key, String>,
    /// Saved since the last sync has ended, so that nothing but the device can know of it.
    unsent: BTreeSet<Key>,
    is_syncing: bool,
    /// Whether a sync was told of since the last save was, so that it may have sent the next one already: a save is
    /// told a moment after it has returned.
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
    /// Reads the words of a trace.
    ///
    /// # Errors
    /// Where one of them is none.
    pub fn of(trace: &[Event]) -> Result<Self, serde_json::Error> {
        let said = trace.iter().enumerate().filter_map(|(nth, event)| match event {
            Event::Said(words) => Some(serde_json::from_slice(words).map(|word| (nth, word))),
            _ => None,
        });
        Ok(Self(said.collect::<Result<_, _>>()?))
    }

    /// How many saves were acknowledged.
    pub fn saves(&self) -> usize {
        self.0.iter().filter(|(_, word)| matches!(word, Word::Saved(_))).count()
    }

    /// The words that a device that is not recorded told before it was killed.
    ///
    /// # Errors
    /// Where a line is no word.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, serde_json::Error> {
        let words = lines.into_iter().enumerate().map(|(nth, line)| Ok((nth, serde_json::from_str(line)?)));
        Ok(Self(words.collect::<Result<_, serde_json::Error>>()?))
    }

    /// What must be there after a kill, when all of it was told.
    pub fn expected_after_kill(&self) -> Expected {
        Expected { was_killed: true, ..self.expected_at(usize::MAX) }
    }

    /// What must be there after so many events.
    pub fn expected_at(&self, after: usize) -> Expected {
        self.expected_from(Expected { is_open: true, ..Expected::default() }, after)
    }

    /// The same for a trace that goes on from a folder in which that was expected.
    pub fn expected_from(&self, mut expected: Expected, after: usize) -> Expected {
        let (before, later) = self.0.split_at(self.0.partition_point(|(nth, _)| *nth < after));
        before.iter().for_each(|(_, word)| expected.hear(word));
        if !expected.is_open {
            // What the last trace left half-way was not looked at yet.
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

/// Opens the device of a folder as an app does, and compares it with what must be there. Then one more save must work,
/// and be there when the device is opened once more.
///
/// # Errors
/// In words, what is not as it must be.
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
    let saved = go_on(&client).map_err(|error| format!("it does not go on: {error}"))?;
    drop(client);
    let client = open(home, is_sealed).map_err(|error| format!("it opens only once: {error}"))?;
    let found = client.find(Issue::key(saved)).map_err(|error| error.to_string())?;
    if found.is_none() { Err("what was saved after the power cut is lost".into()) } else { Ok(()) }
}

fn go_on(client: &Client) -> Result<RecordId, RecordError> {
    client.raise_issue(company::outlet("A1"), None, &issue("停电之后".into()))
}

fn issue(text: String) -> NewIssue {
    NewIssue {
        issue_kind: IssueKind::Other,
        severity: Severity::Urgent,
        text,
        due: Due::SameDay,
        assignee: None,
    }
}

impl Expected {
    /// The same once the device was opened and not yet looked at, as at the beginning of another trace.
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
                // A sync sends also what is saved while it runs.
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
                    return Err(format!("{key:?} was acknowledged and holds something else"));
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
                    return Err(format!("{key:?} is there and was never saved, or only half of it"));
                }
            }
        }
        // A save writes one record, or a visit's three.
        if ![0, 1, 3].contains(&untold) {
            return Err(format!("{untold} records are not what was acknowledged"));
        }
        let has_come = |line: &&Line| found.get(&line.key()).is_some_and(|(held, _)| *held == line.digest);
        let come = self.saving.iter().filter(has_come).count();
        if come != 0 && come != self.saving.len() {
            return Err(format!("of a save's {} records only {come} are there", self.saving.len()));
        }
        Ok(())
    }
}

/// Every photo has its picture, whole, and no file is left over.
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
