//! The pictures of this device's photos: which of them wait to be sent, and what became of the others. Their files are
//! somebody else's, who asks before one is made and is told when one may go.
//!
//! Value of a picture: version u8 = 1, place in the queue u64, length u64, when it was attached i64 (Unix ms), bytes
//! that the server holds u64, state u8 (0 loose, 1 waiting, 2 stored, 3 declined, 4 damaged); of a declined one then:
//! reason u16, how often u32, when last i64 (Unix ms), and the message.
//!
//! A picture changes in the same commit as the records that name it. Before its file is made it is noted as loose,
//! and only a save makes it wait; before its file goes it is loose again. So after a crash the loose ones tell which
//! files are left over, and no file that this store does not know is ever touched.

use std::collections::BTreeSet;

use xundian_protocol::ids::ContentHash;
use xundian_protocol::record::RecordKey;
use xundian_protocol::wire::v1::Refusal;

use super::engine::Batch;
use super::storage::Storage;
use super::{State, Store, StoreError, StoreFault, keys};

const VERSION: u8 = 1;
/// How much more the server must hold until that is written down: a restart shows no less than what was, less this.
const SENT_BYTES_NOTED: u64 = 256 * 1024;

/// A picture of this device's photos.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    /// Its place in the queue: pictures go in the order in which they came.
    pub(crate) order: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// When it was attached, by the device's clock.
    pub(crate) attached_at_ms: i64,
    /// How many of its bytes the server is known to hold.
    pub(crate) sent_bytes: u64,
    /// What became of it.
    pub(crate) state: PictureState,
    /// The records that name it.
    named_by: BTreeSet<RecordKey>,
}

/// What became of a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PictureState {
    /// No record names it: its file is being made, or goes.
    Loose,
    /// It is to be sent.
    Waiting,
    /// The server has it.
    Stored,
    /// The server did not take it.
    Declined(Decline),
    /// Its file is not what was written, or is gone.
    Damaged,
}

/// Why the server did not take a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Decline {
    /// Why.
    pub(crate) why: Refusal,
    /// The same for people.
    pub(crate) message: String,
    /// How often it was declined.
    pub(crate) tries: u32,
    /// When it was last, by the device's clock.
    pub(crate) at_ms: i64,
}

/// How far the records that name a picture are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RefState {
    /// None was taken, and none waits: they lie in the tray.
    Rejected,
    /// One waits to be sent.
    Unsent,
    /// The server has merged one.
    Merged,
}

/// What a save says of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attached {
    /// Which one.
    pub(crate) hash: ContentHash,
    /// Its length.
    pub(crate) bytes: u64,
    /// When, by the device's clock.
    pub(crate) at_ms: i64,
    /// The record that names it from now on; `None` where one does already, and its file was made anew.
    pub(crate) named_by: Option<RecordKey>,
}

impl Picture {
    /// Whether the server has it not, so that it must not leave this device by itself.
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

    /// Hands every picture to `visit`, with how far the records are that name it, in the order of their hashes.
    pub(crate) fn each_picture(&self, mut visit: impl FnMut(ContentHash, &Picture, RefState)) {
        let state = self.state();
        for (hash, picture) in &state.pictures {
            visit(*hash, picture, state.ref_state(picture));
        }
    }

    /// Notes that a picture's file is about to be made, before it is. Returns whether nothing was known of it; then
    /// [`Self::forget_picture`] takes this back.
    ///
    /// # Errors
    /// Where the store cannot be written.
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

    /// Forgets a picture whose file is gone.
    ///
    /// # Errors
    /// Where the store cannot be written.
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

    /// Notes what became of a picture.
    ///
    /// # Errors
    /// Where the store cannot be written.
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

    /// Notes how many bytes of a picture the server holds. Seen at once, and written down now and then.
    ///
    /// # Errors
    /// Where the store cannot be written.
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

    /// Puts what a save says of a picture into its batch. Whatever became of it before, it is offered to the server
    /// once more, which costs nothing where the server has it. Returns the picture as it then stands.
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

    /// Takes a record that is no more from the pictures that it names. Returns these as they then stand: one that
    /// nobody names any more is loose.
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

    /// Pictures that the server had may be lost with the rest; one that it still has costs it an answer.
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
        picture.named_by.iter().map(|record| self.standing_of(record)).max().unwrap_or(RefState::Rejected)
    }

    /// How far a record of a picture is. One that is neither waiting nor in the tray was merged, also where it is no
    /// longer here because its home has left the scope.
    fn standing_of(&self, record: &RecordKey) -> RefState {
        let first = self.pending.get(record).and_then(|pending| pending.seqs.first());
        match first {
            Some(seq) if *seq > self.meta.applied_through => RefState::Unsent,
            None if self.tray.contains_key(record) => RefState::Rejected,
            _ => RefState::Merged,
        }
    }
}
