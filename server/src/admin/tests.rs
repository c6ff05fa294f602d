//! Commands, through the socket and without it.

use super::*;
use crate::photos::{SpoolLimits, StorageLocation};
use crate::report::{GroupBy, ReportSubject};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

const NOW_MS: i64 = 1_800_000_000_000;
const PEOPLE: &[u8] = b"code,name\nM001,Wang Fang\n";

fn import(skip_bad: bool) -> Command {
    Command::Import { kind: ImportKind::People, dry_run: false, skip_bad, channel: None, json: true }
}

fn verify(repair_views: bool) -> Command {
    Command::Verify { format: Format::Table, pictures: true, repair_views }
}

fn invite(address: &str) -> Command {
    Command::Invite { person: "M001".into(), valid_ms: 60_000, address: address.into() }
}

fn photos(server: &Arc<Server>) -> Arc<Photos> {
    let place = StorageLocation::Folder(server.folder().join("photos"));
    Arc::new(Photos::open(Arc::clone(server), &place, SpoolLimits::default()).unwrap())
}

/// Executes a command without a socket.
fn done(server: &Arc<Server>, command: &Command, file: &[u8]) -> Result<Output, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened = || Ok(photos(server));
    let (server, command) = (Arc::clone(server), command.clone());
    runtime.block_on(execute(server, opened, command, file.to_vec(), "test".into(), NOW_MS))
}

/// Runs a server on a folder while `act` runs beside it.
fn with_running(data: &Path, act: impl FnOnce(&Path) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Arc::new(Server::open(data, NOW_MS).unwrap());
        let (stop, stopped) = watch::channel(false);
        let listening = tokio::spawn(listen(photos(&server), stopped).unwrap());
        let folder = data.to_owned();
        tokio::task::spawn_blocking(move || act(&folder)).await.unwrap();
        stop.send_replace(true);
        listening.await.unwrap();
    });
    assert!(!data.join(SOCKET_FILE).exists(), "a stopped server leaves no socket");
}

#[test]
fn a_command_does_the_same_through_the_socket_and_without_it() {
    let commands = || {
        let day = "2026-11-23".parse().unwrap();
        let request = report::Request {
            what: ReportSubject::Nation,
            from: day,
            to: day,
            by: GroupBy::Unit,
            format: Format::Csv,
            bom: false,
        };
        vec![
            (import(false), PEOPLE),
            (import(false), PEOPLE),
            (import(true), b"code,name\nM001,\nM002,x\n".as_slice()),
            (Command::Devices { format: Format::Json }, b"".as_slice()),
            (Command::Report(request), b"".as_slice()),
            (verify(false), b"".as_slice()),
            (verify(true), b"".as_slice()),
        ]
    };
    let alone = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::open(alone.path(), NOW_MS).unwrap());
    let expected: Vec<Output> =
        commands().into_iter().map(|(command, file)| done(&server, &command, file).unwrap()).collect();
    assert!(expected[2].bad_rows_csv.as_deref().is_some_and(|csv| csv.contains("must not be empty")));
    let folder = tempfile::tempdir().unwrap();
    with_running(folder.path(), move |data| {
        for ((command, file), expected) in commands().into_iter().zip(expected) {
            let got = request(data, &command, file, "test").unwrap();
            assert_eq!(got, Some(expected), "{command:?}");
        }
    });
}

#[test]
fn an_invitation_is_text_and_qr_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::open(folder.path(), NOW_MS).unwrap());
    done(&server, &import(false), PEOPLE).unwrap();
    let output = done(&server, &invite("demo.example:4433"), b"").unwrap();
    let invitation: xundian_protocol::invitation::Invitation = output.data.trim().parse().unwrap();
    assert_eq!(invitation.address(), "demo.example:4433");
    assert!(output.notes.contains('█') && output.notes.contains("M001 Wang Fang"));
    let refused = |command| done(&server, &command, b"").unwrap_err().to_string();
    assert!(refused(invite("nowhere")).contains("host:port"));
    let nobody = Command::Invite { person: "M9".into(), valid_ms: 1, address: "a:1".into() };
    assert!(refused(nobody).contains("\"M9\""));
    assert!(refused(Command::Revoke { device: 7 }).contains("D7"));
}

#[test]
fn users_are_added_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::open(folder.path(), NOW_MS).unwrap());
    let act = |command: &Command| done(&server, command, b"");
    done(&server, &import(false), PEOPLE).unwrap();
    let add = |person: Option<&str>| Command::AddUser {
        name: "wang".into(),
        password: Password("long enough".into()),
        person: person.map(str::to_owned),
    };
    assert!(!format!("{:?}", add(None)).contains("enough"), "a password stays out of logs");
    assert!(act(&add(Some("M9"))).is_err());
    act(&add(Some("M001"))).unwrap();
    assert!(act(&add(None)).unwrap_err().to_string().contains("already"));
    let list = act(&Command::Users { format: Format::Csv }).unwrap().data;
    assert_eq!(list, "用户名 name,工号 person_code,姓名 person\nwang,M001,Wang Fang\n");
    act(&Command::SetPassword { name: "wang".into(), password: Password("long enough too".into()) }).unwrap();
    act(&Command::RemoveUser { name: "wang".into() }).unwrap();
    assert!(act(&Command::RemoveUser { name: "wang".into() }).is_err());

    let trail = server.store.reader().audit().unwrap();
    let told: Vec<&str> = trail.iter().map(|entry| entry.what.as_str()).collect();
    for what in
        ["wrote 1 records", "added the console's user wang", "set a new password", "removed the console's"]
    {
        assert_eq!(told.iter().filter(|told| told.starts_with(what)).count(), 1, "{what}: {told:?}");
    }
    assert!(trail.iter().all(|entry| entry.by == "test" && !entry.what.contains("enough")));
}

#[test]
fn where_no_server_listens_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let command = Command::Devices { format: Format::Table };
    assert_eq!(request(folder.path(), &command, b"", "test").unwrap(), None);
    // What a killed server leaves behind.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET_FILE)).unwrap());
    assert_eq!(request(folder.path(), &command, b"", "test").unwrap(), None);
    with_running(folder.path(), move |data| {
        let mode = std::fs::metadata(data.join(SOCKET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(request(data, &command, b"", "test").unwrap().is_some());
    });
}

#[test]
fn a_path_too_long_for_a_socket_is_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("门店".repeat(20)).join("data");
    std::fs::create_dir_all(&deep).unwrap();
    with_running(&deep, |data| {
        let command = Command::Devices { format: Format::Table };
        assert!(request(data, &command, b"", "test").unwrap().is_some());
    });
}

#[test]
fn what_is_no_command_is_refused_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    with_running(folder.path(), |data| {
        let answer = |sent: &[u8]| {
            let mut stream = UnixStream::connect(data.join(SOCKET_FILE)).unwrap();
            stream.write_all(sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut line = String::new();
            std::io::BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "one answer a connection");
            line
        };
        assert!(answer(b"hello\n").contains("failed"));
        assert!(answer(&vec![b'x'; usize::try_from(REQUEST_BYTES_MAX).unwrap()]).contains("one line"));
        let with = |bytes: &str| {
            format!(
                "{{\"command\":{{\"devices\":{{\"format\":\"table\"}}}},\"by\":\"t\",\"attachment_bytes\":{bytes}}}\n"
            )
        };
        assert!(answer(with("99999999999").as_bytes()).contains("more than"));
        assert!(answer(with("5").as_bytes()).contains("broke off"));
        assert!(answer(with("0").as_bytes()).contains("done"));
    });
}
