//! Tests of the protocol from outside: the merge laws, the wire, hostile bytes, golden bytes, access, kinds
//! and figures. One binary, so that everything is linked once.

mod access;
mod examples;
mod golden;
mod hostile;
mod kinds;
mod laws;
mod ledger;
mod measure;
mod memory;
mod random;
mod wire;
