//! Records what this process does to one folder, as one order of events for all threads. Can also simulate a full or
//! read-only disk.
//!
//! Each call that changes the folder, or makes something in it durable, runs under one lock and is recorded there; all
//! other calls pass. A change that cannot be recorded, such as a write through a mapping, aborts the process, so that
//! no trace has an unnoticed gap. This module does not know why the process makes its calls.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libc::c_int;

use super::calls::{self, Answer, Call};
use super::trace::Event;

/// The unit in which a file takes space on the disk.
const BLOCK_BYTES: u64 = 4096;
/// The size of the trace's buffer.
const BUFFER_BYTES: usize = 1024 * 1024;

/// A simulated fault of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The disk is nearly full.
    Full {
        /// The bytes that are left.
        room_bytes: u64,
    },
    /// Nothing can be changed.
    ReadOnly,
}

static RECORDER: OnceLock<Recorder> = OnceLock::new();

struct Recorder {
    /// The recorded folder's path, without symbolic links.
    root: PathBuf,
    state: Mutex<State>,
}

struct State {
    trace: Option<File>,
    buffer: Vec<u8>,
    trouble: Option<Trouble>,
    /// The number of calls refused because of the fault.
    refused: u64,
}

/// A file or folder inside the recorded folder.
struct Inside {
    path: String,
    node: u64,
    is_folder: bool,
}

/// Starts recording what this process does to the folder, appending to the trace. A new trace begins with the
/// folder's current content. Must be called before other threads exist.
///
/// # Errors
/// Returns an error if the folder or the trace cannot be used, or if the kernel refuses the filter.
pub fn start(folder: &Path, trace: Option<&Path>) -> io::Result<()> {
    let root = folder.canonicalize()?;
    let mut buffer = Vec::new();
    let trace = match trace {
        None => None,
        Some(path) => {
            if !path.exists() {
                note_standing(&root, "", &mut buffer)?;
                Event::SyncedAll.encode(&mut buffer);
            }
            Some(fs::OpenOptions::new().create(true).append(true).open(path)?)
        }
    };
    let state = Mutex::new(State { trace, buffer, trouble: None, refused: 0 });
    if RECORDER.set(Recorder { root, state }).is_err() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    calls::install(|call| match RECORDER.get() {
        Some(recorder) => recorder.answer(call),
        None => call.pass(),
    })
}

/// Records a message, such as an acknowledgement, at this point of the order.
pub fn say(words: &[u8]) {
    if let Some(recorder) = RECORDER.get() {
        recorder.lock().note(&Event::Said(words.to_vec()));
    }
}

/// Sets or clears the fault of the disk. Returns how many calls were refused since the last call of this function.
pub fn set_trouble(trouble: Option<Trouble>) -> u64 {
    RECORDER.get().map_or(0, |recorder| {
        let mut state = recorder.lock();
        state.trouble = trouble;
        std::mem::take(&mut state.refused)
    })
}

/// Writes the buffered part of the trace to its file.
pub fn flush() {
    if let Some(recorder) = RECORDER.get() {
        recorder.lock().write_out();
    }
}

/// Ends the process as a kill does, after writing out the trace.
pub fn die() -> ! {
    flush();
    calls::die()
}

/// Records the content of a folder as if it was just created.
fn note_standing(root: &Path, above: &str, into: &mut Vec<u8>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(above))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if above.is_empty() { name } else { format!("{above}/{name}") };
        if entry.file_type()?.is_dir() {
            Event::MadeFolder { path: path.clone() }.encode(into);
            note_standing(root, &path, into)?;
        } else {
            let node = entry.metadata()?.ino();
            Event::Made { path, node }.encode(into);
            let mut bytes = fs::read(entry.path())?;
            Event::SetLength { node, length: bytes.len() as u64 }.encode(into);
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            Event::Wrote { node, at: 0, bytes }.encode(into);
        }
    }
    Ok(())
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, call: &Call) -> Answer {
        const HERE: c_int = libc::AT_FDCWD;
        match call.number {
            libc::SYS_open => self.open(call, self.inside(HERE, &call.path(0)), call.flags(1)),
            libc::SYS_creat => {
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                self.open(call, self.inside(HERE, &call.path(0)), flags)
            }
            libc::SYS_openat => self.open(call, self.inside(call.file(0), &call.path(1)), call.flags(2)),
            libc::SYS_write | libc::SYS_writev => self.write(call, None),
            libc::SYS_pwrite64 | libc::SYS_pwritev => self.write(call, Some(call.arguments[3])),
            libc::SYS_ftruncate => self.set_length(call),
            libc::SYS_rename => self.rename(call, (HERE, 0), (HERE, 1)),
            libc::SYS_renameat => self.rename(call, (call.file(0), 1), (call.file(2), 3)),
            // The flags that exchange names or leave a whiteout are not used by the stores.
            libc::SYS_renameat2 if call.flags(4) & !1 == 0 => {
                self.rename(call, (call.file(0), 1), (call.file(2), 3))
            }
            libc::SYS_link => self.link(call, (HERE, 0), (HERE, 1)),
            libc::SYS_linkat => self.link(call, (call.file(0), 1), (call.file(2), 3)),
            libc::SYS_unlink => self.remove(call, self.inside(HERE, &call.path(0)), false),
            libc::SYS_rmdir => self.remove(call, self.inside(HERE, &call.path(0)), true),
            libc::SYS_unlinkat => {
                let is_folder = call.flags(2) & libc::AT_REMOVEDIR != 0;
                self.remove(call, self.inside(call.file(0), &call.path(1)), is_folder)
            }
            libc::SYS_mkdir => self.make_folder(call, self.inside(HERE, &call.path(0))),
            libc::SYS_mkdirat => self.make_folder(call, self.inside(call.file(0), &call.path(1))),
            libc::SYS_fsync => self.sync(call, false),
            libc::SYS_fdatasync => self.sync(call, true),
            // It makes nothing durable, so a program that relies on it must fail the check.
            libc::SYS_sync_file_range => call.pass(),
            libc::SYS_sync | libc::SYS_syncfs => {
                let mut state = self.lock();
                let answer = call.pass();
                state.note_if(answer, || Event::SyncedAll);
                answer
            }
            // Callers fall back to read and write on this error.
            libc::SYS_copy_file_range | libc::SYS_sendfile | libc::SYS_splice => -i64::from(libc::EINVAL),
            libc::SYS_fallocate if self.opened(call.file(0)).is_some() => -i64::from(libc::EOPNOTSUPP),
            libc::SYS_fallocate => call.pass(),
            libc::SYS_openat2 | libc::SYS_pwritev2 | libc::SYS_io_uring_setup => -i64::from(libc::ENOSYS),
            _ => not_recordable(&format!("system call {}", call.number)),
        }
    }

    /// Returns the path relative to the recorded folder, if it is inside.
    fn inside(&self, above: c_int, path: &Path) -> Option<String> {
        let whole = if path.is_absolute() {
            path.to_owned()
        } else if above == libc::AT_FDCWD {
            std::env::current_dir().ok()?.join(path)
        } else {
            fs::read_link(format!("/proc/self/fd/{above}")).ok()?.join(path)
        };
        let rest = whole.strip_prefix(&self.root).ok()?;
        let names: Vec<_> = rest.components().map(|name| name.as_os_str().to_string_lossy()).collect();
        if names.iter().any(|name| name == "..") {
            not_recordable(&format!("the path {}", whole.display()));
        }
        Some(names.join("/"))
    }

    /// Returns what a file descriptor refers to, if that is inside the recorded folder.
    fn opened(&self, file: c_int) -> Option<Inside> {
        let link = fs::read_link(format!("/proc/self/fd/{file}")).ok()?;
        let rest = link.strip_prefix(&self.root).ok()?;
        let about = fs::metadata(format!("/proc/self/fd/{file}")).ok()?;
        Some(Inside {
            path: rest.to_string_lossy().into_owned(),
            node: about.ino(),
            is_folder: about.is_dir(),
        })
    }

    fn open(&self, call: &Call, inside: Option<String>, flags: c_int) -> Answer {
        let Some(path) = inside else { return call.pass() };
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            return -i64::from(libc::EOPNOTSUPP);
        }
        let mut state = self.lock();
        let is_new = flags & libc::O_CREAT != 0 && fs::symlink_metadata(self.root.join(&path)).is_err();
        let is_written = flags & libc::O_ACCMODE != libc::O_RDONLY;
        if is_new || is_written {
            let room_bytes = if is_new { BLOCK_BYTES } else { 0 };
            if let Some(refusal) = state.refusal(room_bytes) {
                return refusal;
            }
        }
        let answer = call.pass();
        if answer >= 0 {
            let node = fs::metadata(format!("/proc/self/fd/{answer}")).map_or(0, |about| about.ino());
            if is_new {
                state.note(&Event::Made { path, node });
            } else if flags & libc::O_TRUNC != 0 && is_written {
                state.note(&Event::SetLength { node, length: 0 });
            }
        }
        answer
    }

    fn write(&self, call: &Call, at: Option<u64>) -> Answer {
        let file = call.file(0);
        let Some(inside) = self.opened(file).filter(|inside| !inside.is_folder) else { return call.pass() };
        let mut state = self.lock();
        let is_list = matches!(call.number, libc::SYS_writev | libc::SYS_pwritev);
        let mut bytes = if is_list { call.parts(1) } else { call.bytes(1) };
        let place = match at {
            _ if calls::status_flags(file) & libc::O_APPEND != 0 => {
                fs::metadata(format!("/proc/self/fd/{file}")).map_or(0, |about| about.size())
            }
            Some(at) => at,
            None => u64::try_from(calls::seek(file, 0, libc::SEEK_CUR)).unwrap_or(0),
        };
        match state.room_for(file, place, bytes.len() as u64) {
            Ok(fitting) => bytes.truncate(usize::try_from(fitting).unwrap_or(usize::MAX)),
            Err(refusal) => return refusal,
        }
        let number = if at.is_some() { libc::SYS_pwrite64 } else { libc::SYS_write };
        let answer = Call::with_bytes(number, call.arguments[0], &bytes, place).pass();
        if answer > 0 {
            bytes.truncate(usize::try_from(answer).unwrap_or(0));
            state.note(&Event::Wrote { node: inside.node, at: place, bytes });
        }
        answer
    }

    fn set_length(&self, call: &Call) -> Answer {
        let Some(inside) = self.opened(call.file(0)) else { return call.pass() };
        let mut state = self.lock();
        if let Some(refusal) = state.refusal(0) {
            return refusal;
        }
        let answer = call.pass();
        state.note_if(answer, || Event::SetLength { node: inside.node, length: call.arguments[1] });
        answer
    }

    fn rename(&self, call: &Call, from: (c_int, usize), to: (c_int, usize)) -> Answer {
        self.two_names(call, from, to, |from, to| Event::Renamed { from, to })
    }

    fn link(&self, call: &Call, from: (c_int, usize), to: (c_int, usize)) -> Answer {
        self.two_names(call, from, to, |from, to| Event::Linked { from, to })
    }

    fn two_names(
        &self,
        call: &Call,
        from: (c_int, usize),
        to: (c_int, usize),
        event: impl FnOnce(String, String) -> Event,
    ) -> Answer {
        let [from, to] = [from, to].map(|(above, nth)| self.inside(above, &call.path(nth)));
        match (from, to) {
            (None, None) => call.pass(),
            (Some(from), Some(to)) => self.name_change(call, 0, || event(from, to)),
            (from, to) => {
                not_recordable(&format!("a name that crosses the folder's bounds, {from:?} to {to:?}"))
            }
        }
    }

    fn remove(&self, call: &Call, inside: Option<String>, is_folder: bool) -> Answer {
        let Some(path) = inside else { return call.pass() };
        // A socket is created by another call, and has no content.
        let about = fs::symlink_metadata(self.root.join(&path));
        if about.is_ok_and(|about| about.file_type().is_socket()) {
            return call.pass();
        }
        self.name_change(call, 0, || {
            if is_folder { Event::RemovedFolder { path } } else { Event::Removed { path } }
        })
    }

    fn make_folder(&self, call: &Call, inside: Option<String>) -> Answer {
        let Some(path) = inside else { return call.pass() };
        // Callers often create folders that exist already.
        if self.root.join(&path).exists() {
            return call.pass();
        }
        self.name_change(call, BLOCK_BYTES, || Event::MadeFolder { path })
    }

    fn name_change(&self, call: &Call, room_bytes: u64, event: impl FnOnce() -> Event) -> Answer {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal(room_bytes) {
            return refusal;
        }
        let answer = call.pass();
        state.note_if(answer, event);
        answer
    }

    fn sync(&self, call: &Call, is_data: bool) -> Answer {
        let Some(inside) = self.opened(call.file(0)) else { return call.pass() };
        let mut state = self.lock();
        let answer = call.pass();
        state.note_if(answer, || match inside {
            Inside { path, is_folder: true, .. } => Event::SyncedFolder { path },
            Inside { node, .. } => Event::Synced { node, is_data },
        });
        answer
    }
}

impl State {
    fn note_if(&mut self, answer: Answer, event: impl FnOnce() -> Event) {
        if answer >= 0 {
            self.note(&event());
        }
    }

    fn note(&mut self, event: &Event) {
        if self.trace.is_none() {
            return;
        }
        event.encode(&mut self.buffer);
        if self.buffer.len() > BUFFER_BYTES {
            self.write_out();
        }
    }

    fn write_out(&mut self) {
        let Some(trace) = &self.trace else { return };
        let file = u64::try_from(trace.as_raw_fd()).unwrap_or(u64::MAX);
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            let written = Call::with_bytes(libc::SYS_write, file, rest, 0).pass();
            match usize::try_from(written) {
                Ok(written) if written > 0 => rest = &rest[written..],
                _ => not_recordable("the trace itself, which cannot be written,"),
            }
        }
        self.buffer.clear();
    }

    /// Returns the error of a change that the faulty disk does not accept.
    fn refusal(&mut self, room_bytes: u64) -> Option<Answer> {
        let error = match &mut self.trouble {
            None => return None,
            Some(Trouble::ReadOnly) => libc::EROFS,
            Some(Trouble::Full { room_bytes: left }) if *left < room_bytes => libc::ENOSPC,
            Some(Trouble::Full { room_bytes: left }) => {
                *left -= room_bytes;
                return None;
            }
        };
        self.refused += 1;
        Some(-i64::from(error))
    }

    /// Returns how many of `count` bytes at `at` fit on the disk. Overwriting existing blocks takes no space.
    fn room_for(&mut self, file: c_int, at: u64, count: u64) -> Result<u64, Answer> {
        if !matches!(self.trouble, Some(Trouble::Full { .. })) {
            return self.refusal(0).map_or(Ok(count), Err);
        }
        let standing = calls::seek(file, 0, libc::SEEK_CUR);
        let mut fitting = 0;
        while fitting < count {
            let block = (at + fitting) / BLOCK_BYTES * BLOCK_BYTES;
            let place = i64::try_from(block).unwrap_or(i64::MAX);
            let is_there = calls::seek(file, place, libc::SEEK_DATA) == place;
            if !is_there && let Some(refusal) = self.refusal(BLOCK_BYTES) {
                if fitting == 0 {
                    calls::seek(file, standing, libc::SEEK_SET);
                    return Err(refusal);
                }
                break;
            }
            fitting = (block + BLOCK_BYTES - at).min(count);
        }
        calls::seek(file, standing, libc::SEEK_SET);
        Ok(fitting)
    }
}

/// Aborts the process, because its trace would have a gap.
fn not_recordable(what: &str) -> ! {
    let words = format!("{what} cannot be recorded\n");
    Call::with_bytes(libc::SYS_write, 2, words.as_bytes(), 0).pass();
    std::process::abort()
}
