//! Typed ids. Only the type says what an id stands for.

use std::fmt;
use std::str::FromStr;

/// The id of a record: 128 bits. A device makes a UUIDv7. An import derives the id from a natural key (a GTIN, an
/// outlet's code), so that importing twice gives the same record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; 16]);

impl RecordId {
    /// The id of all zeros, which no record has.
    pub const NIL: Self = Self([0; 16]);

    /// An id from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, most significant first. Ids are ordered by their bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A UUIDv7 (RFC 9562) from Unix milliseconds and ten random bytes.
    pub fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid().into_bytes())
    }

    /// The id for a natural key within a kind (UUIDv8 of a BLAKE3 hash, RFC 9562 section 5.8).
    pub fn derived(kind: KindId, natural_key: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&kind.0.to_be_bytes());
        hasher.update(natural_key.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid().into_bytes())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id; an id looks like 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct IdError {
    text: String,
}

impl FromStr for RecordId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::parse_str(text)
            .map(|id| Self(id.into_bytes()))
            .map_err(|_| IdError { text: text.chars().take(64).collect() })
    }
}

/// The kind of a record; see [`crate::kinds`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KindId(pub u16);

impl KindId {
    /// The first number of guarded kinds.
    const GUARDED_FROM: u16 = 0x8000;

    /// Whether records of this kind grant rights or speak for the company. A server that does not know such a kind
    /// rejects its records: it cannot judge who may write them, and they would take effect once it learns the kind.
    /// Records of other unknown kinds are kept and passed on (docs/adr/0012).
    pub const fn is_guarded(self) -> bool {
        self.0 >= Self::GUARDED_FROM
    }
}

/// An epoch of the server's feed: from one opening of its store to the next. A server that was restored from a backup
/// begins a new epoch where the backup ends. A feed position in an unknown epoch, or past the end of a known one,
/// belongs to a feed that was lost. (Compare Kafka's leader epochs, Raft's terms and PostgreSQL's timelines.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FeedEpoch(pub [u8; 16]);

impl FeedEpoch {
    /// No epoch.
    pub const NIL: Self = Self([0; 16]);
}

/// A device within one life of its store. The server assigns the number at enrolment, and a new one when a store was
/// restored or copied. So a device number and an [`OpSeq`] identify one op for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceNo(pub u32);

impl DeviceNo {
    /// The server itself, as the writer of imports and of what managers change in the console.
    pub const SERVER: Self = Self(0);
}

impl fmt::Display for DeviceNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "D{}", self.0)
    }
}

/// The sequence number of an op among the ops of one device. It starts at 1 and has no gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct OpSeq(pub u64);

impl OpSeq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The position of a change in the server's feed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FeedSeq(pub u64);

/// The BLAKE3 hash of some bytes, such as a picture. It identifies them and proves that they are complete.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a content hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no content hash: it has 64 hexadecimal digits")]
pub struct ContentHashError {
    text: String,
}

impl FromStr for ContentHash {
    type Err = ContentHashError;
    fn from_str(text: &str) -> Result<Self, ContentHashError> {
        let hash = blake3::Hash::from_hex(text);
        hash.map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| ContentHashError { text: text.chars().take(80).collect() })
    }
}

/// Hashes bytes incrementally, such as the pieces of a picture.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// Adds the bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes so far.
    pub fn hash(&self) -> ContentHash {
        ContentHash(*self.0.finalize().as_bytes())
    }
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub RecordId);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The kind of the record that the id names.
            pub const KIND: KindId = KindId($kind);
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self)
            }
        }
    )*};
}

typed_ids! {
    /// An organisation unit 组织单元: company, department, region 大区, team.
    OrgUnitId = 1;
    /// A position 岗位, which a person holds and to which outlets are assigned.
    PositionId = 2;
    /// A member of staff 人员.
    PersonId = 3;
    /// An outlet 门店.
    OutletId = 4;
    /// A visit 拜访.
    VisitId = 9;
    /// A route plan 路线计划.
    RoutePlanId = 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_through_text() {
        let id = RecordId::v7(1_800_000_000_000, [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("S1-01".parse::<RecordId>().is_err());
    }

    #[test]
    fn a_content_hash_round_trips_through_text_and_is_the_same_in_pieces() {
        let hash = ContentHash::of(b"a shelf");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!("cafe".parse::<ContentHash>().is_err());
        let mut hasher = ContentHasher::default();
        hasher.update(b"a ");
        hasher.update(b"shelf");
        assert_eq!(hasher.hash(), hash);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        assert!(RecordId::v7(1, [255; 10]) < RecordId::v7(2, [0; 10]));
    }

    #[test]
    fn a_natural_key_gives_one_id_within_its_kind() {
        assert_eq!(RecordId::derived(KindId(4), "S1"), RecordId::derived(KindId(4), "S1"));
        assert_ne!(RecordId::derived(KindId(4), "S1"), RecordId::derived(KindId(5), "S1"));
    }
}
