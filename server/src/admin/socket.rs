//! The Unix socket through which a running server takes commands: `admin.sock` in the data folder, for the server's
//! user alone.
//!
//! Each direction carries one line of JSON and then, for an import, the bytes of the file. The command line reads the
//! file, which may be unreadable for the server. One connection carries one command.

use super::{Command, Output, execute};
use crate::imports::FILE_BYTES_MAX;
use crate::photos::Photos;
use crate::sessions::now_ms;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The socket's name in the data folder.
pub const SOCKET_FILE: &str = "admin.sock";
/// The most bytes of a command as a line of JSON, without the file.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024;
/// The most bytes of an answer: a report of a hundred thousand rows, or the bad rows of the largest file.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most concurrent commands; more wait.
const COMMANDS_MAX: usize = 4;
/// How long the command line may take for its next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause after a failed accept, for example when no file handle is left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// A socket's path has room for 108 bytes (unix(7)), including the final zero.
const PATH_BYTES_MAX: usize = 107;

#[derive(Serialize, Deserialize)]
struct Request {
    command: Command,
    by: String,
    attachment_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Response {
    Done(Output),
    Failed(String),
}

/// Why a command could not be passed to a running server.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The socket exists and cannot be used.
    #[error("the running server cannot be reached through {path}: {source}; run this as the server's user", path = path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The answer is malformed.
    #[error(
        "the running server gave no answer ({detail}): see its log, and whether it is of the same version"
    )]
    Response {
        /// What is wrong with it.
        detail: String,
    },
    /// The server refused.
    #[error("{0}")]
    Refused(String),
}

/// Sends a command to the server that runs on a data folder; `None` if none runs there.
pub fn request(
    data: &Path,
    command: &Command,
    attachment: &[u8],
    by: &str,
) -> Result<Option<Output>, RequestError> {
    let path = data.join(SOCKET_FILE);
    let failed = |source| RequestError::Socket { path: path.clone(), source };
    let stream = short_path(data).and_then(|short| BlockingStream::connect(&short.path));
    let stream = match stream {
        Ok(stream) => stream,
        // A killed server leaves its socket; nobody listens there any more.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let asked = send(&stream, command, attachment, by);
    let mut line = String::new();
    let answer = io::BufReader::new((&stream).take(ANSWER_BYTES_MAX)).read_line(&mut line);
    // A server that refuses early closes while the file is still being sent: its answer says more.
    if line.is_empty() {
        asked.map_err(failed)?;
    }
    answer.map_err(failed)?;
    match serde_json::from_str(&line) {
        Ok(Response::Done(output)) => Ok(Some(output)),
        Ok(Response::Failed(message)) => Err(RequestError::Refused(message)),
        Err(error) => Err(RequestError::Response { detail: error.to_string() }),
    }
}

fn send(mut stream: &BlockingStream, command: &Command, attachment: &[u8], by: &str) -> io::Result<()> {
    let request =
        Request { command: command.clone(), by: by.to_owned(), attachment_bytes: attachment.len() as u64 };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.write_all(attachment)?;
    stream.flush()
}

/// Listens for commands in the server's data folder. The future serves them until `stopped` becomes true, lets those in
/// progress finish, and removes the socket. The caller holds the folder's lock through `photos`, so an existing socket
/// is left over from a crash.
pub fn listen(
    photos: Arc<Photos>,
    stopped: watch::Receiver<bool>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let folder = photos.server().folder().to_path_buf();
    let path = folder.join(SOCKET_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&short_path(&folder)?.path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let owner = fs::metadata(&path)?.uid();
    Ok(serve(photos, listener, owner, path, stopped))
}

async fn serve(
    photos: Arc<Photos>,
    listener: UnixListener,
    owner: u32,
    path: PathBuf,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(COMMANDS_MAX));
    let mut commands = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = commands.join_next() => continue,
            // An error means that the sender is gone, which is a stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (photos, places) = (Arc::clone(&photos), Arc::clone(&places));
                commands.spawn(async move {
                    let _place = places.acquire_owned().await;
                    if let Err(error) = serve_one(photos, stream, owner).await {
                        tracing::warn!("a command of the administration broke off: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::error!("the administration socket: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!("the administration socket stays behind: {error}");
    }
    while commands.join_next().await.is_some() {}
}

async fn serve_one(photos: Arc<Photos>, mut stream: UnixStream, owner: u32) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid != owner && uid != 0 {
        return Err(io::Error::other(format!("user {uid} may not administer this server")));
    }
    let answer = match tokio::time::timeout(PATIENCE, read_request(&mut stream)).await {
        Ok(Ok((request, attachment))) => {
            let server = Arc::clone(photos.server());
            let done =
                execute(server, || Ok(photos), request.command, attachment, request.by, now_ms()).await;
            done.map_or_else(|error| Response::Failed(error.to_string()), Response::Done)
        }
        Ok(Err(error)) => Response::Failed(format!("the server cannot read the command: {error}")),
        Err(_) => Response::Failed("the command did not come in time".into()),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut UnixStream) -> io::Result<(Request, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut reader).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::Error::other(format!("it is not one line of at most {REQUEST_BYTES_MAX} bytes")));
    }
    let request: Request = serde_json::from_slice(&line)?;
    if request.attachment_bytes > FILE_BYTES_MAX as u64 {
        return Err(io::Error::other(format!("its file has more than {FILE_BYTES_MAX} bytes")));
    }
    let mut attachment = Vec::new();
    let read = reader.take(request.attachment_bytes).read_to_end(&mut attachment).await?;
    if read as u64 != request.attachment_bytes {
        return Err(io::Error::other("its file broke off"));
    }
    Ok((request, attachment))
}

/// A socket path that is short enough, and the folder that it goes through while it is used.
struct ShortPath {
    path: PathBuf,
    _folder: Option<fs::File>,
}

/// The socket's path, through the open folder if it is longer than a socket's path may be.
fn short_path(data: &Path) -> io::Result<ShortPath> {
    use std::os::fd::AsRawFd as _;
    let path = data.join(SOCKET_FILE);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(ShortPath { path, _folder: None });
    }
    let folder = fs::File::open(data)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(SOCKET_FILE);
    Ok(ShortPath { path, _folder: Some(folder) })
}
