//! Bugs that a test plants, one at a time, to see whether the simulation finds them. Without the feature
//! `simulation` nothing is ever planted, and the compiler leaves out what asks.

/// A bug that can be planted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// The server sends a receipt before what it speaks of is on the disk.
    AckBeforeDurability,
    /// The server takes an op again that it has applied already.
    LostDedupe,
    /// Of two writes the one that arrives later wins, whatever its stamp.
    MergeByArrival,
    /// A changed record adds to the figures, and what it added before stays.
    ViewNotTakenBack,
    /// The device moves its cursor before the records in front of it are on the disk.
    CursorBeforeCommit,
    /// The server checks the scope of what devices write, and not of what they read.
    ScopeOnWriteOnly,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AckBeforeDurability,
        Self::LostDedupe,
        Self::MergeByArrival,
        Self::ViewNotTakenBack,
        Self::CursorBeforeCommit,
        Self::ScopeOnWriteOnly,
    ];

    /// Whether it is planted in this thread.
    #[cfg(feature = "simulation")]
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    /// Whether it is planted: it never is.
    #[cfg(not(feature = "simulation"))]
    pub const fn is_planted(self) -> bool {
        false
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or removes it.
#[cfg(feature = "simulation")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
