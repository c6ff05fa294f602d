//! Stores of every released format open forever, with everything that was in them.
//!
//! `tests/fixtures/stores` holds packed folders: `device_<format>_<plain or sealed>` and `server_<format>`, each with a
//! listing of its content. A fixture is never replaced. When the format of a store changes, set the new number below
//! and make its fixture once:
//! `cargo test -p xundian-tests --test all fixtures_of_the_present_formats -- --ignored`. `server_2` and its listing
//! were made in the same way by bf7c45c, the last program that wrote format 2. If the meaning of a figure changes,
//! write the listing again with `XUNDIAN_LISTINGS=write`, and review the difference.

mod make;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use xundian_client::{Client, StoreKey};
use xundian_protocol::kinds::{Entity, Visit};
use xundian_server::{Server, sessions};
use xundian_tests::support::packed;
use xundian_tests::support::service::Service;

use super::listing;

/// The formats that today's programs write.
const DEVICE_FORMAT: u8 = 1;
const SERVER_FORMAT: u8 = 3;
/// The host's key of every encrypted fixture. It protects nothing.
const KEY: [u8; 32] = *b"a key for the fixtures of stores";
const SEALED: &str = "sealed";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores")
}

/// Returns the names of the fixtures that begin with `start`, sorted.
fn kept(start: &str) -> Vec<String> {
    let files =
        fs::read_dir(folder()).expect("the fixtures are there").map(|file| file.expect("readable").path());
    let packed = files.filter(|file| file.extension().is_some_and(|end| end == "packed"));
    let names = packed.map(|file| file.file_stem().expect("a name").to_str().expect("ASCII").to_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(start)).collect();
    names.sort_unstable();
    names
}

fn unpacked(name: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let bytes = fs::read(folder().join(format!("{name}.packed"))).expect("the fixture");
    packed::unpack(&bytes, home.path()).expect("what was packed");
    home
}

fn open(name: &str, home: &Path) -> Client {
    let opened = if name.ends_with(SEALED) {
        Client::open_with_key(home, &StoreKey::new(KEY))
    } else {
        Client::open(home)
    };
    opened.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Fails at the first line that differs from the kept listing.
fn assert_listed(name: &str, found: &str) {
    let file = folder().join(format!("{name}.txt"));
    if std::env::var_os("XUNDIAN_LISTINGS").is_some_and(|what| what == "write") {
        fs::write(&file, found).expect("written");
    }
    let listed = fs::read_to_string(file).expect("the listing");
    for (nth, (found, listed)) in found.lines().zip(listed.lines()).enumerate() {
        assert_eq!(found, listed, "{name}, line {}", nth + 1);
    }
    assert_eq!(found.lines().count(), listed.lines().count(), "{name}");
}

#[test]
fn every_device_fixture_opens_with_its_whole_content() {
    let names = kept("device_");
    for form in ["plain", SEALED] {
        assert!(
            names.contains(&format!("device_{DEVICE_FORMAT}_{form}")),
            "make the fixture, see the top of this file"
        );
    }
    for name in names {
        let home = unpacked(&name);
        for _ in 0..2 {
            assert_listed(&name, &listing::of_device(&open(&name, home.path())));
        }
    }
}

#[test]
fn every_server_fixture_opens_with_its_whole_content() {
    let names = kept("server_");
    assert!(names.contains(&format!("server_{SERVER_FORMAT}")), "make the fixture, see the top of this file");
    for name in names {
        let data = unpacked(&name);
        for _ in 0..2 {
            let server = Server::open(data.path(), sessions::now_ms())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let report = server.verify().expect("readable");
            assert!(report.is_clean(), "{name}: {:#?}", report.findings);
            drop(server);
            assert_listed(&name, &listing::of_server(data.path()));
        }
    }
}

/// The fixture's certificate has expired, so the device enrols again. Its unsent work is sent under its new number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_fixture_syncs_with_every_server_fixture() {
    for server in kept("server_") {
        for device in kept("device_") {
            let service = Service::resume(unpacked(&server)).await;
            let home = unpacked(&device);
            let client = open(&device, home.path());
            let before = client.status().expect("readable");
            assert!(before.unsent_ops > 0 && before.unsent_photos > 0, "{device}");
            let visit = client.current_visit().expect("one is open");
            client.close_visit(visit).expect("saved");
            let code = if device.ends_with(SEALED) { "W1" } else { "W2" };
            client.enrol_here(&service.invitation(code), "again").await.expect("the invitation is good");
            let report =
                client.sync(|_| {}).await.unwrap_or_else(|error| panic!("{device}, {server}: {error}"));
            assert_eq!((report.merged, report.rejected), (before.unsent_ops + 1, 0), "{device}, {server}");
            assert_eq!((report.unsent_ops, report.photos.waiting), (0, 0), "{device}, {server}");
            assert_eq!(client.rejected().expect("readable").len() as u64, before.rejected_ops);
            let closed =
                service.server().record(Visit::key(visit.0)).expect("readable").expect("it has come");
            assert_eq!(client.find(Visit::key(visit.0)).expect("readable").expect("here").record, closed);
            assert!(Visit::read(&closed).closed_at_ms.is_some());
            service.verify();
            drop(service.stop().await);
        }
    }
}
