//! Random values of all types, for the property tests.

use proptest::prelude::*;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, KindId, OpSeq, OrgUnitId, OutletId, PersonId, RecordId};
use xundian_protocol::kinds::{self, FieldSpec, Gtin, HomeKind, KeyType, KindSpec, header};
use xundian_protocol::record::{
    Field, FieldKey, Home, Key, Op, Record, RecordKey, Register, Value, ValueType, Write,
};

/// A small random number generator for values that need no shrinking (SplitMix64, Steele et al. 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn id(&mut self, at_ms: i64) -> RecordId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next().to_be_bytes());
        RecordId::v7(at_ms.cast_unsigned(), random)
    }
}

pub(crate) fn id() -> impl Strategy<Value = RecordId> {
    prop_oneof![
        (0u8..4).prop_map(|n| RecordId::from_bytes([n; 16])),
        any::<[u8; 16]>().prop_map(RecordId::from_bytes)
    ]
}

/// Few moments and few devices, so that equal stamps and all orders of stamps occur.
pub(crate) fn stamp() -> impl Strategy<Value = Stamp> {
    let hlc = prop_oneof![4 => 0u64..6, 1 => any::<u64>()];
    (hlc, 0u32..4).prop_map(|(hlc, device)| Stamp { hlc: Hlc(hlc), device: DeviceNo(device) })
}

pub(crate) fn home() -> impl Strategy<Value = Home> {
    let of = |home: HomeKind| home_of(home);
    prop_oneof![of(HomeKind::Company), of(HomeKind::Unit), of(HomeKind::Outlet), of(HomeKind::Person)]
}

fn home_of(kind: HomeKind) -> BoxedStrategy<Home> {
    match kind {
        HomeKind::Company => Just(Home::Company).boxed(),
        HomeKind::Unit => id().prop_map(|id| Home::Unit(OrgUnitId(id))).boxed(),
        HomeKind::Outlet => id().prop_map(|id| Home::Outlet(OutletId(id))).boxed(),
        HomeKind::Any => home().boxed(),
        HomeKind::Person => id().prop_map(|id| Home::Person(PersonId(id))).boxed(),
    }
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Absent),
        value_of(ValueType::Bool),
        value_of(ValueType::Int),
        value_of(ValueType::Text),
        value_of(ValueType::Id),
        value_of(ValueType::Bytes),
    ]
}

fn value_of(value: ValueType) -> BoxedStrategy<Value> {
    match value {
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ValueType::Int => prop_oneof![-3i64..100, any::<i64>()].prop_map(Value::Int).boxed(),
        ValueType::Text => "[a-c门店]{0,6}".prop_map(Value::Text).boxed(),
        ValueType::Id => id().prop_map(Value::Id).boxed(),
        ValueType::Any => self::value().boxed(),
        ValueType::Bytes => prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed(),
    }
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        Just(Key::Single),
        key_of(KeyType::Gtin),
        any::<u64>().prop_map(Key::Number),
        key_of(KeyType::Day),
        key_of(KeyType::Text),
        key_of(KeyType::Id),
        key_of(KeyType::GtinLot),
    ]
}

fn key_of(key: KeyType) -> BoxedStrategy<Key> {
    let gtin = (0u64..5).prop_map(|n| Gtin::with_check_digit(690_000 + n).expect("a GTIN").number());
    match key {
        KeyType::Single => Just(Key::Single).boxed(),
        KeyType::Gtin => gtin.prop_map(Key::Number).boxed(),
        KeyType::Day => (0u64..9).prop_map(Key::Number).boxed(),
        KeyType::Text => "[a-c]{0,3}".prop_map(Key::Text).boxed(),
        KeyType::Id => id().prop_map(Key::Id).boxed(),
        KeyType::Any => self::key().boxed(),
        KeyType::GtinLot => (gtin, "[a-b]{0,2}").prop_map(|(gtin, lot)| Key::NumberText(gtin, lot)).boxed(),
    }
}

/// A key and value as a field declares them.
fn declared(field: &'static FieldSpec) -> impl Strategy<Value = (FieldKey, Value)> {
    let tag = field.tag;
    let value = prop_oneof![6 => value_of(field.value), 1 => Just(Value::Absent).boxed()];
    (key_of(field.key), value).prop_map(move |(key, value)| (FieldKey { tag, key }, value))
}

/// Keys and values of one kind, in order, each key once. Most are declared by the kind, some are not.
fn contents(spec: Option<&'static KindSpec>) -> BoxedStrategy<Vec<(FieldKey, Value)>> {
    let anything = (prop_oneof![1u16..6, 16..30u16, any::<u16>()], key(), value())
        .prop_map(|(tag, key, value)| (FieldKey { tag, key }, value));
    let one = match spec {
        None => anything.boxed(),
        Some(spec) => {
            let fields: Vec<&'static FieldSpec> = header::FIELDS.iter().chain(spec.fields).collect();
            let known = prop::sample::select(fields).prop_flat_map(declared);
            prop_oneof![5 => known, 1 => anything].boxed()
        }
    };
    let in_order = |mut found: Vec<(FieldKey, Value)>| {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|a, b| a.0 == b.0);
        found
    };
    prop::collection::vec(one, 0..24).prop_map(in_order).boxed()
}

/// A declared kind, or sometimes `None` for an unknown one.
fn spec() -> impl Strategy<Value = Option<&'static KindSpec>> {
    prop_oneof![8 => prop::sample::select(kinds::ALL.to_vec()).prop_map(Some), 1 => Just(None)]
}

fn key_and_home(spec: Option<&'static KindSpec>) -> impl Strategy<Value = (RecordKey, Home)> {
    let kind = spec.map_or(KindId(7_000), |spec| spec.kind);
    let home = spec.map_or_else(|| home().boxed(), |spec| home_of(spec.home));
    (id(), home).prop_map(move |(id, home)| (RecordKey { kind, id }, home))
}

fn op_of(spec: Option<&'static KindSpec>) -> impl Strategy<Value = Op> {
    let writes = contents(spec).prop_flat_map(|found| {
        let seen = prop::collection::vec(prop::option::of(stamp()), found.len());
        seen.prop_map(move |seen| {
            let write = |((at, value), seen): ((FieldKey, Value), _)| Write { at, value, seen };
            found.clone().into_iter().zip(seen).map(write).collect::<Vec<_>>()
        })
    });
    (0u64..1 << 40, stamp(), key_and_home(spec), writes).prop_map(|(seq, stamp, (record, home), writes)| Op {
        seq: OpSeq(seq),
        stamp,
        record,
        home,
        writes,
    })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    spec().prop_flat_map(op_of)
}

fn fields_of(spec: Option<&'static KindSpec>) -> impl Strategy<Value = Vec<Field>> {
    contents(spec).prop_flat_map(|found| {
        prop::collection::vec(stamp(), found.len()).prop_map(move |stamps| {
            let field = |((at, value), stamp)| Field { at, register: Register { value, stamp } };
            found.clone().into_iter().zip(stamps).map(field).collect()
        })
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    spec().prop_flat_map(|spec| {
        (key_and_home(spec), fields_of(spec))
            .prop_map(|((key, home), fields)| Record::from_fields(key, home, fields))
    })
}

/// Several copies of one record.
pub(crate) fn copies(count: usize) -> impl Strategy<Value = Vec<Record>> {
    spec().prop_flat_map(move |spec| {
        (key_and_home(spec), prop::collection::vec(fields_of(spec), count)).prop_map(
            |((key, home), copies)| {
                copies.into_iter().map(|fields| Record::from_fields(key, home, fields)).collect()
            },
        )
    })
}

/// Several ops on one record.
pub(crate) fn ops_on_one(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Op>> {
    spec().prop_flat_map(move |spec| {
        (key_and_home(spec), prop::collection::vec(op_of(spec), count.clone()))
            .prop_map(|((key, home), ops)| ops.into_iter().map(|op| Op { record: key, home, ..op }).collect())
    })
}
