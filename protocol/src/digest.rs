//! Digests: what two replicas compare to find out whether they hold the same records, without sending them.
//!
//! The digest of a record is the hash of its stored bytes in version 1. They contain its key and home, and are the same
//! on every replica that merged the same writes. The digest of a set is the sum of its records' digests, so order does
//! not matter. Digests find corruption, not malice: whoever holds a device can send any digest.

use std::ops::AddAssign;

/// The digest of any number of records; the digest of no records is zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Digest(pub u128);

/// The first half of a record's digest. It is enough to compare the records of one home.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShortDigest(pub u64);

impl Digest {
    /// The digest of a record, from its stored bytes.
    pub fn of_record(stored: &[u8]) -> Self {
        let hash = blake3::hash(stored);
        let front = hash.as_bytes().first_chunk::<16>();
        Self(front.map_or(0, |front| u128::from_be_bytes(*front)))
    }

    /// Its first half.
    pub const fn short(self) -> ShortDigest {
        // The upper half, which comes first in the bytes.
        ShortDigest((self.0 >> 64) as u64)
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl FromIterator<Self> for Digest {
    fn from_iter<I: IntoIterator<Item = Self>>(digests: I) -> Self {
        let mut sum = Self::default();
        digests.into_iter().for_each(|digest| sum += digest);
        sum
    }
}
