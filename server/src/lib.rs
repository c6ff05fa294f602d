//! The server of Xundian: merges what the devices send into regional and national views.
//!
//! [`Server`] opens a data folder and is the only access to its content. [`serve`] runs sessions, console and
//! administration on it. docs/ARCHITECTURE.md describes how a record becomes a figure.

pub mod admin;
mod allocator;
pub mod authority;
pub mod console;
pub mod demo;
mod disk;
pub mod enrolment;
pub mod figures;
pub mod imports;
mod ingest;
pub mod photos;
mod pull;
pub mod report;
pub mod serve;
mod server;
pub mod sessions;
pub mod store;
pub mod transport;
pub mod verify;

pub use server::{Draft, OpenError, Server, WriteError, Written};
#[cfg(feature = "simulation")]
pub use sessions::simulated::{Answers, SimulatedSession};
