//! Shared code of the end-to-end tests and of this crate's programs: sample organisations, a server that serves
//! sessions, the replay of a real series, our entry in the peers' benchmark, the growth benchmark, the simulator.
//!
//! A program under `bin/` reads its arguments and calls one function of this crate.

pub mod company;
pub mod growth;
pub mod peer;
pub mod peers;
pub mod powercut;
pub mod replay;
pub mod serving;
pub mod simulate;
pub mod support;
