//! Power cuts on real files: acknowledged means whole.
//!
//! A program of its own (`bin/powercut`) does a real day's work on the real stores, while [`recorder`] notes each
//! change of their files and each sync, in one order, and each acknowledgement at its place in it ([`trace`]). From
//! the trace [`disk`] tells what a power cut may leave at any point, [`points`] writes it into a folder, and [`client`]
//! and [`server`] open it as an app would and compare it with what was acknowledged by then.
//!
//! The same recorder makes the disk full or read-only. Where a cut finds a loss, the trace is kept, and the program's
//! `again` cuts once more at the same point with the same choices.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
pub mod client;
pub mod disk;
pub mod points;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod program;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod recorder;
pub mod server;
pub mod trace;

use std::io;
use std::path::Path;

use tempfile::TempDir;

/// A folder that goes when it is let go: in memory, where the system has one there, as a sync is not the point here.
///
/// # Errors
/// Returns an error if the system does not let us.
pub fn folder() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())
    } else {
        tempfile::tempdir()
    }
}
