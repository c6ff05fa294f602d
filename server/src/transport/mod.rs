//! The server's side of the network: a QUIC listener and the devices that connect to it.
//!
//! Owns quinn and TLS. Ignores the content of frames and whether a device is admitted: it passes on the number in the
//! certificate that TLS verified, and the application decides, for every connection. A resumed session presents the
//! certificate of its first handshake, so the application must check revocation and [`DeviceCertificate::not_after_ms`]
//! itself. No type of quinn or rustls leaves this module.

mod frames;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::authority::{Authority, AuthorityError, DeviceCertificate, device_certificate};

pub use frames::{FrameStream, StreamError};
pub use tls::TlsSetupError;

/// How long a device may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most concurrent handshakes. Further ones wait in quinn's bounded buffer.
const HANDSHAKES_MAX: usize = 256;
/// From this many handshakes on, an address must be validated first, so that forged ones take no place.
const HANDSHAKES_UNPROVEN_MAX: usize = HANDSHAKES_MAX / 2;
/// Connected peers that the application has not accepted yet.
const PEERS_WAITING_MAX: usize = 64;
/// How long the listener stays to tell peers that it closes.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

const STOPPING_REASON: &str = "the server is stopping: connect again in a minute";

/// The code that peers see when the server stops.
pub const CLOSE_SERVER_STOPPING: u32 = 1;
/// The code for a peer whose certificate is of the authority but not a device's.
pub const CLOSE_NOT_A_DEVICE: u32 = 2;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The certificates do not make a valid TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// The address is unavailable.
    #[error(
        "cannot listen on UDP {address}: {source}. Stop what else uses the port, or choose another one in the configuration"
    )]
    Socket {
        /// The requested address.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// A peer's connection has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the connection to {remote} is gone ({detail}): the device connects again by itself")]
pub struct PeerGone {
    /// The peer's address.
    pub remote: SocketAddr,
    /// How it ended.
    pub detail: String,
}

/// Listens for devices. A misbehaving one does not affect the others.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    peers: mpsc::Receiver<Peer>,
    acceptor: JoinHandle<()>,
}

impl Listener {
    /// Listens on a UDP address. Call it inside a tokio runtime.
    pub fn bind(address: SocketAddr, authority: &Authority) -> Result<Self, BindError> {
        let config = tls::server_config(authority)?;
        let socket = |source| BindError::Socket { address, source };
        let endpoint = quinn::Endpoint::server(config, address).map_err(socket)?;
        let address = endpoint.local_addr().map_err(socket)?;
        let (sender, peers) = mpsc::channel(PEERS_WAITING_MAX);
        let acceptor = tokio::spawn(accept_handshakes(endpoint.clone(), sender));
        Ok(Self { endpoint, address, peers, acceptor })
    }

    /// The bound address, with the port that the system chose if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next peer whose handshake is complete; `None` once the listener has stopped. Cancel-safe: no peer is lost.
    pub async fn accept(&mut self) -> Option<Peer> {
        self.peers.recv().await
    }

    /// Stops: refuses new connections at once, gives open ones up to `grace` to end by themselves, then closes the rest
    /// with [`CLOSE_SERVER_STOPPING`].
    pub async fn shutdown(mut self, grace: Duration) {
        // The acceptor sees this and refuses new connections.
        self.peers.close();
        while let Ok(peer) = self.peers.try_recv() {
            peer.close(CLOSE_SERVER_STOPPING, STOPPING_REASON);
        }
        let open = self.endpoint.open_connections();
        if tokio::time::timeout(grace, self.endpoint.wait_idle()).await.is_err() {
            tracing::info!(
                open_at_first = open,
                left = self.endpoint.open_connections(),
                "closing connections that did not end in time"
            );
        }
        self.endpoint.close(CLOSE_SERVER_STOPPING.into(), STOPPING_REASON.as_bytes());
        if tokio::time::timeout(FAREWELL_TIMEOUT, self.endpoint.wait_idle()).await.is_err() {
            tracing::debug!("some peers were not told that the server stops; they notice by themselves");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// A connected device, or a connection that wants to enrol one. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The content of its certificate; `None` without one: then it may only enrol.
    pub device: Option<DeviceCertificate>,
    /// The address it connected from; it may migrate later.
    pub remote: SocketAddr,
    connection: quinn::Connection,
}

impl Peer {
    /// The number in its certificate.
    pub fn device_no(&self) -> Option<u32> {
        self.device.as_ref().map(|device| device.device_no)
    }

    /// The next stream that the device opens.
    pub async fn accept_stream(&self) -> Result<FrameStream, PeerGone> {
        self.connection.accept_bi().await.map(FrameStream::new).map_err(|error| self.gone(&error))
    }

    /// Closes the connection at once; the device sees the code and the reason. Unacknowledged data is dropped: finish
    /// the streams and await `delivered` first if that matters.
    pub fn close(&self, code: u32, reason: &str) {
        self.connection.close(code.into(), reason.as_bytes());
    }

    /// Waits until the connection has ended and returns how it ended.
    pub async fn closed(&self) -> PeerGone {
        self.gone(&self.connection.closed().await)
    }

    fn gone(&self, error: &quinn::ConnectionError) -> PeerGone {
        PeerGone { remote: self.remote, detail: error.to_string() }
    }
}

/// Takes a permit first and a handshake then, so that excess handshakes wait outside.
async fn accept_handshakes(endpoint: quinn::Endpoint, peers: mpsc::Sender<Peer>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let place = tokio::select! {
            () = peers.closed() => return refuse_all(&endpoint).await,
            place = places.clone().acquire_owned() => place,
        };
        // The semaphore is never closed, and an endpoint ends only when it is.
        let Ok(place) = place else { return };
        let incoming = tokio::select! {
            () = peers.closed() => return refuse_all(&endpoint).await,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let busy = places.available_permits() < HANDSHAKES_MAX - HANDSHAKES_UNPROVEN_MAX;
        if busy && incoming.may_retry() {
            let remote = incoming.remote_address();
            if let Err(error) = incoming.retry() {
                tracing::debug!(%remote, %error, "could not ask for a proof of address");
            }
            continue;
        }
        tokio::spawn(shake_hands(incoming, peers.clone(), place));
    }
}

/// Refuses connections while the server stops: devices learn at once that they should retry later.
async fn refuse_all(endpoint: &quinn::Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        incoming.refuse();
    }
}

/// Completes one handshake. Every failure is logged here and affects nobody else.
async fn shake_hands(incoming: quinn::Incoming, peers: mpsc::Sender<Peer>, place: OwnedSemaphorePermit) {
    let remote = incoming.remote_address();
    let handshake = async { incoming.accept()?.await };
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::info!(%remote, %error, "a handshake failed");
            return;
        }
        Err(_) => {
            tracing::info!(%remote, "a handshake took too long");
            return;
        }
    };
    let device = match device_of(&connection) {
        Ok(device) => device,
        Err(error) => {
            tracing::warn!(%remote, %error, "a certificate of this authority is not a device's");
            connection
                .close(CLOSE_NOT_A_DEVICE.into(), b"the certificate is not a device's: enrol this device");
            return;
        }
    };
    let peer = Peer { device, remote, connection };
    if let Err(mpsc::error::SendError(peer)) = peers.send(peer).await {
        peer.close(CLOSE_SERVER_STOPPING, STOPPING_REASON);
    }
    // Held until the application has accepted the peer: a slow application slows handshakes instead of filling memory.
    drop(place);
}

fn device_of(connection: &quinn::Connection) -> Result<Option<DeviceCertificate>, AuthorityError> {
    let Some(identity) = connection.peer_identity() else {
        return Ok(None);
    };
    let certificate = identity
        .downcast_ref::<Vec<CertificateDer<'static>>>()
        .and_then(|chain| chain.first())
        .ok_or_else(|| AuthorityError::NotADevice { detail: "TLS gave no certificate".to_owned() })?;
    device_certificate(certificate).map(Some)
}
