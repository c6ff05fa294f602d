//! Pictures in a store that speaks S3: moto's server, which stands in for a real one. The tests run if `XUNDIAN_MOTO`
//! names the program, as `./test long` arranges.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xundian_protocol::sync::upload::Outcome;
use xundian_server::{Server, sessions};
use xundian_tests::support::DEADLINE;
use xundian_tests::support::company;
use xundian_tests::support::device::Device;
use xundian_tests::support::process::{Program, Running, ServerProcess};
use xundian_tests::support::service::{self, HOUR_MS};

use super::{name, picture, send_all};

/// A running S3 server with one bucket.
struct S3 {
    address: SocketAddr,
    _running: Running,
}

impl S3 {
    /// Starts the server and creates the bucket, if the program is available.
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("XUNDIAN_MOTO") else {
            eprintln!("SKIPPED: no XUNDIAN_MOTO, so nothing is tested against a store that speaks S3");
            return None;
        };
        let bound = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = bound.local_addr().expect("a bound address");
        drop(bound);
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::start(&mut command);
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            assert!(start.elapsed() < DEADLINE, "moto does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        let s3 = Self { address, _running: running };
        assert!(s3.ask("PUT", "/shelves").starts_with("HTTP/1.1 200"), "the bucket is made");
        Some(s3)
    }

    /// Sends a request without a body, and returns the response.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it runs");
        let host = self.address;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .expect("it runs");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer
    }

    fn settings(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_are_stored_in_a_bucket_and_verified_there() {
    let Some(s3) = S3::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let invitation = {
        let server = Server::open(folder.path(), sessions::now_ms()).expect("a folder of our own");
        company::found(&server);
        service::invitation(&server, process.quic, "W1", HOUR_MS)
    };
    process.start_with(|command| {
        command.args(["--photos", "s3://shelves/company/one"]).envs(s3.settings());
    });
    let device = Device::enrol(&invitation, "W1").await;
    let shelf = picture(1, 2_000_000);
    name(&device, process.quic, "A1", &[&shelf]).await;
    let sent = send_all(&device, process.quic, &shelf).await;
    assert_eq!((sent.bytes, sent.outcome), (2_000_000, Some(Outcome::Stored)));
    let listed = s3.ask("GET", "/shelves?list-type=2&prefix=company/one/pictures/");
    assert_eq!(listed.matches("<Key>").count(), 1, "{listed}");
    assert!(listed.contains("<Size>2000000</Size>"), "{listed}");
    assert!(!folder.path().join("photos").exists(), "no picture is stored in the folder");

    let verify = |place: &str| {
        let mut command = Program::Server.command();
        command.arg("--data").arg(folder.path()).args(["verify", "--pictures", "--format", "csv"]);
        command.env("XUNDIAN_PHOTOS", place).envs(s3.settings());
        command.output().expect("the program starts")
    };
    assert!(verify("s3://shelves/company/one").status.success(), "through the running server");
    process.kill();
    assert!(verify("s3://shelves/company/one").status.success(), "without it");
    let elsewhere = verify("s3://shelves/company/two");
    let told = String::from_utf8_lossy(&elsewhere.stderr);
    assert!(!elsewhere.status.success() && told.contains("is gone"), "{told}");
}

#[test]
fn a_refusing_store_is_an_error_when_the_server_starts() {
    let Some(s3) = S3::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Program::Server.command();
    command.arg("--data").arg(folder.path()).args([
        "serve",
        "--http",
        "127.0.0.1:0",
        "--quic",
        "127.0.0.1:0",
    ]);
    command.args(["--photos", "s3://no-such-bucket"]).envs(s3.settings());
    let output = command.output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("s3://no-such-bucket/ refuses"), "{told}");
}
