//! Values that cross the FFI as text or as maps: ids, days and GTINs as people write them.

use std::collections::BTreeMap;

use uniffi::metadata::codes;
use uniffi::{Lift, Lower, MetadataBuffer, RustBuffer, TypeId, UnexpectedUniFFICallbackError};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{
    ContentHash, DeviceNo, OrgUnitId, OutletId, PersonId, PositionId, RecordId, RoutePlanId, VisitId,
};
use xundian_protocol::kinds::Gtin;

use super::UniFfiTag;
use super::errors::{ClientError, ObserverError};
use crate::store::RejectedId;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        uniffi::custom_type!($(#[$doc])* $name, String, {
            remote,
            lower: |value| value.to_string(),
            try_lift: |text| Ok(text.parse::<$name>().map_err(ClientError::argument)?),
        });
    )*};
}

texts! {
    /// The id of a record.
    RecordId;
    /// The id of an organisation unit.
    OrgUnitId;
    /// The id of a position (岗位).
    PositionId;
    /// The id of a person.
    PersonId;
    /// The id of an outlet.
    OutletId;
    /// The id of a visit.
    VisitId;
    /// The id of a route plan.
    RoutePlanId;
    /// The id of a rejected op, such as D3-12.
    RejectedId;
    /// A calendar day, such as 2026-11-23.
    Day;
    /// The hash of a picture, 64 hexadecimal digits.
    ContentHash;
    /// A GTIN of 8, 12, 13 or 14 digits; returned with 14.
    Gtin;
}

uniffi::custom_type!(
    /// The number of a device.
    DeviceNo,
    u32,
    { remote, lower: |number| number.0, try_lift: |number| Ok(DeviceNo(number)) }
);

/// A product's GTIN and a lot number.
type GtinLot = (Gtin, String);

uniffi::custom_type!(
    /// A product's GTIN and a lot number, such as 06901234567892/L7.
    GtinLot,
    String,
    { remote, lower: |line| format!("{}/{}", line.0, line.1), try_lift: |text| Ok(gtin_lot(&text)?) }
);

fn gtin_lot(text: &str) -> Result<GtinLot, ClientError> {
    let wrong = || {
        let text: String = text.chars().take(64).collect();
        ClientError::argument(format!("{text:?} is no GTIN with a lot; write it as 06901234567892/L7"))
    };
    let (gtin, lot) = text.split_once('/').ok_or_else(wrong)?;
    Ok((gtin.parse().map_err(ClientError::argument)?, lot.to_owned()))
}

// UniFFI supports hash maps. On the wire a `BTreeMap` is the same: its length, then each key and value.
impl<K: TypeId<UniFfiTag>, V: TypeId<UniFfiTag>> TypeId<UniFfiTag> for BTreeMap<K, V> {
    const TYPE_ID_META: MetadataBuffer =
        MetadataBuffer::from_code(codes::TYPE_HASH_MAP).concat(K::TYPE_ID_META).concat(V::TYPE_ID_META);
}

// SAFETY: writes what `Lift` below and the other languages' maps read.
unsafe impl<K: Lower<UniFfiTag>, V: Lower<UniFfiTag>> Lower<UniFfiTag> for BTreeMap<K, V> {
    type FfiType = RustBuffer;

    fn write(lines: Self, buf: &mut Vec<u8>) {
        // A record holds far fewer lines than an i32 can count.
        buf.extend(i32::try_from(lines.len()).unwrap_or(i32::MAX).to_be_bytes());
        for (key, value) in lines {
            K::write(key, buf);
            V::write(value, buf);
        }
    }

    fn lower(lines: Self) -> RustBuffer {
        Self::lower_into_rust_buffer(lines)
    }
}

// SAFETY: reads what `Lower` above and the other languages' maps write, and checks its length.
unsafe impl<K: Lift<UniFfiTag> + Ord, V: Lift<UniFfiTag>> Lift<UniFfiTag> for BTreeMap<K, V> {
    type FfiType = RustBuffer;

    fn try_read(buf: &mut &[u8]) -> uniffi::Result<Self> {
        let lines = <i32 as Lift<UniFfiTag>>::try_read(buf)?;
        (0..lines).map(|_| Ok((K::try_read(buf)?, V::try_read(buf)?))).collect()
    }

    fn try_lift(buf: RustBuffer) -> uniffi::Result<Self> {
        Self::try_lift_from_rust_buffer(buf)
    }
}

impl From<UnexpectedUniFFICallbackError> for ObserverError {
    fn from(error: UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gtin_with_a_lot_round_trips() {
        let line = gtin_lot("6901234567892/L7/2").expect("a line");
        assert_eq!(line.1, "L7/2");
        assert_eq!(gtin_lot(&format!("{}/{}", line.0, line.1)).expect("the same"), line);
        assert!(gtin_lot("6901234567892").is_err());
        assert!(gtin_lot("1/L7").is_err());
    }

    #[test]
    fn a_btree_map_is_encoded_like_a_hash_map() {
        let lines = BTreeMap::from([("a".to_owned(), 1_i64), ("b".to_owned(), 2)]);
        let mut bytes = Vec::new();
        <BTreeMap<_, _> as Lower<UniFfiTag>>::write(lines.clone(), &mut bytes);
        let as_hash_map =
            <std::collections::HashMap<String, i64> as Lift<UniFfiTag>>::try_read(&mut &bytes[..]);
        assert_eq!(as_hash_map.expect("readable").into_iter().collect::<BTreeMap<_, _>>(), lines);
        let back = <BTreeMap<String, i64> as Lift<UniFfiTag>>::try_read(&mut &bytes[..]);
        assert_eq!(back.expect("readable"), lines);
        assert!(<BTreeMap<String, i64> as Lift<UniFfiTag>>::try_read(&mut &bytes[..9]).is_err());
    }
}
