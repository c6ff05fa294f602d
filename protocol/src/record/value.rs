//! Values and line keys: the few primitive types that every field is made of.

use crate::ids::RecordId;
use crate::limits::{BYTES_VALUE_MAX, KEY_TEXT_BYTES_MAX, TEXT_BYTES_MAX};

/// What a register holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// Removed: the field was written before and holds nothing now.
    Absent,
    /// Yes or no.
    Bool(bool),
    /// A whole number; its unit is the field's.
    Int(i64),
    /// UTF-8 text.
    Text(String),
    /// Another record's id.
    Id(RecordId),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

/// The type of a value, as a kind declares it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Int`]
    Int,
    /// [`Value::Text`]
    Text,
    /// [`Value::Id`]
    Id,
    /// [`Value::Bytes`]
    Bytes,
    /// Any of them. No value is of this type itself.
    Any,
}

impl Value {
    /// The type, or `None` for [`Value::Absent`].
    pub const fn value_type(&self) -> Option<ValueType> {
        match self {
            Self::Absent => None,
            Self::Bool(_) => Some(ValueType::Bool),
            Self::Int(_) => Some(ValueType::Int),
            Self::Text(_) => Some(ValueType::Text),
            Self::Id(_) => Some(ValueType::Id),
            Self::Bytes(_) => Some(ValueType::Bytes),
        }
    }

    /// Bytes of its text, bytes or id: what it takes besides [`crate::limits::FIELD_BYTES`].
    pub const fn content_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Id(_) => 16,
            Self::Absent | Self::Bool(_) | Self::Int(_) => 0,
        }
    }

    /// Whether the value keeps the bounds of [`crate::limits`].
    pub const fn within_limits(&self) -> bool {
        match self {
            Self::Text(text) => text.len() <= TEXT_BYTES_MAX,
            Self::Bytes(bytes) => bytes.len() <= BYTES_VALUE_MAX,
            Self::Absent | Self::Bool(_) | Self::Int(_) | Self::Id(_) => true,
        }
    }
}

/// Which line of a map. A set member is a key whose value is `Bool(true)`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// The field is not a map.
    Single,
    /// A number, such as a GTIN or a place in a sequence.
    Number(u64),
    /// A short text, such as a task's code.
    Text(String),
    /// Another record's id.
    Id(RecordId),
    /// A number and a text, such as a GTIN and a lot.
    NumberText(u64, String),
}

impl Key {
    /// Bytes of its text or id: what it takes besides [`crate::limits::FIELD_BYTES`].
    pub const fn content_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::NumberText(_, text) => text.len(),
            Self::Id(_) => 16,
            Self::Single | Self::Number(_) => 0,
        }
    }

    /// Whether the key keeps the bounds of [`crate::limits`].
    pub const fn within_limits(&self) -> bool {
        match self {
            Self::Text(text) | Self::NumberText(_, text) => text.len() <= KEY_TEXT_BYTES_MAX,
            Self::Single | Self::Number(_) | Self::Id(_) => true,
        }
    }
}
