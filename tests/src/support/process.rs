//! The real programs as child processes.
//!
//! They are found beside the test's own executable, in `target/<profile>`. As `cargo test` builds no other
//! crate's programs, they are built first by `cargo build`, which does nothing where they are fresh; so no
//! test runs an old one.

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

    /// A call of it, with nothing to read and its output caught.
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
    /// Where it cannot be started.
    pub fn run<S: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let output = self.command().args(arguments).output().expect("the program starts");
        Ran(output)
    }
}

/// What a program said.
pub struct Ran(pub Output);

impl Ran {
    /// Its standard output, if it says that all went well.
    ///
    /// # Panics
    /// Where it says otherwise.
    pub fn ok(self) -> String {
        assert!(self.0.status.success(), "{}\n{}\n{}", self.0.status, self.out(), self.err());
        self.out()
    }

    /// Its standard output.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    /// What it complains about, if it says that something went wrong.
    ///
    /// # Panics
    /// Where it is content.
    pub fn failure(&self) -> String {
        assert!(!self.0.status.success(), "it should have failed, and said\n{}", self.out());
        self.err()
    }

    /// Its standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

/// Where the programs lie.
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
    // All of the workspace, as `cargo test --workspace` builds it: another choice of crates would give the
    // dependencies other features, and compile them once more.
    command.args(["build", "--quiet", "--locked", "--offline", "--workspace", "--bins"]);
    // What cargo tells us of our own crate is not for the build of others: ring's build script would take it
    // for a change, and half of all crates would be compiled once more.
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

/// A child process that is killed when it is let go.
pub struct Running(Child);

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// Where the system does not let us.
    pub fn kill(&mut self) {
        // On Unix this is SIGKILL; a process that has ended already is no error.
        self.0.kill().expect("our own child");
        self.0.wait().expect("our own child");
    }

    /// The lines that it writes, until it ends. Can be asked for once.
    ///
    /// # Panics
    /// Where it was asked for before.
    pub fn lines(&mut self) -> impl Iterator<Item = io::Result<String>> + Send + use<> {
        BufReader::new(self.0.stdout.take().expect("not taken yet")).lines()
    }

    /// Where to write what it reads. Can be asked for once.
    ///
    /// # Panics
    /// Where it was asked for before, or its input is not a pipe.
    pub fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("a pipe that was not taken yet")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("our own child").is_none()
    }

    /// Memory that it holds, in KiB; `None` where the system does not tell.
    pub fn resident_kib(&self) -> Option<u64> {
        resident_kib(self.id())
    }
}

/// Memory that a process holds, in KiB; `None` where the system does not tell.
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

/// `xundian-server serve` on a data folder, at the same addresses after every restart.
pub struct ServerProcess {
    folder: PathBuf,
    http: SocketAddr,
    /// Where devices connect.
    pub quic: SocketAddr,
    running: Option<Running>,
}

impl ServerProcess {
    /// Chooses free ports for a folder. Nothing runs yet.
    ///
    /// # Panics
    /// Where there are no free ports.
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
    /// Where it does not come up.
    pub fn start(&mut self) {
        self.start_with(|_| {});
    }

    /// The same with more arguments or settings.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn start_with(&mut self, with: impl FnOnce(&mut Command)) {
        let mut command = Program::Server.command();
        command.arg("serve").arg("--data").arg(&self.folder);
        command.args(["--http", &self.http.to_string(), "--quic", &self.quic.to_string()]);
        with(&mut command);
        // Nobody reads them, and a full pipe would stop it.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let running = self.running.insert(Running::start(&mut command));
        let start = Instant::now();
        // The console is the last to listen.
        while TcpStream::connect_timeout(&self.http, Duration::from_millis(200)).is_err() {
            assert!(
                running.is_running(),
                "the server ended at once: run it by hand on {}",
                self.folder.display()
            );
            assert!(start.elapsed() < DEADLINE, "the server does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// The process.
    ///
    /// # Panics
    /// Where it was not started.
    pub fn process(&mut self) -> &mut Running {
        self.running.as_mut().expect("it was started")
    }
}
