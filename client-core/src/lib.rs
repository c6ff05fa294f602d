//! The device's side of Xundian 巡店: records visits, shelves and stock offline, keeps them safe, and syncs
//! them with the server.
//!
//! [`Client`] is the one object that an app holds. Its calls are quick and blocking and work without a
//! network; what they saved is durable when they return. Only [`Client::enrol`], [`Client::sync`] and its parts
//! ([`Client::sync_records`], [`Client::push`], [`Client::send_photos`]) are async. The forms that it takes, such as [`StockCount`], are the business objects of
//! [`xundian_protocol::kinds`].
//!
//! Inside, one way in and one way out: `day` and `recorder` decide what a save writes, `store` makes it
//! durable, the protocol's session says what to send, `transport` carries it, and `client` chains them.
//! Pictures of photos are files of their own, kept by `photos`; the store knows which of them wait.
//! Where the host app gives a key ([`Client::open_with_key`]), `sealing` lies between the store and the disk.
//! `recorder` and `day` know no clock and no store, `store` knows no business object and no network, and
//! `transport` knows neither records nor files. With the feature `ffi`, `ffi` is the same object for apps in
//! Kotlin, Swift and Python; nothing below knows of it.

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

// What the macros of the foreign side look for at this place.
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
