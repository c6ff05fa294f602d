//! The server of a simulation: the real one on a simulated disk, with a clock that may jump.

use std::path::PathBuf;
use std::sync::Arc;

use super::release::Release;
use xundian_protocol::ids::FeedEpoch;
use xundian_protocol::kinds;
use xundian_server::photos::{Photos, PhotosError, SpoolLimits, StorageLocation};
use xundian_server::store::Table;
use xundian_server::{OpenError, Server};

use super::disk::{ServerDisk, ServerRows};
use super::parts::Parts;

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum SiteError {
    #[error(transparent)]
    Server(#[from] OpenError),
    #[error(transparent)]
    Photos(#[from] PhotosError),
}

/// A new folder of a release. One without a note of the kinds that count is of a release that knew all of the first.
fn folder_of(release: Release) -> ServerRows {
    let known: Vec<u16> = release.run(|| kinds::known().map(|spec| spec.kind.0).collect());
    let count = u16::try_from(known.len()).unwrap_or(u16::MAX);
    let note = [vec![count], known].concat().into_iter().flat_map(u16::to_be_bytes).collect();
    ServerRows::from([((Table::Meta, b"counted_in".to_vec()), note)])
}

/// A server and its disk.
pub(super) struct Site {
    parts: Arc<Parts>,
    pub(super) disk: Arc<ServerDisk>,
    /// For its pictures.
    folder: PathBuf,
    up: Option<(Arc<Server>, Arc<Photos>)>,
    pub(super) release: Release,
    backup: ServerRows,
    now_ms: i64,
    offset_ms: i64,
    boots: u32,
}

impl Site {
    pub(super) fn new(parts: Arc<Parts>, folder: PathBuf, release: Release) -> Self {
        Self {
            parts,
            disk: Arc::new(ServerDisk::holding(folder_of(release))),
            folder,
            up: None,
            release,
            backup: ServerRows::new(),
            now_ms: 0,
            offset_ms: 0,
            boots: 0,
        }
    }

    /// Starts it. Of what a power cut may take back, it takes something else each time.
    pub(super) fn boot(&mut self) -> Result<(), SiteError> {
        self.boots += 1;
        self.disk.power_on(self.boots as usize % 3);
        let disk = Arc::clone(&self.disk) as Arc<dyn xundian_server::store::Disk>;
        let mut epoch = [0; 16];
        epoch[..4].copy_from_slice(&self.boots.to_be_bytes());
        let authority = Arc::clone(&self.parts.authority);
        let open = || Server::simulated(disk, &self.folder, authority, FeedEpoch(epoch));
        let server = self.release.run(open)?;
        let server = Arc::new(server);
        let place = StorageLocation::Folder(self.folder.join("pictures"));
        let photos = Photos::open(Arc::clone(&server), &place, SpoolLimits::default())?;
        self.up = Some((server, Arc::new(photos)));
        Ok(())
    }

    pub(super) fn go_down(&mut self) {
        self.up = None;
    }

    /// Lays aside what is on its disk. Pictures are kept elsewhere.
    pub(super) fn back_up(&mut self) {
        self.backup = self.disk.rows();
    }

    /// Puts the backup on a new disk, and is down.
    pub(super) fn restore(&mut self) {
        self.go_down();
        self.disk = Arc::new(ServerDisk::holding(self.backup.clone()));
    }

    /// No power cut is to come any more.
    pub(super) fn disarm(&self) {
        self.disk.disarm();
    }

    pub(super) const fn is_up(&self) -> bool {
        self.up.is_some()
    }

    pub(super) fn up(&self) -> Option<(Arc<Server>, Arc<Photos>)> {
        self.up.clone()
    }

    pub(super) fn server(&self) -> Option<Arc<Server>> {
        self.up.as_ref().map(|(server, _)| Arc::clone(server))
    }

    pub(super) const fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    pub(super) const fn now_ms(&self) -> i64 {
        self.now_ms + self.offset_ms
    }

    pub(super) const fn jump(&mut self, by_ms: i64) {
        self.offset_ms += by_ms;
    }
}
