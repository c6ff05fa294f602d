//! Which pictures records refer to. A picture is accepted only because a record names it, so the references are
//! committed with the record.

use super::ChangedRecord;
use crate::store::BlobRef;
use std::collections::BTreeMap;
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::Record;

/// The pictures that a record refers to. A record without an author refers to none, because nobody could send them.
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

/// The references that changed records add (true) or remove.
pub(crate) fn plan_blob_refs(changed: &[ChangedRecord]) -> BTreeMap<BlobRef, bool> {
    let mut moved = BTreeMap::new();
    for change in changed {
        let before = change.old.iter().flat_map(|old| blob_refs(&old.record));
        moved.extend(before.map(|blob_ref| (blob_ref, false)));
        for blob_ref in blob_refs(&change.new) {
            // A reference that existed before stays as it is.
            if moved.insert(blob_ref, true) == Some(false) {
                moved.remove(&blob_ref);
            }
        }
    }
    moved
}
