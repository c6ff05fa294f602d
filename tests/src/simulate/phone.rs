//! A simulated phone: the real client core on a simulated disk and clocks, with a ledger of every save that it ever
//! acknowledged.

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

/// Keys of the device's store: the outbox, the sent ops that are kept, and the mark that the server forgot the device.
const OUTBOX: u8 = 2;
const SENT: u8 = 11;
const FORGOTTEN: [u8; 2] = [1, 12];
/// The folder of pictures in a phone's home folder.
const PICTURES: &str = "photos";

/// A save that a phone has made.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// The op as it is in the outbox, with its present number.
    pub(super) op: Op,
    /// The time of the save by the phone's clock.
    pub(super) clock_ms: i64,
    /// The true time of the save.
    pub(super) at_ms: i64,
    /// Whether the app was told that it is durable. A crash may keep a save that was never acknowledged.
    pub(super) is_acknowledged: bool,
    /// Whether a restored backup removed it from this phone, perhaps before it was sent.
    pub(super) is_taken_back: bool,
}

/// A backup of a phone.
#[derive(Clone)]
pub(super) struct Backup {
    rows: DeviceRows,
    pictures: Vec<(OsString, Vec<u8>)>,
    ledger: Vec<Saved>,
    key: usize,
    device: Option<DeviceNo>,
}

/// A running sync.
pub(super) struct Underway {
    pub(super) link: u64,
    pub(super) sync: SimulatedSync,
    /// Counts arriving payloads; a sync without progress is given up.
    pub(super) moves: u64,
}

/// The phone's clocks.
#[derive(Debug)]
struct Hands {
    now_ms: AtomicI64,
    mono_ms: AtomicU64,
    boot: AtomicU64,
}

/// A simulated phone.
pub(super) struct Phone {
    pub(super) person: PersonId,
    /// The home folder, which only has the pictures.
    home: PathBuf,
    pub(super) disk: Arc<DeviceDisk>,
    /// The client; `None` while the phone is off, or if its disk is too full for the store to open.
    pub(super) client: Option<Arc<Client>>,
    pub(super) underway: Option<Underway>,
    /// The release of its app.
    pub(super) release: Release,
    pub(super) spells: Vec<Spell>,
    /// The index of its key pair. A copy has the key pair of its original.
    pub(super) key: usize,
    pub(super) ledger: Vec<Saved>,
    pub(super) backup: Option<Backup>,
    /// The rejected ops before the current piece of work, which a crash may interrupt.
    pub(super) tray_before: BTreeSet<(DeviceNo, OpSeq)>,
    /// Rejected ops that are no longer listed because the person sent them again.
    pub(super) resent: BTreeSet<(DeviceNo, OpSeq)>,
    /// Whether it was revoked for good.
    pub(super) is_revoked: bool,
    /// Whether it needs a new invitation.
    pub(super) is_to_enrol: bool,
    /// The error of the last sync, if it failed.
    pub(super) last_end: Option<String>,
    /// The device number and the last confirmed op when a sync last made progress.
    confirmed: (Option<DeviceNo>, OpSeq),
    /// The device number of the ops in the ledger.
    device: Option<DeviceNo>,
    /// The old numbers of the waiting ops, while they are renumbered.
    renumbering: Vec<(DeviceNo, OpSeq)>,
    hands: Arc<Hands>,
    offset_ms: i64,
    drift_ppm: i64,
    boots: u64,
    chance: u64,
}

/// Returns the ops that a device still has, sent and unsent, in the order in which they are renumbered.
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

    /// Returns the device number that the server assigned.
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

    /// Starts the phone. An op in the outbox that was not known before is a save that was never acknowledged.
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
        // A power cut during opening may only show up on the first read, so read before drawing conclusions.
        client.rejected()?;
        self.client = Some(Arc::new(client));
        let (before, rejected_ops) = (std::mem::take(&mut self.tray_before), self.rejected_ops());
        self.resent.extend(before.difference(&rejected_ops).copied());
        self.note_renumbered()?;
        self.note_saves(false)
    }

    /// Whether the confirmed ops went backwards since a sync last made progress.
    pub(super) fn has_taken_back(&mut self) -> bool {
        let Some(client) = &self.client else { return false };
        let before = self.confirmed;
        self.confirmed = (client.identity().map(|identity| identity.device), client.applied_through());
        before.0 == self.confirmed.0 && self.confirmed.1 < before.1
    }

    /// Whether a save of this phone is still in its outbox.
    pub(super) fn waits(&self, saved: &Saved) -> bool {
        let unsent = self.client.as_ref().and_then(|client| client.unsent_from(OpSeq(1)).ok());
        Some(saved.op.stamp.device) == self.device
            && unsent.unwrap_or_default().iter().any(|op| op.seq == saved.op.seq)
    }

    /// Returns the ops that it keeps after sending them, with the stamps that the server assigned.
    pub(super) fn sent(&self) -> Vec<Op> {
        let rows = self.client.as_ref().and_then(|client| client.stored(&[SENT]).ok()).unwrap_or_default();
        rows.values().filter_map(|bytes| decode_op(bytes).ok()).collect()
    }

    /// Returns the rejected ops that the phone lists.
    pub(super) fn rejected_ops(&self) -> BTreeSet<(DeviceNo, OpSeq)> {
        let rejected = self.client.as_ref().and_then(|client| client.rejected().ok()).unwrap_or_default();
        rejected.iter().map(|rejected| (rejected.op.stamp.device, rejected.op.seq)).collect()
    }

    /// Stops the phone and drops everything in memory.
    pub(super) fn go_down(&mut self) {
        (self.client, self.underway) = (None, None);
    }

    /// Adds the new ops of the outbox to the ledger.
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

    /// Gives it the identity that the server granted.
    pub(super) fn take_identity(&mut self, identity: &Identity) -> Result<(), StoreError> {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let unsent = client.unsent_from(OpSeq(1))?;
        let unsent = unsent.iter().map(|op| (op.stamp.device, op.seq)).collect();
        self.renumbering = if client.stored(&FORGOTTEN)?.is_empty() { unsent } else { kept(&client)? };
        client.take_identity(identity)?;
        self.is_to_enrol = false;
        self.note_renumbered()
    }

    /// Updates the ledger with the new numbers of the waiting ops.
    fn note_renumbered(&mut self) -> Result<(), StoreError> {
        let Some(client) = &self.client else { return Ok(()) };
        let device = client.identity().map(|identity| identity.device);
        let moved = client.unsent_from(OpSeq(1))?;
        // A server that had lost the phone may grant the same number. A power cut may have prevented the change.
        let is_moved = !self.renumbering.is_empty() && moved.len() == self.renumbering.len();
        if device == self.device && !is_moved {
            return Ok(());
        }
        // Find all before changing any: an old number may be the new number of another op.
        let place = |old: &(DeviceNo, OpSeq)| {
            let is_it = |saved: &Saved| !saved.is_taken_back && (saved.op.stamp.device, saved.op.seq) == *old;
            self.ledger.iter().position(is_it)
        };
        let places: Vec<_> = self.renumbering.iter().map(place).collect();
        for (place, new) in places.into_iter().zip(moved) {
            if let Some(saved) = place.and_then(|place| self.ledger.get_mut(place)) {
                // It may also have been sent and merged under its old number.
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

    /// Reads the files of its pictures.
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

    /// Restores the last backup. Ops saved since are gone from this phone, but may be at the server.
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

    /// Creates a second phone from the last backup of this one.
    pub(super) fn copy(&self, home: PathBuf, chance: u64) -> io::Result<Option<Self>> {
        let Some(backup) = self.backup.clone() else { return Ok(None) };
        let mut copy = Self::new(self.person, backup.key, home, chance, self.release);
        copy.put_pictures(&backup.pictures)?;
        copy.device = backup.device;
        // The original phone answers for these ops.
        copy.ledger = backup.ledger.into_iter().map(|saved| Saved { is_taken_back: true, ..saved }).collect();
        copy.disk = Arc::new(DeviceDisk::holding(backup.rows));
        copy.is_to_enrol = false;
        Ok(Some(copy))
    }
}
