//! Reads for an app: records, their save states, and the device's status.

use std::collections::BTreeMap;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{KindId, OutletId, VisitId};
use xundian_protocol::kinds::{Entity, Header, RoutePlan, Visit, header};
use xundian_protocol::record::{Home, Record, RecordKey};

use super::Client;
use crate::store::{Rejected, SaveState, StoreError};

/// The device's status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceStatus {
    /// Ops that the server has not acknowledged.
    pub unsent_ops: u64,
    /// When the oldest of them was saved, Unix milliseconds.
    pub oldest_unsent_ms: Option<i64>,
    /// Ops that the server rejected.
    pub rejected_ops: u64,
    /// Unsent pictures. Those of rejected saves are not counted.
    pub unsent_photos: u64,
    /// Their bytes.
    pub unsent_photo_bytes: u64,
    /// When the oldest of them was attached, Unix milliseconds.
    pub oldest_unsent_photo_ms: Option<i64>,
    /// Pictures that no sync will send automatically: damaged, or declined by the server. `photos_of` says which and
    /// why.
    pub stuck_photos: u64,
    /// The end of the last sync, Unix milliseconds.
    pub last_sync_ms: Option<i64>,
    /// If the phone were lost now, only what was saved after this moment would be lost, pictures included: a photo's
    /// record without its picture proves nothing. `None` if the device never synced. Rejected saves and stuck pictures
    /// are only on this device in any case.
    pub safe_to_lose_up_to_ms: Option<i64>,
    /// The server's clock minus the device's, measured by the last sync.
    pub server_offset_ms: Option<i64>,
    /// Homes in scope.
    pub homes: u64,
    /// The store's size on disk.
    pub store_bytes: u64,
    /// Whether the device is sealed with a key of the host app.
    pub is_sealed: bool,
}

/// What was done on a day, counted from its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DaySummary {
    /// Calls planned.
    pub visits_planned: i64,
    /// Visits done.
    pub visits_done: i64,
    /// Visits done that were planned.
    pub planned_done: i64,
    /// Visits aborted.
    pub visits_aborted: i64,
    /// Visits opened and not closed.
    pub visits_open: i64,
}

/// A call of a day's route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedCall {
    /// The outlet to call on.
    pub outlet: OutletId,
    /// The outlet's code; empty if the outlet is not on this device.
    pub code: String,
    /// The outlet's name; empty if the outlet is not on this device.
    pub name: String,
    /// The position in the order of calls, from 1.
    pub order: i64,
    /// The purpose of the call.
    pub purpose: Option<String>,
    /// Whether the call is mandatory.
    pub must: bool,
    /// The visit that this person last opened there on that day.
    pub visit: Option<VisitId>,
}

/// A record and its save state.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordLine {
    /// The record as this device knows it.
    pub record: Record,
    /// The save state.
    pub state: SaveState,
}

impl Client {
    /// A record as this device knows it: the confirmed state with unsent saves applied.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn find(&self, key: RecordKey) -> Result<Option<RecordLine>, StoreError> {
        let Some(record) = self.store.record(key)? else { return Ok(None) };
        Ok(Some(self.line(record)?))
    }

    /// A record as its entity.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn entity<T: Entity>(&self, id: xundian_protocol::ids::RecordId) -> Result<Option<T>, StoreError> {
        Ok(self.store.record(T::key(id))?.map(|record| T::read(&record)))
    }

    /// The records of a kind, of one business day or all.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn list(&self, kind: KindId, day: Option<Day>) -> Result<Vec<RecordLine>, StoreError> {
        let mut records = Vec::new();
        self.store.each_of_kind(kind, |record| {
            let is_meant = |day| Header::read(&record).is_some_and(|header| header.business_day == day);
            if day.is_none_or(is_meant) {
                records.push(record);
            }
        })?;
        records.into_iter().map(|record| self.line(record)).collect()
    }

    /// The records of a home, such as everything that happened in an outlet, of one kind or all.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn list_home(&self, home: Home, kind: Option<KindId>) -> Result<Vec<RecordLine>, StoreError> {
        let mut records = Vec::new();
        self.store.each_of_home(home, kind, |record| records.push(record))?;
        records.into_iter().map(|record| self.line(record)).collect()
    }

    /// A record's save state; `None` if this device does not know the record.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn save_state(&self, key: RecordKey) -> Result<Option<SaveState>, StoreError> {
        self.store.save_state(key)
    }

    /// The rejected saves, with the reasons.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn rejected(&self) -> Result<Vec<Rejected>, StoreError> {
        self.store.rejected()
    }

    /// The device's status.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn status(&self) -> Result<DeviceStatus, StoreError> {
        let last_sync = self.store.last_sync();
        let oldest = self.store.oldest_unsent()?;
        let offset_ms = last_sync.map_or(0, |sync| sync.server_offset_ms);
        let oldest_unsent_ms = oldest.map(|op| op.stamp.hlc.unix_ms() - offset_ms);
        let now_ms = (self.clocks)().now_ms;
        let (unsent_photos, unsent_photo_bytes, oldest_unsent_photo_ms) = self.pictures_to_be_sent();
        let oldest_ms = oldest_unsent_ms.into_iter().chain(oldest_unsent_photo_ms).min();
        Ok(DeviceStatus {
            unsent_ops: self.store.unsent_ops(),
            oldest_unsent_ms,
            rejected_ops: self.store.rejected()?.len() as u64,
            unsent_photos,
            unsent_photo_bytes,
            oldest_unsent_photo_ms,
            stuck_photos: self.stuck_pictures(),
            last_sync_ms: last_sync.map(|sync| sync.at_ms),
            // With nothing unsent, nothing would be lost.
            safe_to_lose_up_to_ms: last_sync.map(|_| oldest_ms.unwrap_or(now_ms)),
            server_offset_ms: last_sync.map(|sync| sync.server_offset_ms),
            homes: self.store.standing().homes.len() as u64,
            store_bytes: self.store.size_on_disk_bytes()?,
            is_sealed: self.store.cover().is_sealed(),
        })
    }

    /// What this person did on a day.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn day_summary(&self, day: Day) -> Result<DaySummary, StoreError> {
        let outlet_index = self.outlet_index()?;
        let planned = outlet_index.plan(day).map_or(0, |plan| plan.outlets.len());
        let mut summary = DaySummary {
            visits_planned: i64::try_from(planned).unwrap_or(i64::MAX),
            ..DaySummary::default()
        };
        let person = self.person();
        self.store.each_of_kind(Visit::SPEC.kind, |record| {
            let is_mine = |header: &Header| header.business_day == day && Some(header.actor) == person;
            if header::is_corrected(&record) || !Header::read(&record).is_some_and(|header| is_mine(&header))
            {
                return;
            }
            let figures = Visit::read(&record).figures();
            summary.visits_done += figures.done;
            summary.planned_done += figures.planned_done;
            summary.visits_aborted += figures.aborted;
            summary.visits_open += figures.visits - figures.done - figures.aborted;
        })?;
        Ok(summary)
    }

    /// This person's calls on a day, in their order.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn route(&self, day: Day) -> Result<Vec<PlannedCall>, StoreError> {
        let outlet_index = self.outlet_index()?;
        let Some(plan) = outlet_index.plan(day) else { return Ok(Vec::new()) };
        let Some(form) = self.entity::<RoutePlan>(plan.id.0)? else { return Ok(Vec::new()) };
        let visits = self.own_visits(day)?;
        let call = |(outlet, order): (&OutletId, &i64)| {
            let facts = outlet_index.outlet(*outlet);
            PlannedCall {
                outlet: *outlet,
                code: facts.map_or_else(String::new, |facts| facts.code.clone()),
                name: facts.map_or_else(String::new, |facts| facts.name.clone()),
                order: *order,
                purpose: form.call_purpose.get(outlet).cloned(),
                must: form.call_must.get(outlet).copied().unwrap_or(false),
                visit: visits.get(outlet).copied(),
            }
        };
        let mut calls: Vec<_> = form.call_order.iter().map(call).collect();
        calls.sort_by_key(|call| call.order);
        Ok(calls)
    }

    /// This person's last visit on a day to each outlet.
    fn own_visits(&self, day: Day) -> Result<BTreeMap<OutletId, VisitId>, StoreError> {
        let (person, mut visits) = (self.person(), BTreeMap::new());
        self.store.each_of_kind(Visit::SPEC.kind, |record| {
            let is_mine = |header: Header| header.business_day == day && Some(header.actor) == person;
            let Home::Outlet(outlet) = record.home else { return };
            if !header::is_corrected(&record) && Header::read(&record).is_some_and(is_mine) {
                // A later id is greater.
                let last = visits.entry(outlet).or_insert(VisitId(record.key.id));
                *last = (*last).max(VisitId(record.key.id));
            }
        })?;
        Ok(visits)
    }

    /// The present day, in the default time zone.
    pub fn today(&self) -> Day {
        Day::in_default_zone((self.clocks)().now_ms)
    }

    pub(super) fn line(&self, record: Record) -> Result<RecordLine, StoreError> {
        let state = self.save_state(record.key)?;
        // A receipt may have changed the state since the record was read. A record that was read is at least confirmed.
        Ok(RecordLine { state: state.unwrap_or(SaveState::Confirmed), record })
    }
}
