//! Makes sled durable on Linux. Owns one symbol, `sync_file_range`; knows no store, key or folder.
//!
//! On Linux only, sled 0.34.7 ends each write of its log with `sync_file_range`. That call starts the write-back but is
//! not a barrier: after a power cut, acknowledged commits are lost (docs/adr/0002). Elsewhere sled calls `sync_all`. So
//! this module defines the symbol itself, and the linker binds sled's call to it: it performs `fdatasync`, which is a
//! barrier and does at least what any other caller in the process requested. The symbol is hidden, so a shared library
//! keeps its own definition, whatever the process has loaded before; no linker option is needed. [`in_force`] verifies
//! this whenever a store opens.

#![allow(
    unsafe_code,
    reason = "sled offers no safe way to make its log durable on Linux; all of it is in this file"
)]

use libc::{c_int, c_uint, off64_t};

/// No process has a file with this number. Called with it, the symbol only identifies itself.
const PROBE_FILE: c_int = c_int::MIN;
const PROBE_ANSWER: c_int = 0x5844;

// Hidden: calls stay within the object that they were linked into, and the object does not export the symbol.
core::arch::global_asm!(".hidden sync_file_range");

/// Replaces the C library's function of this name for everything linked into the same object.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(file: c_int, _offset: off64_t, _bytes: off64_t, _flags: c_uint) -> c_int {
    if file == PROBE_FILE {
        return PROBE_ANSWER;
    }
    loop {
        // SAFETY: fdatasync takes no memory. A bad file number is an error, which is returned with its errno.
        let answer = unsafe { libc::fdatasync(file) };
        let interrupted = || std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if answer == 0 || !interrupted() {
            return answer;
        }
    }
}

/// Whether sled's calls arrive here. It calls the same name that sled was linked with.
pub(super) fn in_force() -> bool {
    // The compiler must not know the callee. It would inline the function above, even if the loader has bound the name
    // to another one.
    let as_linked: unsafe extern "C" fn(c_int, off64_t, off64_t, c_uint) -> c_int = libc::sync_file_range;
    let as_linked = std::hint::black_box(as_linked);
    // SAFETY: no memory is passed, and no file has this number, so the C library's own function returns an error.
    unsafe { as_linked(PROBE_FILE, 0, 0, 0) == PROBE_ANSWER }
}
