//! A proxy between a device and today's server that rewrites frames, so that each end meets a peer of another version.
//! Everything else is real. The proxy has the keys of both ends, which nobody in the field has.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, encode_frame};
use xundian_protocol::wire::v1::ALPN;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::{HOUR_MS, Service, invitation};

use crate::raw::{Credentials, connect};

/// How payloads are rewritten.
#[derive(Clone)]
pub(super) struct Rules {
    /// The rule for the device's payloads.
    pub(super) up: Rule,
    /// The rule for the server's payloads.
    pub(super) down: Rule,
}

/// Rewrites a payload.
type Rule = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

impl Rules {
    /// Passes everything unchanged.
    pub(super) fn none() -> Self {
        Self { up: Arc::new(|payload| payload), down: Arc::new(|payload| payload) }
    }

    /// Rewrites what the device sends.
    pub(super) fn up(rule: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { up: Arc::new(rule), ..Self::none() }
    }

    /// Rewrites what the server sends.
    pub(super) fn down(rule: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { down: Arc::new(rule), ..Self::none() }
    }
}

/// The proxy.
pub(super) struct RewritingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    rules: Mutex<Rules>,
    papers: Mutex<Arc<Credentials>>,
}

impl RewritingProxy {
    /// Starts a proxy for a server. It passes everything unchanged until it has rules.
    pub(super) fn start(service: &Service) -> Self {
        let authority = service.folder().join("authority");
        let shown = [authority.join("server.pem"), authority.join("authority.pem")];
        let chain = shown.each_ref().map(|file| certificate(file)).to_vec();
        let papers = Credentials::of_nobody_to(chain[1].to_vec());
        let key = PrivateKeyDer::from_pem_file(&shown[0]).expect("the server's key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a pair of certificate and key");
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let tls = QuicServerConfig::try_from(tls).expect("TLS 1.3");
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = quinn::Endpoint::server(config, "127.0.0.1:0".parse().expect("an address"));
        let endpoint = endpoint.expect("a free port");
        let address = endpoint.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            server: service.address(),
            rules: Mutex::new(Rules::none()),
            papers: Mutex::new(Arc::new(papers)),
        });
        tokio::spawn(serve(endpoint, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Enrols a new device that knows the server only by the proxy's address, and syncs once.
    pub(super) async fn device(&self, service: &Service, person: &str) -> Device {
        let device = Device::enrol(&self.invitation(service, person), "phone").await;
        *self.shared.papers.lock().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Credentials::of(device.folder()));
        device.sync().await;
        device
    }

    /// Returns an invitation with the proxy's address.
    pub(super) fn invitation(&self, service: &Service, person: &str) -> String {
        invitation(service.server(), self.address, person, HOUR_MS)
    }

    /// Sets the rules for streams opened from now on.
    pub(super) fn set(&self, rules: Rules) {
        *self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate of the data folder")
}

async fn serve(endpoint: quinn::Endpoint, shared: Arc<Shared>) {
    while let Some(incoming) = endpoint.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let Ok(device) = incoming.await else { return };
            let papers = Arc::clone(&shared.papers.lock().unwrap_or_else(PoisonError::into_inner));
            let (_endpoint, server) = connect(&papers, shared.server).await.expect("the server is there");
            while let Ok((send, receive)) = device.accept_bi().await {
                let (up, down) = server.open_bi().await.expect("the server takes a stream");
                let rules = shared.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let back = pass(down, send, rules.down, device.clone());
                tokio::spawn(pass(receive, up, rules.up, server.clone()));
                tokio::spawn(back);
            }
            server.close(0u32.into(), b"done");
        });
    }
}

/// Forwards frames until the stream ends, then ends the other side too.
async fn pass(mut from: quinn::RecvStream, mut to: quinn::SendStream, rule: Rule, onward: quinn::Connection) {
    let mut reader = FrameReader::new(FRAME_BYTES_MAX);
    let ended = loop {
        match from.read_chunk(64 * 1024, true).await {
            Ok(Some(chunk)) => reader.push(&chunk.bytes),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        while let Some(payload) = reader.next().expect("both ends keep the rules of frames") {
            let mut bytes = Vec::new();
            encode_frame(&rule(payload), &mut bytes).expect("a payload within the bounds");
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // Closing a connection drops data that is not acknowledged, so wait until the last frame has arrived.
    let _was_open = to.finish().is_ok();
    if let Some(quinn::ReadError::ConnectionLost(quinn::ConnectionError::ApplicationClosed(close))) = ended {
        let _seen = to.stopped().await;
        onward.close(close.error_code, &close.reason);
    }
}
