//! The simulated server: the real server on a simulated disk, with a clock that may jump.

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

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum SiteError {
    #[error(transparent)]
    Server(#[from] OpenError),
    #[error(transparent)]
    Photos(#[from] PhotosError),
}

/// Returns the rows of a new store of a release: the list of kinds that its figures count. Without this list the server
/// assumes the kinds 1 to 16.
fn folder_of(release: Release) -> ServerRows {
    let known: Vec<u16> = release.run(|| kinds::known().map(|spec| spec.kind.0).collect());
    let count = u16::try_from(known.len()).unwrap_or(u16::MAX);
    let note = [vec![count], known].concat().into_iter().flat_map(u16::to_be_bytes).collect();
    ServerRows::from([((Table::Meta, b"counted_in".to_vec()), note)])
}

/// A server with its disk and its clock.
pub(super) struct Site {
    parts: Arc<Parts>,
    pub(super) disk: Arc<ServerDisk>,
    /// The folder of its pictures.
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

    /// Starts it. How many of the commits that may be lost remain differs from start to start.
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

    /// Backs up its disk. Pictures are stored elsewhere.
    pub(super) fn back_up(&mut self) {
        self.backup = self.disk.rows();
    }

    /// Stops it and replaces its disk by a new one with the backup.
    pub(super) fn restore(&mut self) {
        self.go_down();
        self.disk = Arc::new(ServerDisk::holding(self.backup.clone()));
    }

    /// Removes all future power cuts.
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
