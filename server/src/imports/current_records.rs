//! What the checks read from the store: the organisation by its codes, and current records.

use super::ImportError;
use std::collections::BTreeMap;
use std::sync::Arc;
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{Entity, RoutePlan};
use xundian_protocol::record::{Home, Record, RecordKey};

use crate::server::Server;

/// What to do if no outlet has a code.
pub(super) const NO_OUTLET: &str = "no outlet has this code: import the outlets first";

/// A source of current records.
pub(super) trait CurrentRecords {
    /// The organisation.
    fn directory(&self) -> Arc<Directory>;
    /// A current record.
    fn record(&self, key: RecordKey) -> Result<Option<Record>, ImportError>;
    /// The route plans of a person.
    fn plans(&self, person: PersonId) -> Result<Vec<Record>, ImportError>;
}

impl CurrentRecords for Server {
    fn directory(&self) -> Arc<Directory> {
        Self::directory(self)
    }

    fn record(&self, key: RecordKey) -> Result<Option<Record>, ImportError> {
        Ok(Self::record(self, key)?)
    }

    fn plans(&self, person: PersonId) -> Result<Vec<Record>, ImportError> {
        Ok(self.records_of_home(Home::Person(person), RoutePlan::SPEC.kind)?)
    }
}

/// The organisation by codes. Every id is looked up here, so that a record created under another id than the derived
/// one is found by its code, too.
pub(super) struct Codes {
    pub(super) units: BTreeMap<String, OrgUnitId>,
    pub(super) positions: BTreeMap<String, PositionId>,
    pub(super) people: BTreeMap<String, PersonId>,
    pub(super) outlets: BTreeMap<String, OutletId>,
}

impl Codes {
    pub(super) fn of(directory: &Directory) -> Self {
        Self {
            units: directory.units().map(|(id, entry)| (entry.code.clone(), id)).collect(),
            positions: directory.positions().map(|(id, entry)| (entry.code.clone(), id)).collect(),
            people: directory.people().map(|(id, entry)| (entry.code.clone(), id)).collect(),
            outlets: directory.outlets().map(|(id, entry)| (entry.code.clone(), id)).collect(),
        }
    }
}

/// The id of a record with a natural key of several parts.
pub(super) fn id_of<T: Entity>(parts: &[&str]) -> RecordId {
    // No code contains a line break, so different parts never make the same key.
    RecordId::derived(T::SPEC.kind, &parts.join("\n"))
}

/// The current plan for a day, whoever made it.
pub(super) fn plan_on(plans: &[Record], day: Day) -> Option<RecordId> {
    let on_day = |record: &&Record| {
        RoutePlan::read(record).day == Some(day) && !xundian_protocol::kinds::header::is_corrected(record)
    };
    plans.iter().find(on_day).map(|record| record.key.id)
}

/// Codes that a file has named so far, with their lines.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, usize>);

impl Seen {
    /// The line that named this code before, if any.
    pub(super) fn before(&mut self, code: &str, line: usize) -> Option<usize> {
        if let Some(first) = self.0.get(code) {
            return Some(*first);
        }
        self.0.insert(code.to_owned(), line);
        None
    }
}
