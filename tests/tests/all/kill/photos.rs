//! Kills the real `xundian photo attach` at random moments.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::Rng;
use xundian_client::{Client, ContentHash, PhotoOf, PhotoState, RecordId, StoreKey, VisitId};
use xundian_tests::support::company;
use xundian_tests::support::process::{Program, Running};
use xundian_tests::support::service::Service;
use xundian_tests::support::{photo, seed};

const FOLDERS: usize = 2;
/// The number of attempts on each folder. Every fifth is not killed.
const ATTEMPTS: usize = 25;
const KEY: [u8; 32] = [0x5a; 32];

/// A device's folder with an open visit. The store is encrypted if there is a key file.
struct Phone<'a> {
    home: &'a Path,
    key_file: Option<&'a Path>,
    visit: VisitId,
}

impl Phone<'_> {
    fn open(&self) -> Client {
        let client = match self.key_file {
            Some(_) => Client::open_with_key(self.home, &StoreKey::new(KEY)),
            None => Client::open(self.home),
        };
        client.expect("the folder opens after a kill")
    }

    /// Attaches a picture in a separate process, which is killed after this time. Returns the photo if it was
    /// acknowledged.
    fn attach(&self, picture: &Path, killed_after: Option<Duration>) -> Option<RecordId> {
        let mut command = Program::Device.command();
        command.arg("--home").arg(self.home).args(["--json", "photo", "attach"]).arg(picture);
        if let Some(key_file) = self.key_file {
            command.arg("--key-file").arg(key_file);
        }
        let mut running = Running::start(&mut command);
        let lines = running.lines();
        if let Some(after) = killed_after {
            std::thread::sleep(after);
            running.kill();
        }
        let said = lines.map_while(Result::ok).find(|line| line.ends_with('}'))?;
        let json: serde_json::Value = serde_json::from_str(&said).expect("a line of JSON");
        Some(json["saved"].as_str().expect("an id").parse().expect("an id"))
    }

    /// Checks that every acknowledged photo is there, that every photo has its picture, and that no other file is left.
    fn assert_whole(&self, acknowledged: &BTreeSet<RecordId>) -> usize {
        let client = self.open();
        let lines = client.photos_of(PhotoOf::Visit(self.visit)).expect("readable");
        let found: BTreeSet<_> = lines.iter().map(|line| line.line.record.key.id).collect();
        assert!(acknowledged.is_subset(&found), "{acknowledged:?} were acknowledged, {found:?} are there");
        let mut named = BTreeSet::new();
        for line in &lines {
            assert_eq!(line.state, PhotoState::Waiting { sent_bytes: 0 });
            let hash = line.photo.content_hash.expect("a picture");
            let picture = client.photo_bytes(hash).expect("its picture is complete");
            assert_eq!(ContentHash::of(&picture), hash);
            named.insert(hash.to_string());
        }
        let files = std::fs::read_dir(self.home.join("photos")).map_or_else(
            |_| BTreeSet::new(),
            |entries| {
                let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
                entries.map(|entry| name(entry.expect("an entry")).replace(".sealed", "")).collect()
            },
        );
        assert_eq!(files, named, "no picture is left over");
        assert_eq!(client.status().expect("readable").unsent_photos, lines.len() as u64);
        lines.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_photo_is_complete_after_kills() {
    let mut rng = seed::rng("photo kills");
    // Builds the program if necessary, so that the first attempt does not take that long.
    Program::Device.run(["--version"]).ok();
    let service = Service::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, KEY).expect("written");
    for nth in 0..FOLDERS {
        let (home, key) = (tempfile::tempdir().expect("a folder"), StoreKey::new(KEY));
        let is_sealed = nth % 2 == 1;
        let invitation = service.invitation("W1");
        let client = match is_sealed {
            true => Client::enrol_with_key(home.path(), &key, &invitation, "phone").await,
            false => Client::enrol(home.path(), &invitation, "phone").await,
        };
        let client = client.expect("the invitation is good");
        client.sync(|_| {}).await.expect("synced");
        let visit = client.open_visit(company::outlet("A1"), None).expect("opened");
        drop(client);
        let phone = Phone { home: home.path(), key_file: is_sealed.then_some(&key_file), visit };

        let picture = folder.path().join("picture.jpg");
        let mut acknowledged = BTreeSet::new();
        let mut undisturbed = Duration::ZERO;
        for attempt in 0..ATTEMPTS {
            std::fs::write(&picture, photo::jpeg(700_000, (nth * 100 + attempt) as u64)).expect("written");
            // Every fifth run is not killed, to measure how long one takes: opening takes longer after a kill.
            let is_killed = attempt % 5 > 0;
            let killed_after = is_killed.then(|| undisturbed.mul_f64(rng.random_range(0.0..1.3)));
            let start = Instant::now();
            acknowledged.extend(phone.attach(&picture, killed_after));
            if !is_killed {
                undisturbed = undisturbed.max(start.elapsed());
            }
            phone.assert_whole(&acknowledged);
        }
        let photos = phone.assert_whole(&acknowledged);
        eprintln!("{} of {} attempts were acknowledged, {photos} are there", acknowledged.len(), ATTEMPTS);
        assert!(acknowledged.len() < ATTEMPTS, "no attempt was killed before it was acknowledged");
    }
}
