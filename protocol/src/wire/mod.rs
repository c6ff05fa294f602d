//! How records, ops and frames become bytes, in memory's place: on the disk and on the network.
//!
//! This is the only module that knows bincode and zstd. Every stored or sent value starts with a version
//! byte; the golden bytes of each version are kept and decoded for ever. Decoders take bytes from
//! strangers: each has a bound, demands that every byte is used, and never panics.

mod codec;
mod columns;
pub mod framing;
mod rows;
pub mod stored;
pub mod v1;

pub use codec::DecodeError;
