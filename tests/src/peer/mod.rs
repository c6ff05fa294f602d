//! Our row beside the peers: the contract of `../shared/peers/README.md`, spoken by the real server and the
//! real client core with everything on.
//!
//! What is provisioned out of band, in `LAB_SHARED` and before `serve` says READY: a company, with a team
//! position a region to which the region's outlets are assigned, a person for each of twenty devices, a manager
//! of region 1 and a person at headquarters. Every device is enrolled over the network, and every device that
//! will record has synced once, as a phone has that has fetched its route before it goes out of range. The
//! manager's device has not: it starts with an empty store and pulls everything, reference data included. All
//! of it is done by a process of its own, so that what is measured of the server is serving.

mod ask;
mod contract;
mod device;
mod field;
mod provision;

use std::path::PathBuf;

use xundian_client::{EnrolError, RecordError, StoreError, SyncError};
use xundian_protocol::kinds::GtinError;
use xundian_server::WriteError;

use crate::serving::ServingError;

/// Why a command of the contract failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the part that it names")]
pub enum PeerError {
    #[error("{0} is not set: the harness runs this program")]
    Environment(&'static str),
    #[error("{0:?} is none of version, serve, record, push, pull, view")]
    Command(String),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Gtin(#[from] GtinError),
    #[error("{0}")]
    Wrong(String),
    #[error("asking the server: {0}")]
    FigureRequest(String),
}

/// Runs one command of the contract.
///
/// # Errors
/// Returns an error if it fails; the harness shows the text.
pub fn run(command: &str) -> Result<(), PeerError> {
    if command == "version" {
        println!("xundian {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    // A device runs as an app's library does: one thread besides the caller's, and none of the server's settings.
    // Whoever asks one question and waits for the answer has nothing to do meanwhile.
    let runtime = match command {
        "serve" => xundian_server::serve::runtime()?,
        "view" => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        _ => tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?,
    };
    runtime.block_on(async {
        match command {
            "serve" => provision::serve().await,
            provision::COMMAND => provision::provision().await,
            "record" => device::record(),
            "push" => device::push().await,
            "pull" => device::pull().await,
            "view" => ask::view().await,
            other => Err(PeerError::Command(other.to_owned())),
        }
    })
}
