//! The device's network: one QUIC connection to the server.
//!
//! Owns quinn, rustls and the device's key. Does not know what frames mean, when to sync or when to retry, and keeps
//! nothing on disk. No type of quinn, rustls or rcgen leaves this module.

mod frames;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub(crate) use frames::{FrameStream, StreamError};
pub(crate) use tls::{DeviceKey, TlsIdentity, TlsIdentityError};

/// How long the handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to answer a frame. It answers within a second unless something is wrong.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long closing waits for its last packet to be sent, and how often it checks. Unless the device is busy, the
/// packet is sent at once.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(10);
const CLOSE_CHECK: Duration = Duration::from_millis(1);
/// The close code of a normal end.
const CLOSE_DONE: u32 = 0;
/// The server's close code for stopping: `CLOSE_SERVER_STOPPING` in its `transport`.
const CLOSE_SERVER_STOPPING: u32 = 1;
/// The server's close code if it has no room for the connection.
const CLOSE_BUSY: u32 = 5;
/// QUIC carries TLS alerts as these error codes (RFC 9001, section 4.8).
const QUIC_TLS_ALERTS: std::ops::RangeInclusive<u64> = 0x100..=0x1FF;
/// QUIC's own codes of a server that accepts no connection now (RFC 9000, section 20.1).
const QUIC_CONNECTION_REFUSED: u64 = 0x02;
const QUIC_APPLICATION_ERROR: u64 = 0x0C;
/// The most characters of a reason that are shown and logged.
const REASON_CHARS_MAX: usize = 300;

/// The cause of a connection error, by what somebody can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionTrouble {
    /// The network failed, or the server was busy: it may work later.
    Passing,
    /// The certificates do not match, or this device's certificate has expired: it needs a new invitation.
    Certificate,
    /// This device's certificate was revoked.
    Revoked,
    /// The server's certificate is not valid at this device's time: correct the date, or restart the server.
    Date,
    /// The app and the server have no version in common: update one of them.
    Version,
}

/// Why there is no connection. Nothing saved is lost by any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The server did not answer in time.
    #[error(
        "the server does not answer: check this device's network, the server's address and that UDP is not blocked; saved work stays safe here and is sent at the next sync"
    )]
    Unreachable,
    /// This device could not send.
    #[error("this device cannot use its network ({0}): switch the network on and sync again")]
    NoNetwork(String),
    /// The server is stopping, or has no room for another connection.
    #[error("the server accepts no connections at the moment: sync again in a minute")]
    Busy,
    /// The server is not the one that invited this device.
    #[error(
        "this is not the server that invited this device ({0}): check the address; if the server was reinstalled, ask for a new invitation"
    )]
    ServerNotTrusted(String),
    /// The server's certificate is not valid at this device's time.
    #[error(
        "the server's certificate is not valid at this device's time ({0}): correct this device's date; if it is right, the server must be restarted to renew its certificate"
    )]
    ServerCertificateNotCurrent(String),
    /// This device's certificate has expired.
    #[error(
        "this device's certificate has expired or is not valid yet: ask for a new invitation and enrol again; unsent work is kept"
    )]
    CertificateExpired,
    /// Another server made this device's certificate.
    #[error(
        "the server does not know this device's certificate ({0}): it was made by another server, or the server was reinstalled; ask for a new invitation and enrol again; unsent work is kept"
    )]
    CertificateForeign(String),
    /// This device's certificate was revoked.
    #[error("this device's certificate was revoked: ask your manager why before you enrol again")]
    CertificateRevoked,
    /// The server requires a certificate and this device showed none.
    #[error("the server wants a certificate and this device has none: enrol it with an invitation")]
    CertificateMissing,
    /// The server closed the connection deliberately.
    #[error("the server ended the connection: {reason} (code {code})")]
    Refused {
        /// The server's code; `u32::MAX` if it was larger.
        code: u32,
        /// The server's reason for people.
        reason: String,
    },
    /// The two sides have no protocol in common.
    #[error(
        "this app and the server speak different versions: update the app, or the server if the app is the newer one"
    )]
    NoCommonVersion,
    /// The connection was closed by this side.
    #[error("the connection was closed on this device: open another one")]
    ClosedHere,
    /// The server lost the connection, for example in a restart.
    #[error("the server has lost this connection: connect again, what was not acknowledged is sent again")]
    Lost,
    /// Any other error of TLS or QUIC.
    #[error("the secure connection failed ({0}): try again, and report this if it stays")]
    Tls(String),
}

impl ConnectError {
    /// The cause.
    pub(crate) const fn trouble(&self) -> ConnectionTrouble {
        match self {
            Self::Unreachable
            | Self::NoNetwork(_)
            | Self::Busy
            | Self::Lost
            | Self::ClosedHere
            | Self::Tls(_) => ConnectionTrouble::Passing,
            Self::ServerCertificateNotCurrent(_) => ConnectionTrouble::Date,
            Self::CertificateRevoked => ConnectionTrouble::Revoked,
            Self::NoCommonVersion => ConnectionTrouble::Version,
            // The server closes with its own code if a client shows no device certificate.
            Self::ServerNotTrusted(_)
            | Self::CertificateExpired
            | Self::CertificateForeign(_)
            | Self::CertificateMissing
            | Self::Refused { .. } => ConnectionTrouble::Certificate,
        }
    }
}

/// The socket under one connection. It exists before the connection, and may be replaced at any moment.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    endpoint: quinn::Endpoint,
    server: SocketAddr,
    runtime: tokio::runtime::Handle,
}

impl Socket {
    /// Opens a socket from which a server can be reached. Must be called inside a runtime.
    pub(crate) fn to(server: SocketAddr) -> Result<Self, ConnectError> {
        let endpoint = quinn::Endpoint::client(any_address(server))
            .map_err(|error| ConnectError::NoNetwork(error.to_string()))?;
        Ok(Self { endpoint, server, runtime: tokio::runtime::Handle::current() })
    }

    /// Replaces the socket by a new one, which the system binds to the present network. The connection moves with it:
    /// the server sees the same connection from another address. If this fails, the old socket stays.
    pub(crate) fn rebind(&self) -> std::io::Result<()> {
        let socket = std::net::UdpSocket::bind(any_address(self.server))?;
        let _within = self.runtime.enter();
        self.endpoint.rebind(socket)
    }
}

fn any_address(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Connection {
    connection: quinn::Connection,
}

impl Connection {
    /// Connects within ten seconds. With TLS 1.3 the server checks this device's certificate after this side has
    /// completed the handshake, so its refusal may only show in the first read.
    pub(crate) async fn connect(socket: &Socket, identity: &TlsIdentity) -> Result<Self, ConnectError> {
        let connecting = socket
            .endpoint
            .connect_with(identity.quinn_config(), socket.server, tls::SERVER_NAME)
            .map_err(|error| ConnectError::NoNetwork(error.to_string()))?;
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(error)) => Err(explain(error)),
            Err(_) => Err(ConnectError::Unreachable),
        }
    }

    /// Opens a stream of frames. The server sees it with the first frame sent.
    pub(crate) async fn open_stream(&self) -> Result<FrameStream, ConnectError> {
        self.connection.open_bi().await.map(FrameStream::new).map_err(explain)
    }

    /// Waits until the connection is gone and returns why.
    #[cfg(test)]
    pub(crate) async fn closed(&self) -> ConnectError {
        explain(self.connection.closed().await)
    }

    /// Closes the connection at once and tells the server why. Unacknowledged bytes are dropped: a session closes after
    /// it has all answers.
    pub(crate) async fn close(self, reason: &str) {
        let packets_before = self.packets_sent();
        self.connection.close(CLOSE_DONE.into(), reason.as_bytes());
        // The close packet is a courtesy, because the server has an idle timeout. So it is sent once, and nobody waits
        // to repeat it.
        let farewell_left = async {
            tokio::task::yield_now().await;
            while self.packets_sent() == packets_before {
                tokio::time::sleep(CLOSE_CHECK).await;
            }
        };
        let _left_in_time = tokio::time::timeout(CLOSE_TIMEOUT, farewell_left).await;
    }

    fn packets_sent(&self) -> u64 {
        self.connection.stats().udp_tx.datagrams
    }
}

/// Translates the end of a connection for the person with the device. An alert from the server is about this device's
/// certificate; the same alert raised here is about the server's.
fn explain(error: quinn::ConnectionError) -> ConnectError {
    match error {
        quinn::ConnectionError::TimedOut => ConnectError::Unreachable,
        quinn::ConnectionError::Reset => ConnectError::Lost,
        quinn::ConnectionError::LocallyClosed => ConnectError::ClosedHere,
        quinn::ConnectionError::VersionMismatch => ConnectError::NoCommonVersion,
        quinn::ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX) {
                CLOSE_SERVER_STOPPING | CLOSE_BUSY => ConnectError::Busy,
                code => ConnectError::Refused { code, reason: readable(&close.reason) },
            }
        }
        quinn::ConnectionError::ConnectionClosed(close) => {
            servers_verdict(close.error_code.into(), readable(&close.reason))
        }
        quinn::ConnectionError::TransportError(error) => own_verdict(error.code.into(), error.reason),
        quinn::ConnectionError::CidsExhausted => ConnectError::Tls(error.to_string()),
    }
}

fn servers_verdict(code: u64, reason: String) -> ConnectError {
    if matches!(code, QUIC_CONNECTION_REFUSED | QUIC_APPLICATION_ERROR) {
        return ConnectError::Busy;
    }
    match tls_alert(code) {
        Some(TlsAlert::CertificateExpired) => ConnectError::CertificateExpired,
        Some(TlsAlert::CertificateRevoked) => ConnectError::CertificateRevoked,
        Some(TlsAlert::CertificateRequired) => ConnectError::CertificateMissing,
        Some(TlsAlert::CertificateDoubted) => ConnectError::CertificateForeign(reason),
        Some(TlsAlert::NoCommonProtocol) => ConnectError::NoCommonVersion,
        None => ConnectError::Tls(format!("server's code {code:#x}: {reason}")),
    }
}

fn own_verdict(code: u64, reason: String) -> ConnectError {
    match tls_alert(code) {
        Some(TlsAlert::CertificateExpired) => ConnectError::ServerCertificateNotCurrent(reason),
        Some(TlsAlert::CertificateRevoked | TlsAlert::CertificateRequired | TlsAlert::CertificateDoubted) => {
            ConnectError::ServerNotTrusted(reason)
        }
        Some(TlsAlert::NoCommonProtocol) => ConnectError::NoCommonVersion,
        None => ConnectError::Tls(format!("code {code:#x}: {reason}")),
    }
}

/// The TLS alerts about which a person can do something.
enum TlsAlert {
    CertificateExpired,
    CertificateRevoked,
    CertificateRequired,
    CertificateDoubted,
    NoCommonProtocol,
}

/// The alert inside QUIC's error code; numbers as in RFC 8446, section 6.
fn tls_alert(code: u64) -> Option<TlsAlert> {
    if !QUIC_TLS_ALERTS.contains(&code) {
        return None;
    }
    match code - QUIC_TLS_ALERTS.start() {
        44 => Some(TlsAlert::CertificateRevoked),
        45 => Some(TlsAlert::CertificateExpired),
        116 => Some(TlsAlert::CertificateRequired),
        // bad, unsupported, unknown, unknown authority, access denied, signature does not verify
        42 | 43 | 46 | 48 | 49 | 51 => Some(TlsAlert::CertificateDoubted),
        70 | 120 => Some(TlsAlert::NoCommonProtocol),
        _ => None,
    }
}

/// A server's reason, made safe for a terminal and a log.
fn readable(reason: &[u8]) -> String {
    String::from_utf8_lossy(reason)
        .chars()
        .take(REASON_CHARS_MAX)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}
