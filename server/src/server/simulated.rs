//! A server on a simulated disk.

use super::{OpenError, Server};
use crate::authority::Authority;
use crate::store::{Disk, Reader, Store};
use std::path::Path;
use std::sync::Arc;
use xundian_protocol::ids::FeedEpoch;

impl Server {
    /// Opens a server on a simulated disk, in an epoch that no other opening has had. `folder` is for its pictures
    /// alone.
    pub fn simulated(
        disk: Arc<dyn Disk>,
        folder: &Path,
        authority: Arc<Authority>,
        epoch: FeedEpoch,
    ) -> Result<Self, OpenError> {
        Self::on(folder, Store::simulated(disk)?, authority, None, epoch)
    }

    /// A snapshot of the store, for inspection.
    pub fn reader(&self) -> Reader<'_> {
        self.store.reader()
    }
}
