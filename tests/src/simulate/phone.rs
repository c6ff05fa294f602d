//! A phone of the simulation: the real client core on a simulated disk with simulated clocks, and an account of every
//! save that it ever acknowledged.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::{fs, io};

use super::release::Release;
use rand::SeedableRng;
use rand::rngs::StdRng;
use xundian_client::{Client, Identity, Moment, SimulatedSync, StoreError};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId};
use xundian_protocol::record::Op;
use xundian_protocol::wire::stored::decode_op;

use super::disk::{DeviceDisk, DeviceRows};
use super::network::Spell;

/// Keys of the device's store: what waits, what was sent and is kept, and the note that the server does not know it.
const OUTBOX: u8 = 2;
const SENT: u8 = 11;
const FORGOTTEN: [u8; 2] = [1, 12];
/// The folder of pictures in a phone's.
const PICTURES: &str = "photos";

/// A save that a phone has made.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// As it lies in the outbox, under its present number.
    pub(super) op: Op,
    /// What the phone's clock said.
    pub(super) clock_ms: i64,
    /// When that was.
    pub(super) at_ms: i64,
    /// Whether the app was told that it is safe. A crash may keep a save of which nobody was told.
    pub(super) is_acknowledged: bool,
    /// Whether a backup that was put back took it from this phone before it was sent for all that is known.
    pub(super) is_taken_back: bool,
}

/// What a phone looked like when it was backed up.
#[derive(Clone)]
pub(super) struct Backup {
    rows: DeviceRows,
    pictures: Vec<(OsString, Vec<u8>)>,
    ledger: Vec<Saved>,
    key: usize,
    device: Option<DeviceNo>,
}

/// A sync that is under way.
pub(super) struct Underway {
    pub(super) link: u64,
    pub(super) sync: SimulatedSync,
    /// Grows with whatever comes; a sync that stands still is given up.
    pub(super) moves: u64,
}

/// What the clocks show.
#[derive(Debug)]
struct Hands {
    now_ms: AtomicI64,
    mono_ms: AtomicU64,
    boot: AtomicU64,
}

/// A phone.
pub(super) struct Phone {
    pub(super) person: PersonId,
    /// For its pictures.
    home: PathBuf,
    pub(super) disk: Arc<DeviceDisk>,
    /// `None` while it is off, or its store does not open for want of room.
    pub(super) client: Option<Arc<Client>>,
    pub(super) underway: Option<Underway>,
    /// Of its app.
    pub(super) release: Release,
    pub(super) spells: Vec<Spell>,
    /// Which key pair its folder has; a copy has that of its original.
    pub(super) key: usize,
    pub(super) ledger: Vec<Saved>,
    pub(super) backup: Option<Backup>,
    /// What lay in the tray before the piece of work that a crash has cut off.
    pub(super) tray_before: BTreeSet<(DeviceNo, OpSeq)>,
    /// Rejected saves that left the tray as the person sent them again.
    pub(super) resent: BTreeSet<(DeviceNo, OpSeq)>,
    /// Whether it was revoked for good.
    pub(super) is_revoked: bool,
    /// Whether it needs a new invitation.
    pub(super) is_to_enrol: bool,
    /// What the last sync ended with.
    pub(super) last_end: Option<String>,
    /// Up to where its saves were confirmed when a sync last moved, and under which number.
    confirmed: (Option<DeviceNo>, OpSeq),
    /// The device that its ledger's numbers belong to.
    device: Option<DeviceNo>,
    /// The numbers of the saves that wait, while they get new ones.
    renumbering: Vec<(DeviceNo, OpSeq)>,
    hands: Arc<Hands>,
    offset_ms: i64,
    drift_ppm: i64,
    boots: u64,
    chance: u64,
}

/// All saves that a device still has, in the order in which they get new numbers.
fn kept(client: &Client) -> Result<Vec<(DeviceNo, OpSeq)>, StoreError> {
    let rows = [client.stored(&[SENT])?, client.stored(&[OUTBOX])?];
    let ops = rows.iter().flat_map(|rows| rows.values()).filter_map(|bytes| decode_op(bytes).ok());
    Ok(ops.map(|op| (op.stamp.device, op.seq)).collect())
}

impl Phone {
    pub(super) fn new(person: PersonId, key: usize, home: PathBuf, chance: u64, release: Release) -> Self {
        Self {
            person,
            home,
            disk: Arc::default(),
            client: None,
            underway: None,
            release,
            spells: Vec::new(),
            key,
            ledger: Vec::new(),
            backup: None,
            tray_before: BTreeSet::new(),
            resent: BTreeSet::new(),
            is_revoked: false,
            is_to_enrol: true,
            last_end: None,
            confirmed: (None, OpSeq(0)),
            device: None,
            renumbering: Vec::new(),
            hands: Arc::new(Hands {
                now_ms: AtomicI64::new(0),
                mono_ms: AtomicU64::new(0),
                boot: AtomicU64::new(chance),
            }),
            offset_ms: 0,
            drift_ppm: 0,
            boots: 0,
            chance,
        }
    }

    /// The number under which the server knows it.
    pub(super) const fn device(&self) -> Option<DeviceNo> {
        self.device
    }

    /// Sets the clocks to what they show at a moment.
    pub(super) fn set_time(&self, now_ms: i64, begun_at_ms: i64) {
        let drift_ms = (now_ms - begun_at_ms) / 1000 * self.drift_ppm / 1000;
        self.hands.now_ms.store(now_ms + self.offset_ms + drift_ms, Ordering::Relaxed);
        self.hands.mono_ms.store(now_ms.abs_diff(0), Ordering::Relaxed);
    }

    pub(super) fn clock_ms(&self) -> i64 {
        self.hands.now_ms.load(Ordering::Relaxed)
    }

    pub(super) const fn jump(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
    }

    pub(super) const fn drift(&mut self, ppm: i64) {
        self.drift_ppm = ppm;
    }

    /// Switches it on. What is found in the outbox and was not known before is a save that nobody was told of.
    pub(super) fn boot(&mut self) -> Result<(), StoreError> {
        self.boots += 1;
        self.hands.boot.store(self.chance ^ self.boots, Ordering::Relaxed);
        let hands = Arc::clone(&self.hands);
        let clocks = move || {
            let mut boot = [0; 16];
            boot[..8].copy_from_slice(&hands.boot.load(Ordering::Relaxed).to_be_bytes());
            Moment {
                now_ms: hands.now_ms.load(Ordering::Relaxed),
                mono_ms: hands.mono_ms.load(Ordering::Relaxed),
                boot,
            }
        };
        let draws = AtomicU64::new(self.chance.wrapping_mul(self.boots));
        let chance = move || {
            let draw = draws.fetch_add(1, Ordering::Relaxed);
            Box::new(StdRng::seed_from_u64(draw)) as Box<dyn rand::RngCore>
        };
        let disk = Arc::clone(&self.disk) as Arc<dyn xundian_client::Disk>;
        let open = || Client::simulated(disk, &self.home, Box::new(clocks), chance);
        let client = self.release.run(open)?;
        // A power cut that the opening did not notice is met here, before anything is concluded from what is there.
        client.rejected()?;
        self.client = Some(Arc::new(client));
        let (before, tray) = (std::mem::take(&mut self.tray_before), self.tray());
        self.resent.extend(before.difference(&tray).copied());
        self.note_renumbered()?;
        self.note_saves(false)
    }

    /// Whether it no longer takes for confirmed what it took for that when a sync last moved.
    pub(super) fn has_taken_back(&mut self) -> bool {
        let Some(client) = &self.client else { return false };
        let before = self.confirmed;
        self.confirmed = (client.identity().map(|identity| identity.device), client.applied_through());
        before.0 == self.confirmed.0 && self.confirmed.1 < before.1
    }

    /// Whether a save of this phone's still lies in its outbox.
    pub(super) fn waits(&self, saved: &Saved) -> bool {
        let unsent = self.client.as_ref().and_then(|client| client.unsent_from(OpSeq(1)).ok());
        Some(saved.op.stamp.device) == self.device
            && unsent.unwrap_or_default().iter().any(|op| op.seq == saved.op.seq)
    }

    /// What it keeps of what it sent: with the stamps that the server gave.
    pub(super) fn sent(&self) -> Vec<Op> {
        let rows = self.client.as_ref().and_then(|client| client.stored(&[SENT]).ok()).unwrap_or_default();
        rows.values().filter_map(|bytes| decode_op(bytes).ok()).collect()
    }

    /// The rejected saves that lie in the tray.
    pub(super) fn tray(&self) -> BTreeSet<(DeviceNo, OpSeq)> {
        let rejected = self.client.as_ref().and_then(|client| client.rejected().ok()).unwrap_or_default();
        rejected.iter().map(|rejected| (rejected.op.stamp.device, rejected.op.seq)).collect()
    }

    /// Loses everything that is only in memory.
    pub(super) fn go_down(&mut self) {
        (self.client, self.underway) = (None, None);
    }

    /// Enters into the account what has come into the outbox.
    pub(super) fn note_saves(&mut self, is_acknowledged: bool) -> Result<(), StoreError> {
        let Some(client) = &self.client else { return Ok(()) };
        let is_own = |saved: &&Saved| !saved.is_taken_back && Some(saved.op.stamp.device) == self.device;
        let known = self.ledger.iter().filter(is_own);
        let next = known.map(|saved| saved.op.seq).max().unwrap_or_default().next();
        if client.next_seq() <= next {
            return Ok(());
        }
        let (clock_ms, at_ms) = (self.clock_ms(), self.hands.mono_ms.load(Ordering::Relaxed).cast_signed());
        let saved = client.unsent_from(next)?.into_iter();
        self.ledger.extend(saved.map(|op| Saved {
            op,
            clock_ms,
            at_ms,
            is_acknowledged,
            is_taken_back: false,
        }));
        Ok(())
    }

    /// Makes it the device that the server has granted.
    pub(super) fn take_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let unsent = client.unsent_from(OpSeq(1))?;
        let unsent = unsent.iter().map(|op| (op.stamp.device, op.seq)).collect();
        self.renumbering = if client.stored(&FORGOTTEN)?.is_empty() { unsent } else { kept(&client)? };
        client.take_identity(identity)?;
        self.is_to_enrol = false;
        self.note_renumbered()
    }

    /// Enters into the account under which numbers the waiting saves are now.
    fn note_renumbered(&mut self) -> Result<(), StoreError> {
        let Some(client) = &self.client else { return Ok(()) };
        let device = client.identity().map(|identity| identity.device);
        let moved = client.unsent_from(OpSeq(1))?;
        // A server that had lost the phone may give it the same number; a power cut may have kept it from that.
        let is_moved = !self.renumbering.is_empty() && moved.len() == self.renumbering.len();
        if device == self.device && !is_moved {
            return Ok(());
        }
        // All are found before any is changed: an old number may be another save's new one.
        let place = |old: &(DeviceNo, OpSeq)| {
            let is_it = |saved: &Saved| !saved.is_taken_back && (saved.op.stamp.device, saved.op.seq) == *old;
            self.ledger.iter().position(is_it)
        };
        let places: Vec<_> = self.renumbering.iter().map(place).collect();
        for (place, new) in places.into_iter().zip(moved) {
            if let Some(saved) = place.and_then(|place| self.ledger.get_mut(place)) {
                // It may have been sent and merged under its old number as well.
                let sent = Saved { is_taken_back: true, ..saved.clone() };
                saved.op = new;
                self.ledger.push(sent);
            }
        }
        self.renumbering.clear();
        self.device = device;
        Ok(())
    }

    pub(super) fn back_up(&mut self) -> io::Result<()> {
        self.backup = Some(Backup {
            rows: self.disk.rows(),
            pictures: self.pictures()?,
            ledger: self.ledger.clone(),
            key: self.key,
            device: self.device,
        });
        Ok(())
    }

    /// The files of its pictures.
    fn pictures(&self) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        let folder = self.home.join(PICTURES);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(folder)?;
        entries
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), fs::read(entry.path())?))))
            .collect()
    }

    fn put_pictures(&self, pictures: &[(OsString, Vec<u8>)]) -> io::Result<()> {
        let folder = self.home.join(PICTURES);
        fs::create_dir_all(&folder)?;
        pictures.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    }

    /// Gets back what was backed up. What was saved since may be at the server, and is on this phone no more.
    pub(super) fn restore(&mut self) -> io::Result<bool> {
        let Some(backup) = self.backup.clone() else { return Ok(false) };
        self.go_down();
        let is_kept = |saved: &Saved| {
            backup.ledger.iter().any(|old| (old.op.stamp, old.op.record) == (saved.op.stamp, saved.op.record))
        };
        let lost: Vec<Saved> = self.ledger.iter().filter(|saved| !is_kept(saved)).cloned().collect();
        self.ledger = backup.ledger;
        self.ledger.extend(lost.into_iter().map(|saved| Saved { is_taken_back: true, ..saved }));
        (self.key, self.device) = (backup.key, backup.device);
        self.confirmed = (None, OpSeq(0));
        self.disk = Arc::new(DeviceDisk::holding(backup.rows));
        self.put_pictures(&backup.pictures)?;
        Ok(true)
    }

    /// A second phone with what was backed up of this one.
    pub(super) fn copy(&self, home: PathBuf, chance: u64) -> io::Result<Option<Self>> {
        let Some(backup) = self.backup.clone() else { return Ok(None) };
        let mut copy = Self::new(self.person, backup.key, home, chance, self.release);
        copy.put_pictures(&backup.pictures)?;
        copy.device = backup.device;
        // What the original answers for already.
        copy.ledger = backup.ledger.into_iter().map(|saved| Saved { is_taken_back: true, ..saved }).collect();
        copy.disk = Arc::new(DeviceDisk::holding(backup.rows));
        copy.is_to_enrol = false;
        Ok(Some(copy))
    }
}
