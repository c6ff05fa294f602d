//! Rescue of a device's store that does not open, or opens damaged.

use std::path::Path;

use super::client::store_key;
use super::errors::ClientError;
use super::network::runtime;
use crate::client::rescue::{self, RescueReport};

/// What a rescue brought out.
#[uniffi::remote(Record)]
pub struct RescueReport {
    /// Saves that wait to be sent.
    pub unsent: u64,
    /// Saves that the server did not take.
    pub rejected: u64,
    /// Saves that the server has, and records as it confirmed them.
    pub confirmed: u64,
    /// Pictures that the server has not, as far as the store knows; their files are in the folder beside the file.
    pub pictures: u64,
    /// Items whose bytes are there and cannot be understood; the file has them as they are.
    pub unreadable: u64,
    /// What is known to be missing, in words for people. Of records, which the server has, more may be (docs/adr/0002).
    pub losses: Vec<String>,
}

/// Reads whatever can be read of a device's folder into a new file, one JSON object a line, and the pictures that the
/// server has not into a folder beside it, of the same name with `.photos`. Nothing is written into the folder; a copy
/// of the store is made beside the file and removed in the end. No client may have the folder open. It takes as long as
/// reading the store once or twice, on a thread of the library.
///
/// # Errors
/// Returns an error if the folder is in use, the key does not fit, the file or the folder beside it is there already,
/// or there is no room.
#[uniffi::export(default(key = None))]
pub async fn rescue(
    folder: String,
    into_file: String,
    key: Option<Vec<u8>>,
) -> Result<RescueReport, ClientError> {
    let key = key.map(store_key).transpose()?;
    let work = move || rescue::rescue(Path::new(&folder), key.as_ref(), Path::new(&into_file));
    Ok(runtime()?.spawn_blocking(work).await.map_err(ClientError::internal)??)
}

/// Sets a device's store aside, so that the folder is that of a new device, to be enrolled with a new invitation. The
/// store, its pictures and what belongs to its identity are renamed, never deleted. Returns the folder where they are
/// now, which can be rescued as before. Rescue it first.
///
/// # Errors
/// Returns an error if the folder is in use or cannot be written.
#[uniffi::export]
pub fn set_aside(folder: String) -> Result<String, ClientError> {
    Ok(rescue::set_aside(Path::new(&folder))?.display().to_string())
}
