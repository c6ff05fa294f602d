//! Why a data folder could not be opened.

use crate::authority::AuthorityError;
use crate::store::StoreError;
use std::path::PathBuf;

/// Why the data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be created or read.
    #[error(
        "the data folder {folder} cannot be used: {source}; check that it exists and is yours, and its disk's free space"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another server has it open.
    #[error("the data folder {folder} is in use by a running server; stop it, or use another --data")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority cannot be opened.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}
