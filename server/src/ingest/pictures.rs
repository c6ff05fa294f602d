//! Which pictures records name. A picture is taken for the sake of a record alone, so this is kept in the same commit
//! as the record.

use super::ChangedRecord;
use crate::store::Naming;
use std::collections::BTreeMap;
use xundian_protocol::kinds::{self, Header};
use xundian_protocol::record::Record;

/// The pictures that a record names. One that tells no author names none: nobody could send it.
pub(crate) fn namings(record: &Record) -> Vec<Naming> {
    let (Some(spec), Some(header)) = (kinds::spec(record.key.kind), Header::read(record)) else {
        return Vec::new();
    };
    let named = (spec.attachments)(record).into_iter();
    named
        .map(|picture| Naming {
            hash: picture.hash,
            author: header.actor,
            bytes: picture.bytes,
            record: record.key,
        })
        .collect()
}

/// What changed records name now (true) and no longer.
pub(crate) fn plan_namings(changed: &[ChangedRecord]) -> BTreeMap<Naming, bool> {
    let mut moved = BTreeMap::new();
    for change in changed {
        let before = change.old.iter().flat_map(|old| namings(&old.record));
        moved.extend(before.map(|naming| (naming, false)));
        for naming in namings(&change.new) {
            // What was named before stays as it is.
            if moved.insert(naming, true) == Some(false) {
                moved.remove(&naming);
            }
        }
    }
    moved
}
