//! Shared helpers of the end-to-end tests: a small company, a running server, devices with a controlled clock,
//! child processes, and a snapshot of a server's content.
//!
//! Helpers assert nothing about the product. A helper that cannot do its work panics.

pub mod company;
pub mod contents;
pub mod device;
pub mod ops;
pub mod packed;
pub mod photo;
pub mod process;
pub mod relay;
pub mod seed;
pub mod service;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The time limit for anything that must happen. Only a broken build reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Copies a folder with its content.
///
/// # Panics
/// Panics if a file or folder cannot be copied.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("there is room");
        }
    }
}

/// Calls `look` again and again until it returns a value.
///
/// # Panics
/// Panics if there is no value before [`DEADLINE`]. `what` names what was waited for.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "timed out waiting for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
