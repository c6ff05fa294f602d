//! The values of the tables: fixed layouts for large tables, JSON for those that people may want to read.

use super::{CountedKinds, FeedPosition, StoreError, StoredRecord, keys};
use serde::{Deserialize, Serialize};
use xundian_protocol::ids::{DeviceNo, FeedSeq, KindId, OpSeq, PersonId, RecordId};
use xundian_protocol::record::RecordKey;
use xundian_protocol::wire::stored;

/// The kinds counted by a folder that does not list them: those of the last server without the list.
const FIRST_KINDS: std::ops::RangeInclusive<u16> = 1..=16;

/// The counted kinds: how many u16, each u16; then, while another kind is being counted, a record's id.
pub(super) fn counted_kinds(counted_kinds: &CountedKinds) -> Vec<u8> {
    let count = u16::try_from(counted_kinds.kinds.len()).unwrap_or(u16::MAX);
    let mut out = count.to_be_bytes().to_vec();
    out.extend(counted_kinds.kinds.iter().flat_map(|kind| kind.0.to_be_bytes()));
    out.extend(counted_kinds.under_way.iter().flat_map(RecordId::as_bytes));
    out
}

pub(super) fn read_counted_kinds(bytes: Option<&[u8]>) -> Result<CountedKinds, StoreError> {
    let Some(bytes) = bytes else {
        return Ok(CountedKinds { kinds: FIRST_KINDS.map(KindId).collect(), under_way: None });
    };
    let read = || {
        let (count, rest) = bytes.split_first_chunk::<2>()?;
        let (kinds, rest) = rest.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
        let (kinds, _) = kinds.as_chunks::<2>();
        let kinds = kinds.iter().map(|kind| KindId(u16::from_be_bytes(*kind))).collect();
        let under_way = match rest {
            [] => None,
            id => Some(RecordId::from_bytes(id.try_into().ok()?)),
        };
        Some(CountedKinds { kinds, under_way })
    };
    read().ok_or_else(|| StoreError::damaged("meta", "the kinds that count"))
}

/// An enrolled device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its number.
    #[serde(with = "as_number")]
    pub no: DeviceNo,
    /// The person who uses it.
    #[serde(with = "as_text")]
    pub person: PersonId,
    /// The name people give it.
    pub label: String,
    /// When it was enrolled.
    pub enrolled_at_ms: i64,
    /// The end of its certificate's validity.
    pub certificate_not_after_ms: i64,
    /// BLAKE3 of its certificate request, so that a lost answer can be repeated.
    pub request_hash: [u8; 32],
    /// BLAKE3 of the public key in its certificate. `None` in a row from before this was stored.
    #[serde(default)]
    pub key_hash: Option<[u8; 32]>,
    /// When it was revoked.
    pub revoked_at_ms: Option<i64>,
    /// The number under which the same folder was enrolled again. If that was only a copy of the folder, the original
    /// continues under this number, and this is `None` again.
    #[serde(default)]
    pub replaced_by: Option<u32>,
    /// Its last merged or rejected op.
    #[serde(with = "as_seq")]
    pub applied_through: OpSeq,
    /// When it last synced.
    pub last_sync_ms: Option<i64>,
    /// Its watermark: it has sent everything captured up to this moment.
    pub captured_through_ms: Option<i64>,
    /// How far its clock is ahead of the server's.
    pub clock_offset_ms: Option<i64>,
    /// Its program and version.
    pub app: String,
}

impl Device {
    /// Whether a key is that of its own certificate.
    pub fn has_key(&self, hash: [u8; 32]) -> bool {
        self.key_hash.is_none_or(|own| own == hash)
    }

    /// Whether figures wait for its unsent work.
    pub const fn is_waited_for(&self) -> bool {
        self.revoked_at_ms.is_none() && self.replaced_by.is_none()
    }
}

/// An invitation to enrol one device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InvitationEntry {
    /// BLAKE3 of the secret; the secret itself is not kept.
    pub secret_hash: [u8; 32],
    /// The invited person.
    #[serde(with = "as_text")]
    pub person: PersonId,
    /// When it expires.
    pub expires_at_ms: i64,
    /// The device that used it.
    pub used_by: Option<u32>,
}

/// A rejected op, stored with the reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejectedOp {
    /// The device.
    #[serde(with = "as_number")]
    pub device: DeviceNo,
    /// The op's number.
    #[serde(with = "as_seq")]
    pub seq: OpSeq,
    /// The number of the reason (`wire::v1::Refusal`).
    pub why: u16,
    /// The reason, for people.
    pub message: String,
    /// When.
    pub at_ms: i64,
    /// The op as stored bytes.
    pub op: Vec<u8>,
}

/// An action of an administrator or an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at_ms: i64,
    /// Its index among entries of the same moment.
    pub nth: u32,
    /// The user or command.
    pub by: String,
    /// The action.
    pub what: String,
}

/// `records`: sequence u64, author u32, foreign u64, then the record as stored bytes.
pub(super) fn record(stored: &StoredRecord) -> Vec<u8> {
    let position = stored.position;
    let mut out = position.seq.0.to_be_bytes().to_vec();
    out.extend(position.author.0.to_be_bytes());
    out.extend(position.foreign.0.to_be_bytes());
    out.extend(stored::encode_record(&stored.record));
    out
}

/// The record of a `records` row as stored bytes.
pub(super) fn stored_record(bytes: &[u8]) -> Result<&[u8], StoreError> {
    let position_bytes = 8 + 4 + 8;
    bytes.get(position_bytes..).ok_or_else(|| StoreError::damaged("records", "too short"))
}

pub(super) fn read_record(bytes: &[u8]) -> Result<StoredRecord, StoreError> {
    let damaged = |detail: &str| StoreError::damaged("records", detail);
    let (seq, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged("too short"))?;
    let (author, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("too short"))?;
    let (foreign, rest) = rest.split_first_chunk::<8>().ok_or_else(|| damaged("too short"))?;
    let record = stored::decode_record(rest).map_err(|error| damaged(&error.to_string()))?;
    Ok(StoredRecord {
        record,
        position: FeedPosition {
            seq: FeedSeq(u64::from_be_bytes(*seq)),
            author: DeviceNo(u32::from_be_bytes(*author)),
            foreign: FeedSeq(u64::from_be_bytes(*foreign)),
        },
    })
}

/// `feed`: author u32, foreign u64, record key.
pub(super) fn feed(key: RecordKey, position: FeedPosition) -> Vec<u8> {
    let mut out = position.author.0.to_be_bytes().to_vec();
    out.extend(position.foreign.0.to_be_bytes());
    out.extend(keys::record(key));
    out
}

pub(super) fn read_feed(key: &[u8], value: &[u8]) -> Result<(RecordKey, FeedPosition), StoreError> {
    let read = || {
        let (author, rest) = value.split_first_chunk::<4>()?;
        let (foreign, record) = rest.split_first_chunk::<8>()?;
        let position = FeedPosition {
            seq: keys::read_feed_seq(key)?,
            author: DeviceNo(u32::from_be_bytes(*author)),
            foreign: FeedSeq(u64::from_be_bytes(*foreign)),
        };
        Some((keys::read_record(record)?, position))
    };
    read().ok_or_else(|| StoreError::damaged("feed", "too short"))
}

/// `provenance`: the kinds u16 of the records of one id.
pub(super) fn kinds(kinds: &[KindId]) -> Vec<u8> {
    kinds.iter().flat_map(|kind| kind.0.to_be_bytes()).collect()
}

pub(super) fn read_kinds(bytes: &[u8]) -> Result<Vec<KindId>, StoreError> {
    let (kinds, []) = bytes.as_chunks::<2>() else {
        return Err(StoreError::damaged("traces", "an odd length"));
    };
    Ok(kinds.iter().map(|kind| KindId(u16::from_be_bytes(*kind))).collect())
}

/// The person of a stored row; all zeros mean none.
pub(super) fn person_of(bytes: [u8; 16]) -> Option<PersonId> {
    let id = RecordId::from_bytes(bytes);
    (id != RecordId::NIL).then_some(PersonId(id))
}

pub(super) fn person_bytes(person: Option<PersonId>) -> [u8; 16] {
    *person.map_or(RecordId::NIL, |person| person.0).as_bytes()
}

/// `audit`: at i64, nth u32.
pub(super) fn audit_key(entry: &AuditEntry) -> Vec<u8> {
    [&entry.at_ms.to_be_bytes()[..], &entry.nth.to_be_bytes()].concat()
}

pub(super) fn json<T: Serialize>(table: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::damaged(table, error))
}

pub(super) fn from_json<T: for<'a> Deserialize<'a>>(
    table: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::damaged(table, error))
}

mod as_number {
    use super::DeviceNo;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(no: &DeviceNo, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(no.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DeviceNo, D::Error> {
        u32::deserialize(from).map(DeviceNo)
    }
}

mod as_seq {
    use super::OpSeq;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(seq: &OpSeq, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(seq.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OpSeq, D::Error> {
        u64::deserialize(from).map(OpSeq)
    }
}

mod as_text {
    use super::PersonId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &PersonId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PersonId, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
