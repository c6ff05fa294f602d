//! What one commit changes, table by table, and how each becomes rows of one atomic batch.

use super::cells::{CellRow, CellRowKey};
use super::derived::UnreadableRow;
use super::engine::{Batch, Snapshot, Table};
use super::epochs::Epochs;
use super::keys::{self, ProvenanceKey};
use super::pictures::{self, BlobRef, Picture};
use super::rows::{self, AuditEntry, Device, InvitationEntry, RejectedOp};
use super::stock::{self, Levels, Statement};
use super::{CountedKinds, StoreError, StoredRecord};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::clock::Hlc;
use xundian_protocol::figures::stock_ledger::EntryKey;
use xundian_protocol::figures::{Cell, Measures};
use xundian_protocol::ids::{DeviceNo, FeedSeq, OpSeq, OutletId};
use xundian_protocol::record::Home;

/// Everything that one commit changes, atomically.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Rows of figures to remove because they cannot be read.
    pub unreadable: Vec<UnreadableRow>,
    /// Records and their feed positions.
    pub feed: FeedChanges,
    /// What is added to cells.
    pub cells: BTreeMap<Cell, Measures>,
    /// Provenance rows that are added (true) or removed.
    pub provenance: BTreeMap<ProvenanceKey, bool>,
    /// Stock ledgers.
    pub stock: StockChanges,
    /// Pictures and the records that refer to them.
    pub pictures: PictureChanges,
    /// What became of single ops.
    pub ops: OpChanges,
    /// Devices in their new state.
    pub devices: Vec<Device>,
    /// Invitations in their new state.
    pub invitations: Vec<InvitationEntry>,
    /// New entries of the audit trail.
    pub audit: Vec<AuditEntry>,
    /// Single values of the whole store.
    pub meta: MetaChanges,
    /// Whether a power cut may undo these changes, as for a device's last sync.
    pub may_be_lost: bool,
}

/// Records and their feed positions.
#[derive(Clone, Debug, Default)]
pub struct FeedChanges {
    /// Records in their new state, with their positions.
    pub records: Vec<StoredRecord>,
    /// Positions that records have left.
    pub left: Vec<(Home, FeedSeq)>,
}

/// Stock ledgers of outlets.
#[derive(Clone, Debug, Default)]
pub struct StockChanges {
    /// Statements in their new state, or `None` for those that are removed.
    pub statements: Vec<(OutletId, EntryKey, Option<Statement>)>,
    /// The latest levels of outlets.
    pub levels: Vec<(OutletId, Levels)>,
    /// Outlets whose statements are all among these: every other row of theirs is removed.
    pub rebuilt: Vec<OutletId>,
}

/// Pictures and the records that refer to them.
#[derive(Clone, Debug, Default)]
pub struct PictureChanges {
    /// References from records to pictures that are added (true) or removed.
    pub blob_refs: BTreeMap<BlobRef, bool>,
    /// Stored pictures in their new state.
    pub stored: Vec<Picture>,
}

/// The outcomes of single ops.
#[derive(Clone, Debug, Default)]
pub struct OpChanges {
    /// Ops that were rejected.
    pub rejected: Vec<RejectedOp>,
    /// Ops whose stamps were in the future, with the moments that replace them.
    pub restamped: Vec<(DeviceNo, OpSeq, Hlc)>,
}

/// Single values of the whole store; `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct MetaChanges {
    /// The last position of the feed.
    pub feed_head: Option<FeedSeq>,
    /// The last moment of the server's own clock.
    pub clock: Option<Hlc>,
    /// The epochs of the feed.
    pub epochs: Option<Epochs>,
    /// The kinds counted in the figures.
    pub counted_kinds: Option<CountedKinds>,
}

impl From<MetaChanges> for Changes {
    fn from(meta: MetaChanges) -> Self {
        Self { meta, ..Self::default() }
    }
}

impl Changes {
    /// The rows to write. `before` is the store as it is before the commit.
    pub(super) fn stage(&self, before: &Snapshot<'_>) -> Result<Batch, StoreError> {
        let mut batch = Batch::default();
        self.feed.stage(&mut batch);
        for row in &self.unreadable {
            batch.remove(row.table, row.key.clone());
        }
        stage_cells(&self.cells, &mut batch, before)?;
        stage_provenance(&self.provenance, &mut batch, before)?;
        self.stock.stage(&mut batch, before)?;
        self.pictures.stage(&mut batch);
        self.ops.stage(&mut batch)?;
        for device in &self.devices {
            batch.insert(Table::Devices, keys::device(device.no), rows::json("devices", device)?);
        }
        for invitation in &self.invitations {
            batch.insert(Table::Invitations, invitation.secret_hash, rows::json("invitations", invitation)?);
        }
        for entry in &self.audit {
            batch.insert(Table::Audit, rows::audit_key(entry), rows::json("audit", entry)?);
        }
        self.meta.stage(&mut batch);
        Ok(batch)
    }
}

impl FeedChanges {
    fn stage(&self, batch: &mut Batch) {
        for (home, seq) in &self.left {
            batch.remove(Table::Feed, keys::feed(*home, *seq));
        }
        for stored in &self.records {
            let (record, position) = (&stored.record, stored.position);
            batch.insert(Table::Records, keys::record(record.key), rows::record(stored));
            batch.insert(
                Table::Feed,
                keys::feed(record.home, position.seq),
                rows::feed(record.key, position),
            );
        }
    }
}

/// Reads each row of cells once, adds everything that is added to it, and writes it.
fn stage_cells(
    added: &BTreeMap<Cell, Measures>,
    batch: &mut Batch,
    before: &Snapshot<'_>,
) -> Result<(), StoreError> {
    let mut rest = added.iter().peekable();
    while let Some((first, _)) = rest.peek() {
        let row_key = CellRowKey::of(first);
        let key = keys::cells(row_key);
        let row = before.get(Table::Cells, &key)?;
        let mut cells = row.map_or_else(|| Ok(CellRow::default()), |bytes| CellRow::decode(&bytes))?;
        // Cells are ordered by address, so those of a row are adjacent.
        while let Some((cell, added)) = rest.next_if(|(cell, _)| CellRowKey::of(cell) == row_key) {
            cells.add(cell, *added);
        }
        if cells.is_empty() {
            batch.remove(Table::Cells, key);
        } else {
            batch.insert(Table::Cells, key, cells.encode());
        }
    }
    Ok(())
}

/// Reads each row of provenance once, and notes the kinds that come and go.
fn stage_provenance(
    moved: &BTreeMap<ProvenanceKey, bool>,
    batch: &mut Batch,
    before: &Snapshot<'_>,
) -> Result<(), StoreError> {
    let mut rest = moved.iter().peekable();
    while let Some((first, _)) = rest.peek().copied() {
        let key = keys::provenance_key(first);
        let row = before.get(Table::Provenance, &key)?;
        let mut kinds = row.map_or_else(|| Ok(Vec::new()), |bytes| rows::read_kinds(&bytes))?;
        let row_of = |key: &ProvenanceKey| (key.owner, key.day, key.id);
        while let Some((moved, comes)) = rest.next_if(|(key, _)| row_of(key) == row_of(first)) {
            kinds.retain(|kind| *kind != moved.kind);
            kinds.extend(comes.then_some(moved.kind));
        }
        if kinds.is_empty() {
            batch.remove(Table::Provenance, key);
        } else {
            batch.insert(Table::Provenance, key, rows::kinds(&kinds));
        }
    }
    Ok(())
}

impl StockChanges {
    fn stage(&self, batch: &mut Batch, before: &Snapshot<'_>) -> Result<(), StoreError> {
        self.clear_rebuilt(batch, before)?;
        for (outlet, at, statement) in &self.statements {
            let key = keys::stock(*outlet, at);
            match statement {
                Some(statement) => batch.insert(Table::Stock, key, statement.encode()),
                None => batch.remove(Table::Stock, key),
            }
        }
        for (outlet, levels) in &self.levels {
            let key = *outlet.0.as_bytes();
            if levels.is_empty() {
                batch.remove(Table::Levels, key);
            } else {
                batch.insert(Table::Levels, key, stock::encode_levels(levels));
            }
        }
        Ok(())
    }

    /// Removes the rows of rebuilt outlets that are not written again. A row that is both removed and written in one
    /// batch would have no defined outcome.
    fn clear_rebuilt(&self, batch: &mut Batch, before: &Snapshot<'_>) -> Result<(), StoreError> {
        let written = self.statements.iter().filter(|(.., statement)| statement.is_some());
        let written: BTreeSet<Vec<u8>> = written.map(|(outlet, at, _)| keys::stock(*outlet, at)).collect();
        for outlet in &self.rebuilt {
            for row in before.prefix(Table::Stock, outlet.0.as_bytes()) {
                let (key, _) = row?;
                if !written.contains(&*key) {
                    batch.remove(Table::Stock, &*key);
                }
            }
        }
        Ok(())
    }
}

impl PictureChanges {
    fn stage(&self, batch: &mut Batch) {
        for (blob_ref, comes) in &self.blob_refs {
            let key = pictures::blob_ref(blob_ref);
            if *comes { batch.insert(Table::Pictures, key, b"") } else { batch.remove(Table::Pictures, key) }
        }
        for (key, value) in self.stored.iter().map(pictures::picture) {
            batch.insert(Table::Pictures, key, value);
        }
    }
}

impl OpChanges {
    fn stage(&self, batch: &mut Batch) -> Result<(), StoreError> {
        for rejected in &self.rejected {
            let key = keys::op(rejected.device, rejected.seq);
            batch.insert(Table::Rejected, key, rows::json("rejected", rejected)?);
        }
        for (device, seq, moment) in &self.restamped {
            batch.insert(Table::Restamped, keys::op(*device, *seq), moment.0.to_be_bytes());
        }
        Ok(())
    }
}

impl MetaChanges {
    fn stage(&self, batch: &mut Batch) {
        if let Some(head) = self.feed_head {
            batch.insert(Table::Meta, "feed_head", head.0.to_be_bytes());
        }
        if let Some(moment) = self.clock {
            batch.insert(Table::Meta, "clock", moment.0.to_be_bytes());
        }
        if let Some(epochs) = &self.epochs {
            batch.insert(Table::Meta, "epochs", epochs.encode());
        }
        if let Some(counted_kinds) = &self.counted_kinds {
            batch.insert(Table::Meta, "counted_in", rows::counted_kinds(counted_kinds));
        }
    }
}
