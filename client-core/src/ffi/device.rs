//! The device behind the client: its store, open while the app works with it and closed while the app is in the
//! background. Any call opens it again.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::changes::Changes;
use super::errors::ClientError;
use super::network::runtime;
use crate::client::Client as Core;
use crate::sealing::StoreKey;

/// How long a call waits for a store that is being closed.
const FOLDER_RELEASE_WAIT_MAX: Duration = Duration::from_secs(3);
const LETTING_GO_CHECK: Duration = Duration::from_millis(1);

/// A device and its key. The key stays in memory until the device is closed, and is wiped then.
pub(super) struct Device {
    folder: PathBuf,
    /// `None` after the device was closed. The holder of the lock may be opening the store.
    state: Mutex<Option<OpenState>>,
    /// The store opened last, while a call still uses it; `None` after the device was closed.
    last: Mutex<Option<Weak<OpenCore>>>,
    /// Ends running network work.
    backgrounded: watch::Sender<()>,
    /// Signals that the store was opened, reused, or closed for good.
    reopened_or_closed: watch::Sender<()>,
    pub(super) changes: Changes,
}

struct OpenState {
    key: Option<StoreKey>,
    /// The open store; `None` while the app is in the background.
    core: Option<Arc<OpenCore>>,
    /// Closes when the store opened last has released the folder.
    folder_released: watch::Receiver<()>,
    openings: u64,
}

/// An open store.
pub(super) struct OpenCore {
    core: Core,
    /// The number of this opening of the folder, from 1.
    pub(super) opening: u64,
    // Fields drop in this order: this one signals that the folder is free, after the store has closed its files.
    _folder_released: watch::Sender<()>,
}

impl Deref for OpenCore {
    type Target = Core;
    fn deref(&self) -> &Core {
        &self.core
    }
}

/// The store for network work, and the signal that ends the work.
pub(super) type Work = (Arc<OpenCore>, watch::Receiver<()>);

/// The store as an observer finds it.
pub(super) enum Found {
    /// The store is open.
    Open(Arc<OpenCore>),
    /// Nothing to report: the app is in the background.
    Backgrounded,
    /// Nothing to report any more.
    Closed,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub(super) fn open(folder: PathBuf, key: Option<StoreKey>) -> Result<Self, ClientError> {
        let (_, folder_released) = watch::channel(());
        let state = OpenState { key, core: None, folder_released, openings: 0 };
        let device = Self {
            folder,
            state: Mutex::new(Some(state)),
            last: Mutex::new(Some(Weak::new())),
            backgrounded: watch::Sender::new(()),
            reopened_or_closed: watch::Sender::new(()),
            changes: Changes::new(),
        };
        device.core()?;
        Ok(device)
    }

    /// Returns the store. Opens it first if it is closed for the background.
    ///
    /// # Errors
    /// Returns an error if the device was closed or its store does not open. The next call tries again.
    pub(super) fn core(&self) -> Result<Arc<OpenCore>, ClientError> {
        self.ensure_open(&mut self.state())
    }

    /// Returns the store for network work, and the signal that ends the work. If the store must be opened first, a
    /// thread of the library does so.
    ///
    /// # Errors
    /// As [`Self::core`].
    pub(super) async fn core_for_work(self: &Arc<Self>) -> Result<Work, ClientError> {
        let backgrounded = self.backgrounded.subscribe();
        if let Ok(mut state) = self.state.try_lock()
            && let Some(OpenState { core: Some(core), .. }) = &*state
            && !core.has_stopped()
        {
            return self.work(&mut state, backgrounded);
        }
        let device = Arc::clone(self);
        let opened = runtime()?.spawn_blocking(move || device.work(&mut device.state(), backgrounded));
        opened.await.map_err(ClientError::internal)?
    }

    fn work(
        &self,
        state: &mut Option<OpenState>,
        mut backgrounded: watch::Receiver<()>,
    ) -> Result<Work, ClientError> {
        // The app may have gone to the background since the call.
        if backgrounded.has_changed().is_ok_and(|has_left| has_left) {
            return Err(ClientError::backgrounded());
        }
        let core = self.ensure_open(state)?;
        // Still under the lock: the signal so far ended other work so that the store could be opened. A signal from
        // here on is for this work.
        backgrounded.mark_unchanged();
        Ok((core, backgrounded))
    }

    /// Returns the store as an observer finds it now.
    pub(super) fn found(&self) -> Found {
        match &*self.state() {
            None => Found::Closed,
            Some(OpenState { core: None, .. }) => Found::Backgrounded,
            Some(OpenState { core: Some(core), .. }) => Found::Open(Arc::clone(core)),
        }
    }

    /// Returns the store that is open or still in use, if there is one.
    ///
    /// # Errors
    /// Returns an error if the device was closed.
    pub(super) fn at_work(&self) -> Result<Option<Arc<OpenCore>>, ClientError> {
        self.last().as_ref().map(Weak::upgrade).ok_or_else(ClientError::closed)
    }

    /// Replaces the key that the device was opened with.
    ///
    /// # Errors
    /// As [`Core::change_key`].
    pub(super) fn change_key(&self, key: StoreKey) -> Result<(), ClientError> {
        let mut state = self.state();
        let core = self.ensure_open(&mut state)?;
        let changed = core.change_key(&key);
        // A change that failed at its end may have installed the new key.
        if let Some(state) = state.as_mut()
            && (changed.is_ok() || Core::opens_with_key(&self.folder, &key))
        {
            state.key = Some(key);
        }
        Ok(changed?)
    }

    /// Ends running work, and returns the store for the caller to drop.
    ///
    /// # Errors
    /// Returns an error if the device was closed.
    pub(super) fn leave(&self) -> Result<Option<Arc<OpenCore>>, ClientError> {
        let mut state = self.state();
        let core = state.as_mut().ok_or_else(ClientError::closed)?.core.take();
        self.backgrounded.send_replace(());
        Ok(core)
    }

    /// Returns the store for the caller to drop, if nothing runs.
    ///
    /// # Errors
    /// Returns an error if the device was closed.
    pub(super) fn rest_if_idle(&self) -> Result<Option<Arc<OpenCore>>, ClientError> {
        // If the lock is state, a call is opening the store and needs it.
        let Ok(mut state) = self.state.try_lock() else { return Ok(None) };
        let state = state.as_mut().ok_or_else(ClientError::closed)?;
        Ok(state.core.take_if(|core| !core.is_syncing()))
    }

    /// Waits until the folder is free, or is opened again.
    pub(super) async fn folder_is_free(&self) {
        let mut reopened_or_closed = self.reopened_or_closed.subscribe();
        let mut folder_released = match &*self.state() {
            Some(OpenState { core: None, folder_released, .. }) => folder_released.clone(),
            _ => return,
        };
        tokio::select! {
            // Nothing is ever sent, so this is the closing of the channel.
            _ = folder_released.changed() => {}
            _ = reopened_or_closed.changed() => {}
        }
    }

    /// Closes the device for good.
    pub(super) fn close(&self) {
        let state = self.state().take();
        *self.last() = None;
        self.reopened_or_closed.send_replace(());
        // Observers see that it is closed.
        self.changes.note();
        let Some(OpenState { core, folder_released, .. }) = state else { return };
        let is_syncing = core.as_ref().is_some_and(|core| core.is_syncing());
        drop(core);
        // The next opening of the folder finds it free, unless a sync still runs.
        if !is_syncing {
            wait_until_free(&folder_released);
        }
    }

    fn ensure_open(&self, state: &mut Option<OpenState>) -> Result<Arc<OpenCore>, ClientError> {
        let state = state.as_mut().ok_or_else(ClientError::closed)?;
        // A store that failed to write, such as on a full disk, is unusable. Opened again it has what was acknowledged,
        // and can write if there is room.
        state.core.take_if(|core| core.has_stopped());
        if let Some(core) = &state.core {
            return Ok(Arc::clone(core));
        }
        // A store that a call still uses is reused: a folder cannot be opened twice.
        let last = self.last().as_ref().and_then(Weak::upgrade);
        if last.as_ref().is_some_and(|core| core.has_stopped()) {
            // Work that still uses it cannot succeed, and would keep the folder until it noticed.
            self.backgrounded.send_replace(());
        }
        let core = match last.filter(|core| !core.has_stopped()) {
            Some(core) => core,
            None => self.open_again(state)?,
        };
        state.core = Some(Arc::clone(&core));
        self.reopened_or_closed.send_replace(());
        self.changes.note();
        Ok(core)
    }

    fn open_again(&self, state: &mut OpenState) -> Result<Arc<OpenCore>, ClientError> {
        wait_until_free(&state.folder_released);
        let core = match &state.key {
            None => Core::open(&self.folder)?,
            Some(key) => Core::open_with_key(&self.folder, key)?,
        };
        let (sender, folder_released) = watch::channel(());
        state.openings += 1;
        let core = Arc::new(OpenCore { core, opening: state.openings, _folder_released: sender });
        if let Some(last) = self.last().as_mut() {
            *last = Arc::downgrade(&core);
        }
        state.folder_released = folder_released;
        Ok(core)
    }

    fn state(&self) -> MutexGuard<'_, Option<OpenState>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Option<Weak<OpenCore>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits a bounded time for a folder that is being released.
fn wait_until_free(folder_released: &watch::Receiver<()>) {
    let deadline = Instant::now() + FOLDER_RELEASE_WAIT_MAX;
    while folder_released.has_changed().is_ok() && Instant::now() < deadline {
        std::thread::sleep(LETTING_GO_CHECK);
    }
}
