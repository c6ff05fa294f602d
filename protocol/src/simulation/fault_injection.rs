//! Bugs that a test injects, one at a time, to prove that the simulation finds them.

/// A bug that can be injected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// The server sends a receipt before its commit is durable.
    AckBeforeDurability,
    /// The server applies an op a second time.
    OpAppliedTwice,
    /// Of two writes, the one that arrives later wins, whatever its stamp.
    MergeByArrival,
    /// A changed record adds its new contribution, but its old one is not subtracted.
    ContributionNotSubtracted,
    /// The device moves its cursor before the pulled records are durable.
    CursorBeforeCommit,
    /// The server checks the scope of writes, but not of reads.
    ScopeOnWriteOnly,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AckBeforeDurability,
        Self::OpAppliedTwice,
        Self::MergeByArrival,
        Self::ContributionNotSubtracted,
        Self::CursorBeforeCommit,
        Self::ScopeOnWriteOnly,
    ];

    /// Whether it is injected in this thread.
    #[cfg(feature = "simulation")]
    pub fn is_injected(self) -> bool {
        INJECTED.get() == Some(self)
    }

    /// Always false: without the feature `simulation` no bug can be injected.
    #[cfg(not(feature = "simulation"))]
    pub const fn is_injected(self) -> bool {
        false
    }
}

#[cfg(feature = "simulation")]
thread_local! {
    static INJECTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Injects a bug in this thread, or removes it.
#[cfg(feature = "simulation")]
pub fn inject(bug: Option<Bug>) {
    INJECTED.set(bug);
}
