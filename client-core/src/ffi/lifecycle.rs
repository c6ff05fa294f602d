//! Hints from the platform about the app's lifecycle.

use super::client::Client;
use super::errors::ClientError;
use super::network::runtime;

/// Hints from the platform. Each is optional: nothing is lost without them.
#[uniffi::export]
impl Client {
    /// Tells the client that the device's network changed. A running sync continues from there, over the same
    /// connection; without the hint it waits in vain and fails. If nothing runs, nothing happens. Returns at once.
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
    /// `Backgrounded`; what it did stays done. When this returns, the store is closed and its folder unlocked, unless
    /// another call has used it meanwhile. Any later call opens it again.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub async fn entering_background(&self) -> Result<(), ClientError> {
        if let Some(core) = self.device.leave()? {
            // Closing the store writes; the app's waiting thread must not do that.
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

    /// The system is short of memory. Caches are dropped, and if nothing runs the store is closed. The next call opens
    /// it again.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn low_memory(&self) -> Result<(), ClientError> {
        if let Some(core) = self.device.at_work()? {
            core.forget_caches();
        }
        if let Some(core) = self.device.rest_if_idle()? {
            // Closing the store writes, and the system calls this on the UI thread.
            drop(runtime()?.spawn_blocking(move || drop(core)));
        }
        Ok(())
    }
}
