//! A data folder that serves sessions in the test's own process, on loopback, with the small company in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use xundian_protocol::invitation::Invitation;
use xundian_server::authority::Authority;
use xundian_server::transport::Listener;
use xundian_server::{Server, sessions};

use super::company;
use super::device::Device;

/// How long invitations are good, unless a test is about that.
pub const HOUR_MS: i64 = 3_600_000;
/// A port of the system's choice on this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server that runs in this process.
pub struct Service {
    folder: TempDir,
    server: Arc<Server>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
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
    #[expect(clippy::unused_async, reason = "the listener needs the runtime that is around")]
    pub async fn resume(folder: TempDir) -> Self {
        let now_ms = sessions::now_ms();
        let server = Arc::new(Server::open(folder.path(), now_ms).expect("a folder of our own"));
        let authority = Authority::open_or_create(&folder.path().join("authority"), now_ms);
        let listener = Listener::bind(LOOPBACK, &authority.expect("an authority")).expect("a free port");
        let address = listener.address();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(sessions::run(Arc::clone(&server), listener, stopped));
        Self { folder, server, address, stop, task }
    }

    /// Ends all sessions, closes the store, and gives the folder back.
    ///
    /// # Panics
    /// Where a session has panicked.
    pub async fn stop(self) -> TempDir {
        self.stop.send_replace(true);
        self.task.await.expect("sessions do not panic");
        self.folder
    }

    /// The server itself.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Where devices connect.
    pub fn address(&self) -> SocketAddr {
        self.address
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
