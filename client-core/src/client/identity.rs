//! The device's identity files in its home folder: `device.key` (the private key, PEM, readable by its owner alone),
//! `device.csr` (the certificate request, DER), `device.crt` and `authority.crt` (certificates, DER). If the store is
//! sealed, so are they, each under its name with the store's key.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::disk::sync_folder;
use crate::sealing::{AssociatedData, Cover};
use crate::transport::{DeviceKey, TlsIdentity, TlsIdentityError};

const KEY_FILE: &str = "device.key";
const REQUEST_FILE: &str = "device.csr";
const CERTIFICATE_FILE: &str = "device.crt";
const AUTHORITY_FILE: &str = "authority.crt";

/// An identity file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFileError {
    /// It cannot be read or written.
    #[error("cannot {action} {}: {source}; check the folder's permissions and the room on its disk", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The store's key does not open the file.
    #[error("{} is not sealed with this device's key, or is damaged: ask for a new invitation and enrol again; unsent work is kept", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The content is not a key or a certificate.
    #[error("{0}")]
    Content(String),
}

impl IdentityFileError {
    /// Whether the file is only temporarily unreadable or unwritable. A missing file is not.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() != io::ErrorKind::NotFound)
    }
}

impl From<TlsIdentityError> for IdentityFileError {
    fn from(error: TlsIdentityError) -> Self {
        Self::Content(error.to_string())
    }
}

/// A device's home folder, with the seal over its files.
pub(super) struct DeviceFolder {
    path: PathBuf,
    cover: Cover,
}

impl DeviceFolder {
    pub(super) fn new(path: &Path, cover: Cover) -> Self {
        Self { path: path.to_owned(), cover }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file's content; `None` if there is no such file.
    fn read_if_there(&self, name: &'static str) -> Result<Option<Vec<u8>>, IdentityFileError> {
        match self.read(name) {
            Err(IdentityFileError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn read(&self, name: &'static str) -> Result<Vec<u8>, IdentityFileError> {
        let path = self.path.join(name);
        let bytes = fs::read(&path).map_err(|source| IdentityFileError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        self.cover.open(AssociatedData::File(name), bytes).ok_or(IdentityFileError::Foreign { path })
    }

    /// Renames an unusable file. It replaces one renamed earlier.
    fn lay_aside(&self, name: &'static str) -> Result<(), IdentityFileError> {
        let path = self.path.join(name);
        let moved = fs::rename(&path, self.path.join(format!("{name}.damaged")));
        moved.map_err(|source| IdentityFileError::File { action: "rename", path, source })
    }

    /// Writes a file so that after a crash the old or the new content is there in full.
    fn write(&self, name: &'static str, content: &[u8]) -> Result<(), IdentityFileError> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!("{name}.new"));
        let attempt = || {
            let mut covered = Vec::with_capacity(content.len() + self.cover.extra_bytes());
            covered.resize(self.cover.front_bytes(), 0);
            covered.extend_from_slice(content);
            self.cover.seal(AssociatedData::File(name), &mut covered, 0)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&fresh)?;
            file.write_all(&covered)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            sync_folder(&self.path)
        };
        attempt().map_err(|source| IdentityFileError::File { action: "write", path: path.clone(), source })
    }
}

/// Returns the certificate request, the same at every call. A request is signed with a random number, so a server that
/// receives the same request again knows that its answer was lost.
///
/// A corrupted key or sealed request is renamed and created again: enrolment works with any key. The server sees
/// another device then, so figures wait for the old one until it is revoked.
pub(super) fn request_der(home: &DeviceFolder) -> Result<Vec<u8>, IdentityFileError> {
    let key = match key(home) {
        Err(IdentityFileError::Content(_) | IdentityFileError::Foreign { .. }) => {
            home.lay_aside(KEY_FILE)?;
            key(home)?
        }
        key => key?,
    };
    match home.read_if_there(REQUEST_FILE) {
        Ok(Some(request)) => return Ok(request),
        Ok(None) => {}
        Err(IdentityFileError::Foreign { .. }) => home.lay_aside(REQUEST_FILE)?,
        Err(error) => return Err(error),
    }
    let request = key.csr_der()?;
    home.write(REQUEST_FILE, &request)?;
    Ok(request)
}

/// Returns the device's key, created at the first call. It stays the same for the device's life.
fn key(home: &DeviceFolder) -> Result<DeviceKey, IdentityFileError> {
    if let Some(pem) = home.read_if_there(KEY_FILE)?.map(Zeroizing::new) {
        return Ok(DeviceKey::from_pem(&String::from_utf8_lossy(&pem))?);
    }
    let key = DeviceKey::generate()?;
    // The request is written first, so that no request of an older key can remain beside this key.
    home.write(REQUEST_FILE, &key.csr_der()?)?;
    home.write(KEY_FILE, Zeroizing::new(key.to_pem()).as_bytes())?;
    Ok(key)
}

/// Stores the certificates of an enrolment.
pub(super) fn keep(
    home: &DeviceFolder,
    certificate_der: &[u8],
    authority_der: &[u8],
) -> Result<(), IdentityFileError> {
    home.write(AUTHORITY_FILE, authority_der)?;
    home.write(CERTIFICATE_FILE, certificate_der)
}

/// Replaces the expiring certificate by the next one, if that matches the device's key.
pub(super) fn renew(home: &DeviceFolder, certificate_der: &[u8]) -> Result<(), IdentityFileError> {
    TlsIdentity::for_sync(&home.read(AUTHORITY_FILE)?, certificate_der, &key(home)?)?;
    home.write(CERTIFICATE_FILE, certificate_der)
}

/// Loads what the device presents to its server.
pub(super) fn load(home: &DeviceFolder) -> Result<TlsIdentity, IdentityFileError> {
    let (authority, certificate) = (home.read(AUTHORITY_FILE)?, home.read(CERTIFICATE_FILE)?);
    Ok(TlsIdentity::for_sync(&authority, &certificate, &key(home)?)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sealing::DataKey;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = DeviceFolder::new(folder.path(), Cover::Plain);
        let made = key(&home).expect("a key").to_pem();
        assert_eq!(key(&home).expect("the same key").to_pem(), made);
        let request = request_der(&home).expect("a request");
        assert_eq!(request_der(&home).expect("the same request"), request);
        #[cfg(unix)]
        {
            let file = fs::metadata(folder.path().join(KEY_FILE)).expect("its file");
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
        }
        fs::write(folder.path().join(KEY_FILE), "no key").expect("written");
        assert!(matches!(key(&home), Err(IdentityFileError::Content(_))));
        request_der(&home).expect("who enrols gets another key");
        assert_ne!(key(&home).expect("the other key").to_pem(), made);
        let damaged = fs::read(folder.path().join("device.key.damaged")).expect("the old file");
        assert_eq!(damaged, b"no key");
    }

    #[test]
    fn under_a_seal_each_file_is_read_by_its_name_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealed = || Cover::Sealed(Arc::new(DataKey::generate().expect("a key")));
        let home = DeviceFolder::new(folder.path(), sealed());
        let made = key(&home).expect("a key").to_pem();
        assert_eq!(key(&home).expect("the same key").to_pem(), made);
        let raw = fs::read(folder.path().join(KEY_FILE)).expect("its file");
        assert!(!String::from_utf8_lossy(&raw).contains("PRIVATE KEY"));
        assert!(matches!(
            key(&DeviceFolder::new(folder.path(), sealed())),
            Err(IdentityFileError::Foreign { .. })
        ));
        fs::copy(folder.path().join(KEY_FILE), folder.path().join(REQUEST_FILE)).expect("copied");
        assert!(matches!(home.read(REQUEST_FILE), Err(IdentityFileError::Foreign { .. })));
        let request = request_der(&home).expect("made anew");
        assert_eq!(request_der(&home).expect("the same request"), request);
        assert_eq!(key(&home).expect("the same key").to_pem(), made);
    }
}
