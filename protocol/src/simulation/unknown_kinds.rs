//! Kinds that the program in this thread does not know, like an earlier release (docs/adr/0012).

use crate::ids::KindId;

/// Whether the program in this thread does not know a kind that this crate declares.
#[cfg(feature = "simulation")]
pub fn contains(kind: KindId) -> bool {
    UNKNOWN.get().contains(&kind)
}

/// Always false: without the feature `simulation` the program knows every kind that this crate declares.
#[cfg(not(feature = "simulation"))]
pub const fn contains(_kind: KindId) -> bool {
    false
}

#[cfg(feature = "simulation")]
thread_local! {
    static UNKNOWN: std::cell::Cell<&'static [KindId]> = const { std::cell::Cell::new(&[]) };
}

/// Runs `what` as a program that does not know `kinds`.
#[cfg(feature = "simulation")]
pub fn run_without<T>(kinds: &'static [KindId], what: impl FnOnce() -> T) -> T {
    let before = UNKNOWN.replace(kinds);
    let done = what();
    UNKNOWN.set(before);
    done
}
