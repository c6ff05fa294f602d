//! What a session of a device asks of its driver, and how it ends.

use crate::ids::{FeedSeq, OpSeq};
use crate::record::{Home, RecordKey};
use crate::wire::v1::{Changes, ClientFrame, Receipt, Repair, Resumed, Welcome};

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// To send what waits in the outbox, then to fetch what changed in the scope.
    Sync,
    /// Only to send what waits in the outbox.
    Push,
}

/// How a session came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The outbox was found empty after the last receipt. Nothing is said about what the server has for the
    /// device.
    Pushed,
    /// The outbox was sent, and everything in scope has come.
    Synced(Synced),
}

/// What a whole sync has reached; only a pull that came to its end gives one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synced {
    /// The device has everything up to here, and no home is behind any more. Only now: a home whose place is
    /// past the cursor may still lack records that moved up in its feed.
    pub cursor: FeedSeq,
    /// Everything captured up to here is on the server, as the last pull said.
    pub captured_through_ms: i64,
}

/// What the driver has to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ClientFrame),
    /// Read the next ops of the outbox and give them to [`super::ClientSession::ops`]; none where the outbox ends.
    ReadOps {
        /// From this number on.
        from: OpSeq,
        /// Enough once so many plain bytes are read: see [`crate::limits::bytes_in_frame`].
        bytes_target: usize,
    },
    /// Learn the server's clock and what it has applied already. Where that is less than what it had confirmed, it was
    /// restored from an older backup: let the saves that it lost wait again, and begin another session.
    Welcome(Welcome),
    /// Note the feed's epoch. Where the device may not go on from where it stands, stand at the beginning, with every
    /// home behind: what is not sent again until the sync is complete, the server has lost.
    Resumed(Resumed),
    /// Show this certificate (DER) from the next connection on: the one that was shown ends soon.
    KeepCertificate(Vec<u8>),
    /// Commit a receipt: drop what is durable from the outbox and keep what was rejected in the tray. Then
    /// call [`super::ClientSession::receipt_committed`].
    CommitReceipt(Receipt),
    /// Commit the new scope, then call [`super::ClientSession::ready_to_pull`].
    CommitScope(Vec<Home>),
    /// Nothing is left to push: read where the store stands and call [`super::ClientSession::ready_to_pull`].
    ReadCursors,
    /// Commit changed records of homes that the device holds, and the cursor where the frame starts where
    /// the device stands.
    CommitChanges(Changes),
    /// Fold what is settled, then call [`super::ClientSession::digests`].
    ReadDigests,
    /// Read the records of a home behind one, at most so many as one frame takes
    /// ([`crate::limits::RECONCILE_RECORDS_MAX`]), and call [`super::ClientSession::records`].
    ReadRecords {
        /// The home.
        home: Home,
        /// Behind this record; from the first one for `None`.
        after: Option<RecordKey>,
    },
    /// Commit what the server holds in the place of what the device holds.
    CommitRepair(Repair),
    /// Wait for a frame.
    Wait,
    /// The session is complete.
    Done(Outcome),
}
