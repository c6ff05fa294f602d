//! Tells observers when the device's state changes.

use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::device::{Device, Found, OpenCore};
use super::errors::{ClientError, ObserverError};
use super::network::runtime;
use crate::client::DeviceStatus;

/// Is told how the device stands.
#[uniffi::export(with_foreign)]
pub trait StatusObserver: Send + Sync {
    /// Called on a thread of the library, once at the beginning and after saves and steps of a sync; several
    /// changes in a short time make one call. It may call the client. A failure is logged and ends nothing.
    ///
    /// # Errors
    /// Where the app's own code fails.
    fn on_status(&self, status: DeviceStatus) -> Result<(), ObserverError>;
}

/// An observer's subscription. It ends when it is cancelled or let go of, and when the client is closed.
#[derive(Debug, uniffi::Object)]
pub struct Subscription(AbortHandle);

#[uniffi::export]
impl Subscription {
    /// Ends it. A call that has begun may still come to its end.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Notes that something changed. Whoever changes something does not wait for observers.
#[derive(Clone)]
pub(super) struct Changes(Arc<watch::Sender<()>>);

impl Changes {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(super) fn note(&self) {
        self.0.send_replace(());
    }

    /// Tells somebody of the device now and after changes, until the device is gone. One telling ends before the next
    /// begins, and what changes meanwhile makes one more. Nobody is told while the app is in the background.
    pub(super) fn observe(
        &self,
        device: Weak<Device>,
        tell: impl Fn(Arc<OpenCore>) + Send + Sync + 'static,
    ) -> Result<Subscription, ClientError> {
        let mut changes = self.0.subscribe();
        changes.mark_changed();
        let tell = Arc::new(tell);
        let task = runtime()?.spawn(async move {
            while changes.changed().await.is_ok() {
                let (device, tell) = (device.clone(), Arc::clone(&tell));
                // Not on the network's thread: an observer that takes its time holds up no sync.
                match tokio::task::spawn_blocking(move || tell_of(&device, &*tell)).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => tracing::warn!(%error, "an observer panicked"),
                }
            }
        });
        Ok(Subscription(task.abort_handle()))
    }
}

/// Notes a change when it is let go of: at the end of work, however it ends.
pub(super) struct NotesItsEnd(pub(super) Changes);

impl Drop for NotesItsEnd {
    fn drop(&mut self) {
        self.0.note();
    }
}

/// Returns whether there is a device to tell of.
fn tell_of(device: &Weak<Device>, tell: &impl Fn(Arc<OpenCore>)) -> bool {
    let Some(device) = device.upgrade() else { return false };
    let found = device.found();
    // Whoever is told may close the client.
    drop(device);
    match found {
        Found::Open(core) => tell(core),
        // The first call that opens the store again notes a change.
        Found::Resting => {}
        Found::Closed => return false,
    }
    true
}

/// Tells one observer the status.
pub(super) fn tell_status(core: Arc<OpenCore>, observer: &dyn StatusObserver) {
    let status = core.status();
    // The observer may close the client, which then closes at once.
    drop(core);
    match status {
        Ok(status) => {
            if let Err(error) = observer.on_status(status) {
                tracing::warn!(%error, "a status observer failed");
            }
        }
        Err(error) => tracing::warn!(%error, "the status cannot be read for an observer"),
    }
}
