//! What a damaged store holds, item by item, as far as it can be read. Reads a copy of the store's folder, never the
//! folder itself.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xundian_protocol::ids::{OpSeq, RecordId};
use xundian_protocol::record::{Op, Record, RecordKey};
use xundian_protocol::wire::stored;

use super::engine::{self, Entry, Losses, Salvage};
use super::keys::{self, MetaKey};
use super::meta::Identity;
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
        /// Its bytes as they were stored.
        bytes: Vec<u8>,
        /// Whether the server has taken it.
        is_settled: bool,
        /// Whether it was ever handed to the network.
        is_sent: bool,
    },
    /// A save that the server did not take.
    Rejected {
        /// The save and the reason.
        rejected: Rejected,
        /// The save's bytes as they were stored.
        bytes: Vec<u8>,
    },
    /// A record as the server confirmed it.
    Record(Record),
    /// A visit that was going on.
    OpenVisit(RecordId),
    /// What is there and cannot be understood.
    Unreadable {
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
}

/// Checks that a store can be rescued with a key, and returns what lies over its bytes. Reads only.
///
/// # Errors
/// Where the store is sealed and the key does not fit or is missing, or the other way round.
pub(crate) fn check(folder: &Path, key: Option<&StoreKey>) -> Result<Cover, StoreError> {
    Ok(engine::cover_of(folder, key)?)
}

/// Keeps programs from opening a store, for as long as what is returned is held. Creates no file; a folder that was
/// never opened needs none.
///
/// # Errors
/// Where somebody has it open.
pub(crate) fn hold(folder: &Path) -> Result<Option<File>, StoreError> {
    Ok(engine::hold(folder)?)
}

/// A copy of a store's files, which goes when it is let go of.
pub(crate) struct Copied(PathBuf);

impl Copied {
    /// Copies a store's files into a new folder.
    ///
    /// # Errors
    /// Where they cannot be read, or there is no room.
    pub(crate) fn of(folder: &Path, to: PathBuf) -> io::Result<Self> {
        fs::create_dir(&to)?;
        let copied = Self(to);
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Folders hold nothing that is needed: sled's `blobs` is empty, and a copy from before is none of now.
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), copied.0.join(entry.file_name()))?;
            }
        }
        Ok(copied)
    }

    /// Hands every item that can be read to `visit`, with whether it is proved to be what was written, and says what
    /// could not be read.
    ///
    /// # Errors
    /// Where nothing at all can be read, and as `visit`.
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
        if let Ok(Some(identity)) = identity {
            visit(Rescued::Device(identity), true)?;
        }
        let mut listed = Listed::default();
        let mut losses = salvage.each(|entry, is_proved| {
            listed.note(&entry.0);
            match item(entry, through) {
                Some(item) => visit(item, is_proved),
                None => Ok(()),
            }
        })?;
        let missing = listed.missing();
        if missing > 0 {
            losses.note(format!("{missing} records that stand in the list of their home did not come out"));
        }
        Ok(losses)
    }
}

/// The records that the lists of homes name, and those that are there. Damage may take away entries of sled's without
/// any other trace; that it takes both of these is less likely, as they lie on different pages.
#[derive(Default)]
struct Listed {
    named: BTreeSet<RecordKey>,
    found: BTreeSet<RecordKey>,
}

impl Listed {
    fn note(&mut self, key: &[u8]) {
        match key.first() {
            Some(&keys::HOME_INDEX) => self.named.extend(keys::record_of_index(key)),
            Some(&keys::RECORD) => self.found.extend(keys::record_of_key(key)),
            _ => {}
        }
    }

    fn missing(&self) -> usize {
        self.named.difference(&self.found).count()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "a copy of a store was left behind");
        }
    }
}

/// `None` for what only the store itself needs.
fn item((key, value): Entry, through: (Option<OpSeq>, Option<OpSeq>)) -> Option<Rescued> {
    let understood = match key.first() {
        Some(&(keys::META | keys::HOME_INDEX | keys::HELD_HOME | keys::HOME_TO_CLEAR | keys::STALE)) => {
            return None;
        }
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
        _ => None,
    };
    Some(understood.unwrap_or(Rescued::Unreadable { key, value }))
}
