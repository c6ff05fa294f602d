use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::FramingError;

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DEVICE_NO: u32 = 41;
const SOON: Duration = Duration::from_secs(20);

fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64
}

fn authority() -> Authority {
    let folder = tempfile::tempdir().unwrap();
    Authority::open_or_create(folder.path(), now_ms()).unwrap()
}

fn listen(authority: &Authority) -> Listener {
    Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), authority).unwrap()
}

type Credentials = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn device_of_authority(authority: &Authority, from_ms: i64, to_ms: i64) -> Credentials {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    let der = authority.sign_device(csr.der(), DEVICE_NO, from_ms, to_ms).unwrap();
    (der.into(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

fn good_device(authority: &Authority) -> Credentials {
    device_of_authority(authority, now_ms() - DAY_MS, now_ms() + DAY_MS)
}

/// A client of plain quinn, to test the server independently of our client.
struct RawClient {
    endpoint: quinn::Endpoint,
    full_handshakes: Arc<CountingVerifier>,
}

impl RawClient {
    fn new(authority: &Authority, credentials: Option<Credentials>) -> Self {
        Self::with_alpn(authority, credentials, b"xundian/1")
    }

    fn with_alpn(authority: &Authority, credentials: Option<Credentials>, alpn: &[u8]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.root()).unwrap();
        let inner =
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
        let full_handshakes = Arc::new(CountingVerifier { inner, count: AtomicUsize::new(0) });
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(full_handshakes.clone());
        let mut tls = match credentials {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![alpn.to_vec()];
        let mut endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let tls = QuicClientConfig::try_from(tls).unwrap();
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
        Self { endpoint, full_handshakes }
    }

    async fn connect(&self, listener: &Listener) -> Result<quinn::Connection, quinn::ConnectionError> {
        self.endpoint.connect(listener.address(), "xundian.server").unwrap().await
    }

    /// The error of a connection that the server refuses, at once or at the first read.
    async fn refusal(&self, listener: &Listener) -> quinn::ConnectionError {
        match self.connect(listener).await {
            Err(error) => error,
            Ok(connection) => tokio::time::timeout(SOON, connection.closed()).await.unwrap(),
        }
    }
}

#[derive(Debug)]
struct CountingVerifier {
    inner: Arc<WebPkiServerVerifier>,
    count: AtomicUsize,
}

impl ServerCertVerifier for CountingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

async fn next_peer(listener: &mut Listener) -> Peer {
    tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap()
}

/// The client sends, the server echoes; both finish.
async fn echo_once(client: &quinn::Connection, peer: &Peer, payload: &[u8]) {
    let mut near = FrameStream::new(client.open_bi().await.unwrap());
    let server = async {
        let mut far = peer.accept_stream().await.unwrap();
        while let Some(frame) = far.recv().await.unwrap() {
            far.send(&frame).await.unwrap();
        }
        far.finish().unwrap();
        far.delivered().await.unwrap();
    };
    let client = async {
        near.send(payload).await.unwrap();
        near.finish().unwrap();
        assert!(near.recv().await.unwrap().as_deref() == Some(payload));
        assert!(near.recv().await.unwrap().is_none());
        assert!(matches!(near.send(b"late").await, Err(StreamError::Finished)));
    };
    tokio::time::timeout(SOON, async { tokio::join!(server, client) }).await.unwrap();
}

/// The TLS alert with which the server closed.
fn alert_of(error: &quinn::ConnectionError) -> u64 {
    let quinn::ConnectionError::ConnectionClosed(close) = error else {
        panic!("not closed by the server's TLS: {error:?}");
    };
    u64::from(close.error_code) - 0x100
}

#[tokio::test]
async fn a_device_is_known_by_its_certificate_and_frames_go_both_ways() {
    let authority = authority();
    let mut listener = listen(&authority);
    let to_ms = (now_ms() + DAY_MS) / 1000 * 1000;
    let client = RawClient::new(&authority, Some(device_of_authority(&authority, 0, to_ms)));
    let connection = client.connect(&listener).await.unwrap();
    let peer = next_peer(&mut listener).await;
    assert_eq!(
        peer.device.as_ref().map(|device| (device.device_no, device.not_after_ms)),
        Some((DEVICE_NO, to_ms))
    );
    assert_eq!(peer.remote, client.endpoint.local_addr().unwrap());
    echo_once(&connection, &peer, b"hello").await;
    echo_once(&connection, &peer, &vec![7; FRAME_BYTES_MAX]).await;
}

#[tokio::test]
async fn without_a_certificate_a_peer_has_no_device_number() {
    let authority = authority();
    let mut listener = listen(&authority);
    let client = RawClient::new(&authority, None);
    let connection = client.connect(&listener).await.unwrap();
    let peer = next_peer(&mut listener).await;
    assert_eq!(peer.device, None);
    echo_once(&connection, &peer, b"enrol me").await;
}

#[tokio::test]
async fn certificates_that_are_foreign_expired_early_or_a_servers_are_refused_with_their_alert() {
    let (ours, theirs) = (authority(), authority());
    let listener = listen(&ours);
    let now_ms = now_ms();
    let server_as_device = (ours.server_chain().remove(0), ours.server_key());
    let cases = [
        ("foreign", good_device(&theirs), 48),
        ("expired", device_of_authority(&ours, now_ms - 2 * DAY_MS, now_ms - DAY_MS), 45),
        ("not valid yet", device_of_authority(&ours, now_ms + DAY_MS, now_ms + 2 * DAY_MS), 45),
        ("the server's own", server_as_device, 43),
    ];
    for (what, credentials, alert) in cases {
        let error = RawClient::new(&ours, Some(credentials)).refusal(&listener).await;
        assert_eq!(alert_of(&error), alert, "{what}: {error:?}");
    }
    let error = RawClient::with_alpn(&ours, None, b"h3").refusal(&listener).await;
    assert_eq!(alert_of(&error), 120);
}

#[tokio::test]
async fn a_certificate_of_the_authority_that_is_no_devices_is_closed_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path(), now_ms()).unwrap();
    // The authority never signs this; a thief of its key could.
    let text = std::fs::read_to_string(folder.path().join("authority.pem")).unwrap();
    let issuer_key = KeyPair::from_pem(&text).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&authority.root(), issuer_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let der = CertificateParams::default().signed_by(&key, &issuer).unwrap().der().clone();
    let listener = listen(&authority);
    let client = RawClient::new(&authority, Some((der, PrivateKeyDer::Pkcs8(key.serialize_der().into()))));
    let quinn::ConnectionError::ApplicationClosed(close) = client.refusal(&listener).await else {
        panic!("it must be the application that refuses");
    };
    assert_eq!(close.error_code, CLOSE_NOT_A_DEVICE.into());
}

#[tokio::test]
async fn a_second_connection_resumes_and_still_shows_its_device() {
    let authority = authority();
    let mut listener = listen(&authority);
    let client = RawClient::new(&authority, Some(good_device(&authority)));
    for round in 0..4 {
        let connection = client.connect(&listener).await.unwrap();
        let peer = next_peer(&mut listener).await;
        assert_eq!(peer.device_no(), Some(DEVICE_NO), "round {round}");
        echo_once(&connection, &peer, b"a round trip, so that the ticket has arrived").await;
        peer.close(0, "done");
        connection.closed().await;
    }
    assert_eq!(client.full_handshakes.count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn closing_tells_the_code_and_the_reason() {
    let authority = authority();
    let mut listener = listen(&authority);
    let client = RawClient::new(&authority, None);
    let connection = client.connect(&listener).await.unwrap();
    let peer = next_peer(&mut listener).await;
    peer.clone().close(77, "device revoked");
    let quinn::ConnectionError::ApplicationClosed(close) = connection.closed().await else {
        panic!("it must be the application that closes");
    };
    assert_eq!((close.error_code, &close.reason[..]), (77u32.into(), &b"device revoked"[..]));
    assert!(peer.accept_stream().await.is_err());
    assert_eq!(peer.closed().await.remote, peer.remote);
}

#[tokio::test]
async fn misbehaving_peers_stop_nobody_else() {
    let authority = authority();
    let mut listener = listen(&authority);
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for round in 0..200u32 {
        let mut junk = [0xC3; 1200];
        junk[1..5].copy_from_slice(&(round % 2).to_be_bytes());
        socket.send_to(&junk, listener.address()).unwrap();
    }
    let bad = RawClient::new(&authority, None);
    let bad_connection = bad.connect(&listener).await.unwrap();
    let bad_peer = next_peer(&mut listener).await;
    for (bytes, empty) in [(&[0xFF; 8][..], false), (&[0; 4][..], true), (&[0, 0, 0, 9, 1][..], false)] {
        let (mut send, _receive) = bad_connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        let error = bad_peer.accept_stream().await.unwrap().recv().await.unwrap_err();
        let StreamError::Framing(error) = error else { panic!("{error:?}") };
        assert_eq!(error == FramingError::Empty, empty, "{error}");
    }
    assert!(tokio::time::timeout(Duration::from_millis(200), bad_connection.open_uni()).await.is_err());
    drop((bad_connection, bad));

    let good = RawClient::new(&authority, Some(good_device(&authority)));
    let connection = good.connect(&listener).await.unwrap();
    let peer = next_peer(&mut listener).await;
    echo_once(&connection, &peer, b"still here").await;
}

#[tokio::test]
async fn a_crowd_beyond_the_bound_of_handshakes_gets_in_all_the_same() {
    const CROWD: usize = HANDSHAKES_MAX + PEERS_WAITING_MAX + 80;
    let authority = authority();
    let mut listener = listen(&authority);
    let client = RawClient::new(&authority, Some(good_device(&authority)));
    let (endpoint, address) = (client.endpoint.clone(), listener.address());
    // On a busy machine a handshake may time out; a device then tries again.
    let get_in = move |endpoint: quinn::Endpoint| async move {
        loop {
            if let Ok(connection) = endpoint.connect(address, "xundian.server").unwrap().await {
                return connection;
            }
        }
    };
    // Nobody accepts yet: permits run out, and the rest must wait without being lost.
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..CROWD {
        crowd.spawn(get_in(endpoint.clone()));
        // One burst from one socket would only test how much a socket's buffer drops.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut inside = Vec::new();
    while inside.len() < CROWD {
        tokio::select! {
            peer = next_peer(&mut listener) => assert_eq!(peer.device_no(), Some(DEVICE_NO)),
            connection = crowd.join_next() => inside.push(connection.unwrap().unwrap()),
        }
    }
}

#[tokio::test]
async fn shutting_down_lets_work_end_refuses_new_peers_and_closes_the_rest() {
    let authority = authority();
    let mut listener = listen(&authority);
    let client = RawClient::new(&authority, None);
    let connection = client.connect(&listener).await.unwrap();
    let peer = next_peer(&mut listener).await;
    let address = listener.address();
    let stopping = tokio::spawn(listener.shutdown(Duration::from_millis(1500)));
    tokio::time::sleep(Duration::from_millis(100)).await;

    echo_once(&connection, &peer, b"work that was under way").await;
    let refused = client.endpoint.connect(address, "xundian.server").unwrap().await.unwrap_err();
    let quinn::ConnectionError::ConnectionClosed(close) = &refused else { panic!("{refused:?}") };
    assert_eq!(u64::from(close.error_code), 2, "QUIC's CONNECTION_REFUSED");

    let quinn::ConnectionError::ApplicationClosed(close) = connection.closed().await else {
        panic!("it must be the application that closes");
    };
    assert_eq!(close.error_code, CLOSE_SERVER_STOPPING.into());
    tokio::time::timeout(SOON, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutting_down_does_not_wait_when_nobody_is_connected_and_a_taken_port_is_named() {
    let authority = authority();
    let listener = listen(&authority);
    let address = listener.address();
    let error = Listener::bind(address, &authority).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    tokio::time::timeout(Duration::from_secs(2), listener.shutdown(Duration::from_secs(60))).await.unwrap();
}
