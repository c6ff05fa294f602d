//! The pictures of this device's photos: which of them wait to be sent, and the state of the others. The caller owns
//! their files; it asks before it creates one, and learns when one may be removed.
//!
//! The value of a picture: version u8 = 1, queue position u64, length u64, attached at i64 (Unix ms), bytes that the
//! server holds u64, state u8 (0 loose, 1 waiting, 2 stored, 3 declined, 4 damaged); for a declined one then: reason
//! u16, number of tries u32, last try i64 (Unix ms), and the message.
//!
//! A picture changes in the same commit as the records that name it. Before its file is made it is noted as loose, and
//! only a save makes it wait; before its file is removed it is loose again. So after a crash the loose pictures tell
//! which files are left over, and a file that this store does not know is never touched.

use std::collections::BTreeSet;

use xundian_protocol::ids::ContentHash;
use xundian_protocol::record::RecordKey;
use xundian_protocol::wire::v1::Refusal;

use super::engine::Batch;
use super::storage::Storage;
use super::{State, Store, StoreError, StoreFault, keys};

const VERSION: u8 = 1;
/// How many more bytes the server must hold before that is written down. After a restart, progress may be this much
/// lower.
const SENT_BYTES_NOTED: u64 = 256 * 1024;

/// A picture of this device's photos.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    /// Its queue position: pictures are sent in the order in which they were attached.
    pub(crate) order: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// When it was attached, by the device's clock.
    pub(crate) attached_at_ms: i64,
    /// The bytes that the server is known to hold.
    pub(crate) sent_bytes: u64,
    /// Its state.
    pub(crate) state: PictureState,
    /// The records that name it.
    named_by: BTreeSet<RecordKey>,
}

/// The state of a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PictureState {
    /// No record names it: its file is being made, or is to be removed.
    Loose,
    /// It waits to be sent.
    Waiting,
    /// The server has it.
    Stored,
    /// The server declined it.
    Declined(Decline),
    /// Its file is corrupt or missing.
    Damaged,
}

/// Why the server declined a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decline {
    /// Why.
    pub(crate) why: Refusal,
    /// The same for people.
    pub(crate) message: String,
    /// How often it was declined.
    pub(crate) tries: u32,
    /// When it was last declined, by the device's clock.
    pub(crate) at_ms: i64,
}

/// The state of the records that name a picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RefState {
    /// All were rejected, and none waits.
    Rejected,
    /// One waits to be sent.
    Unsent,
    /// The server has merged one.
    Merged,
}

/// A picture that a save attaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attached {
    /// Which one.
    pub(crate) hash: ContentHash,
    /// Its length.
    pub(crate) bytes: u64,
    /// When it was attached, by the device's clock.
    pub(crate) at_ms: i64,
    /// The record that names it from now on; `None` if a record names it already and only its file was made again.
    pub(crate) named_by: Option<RecordKey>,
}

impl Picture {
    /// Whether the server does not have it, so that it must not be removed from this device.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self.state, PictureState::Waiting | PictureState::Declined(_) | PictureState::Damaged)
    }

    fn new(order: u64, attached: &Attached) -> Self {
        let Attached { bytes, at_ms, .. } = *attached;
        let state = PictureState::Loose;
        Self { order, bytes, attached_at_ms: at_ms, sent_bytes: 0, state, named_by: BTreeSet::new() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for number in [self.order, self.bytes, self.attached_at_ms.cast_unsigned(), self.sent_bytes] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.push(match self.state {
            PictureState::Loose => 0,
            PictureState::Waiting => 1,
            PictureState::Stored => 2,
            PictureState::Declined(_) => 3,
            PictureState::Damaged => 4,
        });
        if let PictureState::Declined(Decline { why, message, tries, at_ms }) = &self.state {
            bytes.extend((*why as u16).to_be_bytes());
            bytes.extend(tries.to_be_bytes());
            bytes.extend(at_ms.to_be_bytes());
            bytes.extend(message.as_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = bytes.split_first()? else { return None };
        let mut number = || {
            let (number, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_be_bytes(*number))
        };
        let (order, bytes, attached, sent_bytes) = (number()?, number()?, number()?, number()?);
        let (state, rest) = rest.split_first()?;
        let state = match state {
            0 => PictureState::Loose,
            1 => PictureState::Waiting,
            2 => PictureState::Stored,
            3 => PictureState::Declined(Decline::decode(rest)?),
            4 => PictureState::Damaged,
            _ => return None,
        };
        let attached_at_ms = attached.cast_signed();
        Some(Self { order, bytes, attached_at_ms, sent_bytes, state, named_by: BTreeSet::new() })
    }
}

impl Decline {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (why, rest) = bytes.split_first_chunk::<2>()?;
        let (tries, rest) = rest.split_first_chunk::<4>()?;
        let (at_ms, message) = rest.split_first_chunk::<8>()?;
        Some(Self {
            why: Refusal::from_number(u16::from_be_bytes(*why)),
            message: String::from_utf8_lossy(message).into_owned(),
            tries: u32::from_be_bytes(*tries),
            at_ms: i64::from_be_bytes(*at_ms),
        })
    }
}

impl Store {
    /// What is known of a picture.
    pub(crate) fn picture(&self, hash: ContentHash) -> Option<Picture> {
        self.state().pictures.get(&hash).cloned()
    }

    /// Passes every picture to `visit`, with the state of the records that name it, in the order of their hashes.
    pub(crate) fn each_picture(&self, mut visit: impl FnMut(ContentHash, &Picture, RefState)) {
        let state = self.state();
        for (hash, picture) in &state.pictures {
            visit(*hash, picture, state.ref_state(picture));
        }
    }

    /// Notes that a picture's file is about to be made. Returns whether the picture was unknown; then
    /// [`Self::forget_picture`] undoes this.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn expect_picture(&self, attached: &Attached) -> Result<bool, StoreError> {
        let writer = self.write_lock();
        if self.picture(attached.hash).is_some() {
            return Ok(false);
        }
        let picture = Picture::new(self.state().next_picture(), attached);
        self.put_picture(attached.hash, picture)?;
        drop(writer);
        Ok(true)
    }

    /// Forgets a picture whose file is removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn forget_picture(&self, hash: ContentHash) -> Result<(), StoreError> {
        let writer = self.write_lock();
        let Some(picture) = self.picture(hash) else { return Ok(()) };
        let mut batch = Batch::default();
        batch.remove(keys::picture(hash));
        for record in &picture.named_by {
            batch.remove(keys::picture_named(hash, *record));
        }
        self.engine.commit(batch)?;
        self.state_mut().pictures.remove(&hash);
        drop(writer);
        Ok(())
    }

    /// Sets the state of a picture.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_picture(&self, hash: ContentHash, to: PictureState) -> Result<(), StoreError> {
        let writer = self.write_lock();
        if let Some(mut picture) = self.picture(hash) {
            if to == PictureState::Stored {
                picture.sent_bytes = picture.bytes;
            }
            picture.state = to;
            self.put_picture(hash, picture)?;
        }
        drop(writer);
        Ok(())
    }

    /// Notes how many bytes of a picture the server holds. Readers see it at once; it is written down from time to
    /// time.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be written.
    pub(crate) fn note_sent(&self, hash: ContentHash, sent_bytes: u64) -> Result<(), StoreError> {
        let writer = self.write_lock();
        if let Some(picture) = self.picture(hash).filter(|picture| picture.sent_bytes != sent_bytes) {
            let is_noted = picture.sent_bytes / SENT_BYTES_NOTED == sent_bytes / SENT_BYTES_NOTED;
            let picture = Picture { sent_bytes, ..picture };
            if is_noted {
                self.state_mut().pictures.insert(hash, picture);
            } else {
                self.put_picture(hash, picture)?;
            }
        }
        drop(writer);
        Ok(())
    }

    fn put_picture(&self, hash: ContentHash, picture: Picture) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(keys::picture(hash), picture.encode());
        self.engine.commit(batch)?;
        self.state_mut().pictures.insert(hash, picture);
        Ok(())
    }

    /// Adds the picture of a save to its batch. Whatever its state was, it is offered to the server once more, which
    /// costs little if the server has it. Returns the new state.
    pub(super) fn attach(&self, batch: &mut Batch, attached: &Attached) -> Picture {
        let state = self.state();
        let known = state.pictures.get(&attached.hash).cloned();
        let order = known.as_ref().filter(|known| known.state == PictureState::Waiting);
        let order = order.map_or_else(|| state.next_picture(), |known| known.order);
        let mut picture = known.unwrap_or_else(|| Picture::new(order, attached));
        (picture.order, picture.attached_at_ms) = (order, attached.at_ms);
        picture.state = PictureState::Waiting;
        picture.named_by.extend(attached.named_by);
        batch.put(keys::picture(attached.hash), picture.encode());
        if let Some(record) = attached.named_by {
            batch.put(keys::picture_named(attached.hash, record), []);
        }
        picture
    }

    /// Removes a deleted record from the pictures that it named. Returns their new states: a picture that no record
    /// names any more is loose.
    pub(super) fn unname(&self, batch: &mut Batch, record: RecordKey) -> Vec<(ContentHash, Picture)> {
        let state = self.state();
        let named = state.pictures.iter().filter(|(_, picture)| picture.named_by.contains(&record));
        let mut left = Vec::new();
        for (hash, picture) in named {
            let mut picture = picture.clone();
            picture.named_by.remove(&record);
            batch.remove(keys::picture_named(*hash, record));
            if picture.named_by.is_empty() {
                picture.state = PictureState::Loose;
                batch.put(keys::picture(*hash), picture.encode());
            }
            left.push((*hash, picture));
        }
        left
    }

    /// Pictures that the server had may be lost with the rest. Offering one that it still has costs one answer.
    pub(super) fn offer_again(&self, batch: &mut Batch) -> Vec<(ContentHash, Picture)> {
        let state = self.state();
        let stored = state.pictures.iter().filter(|(_, picture)| picture.state == PictureState::Stored);
        let mut again = Vec::new();
        for (hash, picture) in stored {
            let picture = Picture { state: PictureState::Waiting, sent_bytes: 0, ..picture.clone() };
            batch.put(keys::picture(*hash), picture.encode());
            again.push((*hash, picture));
        }
        again
    }
}

impl State {
    pub(super) fn load_pictures(&mut self, engine: &Storage) -> Result<(), StoreFault> {
        for entry in engine.scan_prefix(&[keys::PICTURE]) {
            let (key, value) = entry?;
            let hash = keys::picture_of(&key).ok_or_else(|| StoreFault::malformed("list of pictures"))?;
            let picture = Picture::decode(&value);
            let picture = picture.ok_or_else(|| StoreFault::malformed(format!("picture {hash}")))?;
            self.pictures.insert(hash, picture);
        }
        for entry in engine.scan_prefix(&[keys::PICTURE_NAMED]) {
            let (key, _) = entry?;
            let named = keys::named_of(&key).ok_or_else(|| StoreFault::malformed("list of pictures"))?;
            if let Some(picture) = self.pictures.get_mut(&named.0) {
                picture.named_by.insert(named.1);
            }
        }
        Ok(())
    }

    fn next_picture(&self) -> u64 {
        self.pictures.values().map(|picture| picture.order).max().map_or(0, |last| last + 1)
    }

    fn ref_state(&self, picture: &Picture) -> RefState {
        picture.named_by.iter().map(|record| self.ref_state_of(record)).max().unwrap_or(RefState::Rejected)
    }

    /// The state of a record that names a picture. A record that neither waits nor was rejected is merged, even if it
    /// is no longer here because its home left the scope.
    fn ref_state_of(&self, record: &RecordKey) -> RefState {
        let first = self.pending.get(record).and_then(|pending| pending.seqs.first());
        match first {
            Some(seq) if *seq > self.meta.applied_through => RefState::Unsent,
            None if self.rejected_ops.contains_key(record) => RefState::Rejected,
            _ => RefState::Merged,
        }
    }
}
