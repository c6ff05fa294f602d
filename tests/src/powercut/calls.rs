//! Intercepts this process's system calls that change files or make them durable: a function of ours runs instead of
//! each of them.
//!
//! A seccomp filter makes the kernel answer such a call with a signal in the calling thread. The signal handler then
//! does the work of the call. So every call is intercepted, whether it comes from the standard library, a C library or
//! a crate that makes its own system calls; replacing C symbols would miss the last of these. Our own calls carry a
//! marker that the filter lets pass. The filter cannot be removed again, and a child process would be killed by it, so
//! only a program made for this may install one.
//!
//! This module does not interpret the calls.

#![allow(
    unsafe_code,
    reason = "filters, signals and system calls have no safe form; all of it is in this file"
)]

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_long, c_void};

/// The marker of our own calls, in the last argument, which none of them uses.
const SIGN: u64 = 0x5844_706f_7765_7231;
const SIGN_HALVES: [u32; 2] = [SIGN as u32, (SIGN >> 32) as u32];

/// The intercepted calls: they change files or names, or make them durable. `open` and `mmap` are filtered by flags.
const MET: [c_long; 32] = [
    libc::SYS_openat2,
    libc::SYS_creat,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
    libc::SYS_sync,
    libc::SYS_msync,
    libc::SYS_io_uring_setup,
];

/// A system call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: c_long,
    pub(super) arguments: [u64; 6],
}

/// The kernel's answer: a result, or a negated error number.
pub(super) type Answer = i64;

/// The function that carries out intercepted calls.
pub(super) type Answering = fn(&Call) -> Answer;

static ANSWERING: OnceLock<Answering> = OnceLock::new();

/// Installs the filter. From here on `answering` carries out all intercepted calls, in the threads that make them.
pub(super) fn install(answering: Answering) -> io::Result<()> {
    if ANSWERING.set(answering).is_err() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: the handler has the signature that SA_SIGINFO asks for. It runs in the place of a system call, never
    // between two instructions of other code, and does only what a system call may do.
    let action = unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_call as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
        libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut())
    };
    checked(action)?;
    let mut filter = filter();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: the program outlives this call too.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    checked(c_int::try_from(installed).unwrap_or(-1))
}

fn checked(answer: c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns the filter's program, which the kernel runs on the number and the arguments of each call.
fn filter() -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUALS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const GIVE: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    // Offsets in `seccomp_data`: the number of the call, and the halves of an argument.
    let number = 0;
    let argument = |nth: u32, half: u32| 16 + 8 * nth + 4 * half;
    let mut steps = vec![
        step(LOAD, argument(5, 0), 0, 0),
        step(EQUALS, SIGN_HALVES[0], 0, 3),
        step(LOAD, argument(5, 1), 0, 0),
        step(EQUALS, SIGN_HALVES[1], 0, 1),
        step(GIVE, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(LOAD, number, 0, 0),
    ];
    for met in MET {
        steps.push(step(EQUALS, met as u32, 0, 1));
        steps.push(step(GIVE, libc::SECCOMP_RET_TRAP, 0, 0));
    }
    // Of `open` only calls that create, change or truncate a file: the C library opens files for reading while
    // it allocates memory, and our handler could not allocate there.
    let changes = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u32;
    for (opens, flags_at) in [(libc::SYS_open, 1), (libc::SYS_openat, 2)] {
        steps.extend([
            step(EQUALS, opens as u32, 0, 4),
            step(LOAD, argument(flags_at, 0), 0, 0),
            step(HAS, changes, 0, 1),
            step(GIVE, libc::SECCOMP_RET_TRAP, 0, 0),
            step(GIVE, libc::SECCOMP_RET_ALLOW, 0, 0),
        ]);
    }
    // Of `mmap` only shared writable mappings of files.
    steps.extend([
        step(EQUALS, libc::SYS_mmap as u32, 1, 0),
        step(GIVE, libc::SECCOMP_RET_ALLOW, 0, 0),
        step(LOAD, argument(3, 0), 0, 0),
        step(HAS, libc::MAP_SHARED as u32, 0, 5),
        step(LOAD, argument(2, 0), 0, 0),
        step(HAS, libc::PROT_WRITE as u32, 0, 3),
        step(LOAD, argument(4, 0), 0, 0),
        step(EQUALS, u32::MAX, 1, 0),
        step(GIVE, libc::SECCOMP_RET_TRAP, 0, 0),
        step(GIVE, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]);
    steps
}

extern "C" fn on_call(_signal: c_int, _about: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the saved state of the thread, which nothing else uses before this returns, and
    // restores it afterwards. The error number is thread-local.
    let (registers, error) = unsafe {
        (&mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs, &mut *libc::__errno_location())
    };
    let error_before = *error;
    let argument = |register: c_int| registers[register as usize] as u64;
    let call = Call {
        number: registers[libc::REG_RAX as usize],
        arguments: [
            argument(libc::REG_RDI),
            argument(libc::REG_RSI),
            argument(libc::REG_RDX),
            argument(libc::REG_R10),
            argument(libc::REG_R8),
            argument(libc::REG_R9),
        ],
    };
    registers[libc::REG_RAX as usize] =
        ANSWERING.get().map_or(-i64::from(libc::ENOSYS), |answer| answer(&call));
    *error = error_before;
}

impl Call {
    /// Creates a call of our own, with the marker.
    pub(super) fn new(number: c_long, arguments: [u64; 5]) -> Self {
        let [a, b, c, d, e] = arguments;
        Self { number, arguments: [a, b, c, d, e, SIGN] }
    }

    /// Creates a call of our own that passes bytes and an offset.
    pub(super) fn with_bytes(number: c_long, file: u64, bytes: &[u8], at: u64) -> Self {
        Self::new(number, [file, bytes.as_ptr() as u64, bytes.len() as u64, at, 0])
    }

    /// Lets the kernel do the call. No intercepted call that is passed on uses its last argument.
    pub(super) fn pass(&self) -> Answer {
        let [a, b, c, d, e, _] = self.arguments;
        // SAFETY: this process asked for this call with these arguments.
        let answer = unsafe { libc::syscall(self.number, a, b, c, d, e, SIGN) };
        if answer == -1 { -io::Error::last_os_error().raw_os_error().map_or(0, i64::from) } else { answer }
    }

    /// Returns an argument that is a file descriptor.
    pub(super) const fn file(&self, nth: usize) -> c_int {
        self.arguments[nth] as c_int
    }

    /// Returns an argument that is a set of flags.
    pub(super) const fn flags(&self, nth: usize) -> c_int {
        self.arguments[nth] as c_int
    }

    /// Returns an argument that is a path.
    pub(super) fn path(&self, nth: usize) -> PathBuf {
        // SAFETY: this process passes the kernel a NUL-terminated string, which the kernel would read as well.
        let text = unsafe { CStr::from_ptr(self.arguments[nth] as *const libc::c_char) };
        PathBuf::from(std::ffi::OsStr::from_bytes(text.to_bytes()))
    }

    /// Reads a byte buffer that is passed in two arguments, as pointer and length.
    pub(super) fn bytes(&self, nth: usize) -> Vec<u8> {
        bytes_at(self.arguments[nth], self.arguments[nth + 1])
    }

    /// Reads an `iovec` array that is passed in two arguments, and joins its buffers.
    pub(super) fn parts(&self, nth: usize) -> Vec<u8> {
        // SAFETY: the kernel would read the same array.
        let parts = unsafe {
            std::slice::from_raw_parts(
                self.arguments[nth] as *const libc::iovec,
                self.arguments[nth + 1] as usize,
            )
        };
        parts.iter().flat_map(|part| bytes_at(part.iov_base as u64, part.iov_len as u64)).collect()
    }
}

fn bytes_at(place: u64, count: u64) -> Vec<u8> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: this process passes the kernel a buffer of `count` bytes at `place`, which the kernel would read as well.
    unsafe { std::slice::from_raw_parts(place as *const u8, count as usize) }.to_vec()
}

/// Moves a file's offset. A negative answer is an error.
pub(super) fn seek(file: c_int, to: i64, from: c_int) -> i64 {
    // SAFETY: no memory is passed.
    unsafe { libc::lseek64(file, to, from) }
}

/// Returns the status flags of an open file.
pub(super) fn status_flags(file: c_int) -> c_int {
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(file, libc::F_GETFL) }
}

/// Ends the process as a kill does: no file is flushed or closed, and no destructor runs.
pub(super) fn die() -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(0) }
}
