//! A server in the test's process, with the small company in it.

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

/// The validity of an invitation, unless a test is about that.
pub const HOUR_MS: i64 = 3_600_000;

/// A server that runs in this process as `serve` runs it.
pub struct Service {
    folder: TempDir,
    serving: Serving,
}

impl Service {
    /// Starts a server with the small company.
    ///
    /// # Panics
    /// Panics if the server does not start.
    pub async fn start() -> Self {
        let service = Self::resume(tempfile::tempdir().expect("a folder")).await;
        company::found(service.server());
        service
    }

    /// Starts a server on an existing folder.
    ///
    /// # Panics
    /// Panics if the server does not start.
    pub async fn resume(folder: TempDir) -> Self {
        let serving = Serving::start(folder.path(), 0).await.expect("a folder of our own and free ports");
        Self { folder, serving }
    }

    /// Replaces the data folder by a backup, as an operator does after a disk failure, and serves it on the same
    /// port.
    ///
    /// # Panics
    /// Panics if the backup cannot be copied, or the server does not start.
    pub async fn restore(self, backup: &Path) -> Self {
        let port = self.address().port();
        let folder = self.stop().await;
        std::fs::remove_dir_all(folder.path()).expect("a folder of our own");
        copy_folder(backup, folder.path());
        let serving = Serving::start(folder.path(), port).await.expect("the port was ours");
        Self { folder, serving }
    }

    /// Stops the server, copies its folder, and starts it again on the same port. Returns the server and the copy.
    ///
    /// # Panics
    /// Panics if the folder cannot be copied, or the server does not start.
    pub async fn back_up(self) -> (Self, TempDir) {
        let port = self.address().port();
        let folder = self.stop().await;
        let backup = tempfile::tempdir().expect("a folder");
        copy_folder(folder.path(), backup.path());
        let serving = Serving::start(folder.path(), port).await.expect("the port was ours");
        (Self { folder, serving }, backup)
    }

    /// Ends all sessions, closes the store, and returns the folder.
    pub async fn stop(self) -> TempDir {
        drop(self.serving.stop().await);
        self.folder
    }

    /// Returns the server itself.
    pub fn server(&self) -> &Arc<Server> {
        self.serving.server()
    }

    /// Returns the address to which devices connect.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Returns the data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns an invitation for a person that is valid for an hour.
    pub fn invitation(&self, person: &str) -> String {
        invitation(self.server(), self.address(), person, HOUR_MS)
    }

    /// Enrols a new device of a person, and syncs once.
    pub async fn device(&self, person: &str) -> Device {
        let device = Device::enrol(&self.invitation(person), person).await;
        device.sync().await;
        device
    }

    /// Checks that `verify` finds nothing.
    ///
    /// # Panics
    /// Panics if a figure differs from the sum of its records.
    pub fn verify(&self) {
        let report = self.server().verify().expect("a readable store");
        assert!(report.is_clean(), "{:#?}", report.findings);
    }
}

/// Returns an invitation to a server at an address. `valid_ms` may be negative.
///
/// # Panics
/// Panics if the person is not active.
pub fn invitation(server: &Server, address: SocketAddr, person: &str, valid_ms: i64) -> String {
    let new = server
        .invite(company::person(person), valid_ms, "test", sessions::now_ms())
        .expect("somebody of the company");
    let invitation = Invitation::new(address.to_string(), new.authority_fingerprint, new.secret);
    invitation.expect("a host and a port").to_string()
}
