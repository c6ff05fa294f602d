//! A server's work to be recorded, and the check of what must be left of it after a power cut.
//!
//! Three devices push batches of ops at the same time. The batches are generated from the device, so the check can
//! generate them again. After each receipt is returned, a message goes into the trace. A fourth device is a real client
//! that syncs over QUIC and sends photos. The trace also has its messages: which records are merged, and which pictures
//! stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xundian_client::{
    Client, ContentHash, NewPhoto, Photo, PhotoOf, PhotoSource, PhotoState, PhotoSubject, Visit, VisitId,
};
use xundian_protocol::ids::{DeviceNo, OpSeq, RecordId};
use xundian_protocol::kinds::{Entity, ShelfObservation, StockCount};
use xundian_protocol::record::{Home, Op, Record, RecordKey};
use xundian_server::photos::{Photos, SpoolLimits, StorageLocation};
use xundian_server::{Server, sessions};

use super::client::{Line, line_of};
use super::trace::Event;
use crate::serving::Serving;
use crate::support::device::bundle;
use crate::support::ops::Author;
use crate::support::{company, photo};

/// The people whose devices push, with their outlets.
const PUSHING: [(&str, &str); 3] = [("W1", "A1"), ("W2", "B1"), ("W3", "C1")];
/// The person whose device syncs as an app does, with the outlet.
const SYNCING: (&str, &str) = ("W4", "A2");
/// The number of older visits that get a new note in a batch, besides its own new visit.
const CHANGES_A_BATCH: u64 = 8;
/// The ops of a visit: the visit, its shelf and its count.
const OPS_A_VISIT: u64 = 3;
const LINES: u64 = 4;
const NOTE_BYTES: usize = 8000;
const PHOTO_BYTES: usize = 60_000;
/// The real client syncs once for this many batches.
const BATCHES_A_SYNC: u64 = 10;

/// A device that pushes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pushing {
    /// Its index in [`PUSHING`].
    nth: usize,
    device: u32,
    /// The time of its first visit.
    from_ms: i64,
}

/// A message of the server's process in the trace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// The company was written.
    Founded,
    /// A device is enrolled.
    Enrolled(Pushing),
    /// A device has receipts for this many batches.
    Receipt {
        /// Its index in [`PUSHING`].
        nth: usize,
        /// The number of batches.
        batches: u64,
    },
    /// A client learned that these records are merged.
    Merged(Vec<Line>),
    /// A client learned that a picture is stored.
    Stored(String),
}

/// One run of the recorded process.
#[derive(Debug)]
pub struct Life<'a> {
    /// The server's data folder.
    pub data: &'a Path,
    /// The folder of the devices' home folders.
    pub devices: &'a Path,
    /// The port to listen on, the same in all runs.
    pub port: u16,
    /// The number of batches that each device pushed in earlier runs.
    pub from: u64,
    /// The number of batches that each device pushes in this run.
    pub batches: u64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// The server did not start.
    #[error(transparent)]
    Serving(#[from] crate::serving::ServingError),
    /// The server's store failed.
    #[error(transparent)]
    Store(#[from] xundian_server::store::StoreError),
    /// A client could not be enrolled.
    #[error(transparent)]
    Enrol(#[from] xundian_client::EnrolError),
    /// The client's store failed.
    #[error(transparent)]
    Client(#[from] xundian_client::StoreError),
    /// A save of the client failed.
    #[error(transparent)]
    Record(#[from] xundian_client::RecordError),
    /// A sync of the client failed.
    #[error(transparent)]
    Sync(#[from] xundian_client::SyncError),
    /// A message could not be encoded or decoded.
    #[error(transparent)]
    Word(#[from] serde_json::Error),
    /// A file could not be used.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Several steps failed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Self>),
    /// A push was not accepted in full.
    #[error("a batch was not accepted in full: {0}")]
    Push(String),
}

/// The function that takes the messages.
pub type Say = fn(&[u8]);

fn tell(say: Say, word: &Word) -> Result<(), LifeError> {
    say(&serde_json::to_vec(word)?);
    Ok(())
}

/// Serves until the devices have done their work. Calls `works` when the work begins, and returns the server, still
/// running.
///
/// # Errors
/// Returns an error if a step fails, such as on a full disk.
pub fn live(
    life: &Life<'_>,
    say: Say,
    works: impl FnOnce(),
) -> Result<(tokio::runtime::Runtime, Serving), LifeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let serving = runtime.block_on(Serving::start(life.data, life.port))?;
    if life.from == 0 {
        company::found(serving.server());
        tell(say, &Word::Founded)?;
    }
    let mut pushing = Vec::new();
    for (nth, (person, _)) in PUSHING.iter().enumerate() {
        let home = life.devices.join(person);
        let client = runtime.block_on(client_of(&home, &serving, person))?;
        let device = client.identity().map_or(DeviceNo(0), |identity| identity.device).0;
        let path = home.join("from_ms");
        if life.from == 0 {
            let from_ms = sessions::now_ms() - 24 * 3_600_000;
            std::fs::write(&path, serde_json::to_vec(&Pushing { nth, device, from_ms })?)?;
            tell(say, &Word::Enrolled(Pushing { nth, device, from_ms }))?;
        }
        pushing.push(serde_json::from_slice::<Pushing>(&std::fs::read(&path)?)?);
    }
    let syncing = runtime.block_on(client_of(&life.devices.join(SYNCING.0), &serving, SYNCING.0))?;
    works();
    std::thread::scope(|scope| {
        let server = serving.server();
        let threads: Vec<_> =
            pushing.iter().map(|device| scope.spawn(|| push_all(server, device, life, say))).collect();
        let synced = (0..life.batches / BATCHES_A_SYNC)
            .try_for_each(|nth| runtime.block_on(sync_once(&syncing, nth, say)));
        let panicked = |_| Err(LifeError::Push("a thread has panicked".into()));
        let pushed = threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked));
        let refused: Vec<LifeError> = pushed.chain([synced]).filter_map(std::result::Result::err).collect();
        if refused.is_empty() { Ok(()) } else { Err(LifeError::Refused(refused)) }
    })?;
    Ok((runtime, serving))
}

/// Opens the client in a folder. If there is none yet, enrols a new device for the person.
async fn client_of(home: &Path, serving: &Serving, person: &str) -> Result<Client, LifeError> {
    if home.exists() {
        return Ok(Client::open(home)?);
    }
    let invitation = serving.invitation(company::person(person))?;
    Ok(Client::enrol(home, &invitation, person).await?)
}

fn push_all(server: &Server, device: &Pushing, life: &Life<'_>, say: Say) -> Result<(), LifeError> {
    for nth in life.from..life.from + life.batches {
        if let Err(refused) = push(server, device, nth) {
            let again = push(server, device, nth).err();
            return Err(LifeError::Refused([refused].into_iter().chain(again).collect()));
        }
        tell(say, &Word::Receipt { nth: device.nth, batches: nth + 1 })?;
    }
    Ok(())
}

fn push(server: &Server, device: &Pushing, nth: u64) -> Result<(), LifeError> {
    let ops = device.batch(nth);
    let last = ops.last().map_or(OpSeq(0), |op| op.seq);
    let receipt = server.ingest(DeviceNo(device.device), ops, sessions::now_ms())?;
    if receipt.through != last || !receipt.rejections.is_empty() {
        return Err(LifeError::Push(format!("{receipt:?}")));
    }
    Ok(())
}

/// Records a visit with a photo, and syncs both to the server.
async fn sync_once(client: &Client, nth: u64, say: Say) -> Result<(), LifeError> {
    let outlet = company::outlet(SYNCING.1);
    client.sync(|_| {}).await?;
    let visit = client.open_visit(outlet, None)?;
    let shelf = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
    let picture = photo::jpeg(PHOTO_BYTES, rand::random());
    client.attach_photo(PhotoOf::Visit(visit), &shelf, &picture)?;
    client.update_visit(visit, BTreeMap::new(), Some(note(nth)))?;
    client.close_visit(visit)?;
    client.sync(|_| {}).await?;
    let found = client.find(Visit::key(visit.0))?;
    tell(say, &Word::Merged(found.iter().map(|line| line_of(&line.record)).collect()))?;
    for photo in client.photos_of(PhotoOf::Visit(visit))? {
        tell(say, &Word::Merged(vec![line_of(&photo.line.record)]))?;
        if let (PhotoState::Stored, Some(hash)) = (photo.state, photo.photo.content_hash) {
            tell(say, &Word::Stored(hash.to_string()))?;
        }
    }
    Ok(())
}

/// Returns a text that does not compress well.
fn note(seed: u64) -> String {
    let mut state = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from_u32(0x4E00 + (state % 20_000) as u32).unwrap_or('一')
    };
    (0..NOTE_BYTES / 3).map(|_| next()).collect()
}

impl Pushing {
    fn home(&self) -> Home {
        Home::Outlet(company::outlet(PUSHING[self.nth].1))
    }

    /// Returns the author as it is at the start of a batch.
    fn author(&self, batch: u64) -> Author {
        let changes_before = match batch.checked_sub(CHANGES_A_BATCH) {
            Some(full) => CHANGES_A_BATCH * (CHANGES_A_BATCH - 1) / 2 + CHANGES_A_BATCH * full,
            None => batch * batch.saturating_sub(1) / 2,
        };
        let next = OpSeq(1 + OPS_A_VISIT * batch + changes_before);
        Author { device: DeviceNo(self.device), person: company::person(PUSHING[self.nth].0), next }
    }

    fn at_ms(&self, batch: u64) -> i64 {
        self.from_ms + i64::try_from(batch).unwrap_or(0) * 1000
    }

    fn visit_id(&self, batch: u64) -> RecordId {
        RecordId::v7(self.at_ms(batch).unsigned_abs(), [u8::try_from(self.nth).unwrap_or(0); 10])
    }

    /// Returns the ops of a batch: one new visit, and new notes for the visits of the batches before. So much is
    /// written, but there are few records to compare.
    fn batch(&self, nth: u64) -> Vec<Op> {
        let mut author = self.author(nth);
        let mut ops = self.visit(nth, &mut author).to_vec();
        for of in nth.saturating_sub(CHANGES_A_BATCH)..nth {
            ops.push(self.change(of, nth, &note(author.next.0 ^ self.device as u64), &mut author));
        }
        ops
    }

    fn visit(&self, nth: u64, author: &mut Author) -> [Op; OPS_A_VISIT as usize] {
        let (at_ms, id, home) = (self.at_ms(nth), self.visit_id(nth), self.home());
        let of = bundle(company::outlet(PUSHING[self.nth].1), at_ms, LINES);
        let form = Visit {
            opened_at_ms: Some(at_ms),
            closed_at_ms: Some(at_ms + 600_000),
            note: Some(note(author.next.0 ^ self.device as u64)),
            ..Visit::default()
        };
        let visit = Some(VisitId(id));
        [
            author.op(&form, id, home, at_ms, None),
            author.op(&ShelfObservation { visit, ..of.shelf }, id, home, at_ms, None),
            author.op(&StockCount { visit, ..of.count }, id, home, at_ms, None),
        ]
    }

    /// Returns the op of batch `nth` that changes an older visit's note. Its author has seen all changes before.
    fn change(&self, of: u64, nth: u64, note: &str, author: &mut Author) -> Op {
        let mut seen = Record::empty(Visit::key(self.visit_id(of)), self.home());
        if nth == of + 1 {
            let [visit, ..] = self.visit(of, &mut self.author(of));
            seen.apply(&visit);
        } else {
            let before = nth - 1;
            let first = before.saturating_sub(CHANGES_A_BATCH);
            let mut then = self.author(before);
            then.next = OpSeq(then.next.0 + OPS_A_VISIT + (of - first));
            // Only the stamps of the seen record matter.
            let form = Visit { note: Some(String::new()), ..Visit::default() };
            seen.apply(&then.op(&form, seen.key.id, self.home(), self.at_ms(before), None));
        }
        let form = Visit { note: Some(note.to_owned()), ..Visit::default() };
        author.op(&form, seen.key.id, self.home(), self.at_ms(nth), Some(&seen))
    }

    /// Returns what the server holds of the device after this many batches.
    fn records(&self, batches: u64) -> BTreeMap<RecordKey, Record> {
        let mut records = BTreeMap::new();
        for op in (0..batches).flat_map(|nth| self.batch(nth)) {
            records.entry(op.record).or_insert_with(|| Record::empty(op.record, op.home)).apply(&op);
        }
        records
    }
}

/// The messages of a trace, with their positions.
#[derive(Debug)]
pub struct Words(Vec<(usize, Word)>);

/// What must be there at a point of a trace.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    is_founded: bool,
    /// The devices that push, each with the number of batches that it has receipts for.
    pushed: Vec<(Pushing, u64)>,
    merged: Vec<Line>,
    stored: Vec<ContentHash>,
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

    /// Returns the number of receipts.
    pub fn receipts(&self) -> usize {
        self.0.iter().filter(|(_, word)| matches!(word, Word::Receipt { .. })).count()
    }

    /// Returns what must be there after the first `after` events.
    pub fn expected_at(&self, after: usize) -> Expected {
        let mut expected = Expected::default();
        for (_, word) in self.0.iter().take_while(|(nth, _)| *nth < after) {
            match word {
                Word::Founded => expected.is_founded = true,
                Word::Enrolled(device) => expected.pushed.push((device.clone(), 0)),
                Word::Receipt { nth, batches } => expected.pushed[*nth].1 = *batches,
                Word::Merged(lines) => expected.merged.extend(lines.iter().cloned()),
                Word::Stored(hash) => expected.stored.extend(hash.parse::<ContentHash>()),
            }
        }
        expected
    }
}

/// Opens the server in a folder as `serve` does, and compares it with what must be there. Then one more push of each
/// device must succeed. If `is_thorough`, the server is opened again after that and everything is compared again.
///
/// # Errors
/// Returns a description of the first difference.
pub fn check(data: &Path, expected: &Expected, is_thorough: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let next = runtime.block_on(look(data, expected, true))?;
    if is_thorough {
        runtime.block_on(look(data, &next, false))?;
    }
    Ok(())
}

/// Compares everything, and lets each device push once more if `goes_on`. Returns what must be there afterwards.
async fn look(data: &Path, expected: &Expected, goes_on: bool) -> Result<Expected, String> {
    let server =
        Server::open(data, sessions::now_ms()).map_err(|error| format!("it does not open: {error}"))?;
    let server = Arc::new(server);
    let place = StorageLocation::read(None, data).map_err(|error| error.to_string())?;
    let photos = Photos::open(Arc::clone(&server), &place, SpoolLimits::default());
    let photos = Arc::new(photos.map_err(|error| format!("its photos do not open: {error}"))?);
    photos.probe().await.map_err(|error| format!("its photos cannot be kept: {error}"))?;
    let mut report = server.verify().map_err(|error| format!("it cannot be read: {error}"))?;
    photos.check(true, &mut report).await.map_err(|error| format!("its photos cannot be read: {error}"))?;
    if !report.is_clean() {
        let (count, first) = (report.findings.len(), &report.findings[..report.findings.len().min(3)]);
        return Err(format!("verify finds {count} faults, such as {first:#?}"));
    }
    if expected.is_founded && server.directory().person(company::person("W1")).is_none() {
        return Err("the company is lost".into());
    }
    for hash in &expected.stored {
        photos.read(*hash).await.map_err(|error| format!("a stored picture is lost: {error}"))?;
    }
    compare_merged(&server, &expected.merged)?;
    let mut next = expected.clone();
    for (device, batches) in &mut next.pushed {
        *batches = compare_pushed(&server, device, *batches)?;
        if goes_on {
            push(&server, device, *batches).map_err(|error| format!("it does not accept a push: {error}"))?;
            *batches += 1;
        }
    }
    Ok(next)
}

fn compare_merged(server: &Server, lines: &[Line]) -> Result<(), String> {
    let records = |kind| server.records(kind).map_err(|error| format!("it cannot be read: {error}"));
    let held: Vec<Line> =
        [records(Visit::SPEC.kind)?, records(Photo::SPEC.kind)?].iter().flatten().map(line_of).collect();
    match lines.iter().find(|line| !held.contains(line)) {
        Some(lost) => Err(format!("{lost:?} was merged and is lost, or has other content")),
        None => Ok(()),
    }
}

/// Compares a device's records with what it pushed: all batches with a receipt, and the next one in full or not at all.
/// Returns the number of batches that are there.
fn compare_pushed(server: &Server, device: &Pushing, receipts: u64) -> Result<u64, String> {
    let mut found = BTreeMap::new();
    for kind in [Visit::SPEC.kind, ShelfObservation::SPEC.kind, StockCount::SPEC.kind] {
        let records = server.records_of_home(device.home(), kind);
        let records = records.map_err(|error| format!("it cannot be read: {error}"))?;
        found.extend(records.into_iter().map(|record| (record.key, record)));
    }
    let batches = receipts + u64::from(found.len() as u64 > receipts * OPS_A_VISIT);
    let expected = device.records(batches);
    if found != expected {
        let lost = expected.iter().find(|(key, record)| found.get(key) != Some(record)).map(|(key, _)| key);
        let (found, expected) = (found.len(), expected.len());
        return Err(format!(
            "device {} has receipts for {receipts} batches: {found} of {expected} records are there, {lost:?} differs or is missing",
            device.device
        ));
    }
    Ok(batches)
}
