//! A commit that succeeds although the disk reported an error, as after a failed last sync.

use std::io;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::store::Disk;
use crate::visit_ops::{NewPhoto, PhotoOf};
use xundian_protocol::kinds::{PhotoSource, PhotoSubject};

/// Keys and values.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A disk whose commits succeed and report success, until it is told to fail.
#[derive(Default)]
struct Unheard {
    rows: Mutex<Rows>,
    /// The number of commits that still report success.
    heard: AtomicI64,
    /// Whether a commit has reported an error since the disk was opened.
    has_failed: AtomicBool,
}

impl Unheard {
    fn check(&self) -> io::Result<()> {
        if self.has_failed.load(Ordering::Relaxed) { Err(io::Error::other("it has failed")) } else { Ok(()) }
    }
}

impl Disk for Unheard {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        Ok(self.rows.lock().expect("sound").get(key).cloned())
    }

    fn entries(&self, from: &[u8], to: Option<&[u8]>, max: usize) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.check()?;
        let rows = self.rows.lock().expect("sound");
        let is_within = |key: &[u8]| key >= from && to.is_none_or(|to| key < to);
        let found = rows.iter().filter(|(key, _)| is_within(key)).take(max);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, writes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> io::Result<()> {
        self.check()?;
        let mut rows = self.rows.lock().expect("sound");
        for (key, value) in writes {
            match value {
                Some(value) => _ = rows.insert(key.clone(), value.clone()),
                None => _ = rows.remove(key),
            }
        }
        let is_heard = self.heard.fetch_sub(1, Ordering::Relaxed) > 0;
        self.has_failed.store(!is_heard, Ordering::Relaxed);
        self.check()
    }
}

fn on(disk: &Arc<Unheard>, folder: &TempDir, heard: i64) -> Client {
    disk.has_failed.store(false, Ordering::Relaxed);
    disk.heard.store(heard, Ordering::Relaxed);
    let clocks = || Moment { now_ms: MORNING_MS, mono_ms: 1, boot: [1; 16] };
    let disk = Arc::clone(disk) as Arc<dyn Disk>;
    Client::simulated(disk, folder.path(), Box::new(clocks), || Box::new(rand::rng())).expect("opens")
}

/// Found by the simulation: the picture's file was removed, as if the save had failed.
#[test]
fn a_picture_stays_whose_save_the_store_failed_over() {
    let picture = [&[0xFF, 0xD8, 0xFF, 0xE0][..], &[7; 500]].concat();
    for heard in 0..4 {
        let (disk, folder) = (Arc::new(Unheard::default()), tempfile::tempdir().expect("a folder"));
        let client = on(&disk, &folder, i64::MAX);
        begin(&client);
        let visit = client.open_visit(outlet(1), None).expect("opened");
        disk.heard.store(heard, Ordering::Relaxed);
        let photo = NewPhoto::new(PhotoSubject::Shelf, PhotoSource::InApp);
        let attached = client.attach_photo(PhotoOf::Visit(visit), &photo, &picture);
        drop(client);

        let client = on(&disk, &folder, i64::MAX);
        let found = client.photos_of(PhotoOf::Visit(visit)).expect("reads");
        assert!(
            found.len() == 1 || attached.is_err(),
            "after {heard} commits: it was acknowledged and is gone"
        );
        for line in found {
            assert_eq!(line.state, PhotoState::Waiting { sent_bytes: 0 }, "after {heard} commits");
        }
    }
}
