//! What the end-to-end tests and the programs of this crate share: organisations to work with, a server that
//! serves sessions, the replay of a real series, our row beside the peers, the growth of a server, the simulator.
//!
//! A program under `bin/` only reads its arguments and calls one function from here.

pub mod company;
pub mod growth;
pub mod peer;
pub mod peers;
pub mod powercut;
pub mod replay;
pub mod serving;
pub mod simulate;
pub mod support;
