//! Opening a data folder.

use super::Server;
use super::backfill::backfill_kinds;
use super::folder_lock::FolderLock;
use super::open_error::OpenError;
use super::writer_clock::WriterClock;
use crate::authority::Authority;
use crate::disk;
use crate::ingest::blob_refs;
use crate::store::{Changes, MetaChanges, Reader, Store, StoreError, StoredRecord};
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::broadcast;
use xundian_protocol::access::Directory;
use xundian_protocol::ids::FeedEpoch;

impl Server {
    /// Opens the server of a data folder, or creates a new one there.
    pub fn open(data: &Path, now_ms: i64) -> Result<Self, OpenError> {
        let io = |source| OpenError::Folder { folder: data.to_path_buf(), source };
        // The content belongs to the company alone: keys, passwords, everybody's day.
        disk::make_private_folder(data).map_err(io)?;
        let lock = FolderLock::take(data)?;
        let store = Store::open(&data.join("store"))?;
        let authority = Authority::open_or_create(&data.join("authority"), now_ms)?;
        Self::on(data, store, Arc::new(authority), Some(lock), FeedEpoch(rand::random()))
    }

    /// The server of an open store, in a new epoch of its feed.
    pub(super) fn on(
        folder: &Path,
        store: Store,
        authority: Arc<Authority>,
        lock: Option<FolderLock>,
        epoch: FeedEpoch,
    ) -> Result<Self, OpenError> {
        if store.is_of_format_before()? {
            note_blob_refs(&store)?;
        }
        let reader = store.reader();
        let mut directory = Directory::default();
        let clock = WriterClock::resume(reader.clock()?);
        for stored in Self::organisation(&reader) {
            directory.apply(&stored?.record);
        }
        let mut epochs = reader.epochs()?;
        epochs.begin(epoch, reader.feed_head()?);
        drop(reader);
        store.commit(&MetaChanges { epochs: Some(epochs.clone()), ..MetaChanges::default() }.into())?;
        backfill_kinds(&store, &directory)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            store,
            authority,
            directory: RwLock::new(Arc::new(directory)),
            epochs,
            writer: Mutex::new(clock),
            repairing: Mutex::new(()),
            revoked: broadcast::Sender::new(64),
            _lock: lock,
        })
    }

    fn organisation(reader: &Reader<'_>) -> impl Iterator<Item = Result<StoredRecord, StoreError>> {
        let kinds = xundian_protocol::kinds::ALL.iter().map(|spec| spec.kind);
        kinds.filter(|kind| Directory::concerns(*kind)).flat_map(|kind| reader.records(Some(kind)))
    }
}

/// Adds the blob refs of all records, which the present format has. After an interruption it starts again.
fn note_blob_refs(store: &Store) -> Result<(), StoreError> {
    const AT_ONCE: usize = 10_000;
    let reader = store.reader();
    let mut changes = Changes::default();
    for stored in reader.records(None) {
        changes
            .pictures
            .blob_refs
            .extend(blob_refs(&stored?.record).into_iter().map(|blob_ref| (blob_ref, true)));
        if changes.pictures.blob_refs.len() >= AT_ONCE {
            store.commit(&std::mem::take(&mut changes))?;
        }
    }
    store.commit(&changes)?;
    store.note_format()
}
