//! Somebody between a device and today's server who rewrites frames: so each end meets one of another version, and
//! everything else is real. It holds the keys of both ends, as no one in the field does.

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

use crate::raw::{Papers, connect};

/// What becomes of payloads on their way.
#[derive(Clone)]
pub(super) struct Rules {
    /// Of the device's.
    pub(super) up: Rule,
    /// Of the server's.
    pub(super) down: Rule,
}

/// What becomes of a payload.
type Rule = Arc<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

impl Rules {
    /// Everything passes as it is.
    pub(super) fn none() -> Self {
        Self { up: Arc::new(|payload| payload), down: Arc::new(|payload| payload) }
    }

    /// What the device says is rewritten.
    pub(super) fn up(rule: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { up: Arc::new(rule), ..Self::none() }
    }

    /// What the server says is rewritten.
    pub(super) fn down(rule: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { down: Arc::new(rule), ..Self::none() }
    }
}

/// The one in between.
pub(super) struct Between {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    rules: Mutex<Rules>,
    papers: Mutex<Arc<Papers>>,
}

impl Between {
    /// Stands before a server, and passes everything on until it has rules.
    pub(super) fn start(service: &Service) -> Self {
        let authority = service.folder().join("authority");
        let shown = [authority.join("server.pem"), authority.join("authority.pem")];
        let chain = shown.each_ref().map(|file| certificate(file)).to_vec();
        let papers = Papers::of_nobody_to(chain[1].to_vec());
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

    /// A new device that knows the server by this address only, and has synced once.
    pub(super) async fn device(&self, service: &Service, person: &str) -> Device {
        let device = Device::enrol(&self.invitation(service, person), "phone").await;
        *self.shared.papers.lock().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Papers::of(device.folder()));
        device.sync().await;
        device
    }

    /// An invitation to this address.
    pub(super) fn invitation(&self, service: &Service, person: &str) -> String {
        invitation(service.server(), self.address, person, HOUR_MS)
    }

    /// From here on.
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

/// Passes frames on until there are no more, and then the end itself.
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
    // Whoever closes drops what was not acknowledged, so the last frame is seen to its end first.
    let _was_open = to.finish().is_ok();
    if let Some(quinn::ReadError::ConnectionLost(quinn::ConnectionError::ApplicationClosed(close))) = ended {
        let _seen = to.stopped().await;
        onward.close(close.error_code, &close.reason);
    }
}
