//! The types that fields are declared with, and how each becomes a value.

use super::spec::{KeyType, Label};
use crate::calendar::Day;
use crate::ids::{ContentHash, OrgUnitId, OutletId, PersonId, PositionId, RecordId, RoutePlanId, VisitId};
use crate::record::{Field, FieldKey, Key, Value, ValueType, Write};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A choice among numbered codes.
pub trait Choice: Sized + Copy {
    /// Every number with its code and label.
    const CHOICES: &'static [(i64, &'static str, Label)];
    /// The number.
    fn number(self) -> i64;
    /// The choice of a number, if this version knows it.
    fn from_number(number: i64) -> Option<Self>;

    /// The choice of a code.
    fn from_code(code: &str) -> Option<Self> {
        Self::CHOICES.iter().find(|choice| choice.1 == code).and_then(|choice| Self::from_number(choice.0))
    }

    /// The code in files and JSON.
    fn code(self) -> &'static str {
        Self::CHOICES.iter().find(|choice| choice.0 == self.number()).map_or("", |choice| choice.1)
    }

    /// The name for people.
    fn label(self) -> Label {
        let found = Self::CHOICES.iter().find(|choice| choice.0 == self.number());
        found.map_or(Label { zh: "", en: "" }, |choice| choice.2)
    }
}

/// A type that a field's value can have.
pub trait FieldValue: Sized {
    /// The type as stored.
    const TYPE: ValueType;
    /// For a choice: its numbers.
    const CHOICES: &'static [(i64, &'static str, Label)] = &[];
    /// The stored form.
    fn to_value(&self) -> Value;
    /// The typed form; `None` where the stored one is of another type.
    fn from_value(value: &Value) -> Option<Self>;
}

/// A type that keys the lines of a map.
pub trait LineKey: Sized + Ord {
    /// The type as declared.
    const TYPE: KeyType;
    /// The stored form.
    fn to_key(&self) -> Key;
    /// The typed form; `None` where the stored one is of another type.
    fn from_key(key: &Key) -> Option<Self>;
}

/// A field of a typed form: an `Option` or a `BTreeMap`.
pub trait FieldCodec {
    /// The type of the values.
    const VALUE: ValueType;
    /// What keys the lines.
    const KEY: KeyType;
    /// For a choice: its numbers.
    const CHOICES: &'static [(i64, &'static str, Label)];
    /// Adds the writes of what the slot holds.
    fn write(&self, tag: u16, writes: &mut Vec<Write>);
    /// Fills the slot from the fields of its tag.
    fn read(&mut self, lines: &[Field]);
}

impl<V: FieldValue> FieldCodec for Option<V> {
    const VALUE: ValueType = V::TYPE;
    const KEY: KeyType = KeyType::Single;
    const CHOICES: &'static [(i64, &'static str, Label)] = V::CHOICES;

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

/// A value with the key of its line, of whatever type: what a field holds that tells of another field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyedValue {
    /// The line, or [`Key::Single`].
    pub key: Key,
    /// The value; [`Value::Absent`] where it was removed or was never there.
    pub value: Value,
}

/// A field of its own tag that stands in the line of what it holds, so that key and value keep their types and
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
    Gtin: Int, |v| Value::Int(v.0.cast_signed()), |v: &i64| Gtin::new(u64::try_from(*v).ok()?).ok();
    RecordId: Id, |v| Value::Id(*v), |v| Some(*v);
    OrgUnitId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    PositionId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    PersonId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    OutletId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    VisitId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    RoutePlanId: Id, |v| Value::Id(v.0), |v| Some(Self(*v));
    ContentHash: Bytes, |v| Value::Bytes(v.0.to_vec()), |v: &Vec<u8>| v.as_slice().try_into().ok().map(ContentHash);
}

impl LineKey for Gtin {
    const TYPE: KeyType = KeyType::Gtin;
    fn to_key(&self) -> Key {
        Key::Number(self.0)
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
    fn to_key(&self) -> Key {
        Key::Id(self.0)
    }
    fn from_key(key: &Key) -> Option<Self> {
        if let Key::Id(id) = key { Some(Self(*id)) } else { None }
    }
}

/// A day from 1970 on; an earlier one keys no line.
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
        Key::NumberText(self.0.0, self.1.clone())
    }
    fn from_key(key: &Key) -> Option<Self> {
        let Key::NumberText(number, lot) = key else { return None };
        Some((Gtin::new(*number).ok()?, lot.clone()))
    }
}

/// A GS1 trade item number in its 14-digit form, its check digit verified (GS1 General Specifications 7.9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Gtin(u64);

/// A number that is no GTIN, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GtinError {
    /// Not 8, 12, 13 or 14 digits.
    #[error("{text:?} is no GTIN: it has {len} characters; a GTIN has 8, 12, 13 or 14 digits")]
    Length {
        /// What was given.
        text: String,
        /// Its length in characters.
        len: usize,
    },
    /// Something else than digits.
    #[error("{text:?} is no GTIN: it may hold digits only")]
    NotDigits {
        /// What was given.
        text: String,
    },
    /// The last digit does not fit the others.
    #[error("{text} is no GTIN: its check digit is {found}, but the other digits ask for {expected}")]
    CheckDigit {
        /// What was given.
        text: String,
        /// The last digit.
        found: u64,
        /// What it would have to be.
        expected: u64,
    },
}

impl Gtin {
    const END: u64 = 100_000_000_000_000;

    /// A GTIN from the number that its digits make.
    pub fn new(number: u64) -> Result<Self, GtinError> {
        if number == 0 || number >= Self::END {
            let text = number.to_string();
            return Err(GtinError::Length { len: text.len(), text });
        }
        let expected = check_digit(number / 10);
        if number % 10 != expected {
            return Err(GtinError::CheckDigit {
                text: format!("{number:014}"),
                found: number % 10,
                expected,
            });
        }
        Ok(Self(number))
    }

    /// The GTIN whose digits but the last are `body`, its check digit added.
    pub fn with_check_digit(body: u64) -> Result<Self, GtinError> {
        Self::new(body.saturating_mul(10).saturating_add(check_digit(body)))
    }

    /// The number that its digits make.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The mod-10 check digit of GS1: weights 3 and 1 from the right.
fn check_digit(mut body: u64) -> u64 {
    let mut sum = 0;
    let mut weight = 3;
    while body > 0 {
        sum += body % 10 * weight;
        weight = 4 - weight;
        body /= 10;
    }
    (10 - sum % 10) % 10
}

impl FromStr for Gtin {
    type Err = GtinError;
    fn from_str(text: &str) -> Result<Self, GtinError> {
        let len = text.chars().count();
        if !matches!(len, 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { text: text.chars().take(32).collect(), len });
        }
        let not_digits = || GtinError::NotDigits { text: text.to_owned() };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_digits());
        }
        Self::new(text.parse().map_err(|_| not_digits())?)
    }
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

super::declare::choice! {
    /// How far a captured time can be trusted 时钟可信度.
    ClockGrade {
        /// Set against the server's clock since the last start of the device.
        Trusted = 1, "trusted", "可信" / "trusted";
        /// Set against it before, since when the device was restarted.
        Drifted = 2, "drifted", "可能偏差" / "drifted";
        /// Never set against the server's clock.
        Unverified = 3, "unverified", "未校准" / "unverified";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_verified() {
        assert_eq!("6901234567892".parse::<Gtin>().map(|g| g.to_string()).as_deref(), Ok("06901234567892"));
        assert!(matches!("6901234567893".parse::<Gtin>(), Err(GtinError::CheckDigit { expected: 2, .. })));
        assert!(matches!("00242".parse::<Gtin>(), Err(GtinError::Length { len: 5, .. })));
        assert!(matches!("69012345678９2".parse::<Gtin>(), Err(GtinError::NotDigits { .. })));
        assert!(matches!("00000000".parse::<Gtin>(), Err(GtinError::Length { .. })));
    }
}
