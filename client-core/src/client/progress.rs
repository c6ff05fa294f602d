//! The progress and the reports of syncs.

/// The progress of a sync. Each figure only grows, and no part exceeds its total.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncProgress {
    /// Ops that the server has merged or rejected.
    pub ops_done: u64,
    /// Ops to be sent.
    pub ops_total: u64,
    /// Records received from the server.
    pub records_pulled: u64,
    /// Bytes of this sync's pictures that the server holds. Bytes that it held before count as done; bytes that it lost
    /// meanwhile are added to the total.
    pub photo_bytes_done: u64,
    /// Bytes of the pictures of this sync. It stays above the bytes done if pictures were declined or damaged.
    pub photo_bytes_total: u64,
    /// Bytes of pictures handed to the network in this sync.
    pub photo_bytes_sent: u64,
}

/// The outcome of the pictures of a sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PhotoReport {
    /// Pictures that the server has stored and verified.
    pub stored: u64,
    /// Pictures that it declined this time.
    pub declined: u64,
    /// Pictures whose files are damaged or missing. Attaching the same pictures again repairs them.
    pub damaged: u64,
    /// Bytes of pictures handed to the network.
    pub bytes_sent: u64,
    /// Pictures that wait for another sync.
    pub waiting: u64,
}

/// The outcome of a sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncReport {
    /// Ops that the server merged.
    pub merged: u64,
    /// Ops that it rejected.
    pub rejected: u64,
    /// Records received from the server.
    pub records_pulled: u64,
    /// Corrupted records that were repaired from the server.
    pub records_repaired: u64,
    /// Homes that entered the scope.
    pub homes_added: u64,
    /// Homes that left it.
    pub homes_dropped: u64,
    /// Everything captured up to this moment is on the server, Unix milliseconds.
    pub captured_through_ms: i64,
    /// Ops saved while the sync ran. They wait for the next one.
    pub unsent_ops: u64,
    /// The outcome of the pictures.
    pub photos: PhotoReport,
}

/// The outcome of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PushReport {
    /// Ops that the server merged.
    pub merged: u64,
    /// Ops that it rejected.
    pub rejected: u64,
    /// Ops saved at the last moment. They wait for the next push or sync.
    pub unsent_ops: u64,
}

/// Progress and report of a sync, across its sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) progress: SyncProgress,
    pub(super) report: SyncReport,
    /// Whether the server had lost acknowledged saves, which are now unsent again.
    pub(super) has_recovered: bool,
}
