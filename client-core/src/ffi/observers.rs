//! Observers: callbacks that receive the device's state when it changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::task::AbortHandle;

use super::device::{Device, Found, OpenCore};
use super::errors::{ClientError, ObserverError};
use super::network::runtime;
use crate::client::DeviceStatus;

/// Receives the device's status.
#[uniffi::export(with_foreign)]
pub trait StatusObserver: Send + Sync {
    /// Called on a thread of the library, once at the beginning and after saves and steps of a sync; several changes in
    /// a short time make one call. It may call the client. A failure is ignored.
    ///
    /// # Errors
    /// Returns an error if the app's own code fails.
    fn on_status(&self, status: DeviceStatus) -> Result<(), ObserverError>;
}

/// An observer's subscription. It ends when it is cancelled or dropped, and when the client is closed.
#[derive(Debug, uniffi::Object)]
pub struct Subscription {
    task: AbortHandle,
    is_cancelled: Arc<AtomicBool>,
}

#[uniffi::export]
impl Subscription {
    /// Ends the subscription. A call in progress, or one about to begin, may still complete.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.task.abort();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Calls `tell` with what `find` reads from the device, now and after changes, until the device is closed. One call
/// ends before the next begins; changes in between make one more call. There are no calls while the app is in the
/// background.
pub(super) fn observe<News: 'static>(
    device: &Arc<Device>,
    find: impl Fn(&OpenCore) -> Option<News> + Send + Sync + 'static,
    tell: impl Fn(News) + Send + Sync + 'static,
) -> Result<Subscription, ClientError> {
    let mut changes = device.changes.subscribe();
    let device = Arc::downgrade(device);
    changes.mark_changed();
    let is_cancelled = Arc::new(AtomicBool::new(false));
    let cancelled = Arc::clone(&is_cancelled);
    // Returns `false` once the device is gone.
    let tell_of = Arc::new(move |device: &Weak<Device>| {
        let Some(found) = device.upgrade().map(|device| device.found()) else { return false };
        let news = match &found {
            Found::Open(core) => find(core),
            // The call that opens the store again signals a change.
            Found::Backgrounded => None,
            Found::Closed => return false,
        };
        // The observer may close the client, which must not wait for this reference to the store.
        drop(found);
        if let Some(news) = news.filter(|_| !cancelled.load(Ordering::SeqCst)) {
            tell(news);
        }
        true
    });
    let task = runtime()?.spawn(async move {
        while changes.changed().await.is_ok() {
            let (device, tell_of) = (device.clone(), Arc::clone(&tell_of));
            // Not on the network's thread: a slow observer must not delay a sync.
            match tokio::task::spawn_blocking(move || tell_of(&device)).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => tracing::warn!(%error, "an observer panicked"),
            }
        }
    });
    Ok(Subscription { task: task.abort_handle(), is_cancelled })
}

/// Reads the status for an observer; `None` if it cannot be read.
pub(super) fn find_status(core: &OpenCore) -> Option<DeviceStatus> {
    let status = core.status();
    status.inspect_err(|error| tracing::warn!(%error, "the status cannot be read for an observer")).ok()
}

/// Calls one observer with the status.
pub(super) fn tell_status(status: DeviceStatus, observer: &dyn StatusObserver) {
    if let Err(error) = observer.on_status(status) {
        tracing::warn!(%error, "a status observer failed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_subscription_cancelled_during_a_read_reports_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = Arc::new(Device::open(folder.path().into(), None).expect("opens"));
        let ((finds, finding), (go_on, gone_on)) = (mpsc::channel(), mpsc::channel::<()>());
        let (gone_on, (told, tells)) = (std::sync::Mutex::new(gone_on), mpsc::channel());
        let find = move |_: &OpenCore| {
            finds.send(()).ok()?;
            gone_on.lock().ok()?.recv().ok()
        };
        let subscription = observe(&device, find, move |()| _ = told.send(()));
        let subscription = subscription.expect("a runtime");
        finding.recv().expect("the read begins");
        subscription.cancel();
        go_on.send(()).expect("the read continues");
        // The sender is dropped with the task.
        assert_eq!(tells.recv(), Err(mpsc::RecvError), "nothing is reported");
    }
}
