//! Values and line keys: the primitive types of fields.

use crate::ids::RecordId;
use crate::limits::{BYTES_VALUE_MAX, KEY_TEXT_BYTES_MAX, TEXT_BYTES_MAX};

/// What a register holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Value {
    /// Removed: the field was written before and is empty now.
    Absent,
    /// Yes or no.
    Bool(bool),
    /// A whole number, in the unit of its field.
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
    /// Any of them. No value has this type itself.
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

    /// The bytes of its text, bytes or id, beyond [`crate::limits::FIELD_BYTES`].
    pub const fn content_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Id(_) => 16,
            Self::Absent | Self::Bool(_) | Self::Int(_) => 0,
        }
    }

    /// Whether the value is within the bounds of [`crate::limits`].
    pub const fn within_limits(&self) -> bool {
        match self {
            Self::Text(text) => text.len() <= TEXT_BYTES_MAX,
            Self::Bytes(bytes) => bytes.len() <= BYTES_VALUE_MAX,
            Self::Absent | Self::Bool(_) | Self::Int(_) | Self::Id(_) => true,
        }
    }
}

/// The key of a line of a map. A member of a set is a key whose value is `Bool(true)`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// The field is not a map.
    Single,
    /// A number, such as a GTIN or a position in a sequence.
    Number(u64),
    /// A short text, such as a task's code.
    Text(String),
    /// Another record's id.
    Id(RecordId),
    /// A number and a text, such as a GTIN and a lot.
    NumberText(u64, String),
}

impl Key {
    /// The bytes of its text or id, beyond [`crate::limits::FIELD_BYTES`].
    pub const fn content_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::NumberText(_, text) => text.len(),
            Self::Id(_) => 16,
            Self::Single | Self::Number(_) => 0,
        }
    }

    /// Whether the key is within the bounds of [`crate::limits`].
    pub const fn within_limits(&self) -> bool {
        match self {
            Self::Text(text) | Self::NumberText(_, text) => text.len() <= KEY_TEXT_BYTES_MAX,
            Self::Single | Self::Number(_) | Self::Id(_) => true,
        }
    }
}
