//! The authority's files: a PKCS#8 key and its certificate in one PEM text, readable by the server's user alone,
//! written so that a crash leaves the old text or the new one.
//!
//! Ignores the content of a certificate and its validity.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::AuthorityError;
use crate::disk;

/// A key and the certificate made for it.
pub(super) struct KeyAndCertificate {
    pub(super) key: KeyPair,
    pub(super) certificate: CertificateDer<'static>,
}

impl KeyAndCertificate {
    /// Reads the text that [`keep`] wrote. The error says what is wrong with it.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let key =
            PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|error| format!("no key in it: {error}"))?;
        let key = KeyPair::try_from(&key).map_err(|error| format!("its key is unreadable: {error}"))?;
        let certificate =
            CertificateDer::from_pem_slice(text).map_err(|error| format!("no certificate in it: {error}"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|error| format!("its certificate is unreadable: {error}"))?;
        if parsed.public_key().subject_public_key.data != key.der_bytes() {
            return Err("its key and its certificate do not belong together".to_owned());
        }
        Ok(Self { key, certificate })
    }
}

/// Creates the folder and its missing parents, for the server's user alone.
pub(super) fn make_private_folder(folder: &Path) -> Result<(), AuthorityError> {
    disk::make_private_folder(folder).map_err(failed("make the folder", folder))
}

/// The file's bytes; `None` if there is no such file.
pub(super) fn read_pem(path: &Path) -> Result<Option<Vec<u8>>, AuthorityError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a key and its certificate to `path`, durably and atomically, and returns them.
pub(super) fn keep(
    path: &Path,
    key: KeyPair,
    certificate: rcgen::Certificate,
) -> Result<KeyAndCertificate, AuthorityError> {
    let text = format!("{}{}", key.serialize_pem(), certificate.pem());
    let temporary = path.with_extension("pem.tmp");
    // A crash may have left a temporary file; it was never renamed, so nothing is lost.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove the leftover", &temporary)(error));
        }
        Ok(()) | Err(_) => {}
    }
    write_and_sync(&temporary, text.as_bytes()).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("put in place", path))?;
    if let Some(folder) = path.parent() {
        disk::sync_folder(folder).map_err(failed("make durable", folder))?;
    }
    Ok(KeyAndCertificate { key, certificate: certificate.der().clone() })
}

fn write_and_sync(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // From the start: a key must never be readable by others.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let path = path.to_owned();
    move |source| AuthorityError::File { action, path, source }
}
