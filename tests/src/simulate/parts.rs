//! What all runs of a process share because it is slow to make and changes nothing.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use xundian_server::authority::Authority;

use super::SimulationError;
use super::script::DEVICES_MAX;

/// Keys and an authority, a folder for pictures, and a runtime in which servers store them.
pub struct Parts {
    pub(super) authority: Arc<Authority>,
    /// Requests for certificates, one a key pair.
    pub(super) requests: Vec<Vec<u8>>,
    pub(super) runtime: Arc<Runtime>,
    folder: TempDir,
}

impl Parts {
    /// Makes them.
    ///
    /// # Errors
    /// Where there is no room for a folder, or no key can be made.
    pub fn make() -> Result<Self, SimulationError> {
        // Pictures are files; where there is a disk in memory they cost little.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
        let authority = Authority::open_or_create(&folder.path().join("authority"), 0)?;
        let request = |_| {
            let key = KeyPair::generate()?;
            Ok(CertificateParams::default().serialize_request(&key)?.der().to_vec())
        };
        let requests = (0..DEVICES_MAX).map(request).collect::<Result<_, rcgen::Error>>()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
        Ok(Self { authority: Arc::new(authority), requests, runtime: Arc::new(runtime), folder })
    }

    /// An empty folder for the pictures of one run.
    pub(super) fn folder(&self) -> Result<TempDir, SimulationError> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }
}
