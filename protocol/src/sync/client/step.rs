//! The steps that a device's session asks of its driver, and its outcome.

use crate::ids::{FeedSeq, OpSeq};
use crate::record::{Home, RecordKey};
use crate::wire::v1::{Changes, ClientFrame, Receipt, Repair, Resumed, Welcome};

/// The purpose of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// Push the outbox, then pull what changed in the scope.
    Sync,
    /// Push the outbox only.
    Push,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The outbox was empty after the last receipt. This says nothing about what the server has for the device.
    Pushed,
    /// The outbox was pushed, and everything in scope was pulled.
    Synced(Synced),
}

/// The result of a complete sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synced {
    /// The device has everything up to here, and no home is behind. This holds only at the end: a home ahead of the
    /// cursor may still miss records updated since.
    pub cursor: FeedSeq,
    /// Everything captured before this moment is on the server, by the last pull.
    pub captured_through_ms: i64,
}

/// What the driver must do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ClientFrame),
    /// Read the next ops of the outbox and pass them to [`super::ClientSession::ops`]; none at the end of the outbox.
    ReadOps {
        /// The first op to read.
        from: OpSeq,
        /// Stop after this many plain bytes; see [`crate::limits::bytes_in_frame`].
        bytes_target: usize,
    },
    /// Note the server's clock and what it has applied. If that is less than it had confirmed, it was restored from an
    /// older backup: queue the lost saves again, and begin another session.
    Welcome(Welcome),
    /// Note the feed's epoch. If the device may not continue from its position, reset the cursor to the beginning, with
    /// every home behind. Records that were not sent again when the sync is complete are lost on the server.
    Resumed(Resumed),
    /// Use this certificate (DER) from the next connection on. The current one expires soon.
    KeepCertificate(Vec<u8>),
    /// Commit a receipt: remove durable ops from the outbox and keep rejected ones. Then call
    /// [`super::ClientSession::receipt_committed`].
    CommitReceipt(Receipt),
    /// Commit the new scope, then call [`super::ClientSession::ready_to_pull`].
    CommitScope(Vec<Home>),
    /// Nothing is left to push: read the store's cursors and call [`super::ClientSession::ready_to_pull`].
    ReadCursors,
    /// Commit changed records of homes that the device holds, and the cursor if the frame starts at it.
    CommitChanges(Changes),
    /// Fold settled saves, then call [`super::ClientSession::digests`].
    ReadDigests,
    /// Read the digests of a home's records, at most [`crate::limits::RECONCILE_RECORDS_MAX`], and call
    /// [`super::ClientSession::records`].
    ReadRecords {
        /// The home.
        home: Home,
        /// Start after this key; `None` starts at the first record.
        after: Option<RecordKey>,
    },
    /// Replace what the device holds by what the server holds.
    CommitRepair(Repair),
    /// Wait for a frame.
    Wait,
    /// The session is complete.
    Done(Outcome),
}
