//! A server of a data folder that serves sessions over QUIC, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use xundian_protocol::ids::PersonId;
use xundian_protocol::invitation::{Invitation, InvitationError};
use xundian_server::authority::{Authority, AuthorityError};
use xundian_server::enrolment::InviteError;
use xundian_server::transport::{BindError, Listener};
use xundian_server::{OpenError, Server, sessions};

/// How long an invitation of a test is good.
const INVITATION_MS: i64 = 3_600_000;

/// Why there is no server, or no invitation to it.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The data folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The person invited.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The address in an invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
}

/// A server that serves sessions until it is stopped.
pub struct Serving {
    /// The server.
    pub server: Arc<Server>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Opens a data folder, or makes one, and serves it. Port 0 lets the system choose.
    ///
    /// # Errors
    /// Where the folder or the address cannot be used.
    pub async fn start(data: &Path, address: SocketAddr) -> Result<Self, ServingError> {
        let now_ms = sessions::now_ms();
        let server = Arc::new(tokio::task::block_in_place(|| Server::open(data, now_ms))?);
        let authority = Authority::open_or_create(&data.join("authority"), now_ms)?;
        let listener = Listener::bind(address, &authority)?;
        let address = listener.address();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(sessions::run(Arc::clone(&server), listener, stopped));
        Ok(Self { server, address, stop, task })
    }

    /// An invitation for one device of a person, as text.
    ///
    /// # Errors
    /// Where nobody of that id works here.
    pub fn invitation(&self, person: PersonId) -> Result<String, ServingError> {
        let new = self.server.invite(person, INVITATION_MS, sessions::now_ms())?;
        Ok(Invitation::new(self.address.to_string(), new.authority_fingerprint, new.secret)?.to_string())
    }

    /// Ends all sessions and waits for it.
    ///
    /// # Panics
    /// Where a session has panicked.
    pub async fn stop(self) -> Arc<Server> {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            std::panic::resume_unwind(error.into_panic());
        }
        self.server
    }
}
