//! How far a sync is, and what it did.

/// How far a sync is. Each figure only grows, and what is done never passes its total.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncProgress {
    /// Saves that the server has taken or rejected.
    pub ops_done: u64,
    /// Saves that were to be sent.
    pub ops_total: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
    /// Bytes of pictures that the server is known to hold, of those that are sent in this sync. What it held of them
    /// before counts as done; what it lost of them meanwhile is added to the total.
    pub photo_bytes_done: u64,
    /// Bytes of the pictures that are sent in this sync. It is more than what is done in the end where some were declined
    /// or damaged.
    pub photo_bytes_total: u64,
    /// Bytes of pictures that were handed to the network in this sync.
    pub photo_bytes_sent: u64,
}

/// What became of the pictures in a sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PhotoReport {
    /// Pictures that the server now has, whole and verified.
    pub stored: u64,
    /// Pictures that it did not take this time.
    pub declined: u64,
    /// Pictures whose files were found to be damaged or gone. Attaching the same pictures again mends them.
    pub damaged: u64,
    /// Bytes of pictures that were handed to the network.
    pub bytes_sent: u64,
    /// Pictures that wait for another sync.
    pub waiting: u64,
}

/// What a sync did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
    /// Records that had decayed on the device, and were put right as the server holds them.
    pub records_repaired: u64,
    /// Homes that came into scope.
    pub homes_added: u64,
    /// Homes that left it.
    pub homes_dropped: u64,
    /// Everything captured up to here is on the server, Unix milliseconds.
    pub captured_through_ms: i64,
    /// Saves that were made while the sync ran and wait for the next one.
    pub unsent_ops: u64,
    /// What became of the pictures of photos.
    pub photos: PhotoReport,
}

/// What a push did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PushReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Saves that were made in the last moment and wait for the next push or sync.
    pub unsent_ops: u64,
}

/// Both, while a sync runs through its sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) progress: SyncProgress,
    pub(super) report: SyncReport,
    /// Whether the server was found to have lost what it confirmed, and that waits again.
    pub(super) has_recovered: bool,
}
