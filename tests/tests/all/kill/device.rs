//! Kills the real `xundian record` at random moments.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use xundian_client::{Client, ShelfObservation, StockCount, StoreKey, Visit, VisitId};
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Entity;
use xundian_tests::support::company::{product, today};
use xundian_tests::support::process::{Program, Running};
use xundian_tests::support::seed;
use xundian_tests::support::service::Service;

const KILLS: usize = 50;
/// The number of kills that each device's store has to survive.
const KILLS_A_STORE: usize = 10;
const VISITS: usize = 500;
const LINES: u64 = 8;
const KEY: [u8; 32] = [0x5a; 32];

/// A device's folder, and whether its store is encrypted.
struct Phone {
    home: TempDir,
    is_sealed: bool,
}

impl Phone {
    /// Enrols a device and syncs once.
    async fn enrol(service: &Service, is_sealed: bool) -> Self {
        if !is_sealed {
            return Self { home: service.device("W1").await.close(), is_sealed };
        }
        let home = tempfile::tempdir().expect("a folder");
        let (key, invitation) = (StoreKey::new(KEY), service.invitation("W1"));
        let client = Client::enrol_with_key(home.path(), &key, &invitation, "phone").await;
        client.expect("the invitation is good").sync(|_| {}).await.expect("synced");
        Self { home, is_sealed }
    }

    fn open(&self) -> Client {
        let client = match self.is_sealed {
            true => Client::open_with_key(self.home.path(), &StoreKey::new(KEY)),
            false => Client::open(self.home.path()),
        };
        client.expect("the store opens after a kill")
    }

    /// The command that records on this device.
    fn recording(&self) -> Command {
        let mut command = Program::Device.command();
        command.arg("--home").arg(self.home.path());
        if self.is_sealed {
            let key_file = self.home.path().join("the-hosts.key");
            std::fs::write(&key_file, KEY).expect("written");
            command.arg("--key-file").arg(key_file);
        }
        command.args(["--json", "record", "-"]).stdin(Stdio::piped()).stderr(Stdio::inherit());
        command
    }
}

/// Returns the input of the program: one visit per line.
fn work(day: Day) -> String {
    let mut text = String::new();
    for nth in 0..VISITS {
        let outlet = ["A1", "A2", "A3"][nth % 3];
        let minute = nth % 60;
        let mut lines = String::new();
        for n in 0..LINES {
            let comma = if n == 0 { "" } else { "," };
            let gtin = product(n);
            write!(
                lines,
                r#"{comma}{{"gtin":"{gtin}","present":true,"facings":{nth},"shelf":{nth},"backroom":{n}}}"#
            )
            .expect("writing into memory");
        }
        writeln!(
            text,
            r#"{{"outlet":"{outlet}","opened_at":"{day}T09:{minute:02}:00+08:00","closed_at":"{day}T10:{minute:02}:00+08:00","note":"第{nth}次","lines":[{lines}]}}"#
        )
        .expect("writing into memory");
    }
    text
}

/// Starts recording, and kills the program at a random moment after a random number of acknowledged visits. Returns
/// all visits that it acknowledged.
fn record_until_killed(phone: &Phone, work: &str, rng: &mut StdRng) -> Vec<VisitId> {
    let mut running = Running::start(&mut phone.recording());
    let mut input = running.input();
    let written = work.to_owned();
    // The program may be dead before it has read everything.
    let feeding = std::thread::spawn(move || input.write_all(written.as_bytes()).is_ok());
    let after = rng.random_range(0..VISITS);
    let pause = Duration::from_micros(rng.random_range(0..3_000));
    let mut acknowledged = Vec::new();
    let mut lines = running.lines();
    while acknowledged.len() < after {
        let line = lines.next().expect("the program keeps recording").expect("readable");
        acknowledged.push(saved(&line));
    }
    std::thread::sleep(pause);
    running.kill();
    // Everything printed before the kill was acknowledged, even if it is read later. The last line may be torn.
    acknowledged
        .extend(lines.map_while(Result::ok).filter(|line| line.ends_with('}')).map(|line| saved(&line)));
    let _all_was_read = feeding.join().expect("no panic");
    acknowledged
}

fn saved(line: &str) -> VisitId {
    let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    json["saved"].as_str().expect("the id of a visit").parse().expect("an id")
}

/// Checks that every acknowledged visit is there, and that every visit that is there is complete.
fn assert_whole(phone: &Phone, acknowledged: &[VisitId]) -> usize {
    let client = phone.open();
    assert_eq!(client.status().expect("readable").is_sealed, phone.is_sealed);
    let visits = by_id(&client, Visit::SPEC.kind);
    let shelves = by_id(&client, ShelfObservation::SPEC.kind);
    let counts = by_id(&client, StockCount::SPEC.kind);
    for id in acknowledged {
        assert!(visits.contains_key(&id.0), "{id} was acknowledged and is missing");
    }
    for (id, record) in &visits {
        let visit = Visit::read(record);
        assert!(visit.closed_at_ms.is_some() && visit.note.is_some(), "{id} is incomplete: {visit:?}");
        let shelf =
            shelves.get(id).map(ShelfObservation::read).expect("a visit is saved together with its shelf");
        let count = counts.get(id).map(StockCount::read).expect("a visit is saved together with its count");
        let lines = [
            shelf.present.len(),
            shelf.facings_own.len(),
            count.shelf_units.len(),
            count.backroom_units.len(),
        ];
        assert_eq!(lines, [LINES as usize; 4], "{id} is incomplete");
    }
    assert_eq!(
        (shelves.len(), counts.len()),
        (visits.len(), visits.len()),
        "there is a shelf or a count without its visit"
    );
    assert_eq!(
        client.status().expect("readable").unsent_ops,
        3 * visits.len() as u64,
        "everything is in the outbox"
    );
    visits.len()
}

fn by_id(
    client: &Client,
    kind: xundian_protocol::ids::KindId,
) -> BTreeMap<xundian_protocol::ids::RecordId, xundian_protocol::record::Record> {
    let lines = client.list(kind, None).expect("readable");
    lines.into_iter().map(|line| (line.record.key.id, line.record)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_visit_is_complete_after_fifty_kills() {
    let mut rng = seed::rng("device kills");
    let work = work(Day(today().0 - 1));
    for nth in 0..KILLS / KILLS_A_STORE {
        let service = Service::start().await;
        let phone = Phone::enrol(&service, nth % 2 == 1).await;
        let mut acknowledged = Vec::new();
        for _ in 0..KILLS_A_STORE {
            acknowledged.extend(record_until_killed(&phone, &work, &mut rng));
            let whole = assert_whole(&phone, &acknowledged);
            // A kill may hit between a visit's commit and its acknowledgement, but only for the last visit of each run.
            assert!(
                whole - acknowledged.len() <= KILLS_A_STORE,
                "{whole} visits, {} known",
                acknowledged.len()
            );
        }
        // Afterwards everything syncs normally.
        let client = phone.open();
        let whole = client.list(Visit::SPEC.kind, None).expect("readable").len();
        assert_eq!(client.sync(|_| {}).await.expect("synced").merged, 3 * whole as u64);
        drop(client);
        service.verify();
    }
}
