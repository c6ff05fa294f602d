//! The server's driver: opens the data folder and connects load, plan and commit. Sessions, imports, console and
//! reports all go through it.

mod backfill;
mod conflicts;
mod drafts;
mod folder_lock;
mod open_error;
mod opening;
#[cfg(feature = "simulation")]
mod simulated;
mod writer_clock;

use crate::authority::Authority;
use crate::ingest::{
    Batch, ChangedRecord, FigureChanges, Loaded, Merged, OutletStock, TouchedProducts, TouchedStock, Units,
    affected_outlets, changed_facts, late, merge, plan_blob_refs, plan_figures, plan_stock,
    reattribute_outlet, stock_changes,
};
use crate::store::{
    AuditEntry, Changes, Device, Epochs, FeedPosition, Owner, Reader, Store, StoreError, StoredRecord,
};
#[cfg(test)]
pub(crate) use backfill::backfill;
use conflicts::conflict_records;
use drafts::ops_of_drafts;
pub use drafts::{Draft, Written};
use folder_lock::FolderLock;
pub use open_error::OpenError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::broadcast;
use writer_clock::WriterClock;
use xundian_protocol::access::{Directory, Writer};
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::Contribution;
use xundian_protocol::ids::{DeviceNo, KindId, OpSeq, OutletId};
use xundian_protocol::record::{Home, Op, Record, RecordKey};
use xundian_protocol::wire::v1::{Receipt, Refusal, Rejection, Resume, Resumed};

/// Why drafts were not written. If there is an error, none was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A draft breaks a rule of its kind's declaration.
    #[error("{} of {} cannot be written: {message}", .key.kind.0, .key.id)]
    Refused {
        /// The record.
        key: RecordKey,
        /// The reason.
        message: String,
    },
    /// More of the drafts' records changed concurrently than one commit takes.
    #[error(
        "too many fields of these {records} records were changed by others meanwhile: read them again and write fewer at once"
    )]
    TooManyConflicts {
        /// The number of records.
        records: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The open server.
pub struct Server {
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    pub(crate) authority: Arc<Authority>,
    directory: RwLock<Arc<Directory>>,
    /// The epochs of the feed, including this opening's.
    epochs: Epochs,
    /// Held through load, plan and commit: one writer at a time. The clock is the server's own.
    writer: Mutex<WriterClock>,
    /// Held while figures are repaired: one repair at a time.
    pub(crate) repairing: Mutex<()>,
    /// Devices as they are revoked, for running sessions.
    pub(crate) revoked: broadcast::Sender<DeviceNo>,
    /// The last field, so that it is dropped after the store has closed. A simulation has none.
    _lock: Option<FolderLock>,
}

impl Server {
    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The organisation in its present state.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a device may resume at its feed position.
    pub(crate) fn find_feed_position(&self, resume: Resume) -> Result<Resumed, StoreError> {
        Ok(self.epochs.find(resume, self.store.reader().feed_head()?))
    }

    /// Merges the ops of a device. Everything that the receipt acknowledges is durable when this returns.
    pub fn ingest(&self, device: DeviceNo, ops: Vec<Op>, now_ms: i64) -> Result<Receipt, StoreError> {
        let mut clock = self.lock_writer();
        let reader = self.store.reader();
        let Some(entry) = reader.device(device)? else {
            return Err(StoreError::Damaged { table: "devices", detail: format!("{device} is not there") });
        };
        let applied_through = entry.applied_through;
        let loaded = load(&reader, device, &ops, applied_through)?;
        let batch = Batch { device, writer: Writer::Person(entry.person), ops, now_ms };
        self.merge_and_commit(&mut clock, &reader, batch, loaded, |merged, changes| {
            changes.ops.rejected = std::mem::take(&mut merged.rejected);
            let restamped = std::mem::take(&mut merged.restamped).into_iter();
            changes.ops.restamped = restamped.map(|(seq, moment)| (device, seq, moment)).collect();
            if merged.receipt.through != applied_through {
                changes.devices.push(Device { applied_through: merged.receipt.through, ..entry });
            }
            Ok(())
        })
    }

    /// Writes records as headquarters, all or none. `by` is the user, for the audit trail.
    pub fn write(&self, drafts: Vec<Draft>, by: &str, now_ms: i64) -> Result<Written, WriteError> {
        let mut clock = self.lock_writer();
        let reader = self.store.reader();
        let mut current = HashMap::new();
        for draft in &drafts {
            current.extend(reader.record(draft.key)?.map(|stored| (draft.key, stored)));
        }
        let (ops, written) = ops_of_drafts(drafts, &current, clock.hybrid(), now_ms);
        if ops.is_empty() {
            return Ok(written);
        }
        let keys: Vec<RecordKey> = ops.iter().map(|op| op.record).collect();
        let batch = Batch { device: DeviceNo::SERVER, writer: Writer::Headquarters, ops, now_ms };
        let loaded = Loaded {
            applied_through: OpSeq(0),
            records: current,
            rejected: Vec::new(),
            restamped: Vec::new(),
        };
        self.merge_and_commit(&mut clock, &reader, batch, loaded, |merged, changes| {
            if let Some(first) = merged.receipt.rejections.first() {
                let key = keys[usize::try_from(first.seq.0 - 1).unwrap_or(0)];
                return Err(WriteError::Refused { key, message: first.message.clone() });
            }
            if merged.receipt.through != OpSeq(keys.len() as u64) {
                return Err(WriteError::TooManyConflicts { records: keys.len() });
            }
            changes.audit.push(audit(now_ms, by, format!("wrote {} records", keys.len())));
            Ok(())
        })?;
        Ok(written)
    }

    /// The one path of every write: merges a batch, plans what its records change, and commits everything. `accept`
    /// adds further changes to the commit, or refuses the merged batch; then nothing is committed.
    fn merge_and_commit<E: From<StoreError>>(
        &self,
        clock: &mut WriterClock,
        reader: &Reader<'_>,
        batch: Batch,
        loaded: Loaded,
        accept: impl FnOnce(&mut Merged, &mut Changes) -> Result<(), E>,
    ) -> Result<Receipt, E> {
        let (author, now_ms) = (batch.device, batch.now_ms);
        let directory = self.directory();
        let mut merged = merge(batch, loaded, &directory, clock.hybrid());
        let mut changes = Changes::default();
        accept(&mut merged, &mut changes)?;
        let conflicts = conflict_records(reader, &merged.conflicts, &directory, clock.hybrid(), now_ms)?;
        merged.changed.extend(conflicts);
        changes.meta.clock = clock.uncommitted();
        self.commit_records(reader, merged.changed, author, changes)?;
        clock.note_committed();
        Ok(merged.receipt)
    }

    /// Plans how changed records change feed, figures and stock, and commits everything. The caller holds the writer's
    /// lock.
    fn commit_records(
        &self,
        reader: &Reader<'_>,
        changed: Vec<ChangedRecord>,
        author: DeviceNo,
        mut changes: Changes,
    ) -> Result<(), StoreError> {
        let changed: Vec<ChangedRecord> = changed
            .into_iter()
            .filter(|change| change.echo || change.old.as_ref().map(|old| &old.record) != Some(&change.new))
            .collect();
        let before = self.directory();
        let mut after = None;
        for change in changed.iter().filter(|change| Directory::concerns(change.new.key.kind)) {
            after.get_or_insert_with(|| Directory::clone(&before)).apply(&change.new);
        }
        let mut figures = FigureChanges::default();
        if let Some(after) = &after {
            reattribute(reader, &changed, &before, after, &mut figures)?;
        }
        plan_counts(reader, &changed, after.as_ref().unwrap_or(&before), figures, &mut changes)?;
        append_to_feed(reader.feed_head()?, changed, author, &mut changes);
        self.store.commit(&changes)?;
        if let Some(after) = after {
            *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        }
        Ok(())
    }

    /// Changes rows other than records under the writer's lock: devices and invitations.
    pub(crate) fn change<T, E: From<StoreError>>(
        &self,
        plan: impl FnOnce(&Reader<'_>) -> Result<(Changes, T), E>,
    ) -> Result<T, E> {
        self.change_with_directory(|reader, _| plan(reader))
    }

    /// Like [`Self::change`], with the organisation of the same commit.
    pub(crate) fn change_with_directory<T, E: From<StoreError>>(
        &self,
        plan: impl FnOnce(&Reader<'_>, &Directory) -> Result<(Changes, T), E>,
    ) -> Result<T, E> {
        let _clock = self.lock_writer();
        let (changes, result) = plan(&self.store.reader(), &self.directory())?;
        self.store.commit(&changes)?;
        Ok(result)
    }

    /// Adds an entry to the audit trail for an action that changes nothing in the store.
    pub(crate) fn note(&self, by: &str, what: String, now_ms: i64) -> Result<(), StoreError> {
        let changes = Changes { audit: vec![audit(now_ms, by, what)], ..Default::default() };
        self.change(|_| Ok((changes, ())))
    }

    /// A snapshot of the store, and the organisation of the same commit.
    pub(crate) fn consistent_reader(&self) -> (Reader<'_>, Arc<Directory>) {
        let _clock = self.lock_writer();
        (self.store.reader(), self.directory())
    }

    fn lock_writer(&self) -> MutexGuard<'_, WriterClock> {
        // A panic while planning leaves the store unchanged, so the lock may be taken again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record.
    pub fn record(&self, key: RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(self.store.reader().record(key)?.map(|stored| stored.record))
    }

    /// All records of a kind, by id.
    pub fn records(&self, kind: KindId) -> Result<Vec<Record>, StoreError> {
        self.store.reader().records(Some(kind)).map(|stored| stored.map(|stored| stored.record)).collect()
    }

    /// The records of one kind in a home, by id.
    pub fn records_of_home(&self, home: Home, kind: KindId) -> Result<Vec<Record>, StoreError> {
        let reader = self.store.reader();
        let keys = reader.keys_of_home(home, kind)?;
        let records = keys.into_iter().map(|key| Ok(reader.record(key)?.map(|stored| stored.record)));
        records.filter_map(Result::transpose).collect()
    }

    /// What the stock ledgers of an outlet contribute to its levels by day.
    pub fn stock_changes(&self, outlet: OutletId) -> Result<Vec<Contribution>, StoreError> {
        Ok(stock_changes(outlet, &self.store.reader().statements_of(outlet)?))
    }

    /// The records that contribute to the figures of an owner on these days, newest day first: the provenance of a
    /// figure.
    pub fn provenance(
        &self,
        owner: Owner,
        kind: Option<KindId>,
        from: Day,
        to: Day,
    ) -> Result<Vec<(Day, RecordKey)>, StoreError> {
        let mut provenance = self.store.reader().provenance(owner, from, to)?;
        provenance.retain(|(_, key)| kind.is_none_or(|kind| kind == key.kind));
        provenance.reverse();
        Ok(provenance)
    }
}

/// An entry of the audit trail. Entries of the same moment do not replace each other.
pub(crate) fn audit(at_ms: i64, by: &str, what: String) -> AuditEntry {
    AuditEntry { at_ms, nth: rand::random(), by: by.to_owned(), what }
}

fn load(
    reader: &Reader<'_>,
    device: DeviceNo,
    ops: &[Op],
    applied_through: OpSeq,
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded {
        applied_through,
        records: load_records(reader, ops)?,
        rejected: Vec::new(),
        restamped: Vec::new(),
    };
    if let (Some(first), Some(last)) = (ops.first(), ops.last())
        && first.seq <= applied_through
    {
        let to = last.seq.min(applied_through);
        let rejection = |rejected: crate::store::RejectedOp| Rejection {
            seq: rejected.seq,
            why: Refusal::from_number(rejected.why),
            message: rejected.message,
        };
        loaded.rejected = reader.rejected_of(device, first.seq, to)?.into_iter().map(rejection).collect();
        loaded.restamped = reader.restamped_of(device, first.seq, to)?;
    }
    Ok(loaded)
}

fn load_records(reader: &Reader<'_>, ops: &[Op]) -> Result<HashMap<RecordKey, StoredRecord>, StoreError> {
    let keys: BTreeSet<RecordKey> = ops.iter().map(|op| op.record).collect();
    let mut records = HashMap::with_capacity(keys.len());
    for key in keys {
        if let Some(stored) = reader.record(key)? {
            records.insert(key, stored);
        }
    }
    Ok(records)
}

fn load_stock(
    reader: &Reader<'_>,
    outlet: OutletId,
    touched: &TouchedProducts,
) -> Result<OutletStock, StoreError> {
    let levels = reader.levels(outlet)?;
    let statements = match late(touched, &levels) {
        Some(late) => reader.statements_around(outlet, &late.products, &late.first, &late.last)?,
        None => BTreeMap::new(),
    };
    Ok(OutletStock { levels, statements })
}

/// Plans how changed records change figures, stock and pictures, on top of what is reattributed.
fn plan_counts(
    reader: &Reader<'_>,
    changed: &[ChangedRecord],
    directory: &Directory,
    mut figures: FigureChanges,
    changes: &mut Changes,
) -> Result<(), StoreError> {
    let mut units = Units::new(directory);
    let facts = changed_facts(changed);
    plan_figures(&facts, &mut units, &mut figures);
    for (outlet, touched) in TouchedStock::by(&facts).0 {
        let stock = load_stock(reader, outlet, &touched)?;
        let plan = plan_stock(outlet, &touched, stock, &mut units, &mut figures);
        let statements = plan.statements.into_iter().map(|(at, statement)| (outlet, at, statement));
        changes.stock.statements.extend(statements);
        changes.stock.levels.push((outlet, plan.levels));
    }
    changes.pictures.blob_refs = plan_blob_refs(changed);
    changes.cells = figures.cells();
    let moved = figures.provenance.into_iter().filter(|(_, count)| *count != 0);
    changes.provenance = moved.map(|(provenance_key, count)| (provenance_key, count > 0)).collect();
    Ok(())
}

fn reattribute(
    reader: &Reader<'_>,
    changed: &[ChangedRecord],
    before: &Directory,
    after: &Directory,
    figures: &mut FigureChanges,
) -> Result<(), StoreError> {
    let mut traced = BTreeSet::new();
    for outlet in affected_outlets(changed, before, after) {
        let keys: BTreeSet<RecordKey> =
            reader.all_provenance(Owner::Outlet(outlet))?.into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() {
            continue;
        }
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            records.extend(reader.record(key)?.map(|stored| stored.record));
        }
        let stock = reader.statements_of(outlet)?;
        reattribute_outlet(outlet, &records, &stock, before, after, &mut traced, figures);
    }
    Ok(())
}

fn append_to_feed(
    mut head: xundian_protocol::ids::FeedSeq,
    changed: Vec<ChangedRecord>,
    author: DeviceNo,
    changes: &mut Changes,
) {
    for ChangedRecord { old, new, echo } in changed {
        head.0 += 1;
        let foreign = match &old {
            _ if echo => head,
            None => xundian_protocol::ids::FeedSeq(0),
            Some(old) if old.position.author == author => old.position.foreign,
            Some(old) => old.position.seq,
        };
        changes.feed.left.extend(old.map(|old| (old.record.home, old.position.seq)));
        changes
            .feed
            .records
            .push(StoredRecord { record: new, position: FeedPosition { seq: head, author, foreign } });
    }
    changes.meta.feed_head = (!changes.feed.records.is_empty()).then_some(head);
}
