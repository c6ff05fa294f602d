//! The sync session: who says what when, on both ends, as state machines without I/O.
//!
//! A session neither reads nor writes anything. The driver hands it frames and the results of store work,
//! and does what [`client::ClientSession::poll`] and [`server::ServerSession::poll`] ask for next. So the
//! same code runs over QUIC and over a simulated network.
//!
//! A session may end at any moment and at any frame: everything that it moves is idempotent, and each end
//! commits before it goes on. The carriers give frames in order or not at all; should one lose, repeat or
//! reorder them all the same, nothing is taken for done that was not, and the worst is a session that waits
//! until its driver's timeout.

pub mod client;
pub mod server;
pub mod upload;

#[cfg(test)]
mod tests;

use crate::wire::v1::Refused;

/// Why a session ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The other side sent a frame that has no place here.
    #[error("the other side sent {got} while {expected} was due: the connection is closed, try again")]
    Unexpected {
        /// What came.
        got: &'static str,
        /// What was due.
        expected: &'static str,
    },
    /// The server said no.
    #[error("the server refused: {}", .0.message)]
    Refused(Refused),
    /// The same was sent or asked for again and again, and the server did not get further.
    #[error("the sync does not get further than op {through}: try again, and report it if it stays so")]
    NoProgress {
        /// The last op that is durable.
        through: u64,
    },
}
