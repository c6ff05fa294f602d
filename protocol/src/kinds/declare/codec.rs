//! The types that fields are declared with, and how each is stored.

use super::field::{KeyType, Label};
use crate::calendar::Day;
use crate::ids::{
    ContentHash, KindId, OrgUnitId, OutletId, PersonId, PositionId, RecordId, RoutePlanId, VisitId,
};
use crate::kinds::gtin::Gtin;
use crate::record::{Field, FieldKey, Key, Value, ValueType, Write};
use std::collections::BTreeMap;

/// A type of field values.
pub trait FieldValue: Sized {
    /// The type as stored.
    const TYPE: ValueType;
    /// For a choice: its numbers, codes and labels.
    const CHOICES: &'static [(i64, &'static str, Label)] = &[];
    /// For an id: the kind of the record that it names.
    const REFERS_TO: Option<KindId> = None;
    /// The stored form.
    fn to_value(&self) -> Value;
    /// The typed form; `None` if the stored value has another type.
    fn from_value(value: &Value) -> Option<Self>;
}

/// A type of line keys.
pub trait LineKey: Sized + Ord {
    /// The type as declared.
    const TYPE: KeyType;
    /// For an id: the kind of the record that it names.
    const REFERS_TO: Option<KindId> = None;
    /// The stored form.
    fn to_key(&self) -> Key;
    /// The typed form; `None` if the stored key has another type.
    fn from_key(key: &Key) -> Option<Self>;
}

/// A field of an entity: an `Option` or a `BTreeMap`.
pub trait FieldCodec {
    /// The type of the values.
    const VALUE: ValueType;
    /// The type of the line keys.
    const KEY: KeyType;
    /// For a choice: its numbers, codes and labels.
    const CHOICES: &'static [(i64, &'static str, Label)];
    /// For ids as values: the kind of the record that they name.
    const REFERS_TO: Option<KindId> = None;
    /// For ids as line keys: the kind of the record that they name.
    const LINE_REFERS_TO: Option<KindId> = None;
    /// Appends the writes of the field's values.
    fn write(&self, tag: u16, writes: &mut Vec<Write>);
    /// Reads the field from the record's fields with its tag.
    fn read(&mut self, lines: &[Field]);
}

impl<V: FieldValue> FieldCodec for Option<V> {
    const VALUE: ValueType = V::TYPE;
    const KEY: KeyType = KeyType::Single;
    const CHOICES: &'static [(i64, &'static str, Label)] = V::CHOICES;
    const REFERS_TO: Option<KindId> = V::REFERS_TO;

    fn write(&self, tag: u16, writes: &mut Vec<Write>) {
        let value = self.iter().map(FieldValue::to_value);
        writes.extend(value.map(|value| Write { at: FieldKey::single(tag), value, seen: None }));
    }

    fn read(&mut self, lines: &[Field]) {
        let single = lines.iter().find(|field| field.at.key == Key::Single);
        *self = single.and_then(|field| V::from_value(&field.register.value));
    }
}

impl<K: LineKey, V: FieldValue> FieldCodec for BTreeMap<K, V> {
    const VALUE: ValueType = V::TYPE;
    const KEY: KeyType = K::TYPE;
    const CHOICES: &'static [(i64, &'static str, Label)] = V::CHOICES;
    const REFERS_TO: Option<KindId> = V::REFERS_TO;
    const LINE_REFERS_TO: Option<KindId> = K::REFERS_TO;

    fn write(&self, tag: u16, writes: &mut Vec<Write>) {
        writes.extend(self.iter().map(|(key, value)| Write {
            at: FieldKey { tag, key: key.to_key() },
            value: value.to_value(),
            seen: None,
        }));
    }

    fn read(&mut self, lines: &[Field]) {
        let known =
            |field: &Field| Some((K::from_key(&field.at.key)?, V::from_value(&field.register.value)?));
        *self = lines.iter().filter_map(known).collect();
    }
}

/// A value with the key of its line, of any type. It describes the value of another field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyedValue {
    /// The line, or [`Key::Single`].
    pub key: Key,
    /// The value; [`Value::Absent`] if it was removed or never written.
    pub value: Value,
}

/// The field has its own tag and the line key of the value that it holds, so that key and value keep their types and
/// bounds.
impl FieldCodec for Option<KeyedValue> {
    const VALUE: ValueType = ValueType::Any;
    const KEY: KeyType = KeyType::Any;
    const CHOICES: &'static [(i64, &'static str, Label)] = &[];

    fn write(&self, tag: u16, writes: &mut Vec<Write>) {
        writes.extend(self.iter().map(|held| Write {
            at: FieldKey { tag, key: held.key.clone() },
            value: held.value.clone(),
            seen: None,
        }));
    }

    fn read(&mut self, lines: &[Field]) {
        let held =
            |field: &Field| KeyedValue { key: field.at.key.clone(), value: field.register.value.clone() };
        *self = lines.first().map(held);
    }
}

macro_rules! field_value {
    ($($ty:ty: $variant:ident, $to:expr, $from:expr;)*) => {$(
        impl FieldValue for $ty {
            const TYPE: ValueType = ValueType::$variant;
            fn to_value(&self) -> Value {
                let to: fn(&$ty) -> Value = $to;
                to(self)
            }
            fn from_value(value: &Value) -> Option<Self> {
                let Value::$variant(inner) = value else { return None };
                let from: fn(&_) -> Option<$ty> = $from;
                from(inner)
            }
        }
    )*};
}

field_value! {
    bool: Bool, |v| Value::Bool(*v), |v| Some(*v);
    i64: Int, |v| Value::Int(*v), |v| Some(*v);
    String: Text, |v| Value::Text(v.clone()), |v: &String| Some(v.clone());
    Day: Int, |v| Value::Int(i64::from(v.0)), |v: &i64| i32::try_from(*v).ok().map(Day);
    Gtin: Int, |v| Value::Int(v.number().cast_signed()), |v: &i64| Gtin::new(u64::try_from(*v).ok()?).ok();
    RecordId: Id, |v| Value::Id(*v), |v| Some(*v);
    ContentHash: Bytes, |v| Value::Bytes(v.0.to_vec()), |v: &Vec<u8>| v.as_slice().try_into().ok().map(ContentHash);
}

macro_rules! id_value {
    ($($id:ident),*) => {$(
        impl FieldValue for $id {
            const TYPE: ValueType = ValueType::Id;
            const REFERS_TO: Option<KindId> = Some(Self::KIND);
            fn to_value(&self) -> Value {
                Value::Id(self.0)
            }
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::Id(id) = value { Some(Self(*id)) } else { None }
            }
        }
    )*};
}

id_value! { OrgUnitId, PositionId, PersonId, OutletId, VisitId, RoutePlanId }

impl LineKey for Gtin {
    const TYPE: KeyType = KeyType::Gtin;
    fn to_key(&self) -> Key {
        Key::Number(self.number())
    }
    fn from_key(key: &Key) -> Option<Self> {
        if let Key::Number(number) = key { Self::new(*number).ok() } else { None }
    }
}

impl LineKey for String {
    const TYPE: KeyType = KeyType::Text;
    fn to_key(&self) -> Key {
        Key::Text(self.clone())
    }
    fn from_key(key: &Key) -> Option<Self> {
        if let Key::Text(text) = key { Some(text.clone()) } else { None }
    }
}

impl LineKey for OutletId {
    const TYPE: KeyType = KeyType::Id;
    const REFERS_TO: Option<KindId> = Some(Self::KIND);
    fn to_key(&self) -> Key {
        Key::Id(self.0)
    }
    fn from_key(key: &Key) -> Option<Self> {
        if let Key::Id(id) = key { Some(Self(*id)) } else { None }
    }
}

/// A day from 1970 on. An earlier day is stored as day 0.
impl LineKey for Day {
    const TYPE: KeyType = KeyType::Day;
    fn to_key(&self) -> Key {
        Key::Number(u64::try_from(self.0).unwrap_or(0))
    }
    fn from_key(key: &Key) -> Option<Self> {
        if let Key::Number(number) = key { i32::try_from(*number).ok().map(Self) } else { None }
    }
}

impl LineKey for (Gtin, String) {
    const TYPE: KeyType = KeyType::GtinLot;
    fn to_key(&self) -> Key {
        Key::NumberText(self.0.number(), self.1.clone())
    }
    fn from_key(key: &Key) -> Option<Self> {
        let Key::NumberText(number, lot) = key else { return None };
        Some((Gtin::new(*number).ok()?, lot.clone()))
    }
}
