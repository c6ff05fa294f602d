//! Loads what the plan of conflicts reads.

use super::drafts::headquarters_header;
use crate::ingest::{ChangedRecord, FoundConflict, KnownConflicts, plan_conflicts};
use crate::store::{Reader, StoreError};
use std::collections::{BTreeSet, HashMap};
use xundian_protocol::access::Directory;
use xundian_protocol::clock::{Clock, Stamp};
use xundian_protocol::ids::DeviceNo;

/// The records of the concurrent writes that a merge found.
pub(super) fn conflict_records(
    reader: &Reader<'_>,
    found: &[FoundConflict],
    directory: &Directory,
    clock: &mut Clock,
    now_ms: i64,
) -> Result<Vec<ChangedRecord>, StoreError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = KnownConflicts { keys: BTreeSet::new(), people: HashMap::new() };
    for key in found.iter().map(FoundConflict::key) {
        known.keys.extend(reader.record(key)?.map(|stored| stored.record.key));
    }
    for device in found.iter().flat_map(FoundConflict::devices).collect::<BTreeSet<_>>() {
        known.people.extend(reader.device(device)?.map(|entry| (device, entry.person)));
    }
    let stamp = Stamp { hlc: clock.tick(now_ms), device: DeviceNo::SERVER };
    Ok(plan_conflicts(found, known, directory, &headquarters_header(now_ms), stamp))
}

#[cfg(test)]
mod tests;
