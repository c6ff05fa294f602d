//! What a device and the server of Xundian share: records, the one merge rule, access, figures, the
//! sync session and the wire format.
//!
//! This crate is pure. It knows no socket, file, clock, thread or runtime: time and randomness come in as
//! arguments, and every function gives the same answer for the same input on a phone and on a server.
//!
//! Read it from the bottom up: [`ids`] and [`clock`] name things and moments, [`record`] holds values and
//! merges them, [`kinds`] says which business objects there are, [`access`] who may see and write them,
//! [`figures`] which figures they add up to, [`wire`] how they become bytes, [`sync`] who says what when.

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
