//! The server's own certificate authority, in its data folder.
//!
//! Owns the authority's key and certificate, the server's certificate and the certificates of devices. Knows no clock
//! (times are arguments), no network, and not which devices exist or are revoked: any holder of a certificate of this
//! authority is a device, and the store decides whether it is admitted.
//!
//! Two files, each with a key and its certificate together, so that no crash separates them: `authority.pem` (if lost,
//! every device must enrol again) and `server.pem` (created again when needed).

mod files;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use files::KeyAndCertificate;

/// The name that devices expect, wherever the server runs. The authority, not the address, proves the server.
pub const SERVER_NAME: &str = "xundian.server";

const AUTHORITY_FILE: &str = "authority.pem";
const SERVER_FILE: &str = "server.pem";
const DEVICE_NAME_PREFIX: &str = "device-";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const YEAR_MS: i64 = 365 * DAY_MS + DAY_MS / 4;
const AUTHORITY_LIFE_MS: i64 = 20 * YEAR_MS;
/// Long, because a running server renews only at its next start.
const SERVER_LIFE_MS: i64 = 5 * YEAR_MS;
const SERVER_RENEWAL_MS: i64 = 30 * DAY_MS;
/// The authority and the server are valid from 1970 on: a phone whose clock was reset to its factory date must still
/// connect, because it learns the true time by syncing. The same holds for renewed devices.
const ALWAYS_MS: i64 = 0;
/// X.509 cannot write a year with five digits.
const YEAR_10000_MS: i64 = 253_402_300_800_000;
/// A request holds one key and one signature; P-256 takes about 200 bytes.
const REQUEST_BYTES_MAX: usize = 4096;

/// Why an operation of the authority failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the authority cannot be read or written.
    #[error("cannot {action} {}: {source}. Check that the server's user owns the data folder and that the disk has room", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The authority's file exists and is corrupt.
    #[error("{} is damaged ({detail}). Restore it from a backup; a new one would lock out every enrolled device", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A device sent something that is not a signed request for a P-256 or Ed25519 key.
    #[error(
        "the certificate request of device {device_no} is refused ({detail}). Let the device make a new key and enrol again"
    )]
    BadRequest {
        /// The device that requested the certificate.
        device_no: u32,
        /// What is wrong with it.
        detail: String,
    },
    /// Times that a certificate cannot hold.
    #[error(
        "a certificate cannot be valid from {not_before_ms} to {not_after_ms} ms after 1970. Check the server's clock and the lifetime in its configuration"
    )]
    BadTimes {
        /// Start of validity.
        not_before_ms: i64,
        /// End of validity.
        not_after_ms: i64,
    },
    /// A certificate that was not made for a device.
    #[error("the certificate is not a device's ({detail}). Enrol the device to get one")]
    NotADevice {
        /// What is wrong with it.
        detail: String,
    },
    /// The cryptographic library failed to create a key or certificate.
    #[error("cannot make {what}: {detail}. Report this together with the server's version")]
    Making {
        /// What was to be created.
        what: &'static str,
        /// The library's error.
        detail: String,
    },
}

/// The content of a device's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// The device's number.
    pub device_no: u32,
    /// The end of validity, in milliseconds after 1970.
    pub not_after_ms: i64,
    /// The public key (SubjectPublicKeyInfo, DER).
    pub public_key_der: Vec<u8>,
}

impl DeviceCertificate {
    /// BLAKE3 of the public key.
    pub fn key_hash(&self) -> [u8; 32] {
        *blake3::hash(&self.public_key_der).as_bytes()
    }
}

/// The certificate authority of one server.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_der: CertificateDer<'static>,
    leaf: KeyAndCertificate,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &blake3::hash(&self.ca_der)).finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority in `folder`, or creates it there. The server's own certificate is renewed when less than 30
    /// days of it are left.
    pub fn open_or_create(folder: &Path, now_ms: i64) -> Result<Self, AuthorityError> {
        files::make_private_folder(folder)?;
        let path = folder.join(AUTHORITY_FILE);
        let kept = match files::read_pem(&path)? {
            Some(text) => KeyAndCertificate::from_pem(&text)
                .map_err(|detail| AuthorityError::Damaged { path: path.clone(), detail })?,
            None => new_authority(&path, now_ms)?,
        };
        let ca_der = kept.certificate;
        let issuer = Issuer::from_ca_cert_der(&ca_der, kept.key)
            .map_err(|error| AuthorityError::Damaged { path, detail: error.to_string() })?;
        let leaf = open_or_renew_leaf(&folder.join(SERVER_FILE), &issuer, &ca_der, now_ms)?;
        Ok(Self { issuer, ca_der, leaf })
    }

    /// BLAKE3 of the authority's certificate. Invitations carry it, so that a device trusts this server, and no other,
    /// at first contact.
    pub fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(&self.ca_der).as_bytes()
    }

    /// The authority's certificate, for devices to store.
    pub fn certificate_der(&self) -> &[u8] {
        &self.ca_der
    }

    /// Signs a certificate for the key in a device's request. Only the key, and the proof that the device holds it, are
    /// used; names and extensions in the request are ignored.
    pub fn sign_device(
        &self,
        csr_der: &[u8],
        device_no: u32,
        not_before_ms: i64,
        not_after_ms: i64,
    ) -> Result<Vec<u8>, AuthorityError> {
        let public_key =
            requested_key(csr_der).map_err(|detail| AuthorityError::BadRequest { device_no, detail })?;
        self.sign_key(&public_key, device_no, not_before_ms, not_after_ms)
    }

    /// Signs another certificate for the same device and key. TLS has proved that the device holds the key. Validity
    /// begins in 1970: a certificate issued while the server's clock was ahead would otherwise lock the device out once
    /// the clock is corrected.
    pub fn renew_device(
        &self,
        shown: &DeviceCertificate,
        not_after_ms: i64,
    ) -> Result<Vec<u8>, AuthorityError> {
        let public_key = SubjectPublicKeyInfo::from_der(&shown.public_key_der)
            .map_err(|error| AuthorityError::NotADevice { detail: error.to_string() })?;
        self.sign_key(&public_key, shown.device_no, ALWAYS_MS, not_after_ms)
    }

    fn sign_key(
        &self,
        public_key: &impl PublicKeyData,
        device_no: u32,
        not_before_ms: i64,
        not_after_ms: i64,
    ) -> Result<Vec<u8>, AuthorityError> {
        let mut params = certificate_params(
            &format!("{DEVICE_NAME_PREFIX}{device_no}"),
            public_key.der_bytes(),
            not_before_ms,
            not_after_ms,
        )?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate =
            params.signed_by(public_key, &self.issuer).map_err(making("a device's certificate"))?;
        Ok(certificate.der().to_vec())
    }

    /// The certificates that the server presents to devices: its own, then the authority's.
    pub(crate) fn server_chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.leaf.certificate.clone(), self.ca_der.clone()]
    }

    /// The key of the first certificate of [`server_chain`](Self::server_chain).
    pub(crate) fn server_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.leaf.key.serialize_der().into())
    }

    /// The one root that devices' certificates must chain to.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.ca_der.clone()
    }
}

/// The device number in a certificate that TLS has already verified.
pub fn device_no_of(cert_der: &[u8]) -> Result<u32, AuthorityError> {
    device_certificate(cert_der).map(|device| device.device_no)
}

/// Reads a device's certificate. It checks no signature; TLS has done that.
pub fn device_certificate(cert_der: &[u8]) -> Result<DeviceCertificate, AuthorityError> {
    let not_a_device = |detail: &str| AuthorityError::NotADevice { detail: detail.to_owned() };
    let (_, certificate) =
        X509Certificate::from_der(cert_der).map_err(|error| not_a_device(&error.to_string()))?;
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(not_a_device("it has not exactly one common name"));
    };
    let name = name.as_str().map_err(|error| not_a_device(&error.to_string()))?;
    let device_no = name
        .strip_prefix(DEVICE_NAME_PREFIX)
        .and_then(|digits| digits.parse::<u32>().ok())
        // Accepts only the form that sign_device writes: no sign, no leading zero.
        .filter(|device_no| name == format!("{DEVICE_NAME_PREFIX}{device_no}"))
        .ok_or_else(|| not_a_device("its name is not device-<number>"))?;
    let not_after_ms = certificate.validity().not_after.timestamp().saturating_mul(1000);
    let public_key_der = certificate.public_key().raw.to_vec();
    Ok(DeviceCertificate { device_no, not_after_ms, public_key_der })
}

fn new_authority(path: &Path, now_ms: i64) -> Result<KeyAndCertificate, AuthorityError> {
    let key = new_key()?;
    // A distinct name keeps the authorities of two servers apart in errors and logs.
    let tag = &blake3::hash(key.der_bytes()).to_hex()[..16];
    let name = format!("Xundian authority {tag}");
    let mut params = certificate_params(&name, key.der_bytes(), ALWAYS_MS, now_ms + AUTHORITY_LIFE_MS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(making("the authority's certificate"))?;
    files::keep(path, key, certificate)
}

fn open_or_renew_leaf(
    path: &Path,
    issuer: &Issuer<'static, KeyPair>,
    ca_der: &CertificateDer<'static>,
    now_ms: i64,
) -> Result<KeyAndCertificate, AuthorityError> {
    if let Some(text) = files::read_pem(path)? {
        let kept = KeyAndCertificate::from_pem(&text)
            .and_then(|kept| check_leaf(&kept.certificate, ca_der, now_ms).map(|()| kept));
        match kept {
            Ok(kept) => return Ok(kept),
            // No device remembers this certificate, so a new one costs nothing.
            Err(reason) => {
                tracing::info!(path = %path.display(), reason, "renewing the server's certificate")
            }
        }
    }
    new_leaf(path, issuer, now_ms)
}

fn new_leaf(
    path: &Path,
    issuer: &Issuer<'static, KeyPair>,
    now_ms: i64,
) -> Result<KeyAndCertificate, AuthorityError> {
    let key = new_key()?;
    let mut params = certificate_params(SERVER_NAME, key.der_bytes(), ALWAYS_MS, now_ms + SERVER_LIFE_MS)?;
    let dns_name = SERVER_NAME.try_into().map_err(making("the server's name"))?;
    params.subject_alt_names = vec![rcgen::SanType::DnsName(dns_name)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer).map_err(making("the server's certificate"))?;
    files::keep(path, key, certificate)
}

/// Checks with the verifier that devices use, for now and for the end of the renewal period. A certificate is kept only
/// while every device accepts it.
fn check_leaf(
    leaf_der: &CertificateDer<'static>,
    ca_der: &CertificateDer<'static>,
    now_ms: i64,
) -> Result<(), String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca_der.clone()).map_err(|error| error.to_string())?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| error.to_string())?;
    for at_ms in [now_ms, now_ms + SERVER_RENEWAL_MS] {
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at_ms.max(0).unsigned_abs()));
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &*verifier,
            leaf_der,
            &[],
            &name,
            &[],
            at,
        )
        .map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn requested_key(csr_der: &[u8]) -> Result<rcgen::PublicKey, String> {
    if csr_der.len() > REQUEST_BYTES_MAX {
        return Err(format!("{} bytes are over the limit of {REQUEST_BYTES_MAX}", csr_der.len()));
    }
    // This verifies the request's own signature.
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
        .map_err(|error| error.to_string())?;
    // rcgen takes the key type from the signature's algorithm; the length must match it.
    let key = request.public_key;
    let (algorithm, key_bytes) = (PublicKeyData::algorithm(&key), key.der_bytes().len());
    let known = (algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 && key_bytes == 65)
        || (algorithm == &rcgen::PKCS_ED25519 && key_bytes == 32);
    if known { Ok(key) } else { Err("its key is neither P-256 nor Ed25519".to_owned()) }
}

fn certificate_params(
    common_name: &str,
    public_key: &[u8],
    not_before_ms: i64,
    not_after_ms: i64,
) -> Result<CertificateParams, AuthorityError> {
    let possible = 0 <= not_before_ms && not_before_ms < not_after_ms && not_after_ms < YEAR_10000_MS;
    if !possible {
        return Err(AuthorityError::BadTimes { not_before_ms, not_after_ms });
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = epoch + Duration::from_millis(not_before_ms.unsigned_abs());
    params.not_after = epoch + Duration::from_millis(not_after_ms.unsigned_abs());
    params.serial_number = Some(serial_number(common_name, public_key, not_before_ms, not_after_ms));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A serial number that no other certificate of this authority has. It is derived from everything that distinguishes
/// certificates, so no counter must survive a restore from backup.
fn serial_number(
    common_name: &str,
    public_key: &[u8],
    not_before_ms: i64,
    not_after_ms: i64,
) -> SerialNumber {
    let mut hasher = blake3::Hasher::new();
    hasher.update(public_key);
    hasher.update(&not_before_ms.to_be_bytes());
    hasher.update(&not_after_ms.to_be_bytes());
    hasher.update(common_name.as_bytes());
    let mut serial = [0; 16];
    hasher.finalize_xof().fill(&mut serial);
    // Positive, and of constant length.
    serial[0] = serial[0] & 0x7F | 0x40;
    SerialNumber::from_slice(&serial)
}

fn new_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(making("a key"))
}

fn making<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> AuthorityError {
    move |error| AuthorityError::Making { what, detail: error.to_string() }
}
