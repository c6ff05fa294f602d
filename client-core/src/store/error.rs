//! Errors of the store.

use xundian_protocol::ids::OpSeq;
use xundian_protocol::limits::OUTBOX_OPS_MAX;
use xundian_protocol::wire::DecodeError;

use super::engine::EngineError;

/// The device's store cannot do what was requested. The message says what happened, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] StoreFault);

/// The cause of a store error, by what somebody can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreTrouble {
    /// Another program has it open; it may be free later.
    InUse,
    /// Another key was given than the store's.
    OtherKey,
    /// It is sealed and no key was given, or the other way round.
    OtherKind,
    /// It holds the most unsent work that it may: sync.
    Full,
    /// The disk does not allow reading or writing: make room, give permission, or unlock the phone. As far as known,
    /// the store itself is sound.
    Disk,
    /// A newer app wrote it: update the app.
    Newer,
    /// Its files are corrupt: rescue what can be read, and set it aside.
    Damaged,
    /// The app or this library has a bug: report it.
    Fault,
}

impl StoreError {
    /// The cause.
    pub const fn trouble(&self) -> StoreTrouble {
        match &self.0 {
            StoreFault::Engine(error) => match error {
                EngineError::InUse { .. } => StoreTrouble::InUse,
                EngineError::WrongKey { .. } => StoreTrouble::OtherKey,
                EngineError::NeedsKey { .. } | EngineError::NotSealed { .. } => StoreTrouble::OtherKind,
                EngineError::Io { .. } | EngineError::Stopped { .. } => StoreTrouble::Disk,
                EngineError::NewerKeyFile { .. } => StoreTrouble::Newer,
                EngineError::Damaged { .. } => StoreTrouble::Damaged,
                EngineError::TooLong { .. } | EngineError::NotDurable => StoreTrouble::Fault,
            },
            StoreFault::OutboxFull { .. } => StoreTrouble::Full,
            StoreFault::NewerFormat { .. } => StoreTrouble::Newer,
            StoreFault::Malformed { .. } => StoreTrouble::Damaged,
            StoreFault::OutOfOrder { .. } => StoreTrouble::Fault,
        }
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self(error.into())
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "the store is of format {found}, but this app reads format {known}: update the app; the store is left as it is"
    )]
    NewerFormat { found: u16, known: u16 },
    #[error("the {what} in the store cannot be read ({detail}): keep the folder and report this")]
    Malformed { what: String, detail: String },
    #[error(
        "{unsent} saves are unsent, and the store holds at most {OUTBOX_OPS_MAX}: sync before you record more"
    )]
    OutboxFull { unsent: u64 },
    #[error("a save is numbered {found:?} where {expected:?} comes next: report this; nothing was written")]
    OutOfOrder { expected: OpSeq, found: OpSeq },
}

impl StoreFault {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), detail: "its bytes are not what was written".into() }
    }

    pub(super) fn decode(what: impl Into<String>) -> impl FnOnce(DecodeError) -> Self {
        |error| Self::Malformed { what: what.into(), detail: error.to_string() }
    }
}
