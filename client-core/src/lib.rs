//! The device's side of Xundian 巡店: records visits, shelves and stock offline, stores them durably, and syncs them with
//! the server.
//!
//! [`Client`] is the one object that an app uses. Its calls are fast, blocking and need no network; a save is durable
//! when the call returns. Only [`Client::enrol`], [`Client::sync`] and its parts ([`Client::sync_records`],
//! [`Client::push`], [`Client::send_photos`]) are async. They take the entities of [`xundian_protocol::kinds`], such as
//! [`StockCount`].
//!
//! Inside, data flows one way: `visit_ops` and `recorder` decide what a save writes, `store` makes it durable, the
//! protocol's session decides what to send, `transport` carries it, and `client` connects them. The pictures of photos
//! are files, kept by `photos`; the store knows which of them are unsent. If the host app gives a key
//! ([`Client::open_with_key`]), `sealing` encrypts between the store and the disk. `recorder` and `visit_ops` know no
//! clock and no store, `store` knows no business object and no network, and `transport` knows neither records nor
//! files. With the feature `ffi`, the module `ffi` offers the same object to apps in Kotlin, Swift and Python; no other
//! module knows of it.

mod client;
mod disk;
mod errors;
#[cfg(feature = "ffi")]
pub mod ffi;
pub mod json;
mod photos;
mod recorder;
mod sealing;
mod store;
mod transport;
mod visit_ops;

// uniffi's macros look for this name here.
#[cfg(feature = "ffi")]
use ffi::UniFfiTag;

pub use client::rescue::{RescueError, RescueReport, rescue, set_aside};
#[cfg(feature = "simulation")]
pub use client::simulated::SimulatedSync;
pub use client::{
    Client, Clocks, Condition, ConflictLine, ConflictSide, ConnectionTrouble, DaySummary, DeviceStatus,
    EnrolError, IdentityFileError, PhotoError, PhotoLine, PhotoReport, PhotoState, PlannedCall, PushReport,
    QUERY_LINES_MAX, Query, QueryError, RecordLine, RecordPage, SyncError, SyncProgress, SyncReport,
};
pub use errors::RecordError;
pub use photos::PhotoFileError;
pub use recorder::Moment;
pub use sealing::StoreKey;
#[cfg(feature = "simulation")]
pub use store::Disk;
pub use store::{Identity, Rejected, RejectedId, RejectedIdError, SaveState, StoreError, StoreTrouble};
pub use visit_ops::{Due, GpsFix, NewIssue, NewPhoto, PhotoOf, VisitBundle};

pub use xundian_protocol::ids::{ContentHash, OutletId, PersonId, RecordId, VisitId};
pub use xundian_protocol::kinds::{
    AbortReason, DayReport, Decision, DepartureCheck, Gtin, Issue, IssueKind, IssueState, MovementCause,
    Outlet, Photo, PhotoSource, PhotoSubject, Settlement, Severity, ShelfObservation, StockCount,
    StockMovement, Visit,
};
