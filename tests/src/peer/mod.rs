//! Our entry in the peers' benchmark: the contract of `../shared/peers/README.md`, implemented with the real server
//! and the real client core and all their features.
//!
//! Before `serve` prints READY, a separate process provisions everything in `LAB_SHARED`, so that the server's
//! measurements cover serving only. It writes a company: one team position per region, to which the region's outlets
//! are assigned; a person for each of twenty devices; a manager of region 1; and a person at headquarters. It enrols
//! every device over the network. Every recording device syncs once, like a phone that fetches its route before it
//! goes out of range. The manager's device does not: it starts with an empty store and pulls everything, reference
//! data included.

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
#[expect(missing_docs, reason = "each variant wraps the error of the part in its name")]
pub enum PeerError {
    #[error("{0} is not set: the harness runs this program")]
    Environment(&'static str),
    #[error("{0:?} is not one of version, serve, record, push, pull, view")]
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
/// Returns an error if the command fails; the harness prints the text.
pub fn run(command: &str) -> Result<(), PeerError> {
    if command == "version" {
        println!("xundian {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    // A device runs as in an app: with one worker thread and without the server's settings.
    // `view` sends one query and waits, so it needs no worker thread.
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
