//! Which pictures records name. A picture is taken for the sake of a record alone, so this is kept in the same commit
//! as the record.

use super::ChangedRecord;
use crate::store::BlobRef;
use std::collections::BTreeMap;
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::Record;

/// The pictures that a record names. One that tells no author names none: nobody could send it.
pub(crate) fn blob_refs(record: &Record) -> Vec<BlobRef> {
    let (Some(spec), Some(header)) = (kinds::spec(record.key.kind), Header::read(record)) else {
        return Vec::new();
    };
    let named = (spec.attachments)(record).into_iter();
    named
        .map(|picture| BlobRef {
            hash: picture.hash,
            author: header.actor,
            bytes: picture.bytes,
            record: record.key,
        })
        .collect()
}

/// What changed records name now (true) and no longer.
pub(crate) fn plan_blob_refs(changed: &[ChangedRecord]) -> BTreeMap<BlobRef, bool> {
    let mut moved = BTreeMap::new();
    for change in changed {
        let before = change.old.iter().flat_map(|old| blob_refs(&old.record));
        moved.extend(before.map(|blob_ref| (blob_ref, false)));
        for blob_ref in blob_refs(&change.new) {
            // What was named before stays as it is.
            if moved.insert(blob_ref, true) == Some(false) {
                moved.remove(&blob_ref);
            }
        }
    }
    moved
}
