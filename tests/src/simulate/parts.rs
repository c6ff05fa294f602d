//! What all runs of a process share because it is slow to make and changes nothing: keys and an authority.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use xundian_server::authority::Authority;

use super::SimulationError;
use super::script::DEVICES_MAX;

/// Keys and an authority, and a folder that stays empty.
pub struct Parts {
    pub(super) authority: Arc<Authority>,
    /// Requests for certificates, one a key pair.
    pub(super) requests: Vec<Vec<u8>>,
    pub(super) home: PathBuf,
    _folder: TempDir,
}

impl Parts {
    /// Makes them.
    ///
    /// # Errors
    /// Where there is no room for a folder, or no key can be made.
    pub fn make() -> Result<Self, SimulationError> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::open_or_create(&folder.path().join("authority"), 0)?;
        let request = |_| {
            let key = KeyPair::generate()?;
            Ok(CertificateParams::default().serialize_request(&key)?.der().to_vec())
        };
        let requests = (0..DEVICES_MAX).map(request).collect::<Result<_, rcgen::Error>>()?;
        Ok(Self { authority: Arc::new(authority), requests, home: folder.path().to_owned(), _folder: folder })
    }
}
