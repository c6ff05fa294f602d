//! An in-memory index of outlets by code and plans by day, so that a save does not search the store.

use std::collections::{BTreeSet, HashMap};

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId, RoutePlanId};
use xundian_protocol::kinds::{Entity, Outlet, RoutePlan, header};
use xundian_protocol::record::{Home, Record};

use crate::store::{Store, StoreError};
use crate::visit_ops::OutletFacts;

/// The index, built at given revisions of outlets and plans.
pub(super) struct OutletIndex {
    revisions: [u64; 2],
    by_code: HashMap<String, OutletId>,
    outlets: HashMap<OutletId, OutletFacts>,
    plans: HashMap<Day, Plan>,
}

/// The person's plan for a day.
pub(super) struct Plan {
    pub(super) id: RoutePlanId,
    pub(super) outlets: BTreeSet<OutletId>,
}

impl OutletIndex {
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let mut outlet_index = Self {
            revisions: revisions(store),
            by_code: HashMap::new(),
            outlets: HashMap::new(),
            plans: HashMap::new(),
        };
        store.each_of_kind(Outlet::SPEC.kind, |record| outlet_index.add_outlet(&record))?;
        if let Some(identity) = store.identity() {
            let home = Home::Person(identity.person);
            store.each_of_home(home, Some(RoutePlan::SPEC.kind), |record| outlet_index.add_plan(&record))?;
        }
        Ok(outlet_index)
    }

    /// Whether the store's revisions are unchanged.
    pub(super) fn is_fresh(&self, store: &Store) -> bool {
        self.revisions == revisions(store)
    }

    /// Finds an outlet by its code or id.
    pub(super) fn outlet_named(&self, name: &str) -> Option<OutletId> {
        let by_id = || name.parse::<RecordId>().ok().map(OutletId).filter(|id| self.outlets.contains_key(id));
        self.by_code.get(name).copied().or_else(by_id)
    }

    pub(super) fn outlet(&self, id: OutletId) -> Option<&OutletFacts> {
        self.outlets.get(&id)
    }

    pub(super) fn plan(&self, day: Day) -> Option<&Plan> {
        self.plans.get(&day)
    }

    fn add_outlet(&mut self, record: &Record) {
        let facts = OutletFacts::of(record);
        self.by_code.insert(facts.code.clone(), facts.id);
        self.outlets.insert(facts.id, facts);
    }

    fn add_plan(&mut self, record: &Record) {
        let plan = RoutePlan::read(record);
        if let (Some(day), false) = (plan.day, header::is_corrected(record)) {
            let outlets = plan.call_order.into_keys().collect();
            self.plans.insert(day, Plan { id: RoutePlanId(record.key.id), outlets });
        }
    }
}

fn revisions(store: &Store) -> [u64; 2] {
    [Outlet::SPEC.kind, RoutePlan::SPEC.kind].map(|kind| store.revision(kind))
}
