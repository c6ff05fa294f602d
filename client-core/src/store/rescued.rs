//! The items of a damaged store, as far as they can be read. Reads a copy of the store's folder, never the folder
//! itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xundian_protocol::ids::{ContentHash, DeviceNo, OpSeq, RecordId};
use xundian_protocol::limits::OUTBOX_OPS_MAX;
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::stored;

use super::engine::{self, Entry, Losses, Salvage};
use super::keys::{self, MetaKey};
use super::meta::Identity;
use super::pictures::{Picture, PictureState};
use super::{Rejected, StoreError, StoreFault, meta};
use crate::sealing::{Cover, StoreKey};

/// An item of a damaged store.
pub(crate) enum Rescued {
    /// Who the device is.
    Device(Identity),
    /// A save in the outbox.
    Save {
        /// The save.
        op: Op,
        /// Its stored bytes.
        bytes: Vec<u8>,
        /// Whether the server has it.
        is_settled: bool,
        /// Whether it was ever passed to the network.
        is_sent: bool,
    },
    /// A rejected op.
    Rejected {
        /// The op and the reason.
        rejected: Rejected,
        /// The op's stored bytes.
        bytes: Vec<u8>,
    },
    /// A confirmed record.
    Record(Record),
    /// An open visit.
    OpenVisit(RecordId),
    /// A picture of this device's photos. Its bytes are a file beside the store.
    Picture {
        /// Its hash.
        hash: ContentHash,
        /// Its state.
        state: PictureState,
    },
    /// An entry that cannot be understood.
    Unreadable {
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
}

/// Checks that a store can be rescued with a key, and returns how its bytes were written. Only reads.
///
/// # Errors
///
/// Returns an error if the store is sealed and the key is wrong or missing, or the store is plain and a key was given.
pub(crate) fn check(folder: &Path, key: Option<&StoreKey>) -> Result<Cover, StoreError> {
    Ok(engine::cover_of(folder, key)?)
}

/// Keeps programs from opening a store until the returned file is dropped. Creates no file; a folder that was never
/// opened needs none.
///
/// # Errors
///
/// Returns an error if the store is open.
pub(crate) fn hold(folder: &Path) -> Result<Option<File>, StoreError> {
    Ok(engine::hold(folder)?)
}

/// A copy of a store's files, removed when dropped.
pub(crate) struct Copied(PathBuf);

impl Copied {
    /// Copies a store's files into a new folder.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot be read, or there is no room.
    pub(crate) fn of(folder: &Path, to: PathBuf) -> io::Result<Self> {
        fs::create_dir(&to)?;
        let copied = Self(to);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // No folder contains anything needed: sled's `blobs` is empty, and an older copy is not the present state.
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copied.0.join(entry.file_name()))?;
            }
        }
        Ok(copied)
    }

    /// Passes every readable item to `visit`, with whether it is proved to be what was written. Returns what could not
    /// be read.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing at all can be read, and the error of `visit`.
    pub(crate) fn each<E: From<StoreError>>(
        &self,
        cover: Cover,
        mut visit: impl FnMut(Rescued, bool) -> Result<(), E>,
    ) -> Result<Losses, E> {
        let salvage = Salvage::open(&self.0, cover).map_err(StoreError::from)?;
        let number = |name| {
            let bytes = salvage.get(&keys::meta(name))?;
            Some(OpSeq(u64::from_be_bytes(bytes.try_into().ok()?)))
        };
        let through = (number(MetaKey::AppliedThrough), number(MetaKey::SentThrough));
        let identity = meta::identity_of(|name| Ok::<_, StoreFault>(salvage.get(&keys::meta(name))));
        let identity = identity.ok().flatten();
        let device = identity.as_ref().map(|identity| identity.device);
        if let Some(identity) = identity {
            visit(Rescued::Device(identity), true)?;
        }
        let mut listed = Listed::default();
        let mut losses = salvage.each(|entry, is_proved| {
            if is_proved {
                listed.note(&entry.0, device);
            }
            match item(entry, through) {
                Some(item) => visit(item, is_proved),
                None => Ok(()),
            }
        })?;
        let missing = listed.missing_records();
        if missing > 0 {
            losses.note(format!("{missing} records that are listed in their home could not be read"));
        }
        let missing = listed.missing_saves(through.0, through.1);
        if missing > 0 {
            losses.note(format!(
                "{missing} saves that were not confirmed, as far as is known, did not come out"
            ));
        }
        Ok(losses)
    }
}

/// What should be there, and what is. If a message of sled's log is damaged that it must read at opening, sled silently
/// skips the rest of that segment, so entries disappear without a trace. Missing saves show by gaps in their numbers.
/// Missing records show by the indexes of homes, unless the same damage hits both; then the engine's count of all
/// entries tells how many are missing.
#[derive(Default)]
struct Listed {
    saves: BTreeSet<OpSeq>,
    /// Saves that the server has and that are kept anyway.
    kept: BTreeSet<OpSeq>,
    named: BTreeSet<RecordKey>,
    found: BTreeSet<RecordKey>,
}

impl Listed {
    fn note(&mut self, key: &[u8], device: Option<DeviceNo>) {
        match key.first() {
            Some(&keys::OUTBOX) => self.saves.extend(keys::seq_of(key)),
            Some(&keys::SENT) => {
                let sent = keys::rejected_of(key).filter(|sent| Some(sent.device) == device);
                self.kept.extend(sent.map(|sent| sent.seq));
            }
            Some(&keys::HOME_INDEX) => self.named.extend(keys::record_of_index(key)),
            Some(&keys::RECORD) => self.found.extend(keys::record_of_key(key)),
            _ => {}
        }
    }

    fn missing_records(&self) -> usize {
        self.named.difference(&self.found).count()
    }

    /// The missing saves after the last confirmed one: those before one that is there, or that was sent.
    fn missing_saves(&self, applied_through: Option<OpSeq>, sent_through: Option<OpSeq>) -> u64 {
        let Some(first) = applied_through.map(OpSeq::next).or(self.saves.first().copied()) else { return 0 };
        // An outbox holds no more than this, so a greater number is damage.
        let sent_through = sent_through.filter(|sent| sent.0.saturating_sub(first.0) < OUTBOX_OPS_MAX);
        let last = self.saves.last().copied().max(sent_through).unwrap_or_default();
        let there = self.saves.union(&self.kept).filter(|seq| (first..=last).contains(*seq)).count() as u64;
        last.0.saturating_add(1).saturating_sub(first.0).saturating_sub(there)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a copy of a store was left behind");
        }
    }
}

/// `None` for entries that only the store itself needs.
fn item((key, value): Entry, through: (Option<OpSeq>, Option<OpSeq>)) -> Option<Rescued> {
    let understood = match key.first() {
        Some(
            &(keys::META
            | keys::HOME_INDEX
            | keys::HELD_HOME
            | keys::HOME_TO_CLEAR
            | keys::STALE
            // The record itself names its picture.
            | keys::PICTURE_NAMED),
        ) => return None,
        // The server has it, and so has its record.
        Some(&keys::SENT) => return None,
        Some(&keys::OUTBOX) => stored::decode_op(&value).ok().map(|op| {
            let is_up_to = |through: Option<OpSeq>| through.is_some_and(|through| op.seq <= through);
            let (is_settled, is_sent) = (is_up_to(through.0), is_up_to(through.1));
            Rescued::Save { op, bytes: value.clone(), is_settled, is_sent }
        }),
        Some(&keys::REJECTED) => keys::rejected_of(&key).and_then(|id| {
            let rejected = Rejected::decode(id, &value).ok()?;
            let bytes = stored::encode_op(&rejected.op);
            Some(Rescued::Rejected { rejected, bytes })
        }),
        Some(&keys::RECORD) => stored::decode_record(&value).ok().map(Rescued::Record),
        Some(&keys::OPEN_VISIT) => keys::visit_of(&key).map(Rescued::OpenVisit),
        Some(&keys::PICTURE) => keys::picture_of(&key).and_then(|hash| {
            Some(Rescued::Picture { hash, state: Picture::decode(&value)?.state })
        }),
        _ => None,
    };
    Some(understood.unwrap_or(Rescued::Unreadable { key, value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_numbers_of_saves_is_a_loss() {
        let listed = |seqs: &[u64]| {
            let mut listed = Listed::default();
            seqs.iter().for_each(|seq| listed.note(&keys::outbox(OpSeq(*seq)), None));
            listed
        };
        let missing = |seqs: &[u64], applied: u64, sent: u64| {
            listed(seqs).missing_saves(Some(OpSeq(applied)), Some(OpSeq(sent)))
        };
        assert_eq!(missing(&[], 0, 0), 0);
        assert_eq!(missing(&[3, 4, 5, 6], 4, 5), 0, "settled ones may still be stored");
        assert_eq!(missing(&[5, 8], 4, 5), 2);
        assert_eq!(missing(&[7, 8], 4, 4), 2, "those at the front");
        assert_eq!(missing(&[5], 4, 9), 4, "those that were sent");
        assert_eq!(missing(&[1, 3], 0, u64::MAX), 1, "however damaged the numbers are");
        assert_eq!(listed(&[5, 8]).missing_saves(None, None), 2);
        assert_eq!(listed(&[]).missing_saves(None, Some(OpSeq(9))), 0, "of which nothing is known");
        let mut kept = listed(&[7]);
        for (device, seq) in [(1, 5), (1, 6), (2, 4)] {
            kept.note(&keys::sent(DeviceNo(device), OpSeq(seq)), Some(DeviceNo(1)));
        }
        assert_eq!(
            kept.missing_saves(Some(OpSeq(3)), Some(OpSeq(7))),
            1,
            "what was confirmed is not missing"
        );
    }
}
