//! A complete server in this process: sessions, console and administration on one data folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use xundian_protocol::ids::PersonId;
use xundian_protocol::invitation::{Invitation, InvitationError};
use xundian_server::enrolment::InviteError;
use xundian_server::serve::{Config, Running, ServeError, start};
use xundian_server::{Server, sessions};

/// How long invitations are valid.
const INVITATION_MS: i64 = 3_600_000;

/// Why the server or an invitation to it failed.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The person cannot be invited.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The server's address does not fit an invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
}

/// A running server.
pub struct Serving {
    running: Running,
}

impl Serving {
    /// Opens or creates a data folder, and serves it on loopback. Port 0 lets the system choose.
    ///
    /// # Errors
    /// Returns an error if the folder or the port cannot be used.
    pub async fn start(data: &Path, port: u16) -> Result<Self, ServingError> {
        let on = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let running =
            start(&Config { data: data.to_owned(), http: on(0), quic: on(port), photos: None }).await?;
        Ok(Self { running })
    }

    /// Returns the server itself.
    pub fn server(&self) -> &Arc<Server> {
        &self.running.server
    }

    /// Returns the address to which devices connect.
    pub fn address(&self) -> SocketAddr {
        self.running.quic
    }

    /// Invites one device of a person, and returns the invitation as text.
    ///
    /// # Errors
    /// Returns an error if nobody with that id is active.
    pub fn invitation(&self, person: PersonId) -> Result<String, ServingError> {
        let new = self.server().invite(person, INVITATION_MS, "benchmark", sessions::now_ms())?;
        let address = self.address().to_string();
        Ok(Invitation::new(address, new.authority_fingerprint, new.secret)?.to_string())
    }

    /// Stops serving: ends all sessions and waits for them. Returns the server, still open.
    pub async fn stop(self) -> Arc<Server> {
        let server = Arc::clone(self.server());
        self.running.stop().await;
        server
    }
}
