//! Integration tests of the protocol: the merge laws, the wire format, hostile bytes, golden bytes, access, kinds and
//! figures. They are one binary, so that everything is linked once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::little_endian_bytes, reason = "bincode writes little-endian, and hostile bytes imitate it")]

mod access;
mod conflicts;
mod examples;
mod golden;
mod hostile;
mod kinds;
mod laws;
mod measure;
mod memory;
mod random;
mod stock_ledger;
mod wire;
