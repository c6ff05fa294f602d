//! The storage engine: fjall on a disk or, in a simulation, the caller's own disk. Only this module and the error know
//! fjall, so that another engine can replace it.
//!
//! A commit is all or nothing. A snapshot sees everything as of one moment.

mod torn;

use super::StoreError;
use crate::disk;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
#[cfg(feature = "simulation")]
use std::ops::Bound;
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
#[cfg(feature = "simulation")]
use std::sync::Arc;

/// The block cache. With 8 MiB a visit cost four times as much once there were 400,000 (docs/adr/0016).
const CACHE_BYTES: u64 = 64 << 20;
/// The size at which a table's memtable is flushed.
const MEMTABLE_BYTES_MAX: u64 = 4 << 20;
/// The most characters of a panic's message that are kept.
const DETAIL_CHARS_MAX: usize = 160;

/// Bytes of a row, cheap to clone.
pub(super) type Bytes = fjall::Slice;
/// A row: its key and its value.
pub(super) type Row = (Bytes, Bytes);
/// Rows in key order.
pub(super) type Rows<'a> = Box<dyn DoubleEndedIterator<Item = Result<Row, StoreError>> + 'a>;

/// The tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(
    missing_docs,
    unreachable_pub,
    reason = "a simulation alone sees them; the store says what lies where"
)]
pub enum Table {
    Meta,
    Records,
    Feed,
    Cells,
    Provenance,
    Stock,
    Levels,
    Pictures,
    Devices,
    Invitations,
    Rejected,
    Restamped,
    Audit,
}

impl Table {
    /// All of them, in the order of their declaration.
    const ALL: [Self; 13] = [
        Self::Meta,
        Self::Records,
        Self::Feed,
        Self::Cells,
        Self::Provenance,
        Self::Stock,
        Self::Levels,
        Self::Pictures,
        Self::Devices,
        Self::Invitations,
        Self::Rejected,
        Self::Restamped,
        Self::Audit,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Records => "records",
            Self::Feed => "feed",
            Self::Cells => "cells",
            Self::Provenance => "traces",
            Self::Stock => "stock",
            Self::Levels => "levels",
            Self::Pictures => "pictures",
            Self::Devices => "devices",
            Self::Invitations => "invitations",
            Self::Rejected => "rejected",
            Self::Restamped => "restamped",
            Self::Audit => "audit",
        }
    }
}

/// One write: a value to put, or `None` to remove the row.
#[allow(unreachable_pub, reason = "a simulation alone sees it")]
pub type RowWrite = (Table, Vec<u8>, Option<Vec<u8>>);

/// The writes of one commit. Of two writes to one row the later counts.
#[derive(Debug, Default)]
pub(super) struct Batch {
    writes: Vec<RowWrite>,
}

impl Batch {
    pub(super) fn insert(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push((table, key.into(), Some(value.into())));
    }

    pub(super) fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.writes.push((table, key.into(), None));
    }
}

/// A disk controlled by a simulation.
#[cfg(feature = "simulation")]
pub trait Disk: Send + Sync {
    /// The value of a row.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    fn get(&self, table: Table, key: &[u8]) -> std::io::Result<Option<Vec<u8>>>;

    /// The rows of a range of keys, in key order.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    fn range(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Writes, all or nothing. Durable when it returns, unless `may_be_lost`; then durable no later than the next
    /// commit
    /// without it.
    ///
    /// # Errors
    /// Returns an error if the disk fails: the writes may then be there or not, as after a power cut.
    fn commit(&self, writes: Vec<RowWrite>, may_be_lost: bool) -> std::io::Result<()>;

    /// The number of commits. Reading a simulated snapshot after a later commit is a bug.
    fn commits(&self) -> u64;
}

/// The rows' engine.
pub(super) enum Engine {
    /// On a disk.
    Fjall {
        /// All tables.
        db: Database,
        /// In the order of [`Table::ALL`].
        tables: Vec<Keyspace>,
    },
    /// A simulated disk.
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn Disk>),
}

impl Engine {
    /// Opens the tables in a folder, or creates them. fjall panics on some damage to its files; that becomes an error
    /// like any other.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        catch_unwind(AssertUnwindSafe(|| Self::open_files(folder))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("fjall panicked");
            Err(StoreError::Files { detail: text.chars().take(DETAIL_CHARS_MAX).collect() })
        })
    }

    fn open_files(folder: &Path) -> Result<Self, StoreError> {
        let open = || Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(1).open();
        let db = match open() {
            Err(error @ fjall::Error::JournalRecovery(_)) => {
                let cut = torn::cut_torn_end(folder).map_err(fjall::Error::from)?;
                let Some((aside, end)) = cut else { return Err(error.into()) };
                tracing::warn!(
                    "the journal of {} was torn, as a power cut leaves it: it ends at byte {end} now, before a batch \
                     that nobody was told is safe; what was cut off lies in {}",
                    folder.display(),
                    aside.display()
                );
                open()?
            }
            opened => opened?,
        };
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let tables = Table::ALL.iter().map(|table| db.keyspace(table.name(), options));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        // fjall creates a folder for each table without making its name durable: a power cut could lose a whole table
        // with what was committed into it.
        for named in [&folder.join("keyspaces"), folder] {
            disk::sync_folder(named).map_err(fjall::Error::from)?;
        }
        Ok(Self::Fjall { db, tables })
    }

    /// Writes a batch, all or nothing. It is durable when this returns, unless it may be lost.
    pub(super) fn commit(&self, batch: Batch, may_be_lost: bool) -> Result<(), StoreError> {
        match self {
            Self::Fjall { db, tables } => {
                let mode = if may_be_lost { PersistMode::Buffer } else { PersistMode::SyncData };
                let mut writes = db.batch().durability(Some(mode));
                for (table, key, value) in batch.writes {
                    let table = &tables[table as usize];
                    match value {
                        Some(value) => writes.insert(table, key, value),
                        None => writes.remove(table, key),
                    }
                }
                writes.commit()?;
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => disk.commit(batch.writes, may_be_lost).map_err(fjall::Error::Io)?,
        }
        Ok(())
    }

    /// A snapshot of the tables that further commits do not change.
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        match self {
            Self::Fjall { db, tables } => Snapshot::Fjall { at: db.snapshot(), tables },
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => Snapshot::Simulated { disk: disk.as_ref(), commits: disk.commits() },
        }
    }
}

/// A snapshot of the tables.
pub(super) enum Snapshot<'a> {
    /// On a disk.
    Fjall {
        /// The snapshot.
        at: fjall::Snapshot,
        /// In the order of [`Table::ALL`].
        tables: &'a [Keyspace],
    },
    /// A simulated disk, which has no state but the present one.
    #[cfg(feature = "simulation")]
    Simulated {
        /// The disk.
        disk: &'a dyn Disk,
        /// The number of commits at the snapshot.
        commits: u64,
    },
}

impl Snapshot<'_> {
    pub(super) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Fjall { at, tables } => Ok(at.get(&tables[table as usize], key)?),
            #[cfg(feature = "simulation")]
            Self::Simulated { .. } => {
                Ok(self.disk().get(table, key.as_ref()).map_err(fjall::Error::Io)?.map(Bytes::from))
            }
        }
    }

    pub(super) fn range<K: AsRef<[u8]>>(&self, table: Table, range: impl RangeBounds<K>) -> Rows<'_> {
        match self {
            Self::Fjall { at, tables } => {
                let rows = at.range::<K, _>(&tables[table as usize], range);
                Box::new(rows.map(|row| Ok(row.into_inner()?)))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated { .. } => {
                let [from, to] = [range.start_bound(), range.end_bound()].map(|bound| bound.map(K::as_ref));
                self.simulated_range(table, from, to)
            }
        }
    }

    pub(super) fn prefix(&self, table: Table, prefix: impl AsRef<[u8]>) -> Rows<'_> {
        match self {
            Self::Fjall { at, tables } => {
                let rows = at.prefix(&tables[table as usize], prefix);
                Box::new(rows.map(|row| Ok(row.into_inner()?)))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated { .. } => {
                let mut after = prefix.as_ref().to_vec();
                while after.pop_if(|byte| *byte == u8::MAX).is_some() {}
                let to = match after.last_mut() {
                    Some(last) => {
                        *last += 1;
                        Bound::Excluded(after.as_slice())
                    }
                    None => Bound::Unbounded,
                };
                self.simulated_range(table, Bound::Included(prefix.as_ref()), to)
            }
        }
    }

    pub(super) fn all(&self, table: Table) -> Rows<'_> {
        self.prefix(table, [])
    }

    /// The simulated disk, if it has not changed since the snapshot.
    #[cfg(feature = "simulation")]
    fn disk(&self) -> &dyn Disk {
        match self {
            Self::Simulated { disk, commits } => {
                assert_eq!(disk.commits(), *commits, "a snapshot was read after the next commit");
                *disk
            }
            Self::Fjall { .. } => unreachable!("only a simulated snapshot asks for it"),
        }
    }

    #[cfg(feature = "simulation")]
    fn simulated_range(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Rows<'_> {
        let rows = self.disk().range(table, from, to).map_err(fjall::Error::Io);
        match rows {
            Ok(rows) => {
                Box::new(rows.into_iter().map(|(key, value)| Ok((Bytes::from(key), Bytes::from(value)))))
            }
            Err(error) => Box::new(std::iter::once(Err(error.into()))),
        }
    }
}
