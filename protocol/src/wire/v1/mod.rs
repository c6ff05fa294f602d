//! Wire version 1: the frames between a device and the server.
//!
//! A frame's payload is a version byte, a byte that says whether the rest is compressed, and the frame in bincode.
//! [`super::framing`] puts the length in front. docs/WIRE.md describes it for other implementations.

mod figures;
mod frame;
mod wire;

pub use frame::{
    Changes, ClientFrame, CompareDigests, CompareRecords, Declined, DigestVerdict, Enrol, FigureRequest,
    FigureResponse, Granted, Hello, Offer, Piece, Pull, Push, Receipt, Refusal, Refused, Rejection, Repair,
    Resume, Resumed, ServerFrame, UploadStatus, Welcome,
};
pub use wire::{decode_client, decode_server, encode_client, encode_server};

/// The version byte of every frame.
pub const VERSION: u8 = 1;
/// The protocol name in TLS (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"xundian/1";
