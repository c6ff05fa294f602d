//! Rescue of stores that were truncated, corrupted or robbed of files at random places. What is intact is rescued, the
//! rest is reported, and the folder is unchanged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value as Json;
use xundian_protocol::wire::stored;

use super::sealed::{files, key};
use super::*;
use crate::client::rescue::{RescueError, RescueReport, rescue, set_aside};
use crate::store::StoreTrouble;

const SAVES: u64 = 24;
const OPS_A_SAVE: u64 = 3;

fn rng(test: &str) -> StdRng {
    let given = std::env::var("XUNDIAN_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random::<u64>);
    eprintln!("{test}: XUNDIAN_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// The number of rounds; more in the long run.
fn rounds(normal: usize) -> usize {
    if std::env::var_os("XUNDIAN_LONG").is_some() { 20 * normal } else { normal }
}

/// A device's folder after a kill, and its content.
struct Wreck {
    folder: TempDir,
    key: Option<StoreKey>,
    /// The saves' stored bytes, by number.
    saves: BTreeMap<u64, Vec<u8>>,
    /// The ids of confirmed records.
    records: BTreeSet<String>,
}

impl Wreck {
    /// A device with saves in its journal, behind more records than one journal holds if `is_folded`.
    fn of(key: Option<StoreKey>, is_folded: bool) -> Self {
        let device = device_with(key.as_ref());
        let client = &device.client;
        if is_folded {
            for n in 20..45 {
                let form = Outlet { name: Some("仓储会员店".repeat(12_000)), ..Outlet::default() };
                let record = from_server(outlet(n).0, Home::Outlet(outlet(1)), &form);
                let changes = Changes { home: None, from: FeedSeq(0), to: FeedSeq(5), records: vec![record] };
                client.store.apply_changes(&changes).expect("applied");
            }
        }
        for _ in 0..SAVES {
            client.record(&bundle()).expect("recorded");
        }
        let ops = client.store.unsent_from(OpSeq(0), usize::MAX).expect("reads");
        let saves = ops.iter().map(|op| (op.seq.0, stored::encode_op(op))).collect();
        let of_kind = |kind| client.list(kind, None).expect("reads");
        let lines = of_kind(Outlet::SPEC.kind).into_iter().chain(of_kind(RoutePlan::SPEC.kind));
        let records = lines.map(|line| line.record.key.id.to_string()).collect();
        let folder = tempfile::tempdir().expect("a folder");
        copy(device.folder.path(), folder.path());
        Self { folder, key, saves, records }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn journal(&self) -> PathBuf {
        self.store().join(if self.key.is_some() { "journal.sealed" } else { "journal" })
    }

    /// Another copy of it.
    fn again(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(self.folder.path(), folder.path());
        let key = self.key.as_ref().map(|_| key());
        Self { folder, key, saves: self.saves.clone(), records: self.records.clone() }
    }

    fn change(&self, file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(file).expect("readable");
        change(&mut bytes);
        fs::write(file, bytes).expect("written");
    }

    /// Rescues it, and checks that its folder is unchanged and that nothing was invented.
    fn rescue(&self) -> Rescue {
        let before = files(self.folder.path());
        let into = tempfile::tempdir().expect("a folder");
        let file = into.path().join("rescued.ndjson");
        let report = rescue(self.folder.path(), self.key.as_ref(), &file).expect("rescued");
        assert_eq!(files(self.folder.path()), before, "a rescue touches nothing");
        assert_eq!(fs::read_dir(into.path()).expect("a folder").count(), 1, "the copy is gone");
        let text = fs::read_to_string(file).expect("UTF-8");
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let rescue = Rescue { report, lines };
        for line in rescue.of("unsent").filter(|line| line["unproved"] != true) {
            let seq = line["seq"].as_u64().expect("a number");
            assert_eq!(line["stored"].as_str().expect("hex"), hex(&self.saves[&seq]), "save {seq}");
        }
        assert!(rescue.records().is_subset(&self.records));
        rescue
    }
}

struct Rescue {
    report: RescueReport,
    lines: Vec<Json>,
}

impl Rescue {
    fn of<'a>(&'a self, is: &'a str) -> impl Iterator<Item = &'a Json> {
        self.lines.iter().filter(move |line| line["is"] == is)
    }

    /// The numbers of the saves that were rescued intact, from 0.
    fn saves(&self) -> BTreeSet<u64> {
        let seqs: BTreeSet<u64> =
            self.of("unsent").map(|line| line["seq"].as_u64().expect("a number")).collect();
        assert_eq!(seqs.len() as u64, self.report.unsent, "each once");
        (0..SAVES).filter(|n| (1..=OPS_A_SAVE).all(|op| seqs.contains(&(n * OPS_A_SAVE + op)))).collect()
    }

    fn records(&self) -> BTreeSet<String> {
        self.of("record").map(|line| line["id"].as_str().expect("an id").to_owned()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

/// Where the journal's entries begin, and where the last one ends.
fn entry_starts(journal: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut number = u64::from_be_bytes(journal[8..16].try_into().expect("eight"));
    loop {
        let at = starts[starts.len() - 1];
        let Some(head) = journal.get(at..at + 16) else { return starts };
        let length = u32::from_be_bytes(head[..4].try_into().expect("four")) as usize;
        if length == 0 || u64::from_be_bytes(head[8..].try_into().expect("eight")) != number {
            return starts;
        }
        starts.push(at + 16 + length);
        number += 1;
    }
}

/// Damages a journal at random places. Returns the indices of the damaged entries.
fn damage(journal: &mut Vec<u8>, starts: &[usize], rng: &mut StdRng) -> BTreeSet<usize> {
    let end = starts[starts.len() - 1];
    let mut met = Vec::new();
    match rng.random_range(0..4) {
        0 => {
            let at = rng.random_range(0..end);
            journal.truncate(at);
            met.push(at..end);
        }
        1 => {
            let (at, bytes) = (rng.random_range(0..end), rng.random_range(1..6000));
            let at = at..(at + bytes).min(end);
            journal[at.clone()].fill(0);
            met.push(at);
        }
        _ => {
            for _ in 0..rng.random_range(1..5) {
                let at = rng.random_range(0..end);
                journal[at] ^= 1 << rng.random_range(0..8);
                met.push(at..at + 1);
            }
        }
    }
    let entries = 0..starts.len() - 1;
    entries.filter(|n| met.iter().any(|met| met.start < starts[n + 1] && starts[*n] < met.end)).collect()
}

#[test]
fn a_store_that_is_whole_comes_out_whole() {
    for key in [None, Some(key())] {
        let rescue = Wreck::of(key, true).rescue();
        assert_eq!(rescue.saves().len() as u64, SAVES);
        assert_eq!(rescue.records().len(), 3 + 25, "two outlets, a plan and what was pulled");
        assert_eq!(rescue.report.losses, [""; 0]);
        let device = rescue.of("device").next().expect("whose it is");
        assert_eq!((&device["person_name"], &device["server"]), (&"王芳".into(), &"demo:4433".into()));
        let visit = rescue.of("unsent").find(|line| line["kind"] == "visit").expect("a visit");
        assert_eq!(visit["fields"]["task_answers"]["clean"], true);
        assert!(visit["fields"]["business_day"].as_str().is_some_and(|day| day == "2026-11-23"));
    }
}

#[test]
fn what_is_intact_in_a_damaged_journal_comes_out_and_the_rest_is_told() {
    let mut rng = rng("damaged journals");
    for is_folded in [false, true] {
        for is_sealed in [false, true] {
            let whole = Wreck::of(is_sealed.then(key), is_folded);
            let starts = entry_starts(&fs::read(whole.journal()).expect("readable"));
            // The saves are the journal's last entries.
            let first_save = starts.len() - 1 - SAVES as usize;
            for round in 0..rounds(4) {
                let wreck = whole.again();
                let mut met = BTreeSet::new();
                wreck.change(&wreck.journal(), |journal| met = damage(journal, &starts, &mut rng));
                let rescue = wreck.rescue();
                let mut excused = met.clone();
                // Only the entry before it proves an entry, or opens its seal. If both are damaged, the one after them
                // cannot be opened; and without the front, a last entry cannot be told from none.
                let last = starts.len() - 2;
                if is_sealed {
                    excused.extend(met.iter().map(|entry| entry + 1));
                } else if met.contains(&0) && (1..last).all(|entry| met.contains(&entry)) {
                    excused.insert(last);
                }
                let out = rescue.saves();
                let missing: Vec<_> = (0..SAVES).filter(|n| !out.contains(n)).collect();
                for n in &missing {
                    let entry = first_save + *n as usize;
                    assert!(
                        excused.contains(&entry),
                        "round {round}, folded {is_folded}, sealed {is_sealed}: save {n} is intact and lost; met {met:?}; {:?}",
                        rescue.report.losses
                    );
                }
                let is_told = !rescue.report.losses.is_empty();
                assert!(missing.is_empty() || is_told, "{missing:?} are missing, and nothing says so");
                if is_folded {
                    // What is folded into the tree is intact; a record whose commit is still in the journal may be
                    // missing.
                    assert!(3 + 25 - rescue.records().len() <= excused.len(), "the tree is whole");
                }
            }
        }
    }
}

#[test]
fn a_tree_that_is_damaged_or_gone_takes_nothing_of_the_journal_with_it() {
    let mut rng = rng("damaged trees");
    for is_sealed in [false, true] {
        let whole = Wreck::of(is_sealed.then(key), true);
        let (mut out, mut refused) = (0, 0);
        for round in 0..rounds(4) {
            let wreck = whole.again();
            let names = fs::read_dir(wreck.store()).expect("a folder").map(|entry| entry.expect("an entry"));
            let of_sled = |name: &str| name == "db" || name == "conf" || name.starts_with("snap.");
            let mut sleds: Vec<PathBuf> = names
                .filter(|entry| of_sled(&entry.file_name().to_string_lossy()))
                .map(|entry| entry.path())
                .collect();
            sleds.sort();
            let file = &sleds[rng.random_range(0..sleds.len())];
            if round % 8 == 0 {
                fs::remove_file(file).expect("removed");
            } else {
                let change = |bytes: &mut Vec<u8>| {
                    for _ in 0..rng.random_range(1..4) {
                        let at = rng.random_range(0..bytes.len());
                        bytes[at] ^= 1 << rng.random_range(0..8);
                    }
                };
                wreck.change(file, change);
            }
            let rescue = wreck.rescue();
            assert_eq!(rescue.saves().len() as u64, SAVES, "{}: {:?}", file.display(), rescue.report.losses);
            let records = rescue.records().len();
            out += records;
            refused += usize::from(records < 3 + 25);
            let is_told = !rescue.report.losses.is_empty();
            assert!(records == 3 + 25 || is_told, "{records} records came out, and nothing says so");
        }
        eprintln!(
            "sealed {is_sealed}: {refused} of {} trees with losses, {out} of {} records came out",
            rounds(4),
            28 * rounds(4)
        );
    }
}

#[test]
fn what_cannot_be_rescued_is_refused_and_leaves_nothing_behind() {
    let into = tempfile::tempdir().expect("a folder");
    let file = into.path().join("rescued.ndjson");
    let empty = tempfile::tempdir().expect("a folder");
    assert!(matches!(rescue(empty.path(), None, &file), Err(RescueError::NoStore { .. })));
    let (plain, sealed) = (Wreck::of(None, false), Wreck::of(Some(key()), false));
    let wrong = StoreKey::new([9; 32]);
    for (wreck, key) in [(&plain, Some(&wrong)), (&sealed, Some(&wrong)), (&sealed, None)] {
        let error = rescue(wreck.folder.path(), key, &file).expect_err("refused");
        let RescueError::Store(error) = error else { panic!("{error}") };
        assert!(matches!(error.trouble(), StoreTrouble::OtherKey | StoreTrouble::OtherKind), "{error}");
    }
    sealed.change(&sealed.store().join("key"), |bytes| bytes[20] ^= 1);
    let error = rescue(sealed.folder.path(), Some(&key()), &file).expect_err("refused");
    assert!(error.to_string().contains("file key"), "{error}");
    let client = Client::open(plain.folder.path()).expect("opens");
    let error = rescue(plain.folder.path(), None, &file).expect_err("refused");
    assert!(matches!(&error, RescueError::Store(error) if error.trouble() == StoreTrouble::InUse), "{error}");
    drop(client);
    fs::write(&file, "somebody's").expect("written");
    assert!(matches!(
        rescue(plain.folder.path(), None, &file),
        Err(RescueError::File { action: "make", .. })
    ));
    assert_eq!(fs::read_to_string(&file).expect("there"), "somebody's");
    assert_eq!(fs::read_dir(into.path()).expect("a folder").count(), 1);
}

#[test]
fn a_store_is_set_aside_and_the_folder_is_that_of_a_new_device() {
    for key in [None, Some(key())] {
        let wreck = Wreck::of(key, false);
        let home = wreck.folder.path();
        fs::write(home.join("device.key"), "of the old identity").expect("written");
        fs::write(home.join("theirs"), "the app's").expect("written");
        let before = files(&wreck.store());
        let aside = set_aside(home).expect("set aside");
        assert_eq!(
            files(&aside.join("store")).into_values().collect::<Vec<_>>(),
            before.into_values().collect::<Vec<_>>()
        );
        assert!(aside.join("device.key").exists() && !home.join("device.key").exists());
        assert!(home.join("theirs").exists(), "what is not ours stays");
        assert!(matches!(set_aside(home), Err(RescueError::NoStore { .. })));
        // Sealed or not, whatever it was before.
        let client = Client::open_with_key(home, &StoreKey::new([3; 32])).expect("a new device");
        assert_eq!(client.identity(), None);
        let error = set_aside(home).expect_err("in use");
        assert!(matches!(error, RescueError::Store(error) if error.trouble() == StoreTrouble::InUse));
        drop(client);
        let into = home.join("rescued.ndjson");
        let report = rescue(&aside, wreck.key.as_ref(), &into).expect("it can still be rescued");
        assert_eq!(report.unsent, SAVES * OPS_A_SAVE);
    }
}

#[test]
fn pictures_that_wait_come_out_and_go_aside_with_their_store() {
    for key in [None, Some(key())] {
        let device = super::sealed::busy_device(key.as_ref());
        let home = tempfile::tempdir().expect("a folder");
        copy(device.folder.path(), home.path());
        let lines = |from: &Path, into: &Path| {
            let report = rescue(from, key.as_ref(), into).expect("rescued");
            let text = fs::read_to_string(into).expect("UTF-8");
            let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
            (report, lines.filter(|line| line["is"] == "picture").collect::<Vec<_>>())
        };
        let into = tempfile::tempdir().expect("a folder");
        let (report, pictures) = lines(home.path(), &into.path().join("one"));
        assert_eq!((report.pictures, report.unreadable, &*report.losses), (1, 0, &[] as &[String]));
        let file = pictures[0]["file"].as_str().expect("a path");
        assert_eq!(fs::read(file).expect("its bytes, plain"), super::sealed::picture());

        let aside = set_aside(home.path()).expect("set aside");
        assert!(!home.path().join("photos").exists());
        let (report, _) = lines(&aside, &into.path().join("two"));
        assert_eq!((report.pictures, &*report.losses), (1, &[] as &[String]));

        let kept =
            fs::read_dir(aside.join("photos")).expect("a folder").next().expect("a file").expect("read");
        let mut bytes = fs::read(kept.path()).expect("readable");
        bytes[100] ^= 1;
        fs::write(kept.path(), bytes).expect("written");
        let (report, pictures) = lines(&aside, &into.path().join("three"));
        assert!(pictures.is_empty() && report.losses[0].contains("is damaged"), "{report:?}");
        fs::remove_file(kept.path()).expect("removed");
        let (report, _) = lines(&aside, &into.path().join("four"));
        assert!(report.losses[0].contains("is gone"), "{report:?}");
    }
}
