//! The device's work to be recorded; [`mod@check`] verifies what must be left of it after a power cut.
//!
//! After each save has returned, the device writes a message into the trace: the records of the save, with a digest of
//! each. While one thread saves, another one syncs. So receipts, pulled changes and folds of settled saves occur
//! between the commits of the saves.

mod check;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use xundian_client::{
    Client, ContentHash, Due, Issue, IssueKind, NewIssue, NewPhoto, Photo, PhotoOf, PhotoSource,
    PhotoSubject, RecordError, Severity, ShelfObservation, StockCount, StoreError, StoreKey, Visit, VisitId,
};
use xundian_protocol::ids::KindId;
use xundian_protocol::kinds::{Entity, Outlet, Product};
use xundian_protocol::record::{Record, RecordKey};
use xundian_server::sessions;

pub use check::{Expected, Words, check, folds};

use crate::support::{company, device, photo};

/// The number of products in a visit.
const LINES: u64 = 4;
/// The length of a note. Long notes fill the journal sooner.
const NOTE_BYTES: usize = 8000;
/// The outlets that are visited, in turn.
const OUTLETS: [&str; 3] = ["A1", "A2", "A3"];
const PHOTO_BYTES: usize = 60_000;
/// The number of rounds between the starts of two syncs, which run beside the work.
const ROUNDS_A_SYNC: usize = 5;
/// The host's key of an encrypted store.
const KEY: [u8; 32] = [0x5a; 32];

/// The kinds that the device writes.
const OWN: [KindId; 5] = [
    Visit::SPEC.kind,
    ShelfObservation::SPEC.kind,
    StockCount::SPEC.kind,
    Issue::SPEC.kind,
    Photo::SPEC.kind,
];
/// The kinds that only others write, and that the device pulls.
const PULLED: [KindId; 2] = [Outlet::SPEC.kind, Product::SPEC.kind];

/// A record with a digest of its content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    kind: u16,
    id: String,
    digest: String,
}

/// A message of the device in the trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// The device is enrolled.
    Enrolled,
    /// A save has returned; the records now have this content.
    Saved(Vec<Line>),
    /// A sync begins.
    SyncBegins,
    /// A sync has ended; these are the records of the pulled kinds.
    Pulled(Vec<Line>),
    /// The device was opened; these are its records.
    Found(Vec<Line>),
}

/// One run of the recorded process on a device's folder.
#[derive(Debug)]
pub struct Life<'a> {
    /// The device's home folder.
    pub home: &'a Path,
    /// Whether the store is encrypted.
    pub is_sealed: bool,
    /// The invitation, if the device is not enrolled yet.
    pub invitation: Option<&'a str>,
    /// The number of rounds of work.
    pub rounds: usize,
    /// Whether there is a server to sync with.
    pub is_online: bool,
    /// Whether photos are taken.
    pub takes_photos: bool,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// The device could not be enrolled.
    #[error(transparent)]
    Enrol(#[from] xundian_client::EnrolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A save failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be encoded.
    #[error(transparent)]
    Word(#[from] serde_json::Error),
    /// The runtime could not be started, or the sync task panicked.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The function that takes the messages.
pub type Say = fn(&[u8]);

fn tell(say: Say, word: &Word) -> Result<(), LifeError> {
    say(&serde_json::to_vec(word)?);
    Ok(())
}

/// Opens the device in a folder, with the fixed key if it is encrypted.
///
/// # Errors
/// Returns the errors of [`Client::open`].
pub fn open(home: &Path, is_sealed: bool) -> Result<Client, StoreError> {
    if is_sealed { Client::open_with_key(home, &StoreKey::new(KEY)) } else { Client::open(home) }
}

/// Runs all rounds of work on a device. Calls `works` when the work begins, and returns the client, still open.
///
/// # Errors
/// Returns an error if a step fails, such as on a full disk.
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
                // The sender is dropped when the work is over.
                if doing.changed().await.is_err() {
                    return Ok::<_, LifeError>(());
                }
            }
        })
    };
    let work = Work { client: &client, say, takes_photos: life.takes_photos };
    // The last run may have ended with a visit open.
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
    // If the server does not answer, the next sync tries again.
    let _ended = client.sync(|_| {}).await.is_ok();
    tell(say, &Word::Pulled(lines_of(client, &PULLED)?))
}

struct Work<'a> {
    client: &'a Client,
    say: Say,
    takes_photos: bool,
}

impl Work<'_> {
    /// Records a visit and two issues. Every eighth round also opens, updates and closes a visit, with a photo.
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

    /// Closes the visit although its photo did not fit on the disk, then returns the photo's error.
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

/// Returns the record's content without its stamps, which a merge at the server may change.
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

fn issue(text: String) -> NewIssue {
    NewIssue {
        issue_kind: IssueKind::Other,
        severity: Severity::Urgent,
        text,
        due: Due::SameDay,
        assignee: None,
    }
}
