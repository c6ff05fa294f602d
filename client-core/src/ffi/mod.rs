//! The client for apps in Kotlin, Swift and Python, by UniFFI.
//!
//! Everything that only other languages need is in this module, and no other module depends on it: the types of other
//! crates are described to UniFFI from outside. The entities follow from their declarations in
//! [`xundian_protocol::kinds`], so that a new kind needs no change here.
//!
//! [`Client`] may be called from any thread. Only async calls wait for the network; no other call takes longer than a
//! save. A call fails with a [`ClientError`]; a panic becomes one too.

// UniFFI's generated code passes pointers to the other language. Nothing here is unsafe by hand, except that maps are
// described to it.
#![allow(unsafe_code)]

mod changes;
mod client;
mod conflicts;
mod device;
mod error_code;
mod errors;
mod kinds;
mod lifecycle;
mod messages_zh;
mod network;
mod observers;
mod photos;
mod queries;
mod records;
mod rescue;
mod values;

pub use client::Client;
pub use conflicts::{ConflictLine, ConflictValue};
pub use error_code::ErrorCode;
pub use errors::{ClientError, ObserverError};
pub use kinds::{Kind, RecordContent};
pub use network::ProgressObserver;
pub use observers::{StatusObserver, Subscription};
pub use photos::{PhotoLine, PhotoState};
pub use queries::{FieldCondition, Query, RecordPage, RecordsObserver};
pub use records::{GpsFix, ListedRecord, RejectedOp};
pub use rescue::{rescue, set_aside};

uniffi::setup_scaffolding!("xundian_client");

/// The library's version. A binding of another version does not load it: docs/INTEGRATE.md, "Library and binding",
/// describes the check.
#[uniffi::export]
pub fn library_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
