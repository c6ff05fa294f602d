//! A device that speaks frames itself, over quinn, so that it can say what no sound device says.

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

/// The certificates and the key of an enrolled device's folder.
pub(crate) struct Papers {
    authority: Vec<u8>,
    device: Option<(Vec<u8>, Vec<u8>)>,
}

impl Papers {
    /// Those of a device.
    pub(crate) fn of(home: &Path) -> Self {
        let read = |name| fs::read(home.join(name)).expect("an enrolled device's file");
        let pem = String::from_utf8(read("device.key")).expect("PEM is text");
        let key = KeyPair::from_pem(&pem).expect("a key").serialize_der();
        Self { authority: read("authority.crt"), device: Some((read("device.crt"), key)) }
    }

    /// Those of somebody who knows the server and is nobody to it.
    pub(crate) fn of_nobody(home: &Path) -> Self {
        Self { device: None, ..Self::of(home) }
    }

    /// Those of somebody who knows but the authority's certificate.
    pub(crate) const fn of_nobody_to(authority: Vec<u8>) -> Self {
        Self { authority, device: None }
    }

    /// `window_bytes` is how much the server may send before we read.
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

/// How a connection went.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// The server ended the stream or the connection; its words.
    End(String),
}

impl Heard {
    /// What the server says for people when it will not go on.
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

/// How much the server may send before we read, unless a test is about that.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Connects; the connection goes with the last handle of its endpoint.
pub(crate) async fn connect(
    papers: &Papers,
    server: SocketAddr,
) -> Result<(quinn::Endpoint, quinn::Connection), String> {
    connect_with_window(papers, server, WINDOW_BYTES).await
}

async fn connect_with_window(
    papers: &Papers,
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
    /// Kept, since it goes with the last of its handles.
    _endpoint: quinn::Endpoint,
    connection: quinn::Connection,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    reader: FrameReader,
}

impl Wire {
    /// Connects; the server may send as much as it likes.
    pub(crate) async fn open(papers: &Papers, server: SocketAddr) -> Result<Self, String> {
        Self::open_with_window(papers, server, WINDOW_BYTES).await
    }

    /// Connects, and reads no more than so many bytes ahead.
    pub(crate) async fn open_with_window(
        papers: &Papers,
        server: SocketAddr,
        window_bytes: u32,
    ) -> Result<Self, String> {
        let (endpoint, connection) = connect_with_window(papers, server, window_bytes).await?;
        let (send, receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
        let reader = FrameReader::new(FRAME_BYTES_MAX);
        Ok(Self { _endpoint: endpoint, connection, send, receive, reader })
    }

    /// Sends bytes as they are. That the server has had enough already is no error of ours.
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

    /// Says that no more will come.
    pub(crate) fn finish(&mut self) {
        let _was_open = self.send.finish().is_ok();
    }

    /// The next frame, or the end.
    pub(crate) async fn hear(&mut self) -> Heard {
        let hearing = async {
            loop {
                if let Some(payload) = self.reader.next().expect("the server keeps the rules") {
                    return Heard::Frame(Box::new(decode_server(&payload).expect("a frame of this version")));
                }
                match self.receive.read_chunk(64 * 1024, true).await {
                    Ok(Some(chunk)) => self.reader.push(&chunk.bytes),
                    Ok(None) => return Heard::End(self.reason().await),
                    Err(quinn::ReadError::ConnectionLost(error)) => return Heard::End(error.to_string()),
                    Err(error) => return Heard::End(error.to_string()),
                }
            }
        };
        tokio::time::timeout(DEADLINE, hearing).await.expect("the server answers or ends the session")
    }

    /// Waits until the connection is gone, and says why.
    pub(crate) async fn reason(&self) -> String {
        let closed = tokio::time::timeout(DEADLINE, self.connection.closed()).await;
        closed.expect("the server ends the connection").to_string()
    }
}

/// A device that has said hello.
pub(crate) struct RawDevice {
    /// Its connection.
    pub(crate) wire: Wire,
    author: Author,
}

impl RawDevice {
    /// Connects with the papers of an enrolled device, greets, and hears the welcome.
    pub(crate) async fn of(device: &Device, server: SocketAddr) -> Self {
        let wire = Wire::open(&Papers::of(device.folder()), server).await.expect("a good certificate");
        Self::greet(device, wire).await
    }

    /// The same over a connection that is there already.
    pub(crate) async fn greet(device: &Device, mut wire: Wire) -> Self {
        let identity = device.client.identity().expect("enrolled");
        wire.send(&ClientFrame::Hello(hello(identity.device))).await;
        let heard = wire.hear().await;
        let welcomed = matches!(&heard, Heard::Frame(frame) if matches!(**frame, ServerFrame::Welcome(_)));
        assert!(welcomed, "{heard:?}");
        let author = Author { device: identity.device, person: identity.person, next: OpSeq(1) };
        Self { wire, author }
    }

    /// The op by which this device's person writes a form at a moment, having seen a record or nothing.
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

    /// Pushes ops and hears their receipt.
    pub(crate) async fn push(&mut self, ops: Vec<Op>) -> Receipt {
        self.wire.send(&ClientFrame::Push(Push { ops })).await;
        match self.wire.hear().await {
            Heard::Frame(frame) => match *frame {
                ServerFrame::Receipt { receipt, .. } => receipt,
                other => panic!("a receipt was due, not {other:?}"),
            },
            Heard::End(words) => panic!("a receipt was due, and the connection ended: {words}"),
        }
    }

    /// Pulls from the very beginning, as a device that holds `scope` and says that some homes are behind.
    /// Returns all records that come.
    pub(crate) async fn pull(&mut self, scope: &[Home], behind: &[Home]) -> Vec<Record> {
        self.wire.send(&ClientFrame::Pull(pull(scope, behind))).await;
        let mut records = Vec::new();
        loop {
            match self.wire.hear().await {
                Heard::Frame(frame) => match *frame {
                    ServerFrame::Changes(changes) => records.extend(changes.records),
                    ServerFrame::Pulled(_) => return records,
                    other => panic!("changes were due, not {other:?}"),
                },
                Heard::End(words) => panic!("changes were due, and the connection ended: {words}"),
            }
        }
    }
}

/// The greeting of a device that has saved nothing.
pub(crate) fn hello(device: DeviceNo) -> Hello {
    Hello { app: "raw".into(), device, next_seq: OpSeq(1), now_ms: xundian_server::sessions::now_ms() }
}

/// A pull of everything.
pub(crate) fn pull(scope: &[Home], behind: &[Home]) -> Pull {
    Pull {
        scope_digest: scope_digest(scope),
        cursor: FeedSeq(0),
        behind: behind.iter().map(|home| (*home, FeedSeq(0))).collect(),
        sent_through: OpSeq(0),
        captured_through_ms: 0,
    }
}
