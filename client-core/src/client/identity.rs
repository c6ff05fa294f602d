//! The device's identity files in its home folder: `device.key` (the secret key, PEM, readable by its owner
//! alone), `device.csr` (the request for its certificate, DER), `device.crt` and `authority.crt`
//! (certificates, DER).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::transport::{DeviceKey, TlsIdentity, TlsIdentityError};

const KEY_FILE: &str = "device.key";
const REQUEST_FILE: &str = "device.csr";
const CERTIFICATE_FILE: &str = "device.crt";
const AUTHORITY_FILE: &str = "authority.crt";

/// A file of the device's identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// It cannot be read or written.
    #[error("cannot {action} {}: {source}; check the folder's permissions and the room on its disk", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else than a key or a certificate.
    #[error("{0}")]
    Content(String),
}

impl From<TlsIdentityError> for IdentityFileError {
    fn from(error: TlsIdentityError) -> Self {
        Self::Content(error.to_string())
    }
}

/// The request for a certificate, the same at every call: a request is signed with a random number, and a
/// server that gets the very same one again knows that its answer was lost.
pub(super) fn request_der(home: &Path) -> Result<Vec<u8>, IdentityFileError> {
    let key = key(home)?;
    let path = home.join(REQUEST_FILE);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let request = key.csr_der()?;
            write(home, REQUEST_FILE, &request)?;
            Ok(request)
        }
        read => read.map_err(|source| IdentityFileError::File { action: "read", path, source }),
    }
}

/// The device's key; made and kept at the first call. It stays the same for the device's life.
fn key(home: &Path) -> Result<DeviceKey, IdentityFileError> {
    let path = home.join(KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(pem) => Ok(DeviceKey::from_pem(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = DeviceKey::generate()?;
            // A request first, so that none of an older key can be left beside this one.
            write(home, REQUEST_FILE, &key.csr_der()?)?;
            write(home, KEY_FILE, key.to_pem().as_bytes())?;
            Ok(key)
        }
        Err(source) => Err(IdentityFileError::File { action: "read", path, source }),
    }
}

/// Keeps the certificates of an enrolment.
pub(super) fn keep(
    home: &Path,
    certificate_der: &[u8],
    authority_der: &[u8],
) -> Result<(), IdentityFileError> {
    write(home, AUTHORITY_FILE, authority_der)?;
    write(home, CERTIFICATE_FILE, certificate_der)
}

/// What the device shows to its server.
pub(super) fn load(home: &Path) -> Result<TlsIdentity, IdentityFileError> {
    let read = |name| {
        let path = home.join(name);
        fs::read(&path).map_err(|source| IdentityFileError::File { action: "read", path, source })
    };
    Ok(TlsIdentity::for_sync(&read(AUTHORITY_FILE)?, &read(CERTIFICATE_FILE)?, &key(home)?)?)
}

/// Writes a file so that after a crash the old or the new one is there, whole.
fn write(home: &Path, name: &str, content: &[u8]) -> Result<(), IdentityFileError> {
    let path = home.join(name);
    let fresh = home.join(format!("{name}.new"));
    let attempt = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        #[cfg(unix)]
        File::open(home)?.sync_all()?;
        Ok(())
    };
    attempt().map_err(|source| IdentityFileError::File { action: "write", path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let made = key(home.path()).expect("a key").to_pem();
        assert_eq!(key(home.path()).expect("the same key").to_pem(), made);
        let request = request_der(home.path()).expect("a request");
        assert_eq!(request_der(home.path()).expect("the same request"), request);
        #[cfg(unix)]
        {
            let file = fs::metadata(home.path().join(KEY_FILE)).expect("its file");
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
        }
        fs::write(home.path().join(KEY_FILE), "no key").expect("written");
        assert!(matches!(key(home.path()), Err(IdentityFileError::Content(_))));
    }
}
