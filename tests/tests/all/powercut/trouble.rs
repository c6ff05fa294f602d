//! A full or read-only disk: the error is clear, nothing is lost or half-done, and work continues once there is space.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use rand::Rng as _;
use tempfile::TempDir;
use xundian_tests::powercut::{client, server, trace};
use xundian_tests::support::seed;
use xundian_tests::support::service::Service;

use super::{count, lived, powercut};

/// Rounds of work that no disk in these tests has space for.
const ROUNDS: &str = "400";

/// Returns faults of the disk, as arguments of the program.
fn troubles(rng: &mut rand::rngs::StdRng) -> Vec<Vec<String>> {
    let full = |bytes: u64| vec!["--room-bytes".to_owned(), bytes.to_string()];
    let mut troubles = vec![vec!["--read-only".to_owned()], full(0), full(4096)];
    troubles.extend((0..count(2, 20)).map(|_| full(rng.random_range(4096..2_000_000))));
    troubles
}

/// Opens on a disk that is faulty from the start. It may open; otherwise the error must be clear.
fn opened_or_refused(command: &mut Command, trouble: &[String], parts: &[&str]) {
    let output = command.arg("--at-once").args(trouble).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => eprintln!("{trouble:?} from the beginning: it opens"),
        Some(1) => {
            eprintln!("{trouble:?} from the beginning: {said}");
            assert_clear(&said, trouble, parts);
        }
        _ => panic!("{output:?}"),
    }
}

/// Runs the program, which must fail, and returns its error output.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "it should have exited with an error: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_clear(said: &str, trouble: &[String], parts: &[&str]) {
    // From the system or the standard library. If a session met the error first, it is in the server's log instead.
    let system = match trouble[0].as_str() {
        "--read-only" => ["Read-only file system", "read-only filesystem", "the server refused"],
        _ => ["No space left on device", "no storage space", "the server refused"],
    };
    assert!(system.iter().any(|words| said.contains(words)), "{system:?} is not in {said:?}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said:?}");
    }
    // The message for people must not be a debug dump.
    assert!(!said.contains("Os {") && !said.contains("Error:"), "{said:?}");
}

struct Phone {
    folder: TempDir,
    is_sealed: bool,
}

impl Phone {
    /// Enrols and syncs a device.
    async fn new(is_sealed: bool) -> Self {
        let service = Service::start().await;
        let folder = xundian_tests::powercut::folder().expect("a folder");
        std::fs::create_dir(folder.path().join("home")).expect("a folder");
        let phone = Self { folder, is_sealed };
        let mut command = phone.living();
        command.args(["--rounds", "1", "--invitation", &service.invitation("W1")]);
        tokio::task::block_in_place(|| lived(&mut command));
        phone
    }

    fn living(&self) -> Command {
        let mut command = powercut();
        command
            .arg("client")
            .arg("--folder")
            .arg(self.home())
            .arg("--trace")
            .arg(self.folder.path().join("trace"));
        if self.is_sealed {
            command.arg("--sealed");
        }
        command
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join("home")
    }

    /// Checks that everything acknowledged is there, and nothing else.
    fn check(&self) {
        let trace = trace::read(&self.folder.path().join("trace")).expect("a trace");
        let words = client::Words::of(&trace).expect("its words");
        let checked = client::check(&self.home(), self.is_sealed, &words.expected_at(trace.len()));
        if let Err(lost) = checked {
            panic!("{lost}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_a_full_or_read_only_disk_reports_it_and_loses_nothing() {
    let mut rng = seed::rng("a device's disk is full");
    for (nth, trouble) in troubles(&mut rng).into_iter().enumerate() {
        let phone = Phone::new(nth % 2 == 1).await;
        tokio::task::block_in_place(|| {
            let said = refused(phone.living().args(["--rounds", ROUNDS, "--offline"]).args(&trouble));
            eprintln!("{trouble:?}: {said}");
            assert_clear(&said, &trouble, &["check", "then"]);
            phone.check();
            // Without photos, only folding the journal needs space.
            let said =
                refused(phone.living().args(["--rounds", ROUNDS, "--offline", "--no-photos"]).args(&trouble));
            eprintln!("{trouble:?}: {said}");
            assert_clear(&said, &trouble, &["check free space and permissions, then try again"]);
            opened_or_refused(phone.living().args(["--rounds", "0", "--offline"]), &trouble, &["check"]);
            phone.check();
        });
    }
}

/// A server's folder and its devices' folders.
struct Shop {
    folder: TempDir,
    batches: u64,
    port: u16,
}

impl Shop {
    fn new() -> Self {
        let folder = xundian_tests::powercut::folder().expect("a folder");
        for name in ["data", "devices"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let free =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let mut shop = Self { folder, batches: 0, port: free.port() };
        lived(&mut shop.living(10));
        shop.batches = 10;
        shop
    }

    fn living(&self, batches: u64) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = powercut();
        command.arg("server").arg("--folder").arg(path("data")).arg("--trace").arg(path("trace"));
        command.arg("--devices").arg(path("devices")).args(["--port", &self.port.to_string()]);
        command.args(["--from", &self.batches.to_string(), "--batches", &batches.to_string()]);
        command
    }

    fn check(&self, data: &Path) {
        let trace = trace::read(&self.folder.path().join("trace")).expect("a trace");
        let words = server::Words::of(&trace).expect("its words");
        if let Err(lost) = server::check(data, &words.expected_at(trace.len()), true) {
            panic!("{lost}");
        }
    }
}

#[test]
fn a_server_with_a_full_or_read_only_disk_reports_it_and_loses_nothing() {
    let mut rng = seed::rng("a server's disk is full");
    for trouble in troubles(&mut rng) {
        let shop = Shop::new();
        let said = refused(shop.living(1000).args(&trouble));
        eprintln!("{trouble:?}: {said}");
        assert_clear(&said, &trouble, &["check the disk and its free space", "then start the server again"]);
        opened_or_refused(&mut shop.living(0), &trouble, &["check"]);
        shop.check(&shop.folder.path().join("data"));
    }
}
