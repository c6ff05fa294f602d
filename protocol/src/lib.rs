//! What a device and the server of Xundian share: records, the merge rule, access, figures, the sync session and the
//! wire format.
//!
//! This crate is pure. It knows no socket, file, clock, thread or runtime. Time and randomness are arguments, and every
//! function returns the same result for the same input on a phone and on a server.
//!
//! Read it from the bottom up: [`ids`] and [`clock`] name things and moments, [`record`] holds values and merges them,
//! [`kinds`] declares the business objects, [`access`] decides who may see and write them, [`figures`] sums them up,
//! [`wire`] encodes them, and [`sync`] runs the session.

pub mod access;
pub mod calendar;
pub mod clock;
pub mod digest;
pub mod figures;
pub mod ids;
pub mod invitation;
pub mod kinds;
pub mod limits;
pub mod record;
pub mod simulation;
pub mod sync;
pub mod wire;
