//! TLS 1.3 over QUIC: this device's identity, and the servers that it trusts.
//!
//! Owns the device's key pair and the two ways to trust a server: by the authority's fingerprint (enrolment) and by the
//! authority's certificate (sync). Does not know where keys and certificates are kept, nor addresses: a server is who
//! its authority says, wherever it answers.

use std::sync::Arc;
use std::time::Duration;

use quinn::VarInt;
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::CipherSuite;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, PeerMisbehaved, RootCertStore, SignatureScheme};

/// The name in every Xundian server's certificate. The server's `authority` module writes it.
pub(super) const SERVER_NAME: &str = "xundian.server";
/// The protocol and its version, negotiated in the handshake.
const ALPN: &[u8] = b"xundian/1";

/// A connection that receives nothing for this long is dead.
const IDLE_TIMEOUT_MS: u32 = 30_000;
/// Only the device keeps a connection alive, because only it knows whether it still needs it.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const STREAM_RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024;
const RECEIVE_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// Why a key or an identity is not available.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsIdentityError {
    /// No key or certificate request could be made.
    #[error("cannot make this device's key ({0}): restart the app and enrol again")]
    Making(String),
    /// The stored key cannot be read.
    #[error(
        "this device's key is damaged ({0}): ask for a new invitation and enrol again; unsent work is kept"
    )]
    DamagedKey(String),
    /// The stored certificates cannot be used.
    #[error(
        "this device's certificates are damaged ({0}): ask for a new invitation and enrol again; unsent work is kept"
    )]
    DamagedCertificate(String),
    /// The cryptographic library rejects its settings.
    #[error("TLS cannot be set up ({0}): report this together with the app's version")]
    Setup(String),
}

/// The device's key pair (P-256). It never leaves the device.
pub(crate) struct DeviceKey {
    key: KeyPair,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey { secret }")
    }
}

impl DeviceKey {
    /// Makes a new key pair.
    pub(crate) fn generate() -> Result<Self, TlsIdentityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| TlsIdentityError::Making(error.to_string()))?;
        Ok(Self { key })
    }

    /// The secret key as PKCS#8 PEM. Keep it where nobody else can read it.
    pub(crate) fn to_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Reads a key that [`to_pem`](Self::to_pem) wrote.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, TlsIdentityError> {
        let key = KeyPair::from_pem(pem).map_err(|error| TlsIdentityError::DamagedKey(error.to_string()))?;
        Ok(Self { key })
    }

    /// A certificate request. It proves that this device holds the key and requests no name.
    pub(crate) fn csr_der(&self) -> Result<Vec<u8>, TlsIdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "xundian device");
        let request = params
            .serialize_request(&self.key)
            .map_err(|error| TlsIdentityError::Making(error.to_string()))?;
        Ok(request.der().to_vec())
    }
}

/// This device's certificate, and whom it trusts. Keep one while the process runs: it remembers the server's session
/// tickets, so that the next connection is cheaper.
#[derive(Debug, Clone)]
pub(crate) struct TlsIdentity {
    config: quinn::ClientConfig,
}

impl TlsIdentity {
    /// For enrolment: no certificate yet, and trust in the server whose authority's certificate has the BLAKE3
    /// fingerprint of the invitation.
    pub(crate) fn for_enrolment(fingerprint: [u8; 32]) -> Result<Self, TlsIdentityError> {
        Self::with(Arc::new(PinnedAuthority::new(fingerprint)), None)
    }

    /// For sync: the device's certificate and key, and trust in the authority stored at enrolment.
    pub(crate) fn for_sync(
        ca_der: &[u8],
        certificate_der: &[u8],
        key: &DeviceKey,
    ) -> Result<Self, TlsIdentityError> {
        let ca = CertificateDer::from(ca_der.to_vec());
        let verifier = authority_verifier(ca, provider())
            .map_err(|error| TlsIdentityError::DamagedCertificate(error.to_string()))?;
        let certificate = CertificateDer::from(certificate_der.to_vec());
        let key = PrivateKeyDer::Pkcs8(key.key.serialize_der().into());
        Self::with(verifier, Some((certificate, key)))
    }

    pub(super) fn with(
        verifier: Arc<dyn ServerCertVerifier>,
        device: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, TlsIdentityError> {
        let setup = |error: String| TlsIdentityError::Setup(error);
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut tls = match device {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate], key)
                .map_err(|error| TlsIdentityError::DamagedCertificate(error.to_string()))?,
        };
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let tls = QuicClientConfig::try_from(tls).map_err(|error| setup(error.to_string()))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport_config()));
        Ok(Self { config })
    }

    pub(super) fn quinn_config(&self) -> quinn::ClientConfig {
        self.config.clone()
    }
}

/// Trusts a server whose chain contains the authority of the invitation, and whose own certificate that authority
/// signed.
#[derive(Debug)]
pub(super) struct PinnedAuthority {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    pub(super) fn new(fingerprint: [u8; 32]) -> Self {
        Self { fingerprint, provider: provider() }
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = intermediates
            .iter()
            .find(|der| *blake3::hash(der).as_bytes() == self.fingerprint)
            .ok_or(CertificateError::UnknownIssuer)?;
        let verifier = authority_verifier(authority.clone().into_owned(), self.provider.clone())?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // QUIC has no TLS 1.2, so this is not one of our servers.
        Err(PeerMisbehaved::SelectedUnofferedCipherSuite.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

fn authority_verifier(
    ca: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

fn transport_config() -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    // Probes for larger packets were two thirds of the bytes of a sync with nothing new.
    config.mtu_discovery_config(None);
    config
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        // The server opens no streams; it only answers.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None);
    config
}

/// Passed explicitly everywhere: a process-wide default would belong to whoever sets it first.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    // Processors have instructions for SHA-256 but not for SHA-384, which the default order prefers.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}
