//! Hooks through which the simulation changes a running program: injected bugs, and kinds that an earlier release does
//! not know.
//!
//! Both are set for one thread. Without the feature `simulation` every hook is a constant, and the compiler removes the
//! code that reads it.

pub mod fault_injection;
pub mod unknown_kinds;
