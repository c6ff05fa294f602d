//! A server in the test's own process with the small company in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use xundian_protocol::invitation::Invitation;
use xundian_server::{Server, sessions};

use super::company;
use super::copy_folder;
use super::device::Device;
use crate::serving::Serving;

/// How long invitations are good, unless a test is about that.
pub const HOUR_MS: i64 = 3_600_000;

/// A server that runs in this process, as `serve` runs it.
pub struct Service {
    folder: TempDir,
    serving: Serving,
}

impl Service {
    /// Serves the small company.
    ///
    /// # Panics
    /// Where the server does not start.
    pub async fn start() -> Self {
        let service = Self::resume(tempfile::tempdir().expect("a folder")).await;
        company::found(service.server());
        service
    }

    /// Serves a folder as it is.
    ///
    /// # Panics
    /// Where the server does not start.
    pub async fn resume(folder: TempDir) -> Self {
        let serving = Serving::start(folder.path(), 0).await.expect("a folder of our own and free ports");
        Self { folder, serving }
    }

    /// Puts what was laid aside in the place of the folder, as an operator does whose disk has failed, and serves that
    /// where it was served before.
    ///
    /// # Panics
    /// Where there is no room, or the server does not start.
    pub async fn restore(self, backup: &Path) -> Self {
        let port = self.address().port();
        let folder = self.stop().await;
        std::fs::remove_dir_all(folder.path()).expect("a folder of our own");
        copy_folder(backup, folder.path());
        let serving = Serving::start(folder.path(), port).await.expect("the port was ours");
        Self { folder, serving }
    }

    /// A copy of the folder as it is while nobody serves it. The same is served again.
    ///
    /// # Panics
    /// Where there is no room, or the server does not start.
    pub async fn back_up(self) -> (Self, TempDir) {
        let port = self.address().port();
        let folder = self.stop().await;
        let backup = tempfile::tempdir().expect("a folder");
        copy_folder(folder.path(), backup.path());
        let serving = Serving::start(folder.path(), port).await.expect("the port was ours");
        (Self { folder, serving }, backup)
    }

    /// Ends all sessions, closes the store, and gives the folder back.
    pub async fn stop(self) -> TempDir {
        drop(self.serving.stop().await);
        self.folder
    }

    /// The server itself.
    pub fn server(&self) -> &Arc<Server> {
        self.serving.server()
    }

    /// Where devices connect.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An invitation for a person, good for an hour.
    pub fn invitation(&self, person: &str) -> String {
        invitation(self.server(), self.address(), person, HOUR_MS)
    }

    /// A new device of a person, which has synced once.
    pub async fn device(&self, person: &str) -> Device {
        let device = Device::enrol(&self.invitation(person), person).await;
        device.sync().await;
        device
    }

    /// Fails with what `verify` finds.
    ///
    /// # Panics
    /// Where a figure is not what its records add up to.
    pub fn verify(&self) {
        let report = self.server().verify().expect("a readable store");
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
}

/// An invitation of a server at an address; `valid_ms` may be negative.
///
/// # Panics
/// Where the person does not work here.
pub fn invitation(server: &Server, address: SocketAddr, person: &str, valid_ms: i64) -> String {
    let new = server
        .invite(company::person(person), valid_ms, "test", sessions::now_ms())
        .expect("somebody of the company");
    let invitation = Invitation::new(address.to_string(), new.authority_fingerprint, new.secret);
    invitation.expect("a host and a port").to_string()
}
