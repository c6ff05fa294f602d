//! Signals that the device's state has changed. A change does not wait for observers.

use std::sync::Arc;

use tokio::sync::watch;

/// Signals changes to all subscribers.
#[derive(Clone)]
pub(super) struct Changes(Arc<watch::Sender<()>>);

impl Changes {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(super) fn note(&self) {
        self.0.send_replace(());
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Signals a change when dropped, so that work signals its end however it ends.
pub(super) struct SignalOnDrop(pub(super) Changes);

impl Drop for SignalOnDrop {
    fn drop(&mut self) {
        self.0.note();
    }
}
