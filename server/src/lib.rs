//! The server of Xundian: it merges what the devices send into regional and national views.

pub mod authority;
pub mod enrolment;
pub mod figures;
mod ingest;
mod pull;
mod server;
pub mod verify;
pub mod sessions;
pub mod store;
pub mod transport;

pub use server::{Draft, OpenError, Server, WriteError, Written};
