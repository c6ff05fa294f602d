//! The driver: the one object that an app uses. It reads the clocks, connects recorder and store, and runs sync over
//! the transport.
//!
//! All calls except [`Client::enrol`], [`Client::sync`] and its parts work without a network and without a runtime. A
//! call that saves returns when the save is durable.

mod clocks;
mod commands;
mod conflicts;
mod edit;
mod enrol;
mod identity;
mod outlet_index;
mod photos;
mod progress;
mod queries;
mod reads;
mod reconciliation;
pub(crate) mod rescue;
mod session_stream;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
#[cfg(feature = "simulation")]
mod simulated_link;
mod sync;
mod sync_error;
mod sync_guard;
#[cfg(test)]
mod tests;
mod upload;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngCore;
use xundian_protocol::clock::Clock;
use xundian_protocol::kinds::ClockGrade;

pub use conflicts::{ConflictLine, ConflictSide};
pub use enrol::EnrolError;
pub use identity::IdentityFileError;
pub use photos::{PhotoError, PhotoLine, PhotoState};
pub use progress::{PhotoReport, PushReport, SyncProgress, SyncReport};
pub use queries::{Condition, QUERY_LINES_MAX, Query, QueryError, RecordPage};
pub use reads::{DaySummary, DeviceStatus, PlannedCall, RecordLine};
pub use sync_error::{ConnectionTrouble, SyncError};

use crate::errors::RecordError;
use crate::photos::PhotoFolder;
use crate::recorder::{Author, Moment, Recorder};
use crate::sealing::StoreKey;
use crate::store::{Identity, Save, Store, StoreError};
use crate::transport::{Socket, TlsIdentity};
use identity::DeviceFolder;
use outlet_index::OutletIndex;

/// The store's folder inside a device's home folder.
const STORE_FOLDER: &str = "store";
/// The photos' folder beside it.
const PHOTOS_FOLDER: &str = "photos";

/// A reader of the device's clocks.
pub type Clocks = dyn Fn() -> Moment + Send + Sync;
/// The source of randomness for new ids.
type Chance = dyn Fn() -> Box<dyn RngCore> + Send + Sync;

/// A device: its store, its identity and its connection to the server. It may be shared between threads.
pub struct Client {
    home: DeviceFolder,
    store: Store,
    pictures: PhotoFolder,
    /// Held while picture files are created and removed. It is taken before `recording`.
    handling_pictures: Mutex<()>,
    clocks: Box<Clocks>,
    chance: Box<Chance>,
    /// Held from reading the clock until the save is committed. The holder knows that everything captured earlier is in
    /// the outbox.
    recording: Mutex<()>,
    outlet_index: Mutex<Option<Arc<OutletIndex>>>,
    syncing: AtomicBool,
    /// Kept for its session tickets, which make the next connection cheaper.
    tls: Mutex<Option<TlsIdentity>>,
    /// The socket of a running sync, push or enrolment.
    socket: Mutex<Option<Socket>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("home", &self.home.path()).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens the device in a home folder, or creates a new one there. Recording needs an enrolment first. A new device
    /// is stored unencrypted; [`Self::open_with_key`] seals it.
    ///
    /// # Errors
    /// Returns an error if the store is in use by another process, damaged, of a newer format, or sealed.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        Self::open_at(home, None, Box::new(clocks::system))
    }

    /// Like [`Self::open`], with a key of the host app, from the platform's keystore. Records, outbox and the device's
    /// own key are sealed on disk. A device is sealed from its first opening on, or never. If the key is lost, the
    /// folder's content is lost with it; nothing else opens it.
    ///
    /// # Errors
    /// As [`Self::open`], and if the device is not sealed or is sealed with another key ([`StoreError::trouble`] tells
    /// which). No file is changed then.
    pub fn open_with_key(home: &Path, key: &StoreKey) -> Result<Self, StoreError> {
        Self::open_at(home, Some(key), Box::new(clocks::system))
    }

    /// Like [`Self::open`], with the caller's clocks, for replays and simulations.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_clocks(home: &Path, clocks: Box<Clocks>) -> Result<Self, StoreError> {
        Self::open_at(home, None, clocks)
    }

    fn open_at(home: &Path, key: Option<&StoreKey>, clocks: Box<Clocks>) -> Result<Self, StoreError> {
        let store = Store::open(&home.join(STORE_FOLDER), key)?;
        Ok(Self::on(store, home, clocks, Box::new(|| Box::new(rand::rng()))))
    }

    fn on(store: Store, home: &Path, clocks: Box<Clocks>, chance: Box<Chance>) -> Self {
        let client = Self {
            home: DeviceFolder::new(home, store.cover().clone()),
            pictures: PhotoFolder::new(home.join(PHOTOS_FOLDER), store.cover().clone()),
            handling_pictures: Mutex::new(()),
            store,
            clocks,
            chance,
            recording: Mutex::new(()),
            outlet_index: Mutex::new(None),
            syncing: AtomicBool::new(false),
            tls: Mutex::new(None),
            socket: Mutex::new(None),
        };
        client.tidy_pictures_at_opening();
        client
    }

    /// The device's identity; `None` before it is enrolled.
    pub fn identity(&self) -> Option<Identity> {
        self.store.identity()
    }

    /// Whether a write failed, for example because the disk is full. The client reads and writes nothing more then:
    /// drop it and open the device again.
    pub fn has_stopped(&self) -> bool {
        self.store.has_stopped()
    }

    /// Re-seals the device with another key. The change takes effect at once and writes a few bytes, however much the
    /// store holds. Keep both keys until the call returns: if it is interrupted, the device opens with the old key or
    /// with the new one. An older copy of the folder still opens with the old key.
    ///
    /// # Errors
    /// Returns an error if the device is not sealed, or its folder cannot be written.
    pub fn change_key(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.change_key(key)
    }

    /// Whether a key opens the device in a folder. Only reads, and works while the device is open.
    pub fn opens_with_key(home: &Path, key: &StoreKey) -> bool {
        crate::store::check(&home.join(STORE_FOLDER), Some(key)).is_ok()
    }

    /// Decides one save and commits it.
    fn save<T>(
        &self,
        decide: impl FnOnce(&mut Recorder<'_>, &mut dyn RngCore, Moment) -> Result<(T, Save), RecordError>,
    ) -> Result<T, RecordError> {
        let identity = self.identity().ok_or(RecordError::NotEnrolled)?;
        let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = (self.clocks)();
        let author = self.author(&identity, moment);
        // The store knows the greatest moment that this device ever created or received.
        let mut clock = Clock::resume(self.store.hlc());
        let mut recorder = Recorder::new(author, moment.now_ms, &mut clock, self.store.next_seq());
        let (value, effects) = decide(&mut recorder, &mut (self.chance)(), moment)?;
        self.store.save(Save { ops: recorder.finish(), ..effects })?;
        drop(recording);
        Ok(value)
    }

    fn author(&self, identity: &Identity, moment: Moment) -> Author {
        let last_sync = self.store.last_sync();
        let clock_grade = match last_sync {
            None => ClockGrade::Unverified,
            Some(sync) if sync.boot == moment.boot => ClockGrade::Trusted,
            Some(_) => ClockGrade::Drifted,
        };
        let server_offset_ms = last_sync.map_or(0, |sync| sync.server_offset_ms);
        Author { person: identity.person, device: identity.device, clock_grade, server_offset_ms }
    }

    /// Drops in-memory caches. They are read again when needed.
    pub fn forget_caches(&self) {
        *self.outlet_index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The index of outlets and plans, rebuilt after any of them changed.
    fn outlet_index(&self) -> Result<Arc<OutletIndex>, StoreError> {
        let mut cached = self.outlet_index.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(outlet_index) if outlet_index.is_fresh(&self.store) => Ok(Arc::clone(outlet_index)),
            _ => {
                let outlet_index = Arc::new(OutletIndex::read(&self.store)?);
                *cached = Some(Arc::clone(&outlet_index));
                Ok(outlet_index)
            }
        }
    }
}
