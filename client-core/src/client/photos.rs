//! Photos: attached in one durable save, read on this device, and queued for upload.

use std::io::Read;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use xundian_protocol::calendar::DEFAULT_ZONE;
use xundian_protocol::ids::{ContentHash, RecordId};
use xundian_protocol::kinds::{Attachment, Entity, Header, Issue, MediaType, Photo, Visit};
use xundian_protocol::limits::{
    PHOTO_BYTES_MAX, PHOTOS_KEPT_BYTES_MAX, PHOTOS_KEPT_MAX, PHOTOS_UNSENT_BYTES_MAX, PHOTOS_UNSENT_MAX,
};
use xundian_protocol::record::{Home, Record, RecordKey};
use xundian_protocol::wire::v1::Refusal;

use super::{Client, RecordLine};
use crate::errors::RecordError;
use crate::photos::PhotoFileError;
use crate::recorder::{Captured, Target};
use crate::store::{Attached, Decline, Picture, PictureState, RefState, Save, StoreError};
use crate::visit_ops::{self, NewPhoto, PhotoOf};

/// How often a picture is offered again after the server declined it for a temporary reason.
const TRIES_MAX: u32 = 5;
/// The wait before a declined picture is offered again. It doubles each time.
const RETRY_MS_FIRST: u64 = 60_000;
const RETRY_MS_MAX: u64 = 6 * 3_600_000;

/// A photo and its picture's state.
#[derive(Clone, PartialEq, Debug)]
pub struct PhotoLine {
    /// Its record.
    pub line: RecordLine,
    /// The record's fields.
    pub photo: Photo,
    /// The picture's state.
    pub state: PhotoState,
}

/// The state of a photo's picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PhotoState {
    /// It is queued on this device.
    Waiting {
        /// The bytes that the server holds, as far as this device knows.
        sent_bytes: u64,
    },
    /// The server has stored and verified it.
    Stored,
    /// The server declined it.
    Declined {
        /// The reason.
        why: Refusal,
        /// The reason, for people.
        message: String,
        /// Whether it is offered again automatically. If not, [`Client::retry_photo`] does so.
        is_tried_again: bool,
    },
    /// Its file on this device is damaged or missing, and the server does not have it. Attaching the same picture again
    /// repairs it.
    Damaged,
    /// It is not on this device: another device took it, or the server has it and the local file was evicted.
    NotHere,
}

/// A photo's picture cannot be shown or sent.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// Its file cannot be used.
    #[error(transparent)]
    File(#[from] PhotoFileError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The picture may not be dropped: it is unsent and intact, or the server has it.
    #[error(
        "picture 图片 {hash} is still to be sent, or the server has it: only a picture that is damaged, or declined for good, can be dropped"
    )]
    StillNeeded {
        /// The picture.
        hash: ContentHash,
    },
}

impl Client {
    /// Attaches a photo to a visit or an issue, in one durable save. The next sync sends the picture, after all
    /// records.
    /// A visit takes photos while it is open, and after its end until its day is over.
    ///
    /// The same picture of the same visit or issue is one photo: attaching it again saves no second photo, and repairs
    /// a
    /// damaged file. Returns the photo's id.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown or too old, the bytes are not a picture or too many, too many
    /// pictures are unsent, or the device's folder cannot be written. Nothing is left behind then.
    pub fn attach_photo(
        &self,
        of: PhotoOf,
        photo: &NewPhoto,
        picture: &[u8],
    ) -> Result<RecordId, RecordError> {
        let bytes = picture.len() as u64;
        if bytes > PHOTO_BYTES_MAX {
            return Err(RecordError::PictureTooLarge { bytes });
        }
        let media_type = MediaType::of(picture).ok_or(RecordError::NoPicture)?;
        let attachment = Attachment { hash: ContentHash::of(picture), bytes };
        let _alone = self.handling_pictures();
        let home = self.home_of(of)?;
        let standing = self.photo_standing(home, of, attachment.hash)?;
        self.check_room(attachment)?;

        let at_ms = (self.clocks)().now_ms;
        let attached = Attached { hash: attachment.hash, bytes, at_ms, named_by: standing };
        let is_new = self.store.expect_picture(&attached)?;
        let kept = self.pictures.keep(attachment.hash, picture).map_err(RecordError::from);
        let saved = kept.and_then(|()| match standing {
            // The record exists already; only its picture was written again.
            Some(photo) => {
                self.store.save(Save { attaches: Some(attached), ..Save::default() })?;
                Ok(photo.id)
            }
            None => self.save_photo(home, of, photo, attachment, media_type),
        });
        // If the store failed, its last commit may have succeeded anyway: only the next opening can tell whether the
        // picture is needed.
        let is_refused = matches!(&saved, Err(error) if !matches!(error, RecordError::Store(_)));
        if is_refused && is_new {
            // If this fails as well, the next opening does it.
            self.let_go(attachment.hash)
                .unwrap_or_else(|error| tracing::warn!(%error, "a picture is left over"));
        }
        saved
    }

    /// Like [`Self::attach_photo`], with the picture copied from a file.
    ///
    /// # Errors
    /// As [`Self::attach_photo`], and if the file cannot be read.
    pub fn attach_photo_file(
        &self,
        of: PhotoOf,
        photo: &NewPhoto,
        file: &Path,
    ) -> Result<RecordId, RecordError> {
        let mut picture = Vec::new();
        let read = std::fs::File::open(file).and_then(|opened| {
            // One byte more distinguishes a file that is too large from one that just fits.
            let bytes = opened.metadata()?.len();
            let taken = opened.take(PHOTO_BYTES_MAX + 1).read_to_end(&mut picture)?;
            Ok(bytes.max(taken as u64))
        });
        let bytes =
            read.map_err(|source| RecordError::PictureUnreadable { path: file.to_owned(), source })?;
        if bytes > PHOTO_BYTES_MAX {
            return Err(RecordError::PictureTooLarge { bytes });
        }
        self.attach_photo(of, photo, &picture)
    }

    /// The photos of a visit or an issue with their states, oldest first.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown, or the store cannot be read.
    pub fn photos_of(&self, of: PhotoOf) -> Result<Vec<PhotoLine>, RecordError> {
        let mut records = Vec::new();
        self.store.each_of_home(self.home_of(of)?, Some(Photo::SPEC.kind), |record| {
            if is_of(&Photo::read(&record), of) {
                records.push(record);
            }
        })?;
        // Ids do not order them: two photos attached at once share a millisecond.
        records.sort_by_key(|record| record.fields().iter().map(|field| field.register.stamp).min());
        let line = |record: Record| {
            let photo = Photo::read(&record);
            let picture = photo.content_hash.and_then(|hash| self.store.picture(hash));
            Ok(PhotoLine { line: self.line(record)?, photo, state: state_of(picture) })
        };
        records.into_iter().map(line).collect()
    }

    /// The bytes of a photo's picture, verified.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn photo_bytes(&self, hash: ContentHash) -> Result<Vec<u8>, PhotoError> {
        let picture = self.store.picture(hash).filter(|picture| picture.state != PictureState::Loose);
        let picture = picture.ok_or(PhotoFileError::Missing { hash })?;
        let read = self.pictures.open(hash, picture.bytes).and_then(|file| file.read_whole());
        if let Err(error) = &read
            && error.is_final()
            && picture.is_unsent()
        {
            self.store.note_picture(hash, PictureState::Damaged)?;
        }
        Ok(read?)
    }

    /// Offers a declined picture again at the next sync.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn retry_photo(&self, hash: ContentHash) -> Result<(), PhotoError> {
        self.photo_bytes(hash)?;
        Ok(self.store.note_picture(hash, PictureState::Waiting)?)
    }

    /// Deletes a picture that no sync sends any more: one that is damaged, or that the server declined for good. The
    /// photo's record stays, here and at the server, without its picture. Attaching the same picture to the same visit
    /// or issue restores it.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, it is still to be sent or the server has it, or the folder or
    /// the store cannot be written.
    pub fn drop_photo(&self, hash: ContentHash) -> Result<(), PhotoError> {
        let _alone = self.handling_pictures();
        let picture = self.store.picture(hash).ok_or(PhotoFileError::Missing { hash })?;
        let is_given_up = match &picture.state {
            PictureState::Damaged => true,
            PictureState::Declined(decline) => retry_after_ms(decline).is_none(),
            PictureState::Loose | PictureState::Waiting | PictureState::Stored => false,
        };
        if !is_given_up {
            return Err(PhotoError::StillNeeded { hash });
        }
        // If this is interrupted from here on, the next opening completes it.
        self.store.note_picture(hash, PictureState::Loose)?;
        self.let_go(hash)
    }

    fn save_photo(
        &self,
        home: Home,
        of: PhotoOf,
        photo: &NewPhoto,
        picture: Attachment,
        media_type: MediaType,
    ) -> Result<RecordId, RecordError> {
        let outlet_index = self.outlet_index()?;
        let outlet = match home {
            Home::Outlet(outlet) => outlet_index.outlet(outlet),
            _ => None,
        };
        self.save(|recorder, random, moment| {
            let captured = Captured::at(moment.now_ms, outlet.map_or(DEFAULT_ZONE, |outlet| &outlet.zone))?;
            if let PhotoOf::Visit(visit) = of {
                let record = self.record_of(of)?;
                let visited_on = Header::read(&record).map(|header| header.business_day);
                visit_ops::check_takes_photo(visit, &Visit::read(&record), visited_on, captured.day)?;
            }
            let id = visit_ops::new_id(moment.now_ms, random);
            let form = visit_ops::photo(of, photo, outlet, picture, media_type);
            recorder.write(&Target::new(id, home), captured, &form)?;
            let Attachment { hash, bytes } = picture;
            let named_by = Some(Photo::key(id));
            let attaches = Some(Attached { hash, bytes, at_ms: moment.now_ms, named_by });
            Ok((id, Save { attaches, ..Save::default() }))
        })
    }

    fn record_of(&self, of: PhotoOf) -> Result<Record, RecordError> {
        match of {
            PhotoOf::Visit(visit) => {
                let record = self.store.record(Visit::key(visit.0))?;
                record.ok_or(RecordError::NoSuchVisit { visit })
            }
            PhotoOf::Issue(id) => {
                let key = Issue::key(id);
                self.store.record(key)?.ok_or(RecordError::NoSuchRecord { key })
            }
        }
    }

    fn home_of(&self, of: PhotoOf) -> Result<Home, RecordError> {
        Ok(self.record_of(of)?.home)
    }

    /// This person's photo of the same subject with the same picture. Another person's photo stays theirs: the server
    /// takes a picture only from the person whose record names it.
    fn photo_standing(
        &self,
        home: Home,
        of: PhotoOf,
        hash: ContentHash,
    ) -> Result<Option<RecordKey>, StoreError> {
        let person = self.identity().map(|identity| identity.person);
        let mut standing = None;
        self.store.each_of_home(home, Some(Photo::SPEC.kind), |record| {
            let photo = Photo::read(&record);
            let is_own = || Header::read(&record).map(|header| header.actor) == person;
            if is_of(&photo, of) && photo.content_hash == Some(hash) && is_own() {
                standing = Some(record.key);
            }
        })?;
        Ok(standing)
    }

    fn check_room(&self, picture: Attachment) -> Result<(), RecordError> {
        let (mut pictures, mut bytes) = (0, 0);
        self.store.each_picture(|hash, other, _| {
            if other.is_unsent() && hash != picture.hash {
                pictures += 1;
                bytes += other.bytes;
            }
        });
        if pictures >= PHOTOS_UNSENT_MAX || bytes + picture.bytes > PHOTOS_UNSENT_BYTES_MAX {
            return Err(RecordError::PicturesFull { pictures, bytes });
        }
        Ok(())
    }

    /// Removes a picture's file, then its entry in the store.
    fn let_go(&self, hash: ContentHash) -> Result<(), PhotoError> {
        self.pictures.remove(hash)?;
        Ok(self.store.forget_picture(hash)?)
    }

    /// Removes files that nobody needs: the remains of interrupted attachments, pictures that no record names, and the
    /// oldest stored pictures above the limit. Unsent pictures stay.
    pub(super) fn tidy_pictures(&self) -> Result<(), PhotoError> {
        let _alone = self.handling_pictures();
        let (mut leaving, mut stored) = (Vec::new(), Vec::new());
        self.store.each_picture(|hash, picture, _| match picture.state {
            PictureState::Loose => leaving.push(hash),
            PictureState::Stored => stored.push((picture.order, picture.bytes, hash)),
            _ => {}
        });
        stored.sort_unstable_by_key(|(order, ..)| std::cmp::Reverse(*order));
        let (mut kept, mut kept_bytes) = (0, 0);
        for (_, bytes, hash) in stored {
            (kept, kept_bytes) = (kept + 1, kept_bytes + bytes);
            if kept > PHOTOS_KEPT_MAX || kept_bytes > PHOTOS_KEPT_BYTES_MAX {
                leaving.push(hash);
            }
        }
        leaving.into_iter().try_for_each(|hash| self.let_go(hash))
    }

    /// Tidies at opening. A failure does not keep the device closed: its records matter more.
    pub(super) fn tidy_pictures_at_opening(&self) {
        let tidied = self.pictures.remove_unfinished().map_err(PhotoError::from);
        if let Err(error) = tidied.and_then(|()| self.tidy_pictures()) {
            tracing::warn!(%error, "the folder of photos could not be tidied");
        }
    }

    /// Locks the creation and removal of picture files.
    fn handling_pictures(&self) -> MutexGuard<'_, ()> {
        self.handling_pictures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of(photo: &Photo, of: PhotoOf) -> bool {
    match of {
        PhotoOf::Visit(visit) => photo.visit == Some(visit),
        PhotoOf::Issue(issue) => photo.issue == Some(issue),
    }
}

fn state_of(picture: Option<Picture>) -> PhotoState {
    let Some(Picture { sent_bytes, state, .. }) = picture else { return PhotoState::NotHere };
    match state {
        PictureState::Loose => PhotoState::NotHere,
        PictureState::Waiting => PhotoState::Waiting { sent_bytes },
        PictureState::Stored => PhotoState::Stored,
        PictureState::Damaged => PhotoState::Damaged,
        PictureState::Declined(decline) => {
            let is_tried_again = retry_after_ms(&decline).is_some();
            PhotoState::Declined { why: decline.why, message: decline.message, is_tried_again }
        }
    }
}

/// Whether a sync will send a picture automatically, now or later.
pub(super) fn is_to_be_sent(picture: &Picture, ref_state: RefState) -> bool {
    let is_sendable = match &picture.state {
        PictureState::Waiting => true,
        PictureState::Declined(decline) => retry_after_ms(decline).is_some(),
        PictureState::Loose | PictureState::Stored | PictureState::Damaged => false,
    };
    is_sendable && ref_state != RefState::Rejected
}

/// Whether a picture is offered now: its record is merged, and no backoff is running.
pub(super) fn is_due(picture: &Picture, ref_state: RefState, now_ms: i64) -> bool {
    let has_waited = match &picture.state {
        // This holds for a clock set back as well: nothing may wait for ever.
        PictureState::Declined(decline) => {
            retry_after_ms(decline).is_some_and(|after_ms| now_ms.abs_diff(decline.at_ms) >= after_ms)
        }
        _ => true,
    };
    ref_state == RefState::Merged && is_to_be_sent(picture, ref_state) && has_waited
}

/// The backoff after which a declined picture is offered again; `None` if only a person can help.
fn retry_after_ms(decline: &Decline) -> Option<u64> {
    let may_help = match decline.why {
        Refusal::Unavailable => true,
        Refusal::OutOfScope
        | Refusal::NotAWriter
        | Refusal::Invalid
        | Refusal::OtherHome
        | Refusal::NotTheAuthor => false,
        _ => decline.tries < TRIES_MAX,
    };
    let doublings = decline.tries.saturating_sub(1).min(RETRY_MS_MAX.ilog2());
    may_help.then(|| (RETRY_MS_FIRST << doublings).min(RETRY_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declined(why: Refusal, tries: u32) -> Option<u64> {
        retry_after_ms(&Decline { why, message: String::new(), tries, at_ms: 0 })
    }

    #[test]
    fn a_declined_picture_waits_longer_each_time_and_not_for_ever() {
        assert_eq!(declined(Refusal::Unavailable, 1), Some(RETRY_MS_FIRST));
        assert_eq!(declined(Refusal::Unavailable, 2), Some(2 * RETRY_MS_FIRST));
        assert_eq!(declined(Refusal::Unavailable, u32::MAX), Some(RETRY_MS_MAX), "a server comes back");
        assert_eq!(declined(Refusal::Unnamed, TRIES_MAX - 1), Some(8 * RETRY_MS_FIRST));
        assert_eq!(declined(Refusal::Unnamed, TRIES_MAX), None);
        assert_eq!(declined(Refusal::Invalid, 1), None, "what is wrong stays wrong");
    }
}
