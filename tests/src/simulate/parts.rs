//! The parts that all runs of a process share, because they are slow to make and do not influence a run.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use xundian_protocol::ids::DeviceNo;
use xundian_server::authority::{Authority, DeviceCertificate, device_certificate};

use super::SimulationError;
use super::script::DEVICES_MAX;

/// An authority, key pairs, a folder for pictures, and the runtime in which servers store pictures.
pub struct Parts {
    pub(super) authority: Arc<Authority>,
    keys: Vec<Key>,
    pub(super) runtime: Arc<Runtime>,
    folder: TempDir,
}

/// The public part of a key pair.
pub(super) struct Key {
    /// The certificate request.
    pub(super) request_der: Vec<u8>,
    /// The content of its certificates, except for the device number. They never expire.
    certified: DeviceCertificate,
}

impl Key {
    /// Returns the certificate of a device with this key.
    pub(super) fn certificate(&self, device: DeviceNo) -> DeviceCertificate {
        DeviceCertificate { device_no: device.0, ..self.certified.clone() }
    }

    /// Returns the hash by which a server identifies the key.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.certified.key_hash()
    }
}

impl Parts {
    /// Creates the parts.
    ///
    /// # Errors
    /// Returns an error if the folder or a key cannot be created.
    pub fn make() -> Result<Self, SimulationError> {
        // Pictures are real files; in a memory file system they cost little.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
        let authority = Authority::open_or_create(&folder.path().join("authority"), 0)?;
        let key = |_| {
            let key = KeyPair::generate()?;
            let request_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
            let certificate = device_certificate(&authority.sign_device(&request_der, 1, 0, 1)?)?;
            Ok(Key { request_der, certified: DeviceCertificate { not_after_ms: i64::MAX, ..certificate } })
        };
        let keys = (0..DEVICES_MAX).map(key).collect::<Result<_, SimulationError>>()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
        Ok(Self { authority: Arc::new(authority), keys, runtime: Arc::new(runtime), folder })
    }

    /// Returns the n-th key pair, modulo the number of pairs.
    pub(super) fn key(&self, n: usize) -> &Key {
        &self.keys[n % self.keys.len()]
    }

    /// Creates an empty folder for the pictures of one run.
    pub(super) fn folder(&self) -> Result<TempDir, SimulationError> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }
}
