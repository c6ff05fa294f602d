//! Sealed bytes open with their key and their name, and with no others.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use super::*;

fn cover() -> Cover {
    Cover::Sealed(Arc::new(DataKey::generate().unwrap()))
}

fn sealed(cover: &Cover, data: AssociatedData<'_>, plain: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; cover.front_bytes()];
    bytes.extend_from_slice(plain);
    cover.seal(data, &mut bytes, 0).unwrap();
    assert_eq!(bytes.len(), plain.len() + cover.extra_bytes());
    bytes
}

#[test]
fn what_is_sealed_opens_at_its_place_alone() {
    let cover = cover();
    let places = [
        AssociatedData::Value(b"a"),
        AssociatedData::Value(b"b"),
        AssociatedData::File("a"),
        AssociatedData::Entry { number: 1, chain: 0 },
        AssociatedData::Entry { number: 2, chain: 0 },
        AssociatedData::Entry { number: 1, chain: 7 },
        AssociatedData::Piece { picture: &[1; 32], bytes: 9, nth: 0 },
        AssociatedData::Piece { picture: &[2; 32], bytes: 9, nth: 0 },
        AssociatedData::Piece { picture: &[1; 32], bytes: 9, nth: 1 },
        AssociatedData::Piece { picture: &[1; 32], bytes: 10, nth: 0 },
    ];
    for (nth, data) in places.into_iter().enumerate() {
        let bytes = sealed(&cover, data, "货架".as_bytes());
        for (other, elsewhere) in places.into_iter().enumerate() {
            let opened = cover.open(elsewhere, bytes.clone());
            assert_eq!(opened, (nth == other).then(|| "货架".as_bytes().to_vec()), "{nth} at {other}");
        }
    }
}

#[test]
fn no_changed_or_missing_byte_opens() {
    let cover = cover();
    for plain in [&b""[..], b"1", &[7; 300]] {
        let bytes = sealed(&cover, AssociatedData::Value(b"key"), plain);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(cover.open(AssociatedData::Value(b"key"), changed), None);
            assert_eq!(cover.open(AssociatedData::Value(b"key"), bytes[..at].to_vec()), None);
        }
        assert_eq!(super::tests::cover().open(AssociatedData::Value(b"key"), bytes), None, "another key");
    }
}

#[test]
fn the_same_bytes_are_sealed_differently_each_time() {
    let cover = cover();
    let [first, second] = [(); 2].map(|()| sealed(&cover, AssociatedData::Value(b"key"), b"same"));
    assert_ne!(first[..NONCE_LEN], second[..NONCE_LEN]);
    assert_ne!(first[NONCE_LEN..], second[NONCE_LEN..]);
}

#[test]
fn the_stores_key_opens_with_the_hosts_key_alone() {
    let (key, other) = (StoreKey::new([1; 32]), StoreKey::new([2; 32]));
    let data = DataKey::generate().unwrap();
    let wrapped = data.wrap(&key, b"beside").unwrap();
    assert_eq!(wrapped.len(), WRAPPED_BYTES);
    assert!(!wrapped.windows(KEY_BYTES).any(|window| window == &data.bytes[..]));
    let opened = DataKey::unwrap(&key, b"beside", &wrapped).unwrap().unwrap();
    assert_eq!(*opened.bytes, *data.bytes);
    assert!(DataKey::unwrap(&other, b"beside", &wrapped).unwrap().is_none());
    assert!(DataKey::unwrap(&key, b"elsewhere", &wrapped).unwrap().is_none());
    assert_ne!(key.name(), other.name());
}

#[test]
fn a_key_is_not_shown() {
    assert_eq!(format!("{:?}", StoreKey::new([0x41; 32])), "StoreKey { secret }");
}

#[test]
fn without_a_key_bytes_are_written_as_they_are() {
    assert_eq!(sealed(&Cover::Plain, AssociatedData::File("a"), b"plain"), b"plain");
    assert_eq!(Cover::Plain.open(AssociatedData::File("b"), b"plain".to_vec()), Some(b"plain".to_vec()));
    assert!(!Cover::Plain.is_sealed() && cover().is_sealed());
}
