//! The keys of the engine's one tree: a byte for the type of entry, then what identifies it. All numbers are
//! big-endian, so that keys sort like what they stand for.
//!
//! | first byte | rest of the key | value |
//! |---|---|---|
//! | 1 meta | name u8, see [`MetaKey`] | see there |
//! | 2 outbox | `OpSeq` u64 | `wire::stored` op |
//! | 3 record | kind u16, id 16 bytes | `wire::stored` record, as confirmed by the server |
//! | 4 home index | home 17 bytes, kind u16, id 16 bytes | empty |
//! | 5 held home | home 17 bytes | empty when caught up, else the `FeedSeq` u64 up to which it was pulled |
//! | 6 rejected op | `DeviceNo` u32, `OpSeq` u64 | see [`super::rejected_ops`] |
//! | 7 home to clear | home 17 bytes | empty; its records are still to be removed |
//! | 8 open visit | id 16 bytes | monotonic ms u64, boot id 16 bytes |
//! | 9 picture | hash 32 bytes | see [`super::pictures`] |
//! | 10 record that names a picture | hash 32 bytes, kind u16, id 16 bytes | empty |
//! | 11 sent | `DeviceNo` u32, `OpSeq` u64 | `wire::stored` op that was confirmed, see [`super::recovery`] |
//! | 12 stale | kind u16, id 16 bytes | empty; the record is from a feed that was lost |
//!
//! 9 to 12 were added later, without a new format number: a program that does not know them reads the rest as before
//! and leaves them alone, and a newer program finds none in an older store.
//!
//! Keys are readable on the disk even if values are sealed, so no key may contain a text: only numbers and ids.
//!
//! A home is a byte for its type (0 company, 1 unit, 2 outlet, 3 person) and the 16 bytes of its id.

use xundian_protocol::ids::{ContentHash, DeviceNo, KindId, OpSeq, OrgUnitId, OutletId, PersonId, RecordId};
use xundian_protocol::record::{Home, RecordKey};

use super::rejected_ops::RejectedId;

pub(super) const META: u8 = 1;
pub(super) const OUTBOX: u8 = 2;
pub(super) const RECORD: u8 = 3;
pub(super) const HOME_INDEX: u8 = 4;
pub(super) const HELD_HOME: u8 = 5;
pub(super) const REJECTED: u8 = 6;
pub(super) const HOME_TO_CLEAR: u8 = 7;
pub(super) const OPEN_VISIT: u8 = 8;
pub(super) const PICTURE: u8 = 9;
pub(super) const PICTURE_NAMED: u8 = 10;
pub(super) const SENT: u8 = 11;
pub(super) const STALE: u8 = 12;

const HOME_BYTES: usize = 17;

/// The names under [`META`].
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum MetaKey {
    /// The format of this store, u16.
    Format = 0,
    /// The device's number u32 and its person's id, 16 bytes.
    Identity = 1,
    /// The server's address, UTF-8.
    Server = 2,
    /// The number of the next save, u64, as of the last receipt. Saves in the outbox are counted on top.
    NextSeq = 3,
    /// The greatest moment of the hybrid clock, u64, as of the last receipt or change.
    Hlc = 4,
    /// The `FeedSeq` up to which this device has everything in scope, u64.
    Cursor = 5,
    /// The last sync, see [`super::meta::LastSync`].
    LastSync = 6,
    /// The `OpSeq` up to which the server has applied everything, u64.
    AppliedThrough = 7,
    /// The name of this device's person, UTF-8.
    PersonName = 8,
    /// The greatest `OpSeq` that was ever passed to the network, u64; written before it is sent.
    SentThrough = 9,
    /// When the store last agreed with the server, by the device's clock in Unix milliseconds, i64. Added later; a
    /// program that does not know it leaves it alone.
    LastCheck = 10,
    /// The epoch of the server's feed to which the cursors belong, 16 bytes. This and the next were added later as
    /// well.
    Epoch = 11,
    /// Present while the server does not know this device; empty.
    Forgotten = 12,
}

pub(super) const fn meta(name: MetaKey) -> [u8; 2] {
    [META, name as u8]
}

pub(super) fn outbox(seq: OpSeq) -> [u8; 9] {
    let mut key = [OUTBOX; 9];
    key[1..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(super) fn rejected(id: RejectedId) -> [u8; 13] {
    numbered(REJECTED, id.device, id.seq)
}

pub(super) fn sent(device: DeviceNo, seq: OpSeq) -> [u8; 13] {
    numbered(SENT, device, seq)
}

fn numbered(prefix: u8, device: DeviceNo, seq: OpSeq) -> [u8; 13] {
    let mut key = [prefix; 13];
    key[1..5].copy_from_slice(&device.0.to_be_bytes());
    key[5..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(super) fn record(record: RecordKey) -> [u8; 19] {
    named(RECORD, record)
}

pub(super) fn stale(record: RecordKey) -> [u8; 19] {
    named(STALE, record)
}

fn named(prefix: u8, record: RecordKey) -> [u8; 19] {
    let mut key = [prefix; 19];
    put_record(&mut key[1..], record);
    key
}

pub(super) fn kind_prefix(kind: KindId) -> [u8; 3] {
    let [high, low] = kind.0.to_be_bytes();
    [RECORD, high, low]
}

pub(super) fn indexed(home: Home, record: RecordKey) -> [u8; 36] {
    let mut key = [HOME_INDEX; 36];
    key[1..18].copy_from_slice(&home_bytes(home));
    put_record(&mut key[18..], record);
    key
}

/// The prefix of a home's index entries, of one kind or of all.
pub(super) fn indexed_prefix(home: Home, kind: Option<KindId>) -> Vec<u8> {
    let mut key = home_key(HOME_INDEX, home).to_vec();
    key.extend(kind.map(|kind| kind.0.to_be_bytes()).into_iter().flatten());
    key
}

/// A key that ends in a home: [`HELD_HOME`] or [`HOME_TO_CLEAR`].
pub(super) fn home_key(prefix: u8, home: Home) -> [u8; 18] {
    let mut key = [prefix; 18];
    key[1..].copy_from_slice(&home_bytes(home));
    key
}

pub(super) fn open_visit(visit: RecordId) -> [u8; 17] {
    let mut key = [OPEN_VISIT; 17];
    key[1..].copy_from_slice(visit.as_bytes());
    key
}

pub(super) fn picture(hash: ContentHash) -> [u8; 33] {
    let mut key = [PICTURE; 33];
    key[1..].copy_from_slice(&hash.0);
    key
}

pub(super) fn picture_named(hash: ContentHash, by: RecordKey) -> [u8; 51] {
    let mut key = [PICTURE_NAMED; 51];
    key[1..33].copy_from_slice(&hash.0);
    put_record(&mut key[33..], by);
    key
}

/// The hash of a picture's key.
pub(super) fn picture_of(key: &[u8]) -> Option<ContentHash> {
    Some(ContentHash(key.get(1..)?.try_into().ok()?))
}

/// The picture of a key of [`picture_named`], and the record that names it.
pub(super) fn named_of(key: &[u8]) -> Option<(ContentHash, RecordKey)> {
    let (hash, by) = key.get(1..)?.split_first_chunk::<32>()?;
    Some((ContentHash(*hash), record_of(by)?))
}

/// The device and the number in a key of a rejected or sent op.
pub(super) fn rejected_of(key: &[u8]) -> Option<RejectedId> {
    let (device, seq) = key.get(1..)?.split_first_chunk::<4>()?;
    let device = DeviceNo(u32::from_be_bytes(*device));
    Some(RejectedId { device, seq: OpSeq(u64::from_be_bytes(seq.try_into().ok()?)) })
}

/// The number at the end of an outbox key.
pub(super) fn seq_of(key: &[u8]) -> Option<OpSeq> {
    Some(OpSeq(u64::from_be_bytes(key.get(1..)?.try_into().ok()?)))
}

/// The id at the end of an open visit's key.
pub(super) fn visit_of(key: &[u8]) -> Option<RecordId> {
    Some(RecordId::from_bytes(key.get(1..)?.try_into().ok()?))
}

/// The record of a record key or a stale mark.
pub(super) fn record_of_key(key: &[u8]) -> Option<RecordKey> {
    record_of(key.get(1..)?)
}

/// The record at the end of an index key.
pub(super) fn record_of_index(key: &[u8]) -> Option<RecordKey> {
    record_of(key.get(1 + HOME_BYTES..)?)
}

fn record_of(bytes: &[u8]) -> Option<RecordKey> {
    let (kind, id) = bytes.split_first_chunk::<2>()?;
    Some(RecordKey { kind: KindId(u16::from_be_bytes(*kind)), id: RecordId::from_bytes(id.try_into().ok()?) })
}

/// The home that follows the first byte of a key.
pub(super) fn home_of(key: &[u8]) -> Option<Home> {
    let (tag, id) = key.get(1..1 + HOME_BYTES)?.split_first()?;
    let id = RecordId::from_bytes(id.try_into().ok()?);
    Some(match tag {
        0 => Home::Company,
        1 => Home::Unit(OrgUnitId(id)),
        2 => Home::Outlet(OutletId(id)),
        3 => Home::Person(PersonId(id)),
        _ => return None,
    })
}

fn put_record(key: &mut [u8], record: RecordKey) {
    key[..2].copy_from_slice(&record.kind.0.to_be_bytes());
    key[2..].copy_from_slice(record.id.as_bytes());
}

fn home_bytes(home: Home) -> [u8; HOME_BYTES] {
    let (tag, id) = match home {
        Home::Company => (0, RecordId::NIL),
        Home::Unit(id) => (1, id.0),
        Home::Outlet(id) => (2, id.0),
        Home::Person(id) => (3, id.0),
    };
    let mut bytes = [tag; HOME_BYTES];
    bytes[1..].copy_from_slice(id.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_give_back_what_they_name() {
        let id = RecordId::v7(7, [9; 10]);
        let key = RecordKey { kind: KindId(258), id };
        for home in
            [Home::Company, Home::Unit(OrgUnitId(id)), Home::Outlet(OutletId(id)), Home::Person(PersonId(id))]
        {
            assert_eq!(home_of(&home_key(HELD_HOME, home)), Some(home));
            assert_eq!(home_of(&indexed(home, key)), Some(home));
            assert_eq!(record_of_index(&indexed(home, key)), Some(key));
            assert!(indexed(home, key).starts_with(&indexed_prefix(home, Some(key.kind))));
        }
        assert_eq!(seq_of(&outbox(OpSeq(300))), Some(OpSeq(300)));
        let id = RejectedId { device: DeviceNo(7), seq: OpSeq(300) };
        assert_eq!(rejected_of(&rejected(id)), Some(id));
        let hash = ContentHash([7; 32]);
        assert_eq!(picture_of(&picture(hash)), Some(hash));
        assert_eq!(named_of(&picture_named(hash, key)), Some((hash, key)));
        assert!(outbox(OpSeq(255)) < outbox(OpSeq(256)));
        assert!(record(key).starts_with(&kind_prefix(key.kind)));
    }
}
