//! The real programs as child processes.
//!
//! They are in `target/<profile>`, beside the test's own executable. `cargo test` does not build the programs of other
//! crates, so `cargo build` is run first, which does nothing if they are up to date. So no test runs an old program.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::DEADLINE;

/// The programs of the workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// `xundian`
    Device,
    /// `xundian-server`
    Server,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Device => "xundian",
            Self::Server => "xundian-server",
        }
    }

    /// Returns a command that runs it, without input and with its output captured.
    pub fn command(self) -> Command {
        let mut command = Command::new(folder().join(self.name()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A developer's own settings must not reach the tests.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("XUNDIAN_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// Panics if it cannot be started.
    pub fn run<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let output = self.command().args(arguments).output().expect("the program starts");
        Ran(output)
    }
}

/// The exit status and output of a program.
pub struct Ran(pub Output);

impl Ran {
    /// Returns the standard output of a successful program.
    ///
    /// # Panics
    /// Panics if the program failed.
    pub fn ok(self) -> String {
        assert!(self.0.status.success(), "{}\n{}\n{}", self.0.status, self.out(), self.err());
        self.out()
    }

    /// Returns the standard output.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// Returns the standard error of a failed program.
    ///
    /// # Panics
    /// Panics if the program succeeded.
    pub fn failure(&self) -> String {
        assert!(!self.0.status.success(), "it should have failed, but printed\n{}", self.out());
        self.err()
    }

    /// Returns the standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

/// Returns the folder of the programs, after building them.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let own = std::env::current_exe().expect("a test knows where it is");
        // target/<profile>/deps/all-0123456789abcdef
        let profile = own.ancestors().nth(2).expect("cargo's folders").to_owned();
        build(&profile);
        profile
    })
}

fn build(profile: &Path) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Build the whole workspace, as `cargo test --workspace` does. Another selection of crates would give the
    // dependencies other features, and compile them again.
    command.args(["build", "--quiet", "--locked", "--offline", "--workspace", "--bins"]);
    // Remove the variables that cargo sets for this crate. The build script of ring would see a change, and half of
    // all crates would be compiled again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
            .iter()
            .any(|own| text.starts_with(own))
        {
            command.env_remove(&name);
        }
    }
    if profile.file_name() == Some(OsStr::new("release")) {
        command.arg("--release");
    }
    command.arg("--target-dir").arg(profile.parent().expect("cargo's target folder"));
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(status.success(), "the programs do not build");
}

/// A child process that is killed on drop.
pub struct Running(Child);

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// Panics if it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// Kills it like `kill -9`, and waits until it is gone.
    ///
    /// # Panics
    /// Panics if the system reports an error.
    pub fn kill(&mut self) {
        // On Unix this is SIGKILL. It is no error if the process has ended already.
        self.0.kill().expect("our own child");
        self.0.wait().expect("our own child");
    }

    /// Returns the lines of its standard output, until it ends. Can be called once.
    ///
    /// # Panics
    /// Panics on the second call.
    pub fn lines(&mut self) -> impl Iterator<Item = io::Result<String>> + Send + use<> {
        BufReader::new(self.0.stdout.take().expect("not taken yet")).lines()
    }

    /// Returns its standard input. Can be called once.
    ///
    /// # Panics
    /// Panics on the second call, or if the input is not a pipe.
    pub fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("a pipe that was not taken yet")
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// Panics if the system reports an error.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("our own child").is_none()
    }

    /// Returns its resident memory in KiB; `None` if the system does not report it.
    pub fn resident_kib(&self) -> Option<u64> {
        resident_kib(self.id())
    }
}

/// Returns the resident memory of a process in KiB; `None` if the system does not report it.
pub fn resident_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `xundian-server serve` on a data folder, at the same addresses after each restart.
pub struct ServerProcess {
    folder: PathBuf,
    http: SocketAddr,
    /// The address to which devices connect.
    pub quic: SocketAddr,
    running: Option<Running>,
}

impl ServerProcess {
    /// Chooses free ports for a folder, without starting the server.
    ///
    /// # Panics
    /// Panics if there are no free ports.
    pub fn new(folder: &Path) -> Self {
        let address = |bound: io::Result<SocketAddr>| bound.expect("a bound address");
        let quic = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let http = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (http, quic) = (address(http.local_addr()), address(quic.local_addr()));
        Self { folder: folder.to_owned(), http, quic, running: None }
    }

    /// Starts it, and waits until it serves.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn start(&mut self) {
        self.start_with(|_| {});
    }

    /// Starts it with further arguments or settings, and waits until it serves.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn start_with(&mut self, with: impl FnOnce(&mut Command)) {
        let mut command = Program::Server.command();
        command.arg("serve").arg("--data").arg(&self.folder);
        command.args(["--http", &self.http.to_string(), "--quic", &self.quic.to_string()]);
        with(&mut command);
        // Nobody reads the output, and a full pipe would block the server.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = self.running.insert(Running::start(&mut command));
        let start = Instant::now();
        // The console is the last to listen.
        while TcpStream::connect_timeout(&self.http, Duration::from_millis(200)).is_err() {
            assert!(
                running.is_running(),
                "the server ended at once; run it by hand on {} to see why",
                self.folder.display()
            );
            assert!(start.elapsed() < DEADLINE, "the server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it like `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Returns the process.
    ///
    /// # Panics
    /// Panics if it was not started.
    pub fn process(&mut self) -> &mut Running {
        self.running.as_mut().expect("it was started")
    }
}
