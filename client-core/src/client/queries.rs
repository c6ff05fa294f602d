//! Queries: which records of a kind a list shows. A query and the digest of its page are data; when to ask again is the
//! caller's choice.

use std::collections::BTreeSet;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{KindId, RecordId};
use xundian_protocol::kinds::{FieldSpec, KeyType, KindSpec, Unit, header};
use xundian_protocol::record::{FieldKey, Home, Record, RecordKey, Value, ValueType};
use xundian_protocol::wire::stored;

use super::Client;
use super::reads::RecordLine;
use crate::store::{SaveState, StoreError};

/// The most lines of one page.
pub const QUERY_LINES_MAX: usize = 10_000;
/// The most ids and values in one query.
const QUERY_NAMES_MAX: usize = 10_000;

/// A query for records of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The kind.
    pub kind: KindId,
    /// Only records of this home, such as an outlet.
    pub home: Option<Home>,
    /// Only these records, such as the outlets of a route.
    pub ids: Option<BTreeSet<RecordId>>,
    /// Only records that meet all of these.
    pub conditions: Vec<Condition>,
    /// Includes records that a later record has replaced.
    pub with_corrected: bool,
    /// The latest first. Records are ordered by id, and each id that a device creates is greater than its earlier ones.
    pub is_newest_first: bool,
    /// How many records to skip.
    pub skip: usize,
    /// How many to return, at most [`QUERY_LINES_MAX`].
    pub limit: usize,
}

/// A field that must hold one of some values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    tag: u16,
    one_of: Vec<Value>,
}

/// A query that cannot be answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// The kind has no such field.
    #[error("{kind} has no field {field:?}; its fields are {known}")]
    NoSuchField {
        /// The kind's code.
        kind: &'static str,
        /// The given name.
        field: String,
        /// The known names.
        known: String,
    },
    /// The field is a table or holds raw bytes.
    #[error("the field {field} of {kind} holds more than one value, and cannot be queried")]
    NotSingle {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// The field cannot hold such a value.
    #[error("{value:?} is no value of the field {field} of {kind}; it takes {takes}")]
    NoSuchValue {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
        /// The given value.
        value: String,
        /// What the field accepts.
        takes: String,
    },
    /// The query is too long.
    #[error("a query names at most {QUERY_NAMES_MAX} ids and values, this one {names}; ask with several")]
    TooLong {
        /// How many names were given.
        names: usize,
    },
    /// The page is too long.
    #[error("a page has at most {QUERY_LINES_MAX} lines, and {limit} were requested; read several pages")]
    PageTooLong {
        /// How many lines were requested.
        limit: usize,
    },
}

/// One page of a query's result.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RecordPage {
    /// The records of the page.
    pub lines: Vec<RecordLine>,
    /// The number of records of the whole result.
    pub total: u64,
}

impl Query {
    /// All records of a kind, up to the end of the first page.
    pub const fn of(kind: KindId) -> Self {
        Self {
            kind,
            home: None,
            ids: None,
            conditions: Vec::new(),
            with_corrected: false,
            is_newest_first: false,
            skip: 0,
            limit: QUERY_LINES_MAX,
        }
    }

    /// Checks the bounds. Callers that take queries from outside call it.
    ///
    /// # Errors
    /// Returns an error if the query or its page is too long.
    pub fn check(&self) -> Result<(), QueryError> {
        let values = self.conditions.iter().map(|condition| condition.one_of.len()).sum::<usize>();
        let names = values + self.ids.as_ref().map_or(0, BTreeSet::len);
        if names > QUERY_NAMES_MAX {
            return Err(QueryError::TooLong { names });
        }
        if self.limit > QUERY_LINES_MAX {
            return Err(QueryError::PageTooLong { limit: self.limit });
        }
        Ok(())
    }

    fn means(&self, record: &Record) -> bool {
        record.key.kind == self.kind
            && self.home.is_none_or(|home| record.home == home)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&record.key.id))
            && (self.with_corrected || !header::is_corrected(record))
            && self.conditions.iter().all(|condition| condition.holds(record))
    }
}

impl Condition {
    /// Parses a condition from the field's name and values as they are written in files: a choice by its code, a day
    /// such as 2026-11-23, an id, a number, `true` or `false`, a text. Fields of the header, such as `actor`, exist in
    /// every kind.
    ///
    /// # Errors
    /// Returns an error if the kind has no such field, or the field cannot hold such a value.
    pub fn parse(kind: &'static KindSpec, field: &str, one_of: &[String]) -> Result<Self, QueryError> {
        let fields = || header::FIELDS.iter().chain(kind.fields);
        let Some(found) = fields().find(|spec| spec.name == field) else {
            let known: Vec<_> = fields().map(|spec| spec.name).collect();
            let field = field.chars().take(64).collect();
            return Err(QueryError::NoSuchField { kind: kind.code, field, known: known.join(", ") });
        };
        if found.key != KeyType::Single || found.value == ValueType::Bytes {
            return Err(QueryError::NotSingle { kind: kind.code, field: found.name });
        }
        let value = |text: &String| {
            value_of(found, text).ok_or_else(|| QueryError::NoSuchValue {
                kind: kind.code,
                field: found.name,
                value: text.chars().take(64).collect(),
                takes: what_it_takes(found),
            })
        };
        Ok(Self { tag: found.tag, one_of: one_of.iter().map(value).collect::<Result<_, _>>()? })
    }

    /// The condition that a record belongs to a business day.
    pub fn on_day(day: Day) -> Self {
        Self { tag: header::BUSINESS_DAY, one_of: vec![Value::Int(i64::from(day.0))] }
    }

    fn holds(&self, record: &Record) -> bool {
        let register = record.register(&FieldKey::single(self.tag));
        register.is_some_and(|register| self.one_of.contains(&register.value))
    }
}

fn value_of(field: &FieldSpec, text: &str) -> Option<Value> {
    if !field.choices.is_empty() {
        return field.choices.iter().find(|choice| choice.1 == text).map(|choice| Value::Int(choice.0));
    }
    match field.value {
        ValueType::Bool => text.parse().ok().map(Value::Bool),
        ValueType::Int if field.unit == Unit::Day => {
            text.parse::<Day>().ok().map(|day| Value::Int(i64::from(day.0)))
        }
        ValueType::Int => text.parse().ok().map(Value::Int),
        ValueType::Text => Some(Value::Text(text.to_owned())),
        ValueType::Id => text.parse().ok().map(Value::Id),
        // A value of any type has no text that identifies it.
        ValueType::Bytes | ValueType::Any => None,
    }
}

fn what_it_takes(field: &FieldSpec) -> String {
    if !field.choices.is_empty() {
        return field.choices.iter().map(|choice| choice.1).collect::<Vec<_>>().join(", ");
    }
    let form = match field.value {
        ValueType::Bool => "true or false",
        ValueType::Int if field.unit == Unit::Day => "a day such as 2026-11-23",
        ValueType::Int => "a whole number",
        ValueType::Id => "an id",
        ValueType::Text | ValueType::Bytes | ValueType::Any => "a text",
    };
    form.to_owned()
}

impl RecordPage {
    /// The digest of a page. It is equal for pages with the same records in the same order and the same save states.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.total.to_be_bytes());
        for line in &self.lines {
            let record = stored::encode_record(&line.record);
            // Lengths come first, so that no two pages hash the same bytes.
            hasher.update(&(record.len() as u64).to_be_bytes()).update(&record);
            hasher.update(&[match line.state {
                SaveState::Saved => 0,
                SaveState::Sent => 1,
                SaveState::Confirmed => 2,
                SaveState::Rejected(_) => 3,
            }]);
            if let SaveState::Rejected(ids) = &line.state {
                hasher.update(&(ids.len() as u64).to_be_bytes());
                for id in ids {
                    hasher.update(&id.device.0.to_be_bytes()).update(&id.seq.0.to_be_bytes());
                }
            }
        }
        *hasher.finalize().as_bytes()
    }
}

impl Client {
    /// Runs a query. Memory is bounded by the page and the ids of the result.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn query(&self, query: &Query) -> Result<RecordPage, StoreError> {
        let mut meant = BTreeSet::new();
        let mut note = |record: Record| {
            if query.means(&record) {
                meant.insert(record.key.id);
            }
        };
        match (&query.ids, query.home) {
            (Some(ids), _) => {
                for id in ids {
                    self.store
                        .record(RecordKey { kind: query.kind, id: *id })?
                        .into_iter()
                        .for_each(&mut note);
                }
            }
            (None, Some(home)) => self.store.each_of_home(home, Some(query.kind), note)?,
            (None, None) => self.store.each_of_kind(query.kind, note)?,
        }
        let total = meant.len() as u64;
        let limit = query.limit.min(QUERY_LINES_MAX);
        let page: Vec<RecordId> = match query.is_newest_first {
            true => meant.into_iter().rev().skip(query.skip).take(limit).collect(),
            false => meant.into_iter().skip(query.skip).take(limit).collect(),
        };
        let mut lines = Vec::with_capacity(page.len());
        for id in page {
            // A record that left the scope since the index was read is left out; the revision reports the change.
            lines.extend(self.find(RecordKey { kind: query.kind, id })?);
        }
        Ok(RecordPage { lines, total })
    }

    /// Grows whenever a query for records of the kind may have a new result. It is cheap to read, and starts at 0 at
    /// each opening.
    pub fn revision(&self, kind: KindId) -> u64 {
        self.store.revision(kind)
    }
}
