//! The interface for apps in other languages, against a real server: observed lists, hints from the platform, and many
//! threads at once.

mod life;
mod live;
mod stress;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tempfile::TempDir;
use xundian_client::ffi::Client;
use xundian_tests::support::DEADLINE;
use xundian_tests::support::service::{self, Service};

/// A device as an app uses it.
struct App {
    client: Arc<Client>,
    folder: TempDir,
}

impl App {
    /// Enrols a device of a person, and syncs once.
    async fn enrol(service: &Service, person: &str) -> Self {
        Self::enrol_at(&service.invitation(person), None).await
    }

    /// Enrols a device with an invitation and optionally a key, and syncs once.
    async fn enrol_at(invitation: &str, key: Option<Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let client = Client::open(folder.path().display().to_string(), key).expect("opens");
        client.enrol(invitation.to_owned(), "phone".into()).await.expect("the invitation is good");
        client.sync(None).await.expect("synced");
        Self { client: Arc::new(client), folder }
    }
}

/// Returns an invitation for a person with a relay's address.
fn invitation_at(service: &Service, address: std::net::SocketAddr, person: &str) -> String {
    service::invitation(service.server(), address, person, service::HOUR_MS)
}

/// The values that an observer received, in order.
struct Received<T>(Mutex<Vec<T>>);

impl<T: Clone> Received<T> {
    fn nothing() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::new())))
    }

    fn hear(&self, what: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the last received value fulfils a condition.
    async fn until(&self, what: &str, is_meant: impl Fn(&T) -> bool) -> T {
        let start = Instant::now();
        loop {
            if let Some(last) = self.all().pop().filter(|last| is_meant(last)) {
                return last;
            }
            assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
