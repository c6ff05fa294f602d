//! The device's store: the outbox, the confirmed records, the rejected ops, the waiting pictures, and the device's
//! progress. [`keys`] has the layout.
//!
//! Readers see the confirmed record overlaid with its ops in the outbox. Every change is first written in one durable
//! batch; only then does the state in memory change, which cannot fail. The store knows no clock, no network and no
//! business object.

mod confirmed;
mod engine;
mod error;
mod keys;
mod meta;
mod outbox;
mod pictures;
mod reads;
mod reconciliation;
mod recovery;
mod rejected_ops;
mod rescued;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{ContentHash, DeviceNo, FeedSeq, KindId, OpSeq, RecordId};
use xundian_protocol::record::{Home, RecordKey};
use xundian_protocol::wire::stored;

use crate::sealing::{Cover, StoreKey};
use engine::{Batch, Engine};
pub(crate) use error::StoreFault;
pub use error::{StoreError, StoreTrouble};
use keys::MetaKey;
pub use meta::Identity;
pub(crate) use meta::LastSync;
use meta::Meta;
pub(crate) use outbox::Save;
pub(crate) use pictures::{Attached, Decline, Picture, PictureState, RefState};
pub use reads::SaveState;
pub use rejected_ops::{Rejected, RejectedId, RejectedIdError};
pub(crate) use rescued::{Copied, Rescued, check, hold};
#[cfg(feature = "simulation")]
pub use storage::Disk;
use storage::Storage;

/// What only this device needs to know of an open visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenVisit {
    /// The visit.
    pub(crate) visit: RecordId,
    /// The monotonic clock at check-in.
    pub(crate) mono_ms: u64,
    /// The boot of the device from which this clock counts. Only readings of one boot can be compared.
    pub(crate) boot: [u8; 16],
}

/// The device's store. One process has it open at a time. All methods take `&self` and may be called from any thread.
pub(crate) struct Store {
    engine: Storage,
    /// Held by whatever reads, decides and writes; readers never wait for it.
    writer: parking_lot::Mutex<()>,
    state: RwLock<State>,
}

/// The write lock. A writer of many batches yields between them (`Turn::bump`) to waiting writers, in the order of their
/// arrival. Otherwise a save might wait for all of them.
type Turn<'a> = parking_lot::MutexGuard<'a, ()>;

/// The state in memory, all of which can be read from the engine again.
struct State {
    meta: Meta,
    /// Saves in the outbox, settled ones included, by record. A record's numbers are in order.
    pending: BTreeMap<RecordKey, Pending>,
    /// Rejected ops, by record.
    rejected_ops: BTreeMap<RecordKey, Vec<RejectedId>>,
    /// The homes of the scope; `Some` for a home that entered the scope recently and is complete only up to this
    /// position.
    held: BTreeMap<Home, Option<FeedSeq>>,
    open_visits: Vec<OpenVisit>,
    /// Confirmed records of a feed that was lost, until they are pulled again or the pull completes.
    stale: BTreeSet<RecordKey>,
    /// The pictures of this device's photos.
    pictures: BTreeMap<ContentHash, Picture>,
    /// Counts the changes that readers can see, by kind, so that callers can tell whether what they have read is stale.
    revisions: BTreeMap<KindId, u64>,
}

struct Pending {
    home: Home,
    seqs: Vec<OpSeq>,
}

impl Store {
    /// Opens the store in a folder, or creates a new one, sealed if there is a key.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is in use, damaged or of a newer format, or has another key.
    pub(crate) fn open(folder: &Path, key: Option<&StoreKey>) -> Result<Self, StoreError> {
        Self::on(Storage::Engine(Engine::open(folder, key)?))
    }

    /// Opens a plain store on a simulated disk.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    #[cfg(feature = "simulation")]
    pub(crate) fn simulated(disk: std::sync::Arc<dyn Disk>) -> Result<Self, StoreError> {
        Self::on(Storage::Simulated(disk))
    }

    /// Everything stored under a key prefix.
    #[cfg(feature = "simulation")]
    pub(crate) fn stored(&self, front: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        Ok(self.engine.scan_prefix(front).collect::<Result<_, _>>()?)
    }

    /// Overwrites a stored value.
    #[cfg(feature = "simulation")]
    pub(crate) fn decay(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        match value {
            Some(value) => batch.put(key, value),
            None => batch.remove(key),
        }
        Ok(self.engine.commit(batch)?)
    }

    fn on(engine: Storage) -> Result<Self, StoreError> {
        check_format(&engine)?;
        let state = State::load(&engine)?;
        let store = Self { engine, writer: parking_lot::Mutex::new(()), state: RwLock::new(state) };
        store.clear_left_homes(&mut store.write_lock())?;
        Ok(store)
    }

    /// The device's identity, after enrolment.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.state().meta.identity.clone()
    }

    /// Sets the identity. A new device number means that saves are numbered again from 1: those that wait are
    /// renumbered, and everything in scope is pulled again. If the server had lost the device, everything it sent and
    /// still has waits with them.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn set_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let mut writer = self.write_lock();
        // Only waiting saves get new numbers.
        self.fold_settled_locked(&mut writer)?;
        let mut meta = self.state().meta.clone();
        let mut batch = Batch::default();
        batch.put(keys::meta(MetaKey::Identity), meta::encode_identity(identity));
        batch.put(keys::meta(MetaKey::Server), identity.server.as_bytes());
        batch.put(keys::meta(MetaKey::PersonName), identity.person_name.as_bytes());
        let before = meta.identity.replace(identity.clone());
        let mut pending = None;
        let mut recovered = None;
        // A server that had lost the device may give it the same number again.
        if meta.is_forgotten || before.is_none_or(|before| before.device != identity.device) {
            let moved = self.renumber(&mut batch, identity.device)?;
            meta.next_seq = OpSeq(moved.len() as u64 + 1);
            meta.applied_through = OpSeq(0);
            meta.sent_through = OpSeq(0);
            meta.cursor = FeedSeq(0);
            put_number(&mut batch, MetaKey::NextSeq, meta.next_seq.0);
            put_number(&mut batch, MetaKey::AppliedThrough, 0);
            put_number(&mut batch, MetaKey::SentThrough, 0);
            put_number(&mut batch, MetaKey::Cursor, 0);
            for home in self.state().held.keys() {
                batch.put(keys::home_key(keys::HELD_HOME, *home), []);
            }
            pending = Some(moved);
            if meta.is_forgotten {
                recovered = Some(self.recover_all(&mut batch)?);
            }
        }
        self.engine.commit(batch)?;
        let mut state = self.state_mut();
        state.meta = meta;
        if let Some(moved) = pending {
            state.pending = BTreeMap::new();
            state.touch(moved.iter().map(|(record, _)| record.kind));
            for (at, (record, home)) in moved.into_iter().enumerate() {
                state.note_pending(record, home, OpSeq(at as u64 + 1));
            }
            state.held.values_mut().for_each(|behind| *behind = None);
        }
        if let Some(recovered) = recovered {
            state.note_recovered(recovered);
        }
        drop(state);
        drop(writer);
        Ok(())
    }

    /// Adds the renumbered outbox to the batch, preceded by the sent ops that are kept, if the server has lost them.
    /// Returns the records in the order of their numbers.
    fn renumber(&self, batch: &mut Batch, device: DeviceNo) -> Result<Vec<(RecordKey, Home)>, StoreError> {
        let is_forgotten = self.state().meta.is_forgotten;
        let left = self.identity().map(|identity| identity.device);
        let mut ops = Vec::new();
        for op in self.sent()? {
            if is_forgotten || Some(op.stamp.device) != left {
                batch.remove(keys::sent(op.stamp.device, op.seq));
            }
            ops.extend(is_forgotten.then_some(op));
        }
        for entry in self.engine.scan_prefix(&[keys::OUTBOX]) {
            let (key, bytes) = entry?;
            batch.remove(key);
            ops.push(outbox::decode_op(&bytes)?);
        }
        for (op, seq) in ops.iter_mut().zip(1..) {
            op.seq = OpSeq(seq);
            op.stamp = Stamp { device, ..op.stamp };
            batch.put(keys::outbox(op.seq), stored::encode_op(op));
        }
        Ok(ops.iter().map(|op| (op.record, op.home)).collect())
    }

    /// The number that the next save will get.
    pub(crate) fn next_seq(&self) -> OpSeq {
        self.state().meta.next_seq
    }

    /// The greatest moment that this device made or saw before it was opened.
    pub(crate) fn hlc(&self) -> Hlc {
        self.state().meta.hlc
    }

    /// The last complete sync.
    pub(crate) fn last_sync(&self) -> Option<LastSync> {
        self.state().meta.last_sync
    }

    /// Grows whenever a record of the kind changes, appears or disappears, or its save state changes. It counts from 0
    /// at each opening.
    pub(crate) fn revision(&self, kind: KindId) -> u64 {
        self.state().revisions.get(&kind).copied().unwrap_or_default()
    }

    /// How bytes are written to the disk.
    pub(crate) const fn cover(&self) -> &Cover {
        self.engine.cover()
    }

    /// Whether a write failed, so that the store must be opened again.
    pub(crate) fn has_stopped(&self) -> bool {
        self.engine.has_stopped()
    }

    /// Changes the key of the store.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is plain or the folder cannot be written. Then either the old or the new key opens
    /// it.
    pub(crate) fn change_key(&self, key: &StoreKey) -> Result<(), StoreError> {
        Ok(self.engine.change_key(key)?)
    }

    /// The size of the files on disk.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be read.
    pub(crate) fn size_on_disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.engine.size_on_disk_bytes()?)
    }

    fn write_lock(&self) -> Turn<'_> {
        // What a panic left undone was not committed, and memory changes only after a commit, so nothing can be
        // poisoned.
        self.writer.lock()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_format(engine: &Storage) -> Result<(), StoreFault> {
    match meta::format(engine)? {
        Some(found) if found == meta::FORMAT => Ok(()),
        Some(found) => Err(StoreFault::NewerFormat { found, known: meta::FORMAT }),
        None if engine.scan_prefix(&[]).next().is_some() => Err(StoreFault::malformed("format version")),
        None => {
            let mut batch = Batch::default();
            batch.put(keys::meta(MetaKey::Format), meta::FORMAT.to_be_bytes());
            Ok(engine.commit(batch)?)
        }
    }
}

fn put_number(batch: &mut Batch, name: MetaKey, number: u64) {
    batch.put(keys::meta(name), number.to_be_bytes());
}

impl State {
    fn load(engine: &Storage) -> Result<Self, StoreFault> {
        let mut state = Self {
            meta: Meta::load(engine)?,
            pending: BTreeMap::new(),
            rejected_ops: BTreeMap::new(),
            held: BTreeMap::new(),
            open_visits: Vec::new(),
            stale: BTreeSet::new(),
            pictures: BTreeMap::new(),
            revisions: BTreeMap::new(),
        };
        for entry in engine.scan_prefix(&[keys::OUTBOX]) {
            let (key, bytes) = entry?;
            let seq = keys::seq_of(&key).ok_or_else(|| StoreFault::malformed("outbox"))?;
            let op = stored::decode_op(&bytes).map_err(StoreFault::decode(format!("save {}", seq.0)))?;
            state.note_pending(op.record, op.home, seq);
            state.meta.next_seq = state.meta.next_seq.max(seq.next());
            state.meta.hlc = state.meta.hlc.max(op.stamp.hlc);
        }
        for entry in engine.scan_prefix(&[keys::REJECTED]) {
            let (key, bytes) = entry?;
            let id = keys::rejected_of(&key).ok_or_else(|| StoreFault::malformed("rejected ops"))?;
            let rejected = Rejected::decode(id, &bytes)?;
            state.rejected_ops.entry(rejected.op.record).or_default().push(id);
        }
        for entry in engine.scan_prefix(&[keys::HELD_HOME]) {
            let (key, value) = entry?;
            let (home, behind) =
                held_home(&key, &value).ok_or_else(|| StoreFault::malformed("list of homes"))?;
            state.held.insert(home, behind);
        }
        for entry in engine.scan_prefix(&[keys::OPEN_VISIT]) {
            let (key, value) = entry?;
            state
                .open_visits
                .push(open_visit(&key, &value).ok_or_else(|| StoreFault::malformed("open visit"))?);
        }
        for entry in engine.scan_prefix(&[keys::STALE]) {
            let (key, _) = entry?;
            state
                .stale
                .insert(keys::record_of_key(&key).ok_or_else(|| StoreFault::malformed("stale records"))?);
        }
        state.load_pictures(engine)?;
        Ok(state)
    }

    fn note_pending(&mut self, record: RecordKey, home: Home, seq: OpSeq) {
        self.pending.entry(record).or_insert_with(|| Pending { home, seqs: Vec::new() }).seqs.push(seq);
    }

    /// Notes that readers see records of these kinds differently. Call it after the commit: a reader that
    /// reads the count first and then the records may read once too often, but never misses a change.
    fn touch(&mut self, kinds: impl IntoIterator<Item = KindId>) {
        for kind in kinds {
            *self.revisions.entry(kind).or_default() += 1;
        }
    }

    /// The kinds of the saves in the outbox with matching numbers, each once.
    fn kinds_pending(&self, is_meant: impl Fn(OpSeq) -> bool) -> BTreeSet<KindId> {
        let meant = self.pending.iter().filter(|(_, pending)| pending.seqs.iter().any(|seq| is_meant(*seq)));
        meant.map(|(record, _)| record.kind).collect()
    }

    /// Whether records of a home are kept. Before the first scope is known, all are.
    fn keeps(&self, home: Home) -> bool {
        self.held.is_empty() || self.held.contains_key(&home)
    }
}

fn held_home(key: &[u8], value: &[u8]) -> Option<(Home, Option<FeedSeq>)> {
    let behind = match value {
        [] => None,
        bytes => Some(FeedSeq(u64::from_be_bytes(bytes.try_into().ok()?))),
    };
    Some((keys::home_of(key)?, behind))
}

fn open_visit(key: &[u8], value: &[u8]) -> Option<OpenVisit> {
    let (mono_ms, boot) = value.split_first_chunk::<8>()?;
    Some(OpenVisit {
        visit: keys::visit_of(key)?,
        mono_ms: u64::from_be_bytes(*mono_ms),
        boot: boot.try_into().ok()?,
    })
}
