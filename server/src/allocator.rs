//! How the process takes memory from the system: two settings of the C library's allocator. Knows nothing of the
//! server.
//!
//! By default glibc gives each thread its own heap and grows it by pages. Memory freed by one thread is not available
//! to the others, and every few kilobytes cost a system call. A server whose store work moves between threads then
//! holds several times what it uses.
#![allow(unsafe_code, reason = "the C library's settings have no safe interface; all of it is in this file")]

/// Heaps shared by all threads. One heap would be contended: one thread plans while others read frames.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: std::ffi::c_int = 2;
/// The step in which memory is taken from the system and kept when free. Smaller allocations come from a heap: mapped
/// separately, with pages returned and taken again each time, a frame would cost more than its encoding.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const STEP_BYTES: std::ffi::c_int = 4 << 20;

/// Makes all threads share a few heaps that grow in large steps. Call it before threads are started. It has no effect
/// with another C library.
pub(crate) fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [
        (libc::M_ARENA_MAX, HEAPS),
        (libc::M_TOP_PAD, STEP_BYTES),
        (libc::M_TRIM_THRESHOLD, 2 * STEP_BYTES),
        (libc::M_MMAP_THRESHOLD, STEP_BYTES),
    ] {
        // SAFETY: mallopt takes two numbers, and any thread may call it at any time.
        let is_set = unsafe { libc::mallopt(setting, value) } == 1;
        if !is_set {
            tracing::debug!("the C library refused the memory setting {setting}");
        }
    }
}
