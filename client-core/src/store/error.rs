//! What can go wrong with the store.

use xundian_protocol::ids::OpSeq;
use xundian_protocol::limits::OUTBOX_OPS_MAX;
use xundian_protocol::wire::DecodeError;

use super::engine::EngineError;

/// The device's store cannot do what was asked. Its text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] StoreFault);

impl StoreError {
    /// Whether another program has the store open, so that trying again later may succeed.
    pub const fn is_in_use(&self) -> bool {
        matches!(self.0, StoreFault::Engine(EngineError::InUse { .. }))
    }

    /// Whether the store is sealed with another key than the one that was given.
    pub const fn is_wrong_key(&self) -> bool {
        matches!(self.0, StoreFault::Engine(EngineError::WrongKey { .. }))
    }

    /// Whether the store is sealed and no key was given, or the other way round.
    pub const fn is_of_other_form(&self) -> bool {
        matches!(self.0, StoreFault::Engine(EngineError::NeedsKey { .. } | EngineError::NotSealed { .. }))
    }

    /// Whether the store holds as much unsent work as it may.
    pub const fn is_full(&self) -> bool {
        matches!(self.0, StoreFault::OutboxFull { .. })
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
        "{unsent} saves wait to be sent, and the store takes {OUTBOX_OPS_MAX}: sync before you record more"
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
