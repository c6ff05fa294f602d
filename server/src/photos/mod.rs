//! The pictures of photos: received from devices piece by piece, verified, stored, and shown as thumbnails.
//!
//! A picture is accepted because of a record: one that is merged, names its hash and its size, and was written by the
//! person whose device offers it. For everybody else no picture is known here, stored or not.
//!
//! [`Photos::find`] and [`Photos::keep`] block briefly, on the spool alone. [`Photos::store`] makes a whole picture
//! durable, and holds neither a thread nor the writer's lock while it waits for the storage. Ignores how frames travel
//! and who may look at a photo.

mod preview;
mod spool;
mod storage;
#[cfg(test)]
mod tests;
mod verify;

pub use preview::{PreviewError, SIDE_PX as PREVIEW_SIDE_PX, make as preview_of};
pub use spool::SpoolLimits;
pub use storage::{StorageError, StorageLocation};

use crate::server::Server;
use crate::store::{Changes, Picture, PictureChanges, Preview, StoreError};
use spool::{Front, Key, Spool, SpoolError};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::{Of, Storage};
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use xundian_protocol::ids::{ContentHash, DeviceNo, PersonId};
use xundian_protocol::limits::PHOTO_BYTES_MAX;
use xundian_protocol::wire::v1::{Declined, Offer, Piece, Refusal, UploadStatus};

/// The folder for pictures in progress, inside the data folder.
pub const SPOOL_FOLDER: &str = "spool";
/// Pictures read and stored at the same time; each is in memory then. They take at most half of the threads that
/// records have.
const STORING_MAX: usize = 2;
/// Pictures decoded at the same time; one takes up to 232 MiB (measured, docs/adr/0011).
const PREVIEWS_MAX: usize = 1;
/// How long a device waits for its picture to be stored. After that it is still stored, and held at the next offer.
const STORING_PATIENCE: Duration = Duration::from_secs(30);

/// Why pictures cannot be stored or shown.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// The spool failed.
    #[error("the folder {folder} of pictures in progress cannot be used: {source}; check that it is yours")]
    Spool {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored picture is missing.
    #[error("the picture {hash} was stored and is missing from {place}: restore it from a backup")]
    Gone {
        /// The picture.
        hash: ContentHash,
        /// Its expected location.
        place: String,
    },
    /// A task was cancelled or panicked.
    #[error("a task for a photo failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The outcome of a frame about a picture.
#[derive(Debug)]
pub enum UploadStep {
    /// The answer is known at once.
    Say(Result<UploadStatus, Declined>),
    /// The picture is complete: call [`Photos::store`], then send its result.
    Store(Whole),
}

/// A picture that has arrived completely and is not stored yet.
#[derive(Debug)]
pub struct Whole(Key);

/// The pictures of a server.
pub struct Photos {
    server: Arc<Server>,
    spool: Spool,
    storage: Storage,
    storing: Semaphore,
    /// The pictures being stored, so that none is stored twice at a time.
    stored_now: Mutex<HashSet<Key>>,
    storing_ended: Notify,
    previewing: Semaphore,
}

impl Photos {
    /// Opens the spool and the storage of a data folder. The storage is not contacted yet.
    pub fn open(
        server: Arc<Server>,
        place: &StorageLocation,
        limits: SpoolLimits,
    ) -> Result<Self, PhotosError> {
        let folder = server.folder().join(SPOOL_FOLDER);
        let spool =
            Spool::open(folder.clone(), limits).map_err(|source| PhotosError::Spool { folder, source })?;
        Ok(Self {
            server,
            spool,
            storage: Storage::open(place)?,
            storing: Semaphore::new(STORING_MAX),
            stored_now: Mutex::default(),
            storing_ended: Notify::new(),
            previewing: Semaphore::new(PREVIEWS_MAX),
        })
    }

    /// The server that these pictures belong to.
    pub const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Checks whether pictures can be stored, so that a wrong setting shows at the server's start. A storage that does
    /// not answer is no error: records are served, and photos wait on the devices.
    pub async fn probe(&self) -> Result<(), StorageError> {
        match self.storage.probe().await {
            Err(error @ StorageError::Unreachable { .. }) => {
                tracing::error!("{error}; devices keep their photos until it answers");
                Ok(())
            }
            other => other,
        }
    }

    /// Answers an offer.
    pub fn find(&self, device: DeviceNo, person: PersonId, offer: Offer, now_ms: i64) -> UploadStep {
        let Offer { hash, bytes } = offer;
        let key = Key { device, hash };
        if !(1..=PHOTO_BYTES_MAX).contains(&bytes) {
            let message = format!("a photo has 1 to {PHOTO_BYTES_MAX} bytes, this one has {bytes}");
            return UploadStep::Say(Err(Declined { hash, why: Refusal::Invalid, message }));
        }
        match self.standing(person, hash, Some(bytes)) {
            Ok(PictureState::Wanted) => self.answer(key, self.spool.begin(key, bytes, now_ms).map(Some)),
            other => UploadStep::Say(told(hash, other)),
        }
    }

    /// Stores a piece in the spool.
    pub fn keep(&self, device: DeviceNo, person: PersonId, piece: &Piece, now_ms: i64) -> UploadStep {
        let key = Key { device, hash: piece.hash };
        match self.spool.keep(key, piece.from, &piece.bytes, now_ms) {
            Ok(None) => UploadStep::Say(told(key.hash, self.standing(person, key.hash, None))),
            kept => self.answer(key, kept),
        }
    }

    fn answer(&self, key: Key, front: Result<Option<Front>, SpoolError>) -> UploadStep {
        let hash = key.hash;
        match front {
            Ok(Some(front)) if front.bytes == front.of_bytes && front.hash == hash => {
                UploadStep::Store(Whole(key))
            }
            Ok(Some(front)) if front.bytes == front.of_bytes => UploadStep::Say(self.throw_away(key)),
            Ok(Some(front)) => {
                UploadStep::Say(Ok(UploadStatus { hash, bytes: front.bytes, front: front.hash }))
            }
            Ok(None) => UploadStep::Say(Ok(nothing(hash))),
            Err(error @ SpoolError::TooLarge) => {
                let thrown_away = self.throw_away(key);
                let message = error.to_string();
                UploadStep::Say(thrown_away.and(Err(Declined { hash, why: Refusal::Invalid, message })))
            }
            Err(error) => UploadStep::Say(Err(unavailable(hash, &error))),
        }
    }

    /// Discards a picture whose bytes do not match its hash.
    fn throw_away(&self, key: Key) -> Result<UploadStatus, Declined> {
        tracing::warn!("what {} sent as the picture {} is not that picture", key.device, key.hash);
        match self.spool.remove(key) {
            Ok(()) => Ok(nothing(key.hash)),
            Err(error) => Err(unavailable(key.hash, &error)),
        }
    }

    /// The state of a picture for a person: whether one of their records names it, with this size if `bytes` is given.
    fn standing(
        &self,
        person: PersonId,
        hash: ContentHash,
        bytes: Option<u64>,
    ) -> Result<PictureState, StoreError> {
        let reader = self.server.store.reader();
        if !reader.is_named_by(person, hash, bytes)? {
            return Ok(PictureState::Unnamed);
        }
        Ok(reader.picture(hash)?.map_or(PictureState::Wanted, PictureState::Stored))
    }

    /// Verifies a complete picture, makes it durable and records that it is stored. It runs to its end even if nobody
    /// waits for it any more.
    pub async fn store(self: &Arc<Self>, Whole(key): Whole) -> Result<UploadStatus, Declined> {
        let photos = Arc::clone(self);
        let storing = tokio::spawn(async move {
            while !photos.lock_stored_now().insert(key) {
                // Another session of the device stores it: wait for that and use its result.
                let ended = photos.storing_ended.notified();
                if photos.lock_stored_now().contains(&key) {
                    ended.await;
                }
            }
            let stored = photos.store_now(key).await;
            photos.lock_stored_now().remove(&key);
            photos.storing_ended.notify_waiters();
            stored
        });
        let later = "storing the photo takes long: it is not lost, try again later";
        match tokio::time::timeout(STORING_PATIENCE, storing).await {
            Ok(Ok(Ok(held))) => Ok(held),
            Ok(Ok(Err(error))) => Err(unavailable(key.hash, &error)),
            Ok(Err(error)) => Err(unavailable(key.hash, &PhotosError::Task(error))),
            Err(_) => Err(Declined { hash: key.hash, why: Refusal::Unavailable, message: later.into() }),
        }
    }

    async fn store_now(self: &Arc<Self>, key: Key) -> Result<UploadStatus, PhotosError> {
        let hash = key.hash;
        // The semaphore is never closed; without a permit more would be in memory at a time.
        let _permit = self.storing.acquire().await.ok();
        let photos = Arc::clone(self);
        let found = spawn_blocking(move || photos.verified(key)).await??;
        let bytes = match found {
            Verified::Stored(held) => return Ok(held),
            Verified::Wrong => return Ok(nothing(hash)),
            Verified::Right(bytes) => bytes,
        };
        let size = bytes.len() as u64;
        self.storage.put(Of::Picture, hash, bytes).await?;
        let photos = Arc::clone(self);
        spawn_blocking(move || {
            photos.note(Picture { hash, bytes: size, preview: Preview::Untried }, false)?;
            // A file left behind is swept later; the picture is stored in any case.
            if let Err(error) = photos.spool.remove(key) {
                tracing::warn!(
                    "the picture {hash} is stored, and what came of it stays in the spool: {error}"
                );
            }
            Ok::<_, PhotosError>(())
        })
        .await??;
        Ok(UploadStatus { hash, bytes: size, front: hash })
    }

    /// Reads a complete picture from the spool, and hashes the bytes read: exactly these go into the storage.
    fn verified(&self, key: Key) -> Result<Verified, PhotosError> {
        let hash = key.hash;
        if let Some(stored) = self.server.store.reader().picture(hash)? {
            if let Err(error) = self.spool.remove(key) {
                tracing::warn!("the picture {hash} is stored already, and stays in the spool: {error}");
            }
            return Ok(Verified::Stored(UploadStatus { hash, bytes: stored.bytes, front: hash }));
        }
        let spool = |error| {
            let source =
                if let SpoolError::Disk(source) = error { source } else { std::io::Error::other(error) };
            PhotosError::Spool { folder: self.spool.folder().to_path_buf(), source }
        };
        let bytes = self.spool.read(key).map_err(spool)?;
        if ContentHash::of(&bytes) == hash {
            return Ok(Verified::Right(bytes));
        }
        tracing::error!(
            "the picture {hash} of {} was damaged in the spool and is asked for again",
            key.device
        );
        self.spool.remove(key).map_err(spool)?;
        Ok(Verified::Wrong)
    }

    fn note(&self, picture: Picture, may_be_lost: bool) -> Result<(), StoreError> {
        let changes = Changes {
            pictures: PictureChanges { stored: vec![picture], ..PictureChanges::default() },
            may_be_lost,
            ..Changes::default()
        };
        self.server.change(|_| Ok((changes, ())))
    }

    /// A picture, if it is stored.
    pub fn stored(&self, hash: ContentHash) -> Result<Option<Picture>, StoreError> {
        self.server.store.reader().picture(hash)
    }

    /// The bytes of a stored picture.
    pub async fn read(&self, hash: ContentHash) -> Result<Vec<u8>, PhotosError> {
        let gone = || PhotosError::Gone { hash, place: self.storage.location().to_string() };
        self.storage.get(Of::Picture, hash).await?.ok_or_else(gone)
    }

    /// The thumbnail of a stored picture; `None` if there cannot be one. It is made at the first request.
    pub async fn preview(self: &Arc<Self>, hash: ContentHash) -> Result<Option<Vec<u8>>, PhotosError> {
        if let Some(known) = self.known_preview(hash).await? {
            return Ok(known);
        }
        let _permit = self.previewing.acquire().await.ok();
        // Another request may have made it meanwhile.
        if let Some(known) = self.known_preview(hash).await? {
            return Ok(known);
        }
        let picture = self.read(hash).await?;
        let bytes = picture.len() as u64;
        // A decoder that panics has met a picture that it cannot decode.
        let made = match spawn_blocking(move || preview::make(&picture)).await {
            Ok(Ok(made)) => Some(made),
            Ok(Err(error)) => {
                tracing::info!("the picture {hash} has no thumbnail: {error}");
                None
            }
            Err(error) => {
                tracing::error!("the picture {hash} has no thumbnail: {error}");
                None
            }
        };
        if let Some(made) = &made {
            self.storage.put(Of::Preview, hash, made.clone()).await?;
        }
        let preview = if made.is_some() { Preview::Made } else { Preview::Impossible };
        let photos = Arc::clone(self);
        // If a power cut loses this, the thumbnail is made again.
        spawn_blocking(move || photos.note(Picture { hash, bytes, preview }, true)).await??;
        Ok(made)
    }

    /// The thumbnail, or that there cannot be one, if that is known; `None` if it must be made.
    async fn known_preview(
        self: &Arc<Self>,
        hash: ContentHash,
    ) -> Result<Option<Option<Vec<u8>>>, PhotosError> {
        let photos = Arc::clone(self);
        match spawn_blocking(move || photos.stored(hash)).await??.map(|picture| picture.preview) {
            Some(Preview::Impossible) | None => Ok(Some(None)),
            Some(Preview::Made) => Ok(self.storage.get(Of::Preview, hash).await?.map(Some)),
            Some(Preview::Untried) => Ok(None),
        }
    }

    /// Removes pictures in progress that were not touched for days, and the remains of interrupted puts.
    pub fn sweep(&self, now_ms: i64) {
        match self.spool.sweep(now_ms) {
            Ok(0) => {}
            Ok(swept) => tracing::info!("{swept} photos that never came whole were removed from the spool"),
            Err(error) => tracing::error!("the spool of photos cannot be swept: {error}"),
        }
        match self.storage.sweep(now_ms) {
            Ok(0) => {}
            Ok(swept) => tracing::info!("{swept} files of photos that were half put were removed"),
            Err(error) => tracing::error!("the photos cannot be swept: {error}"),
        }
    }

    fn lock_stored_now(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.stored_now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of a picture for a person.
enum PictureState {
    /// None of their records names it.
    Unnamed,
    /// It is named and not stored.
    Wanted,
    /// It is stored.
    Stored(Picture),
}

/// The spool's content under the name of a picture.
enum Verified {
    /// The same picture is stored already.
    Stored(UploadStatus),
    /// Other bytes; they were discarded.
    Wrong,
    /// The picture.
    Right(Vec<u8>),
}

fn told(hash: ContentHash, standing: Result<PictureState, StoreError>) -> Result<UploadStatus, Declined> {
    match standing {
        Ok(PictureState::Stored(Picture { bytes, .. })) => Ok(UploadStatus { hash, bytes, front: hash }),
        Ok(PictureState::Wanted) => Ok(nothing(hash)),
        Ok(PictureState::Unnamed) => {
            let message =
                "no record of yours that the server holds names this picture: send its record first";
            Err(Declined { hash, why: Refusal::Unnamed, message: message.into() })
        }
        Err(error) => Err(unavailable(hash, &error)),
    }
}

fn nothing(hash: ContentHash) -> UploadStatus {
    UploadStatus { hash, bytes: 0, front: ContentHash::of(b"") }
}

/// The device keeps the picture and retries. The internal error goes to the log only.
fn unavailable(hash: ContentHash, error: &(dyn std::error::Error + 'static)) -> Declined {
    let message = match error.downcast_ref::<SpoolError>() {
        Some(error) => error.to_string(),
        None => "the server cannot store photos at this moment: nothing was lost, try again later".into(),
    };
    match std::iter::successors(Some(error), |error| error.source()).last() {
        Some(cause) => tracing::error!(%cause, "the picture {hash} was not taken: {error}"),
        None => tracing::error!("the picture {hash} was not taken: {error}"),
    }
    Declined { hash, why: Refusal::Unavailable, message }
}
