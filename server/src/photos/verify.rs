//! Checks that the stored pictures are really in the storage.

use super::storage::Of;
use super::{Photos, PhotosError};
use crate::store::{Picture, PictureRow, StoreError};
use crate::verify::VerifyReport;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use xundian_protocol::ids::ContentHash;

impl Photos {
    /// Looks for every stored picture in the storage, and adds missing ones and those of another size to a report; with
    /// `reads`, also those with other bytes. Pictures are read one by one, so it may run while devices sync.
    pub async fn check(self: &Arc<Self>, reads: bool, report: &mut VerifyReport) -> Result<(), PhotosError> {
        for first in 0..=u8::MAX {
            let photos = Arc::clone(self);
            // The index is read before the storage, so that a picture stored meanwhile is not reported.
            let stored = spawn_blocking(move || photos.stored_from(first)).await??;
            if stored.is_empty() {
                continue;
            }
            let there: HashMap<ContentHash, u64> = self.storage.list(first).await?.into_iter().collect();
            for Picture { hash, bytes, .. } in stored {
                let damage = match there.get(&hash) {
                    None => Some("is gone".into()),
                    Some(found) if *found != bytes => Some(format!("has {found} bytes and had {bytes}")),
                    Some(_) if reads => self.damage(hash).await?,
                    Some(_) => None,
                };
                if let Some(damage) = damage {
                    report.pictures_damaged += 1;
                    report.find(|| format!("the picture {hash} in {} {damage}", self.storage.location()));
                }
            }
        }
        Ok(())
    }

    async fn damage(&self, hash: ContentHash) -> Result<Option<String>, PhotosError> {
        let Some(bytes) = self.storage.get(Of::Picture, hash).await? else {
            return Ok(Some("is gone".into()));
        };
        let found = spawn_blocking(move || ContentHash::of(&bytes)).await?;
        Ok((found != hash).then(|| "holds other bytes than were stored".into()))
    }

    /// The stored pictures whose hash begins with a byte.
    fn stored_from(&self, first: u8) -> Result<Vec<Picture>, StoreError> {
        let reader = self.server.store.reader();
        let stored = |row| match row {
            Ok(PictureRow::Stored(picture)) => Some(Ok(picture)),
            Ok(PictureRow::Named(_)) => None,
            Err(error) => Some(Err(error)),
        };
        reader.pictures(Some(first)).filter_map(stored).collect()
    }
}
