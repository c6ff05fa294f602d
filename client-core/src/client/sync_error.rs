//! Why a sync, a push or the sending of pictures failed.

use xundian_protocol::sync::SessionError;
use xundian_protocol::wire::DecodeError;

use super::identity::IdentityFileError;
use crate::photos::PhotoFileError;
use crate::store::{StoreError, StoreTrouble};
pub use crate::transport::ConnectionTrouble;
use crate::transport::{ANSWER_TIMEOUT, ConnectError, StreamError};

/// Why a sync or a push failed. No save is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The device is not enrolled.
    #[error("this device is not enrolled: enrol it with the invitation that your manager gave you")]
    NotEnrolled,
    /// Another sync or push is running.
    #[error("a sync or a push is running already: wait until it is done")]
    Running,
    /// There is no connection, or it broke.
    #[error("{message}")]
    Connection {
        /// What is wrong and what to do.
        message: String,
        /// The kind of trouble.
        trouble: ConnectionTrouble,
    },
    /// The server's name has no address.
    #[error(
        "the server's address {address} cannot be found ({source}): check this device's network and sync again"
    )]
    Address {
        /// The address.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The server stopped answering.
    #[error("the server did not answer for {} seconds: sync again in a minute", ANSWER_TIMEOUT.as_secs())]
    NoAnswer,
    /// The server ended the session early.
    #[error("the server ended the session before it was complete: sync again")]
    Ended,
    /// A frame cannot be decoded.
    #[error(
        "the server sent what this app cannot read ({0}): update the app, or the server if the app is newer"
    )]
    Frame(#[from] DecodeError),
    /// The server has saves of this device that this store never sent.
    #[error(
        "this device's store was restored from a backup or copied: the server has its saves up to {applied_through}, which this store never sent. Ask your manager for a new invitation and enrol again; unsent work is kept"
    )]
    Restored {
        /// The last save that the server has.
        applied_through: u64,
    },
    /// The server has lost acknowledged saves, and more than this device can send again.
    #[error(
        "the server has this device's saves up to {applied_through} only, though it confirmed those up to {confirmed_through}: it was restored from a backup that is too old for this device to send again what is missing. Keep this device as it is and tell headquarters; nothing on it is lost"
    )]
    ServerRestored {
        /// The last save that the server has.
        applied_through: u64,
        /// The last save that it had acknowledged.
        confirmed_through: u64,
    },
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The device's key or certificates cannot be read.
    #[error(transparent)]
    File(#[from] IdentityFileError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A picture's file cannot be read now. The records and the other pictures have been sent.
    #[error(transparent)]
    Photo(#[from] PhotoFileError),
}

impl SyncError {
    /// Whether a later retry can help without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection { trouble, .. } => *trouble == ConnectionTrouble::Passing,
            Self::Session(SessionError::Refused(refused)) => refused.why.is_retryable(),
            Self::Running | Self::Address { .. } | Self::NoAnswer | Self::Ended | Self::Session(_) => true,
            // An app's files cannot be read while the phone is locked.
            Self::Photo(_) => true,
            Self::NotEnrolled | Self::Restored { .. } | Self::ServerRestored { .. } => false,
            Self::Store(error) => matches!(error.trouble(), StoreTrouble::InUse | StoreTrouble::Disk),
            Self::File(error) => error.is_passing(),
            Self::Frame(_) => false,
        }
    }
}

impl From<ConnectError> for SyncError {
    fn from(error: ConnectError) -> Self {
        Self::Connection { message: error.to_string(), trouble: error.trouble() }
    }
}

impl From<StreamError> for SyncError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Connection(error) => error.into(),
            error => Self::Connection { message: error.to_string(), trouble: ConnectionTrouble::Passing },
        }
    }
}
