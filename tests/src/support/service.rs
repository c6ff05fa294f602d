//! A served data folder in the test's own process, on loopback, with the small company in it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use xundian_protocol::invitation::Invitation;
use xundian_server::serve::{Config, Running, start};
use xundian_server::{Server, sessions};

use super::company;
use super::device::Device;

const HOUR_MS: i64 = 3_600_000;

/// A server that runs in this process.
pub struct Service {
    folder: TempDir,
    running: Running,
}

/// The system's choice of a port on this machine.
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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
        let config = Config { data: folder.path().to_owned(), http: LOOPBACK, quic: LOOPBACK };
        let running = start(&config).await.expect("a free folder and free ports are all it takes");
        Self { folder, running }
    }

    /// Stops it, and gives its folder back.
    pub async fn stop(self) -> TempDir {
        self.running.stop().await;
        self.folder
    }

    /// The server itself.
    pub fn server(&self) -> &Arc<Server> {
        &self.running.server
    }

    /// Where devices connect.
    pub fn address(&self) -> SocketAddr {
        self.running.quic
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
    let new = server.invite(company::person(person), valid_ms, sessions::now_ms()).expect("somebody of the company");
    let invitation = Invitation::new(address.to_string(), new.authority_fingerprint, new.secret);
    invitation.expect("a host and a port").to_string()
}
