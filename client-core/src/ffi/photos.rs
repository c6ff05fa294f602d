//! Photos for apps: attaching, reading and sending them.

use std::path::Path;
use std::sync::Arc;

use xundian_protocol::ids::{ContentHash, RecordId, VisitId};
use xundian_protocol::kinds::{Header, Photo, PhotoSource, PhotoSubject};
use xundian_protocol::wire::v1::Refusal;

use super::client::Client;
use super::errors::ClientError;
use super::network::ProgressObserver;
use crate::client::{self, PhotoReport, SyncReport};
use crate::store::SaveState;
use crate::visit_ops::{GpsFix, NewPhoto, PhotoOf};

/// The visit or issue that a photo belongs to.
#[uniffi::remote(Enum)]
pub enum PhotoOf {
    /// A visit.
    Visit(VisitId),
    /// An issue.
    Issue(RecordId),
}

/// The particulars of a new photo.
#[uniffi::remote(Record)]
pub struct NewPhoto {
    /// What it shows.
    pub subject: PhotoSubject,
    /// Whether the app's camera took it just now, or it was chosen from the gallery.
    pub source: PhotoSource,
    /// When it was taken, Unix milliseconds: by the device's clock, or by a chosen picture's own metadata.
    #[uniffi(default)]
    pub taken_at_ms: Option<i64>,
    /// Where it was taken, if by the app's camera.
    #[uniffi(default)]
    pub fix: Option<GpsFix>,
    /// A remark.
    #[uniffi(default)]
    pub note: Option<String>,
}

/// The state of a photo's picture.
#[derive(Clone, PartialEq, Eq, Debug, uniffi::Enum)]
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
        /// The reason in Chinese.
        message_zh: String,
        /// The reason in the server's words.
        message: String,
        /// Whether it is offered again automatically. If not, `retry_photo` does so, and `drop_photo` deletes it.
        is_tried_again: bool,
    },
    /// Its file on this device is damaged or missing, and the server does not have it. Attaching the same picture again
    /// repairs it.
    Damaged,
    /// It is not on this device: another device took it, or the server has it and the local file was evicted.
    NotHere,
}

impl From<client::PhotoState> for PhotoState {
    fn from(state: client::PhotoState) -> Self {
        match state {
            client::PhotoState::Waiting { sent_bytes } => Self::Waiting { sent_bytes },
            client::PhotoState::Stored => Self::Stored,
            client::PhotoState::Declined { why, message, is_tried_again } => {
                let message_zh = super::messages_zh::refusal(why).to_owned();
                Self::Declined { why, message_zh, message, is_tried_again }
            }
            client::PhotoState::Damaged => Self::Damaged,
            client::PhotoState::NotHere => Self::NotHere,
        }
    }
}

/// A photo and its picture's state.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct PhotoLine {
    /// Its id.
    pub id: RecordId,
    /// Who took it and when; none if the record lacks it.
    pub header: Option<Header>,
    /// The record's fields; `content_hash` names its picture.
    pub photo: Photo,
    /// The record's save state.
    pub save_state: SaveState,
    /// The picture's state.
    pub state: PhotoState,
}

impl From<client::PhotoLine> for PhotoLine {
    fn from(line: client::PhotoLine) -> Self {
        let client::PhotoLine { line, photo, state } = line;
        let header = Header::read(&line.record);
        Self { id: line.record.key.id, header, photo, save_state: line.state, state: state.into() }
    }
}

/// The outcome of the pictures of a sync.
#[uniffi::remote(Record)]
pub struct PhotoReport {
    /// Pictures that the server has stored and verified.
    pub stored: u64,
    /// Pictures that it declined this time.
    pub declined: u64,
    /// Pictures whose files are damaged or missing. Attaching the same pictures again repairs them.
    pub damaged: u64,
    /// Bytes of pictures handed to the network.
    pub bytes_sent: u64,
    /// Pictures that wait for another sync.
    pub waiting: u64,
}

/// Photos.
#[uniffi::export]
impl Client {
    /// Attaches a photo to a visit or an issue, in one save. The next sync sends the picture, after all records. A
    /// visit takes photos while it is open, and after its end until its day is over. The same picture of the same visit
    /// or issue is one photo. Returns its id.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown or too old, the bytes are not a picture or too many, too many
    /// pictures are unsent, or the folder cannot be written. Nothing is left behind then.
    pub fn attach_photo(
        &self,
        of: PhotoOf,
        photo: NewPhoto,
        picture: Vec<u8>,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.attach_photo(of, &photo, &picture))
    }

    /// Like `attach_photo`, with the picture copied from a file.
    ///
    /// # Errors
    /// As `attach_photo`, and if the file cannot be read.
    pub fn attach_photo_file(
        &self,
        of: PhotoOf,
        photo: NewPhoto,
        file: String,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.attach_photo_file(of, &photo, Path::new(&file)))
    }

    /// Returns the photos of a visit or an issue with their states, oldest first.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown, or the store cannot be read.
    pub fn photos_of(&self, of: PhotoOf) -> Result<Vec<PhotoLine>, ClientError> {
        Ok(self.core()?.photos_of(of)?.into_iter().map(PhotoLine::from).collect())
    }

    /// Returns the bytes of a photo's picture, verified against its hash.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn photo_bytes(&self, picture: ContentHash) -> Result<Vec<u8>, ClientError> {
        Ok(self.core()?.photo_bytes(picture)?)
    }

    /// Offers a declined picture again at the next sync.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn retry_photo(&self, picture: ContentHash) -> Result<(), ClientError> {
        self.core()?.retry_photo(picture)?;
        self.changes.note();
        Ok(())
    }

    /// Deletes a picture that no sync sends any more: one that is damaged, or that the server declined for good. The
    /// photo's record stays without it. Attaching the same picture again restores it.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, it is still to be sent or the server has it, or the folder
    /// cannot be written.
    pub fn drop_photo(&self, picture: ContentHash) -> Result<(), ClientError> {
        self.core()?.drop_photo(picture)?;
        self.changes.note();
        Ok(())
    }

    /// Syncs the records without the pictures, for a metered network.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn sync_records(
        &self,
        observer: Option<Arc<dyn ProgressObserver>>,
    ) -> Result<SyncReport, ClientError> {
        let (core, backgrounded) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.abandoned.run(backgrounded, async move { Ok(core.sync_records(&mut progress).await?) }).await
    }

    /// Sends the unsent pictures, after the unsent ops, and fetches nothing. If nothing is unsent, no connection is
    /// made.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn send_photos(
        &self,
        observer: Option<Arc<dyn ProgressObserver>>,
    ) -> Result<PhotoReport, ClientError> {
        let (core, backgrounded) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.abandoned.run(backgrounded, async move { Ok(core.send_photos(&mut progress).await?) }).await
    }
}
