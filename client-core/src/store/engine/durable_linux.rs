//! Makes sled durable on Linux. Owns one symbol, `sync_file_range`; knows no store, key or folder.
//!
//! On Linux, and only there, sled 0.34.7 ends each write of its log with `sync_file_range`, which starts the
//! write-back but is no barrier: after a power cut acknowledged commits are gone (docs/adr/0002). Everywhere
//! else it calls `sync_all`. So this module defines the symbol itself, and the linker binds sled's call to it:
//! what sled asks for becomes `fdatasync`, which is a barrier and at least what any other caller in the process
//! asked for. The symbol is hidden, so that a shared library keeps its own definition whatever the process that
//! loads it has loaded before; no linker option is needed. [`in_force`] proves it each time a store opens.

#![allow(
    unsafe_code,
    reason = "sled offers no safe way to make its log durable on Linux; all of it is in this file"
)]

use libc::{c_int, c_uint, off64_t};

/// No process has a file of this number; with it the symbol only says whose it is.
const PROBE_FILE: c_int = c_int::MIN;
const PROBE_ANSWER: c_int = 0x5844;

// Hidden: the call never leaves the object it was linked into, and the object does not offer it to others.
core::arch::global_asm!(".hidden sync_file_range");

/// Stands in for the C library's function of this name, for everything linked into the same object.
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(file: c_int, _offset: off64_t, _bytes: off64_t, _flags: c_uint) -> c_int {
    if file == PROBE_FILE {
        return PROBE_ANSWER;
    }
    loop {
        // SAFETY: fdatasync takes no memory; a bad file number is an error that is passed on with its errno.
        let answer = unsafe { libc::fdatasync(file) };
        let interrupted = || std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted;
        if answer == 0 || !interrupted() {
            return answer;
        }
    }
}

/// Whether sled's calls really arrive here: asks through the same name that sled was linked with.
pub(super) fn in_force() -> bool {
    // The compiler must not see whom it calls: it would answer from the function above, also where the
    // loader has bound the name to another one.
    let as_linked: unsafe extern "C" fn(c_int, off64_t, off64_t, c_uint) -> c_int = libc::sync_file_range;
    let as_linked = std::hint::black_box(as_linked);
    // SAFETY: no memory is passed, and no file has this number, so that the C library's own answers an error.
    unsafe { as_linked(PROBE_FILE, 0, 0, 0) == PROBE_ANSWER }
}
