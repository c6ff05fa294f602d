//! Reads the store as of one moment, which later commits do not change.

use super::cells::CellRow;
use super::engine::{Row, Rows, Snapshot, Table};
use super::{
    AuditEntry, CountedKinds, Device, Epochs, FeedPosition, InvitationEntry, Levels, Owner, Picture,
    PictureRow, RejectedOp, Statement, StoreError, StoredRecord, Subjects, keys, pictures, rows, stock,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::Hlc;
use xundian_protocol::figures::stock_ledger::EntryKey;
use xundian_protocol::figures::{Cell, MeasureFamily, Measures, Nature, Period};
use xundian_protocol::ids::{ContentHash, DeviceNo, FeedSeq, KindId, OpSeq, OutletId, PersonId, RecordId};
use xundian_protocol::record::{Home, RecordKey};

/// A snapshot of the store.
pub struct Reader<'a> {
    pub(super) at: Snapshot<'a>,
}

impl Reader<'_> {
    /// The last sequence of the feed.
    pub fn feed_head(&self) -> Result<FeedSeq, StoreError> {
        let bytes = self.at.get(Table::Meta, "feed_head")?;
        let seq = bytes.and_then(|bytes| keys::read_feed_seq(&bytes));
        Ok(seq.unwrap_or_default())
    }

    /// The last moment of the server's own clock.
    pub fn clock(&self) -> Result<Hlc, StoreError> {
        let bytes = self.at.get(Table::Meta, "clock")?;
        Ok(bytes
            .and_then(|bytes| bytes.as_ref().try_into().ok())
            .map_or(Hlc::default(), |b| Hlc(u64::from_be_bytes(b))))
    }

    /// The epochs of the feed.
    pub fn epochs(&self) -> Result<Epochs, StoreError> {
        let bytes = self.at.get(Table::Meta, "epochs")?;
        bytes.map_or_else(|| Ok(Epochs::default()), |bytes| Epochs::decode(&bytes))
    }

    /// The kinds counted in the figures.
    pub fn counted_kinds(&self) -> Result<CountedKinds, StoreError> {
        let bytes = self.at.get(Table::Meta, "counted_in")?;
        rows::read_counted_kinds(bytes.as_deref())
    }

    /// A record with its position.
    pub fn record(&self, key: RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let bytes = self.at.get(Table::Records, keys::record(key))?;
        bytes.map(|bytes| rows::read_record(&bytes)).transpose()
    }

    /// The stored bytes of a record, without its position.
    pub(crate) fn record_bytes(&self, key: RecordKey) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = self.at.get(Table::Records, keys::record(key))? else { return Ok(None) };
        Ok(Some(rows::stored_record(&bytes)?.to_vec()))
    }

    /// All records of a kind, by id; of all kinds for `None`.
    pub fn records(
        &self,
        kind: Option<KindId>,
    ) -> impl Iterator<Item = Result<StoredRecord, StoreError>> + use<'_> {
        let prefix = kind.map_or_else(Vec::new, |kind| kind.0.to_be_bytes().to_vec());
        self.at.prefix(Table::Records, prefix).map(|row| rows::read_record(&row?.1))
    }

    /// The records of a kind whose ids are greater than one, by id.
    pub(crate) fn records_after(
        &self,
        kind: KindId,
        after: Option<RecordId>,
    ) -> impl Iterator<Item = Result<StoredRecord, StoreError>> + use<'_> {
        let id = |id| keys::record(RecordKey { kind, id });
        let from = after.map_or(Bound::Included(id(RecordId::NIL)), |after| Bound::Excluded(id(after)));
        let to = Bound::Included(id(RecordId::from_bytes([u8::MAX; 16])));
        self.at.range(Table::Records, (from, to)).map(|row| rows::read_record(&row?.1))
    }

    /// The records of one kind in a home, by id: each is once in the home's feed.
    pub fn keys_of_home(&self, home: Home, kind: KindId) -> Result<Vec<RecordKey>, StoreError> {
        let feed = self.feed(home, FeedSeq(0))?;
        let mut keys: Vec<RecordKey> =
            feed.into_iter().map(|(key, _)| key).filter(|key| key.kind == kind).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// The changes of a home after a sequence, in order: the records and their positions.
    pub fn feed(&self, home: Home, after: FeedSeq) -> Result<Vec<(RecordKey, FeedPosition)>, StoreError> {
        let from = keys::feed(home, FeedSeq(after.0.saturating_add(1)));
        let to = keys::feed(home, FeedSeq(u64::MAX));
        let read = |row: Result<Row, StoreError>| {
            let (key, value) = row?;
            rows::read_feed(&key, &value)
        };
        self.at.range(Table::Feed, from..=to).map(read).collect()
    }

    /// The cells of a measure family, by subject and dimension: flows summed over the days, levels at the last one.
    pub fn cells(
        &self,
        family: MeasureFamily,
        of: Subjects,
        from: Day,
        to: Day,
        mut each: impl FnMut(Cell, Measures),
    ) -> Result<(), StoreError> {
        for (first, last) in stretches(family, from, to) {
            let (start, _) = keys::cells_range(family, first, of);
            let (_, end) = keys::cells_range(family, last, of);
            // With several periods, cells of other subjects are in between.
            let mut wanted = |cell: Cell, measures| {
                if of.holds(cell.subject) {
                    each(cell, measures);
                }
            };
            self.cells_in(self.at.range(Table::Cells, start..=end), &mut wanted)?;
        }
        Ok(())
    }

    fn cells_in(&self, rows: Rows<'_>, each: &mut impl FnMut(Cell, Measures)) -> Result<(), StoreError> {
        for row in rows {
            let (key, value) = row?;
            let block = keys::read_block(&key).ok_or_else(|| StoreError::damaged("cells", "its key"))?;
            CellRow::read_block(block, &value, &mut *each)?;
        }
        Ok(())
    }

    /// Records that contribute to the figures of an owner on these days, by day and id.
    pub fn provenance(&self, of: Owner, from: Day, to: Day) -> Result<Vec<(Day, RecordKey)>, StoreError> {
        read_provenance(
            self.at.range(
                Table::Provenance,
                keys::provenance_day(of, from)..keys::provenance_day(of, to.next()),
            ),
        )
    }

    /// All records that contribute to the figures of an owner.
    pub fn all_provenance(&self, of: Owner) -> Result<Vec<(Day, RecordKey)>, StoreError> {
        read_provenance(self.at.prefix(Table::Provenance, keys::provenance_owner(of)))
    }

    /// The latest levels of an outlet's stock ledgers.
    pub fn levels(&self, outlet: OutletId) -> Result<Levels, StoreError> {
        let bytes = self.at.get(Table::Levels, outlet.0.as_bytes())?;
        bytes.map_or_else(|| Ok(Levels::new()), |bytes| stock::decode_levels(&bytes))
    }

    /// The statements that entries of these products from `first` to `last` can change in an outlet: back to the entry
    /// before `first` and forward to the next count after `last`, for each product.
    pub fn statements_around(
        &self,
        outlet: OutletId,
        products: &BTreeSet<u64>,
        first: &EntryKey,
        last: &EntryKey,
    ) -> Result<BTreeMap<EntryKey, Statement>, StoreError> {
        let place = keys::stock(outlet, first);
        let (start, end) = keys::stock_range(outlet);
        let mut found = BTreeMap::new();
        let mut unmet = products.clone();
        for row in self.at.range(Table::Stock, start..place.clone()).rev() {
            let (_, statement) = read_statement(row)?;
            unmet.retain(|gtin| statement.line(*gtin).is_none());
            found.insert(statement.at, statement);
            if unmet.is_empty() {
                break;
            }
        }
        let mut uncounted = products.clone();
        for row in self.at.range(Table::Stock, place..=end) {
            let (_, statement) = read_statement(row)?;
            if statement.at > *last {
                uncounted.retain(|gtin| !statement.counts(*gtin));
            }
            found.insert(statement.at, statement);
            if uncounted.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// All stock statements of an outlet, in order.
    pub fn statements_of(&self, outlet: OutletId) -> Result<Vec<Statement>, StoreError> {
        let rows = self.at.prefix(Table::Stock, outlet.0.as_bytes());
        rows.map(|row| Ok(read_statement(row)?.1)).collect()
    }

    /// A picture, if it is stored.
    pub fn picture(&self, hash: ContentHash) -> Result<Option<Picture>, StoreError> {
        let Some(value) = self.at.get(Table::Pictures, hash.0)? else { return Ok(None) };
        match pictures::read_row(&hash.0, &value)? {
            PictureRow::Stored(picture) => Ok(Some(picture)),
            PictureRow::Named(_) => Ok(None),
        }
    }

    /// Whether a record of an author refers to a picture, with this size if `bytes` is given.
    pub fn is_named_by(
        &self,
        author: PersonId,
        hash: ContentHash,
        bytes: Option<u64>,
    ) -> Result<bool, StoreError> {
        let front = pictures::named_by(hash, author, bytes);
        let first = self.at.prefix(Table::Pictures, front).next();
        Ok(first.transpose()?.is_some())
    }

    /// Rows of pictures, by hash: that of a stored picture, then those of the records that refer to it. All of them, or
    /// those whose hash begins with a byte.
    pub fn pictures(
        &self,
        first: Option<u8>,
    ) -> impl Iterator<Item = Result<PictureRow, StoreError>> + use<'_> {
        let read = |row: Result<Row, StoreError>| {
            let (key, value) = row?;
            pictures::read_row(&key, &value)
        };
        self.at.prefix(Table::Pictures, first.as_slice()).map(read)
    }

    /// A device.
    pub fn device(&self, no: DeviceNo) -> Result<Option<Device>, StoreError> {
        let bytes = self.at.get(Table::Devices, keys::device(no))?;
        bytes.map(|bytes| rows::from_json("devices", &bytes)).transpose()
    }

    /// All devices, by number.
    pub fn devices(&self) -> Result<Vec<Device>, StoreError> {
        self.at.all(Table::Devices).map(|row| rows::from_json("devices", &row?.1)).collect()
    }

    /// The invitation with the hash of a secret.
    pub fn invitation(&self, secret_hash: &[u8; 32]) -> Result<Option<InvitationEntry>, StoreError> {
        let bytes = self.at.get(Table::Invitations, secret_hash)?;
        bytes.map(|bytes| rows::from_json("invitations", &bytes)).transpose()
    }

    /// All rejected ops, by device and number.
    pub fn rejected(&self) -> Result<Vec<RejectedOp>, StoreError> {
        self.at.all(Table::Rejected).map(|row| rows::from_json("rejected", &row?.1)).collect()
    }

    /// The rejected ops of a device in a range of numbers.
    pub fn rejected_of(
        &self,
        device: DeviceNo,
        from: OpSeq,
        to: OpSeq,
    ) -> Result<Vec<RejectedOp>, StoreError> {
        let rows = self.at.range(Table::Rejected, keys::op(device, from)..=keys::op(device, to));
        rows.map(|row| rows::from_json("rejected", &row?.1)).collect()
    }

    /// The ops of a device in a range of numbers whose stamps were in the future.
    pub fn restamped_of(
        &self,
        device: DeviceNo,
        from: OpSeq,
        to: OpSeq,
    ) -> Result<Vec<(OpSeq, Hlc)>, StoreError> {
        let read = |row: Result<Row, StoreError>| {
            let (key, value) = row?;
            let number = |bytes: &[u8]| bytes.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
            let pair = number(&key).zip(number(&value)).map(|(seq, moment)| (OpSeq(seq), Hlc(moment)));
            pair.ok_or_else(|| StoreError::damaged("restamped", "its layout"))
        };
        self.at.range(Table::Restamped, keys::op(device, from)..=keys::op(device, to)).map(read).collect()
    }

    /// The audit trail, oldest first.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, StoreError> {
        self.at.all(Table::Audit).map(|row| rows::from_json("audit", &row?.1)).collect()
    }
}

/// Up to this many days are read one by one, which skips the cells of other subjects.
const DAYS_READ_APART: i32 = 31;

/// The ranges of periods that make up a figure: for a flow the days themselves; for a level all years before, all
/// months before in the year, and all days of the month up to the last.
fn stretches(family: MeasureFamily, from: Day, to: Day) -> Vec<(Period, Period)> {
    match family.nature() {
        Nature::Flow if to.0.saturating_sub(from.0) < DAYS_READ_APART => {
            (from.0..=to.0).map(|day| (Period::Day(Day(day)), Period::Day(Day(day)))).collect()
        }
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

fn read_provenance(found: Rows<'_>) -> Result<Vec<(Day, RecordKey)>, StoreError> {
    let mut provenance = Vec::new();
    for row in found {
        let (key, value) = row?;
        let (day, id) =
            keys::read_provenance_key(&key).ok_or_else(|| StoreError::damaged("traces", "its key"))?;
        provenance.extend(rows::read_kinds(&value)?.into_iter().map(|kind| (day, RecordKey { kind, id })));
    }
    Ok(provenance)
}

fn read_statement(row: Result<Row, StoreError>) -> Result<(OutletId, Statement), StoreError> {
    let (key, value) = row?;
    let (outlet, at) = keys::read_stock(&key).ok_or_else(|| StoreError::damaged("stock", "its key"))?;
    Ok((outlet, Statement::decode(at, &value)?))
}
