//! Which pictures records refer to, and which of them are stored: one table, in which the row of a stored picture
//! precedes the rows of the records that refer to it.

use super::{StoreError, keys};
use xundian_protocol::ids::{ContentHash, PersonId, RecordId};
use xundian_protocol::record::RecordKey;

/// A reference from a record to a picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlobRef {
    /// The picture.
    pub hash: ContentHash,
    /// The record's author.
    pub author: PersonId,
    /// The picture's size, as the record states it.
    pub bytes: u64,
    /// The record.
    pub record: RecordKey,
}

/// A stored picture: complete, verified and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Its hash.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its thumbnail's state.
    pub preview: Preview,
}

/// The state of a picture's thumbnail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preview {
    /// It was not requested yet.
    Untried = 0,
    /// It is stored beside the picture.
    Made = 1,
    /// The picture's format is not decoded here, or the picture is too large or damaged.
    Impossible = 2,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PictureRow {
    /// A picture that is stored.
    Stored(Picture),
    /// A reference from a record.
    Named(BlobRef),
}

/// The bytes of a hash.
const HASH_BYTES: usize = 32;

/// `pictures`: hash. Its value: bytes u64, preview u8.
pub(super) fn picture(picture: &Picture) -> ([u8; HASH_BYTES], Vec<u8>) {
    let mut value = picture.bytes.to_be_bytes().to_vec();
    value.push(picture.preview as u8);
    (picture.hash.0, value)
}

/// The prefix of the `pictures` keys of one author's references to a picture, with this size if it is given.
pub(super) fn named_by(hash: ContentHash, author: PersonId, bytes: Option<u64>) -> Vec<u8> {
    let mut out = hash.0.to_vec();
    out.extend(author.0.as_bytes());
    out.extend(bytes.into_iter().flat_map(u64::to_be_bytes));
    out
}

/// `pictures`: hash, author id, bytes u64, record. Its value is empty.
pub(super) fn blob_ref(blob_ref: &BlobRef) -> Vec<u8> {
    let mut out = named_by(blob_ref.hash, blob_ref.author, Some(blob_ref.bytes));
    out.extend(keys::record(blob_ref.record));
    out
}

pub(super) fn read_row(key: &[u8], value: &[u8]) -> Result<PictureRow, StoreError> {
    let row = || {
        let (hash, rest) = key.split_first_chunk::<HASH_BYTES>()?;
        let hash = ContentHash(*hash);
        if rest.is_empty() {
            return read_picture(hash, value).map(PictureRow::Stored);
        }
        let (author, rest) = rest.split_first_chunk::<16>()?;
        let (bytes, record) = rest.split_first_chunk::<8>()?;
        let (author, bytes) = (PersonId(RecordId::from_bytes(*author)), u64::from_be_bytes(*bytes));
        Some(PictureRow::Named(BlobRef { hash, author, bytes, record: keys::read_record(record)? }))
    };
    row().ok_or_else(|| StoreError::damaged("pictures", "its layout"))
}

fn read_picture(hash: ContentHash, value: &[u8]) -> Option<Picture> {
    let (bytes, [preview]) = value.split_first_chunk::<8>()? else { return None };
    let known = [Preview::Untried, Preview::Made, Preview::Impossible];
    let preview = known.into_iter().find(|known| *known as u8 == *preview)?;
    Some(Picture { hash, bytes: u64::from_be_bytes(*bytes), preview })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use xundian_protocol::ids::KindId;

    #[test]
    fn rows_come_back_and_the_stored_picture_stands_first() {
        let hash = ContentHash::of(b"a shelf");
        let stored = Picture { hash, bytes: 7, preview: Preview::Made };
        let record = RecordKey { kind: KindId(15), id: RecordId::from_bytes([3; 16]) };
        let named = BlobRef { hash, author: PersonId(RecordId::from_bytes([0; 16])), bytes: 0, record };
        let (key, value) = picture(&stored);
        assert_eq!(read_row(&key, &value).expect("its own bytes"), PictureRow::Stored(stored));
        assert_eq!(read_row(&blob_ref(&named), b"").expect("its own bytes"), PictureRow::Named(named));
        assert!(key[..] < blob_ref(&named)[..]);
        assert!(blob_ref(&named).starts_with(&named_by(hash, named.author, Some(0))));
    }

    proptest! {
        #[test]
        fn other_bytes_are_an_error(key in prop::collection::vec(any::<u8>(), 0..90), value in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(row) = read_row(&key, &value) {
                let written = match row {
                    PictureRow::Stored(stored) => { let (key, value) = picture(&stored); (key.to_vec(), value) }
                    PictureRow::Named(named) => (blob_ref(&named), value.clone()),
                };
                prop_assert_eq!(written, (key, value));
            }
        }
    }
}
