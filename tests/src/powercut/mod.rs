//! Power cut tests on real files: whatever was acknowledged must survive in full.
//!
//! A separate program (`bin/powercut`) does a real day's work on the real stores. Meanwhile [`recorder`] writes each
//! change of their files, each sync and each acknowledgement into one ordered trace ([`trace`]). From the trace
//! [`disk`] derives what a power cut may leave at any point, and [`points`] writes that into a folder. [`client`] and
//! [`server`] open the folder as an app would, and compare it with what was acknowledged by then.
//!
//! The recorder can also make the disk full or read-only. If a cut finds a loss, the trace is kept, and the program's
//! command `again` repeats the cut at the same point with the same random choices.

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

/// Creates a temporary folder, in memory if the system has `/dev/shm`: real syncs are not needed here.
///
/// # Errors
/// Returns an error if the folder cannot be created.
pub fn folder() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())
    } else {
        tempfile::tempdir()
    }
}
