//! The server's embedded store: the tables, their keys, and one atomic, durable commit.
//!
//! It loads what a plan reads and commits what the plan decides; it decides nothing.

mod cells;
mod changes;
mod derived;
mod engine;
mod epochs;
mod keys;
mod pictures;
mod reader;
mod rows;
mod stock;

pub use changes::{Changes, FeedChanges, MetaChanges, OpChanges, PictureChanges, StockChanges};
pub use derived::{Readable, UnreadableRow};
#[cfg(not(feature = "simulation"))]
pub(crate) use engine::Table;
use engine::{Batch, Engine};
#[cfg(feature = "simulation")]
pub use engine::{Disk, RowWrite, Table};
pub use epochs::Epochs;
pub use keys::{Owner, ProvenanceKey, Subjects};
pub use pictures::{BlobRef, Picture, PictureRow, Preview};
pub use reader::Reader;
pub use rows::{AuditEntry, Device, InvitationEntry, RejectedOp};
pub use stock::{LatestLevel, Levels, Statement, StatementLine};

use crate::disk;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use xundian_protocol::ids::{DeviceNo, FeedSeq, KindId, RecordId};
use xundian_protocol::record::Record;
use xundian_protocol::simulation::fault_injection::Bug;

/// The format of the folder.
const FORMAT: &[u8] = b"3";
/// The previous format, without blob refs. It is migrated when the server opens; any other format is refused.
const FORMAT_BEFORE: &[u8] = b"2";

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the engine failed.
    #[error("the server's store cannot be read or written: {}; check the disk and its free space", cause(.0))]
    Engine(#[source] fjall::Error),
    /// A write failed before, so the disk's state is unknown.
    #[error(
        "the server's store has stopped, as it could not be written before: check the disk and its free space, then start the server again; nothing that was acknowledged is lost"
    )]
    Stopped,
    /// The store's files are corrupt.
    #[error(
        "the files of the server's store are damaged ({detail}): keep the folder as it is, and restore a backup"
    )]
    Files {
        /// The engine's error.
        detail: String,
    },
    /// A stored value cannot be decoded.
    #[error(
        "a stored value in {table} is damaged: {detail}; `verify --repair-views` repairs figures, and a backup what they \
         are made of"
    )]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The folder was written by another version.
    #[error("the data folder is of format {found}; this server reads {known}: use the server that wrote it")]
    Format {
        /// The format found.
        found: String,
        /// The format that this program reads.
        known: String,
    },
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => Self::Stopped,
            error => Self::Engine(error),
        }
    }
}

/// The innermost cause of an error, in the system's words.
fn cause(error: &fjall::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

impl StoreError {
    fn damaged(table: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { table, detail: detail.to_string() }
    }
}

/// A record and its position in the feed of its home.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredRecord {
    /// The record.
    pub record: Record,
    /// Its latest change.
    pub position: FeedPosition,
}

/// The position of a record in the feed: its latest change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedPosition {
    /// Its sequence.
    pub seq: FeedSeq,
    /// The device that made the change and needs no echo of it.
    pub author: DeviceNo,
    /// The latest change by another device than the author. The author needs the record if its cursor is before that.
    pub foreign: FeedSeq,
}

/// The kinds counted in the figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountedKinds {
    /// The kinds that are fully counted.
    pub kinds: Vec<KindId>,
    /// For the next kind, the record up to which it is counted.
    pub under_way: Option<RecordId>,
}

/// A derived row: its table, key and value.
#[cfg(test)]
type DerivedRow = (Table, Vec<u8>, Vec<u8>);

/// The open store.
pub struct Store {
    engine: Engine,
}

impl Store {
    /// Opens the store in a folder, or creates it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        if !folder.exists() {
            Self::make(folder)?;
        }
        Self::on(Engine::open(folder)?)
    }

    /// Creates a store under a temporary name, and renames it once it is complete and durable: fjall does not open a
    /// folder whose creation was interrupted.
    fn make(folder: &Path) -> Result<(), StoreError> {
        let unfinished = folder.with_extension("new");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fjall::Error::from(error).into()),
            Ok(()) | Err(_) => drop(Self::on(Engine::open(&unfinished)?)?),
        }
        let named = fs::rename(&unfinished, folder);
        let named = named.and_then(|()| folder.parent().map_or(Ok(()), disk::sync_folder));
        Ok(named.map_err(fjall::Error::from)?)
    }

    /// Opens a store on a simulated disk.
    #[cfg(feature = "simulation")]
    pub fn simulated(disk: std::sync::Arc<dyn Disk>) -> Result<Self, StoreError> {
        Self::on(Engine::Simulated(disk))
    }

    fn on(engine: Engine) -> Result<Self, StoreError> {
        let store = Self { engine };
        match store.format()? {
            None => store.note_format()?,
            Some(found) if [FORMAT, FORMAT_BEFORE].contains(&&*found) => {}
            Some(found) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Err(StoreError::Format { found: text(&found), known: text(FORMAT) });
            }
        }
        store.check_kinds()?;
        Ok(store)
    }

    fn format(&self) -> Result<Option<engine::Bytes>, StoreError> {
        self.engine.snapshot().get(Table::Meta, "format")
    }

    /// Refuses a folder that counts kinds unknown to this program: their figures would no longer follow the records.
    fn check_kinds(&self) -> Result<(), StoreError> {
        let counted = self.reader().counted_kinds()?.kinds;
        let unknown = counted.into_iter().find(|kind| xundian_protocol::kinds::spec(*kind).is_none());
        let Some(kind) = unknown else { return Ok(()) };
        let known = String::from_utf8_lossy(FORMAT).into_owned();
        Err(StoreError::Format { found: format!("{known} with records of kind {}", kind.0), known })
    }

    /// Whether the folder has the previous format and must be migrated.
    pub fn is_of_format_before(&self) -> Result<bool, StoreError> {
        Ok(self.format()?.is_some_and(|found| &*found == FORMAT_BEFORE))
    }

    /// Records that the folder has the present format.
    pub fn note_format(&self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.insert(Table::Meta, "format", FORMAT);
        self.engine.commit(batch, false)
    }

    /// Gives the folder the previous format, to test the migration.
    #[cfg(test)]
    pub(crate) fn set_back(&self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for row in self.engine.snapshot().all(Table::Pictures) {
            batch.remove(Table::Pictures, &*row?.0);
        }
        batch.insert(Table::Meta, "format", FORMAT_BEFORE);
        self.engine.commit(batch, false)
    }

    /// Makes the folder count no kind, as if all were new to this program, to test the backfill.
    #[cfg(test)]
    pub(crate) fn forget_kinds(&self) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for table in [Table::Cells, Table::Provenance, Table::Stock, Table::Levels, Table::Pictures] {
            for row in self.engine.snapshot().all(table) {
                batch.remove(table, &*row?.0);
            }
        }
        self.engine.commit(batch, false)?;
        let counted_kinds = Some(CountedKinds { kinds: Vec::new(), under_way: None });
        self.commit(&MetaChanges { counted_kinds, ..MetaChanges::default() }.into())
    }

    /// The derived rows, for the test that damages them.
    #[cfg(test)]
    pub(crate) fn derived_rows(&self) -> Result<Vec<DerivedRow>, StoreError> {
        let at = self.engine.snapshot();
        let mut rows = Vec::new();
        for table in [Table::Cells, Table::Provenance, Table::Stock, Table::Levels] {
            for row in at.all(table) {
                let (key, value) = row?;
                rows.push((table, key.to_vec(), value.to_vec()));
            }
        }
        Ok(rows)
    }

    /// Writes or removes a row, for the test that damages them.
    #[cfg(test)]
    pub(crate) fn damage(&self, table: Table, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        match value {
            Some(value) => batch.insert(table, key, value),
            None => batch.remove(table, key),
        }
        self.engine.commit(batch, false)
    }

    /// Commits changes: all of them or none. They are durable when it returns, unless they may be lost.
    pub fn commit(&self, changes: &Changes) -> Result<(), StoreError> {
        let batch = changes.stage(&self.engine.snapshot())?;
        self.engine.commit(batch, changes.may_be_lost || Bug::AckBeforeDurability.is_injected())
    }

    /// A snapshot of the store that further commits do not change.
    pub fn reader(&self) -> Reader<'_> {
        Reader { at: self.engine.snapshot() }
    }
}
