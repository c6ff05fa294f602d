//! How the process takes memory from the system. Owns two settings of the C library's allocator; knows nothing
//! of the server.
//!
//! By default glibc gives each thread a heap of its own and grows it by pages: what one thread frees the others
//! cannot use, and every few kilobytes cost a system call. A server whose store work goes from thread to thread
//! then holds several times what it uses.
#![allow(unsafe_code, reason = "the C library's settings have no safe interface; all of it is in this file")]

/// Heaps for all threads together: one would be waited for, as one thread plans while others read frames.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: std::ffi::c_int = 2;
/// What is taken from the system at a time, and kept when it is free again. What is smaller comes from a heap: by
/// itself, with its pages given back and taken anew each time, a frame or an answer would cost more than its making.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const STEP_BYTES: std::ffi::c_int = 4 << 20;

/// Has all threads share a few heaps that grow in large steps. Call it before there are threads; without effect
/// where the C library is another one.
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
