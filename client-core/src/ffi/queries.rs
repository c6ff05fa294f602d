//! Queries, once and live, for the lists that an app shows.

use std::sync::{Arc, Mutex, PoisonError};

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{KindId, RecordId};
use xundian_protocol::kinds;
use xundian_protocol::record::Home;

use super::client::Client;
use super::device::OpenCore;
use super::errors::{ClientError, ObserverError};
use super::kinds::Kind;
use super::observers::{Subscription, observe};
use super::records::ListedRecord;
use crate::client::{self, Condition, RecordPage as CorePage};

/// A query for records of one kind.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct Query {
    /// The kind.
    pub kind: Kind,
    /// Only records of this home, such as an outlet.
    #[uniffi(default)]
    pub home: Option<Home>,
    /// Only records of this business day.
    #[uniffi(default)]
    pub day: Option<Day>,
    /// Only these records, such as the outlets of the day's route.
    #[uniffi(default)]
    pub ids: Option<Vec<RecordId>>,
    /// Only records that meet all of these.
    #[uniffi(default)]
    pub conditions: Vec<FieldCondition>,
    /// Whether to include records that a later record has replaced.
    #[uniffi(default)]
    pub with_corrected: bool,
    /// Whether the latest come first. Records are ordered by id, and ids that devices create grow with time.
    #[uniffi(default)]
    pub newest_first: bool,
    /// How many records to skip.
    #[uniffi(default)]
    pub skip: u32,
    /// How many to return, at most 10,000.
    #[uniffi(default = 1000)]
    pub limit: u32,
}

/// A field that must hold one of some values.
#[derive(Clone, PartialEq, Eq, Debug, uniffi::Record)]
pub struct FieldCondition {
    /// The field's name, such as `state`; also one of the header's, such as `actor`.
    pub field: String,
    /// The values as they are written in files: a choice by its code, such as `acknowledged`, a day, an id, a number, a
    /// text, `true` or `false`.
    pub one_of: Vec<String>,
}

/// One page of a query's result.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct RecordPage {
    /// The records of the page.
    pub lines: Vec<ListedRecord>,
    /// The number of records in the whole result.
    pub total: u64,
}

/// Receives the result of a query.
#[uniffi::export(with_foreign)]
pub trait RecordsObserver: Send + Sync {
    /// Called on a thread of the library, once at the beginning and whenever a record of the page, its save state or
    /// the total has changed, and never otherwise. One call ends before the next begins; changes in between make one
    /// more call. It may call the client. A failure is ignored.
    ///
    /// # Errors
    /// Returns an error if the app's own code fails.
    fn on_records(&self, page: RecordPage) -> Result<(), ObserverError>;
}

#[uniffi::export]
impl Client {
    /// Runs a query.
    ///
    /// # Errors
    /// Returns an error if the query is invalid, or the store cannot be read.
    pub fn query(&self, query: Query) -> Result<RecordPage, ClientError> {
        let query = query.try_into()?;
        Ok(self.core()?.query(&query)?.into())
    }

    /// Calls an observer with a query's result, now and whenever a save or a sync changes it, as long as the
    /// subscription is held.
    ///
    /// # Errors
    /// Returns an error if the query is invalid, or the client was closed.
    pub fn observe_records(
        &self,
        query: Query,
        observer: Arc<dyn RecordsObserver>,
    ) -> Result<Arc<Subscription>, ClientError> {
        let query = query.try_into()?;
        self.core()?;
        let told = Mutex::new(LastReported::default());
        let find = move |core: &OpenCore| {
            // One call ends before the next begins, so that nothing waits for this lock.
            let news = told.lock().unwrap_or_else(PoisonError::into_inner).news(core, &query);
            news.unwrap_or_else(|error| {
                tracing::warn!(%error, "records cannot be read for an observer");
                None
            })
        };
        let tell = move |page: CorePage| {
            if let Err(error) = observer.on_records(page.into()) {
                tracing::warn!(%error, "a records observer failed");
            }
        };
        Ok(Arc::new(observe(&self.device, find, tell)?))
    }
}

/// What the observer received last.
#[derive(Default)]
struct LastReported {
    /// The opening of the store and the revision of the kind at the last read.
    at: Option<(u64, u64)>,
    digest: Option<[u8; 32]>,
}

impl LastReported {
    /// Returns the query's result if it differs from the last one. Reads nothing if no record of its kind has changed.
    fn news(&mut self, core: &OpenCore, query: &client::Query) -> Result<Option<CorePage>, ClientError> {
        // The revision is read before the records: a save in between is seen next time.
        let at = (core.opening, core.revision(query.kind));
        if self.at == Some(at) {
            return Ok(None);
        }
        let page = core.query(query)?;
        let digest = page.digest();
        self.at = Some(at);
        let is_news = self.digest.replace(digest) != Some(digest);
        Ok(is_news.then_some(page))
    }
}

impl TryFrom<Query> for client::Query {
    type Error = ClientError;

    fn try_from(query: Query) -> Result<Self, ClientError> {
        let Query { kind, home, day, ids, conditions, with_corrected, newest_first, skip, limit } = query;
        let kind: KindId = kind.id();
        let spec = kinds::spec(kind).ok_or_else(|| ClientError::internal("a kind without a declaration"))?;
        let parse = |condition: FieldCondition| Condition::parse(spec, &condition.field, &condition.one_of);
        let mut conditions = conditions.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        conditions.extend(day.map(Condition::on_day));
        let query = Self {
            kind,
            home,
            ids: ids.map(|ids| ids.into_iter().collect()),
            conditions,
            with_corrected,
            is_newest_first: newest_first,
            skip: usize::try_from(skip).unwrap_or(usize::MAX),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        query.check()?;
        Ok(query)
    }
}

impl From<CorePage> for RecordPage {
    fn from(page: CorePage) -> Self {
        Self { lines: page.lines.into_iter().filter_map(ListedRecord::of).collect(), total: page.total }
    }
}
