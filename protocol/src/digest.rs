//! What two replicas compare to find out whether they hold the same, without sending it.
//!
//! The digest of a record is that of its stored bytes of version 1, which hold its key and home and are the same
//! wherever the same was merged. The digest of many is the sum of theirs, so that order does not matter. It finds
//! decay, not malice: whoever holds a device can say what they like of it.

use std::ops::AddAssign;

/// The digest of any number of records; that of none is zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Digest(pub u128);

/// The front of a record's digest, where a home's records are told one by one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShortDigest(pub u64);

impl Digest {
    /// Of one record, by its stored bytes.
    pub fn of_record(stored: &[u8]) -> Self {
        let hash = blake3::hash(stored);
        let front = hash.as_bytes().first_chunk::<16>();
        Self(front.map_or(0, |front| u128::from_be_bytes(*front)))
    }

    /// Its front.
    pub const fn short(self) -> ShortDigest {
        // The upper half, which is what comes first in bytes.
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
