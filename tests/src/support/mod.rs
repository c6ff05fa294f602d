//! What the end-to-end tests share: a small company, a served folder, devices with a clock that tests hold,
//! child processes, and a reading of all that a server holds.
//!
//! Knows no assertion about the product; a helper that fails to do its own part ends the test.

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

/// How long anything that must happen may take. Only a broken build waits so long.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Copies a folder with all that is in it.
///
/// # Panics
/// Where it cannot be read, or there is no room.
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

/// Looks again and again until there is something to see.
///
/// # Panics
/// Where nothing is seen before [`DEADLINE`]; `what` says what was waited for.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
