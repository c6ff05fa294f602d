//! Photos for apps: attaching, showing and sending them.

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

/// What a photo is of.
#[uniffi::remote(Enum)]
pub enum PhotoOf {
    /// A visit.
    Visit(VisitId),
    /// An issue.
    Issue(RecordId),
}

/// What a new photo shows, and how far it proves that.
#[uniffi::remote(Record)]
pub struct NewPhoto {
    /// What it shows.
    pub subject: PhotoSubject,
    /// Whether the app's camera took it just now, or it was chosen from the gallery.
    pub source: PhotoSource,
    /// When it was taken, Unix milliseconds: by the device's clock, or by what a chosen picture says of itself.
    #[uniffi(default)]
    pub taken_at_ms: Option<i64>,
    /// Where the device was when the app's camera took it.
    #[uniffi(default)]
    pub fix: Option<GpsFix>,
    /// A remark.
    #[uniffi(default)]
    pub note: Option<String>,
}

/// Where a photo's picture stands.
#[derive(Clone, PartialEq, Eq, Debug, uniffi::Enum)]
pub enum PhotoState {
    /// It waits on this device.
    Waiting {
        /// Bytes of it that the server holds, as far as this device knows.
        sent_bytes: u64,
    },
    /// The server has it, whole and verified.
    Stored,
    /// The server did not take it.
    Declined {
        /// Why.
        why: Refusal,
        /// The same in Chinese.
        message_zh: String,
        /// The same as the server put it.
        message: String,
        /// Whether it is offered again by itself. If not, `retry_photo` does, and `drop_photo` gives it up.
        is_tried_again: bool,
    },
    /// Its file on this device is damaged or gone, and the server does not have it. Attaching the same picture
    /// again mends it.
    Damaged,
    /// It is not on this device: another one took it, or the server has it and it has made room here.
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

/// A photo, and where it stands.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct PhotoLine {
    /// Its id.
    pub id: RecordId,
    /// Who took it and when; none where the record lacks it.
    pub header: Option<Header>,
    /// What its record says; `content_hash` names its picture.
    pub photo: Photo,
    /// Where its record stands.
    pub save_state: SaveState,
    /// Where its picture stands.
    pub state: PhotoState,
}

impl From<client::PhotoLine> for PhotoLine {
    fn from(line: client::PhotoLine) -> Self {
        let client::PhotoLine { line, photo, state } = line;
        let header = Header::read(&line.record);
        Self { id: line.record.key.id, header, photo, save_state: line.state, state: state.into() }
    }
}

/// What became of the pictures in a sync.
#[uniffi::remote(Record)]
pub struct PhotoReport {
    /// Pictures that the server now has, whole and verified.
    pub stored: u64,
    /// Pictures that it did not take this time.
    pub declined: u64,
    /// Pictures whose files were found to be damaged or gone. Attaching the same pictures again mends them.
    pub damaged: u64,
    /// Bytes of pictures that were handed to the network.
    pub bytes_sent: u64,
    /// Pictures that wait for another sync.
    pub waiting: u64,
}

/// Photos.
#[uniffi::export]
impl Client {
    /// Attaches a photo to a visit or an issue, in one save. The picture is sent by the next sync, after all records. A
    /// visit takes photos while it is open, and after its end until its day is over. The same picture of the same visit
    /// or issue is one photo. Returns its id.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown or too long ago, the bytes are no picture or too many, too
    /// many pictures wait, or the folder cannot be written. Nothing is left behind then.
    pub fn attach_photo(
        &self,
        of: PhotoOf,
        photo: NewPhoto,
        picture: Vec<u8>,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.attach_photo(of, &photo, &picture))
    }

    /// The same with the picture from a file, which is copied.
    ///
    /// # Errors
    /// As `attach_photo`, and where the file cannot be read.
    pub fn attach_photo_file(
        &self,
        of: PhotoOf,
        photo: NewPhoto,
        file: String,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.attach_photo_file(of, &photo, Path::new(&file)))
    }

    /// The photos of a visit or an issue, oldest first, and where each of them stands.
    ///
    /// # Errors
    /// Returns an error if the visit or issue is unknown, or the store cannot be read.
    pub fn photos_of(&self, of: PhotoOf) -> Result<Vec<PhotoLine>, ClientError> {
        Ok(self.core()?.photos_of(of)?.into_iter().map(PhotoLine::from).collect())
    }

    /// The bytes of a photo's picture, verified.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn photo_bytes(&self, picture: ContentHash) -> Result<Vec<u8>, ClientError> {
        Ok(self.core()?.photo_bytes(picture)?)
    }

    /// Offers a picture again that the server did not take, at the next sync.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, or its file is damaged or cannot be read.
    pub fn retry_photo(&self, picture: ContentHash) -> Result<(), ClientError> {
        self.core()?.retry_photo(picture)?;
        self.changes.note();
        Ok(())
    }

    /// Lets go of a picture that no sync sends any more: one that is damaged, or that the server did not take for good.
    /// The photo's record stays without it. Attaching the same picture again brings it back.
    ///
    /// # Errors
    /// Returns an error if this device does not have it, it is still to be sent or the server has it, or the folder
    /// cannot be written.
    pub fn drop_photo(&self, picture: ContentHash) -> Result<(), ClientError> {
        self.core()?.drop_photo(picture)?;
        self.changes.note();
        Ok(())
    }

    /// A sync without the pictures, as for a network that costs by the byte.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn sync_records(
        &self,
        observer: Option<Arc<dyn ProgressObserver>>,
    ) -> Result<SyncReport, ClientError> {
        let (core, leaving) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.given_up.run(leaving, async move { Ok(core.sync_records(&mut progress).await?) }).await
    }

    /// Sends the pictures that wait, after the records that wait, and fetches nothing. Where nothing waits no
    /// connection is made.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn send_photos(
        &self,
        observer: Option<Arc<dyn ProgressObserver>>,
    ) -> Result<PhotoReport, ClientError> {
        let (core, leaving) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.given_up.run(leaving, async move { Ok(core.send_photos(&mut progress).await?) }).await
    }
}
