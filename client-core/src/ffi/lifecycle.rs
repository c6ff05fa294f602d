//! Hints from the platform: what the app learns of its own life and hands on.

use super::client::Client;
use super::errors::ClientError;
use super::network::runtime;

/// What the platform tells the app. Every one of these may be left out: nothing is lost without them.
#[uniffi::export]
impl Client {
    /// The device's network is another one than before. A running sync goes on from there, over the same connection;
    /// without the hint it waits in vain and ends. Where nothing runs nothing happens. Returns at once.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn network_changed(&self) -> Result<(), ClientError> {
        if let Some(core) = self.device.at_work()? {
            core.network_changed();
        }
        Ok(())
    }

    /// The app leaves the foreground. A running sync, push or enrolment ends at its next step and fails with
    /// `Backgrounded`; what it did stays done. The store is closed and its folder unlocked when this returns, unless
    /// another call wanted it meanwhile. Any later call opens it again by itself.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub async fn entering_background(&self) -> Result<(), ClientError> {
        if let Some(core) = self.device.leave()? {
            // Closing it writes, and the app's thread that waits here has better things to do.
            drop(runtime()?.spawn_blocking(move || drop(core)));
        }
        self.device.folder_is_free().await;
        Ok(())
    }

    /// The app is in the foreground. Opens the store, so that the first call does not have to.
    ///
    /// # Errors
    /// Returns an error if the client was closed or its store does not open.
    pub fn entering_foreground(&self) -> Result<(), ClientError> {
        self.device.core().map(drop)
    }

    /// The system is short of memory. What is held only to be quick is let go of, and where nothing runs the store is
    /// closed with all its caches. The next call opens it again by itself.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn low_memory(&self) -> Result<(), ClientError> {
        if let Some(core) = self.device.at_work()? {
            core.forget_caches();
        }
        if let Some(core) = self.device.rest_if_idle()? {
            // Closing it writes, and the system asks this of the thread that draws.
            drop(runtime()?.spawn_blocking(move || drop(core)));
        }
        Ok(())
    }
}
