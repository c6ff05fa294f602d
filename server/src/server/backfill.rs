//! Kinds that this server has learnt since the folder was last opened. It may hold records of them from newer apps;
//! they are counted from now on (docs/adr/0012).

use super::plan_counts;
use crate::ingest::{ChangedRecord, FigureChanges};
use crate::store::{Changes, CountedKinds, MetaChanges, Store, StoreError};
use xundian_protocol::access::Directory;
use xundian_protocol::ids::KindId;
use xundian_protocol::kinds;

/// Records counted in one commit.
const AT_ONCE: usize = 1_000;

/// Counts the records of kinds that are new to this server, in as many commits as needed. After an interruption it
/// resumes from the last one.
pub(super) fn backfill_kinds(store: &Store, directory: &Directory) -> Result<(), StoreError> {
    while backfill(store, directory, AT_ONCE)? {}
    Ok(())
}

/// Counts the next records of the first new kind. Returns whether there may be more.
pub(crate) fn backfill(store: &Store, directory: &Directory, at_once: usize) -> Result<bool, StoreError> {
    let reader = store.reader();
    let before = reader.counted_kinds()?;
    let Some(kind) = kinds::known().map(|spec| spec.kind).find(|kind| !before.kinds.contains(kind)) else {
        return Ok(false);
    };
    let mut backfilled = Vec::new();
    for stored in reader.records_after(kind, before.under_way).take(at_once) {
        // Until now it had no derived facts.
        backfilled.push(ChangedRecord { old: None, new: stored?.record, echo: false });
    }
    let under_way = backfilled.last().map(|last| last.new.key.id);
    let kinds: Vec<KindId> = before.kinds.into_iter().chain(under_way.is_none().then_some(kind)).collect();
    let mut changes = Changes::from(MetaChanges {
        counted_kinds: Some(CountedKinds { kinds, under_way }),
        ..MetaChanges::default()
    });
    plan_counts(&reader, &backfilled, directory, FigureChanges::default(), &mut changes)?;
    store.commit(&changes)?;
    Ok(true)
}
