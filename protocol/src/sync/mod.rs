//! The sync session: the protocol logic of both ends, as state machines without I/O.
//!
//! A session performs no I/O. The driver passes frames and the results of store work to it, and carries out the steps
//! that [`client::ClientSession::poll`] and [`server::ServerSession::poll`] return. So the same code runs over QUIC and
//! over a simulated network.
//!
//! A session may end at any moment and at any frame: everything that it transfers is idempotent, and each end commits
//! before it continues. Transports deliver frames in order or not at all. If frames are lost, repeated or reordered
//! anyway, nothing is taken as done that was not; at worst a session waits until its driver's timeout.

pub mod client;
pub mod server;
pub mod upload;

#[cfg(test)]
mod tests;

use crate::wire::v1::Refused;

/// Why a session ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The other side sent a frame that is not allowed here.
    #[error("the other side sent {got} when {expected} was expected: the connection is closed, try again")]
    Unexpected {
        /// What was received.
        got: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The server refused.
    #[error("the server refused: {}", .0.message)]
    Refused(Refused),
    /// The same request was repeated without progress.
    #[error("the sync makes no progress after op {through}: try again, and report it if it happens again")]
    NoProgress {
        /// The last op that is durable.
        through: u64,
    },
}
