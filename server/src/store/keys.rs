//! The layout of every key: big-endian, so that byte order is the order of the values.

use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::figures::stock_ledger::EntryKey;
use xundian_protocol::figures::{MeasureFamily, Period, Subject};
use xundian_protocol::ids::{DeviceNo, FeedSeq, KindId, OpSeq, OrgUnitId, OutletId, PersonId, RecordId};
use xundian_protocol::record::{Home, RecordKey};

use super::cells::CellRowKey;

/// The owner of figures, in provenance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// The unit to which the outlet belonged; `None` for outlets of no unit.
    Unit(Option<OrgUnitId>),
    /// The person who recorded it.
    Person(PersonId),
    /// The outlet.
    Outlet(OutletId),
}

/// A provenance row's key: a record contributes to the figures of an owner on a day. The records of a visit share their
/// id, so they are adjacent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProvenanceKey {
    /// The owner of the figures.
    pub owner: Owner,
    /// The day.
    pub day: Day,
    /// The record's id.
    pub id: RecordId,
    /// The record's kind.
    pub kind: KindId,
}

/// `record`: kind u16, id.
pub(super) fn record(key: RecordKey) -> Vec<u8> {
    let mut out = key.kind.0.to_be_bytes().to_vec();
    out.extend(key.id.as_bytes());
    out
}

pub(super) fn read_record(bytes: &[u8]) -> Option<RecordKey> {
    let (kind, id) = bytes.split_first_chunk::<2>()?;
    Some(RecordKey { kind: KindId(u16::from_be_bytes(*kind)), id: RecordId::from_bytes(id.try_into().ok()?) })
}

/// A home: tag u8, id (zeros for the company).
pub(super) fn home(home: Home) -> [u8; 17] {
    let (tag, id) = match home {
        Home::Company => (0, RecordId::NIL),
        Home::Unit(id) => (1, id.0),
        Home::Outlet(id) => (2, id.0),
        Home::Person(id) => (3, id.0),
    };
    tagged(tag, id)
}

fn tagged(tag: u8, id: RecordId) -> [u8; 17] {
    let mut out = [0; 17];
    out[0] = tag;
    out[1..].copy_from_slice(id.as_bytes());
    out
}

/// `feed`: home, sequence u64.
pub(super) fn feed(at: Home, seq: FeedSeq) -> Vec<u8> {
    [&home(at)[..], &seq.0.to_be_bytes()].concat()
}

/// The sequence of a `feed` key.
pub(super) fn read_feed_seq(bytes: &[u8]) -> Option<FeedSeq> {
    Some(FeedSeq(u64::from_be_bytes(*bytes.last_chunk::<8>()?)))
}

/// A signed number whose byte order is its numeric order.
const fn ordered_i32(number: i32) -> [u8; 4] {
    (number.cast_unsigned() ^ (1 << 31)).to_be_bytes()
}

const fn read_ordered_i32(bytes: [u8; 4]) -> i32 {
    (u32::from_be_bytes(bytes) ^ (1 << 31)).cast_signed()
}

const fn ordered_i64(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

const fn read_ordered_i64(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

fn subject(of: Subject) -> [u8; 17] {
    match of {
        Subject::Unit(None) => tagged(0, RecordId::NIL),
        Subject::Unit(Some(id)) => tagged(1, id.0),
        Subject::Person(id) => tagged(2, id.0),
    }
}

fn read_subject(bytes: [u8; 17]) -> Option<Subject> {
    let id = RecordId::from_bytes(bytes[1..].try_into().ok()?);
    match bytes[0] {
        0 => Some(Subject::Unit(None)),
        1 => Some(Subject::Unit(Some(OrgUnitId(id)))),
        2 => Some(Subject::Person(PersonId(id))),
        _ => None,
    }
}

/// The prefix of `cells`: measure family u8, grain u8 (year, month, day), period i32.
pub(super) fn cell_period(family: MeasureFamily, period: Period) -> Vec<u8> {
    let (grain, number) = match period {
        Period::Year(year) => (0, year),
        Period::Month(month) => (1, month),
        Period::Day(day) => (2, day.0),
    };
    let mut out = vec![family.number(), grain];
    out.extend(ordered_i32(number));
    out
}

/// `cells`: measure family, grain, period, subject (tag u8, id), number of the block u64.
pub(super) fn cells(block: CellRowKey) -> Vec<u8> {
    let mut out = cell_period(block.family, block.period);
    out.extend(subject(block.subject));
    out.extend(block.number.to_be_bytes());
    out
}

/// The subjects whose cells are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subjects {
    /// All units, and the outlets of no unit.
    Units,
    /// All people.
    People,
    /// One subject.
    One(Subject),
}

impl Subjects {
    /// Whether a subject is included.
    pub fn holds(self, found: Subject) -> bool {
        match self {
            Self::Units => matches!(found, Subject::Unit(_)),
            Self::People => matches!(found, Subject::Person(_)),
            Self::One(subject) => found == subject,
        }
    }
}

/// The first and the last possible key of the cells of one period.
pub(super) fn cells_range(family: MeasureFamily, period: Period, of: Subjects) -> (Vec<u8>, Vec<u8>) {
    let (first, last) = match of {
        Subjects::Units => (tagged(0, RecordId::NIL), tagged(1, RecordId::from_bytes([0xff; 16]))),
        Subjects::People => (tagged(2, RecordId::NIL), tagged(2, RecordId::from_bytes([0xff; 16]))),
        Subjects::One(one) => (subject(one), subject(one)),
    };
    let period = cell_period(family, period);
    let key = |of: [u8; 17], block: u64| [&period[..], &of, &block.to_be_bytes()].concat();
    (key(first, 0), key(last, u64::MAX))
}

pub(super) fn read_block(bytes: &[u8]) -> Option<CellRowKey> {
    let (&family, rest) = bytes.split_first()?;
    let (&grain, rest) = rest.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (subject, block) = rest.split_first_chunk::<17>()?;
    let number = read_ordered_i32(*number);
    let period = match grain {
        0 => Period::Year(number),
        1 => Period::Month(number),
        2 => Period::Day(Day(number)),
        _ => return None,
    };
    let number = u64::from_be_bytes(block.try_into().ok()?);
    Some(CellRowKey {
        family: MeasureFamily::from_number(family)?,
        period,
        subject: read_subject(*subject)?,
        number,
    })
}

fn owner(of: Owner) -> [u8; 17] {
    match of {
        Owner::Unit(None) => tagged(0, RecordId::NIL),
        Owner::Unit(Some(id)) => tagged(1, id.0),
        Owner::Person(id) => tagged(2, id.0),
        Owner::Outlet(id) => tagged(3, id.0),
    }
}

/// The prefix of `provenance` for one owner and day.
pub(super) fn provenance_day(of: Owner, day: Day) -> Vec<u8> {
    [&owner(of)[..], &ordered_i32(day.0)].concat()
}

/// The prefix of `provenance` for one owner.
pub(super) fn provenance_owner(of: Owner) -> Vec<u8> {
    owner(of).to_vec()
}

/// `provenance`: owner (tag u8, id), day i32, id. Its value: the kinds u16 of the records of this id.
pub(super) fn provenance_key(of: &ProvenanceKey) -> Vec<u8> {
    [&provenance_day(of.owner, of.day)[..], of.id.as_bytes()].concat()
}

/// The day and the id of a `provenance` key.
pub(super) fn read_provenance_key(bytes: &[u8]) -> Option<(Day, RecordId)> {
    let (_, rest) = bytes.split_first_chunk::<17>()?;
    let (day, id) = rest.split_first_chunk::<4>()?;
    Some((Day(read_ordered_i32(*day)), RecordId::from_bytes(id.try_into().ok()?)))
}

/// The bytes of an entry's key in a stock ledger.
pub(super) const AT_BYTES: usize = 38;

/// An entry's key in a stock ledger: captured i64, stamp (u64, u32), record.
pub(super) fn at(key: &EntryKey) -> Vec<u8> {
    let mut out = ordered_i64(key.captured_at_ms).to_vec();
    out.extend(key.stamp.hlc.0.to_be_bytes());
    out.extend(key.stamp.device.0.to_be_bytes());
    out.extend(record(key.record));
    out
}

pub(super) fn read_at(bytes: &[u8]) -> Option<EntryKey> {
    let (captured, rest) = bytes.split_first_chunk::<8>()?;
    let (hlc, rest) = rest.split_first_chunk::<8>()?;
    let (device, key) = rest.split_first_chunk::<4>()?;
    Some(EntryKey {
        captured_at_ms: read_ordered_i64(*captured),
        stamp: Stamp { hlc: Hlc(u64::from_be_bytes(*hlc)), device: DeviceNo(u32::from_be_bytes(*device)) },
        record: read_record(key)?,
    })
}

/// `stock`: outlet, entry key. (`levels`: the outlet alone.)
pub(super) fn stock(outlet: OutletId, key: &EntryKey) -> Vec<u8> {
    [&outlet.0.as_bytes()[..], &at(key)].concat()
}

/// The first and the last possible `stock` key of an outlet.
pub(super) fn stock_range(outlet: OutletId) -> (Vec<u8>, Vec<u8>) {
    (outlet.0.as_bytes().to_vec(), [&outlet.0.as_bytes()[..], &[0xff; AT_BYTES]].concat())
}

pub(super) fn read_stock(bytes: &[u8]) -> Option<(OutletId, EntryKey)> {
    let (outlet, at) = bytes.split_first_chunk::<16>()?;
    Some((OutletId(RecordId::from_bytes(*outlet)), read_at(at)?))
}

/// `rejected`: device u32, op u64.
pub(super) fn op(device: DeviceNo, seq: OpSeq) -> Vec<u8> {
    [&device.0.to_be_bytes()[..], &seq.0.to_be_bytes()].concat()
}

/// `devices`: device u32.
pub(super) fn device(device: DeviceNo) -> Vec<u8> {
    device.0.to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_cells_come_back_and_sort_by_day() {
        let on = |day| CellRowKey {
            family: MeasureFamily::Stock,
            period: Period::Day(Day(day)),
            subject: Subject::Unit(None),
            number: 7,
        };
        for day in [-1, 0, 20_000] {
            assert_eq!(read_block(&cells(on(day))), Some(on(day)));
        }
        assert!(cells(on(-1)) < cells(on(0)) && cells(on(0)) < cells(on(1)));
    }

    #[test]
    fn stock_places_come_back() {
        let stamp = Stamp { hlc: Hlc(9), device: DeviceNo(3) };
        let key = EntryKey {
            captured_at_ms: -5,
            stamp,
            record: RecordKey { kind: KindId(11), id: RecordId::from_bytes([1; 16]) },
        };
        let outlet = OutletId(RecordId::from_bytes([2; 16]));
        assert_eq!(at(&key).len(), AT_BYTES);
        assert_eq!(read_stock(&stock(outlet, &key)), Some((outlet, key)));
    }
}
