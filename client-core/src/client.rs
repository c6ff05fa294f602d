//! The driver: one object that an app talks to. It reads the clocks, chains recorder and store, and runs
//! sync over the transport.
//!
//! All calls but [`Client::enrol`], [`Client::sync`] and its parts work without a network and without a runtime, and
//! return when what they saved is durable.

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

/// The folder of the store inside a device's home folder.
const STORE_FOLDER: &str = "store";
/// The folder of photos beside it.
const PHOTOS_FOLDER: &str = "photos";

/// What reads the clocks of the device.
pub type Clocks = dyn Fn() -> Moment + Send + Sync;
/// Where the chance in new ids comes from.
type Chance = dyn Fn() -> Box<dyn RngCore> + Send + Sync;

/// A device: its store, its identity and its way to the server. Share it between threads as it is.
pub struct Client {
    home: DeviceFolder,
    store: Store,
    pictures: PhotoFolder,
    /// Held while pictures' files are made and removed; taken before `recording`.
    handling_pictures: Mutex<()>,
    clocks: Box<Clocks>,
    chance: Box<Chance>,
    /// Held from reading the clock to the end of a save. Who holds it knows that nothing captured before
    /// is still on its way into the outbox.
    recording: Mutex<()>,
    outlet_index: Mutex<Option<Arc<OutletIndex>>>,
    syncing: AtomicBool,
    /// Kept for its session tickets, with which the next connection costs less.
    tls: Mutex<Option<TlsIdentity>>,
    /// The one that a running sync, push or enrolment uses.
    socket: Mutex<Option<Socket>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("home", &self.home.path()).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens the device in a home folder, or prepares a new one there. Recording needs an enrolment first. What a new
    /// one keeps lies plain on the disk; [`Self::open_with_key`] seals it.
    ///
    /// # Errors
    /// Returns an error if the store is in use by another program, damaged, of a newer format, or sealed.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        Self::open_at(home, None, Box::new(clocks::system))
    }

    /// The same with a key of the host app's, from the platform's keystore: records, outbox and the device's own key
    /// are sealed on the disk. A device is sealed from its first opening on, or never. Whoever loses the key loses what
    /// is in the folder; nothing else opens it.
    ///
    /// # Errors
    /// As [`Self::open`], and where the device is plain, or sealed with another key ([`StoreError::trouble`] says
    /// which). Then no file was touched.
    pub fn open_with_key(home: &Path, key: &StoreKey) -> Result<Self, StoreError> {
        Self::open_at(home, Some(key), Box::new(clocks::system))
    }

    /// The same as [`Self::open`] with clocks of the caller's, for replays and simulations.
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

    /// Who the device is; `None` before it is enrolled.
    pub fn identity(&self) -> Option<Identity> {
        self.store.identity()
    }

    /// Whether a write failed, for want of room for one. Nothing is read or written any more then: drop the client and
    /// open it again.
    pub fn has_stopped(&self) -> bool {
        self.store.has_stopped()
    }

    /// From here on the device opens with another key. It takes effect at once and writes some bytes, however much the
    /// store holds. Keep both keys until it has returned: where it is interrupted, at whatever point, the device opens
    /// with the old key or with the new one. A copy of the folder from before still opens with the old one.
    ///
    /// # Errors
    /// Returns an error if the device is plain, or its folder cannot be written.
    pub fn change_key(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.store.change_key(key)
    }

    /// Whether a key opens the device in a folder. Reads only, also while the device is open.
    pub fn opens_with_key(home: &Path, key: &StoreKey) -> bool {
        crate::store::check(&home.join(STORE_FOLDER), Some(key)).is_ok()
    }

    /// Decides one save and makes it durable.
    fn save<T>(
        &self,
        decide: impl FnOnce(&mut Recorder<'_>, &mut dyn RngCore, Moment) -> Result<(T, Save), RecordError>,
    ) -> Result<T, RecordError> {
        let identity = self.identity().ok_or(RecordError::NotEnrolled)?;
        let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = (self.clocks)();
        let author = self.author(&identity, moment);
        // The store knows the greatest moment that this device ever made or saw.
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

    /// Lets go of what is held in memory only to be quick. What is needed of it is read again.
    pub fn forget_caches(&self) {
        *self.outlet_index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Outlets and plans by what people name them by, read anew after some of them changed.
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
