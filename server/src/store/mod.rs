//! The server's embedded store on fjall: what is kept, under which keys, and one atomic, durable commit.
//!
//! It loads what a plan needs to read and commits what the plan says; it decides nothing. It is the only
//! module that knows fjall, so that another store can take its place.

mod keys;
mod rows;

pub use keys::Owner;
pub use rows::{AuditEntry, ConflictEntry, Device, InvitationEntry, RejectedOp};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};
use std::path::Path;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{DeviceNo, FeedSeq, KindId, OutletId, PersonId};
use xundian_protocol::record::{Home, Record, RecordKey};
use xundian_protocol::views::ledger::{At, Entry, Level, Stock};
use xundian_protocol::views::{Cell, Measures, Nature, Period, Subject, View};
use xundian_protocol::wire::stored;

/// The format of the folder; another one is refused when it is opened.
const FORMAT: &[u8] = b"1";

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the store's files.
    #[error("the server's store cannot be read or written: {0}; check the disk and its free space")]
    Engine(#[from] fjall::Error),
    /// A stored value cannot be read.
    #[error("a stored value in {table} is damaged: {detail}; run verify and restore from a backup")]
    Damaged {
        /// Where.
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

impl StoreError {
    fn damaged(table: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { table, detail: detail.to_string() }
    }
}

/// A record and its place in the feed of its home.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredRecord {
    /// The record.
    pub record: Record,
    /// Its latest change.
    pub place: FeedPlace,
}

/// The latest change of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedPlace {
    /// Its place.
    pub seq: FeedSeq,
    /// The device that made it, which needs no echo of it.
    pub author: DeviceNo,
    /// The latest change that another than the author made: a device that stands before it needs the
    /// record all the same.
    pub foreign: FeedSeq,
}

/// An entry of a stock timeline with the level after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StockEntry {
    /// The entry.
    pub entry: Entry,
    /// Units on hand after it.
    pub units_after: i64,
}

/// The end of a stock timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatestLevel {
    /// The place of the last entry.
    pub at: At,
    /// The level after it.
    pub level: Level,
}

/// Everything that one commit changes, atomically.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Records as they stand after, with their places.
    pub records: Vec<StoredRecord>,
    /// Feed places that records have left.
    pub left_places: Vec<(Home, FeedSeq)>,
    /// What is added to cells.
    pub cells: std::collections::BTreeMap<Cell, Measures>,
    /// Traces that come (true) or go.
    pub traces: Vec<(Owner, Day, RecordKey, bool)>,
    /// Stock entries that come (`Some`) or go.
    pub stock: Vec<(OutletId, u64, At, Option<StockEntry>)>,
    /// Ends of stock timelines; `None` for one that holds nothing any more.
    pub levels: Vec<(OutletId, u64, Option<LatestLevel>)>,
    /// Devices as they stand after.
    pub devices: Vec<Device>,
    /// Invitations as they stand after.
    pub invitations: Vec<InvitationEntry>,
    /// Ops that were not merged.
    pub rejected: Vec<RejectedOp>,
    /// Values that lost to a concurrent write.
    pub conflicts: Vec<ConflictEntry>,
    /// What administrators did.
    pub audit: Vec<AuditEntry>,
    /// The last place of the feed after this commit.
    pub feed_head: Option<FeedSeq>,
    /// The last moment that the server's own clock gave.
    pub clock: Option<Hlc>,
}

/// The open store.
pub struct Store {
    db: Database,
    meta: Keyspace,
    records: Keyspace,
    homes: Keyspace,
    feed: Keyspace,
    cells: Keyspace,
    traces: Keyspace,
    stock: Keyspace,
    levels: Keyspace,
    devices: Keyspace,
    invitations: Keyspace,
    rejected: Keyspace,
    conflicts: Keyspace,
    audit: Keyspace,
}

impl Store {
    /// Opens the store in a folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = Database::builder(folder).cache_size(16 << 20).worker_threads(1).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        let table = |name| db.keyspace(name, options);
        let store = Self {
            meta: table("meta")?,
            records: table("records")?,
            homes: table("homes")?,
            feed: table("feed")?,
            cells: table("cells")?,
            traces: table("traces")?,
            stock: table("stock")?,
            levels: table("levels")?,
            devices: table("devices")?,
            invitations: table("invitations")?,
            rejected: table("rejected")?,
            conflicts: table("conflicts")?,
            audit: table("audit")?,
            db,
        };
        match store.meta.get("format")? {
            None => {
                let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
                batch.insert(&store.meta, "format", FORMAT);
                batch.commit()?;
            }
            Some(found) if &*found == FORMAT => {}
            Some(found) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Err(StoreError::Format { found: text(&found), known: text(FORMAT) });
            }
        }
        Ok(store)
    }

    /// Commits changes: all of them or none, and on the disk when it returns.
    pub fn commit(&self, changes: &Changes) -> Result<(), StoreError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (home, seq) in &changes.left_places {
            batch.remove(&self.feed, keys::feed(*home, *seq));
        }
        for stored in &changes.records {
            let record = &stored.record;
            batch.insert(&self.records, keys::record(record.key), rows::record(stored));
            batch.insert(&self.homes, keys::in_home(record.home, record.key), []);
            batch.insert(&self.feed, keys::feed(record.home, stored.place.seq), rows::feed(record.key, stored.place));
        }
        let snapshot = self.db.snapshot();
        for (cell, added) in changes.cells.iter().filter(|(_, added)| !added.is_zero()) {
            let key = keys::cell(cell);
            let mut measures = match snapshot.get(&self.cells, &key)? {
                Some(bytes) => read_measures(&bytes)?,
                None => Measures::default(),
            };
            measures += *added;
            if measures.is_zero() {
                batch.remove(&self.cells, key);
            } else {
                batch.insert(&self.cells, key, stored::encode_measures(&measures));
            }
        }
        for (owner, day, key, comes) in &changes.traces {
            let key = keys::trace(*owner, *day, *key);
            if *comes {
                batch.insert(&self.traces, key, []);
            } else {
                batch.remove(&self.traces, key);
            }
        }
        for (outlet, gtin, at, entry) in &changes.stock {
            let key = keys::stock(*outlet, *gtin, at);
            match entry {
                Some(entry) => batch.insert(&self.stock, key, rows::stock(entry)),
                None => batch.remove(&self.stock, key),
            }
        }
        for (outlet, gtin, level) in &changes.levels {
            let key = keys::level(*outlet, *gtin);
            match level {
                Some(level) => batch.insert(&self.levels, key, rows::level(level)),
                None => batch.remove(&self.levels, key),
            }
        }
        self.put_rows(&mut batch, changes)?;
        if let Some(head) = changes.feed_head {
            batch.insert(&self.meta, "feed_head", head.0.to_be_bytes());
        }
        if let Some(moment) = changes.clock {
            batch.insert(&self.meta, "clock", moment.0.to_be_bytes());
        }
        batch.commit()?;
        Ok(())
    }

    fn put_rows(&self, batch: &mut fjall::OwnedWriteBatch, changes: &Changes) -> Result<(), StoreError> {
        for device in &changes.devices {
            batch.insert(&self.devices, keys::device(device.no), rows::json("devices", device)?);
        }
        for invitation in &changes.invitations {
            batch.insert(&self.invitations, invitation.secret_hash, rows::json("invitations", invitation)?);
        }
        for rejected in &changes.rejected {
            batch.insert(&self.rejected, keys::op(rejected.device, rejected.seq), rows::json("rejected", rejected)?);
        }
        for conflict in &changes.conflicts {
            batch.insert(&self.conflicts, rows::conflict_key(conflict), rows::json("conflicts", conflict)?);
        }
        for entry in &changes.audit {
            batch.insert(&self.audit, rows::audit_key(entry), rows::json("audit", entry)?);
        }
        Ok(())
    }

    /// A moment of the store that further commits do not change.
    pub fn reader(&self) -> Reader<'_> {
        Reader { store: self, at: self.db.snapshot() }
    }
}

/// Reads the store as of one moment.
pub struct Reader<'a> {
    store: &'a Store,
    at: Snapshot,
}

impl Reader<'_> {
    /// The last place of the feed.
    pub fn feed_head(&self) -> Result<FeedSeq, StoreError> {
        let bytes = self.at.get(&self.store.meta, "feed_head")?;
        let seq = bytes.and_then(|bytes| keys::read_feed_seq(&bytes));
        Ok(seq.unwrap_or_default())
    }

    /// The last moment that the server's own clock gave.
    pub fn clock(&self) -> Result<Hlc, StoreError> {
        let bytes = self.at.get(&self.store.meta, "clock")?;
        Ok(bytes.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(Hlc::default(), |b| Hlc(u64::from_be_bytes(b))))
    }

    /// A record with its place.
    pub fn record(&self, key: RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let bytes = self.at.get(&self.store.records, keys::record(key))?;
        bytes.map(|bytes| rows::read_record(&bytes)).transpose()
    }

    /// All records of a kind, by id; of all kinds for `None`.
    pub fn records(
        &self,
        kind: Option<KindId>,
    ) -> impl Iterator<Item = Result<StoredRecord, StoreError>> + use<'_> {
        let prefix = kind.map_or_else(Vec::new, |kind| kind.0.to_be_bytes().to_vec());
        self.at.prefix(&self.store.records, prefix).map(|row| rows::read_record(&row.value()?))
    }

    /// The records of one kind in a home, by id.
    pub fn keys_of_home(&self, home: Home, kind: KindId) -> Result<Vec<RecordKey>, StoreError> {
        let prefix = [&keys::home(home)[..], &kind.0.to_be_bytes()].concat();
        let key = |row: fjall::Guard| {
            let key = row.key()?;
            keys::read_record(&key[17..]).ok_or_else(|| StoreError::damaged("homes", "its key"))
        };
        self.at.prefix(&self.store.homes, prefix).map(key).collect()
    }

    /// The changes of a home after a place, in their order: the records and their places.
    pub fn feed(&self, home: Home, after: FeedSeq) -> Result<Vec<(RecordKey, FeedPlace)>, StoreError> {
        let from = keys::feed(home, FeedSeq(after.0.saturating_add(1)));
        let to = keys::feed(home, FeedSeq(u64::MAX));
        let read = |row: fjall::Guard| {
            let (key, value) = row.into_inner()?;
            rows::read_feed(&key, &value)
        };
        self.at.range(&self.store.feed, from..=to).map(read).collect()
    }

    /// Cells of a view, by subject and dimension: flows summed over the days, levels as of the last one.
    /// `of` narrows it to one subject.
    pub fn cells(
        &self,
        view: View,
        of: Option<Subject>,
        from: Day,
        to: Day,
        mut each: impl FnMut(Cell, Measures),
    ) -> Result<(), StoreError> {
        for (first, last) in stretches(view, from, to) {
            match of {
                Some(subject) if first == last => {
                    self.cells_in(self.at.prefix(&self.store.cells, keys::cell_subject(view, first, subject)), &mut each)?;
                }
                _ => {
                    let mut end = keys::cell_period(view, last);
                    end.extend([0xff; 26]);
                    let rows = self.at.range(&self.store.cells, keys::cell_period(view, first)..=end);
                    let mut of_subject = |cell: Cell, measures| {
                        if of.is_none_or(|subject| subject == cell.subject) {
                            each(cell, measures);
                        }
                    };
                    self.cells_in(rows, &mut of_subject)?;
                }
            }
        }
        Ok(())
    }

    fn cells_in(&self, rows: fjall::Iter, each: &mut impl FnMut(Cell, Measures)) -> Result<(), StoreError> {
        for row in rows {
            let (key, value) = row.into_inner()?;
            let cell = keys::read_cell(&key).ok_or_else(|| StoreError::damaged("cells", "its key"))?;
            each(cell, read_measures(&value)?);
        }
        Ok(())
    }

    /// Every cell there is.
    pub fn all_cells(&self, mut each: impl FnMut(Cell, Measures)) -> Result<(), StoreError> {
        self.cells_in(self.at.iter(&self.store.cells), &mut each)
    }

    /// Records that add to the figures of an owner on these days, by day.
    pub fn traces(&self, of: Owner, from: Day, to: Day) -> Result<Vec<(Day, RecordKey)>, StoreError> {
        let rows = self.at.range(&self.store.traces, keys::trace_day(of, from)..keys::trace_day(of, to.next()));
        rows.map(read_trace).collect()
    }

    /// All records that add to the figures of an owner.
    pub fn all_traces(&self, of: Owner) -> Result<Vec<(Day, RecordKey)>, StoreError> {
        self.at.prefix(&self.store.traces, keys::trace_owner(of)).map(read_trace).collect()
    }

    /// How many traces there are.
    pub fn trace_count(&self) -> Result<usize, StoreError> {
        Ok(self.at.len(&self.store.traces)?)
    }

    /// Whether a trace is there.
    pub fn has_trace(&self, of: Owner, day: Day, key: RecordKey) -> Result<bool, StoreError> {
        Ok(self.at.contains_key(&self.store.traces, keys::trace(of, day, key))?)
    }

    /// The ends of an outlet's stock timelines, by GTIN.
    pub fn levels(&self, outlet: OutletId) -> Result<Vec<(u64, LatestLevel)>, StoreError> {
        let read = |row: fjall::Guard| {
            let (key, value) = row.into_inner()?;
            let gtin = keys::read_level_gtin(&key).ok_or_else(|| StoreError::damaged("levels", "its key"))?;
            Ok((gtin, rows::read_level(&value)?))
        };
        self.at.prefix(&self.store.levels, outlet.0.as_bytes()).map(read).collect()
    }

    /// The stretch of a timeline that entries from `first` to `last` can move: the entry before `first`,
    /// then everything from `first` up to and including the next count after `last`.
    pub fn stock_around(
        &self,
        outlet: OutletId,
        gtin: u64,
        first: &At,
        last: &At,
    ) -> Result<(Option<StockEntry>, Vec<StockEntry>), StoreError> {
        let (start, end) = (keys::level(outlet, gtin), keys::level(outlet, gtin + 1));
        let from = keys::stock(outlet, gtin, first);
        let before = self.at.range(&self.store.stock, start..from.clone()).next_back().map(read_stock).transpose()?;
        let mut stretch = Vec::new();
        for row in self.at.range(&self.store.stock, from..end) {
            let entry = read_stock(row)?.2;
            stretch.push(entry);
            if entry.entry.at > *last && matches!(entry.entry.stock, Stock::Counted(_)) {
                break;
            }
        }
        Ok((before.map(|(_, _, entry)| entry), stretch))
    }

    /// All stock entries of an outlet, by GTIN and place; of all outlets for `None`.
    pub fn stock(
        &self,
        outlet: Option<OutletId>,
    ) -> impl Iterator<Item = Result<(OutletId, u64, StockEntry), StoreError>> + use<'_> {
        let prefix = outlet.map_or_else(Vec::new, |outlet| outlet.0.as_bytes().to_vec());
        self.at.prefix(&self.store.stock, prefix).map(read_stock)
    }

    /// A device.
    pub fn device(&self, no: DeviceNo) -> Result<Option<Device>, StoreError> {
        let bytes = self.at.get(&self.store.devices, keys::device(no))?;
        bytes.map(|bytes| rows::from_json("devices", &bytes)).transpose()
    }

    /// All devices, by number.
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        self.at.iter(&self.store.devices).map(|row| rows::from_json("devices", &row.value()?)).collect()
    }

    /// The invitation with the hash of a secret.
    pub fn invitation(&self, secret_hash: &[u8; 32]) -> Result<Option<InvitationEntry>, StoreError> {
        let bytes = self.at.get(&self.store.invitations, secret_hash)?;
        bytes.map(|bytes| rows::from_json("invitations", &bytes)).transpose()
    }

    /// All ops that were not merged, by device and number.
    pub fn rejected(&self) -> Result<Vec<RejectedOp>, StoreError> {
        self.at.iter(&self.store.rejected).map(|row| rows::from_json("rejected", &row.value()?)).collect()
    }

    /// All values that lost to a concurrent write, oldest first.
    pub fn conflicts(&self) -> Result<Vec<ConflictEntry>, StoreError> {
        self.at.iter(&self.store.conflicts).map(|row| rows::from_json("conflicts", &row.value()?)).collect()
    }

    /// What administrators did, oldest first.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, StoreError> {
        self.at.iter(&self.store.audit).map(|row| rows::from_json("audit", &row.value()?)).collect()
    }
}

/// The stretches of periods whose cells make up a figure: the days themselves for a flow; for a level all
/// years before, all months of the year before, all days of the month up to the last.
fn stretches(view: View, from: Day, to: Day) -> Vec<(Period, Period)> {
    match view.nature() {
        Nature::Flow => vec![(Period::Day(from), Period::Day(to))],
        Nature::Level => {
            let month = to.month();
            let year = month.div_euclid(12);
            let first_of_month = Day(to.0 - (chrono::Datelike::day0(&to.date())).cast_signed());
            let mut stretches = vec![(Period::Year(i32::MIN), Period::Year(year - 1))];
            if month > year * 12 {
                stretches.push((Period::Month(year * 12), Period::Month(month - 1)));
            }
            stretches.push((Period::Day(first_of_month), Period::Day(to)));
            stretches
        }
    }
}

fn read_measures(bytes: &[u8]) -> Result<Measures, StoreError> {
    stored::decode_measures(bytes).map_err(|error| StoreError::damaged("cells", error))
}

fn read_trace(row: fjall::Guard) -> Result<(Day, RecordKey), StoreError> {
    keys::read_trace(&row.key()?).ok_or_else(|| StoreError::damaged("traces", "its key"))
}

fn read_stock(row: fjall::Guard) -> Result<(OutletId, u64, StockEntry), StoreError> {
    let (key, value) = row.into_inner()?;
    let (outlet, gtin, at) = keys::read_stock(&key).ok_or_else(|| StoreError::damaged("stock", "its key"))?;
    Ok((outlet, gtin, rows::read_stock(at, &value)?))
}

/// The person of a stored row; all zeros for none.
fn person_of(bytes: [u8; 16]) -> Option<PersonId> {
    let id = xundian_protocol::ids::RecordId::from_bytes(bytes);
    (id != xundian_protocol::ids::RecordId::NIL).then_some(PersonId(id))
}
