//! The server of Xundian: it merges what the devices send into regional and national views.

pub mod authority;
pub mod console;
pub mod enrolment;
pub mod figures;
pub mod imports;
mod ingest;
mod pull;
pub mod report;
mod server;
pub mod sessions;
pub mod store;
pub mod transport;
pub mod verify;

pub use server::{Draft, OpenError, Server, WriteError, Written};
