//! Why a sync, a push or the sending of pictures did not come to its end.

use xundian_protocol::sync::SessionError;
use xundian_protocol::wire::DecodeError;

use super::identity::IdentityFileError;
use crate::photos::PhotoFileError;
use crate::store::{StoreError, StoreTrouble};
pub use crate::transport::ConnectionTrouble;
use crate::transport::{ANSWER_TIMEOUT, ConnectError, StreamError};

/// Why a sync or a push did not come to its end. Nothing saved is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The device is not enrolled.
    #[error("this device is not enrolled: enrol it with the invitation that your manager gave you")]
    NotEnrolled,
    /// Another sync or push is running.
    #[error("a sync or a push is running already: wait until it is done")]
    Running,
    /// There is no connection, or none any more.
    #[error("{message}")]
    Connection {
        /// What is wrong and what to do.
        message: String,
        /// What kind of thing is wrong.
        trouble: ConnectionTrouble,
    },
    /// The server's name has no address.
    #[error(
        "the server's address {address} cannot be found ({source}): check this device's network and sync again"
    )]
    Address {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server does not answer any more.
    #[error("the server did not answer for {} seconds: sync again in a minute", ANSWER_TIMEOUT.as_secs())]
    NoAnswer,
    /// The server ended the session too early.
    #[error("the server ended the session before it was complete: sync again")]
    Ended,
    /// A frame cannot be read.
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
    /// The server has lost what it confirmed, and more than this device still has to send again.
    #[error(
        "the server has this device's saves up to {applied_through} only, though it confirmed those up to {confirmed_through}: it was restored from a backup that is too old for this device to send again what is missing. Keep this device as it is and tell headquarters; nothing on it is lost"
    )]
    ServerRestored {
        /// The last save that the server has.
        applied_through: u64,
        /// The last save that it has confirmed.
        confirmed_through: u64,
    },
    /// The session cannot go on.
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
    /// Whether trying again later can help without anybody doing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection { trouble, .. } => *trouble == ConnectionTrouble::Passing,
            Self::Session(SessionError::Refused(refused)) => refused.why.is_retryable(),
            Self::Running | Self::Address { .. } | Self::NoAnswer | Self::Ended | Self::Session(_) => true,
            // The files of an app cannot be read while its phone is locked.
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
