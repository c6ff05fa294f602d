//! Rescue of a device's store that does not open, or opens damaged.

use std::path::Path;

use super::client::store_key;
use super::errors::ClientError;
use super::network::runtime;
use crate::client::rescue::{self, RescueReport};

/// The result of a rescue.
#[uniffi::remote(Record)]
pub struct RescueReport {
    /// Unsent ops.
    pub unsent: u64,
    /// Rejected ops.
    pub rejected: u64,
    /// Acknowledged ops and confirmed records.
    pub confirmed: u64,
    /// Pictures that the server does not have, as far as the store knows; their files are in the folder beside the
    /// file.
    pub pictures: u64,
    /// Items whose bytes are there but cannot be decoded; the file holds them raw.
    pub unreadable: u64,
    /// The known losses, in words for people. Further records may be missing; the server has those (docs/adr/0002).
    pub losses: Vec<String>,
}

/// Reads everything readable of a device's folder into a new file, one JSON object a line, and the pictures that the
/// server does not have into a folder beside it, with the same name and `.photos`. Nothing is written into the
/// device's folder; a copy of the store is made beside the file and removed at the end. No client may have the folder
/// open. It takes the time to read the store once or twice, on a thread of the library.
///
/// # Errors
/// Returns an error if the folder is in use, the key does not fit, the file or the folder beside it already exists,
/// or the disk is full.
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

/// Moves a device's store aside, so that the folder is like that of a new device, to be enrolled with a new
/// invitation. The store, its pictures and its identity files are renamed, never deleted. Returns the new folder,
/// which can still be rescued. Rescue the store first.
///
/// # Errors
/// Returns an error if the folder is in use or cannot be written.
#[uniffi::export]
pub fn set_aside(folder: String) -> Result<String, ClientError> {
    Ok(rescue::set_aside(Path::new(&folder))?.display().to_string())
}
