//! The wire format: how records, ops and frames are encoded, for the disk and for the network.
//!
//! This is the only module that knows bincode and zstd. Every stored or sent value starts with a version byte. The
//! golden bytes of each version are kept and decoded for ever. Decoders read untrusted bytes: each has a limit,
//! requires that every byte is used, and never panics.

mod codec;
mod columns;
pub mod framing;
mod rows;
pub mod stored;
pub mod v1;

pub use codec::DecodeError;
