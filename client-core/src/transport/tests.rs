use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::crypto::rustls::QuicServerConfig;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::FramingError;

use super::*;

const SOON: Duration = Duration::from_secs(20);
/// The years in which the test certificates are valid.
const CURRENT: (i32, i32) = (1970, 2090);
const PAST: (i32, i32) = (1970, 2001);
const FUTURE: (i32, i32) = (2089, 2090);

/// An authority like that of the server's `authority` module, without files.
struct TestAuthority {
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl TestAuthority {
    fn named(name: &str) -> Self {
        let mut params = Self::params(name, CURRENT);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self { ca: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn params(name: &str, (from_year, to_year): (i32, i32)) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(from_year, 1, 1);
        params.not_after = rcgen::date_time_ymd(to_year, 1, 1);
        params
    }

    fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(self.ca.der()).as_bytes()
    }

    fn device(&self, key: &DeviceKey, years: (i32, i32)) -> Vec<u8> {
        let csr = key.csr_der().unwrap();
        let csr = CertificateSigningRequestDer::from(csr);
        let request = CertificateSigningRequestParams::from_der(&csr).unwrap();
        let mut params = Self::params("device-41", years);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(&request.public_key, &self.ca).unwrap().der().to_vec()
    }

    /// What a device stores after enrolling here.
    fn identity(&self, years: (i32, i32)) -> TlsIdentity {
        let key = DeviceKey::generate().unwrap();
        TlsIdentity::for_sync(self.ca.der(), &self.device(&key, years), &key).unwrap()
    }

    fn server(&self) -> TestServer {
        self.server_named("xundian.server", CURRENT, b"xundian/1")
    }

    fn server_named(&self, name: &str, years: (i32, i32), alpn: &[u8]) -> TestServer {
        let key = KeyPair::generate().unwrap();
        let mut params = Self::params(name, years);
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.ca).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf, self.ca.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let tls = QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let endpoint = quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        TestServer::start(endpoint)
    }
}

/// The verifier of enrolment, which counts: a resumed handshake asks for no verification.
#[derive(Debug)]
struct CountingVerifier {
    inner: tls::PinnedAuthority,
    full_handshakes: AtomicUsize,
}

impl CountingVerifier {
    fn pinned(fingerprint: [u8; 32]) -> Self {
        Self { inner: tls::PinnedAuthority::new(fingerprint), full_handshakes: AtomicUsize::new(0) }
    }
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
        self.full_handshakes.fetch_add(1, Ordering::SeqCst);
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
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

/// Echoes each frame; `bye` closes the connection with code 77, `drop` ends the stream, `cut` ends it inside a frame.
struct TestServer {
    address: SocketAddr,
    endpoint: quinn::Endpoint,
}

impl TestServer {
    fn start(endpoint: quinn::Endpoint) -> Self {
        let server = Self { address: endpoint.local_addr().unwrap(), endpoint: endpoint.clone() };
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    while let Ok(streams) = connection.accept_bi().await {
                        Self::answer(&connection, streams).await;
                    }
                });
            }
        });
        server
    }

    async fn answer(connection: &quinn::Connection, streams: (quinn::SendStream, quinn::RecvStream)) {
        let mut stream = FrameStream::new(streams);
        while let Ok(Some(frame)) = stream.recv().await {
            match &frame[..] {
                b"bye" => connection.close(77u32.into(), b"device\nrevoked"),
                b"drop" => return,
                b"cut" => return stream.send_half_a_frame().await,
                _ => stream.send(&frame).await.unwrap(),
            }
        }
    }
}

/// The first error of connecting and of one exchange: a refusal may show in either.
async fn outcome(server: &TestServer, identity: &TlsIdentity) -> Result<(), ConnectError> {
    let connection = Connection::connect(&Socket::to(server.address).unwrap(), identity).await?;
    let result = exchange(&connection, b"hello").await;
    connection.close("done").await;
    result
}

async fn exchange(connection: &Connection, payload: &[u8]) -> Result<(), ConnectError> {
    let exchange = async {
        let mut stream = connection.open_stream().await?;
        stream.send(payload).await?;
        stream.finish()?;
        assert!(stream.recv().await?.as_deref() == Some(payload));
        assert!(stream.recv().await?.is_none());
        stream.delivered().await
    };
    match tokio::time::timeout(SOON, exchange).await.unwrap() {
        Ok(()) => Ok(()),
        Err(StreamError::Connection(error)) => Err(error),
        Err(error) => panic!("not an error of the connection: {error}"),
    }
}

#[tokio::test]
async fn an_invited_device_enrols_with_the_fingerprint_and_syncs_with_its_certificate() {
    let authority = TestAuthority::named("one");
    let server = authority.server();
    let invited = TlsIdentity::for_enrolment(authority.fingerprint()).unwrap();
    let connection = Connection::connect(&Socket::to(server.address).unwrap(), &invited).await.unwrap();
    exchange(&connection, &vec![7; FRAME_BYTES_MAX]).await.unwrap();
    let ca_der = authority.ca.der().to_vec();
    connection.close("enrolled").await;

    let key = DeviceKey::generate().unwrap();
    let certificate = authority.device(&key, CURRENT);
    let key = DeviceKey::from_pem(&key.to_pem()).unwrap();
    let enrolled = TlsIdentity::for_sync(&ca_der, &certificate, &key).unwrap();
    assert_eq!(outcome(&server, &enrolled).await, Ok(()));
}

#[tokio::test]
async fn another_server_than_the_invited_one_is_not_trusted() {
    let (ours, other, namesake) =
        (TestAuthority::named("one"), TestAuthority::named("two"), TestAuthority::named("one"));
    let invited = TlsIdentity::for_enrolment(ours.fingerprint()).unwrap();
    let enrolled = ours.identity(CURRENT);
    for wrong in [&other, &namesake] {
        let server = wrong.server();
        for identity in [&invited, &enrolled] {
            let error = outcome(&server, identity).await.unwrap_err();
            assert!(matches!(error, ConnectError::ServerNotTrusted(_)), "{error}");
            assert_eq!(error.trouble(), ConnectionTrouble::Certificate);
        }
    }
    let other_name = ours.server_named("example.org", CURRENT, b"xundian/1");
    for identity in [&invited, &enrolled] {
        let error = outcome(&other_name, identity).await.unwrap_err();
        assert!(matches!(error, ConnectError::ServerNotTrusted(_)), "{error}");
    }
}

#[tokio::test]
async fn a_chain_that_shows_the_right_authority_beside_a_foreign_leaf_is_not_trusted() {
    let (ours, other) = (TestAuthority::named("one"), TestAuthority::named("two"));
    let verifier = CountingVerifier::pinned(ours.fingerprint());
    let key = KeyPair::generate().unwrap();
    let mut params = TestAuthority::params("xundian.server", CURRENT);
    params.subject_alt_names = vec![rcgen::SanType::DnsName("xundian.server".try_into().unwrap())];
    let leaf = params.signed_by(&key, &other.ca).unwrap().der().clone();
    let chain = [ours.ca.der().clone(), other.ca.der().clone()];
    let name = "xundian.server".try_into().unwrap();
    let now = UnixTime::now();
    let error = verifier.verify_server_cert(&leaf, &chain, &name, &[], now).unwrap_err();
    assert_eq!(error, rustls::CertificateError::UnknownIssuer.into());
}

#[tokio::test]
async fn a_server_certificate_out_of_its_time_points_at_this_devices_date() {
    let authority = TestAuthority::named("one");
    for years in [PAST, FUTURE] {
        let server = authority.server_named("xundian.server", years, b"xundian/1");
        let error = outcome(&server, &authority.identity(CURRENT)).await.unwrap_err();
        assert!(matches!(error, ConnectError::ServerCertificateNotCurrent(_)), "{error}");
        assert_eq!(error.trouble(), ConnectionTrouble::Date);
    }
}

#[tokio::test]
async fn a_certificate_that_the_server_refuses_is_explained_at_connecting_or_at_the_first_read() {
    let (ours, other, namesake) =
        (TestAuthority::named("one"), TestAuthority::named("two"), TestAuthority::named("one"));
    let server = ours.server();
    for years in [PAST, FUTURE] {
        assert_eq!(outcome(&server, &ours.identity(years)).await, Err(ConnectError::CertificateExpired));
    }
    for foreign in [&other, &namesake] {
        let key = DeviceKey::generate().unwrap();
        let certificate = foreign.device(&key, CURRENT);
        let identity = TlsIdentity::for_sync(ours.ca.der(), &certificate, &key).unwrap();
        let error = outcome(&server, &identity).await.unwrap_err();
        assert!(matches!(error, ConnectError::CertificateForeign(_)), "{error}");
    }
}

#[tokio::test]
async fn a_close_by_the_server_carries_its_code_and_readable_reason() {
    let authority = TestAuthority::named("one");
    let server = authority.server();
    let connection = Connection::connect(&Socket::to(server.address).unwrap(), &authority.identity(CURRENT))
        .await
        .unwrap();
    let refused = ConnectError::Refused { code: 77, reason: "device revoked".to_owned() };
    assert_eq!(exchange(&connection, b"bye").await, Err(refused.clone()));
    assert_eq!(connection.closed().await, refused);
    assert_eq!(connection.open_stream().await.err(), Some(refused));
}

#[tokio::test]
async fn a_stream_cut_inside_a_frame_is_not_a_clean_end() {
    let authority = TestAuthority::named("one");
    let server = authority.server();
    let identity = authority.identity(CURRENT);
    let connection = Connection::connect(&Socket::to(server.address).unwrap(), &identity).await.unwrap();
    let mut stream = connection.open_stream().await.unwrap();
    stream.send(b"cut").await.unwrap();
    let truncated = stream.recv().await.unwrap_err();
    assert!(
        matches!(truncated, StreamError::Framing(FramingError::Truncated { left_bytes: 5 })),
        "{truncated}"
    );

    let mut stream = connection.open_stream().await.unwrap();
    stream.send(b"drop").await.unwrap();
    assert!(matches!(stream.recv().await, Ok(None)), "dropped between frames: a clean end");
    assert!(matches!(stream.send(&[]).await, Err(StreamError::Framing(FramingError::Empty))));
    let long = vec![0; FRAME_BYTES_MAX + 1];
    assert!(matches!(stream.send(&long).await, Err(StreamError::Framing(FramingError::Oversized { .. }))));

    server.endpoint.close(9u32.into(), b"");
    assert!(matches!(connection.closed().await, ConnectError::Refused { code: 9, .. }));
}

#[tokio::test]
async fn a_server_that_takes_nobody_or_speaks_another_version_is_told_apart() {
    let authority = TestAuthority::named("one");
    let newer = authority.server_named("xundian.server", CURRENT, b"xundian/2");
    assert_eq!(outcome(&newer, &authority.identity(CURRENT)).await, Err(ConnectError::NoCommonVersion));

    let stopping = authority.server();
    let connection =
        Connection::connect(&Socket::to(stopping.address).unwrap(), &authority.identity(CURRENT))
            .await
            .unwrap();
    stopping.endpoint.close(CLOSE_SERVER_STOPPING.into(), b"stopping");
    assert_eq!(connection.closed().await, ConnectError::Busy);

    let endpoint = quinn::Endpoint::server(refusing_config(), (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            incoming.refuse();
        }
    });
    let error =
        Connection::connect(&Socket::to(address).unwrap(), &authority.identity(CURRENT)).await.unwrap_err();
    assert_eq!(error, ConnectError::Busy);
    assert_eq!(error.trouble(), ConnectionTrouble::Passing);
}

#[tokio::test]
async fn repeated_connections_of_one_identity_resume() {
    let authority = TestAuthority::named("one");
    let server = authority.server();
    let key = DeviceKey::generate().unwrap();
    let device = (
        CertificateDer::from(authority.device(&key, CURRENT)),
        PrivateKeyDer::Pkcs8(KeyPair::from_pem(&key.to_pem()).unwrap().serialize_der().into()),
    );
    let verifier = Arc::new(CountingVerifier::pinned(authority.fingerprint()));
    let identity = TlsIdentity::with(verifier.clone(), Some(device)).unwrap();
    for _ in 0..4 {
        outcome(&server, &identity.clone()).await.unwrap();
    }
    assert_eq!(verifier.full_handshakes.load(Ordering::SeqCst), 1);
}

#[test]
fn every_alert_has_its_meaning_on_both_sides() {
    let words = || "words".to_owned();
    let servers = |alert| servers_verdict(0x100 + alert, words());
    assert_eq!(servers(45), ConnectError::CertificateExpired);
    assert_eq!(servers(44), ConnectError::CertificateRevoked);
    assert_eq!(servers(116), ConnectError::CertificateMissing);
    for alert in [42, 43, 46, 48, 49, 51] {
        assert_eq!(servers(alert), ConnectError::CertificateForeign(words()));
        assert_eq!(own_verdict(0x100 + alert, words()), ConnectError::ServerNotTrusted(words()));
    }
    assert_eq!(servers(120), ConnectError::NoCommonVersion);
    assert!(matches!(servers(80), ConnectError::Tls(_)));
    assert!(matches!(servers_verdict(45, words()), ConnectError::Tls(_)), "no TLS alert");
    assert_eq!(own_verdict(0x12D, words()), ConnectError::ServerCertificateNotCurrent(words()));
    assert_eq!(explain(quinn::ConnectionError::TimedOut), ConnectError::Unreachable);
    assert_eq!(explain(quinn::ConnectionError::Reset), ConnectError::Lost);
    assert_eq!(explain(quinn::ConnectionError::LocallyClosed), ConnectError::ClosedHere);
    assert_eq!(readable(b"a\x1b[31m\xff"), "a [31m\u{fffd}");
}

#[test]
fn damaged_keys_and_certificates_say_what_to_do() {
    let authority = TestAuthority::named("one");
    let (key, other) = (DeviceKey::generate().unwrap(), DeviceKey::generate().unwrap());
    let certificate = authority.device(&key, CURRENT);
    let ca_der = authority.ca.der();
    assert!(matches!(DeviceKey::from_pem("nonsense"), Err(TlsIdentityError::DamagedKey(_))));
    for (ca_der, certificate, key) in [
        (&b"nonsense"[..], &certificate[..], &key),
        (ca_der, b"nonsense", &key),
        (ca_der, &certificate, &other),
    ] {
        let error = TlsIdentity::for_sync(ca_der, certificate, key).unwrap_err();
        assert!(matches!(error, TlsIdentityError::DamagedCertificate(_)), "{error}");
    }
    assert_eq!(format!("{key:?}"), "DeviceKey { secret }");
}

/// The configuration of a server that never completes a handshake.
fn refusing_config() -> quinn::ServerConfig {
    let key = rcgen::generate_simple_self_signed(["refusing".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
        )
        .unwrap();
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()))
}
