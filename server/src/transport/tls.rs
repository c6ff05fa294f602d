//! The server's TLS 1.3 and QUIC settings, and the limits of a connection.
//!
//! Ignores who a device is: any certificate of the authority is accepted, and a connection without one too, for
//! enrolment.

use std::sync::Arc;
use std::time::Duration;

use quinn::VarInt;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::RootCertStore;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use xundian_protocol::limits::FRAME_BYTES_MAX;

use crate::authority::Authority;

/// The protocol and its version, negotiated in the handshake.
const ALPN: &[u8] = b"xundian/1";
/// A connection silent for this long is dead. Devices keep theirs alive, the server does not.
const IDLE_TIMEOUT_MS: u32 = 30_000;
const BIDI_STREAMS_MAX: u32 = 8;
/// Receive windows bound what one device can make the server hold: 2,000 devices stay under 4 GiB even if each fills
/// its window, and take next to nothing while idle.
const STREAM_RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024;
const RECEIVE_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// Resumable sessions; each connection uses one up and gets one.
const SESSIONS_MAX: usize = 8192;
const TICKETS_PER_CONNECTION: usize = 1;
/// Handshakes that arrived and are not handled yet, and the bytes of their first packets.
const INCOMING_MAX: usize = 4096;
const INCOMING_BYTES_MAX: u64 = 16 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;
const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(15);

const _: () = assert!(STREAM_RECEIVE_WINDOW_BYTES <= RECEIVE_WINDOW_BYTES);
// A frame may be larger than a window: the window moves while the frame is read.
const _: () = assert!(FRAME_BYTES_MAX as u64 <= 8 * STREAM_RECEIVE_WINDOW_BYTES as u64);

/// The authority's certificates do not make a TLS server.
#[derive(Debug, thiserror::Error)]
#[error(
    "TLS cannot be set up from the server's certificates ({0}): restore the data folder's authority from a backup, or report this"
)]
pub struct TlsSetupError(String);

pub(super) fn server_config(authority: &Authority) -> Result<quinn::ServerConfig, TlsSetupError> {
    // Passed explicitly: a process-wide default would belong to its first caller.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.root()).map_err(setup)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(setup)?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(authority.server_chain(), authority.server_key())
        .map_err(setup)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    tls.send_tls13_tickets = TICKETS_PER_CONNECTION;
    let tls = QuicServerConfig::try_from(tls).map_err(setup)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport_config()))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX)
        .retry_token_lifetime(RETRY_TOKEN_LIFETIME);
    Ok(config)
}

fn transport_config() -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    // Probes for larger packets were two thirds of the bytes of a sync with nothing new.
    config.mtu_discovery_config(None);
    config
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDI_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None);
    config
}

fn setup(error: impl std::fmt::Display) -> TlsSetupError {
    TlsSetupError(error.to_string())
}
