//! Queries: which records of a kind a list shows. What is asked for is data, and so is what tells two answers apart;
//! who asks again, and when, is the caller's affair.

use std::collections::BTreeSet;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{KindId, RecordId};
use xundian_protocol::kinds::{FieldSpec, KeyType, KindSpec, Unit, header};
use xundian_protocol::record::{FieldKey, Home, Record, RecordKey, Value, ValueType};
use xundian_protocol::wire::stored;

use super::Client;
use super::reads::RecordLine;
use crate::store::{SaveState, StoreError};

/// Lines of one page.
pub const QUERY_LINES_MAX: usize = 10_000;
/// Ids and values that one query names.
const QUERY_NAMES_MAX: usize = 10_000;

/// Which records of a kind are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Of which kind.
    pub kind: KindId,
    /// Only of this home, such as an outlet.
    pub home: Option<Home>,
    /// Only these, such as the outlets of a route.
    pub ids: Option<BTreeSet<RecordId>>,
    /// Only those that keep all of these.
    pub conditions: Vec<Condition>,
    /// Also those whose place a later record has taken.
    pub with_corrected: bool,
    /// The latest first. Records are in the order of their ids, and an id that a device makes is greater than all
    /// that were made before.
    pub is_newest_first: bool,
    /// How many of them to leave out at the front.
    pub skip: usize,
    /// How many to read at most; more than [`QUERY_LINES_MAX`] never come.
    pub limit: usize,
}

/// A field that must hold one of some values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    tag: u16,
    one_of: Vec<Value>,
}

/// A query asks for what there cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// The kind has no such field.
    #[error("{kind} has no field {field:?}; its fields are {known}")]
    NoSuchField {
        /// The kind's code.
        kind: &'static str,
        /// What was given.
        field: String,
        /// The names that there are.
        known: String,
    },
    /// The field is a table or holds raw bytes.
    #[error("the field {field} of {kind} holds more than one value, and cannot be asked for")]
    NotSingle {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// The field never holds such a value.
    #[error("{value:?} is no value of the field {field} of {kind}; it takes {takes}")]
    NoSuchValue {
        /// The kind's code.
        kind: &'static str,
        /// The field's name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        takes: String,
    },
    /// The query is too long.
    #[error("a query names at most {QUERY_NAMES_MAX} ids and values, this one {names}; ask with several")]
    TooLong {
        /// How many there are.
        names: usize,
    },
    /// The page is too long.
    #[error("a page has at most {QUERY_LINES_MAX} lines, and {limit} were asked for; read several")]
    PageTooLong {
        /// How many were asked for.
        limit: usize,
    },
}

/// A part of a query's result.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RecordPage {
    /// The records of the page.
    pub lines: Vec<RecordLine>,
    /// How many records the whole result has.
    pub total: u64,
}

impl Query {
    /// All records of a kind, up to the first page's end.
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

    /// Checks the bounds. Whoever takes queries from elsewhere calls it.
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
    /// A condition by the field's name, with values as they stand in files: a choice by its code, a day such as
    /// 2026-11-23, an id, a number, `true` or `false`, a text. Fields of the header, such as `actor`, count as any
    /// kind's.
    ///
    /// # Errors
    /// Returns an error if the kind has no such field, or the field never holds such a value.
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

    /// That a record is of a business day.
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
        // A value of any type has no text that would say which one is meant.
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
    /// Tells pages apart: it is the same where the same records stand in the same order and on the same place of
    /// their way to the server.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.total.to_be_bytes());
        for line in &self.lines {
            let record = stored::encode_record(&line.record);
            // Lengths first, so that no two pages give the same bytes.
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
    /// The records that a query means. Memory is bounded by the page and the ids of the result.
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
            // What has left the scope since it was noted is left out; the revision says that there is news.
            lines.extend(self.find(RecordKey { kind: query.kind, id })?);
        }
        Ok(RecordPage { lines, total })
    }

    /// Grows whenever a query for records of the kind may have another result than before. It is cheap to ask for,
    /// and counts from 0 at each opening.
    pub fn revision(&self, kind: KindId) -> u64 {
        self.store.revision(kind)
    }
}
