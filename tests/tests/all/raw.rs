//! A device that writes its frames itself, over quinn, so that it can send what no correct device sends.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use xundian_protocol::access::scope_digest;
use xundian_protocol::ids::{DeviceNo, FeedSeq, OpSeq, RecordId};
use xundian_protocol::kinds::Entity;
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::record::{Home, Op, Record};
use xundian_protocol::wire::framing::{FrameReader, encode_frame};
use xundian_protocol::wire::v1::{
    ALPN, ClientFrame, Hello, Pull, Push, Receipt, ServerFrame, decode_server, encode_client,
};
use xundian_tests::support::DEADLINE;
use xundian_tests::support::device::Device;
use xundian_tests::support::ops::Author;

const SERVER_NAME: &str = "xundian.server";

/// The certificates and the private key of a device.
pub(crate) struct Credentials {
    authority: Vec<u8>,
    device: Option<(Vec<u8>, Vec<u8>)>,
}

impl Credentials {
    /// Reads those of an enrolled device's folder.
    pub(crate) fn of(home: &Path) -> Self {
        let read = |name| fs::read(home.join(name)).expect("an enrolled device's file");
        let pem = String::from_utf8(read("device.key")).expect("PEM is text");
        let key = KeyPair::from_pem(&pem).expect("a key").serialize_der();
        Self { authority: read("authority.crt"), device: Some((read("device.crt"), key)) }
    }

    /// Reads only the authority's certificate from a device's folder, for a client without a certificate.
    pub(crate) fn of_nobody(home: &Path) -> Self {
        Self { device: None, ..Self::of(home) }
    }

    /// Uses only this authority's certificate, for a client without a certificate.
    pub(crate) const fn of_nobody_to(authority: Vec<u8>) -> Self {
        Self { authority, device: None }
    }

    /// `window_bytes` is the number of bytes that the server may send before we read.
    fn config(&self, window_bytes: u32) -> quinn::ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.clone())).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let mut tls = match &self.device {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from(certificate.clone())],
                    PrivateKeyDer::Pkcs8(key.clone().into()),
                )
                .expect("a pair of certificate and key"),
        };
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut config =
            quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(window_bytes.into()).receive_window(window_bytes.into());
        transport.keep_alive_interval(Some(std::time::Duration::from_secs(5)));
        config.transport_config(Arc::new(transport));
        config
    }
}

/// What was received.
#[derive(Debug)]
pub(crate) enum Received {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// The server ended the stream or the connection, with this reason.
    End(String),
}

impl Received {
    /// Returns the server's message for people, if it refuses to continue.
    pub(crate) fn complaint(&self) -> Option<&str> {
        match self {
            Self::Frame(frame) => match &**frame {
                ServerFrame::Refused(refused) => Some(&refused.message),
                _ => None,
            },
            Self::End(words) => Some(words),
        }
    }
}

/// The default receive window.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Connects. The connection ends when the last handle of its endpoint is dropped.
pub(crate) async fn connect(
    papers: &Credentials,
    server: SocketAddr,
) -> Result<(quinn::Endpoint, quinn::Connection), String> {
    connect_with_window(papers, server, WINDOW_BYTES).await
}

async fn connect_with_window(
    papers: &Credentials,
    server: SocketAddr,
    window_bytes: u32,
) -> Result<(quinn::Endpoint, quinn::Connection), String> {
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address"));
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let connecting = endpoint.connect_with(papers.config(window_bytes), server, SERVER_NAME);
    let connecting = connecting.map_err(|error| error.to_string())?;
    let connected = tokio::time::timeout(DEADLINE, connecting).await;
    let connection = connected.map_err(|_| "no handshake")?.map_err(|error| error.to_string())?;
    Ok((endpoint, connection))
}

/// A connection with one stream.
pub(crate) struct Wire {
    /// Kept alive for the connection.
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    reader: FrameReader,
}

impl Wire {
    /// Connects with the default window, and opens a stream.
    pub(crate) async fn open(papers: &Credentials, server: SocketAddr) -> Result<Self, String> {
        Self::open_with_window(papers, server, WINDOW_BYTES).await
    }

    /// Connects with a receive window of this size, and opens a stream.
    pub(crate) async fn open_with_window(
        papers: &Credentials,
        server: SocketAddr,
        window_bytes: u32,
    ) -> Result<Self, String> {
        let (endpoint, connection) = connect_with_window(papers, server, window_bytes).await?;
        let (send, receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
        let reader = FrameReader::new(FRAME_BYTES_MAX);
        Ok(Self { _endpoint: endpoint, connection, send, receive, reader })
    }

    /// Sends raw bytes. It is no error if the server has stopped reading.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _sent = self.send.write_all(bytes).await.is_ok();
    }

    /// Sends a payload as one frame.
    pub(crate) async fn send_payload(&mut self, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode_frame(payload, &mut bytes).expect("a payload within the bounds");
        self.send_bytes(&bytes).await;
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &ClientFrame) {
        self.send_payload(&encode_client(frame)).await;
    }

    /// Ends the sending side of the stream.
    pub(crate) fn finish(&mut self) {
        let _was_open = self.send.finish().is_ok();
    }

    /// Returns the next frame, or the end.
    pub(crate) async fn hear(&mut self) -> Received {
        let hearing = async {
            loop {
                if let Some(payload) = self.reader.next().expect("the server sends valid frames") {
                    return Received::Frame(Box::new(
                        decode_server(&payload).expect("a frame of this version"),
                    ));
                }
                match self.receive.read_chunk(64 * 1024, true).await {
                    Ok(Some(chunk)) => self.reader.push(&chunk.bytes),
                    Ok(None) => return Received::End(self.reason().await),
                    Err(quinn::ReadError::ConnectionLost(error)) => return Received::End(error.to_string()),
                    Err(error) => return Received::End(error.to_string()),
                }
            }
        };
        tokio::time::timeout(DEADLINE, hearing).await.expect("the server answers or ends the session")
    }

    /// Waits until the connection has ended, and returns the reason.
    pub(crate) async fn reason(&self) -> String {
        let closed = tokio::time::timeout(DEADLINE, self.connection.closed()).await;
        closed.expect("the server ends the connection").to_string()
    }
}

/// A device that was welcomed by the server.
pub(crate) struct RawDevice {
    /// Its connection and stream.
    pub(crate) wire: Wire,
    author: Author,
}

impl RawDevice {
    /// Connects with an enrolled device's certificate, sends the hello, and waits for the welcome.
    pub(crate) async fn of(device: &Device, server: SocketAddr) -> Self {
        let wire = Wire::open(&Credentials::of(device.folder()), server).await.expect("a good certificate");
        Self::greet(device, wire).await
    }

    /// Does the same over an existing connection.
    pub(crate) async fn greet(device: &Device, mut wire: Wire) -> Self {
        let identity = device.client.identity().expect("enrolled");
        wire.send(&ClientFrame::Hello(hello(identity.device))).await;
        let heard = wire.hear().await;
        let welcomed = matches!(&heard, Received::Frame(frame) if matches!(**frame, ServerFrame::Welcome(_)));
        assert!(welcomed, "{heard:?}");
        let author = Author { device: identity.device, person: identity.person, next: OpSeq(1) };
        Self { wire, author }
    }

    /// Creates an op by this device's person, who has seen the record as in `seen`, or not at all.
    pub(crate) fn op<T: Entity>(
        &mut self,
        form: &T,
        id: RecordId,
        home: Home,
        at_ms: i64,
        seen: Option<&Record>,
    ) -> Op {
        self.author.op(form, id, home, at_ms, seen)
    }

    /// Pushes ops and returns their receipt.
    pub(crate) async fn push(&mut self, ops: Vec<Op>) -> Receipt {
        self.wire.send(&ClientFrame::Push(Push { ops })).await;
        match self.wire.hear().await {
            Received::Frame(frame) => match *frame {
                ServerFrame::Receipt { receipt, .. } => receipt,
                other => panic!("expected a receipt, got {other:?}"),
            },
            Received::End(words) => panic!("expected a receipt, but the connection ended: {words}"),
        }
    }

    /// Pulls from the beginning of the feed, as a device that holds `scope`, with the homes of `behind` behind. Returns
    /// all received records.
    pub(crate) async fn pull(&mut self, scope: &[Home], behind: &[Home]) -> Vec<Record> {
        self.wire.send(&ClientFrame::Pull(pull(scope, behind))).await;
        let mut records = Vec::new();
        loop {
            match self.wire.hear().await {
                Received::Frame(frame) => match *frame {
                    ServerFrame::Changes(changes) => records.extend(changes.records),
                    ServerFrame::Pulled(_) => return records,
                    other => panic!("expected changes, got {other:?}"),
                },
                Received::End(words) => panic!("expected changes, but the connection ended: {words}"),
            }
        }
    }
}

/// Returns the hello of a device without any saves.
pub(crate) fn hello(device: DeviceNo) -> Hello {
    Hello { app: "raw".into(), device, next_seq: OpSeq(1), now_ms: xundian_server::sessions::now_ms() }
}

/// Returns a pull from the beginning of the feed.
pub(crate) fn pull(scope: &[Home], behind: &[Home]) -> Pull {
    Pull {
        scope_digest: scope_digest(scope),
        cursor: FeedSeq(0),
        behind: behind.iter().map(|home| (*home, FeedSeq(0))).collect(),
        sent_through: OpSeq(0),
        captured_through_ms: 0,
    }
}
