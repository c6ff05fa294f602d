//! What all runs of a process share because it is slow to make and changes nothing.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use xundian_protocol::ids::DeviceNo;
use xundian_server::authority::{Authority, DeviceCertificate, device_certificate};

use super::SimulationError;
use super::script::DEVICES_MAX;

/// Keys and an authority, a folder for pictures, and a runtime in which servers store them.
pub struct Parts {
    pub(super) authority: Arc<Authority>,
    /// Key pairs.
    keys: Vec<Key>,
    pub(super) runtime: Arc<Runtime>,
    folder: TempDir,
}

/// A key pair, as others see it.
pub(super) struct Key {
    /// The request for a certificate.
    pub(super) request_der: Vec<u8>,
    /// What certificates of it say, but for the device. They never end.
    certified: DeviceCertificate,
}

impl Key {
    /// The certificate of a device with this key.
    pub(super) fn certificate(&self, device: DeviceNo) -> DeviceCertificate {
        DeviceCertificate { device_no: device.0, ..self.certified.clone() }
    }

    /// What a server knows it by.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.certified.key_hash()
    }
}

impl Parts {
    /// Makes them.
    ///
    /// # Errors
    /// Returns an error if there is no room for a folder, or no key can be made.
    pub fn make() -> Result<Self, SimulationError> {
        // Pictures are files; where there is a disk in memory they cost little.
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

    /// The n-th key pair.
    pub(super) fn key(&self, n: usize) -> &Key {
        &self.keys[n % self.keys.len()]
    }

    /// An empty folder for the pictures of one run.
    pub(super) fn folder(&self) -> Result<TempDir, SimulationError> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }
}
