//! The day's work: each method commits one durable save.

use std::collections::BTreeMap;

use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OutletId, PersonId, RecordId, RoutePlanId, VisitId};
use xundian_protocol::kinds::{
    AbortReason, DayReport, DepartureCheck, Entity, Header, Issue, IssueState, ShelfObservation, StockCount,
    StockMovement, Visit, header,
};
use xundian_protocol::record::{Home, Record};

use super::Client;
use super::outlet_index::OutletIndex;
use crate::errors::RecordError;
use crate::recorder::{Captured, Moment, Recorder, Target};
use crate::store::{OpenVisit, RejectedId, Save};
use crate::visit_ops::{self, GpsFix, NewIssue, OutletFacts, VisitBundle};

impl Client {
    /// Records the check of the bag before leaving 出门前检查. A second check on the same day replaces the first. Returns
    /// its id.
    ///
    /// # Errors
    /// Returns an error if an item of the bag is not answered, or the store cannot be written.
    pub fn check_departure(&self, check: &DepartureCheck) -> Result<RecordId, RecordError> {
        let is_same_day = |_: &DepartureCheck, header: &Header, day: Day| header.business_day == day;
        self.save_of_day(check, is_same_day)
    }

    /// Records the report that closes the day 日报, with counts of what was done. A second report replaces the first.
    /// Returns its id.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    pub fn report_day(
        &self,
        remarks: Option<String>,
        documents: Option<i64>,
    ) -> Result<RecordId, RecordError> {
        let today = Captured::at((self.clocks)().now_ms, DEFAULT_ZONE)?.day;
        let summary = self.day_summary(today)?;
        let report = DayReport {
            day: Some(today),
            visits_done: Some(summary.visits_done),
            visits_planned: Some(summary.visits_planned),
            remarks,
            documents,
        };
        self.save_of_day(&report, |form, _, _| form.day == Some(today))
    }

    /// Saves a record of the person's home that exists once a day.
    fn save_of_day<T: Entity>(
        &self,
        form: &T,
        is_same_day: impl Fn(&T, &Header, Day) -> bool,
    ) -> Result<RecordId, RecordError> {
        let person = self.identity().ok_or(RecordError::NotEnrolled)?.person;
        let home = Home::Person(person);
        self.save(|recorder, random, moment| {
            let captured = Captured::at(moment.now_ms, DEFAULT_ZONE)?;
            let mut before: Option<Record> = None;
            self.store.each_of_home(home, Some(T::SPEC.kind), |record| {
                let header = Header::read(&record).filter(|_| !header::is_corrected(&record));
                if header.is_some_and(|header| is_same_day(&T::read(&record), &header, captured.day)) {
                    before = Some(record);
                }
            })?;
            let id = visit_ops::new_id(moment.now_ms, random);
            let corrects = before.as_ref().map(|old| old.key.id);
            recorder.write(&Target { corrects, ..Target::new(id, home) }, captured, form)?;
            if let Some(old) = &before {
                recorder.mark_corrected(old, id, captured)?;
            }
            Ok((id, Save::default()))
        })
    }

    /// Finds an outlet by its code or id.
    ///
    /// # Errors
    /// Returns an error if the device knows no such outlet.
    pub fn outlet_named(&self, name: &str) -> Result<OutletId, RecordError> {
        let found = self.outlet_index()?.outlet_named(name);
        found.ok_or_else(|| RecordError::NoSuchOutlet { name: name.chars().take(64).collect() })
    }

    /// Opens a visit 进店. One visit is open at a time.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or another visit is open.
    pub fn open_visit(&self, outlet: OutletId, fix: Option<GpsFix>) -> Result<VisitId, RecordError> {
        let outlet_index = self.outlet_index()?;
        let facts = self.outlet_in_scope(&outlet_index, outlet)?;
        self.save(|recorder, random, moment| {
            self.check_none_open()?;
            let captured = Captured::at(moment.now_ms, &facts.zone)?;
            let form =
                visit_ops::opening(facts, moment.now_ms, fix, planned(&outlet_index, outlet, captured.day));
            let id = visit_ops::new_id(moment.now_ms, random);
            recorder.write(&Target::new(id, facts.home()), captured, &form)?;
            let opens = OpenVisit { visit: id, mono_ms: moment.mono_ms, boot: moment.boot };
            Ok((VisitId(id), Save { opens: Some(opens), ..Save::default() }))
        })
    }

    /// The open visit.
    ///
    /// # Errors
    /// Returns an error if no visit is open.
    pub fn current_visit(&self) -> Result<VisitId, RecordError> {
        self.store.open_visits().last().map(|open| VisitId(open.visit)).ok_or(RecordError::NoOpenVisit)
    }

    /// Answers tasks of an open visit, and writes the store's important matters 本店重要事务.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    pub fn update_visit(
        &self,
        visit: VisitId,
        task_answers: BTreeMap<String, bool>,
        note: Option<String>,
    ) -> Result<(), RecordError> {
        self.in_visit(visit, |recorder, target, captured, _| {
            recorder.write(target, captured, &Visit { task_answers, note, ..Visit::default() })?;
            Ok(Save::default())
        })
    }

    /// Records the shelf 货架检查. Saving again adds lines and replaces lines of the same product.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn observe_shelf(&self, visit: VisitId, shelf: &ShelfObservation) -> Result<(), RecordError> {
        self.beside_visit(visit, shelf, &ShelfObservation { visit: Some(visit), ..shelf.clone() })
    }

    /// Records the stock counted in a visit 库存盘点. Saving again adds lines and replaces lines of the same product.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn count_stock(&self, visit: VisitId, count: &StockCount) -> Result<(), RecordError> {
        self.beside_visit(visit, count, &StockCount { visit: Some(visit), ..count.clone() })
    }

    /// Records units that arrived at an outlet or left it 库存变动, in a visit or outside one.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or a required field is missing.
    pub fn move_stock(&self, outlet: OutletId, movement: &StockMovement) -> Result<RecordId, RecordError> {
        if movement.units.is_empty() {
            return Err(RecordError::Empty { kind: StockMovement::SPEC.code });
        }
        let outlet_index = self.outlet_index()?;
        let facts = self.outlet_in_scope(&outlet_index, outlet)?;
        self.save(|recorder, random, moment| {
            let id = visit_ops::new_id(moment.now_ms, random);
            let captured = Captured::at(moment.now_ms, &facts.zone)?;
            recorder.write(&Target::new(id, facts.home()), captured, movement)?;
            Ok((id, Save::default()))
        })
    }

    /// Raises an urgent matter 急待解决问题, in a visit or outside one. Returns its id.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope.
    pub fn raise_issue(
        &self,
        outlet: OutletId,
        visit: Option<VisitId>,
        issue: &NewIssue,
    ) -> Result<RecordId, RecordError> {
        let outlet_index = self.outlet_index()?;
        let facts = self.outlet_in_scope(&outlet_index, outlet)?;
        self.save(|recorder, random, moment| {
            let captured = Captured::at(moment.now_ms, &facts.zone)?;
            let id = visit_ops::raise_issue(recorder, random, issue, facts, visit, captured)?;
            Ok((id, Save::default()))
        })
    }

    /// Acknowledges an issue 协调解决.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown, or already acknowledged or closed.
    pub fn acknowledge_issue(&self, issue: RecordId) -> Result<(), RecordError> {
        self.step_issue(issue, IssueState::Acknowledged, None)
    }

    /// Closes an issue 已解决.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown or already closed.
    pub fn close_issue(&self, issue: RecordId, resolution: String) -> Result<(), RecordError> {
        self.step_issue(issue, IssueState::Closed, Some(resolution))
    }

    fn step_issue(
        &self,
        id: RecordId,
        to: IssueState,
        resolution: Option<String>,
    ) -> Result<(), RecordError> {
        let key = Issue::key(id);
        self.save(|recorder, _, moment| {
            let record = self.store.record(key)?.ok_or(RecordError::NoSuchRecord { key })?;
            let captured = self.captured(&record, moment)?;
            let step = visit_ops::issue_step(&Issue::read(&record), to, captured, resolution)?;
            let target = Target { existing: Some(&record), ..Target::new(id, record.home) };
            recorder.write(&target, captured, &step)?;
            Ok(((), Save::default()))
        })
    }

    /// Closes a visit 离店. The time in store is measured by the monotonic clock. It stays empty if the device was
    /// restarted during the visit.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    pub fn close_visit(&self, visit: VisitId) -> Result<(), RecordError> {
        self.in_visit(visit, |recorder, target, captured, moment| {
            let time_in_store_ms = self.time_in_store_ms(visit, moment);
            let closed = Visit { closed_at_ms: Some(moment.now_ms), time_in_store_ms, ..Visit::default() };
            recorder.write(target, captured, &closed)?;
            Ok(Save { closes: Some(visit.0), ..Save::default() })
        })
    }

    /// Aborts a visit 中止.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    pub fn abort_visit(
        &self,
        visit: VisitId,
        reason: AbortReason,
        note: Option<String>,
    ) -> Result<(), RecordError> {
        self.in_visit(visit, |recorder, target, captured, moment| {
            let aborted_at_ms = Some(moment.now_ms);
            let aborted = Visit { aborted_at_ms, abort_reason: Some(reason), note, ..Visit::default() };
            recorder.write(target, captured, &aborted)?;
            Ok(Save { closes: Some(visit.0), ..Save::default() })
        })
    }

    /// Records a whole visit in one durable save, with its observations, counts and issues. If the given id is already
    /// known, nothing is saved.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, the times run backwards, or a value is not allowed.
    pub fn record(&self, bundle: &VisitBundle) -> Result<VisitId, RecordError> {
        let outlet_index = self.outlet_index()?;
        let facts = self.outlet_in_scope(&outlet_index, bundle.outlet)?;
        let day = Captured::at(bundle.opened_at_ms, &facts.zone)?.day;
        let plan = planned(&outlet_index, bundle.outlet, day);
        self.save(|recorder, random, _| {
            if let Some(id) = bundle.id
                && self.store.record(Visit::key(id.0))?.is_some()
            {
                return Ok((id, Save::default()));
            }
            Ok((visit_ops::record_visit(recorder, random, bundle, facts, plan)?, Save::default()))
        })
    }

    /// Sends a rejected save again, as a new save. The same transaction removes it from the rejected ops.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected save.
    pub fn resend_rejected(&self, id: RejectedId) -> Result<(), RecordError> {
        self.save(|recorder, _, _| {
            let rejected = self.store.rejected_save(id)?.ok_or(RecordError::NoSuchRejected { id })?;
            let existing = self.store.record(rejected.op.record)?;
            recorder.resend(&rejected.op, existing.as_ref())?;
            Ok(((), Save { resends: Some(id), ..Save::default() }))
        })
    }

    /// Discards a rejected save. If it was a photo, its picture is deleted as well, unless another photo has the same.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected save.
    pub fn drop_rejected(&self, id: RejectedId) -> Result<(), RecordError> {
        if !self.store.drop_rejected(id)? {
            return Err(RecordError::NoSuchRejected { id });
        }
        // The rejected save is gone in any case. If its picture's file cannot be removed, the next opening removes it.
        self.tidy_pictures().unwrap_or_else(|error| tracing::warn!(%error, "a picture is left over"));
        Ok(())
    }

    /// Saves a record that shares the id of an open visit.
    fn beside_visit<T: Entity + PartialEq>(
        &self,
        visit: VisitId,
        given: &T,
        form: &T,
    ) -> Result<(), RecordError> {
        if *given == T::default() {
            return Err(RecordError::Empty { kind: T::SPEC.code });
        }
        self.in_visit(visit, |recorder, target, captured, _| {
            let existing = self.store.record(T::key(visit.0))?;
            recorder.write(&Target { existing: existing.as_ref(), ..*target }, captured, form)?;
            Ok(Save::default())
        })
    }

    /// Decides a save into an open visit. `target` is the visit itself.
    fn in_visit(
        &self,
        visit: VisitId,
        decide: impl FnOnce(&mut Recorder<'_>, &Target<'_>, Captured, Moment) -> Result<Save, RecordError>,
    ) -> Result<(), RecordError> {
        self.save(|recorder, _, moment| {
            let record = self.store.record(Visit::key(visit.0))?;
            let record = record.ok_or(RecordError::NoSuchVisit { visit })?;
            visit_ops::check_open(visit, &Visit::read(&record))?;
            let captured = self.captured(&record, moment)?;
            let target = Target { existing: Some(&record), ..Target::new(visit.0, record.home) };
            Ok(((), decide(recorder, &target, captured, moment)?))
        })
    }

    fn outlet_in_scope<'a>(
        &self,
        outlet_index: &'a OutletIndex,
        outlet: OutletId,
    ) -> Result<&'a OutletFacts, RecordError> {
        let unknown = || RecordError::NoSuchOutlet { name: outlet.to_string() };
        let facts = outlet_index.outlet(outlet).ok_or_else(unknown)?;
        if self.store.holds(facts.home()) {
            return Ok(facts);
        }
        Err(RecordError::OutletNotInScope { name: facts.code.clone() })
    }

    /// The present moment in the time zone of a record's outlet.
    pub(super) fn captured(&self, record: &Record, moment: Moment) -> Result<Captured, RecordError> {
        let outlet_index = self.outlet_index()?;
        let zone = match record.home {
            Home::Outlet(outlet) => outlet_index.outlet(outlet).map(|facts| facts.zone.as_str()),
            _ => None,
        };
        Captured::at(moment.now_ms, zone.unwrap_or(DEFAULT_ZONE))
    }

    fn check_none_open(&self) -> Result<(), RecordError> {
        for open in self.store.open_visits() {
            let record = self.store.record(Visit::key(open.visit))?;
            // A visit whose opening was rejected, or whose outlet left the scope, does not block a new one.
            if let Some(Record { home: Home::Outlet(outlet), .. }) = record {
                return Err(RecordError::AlreadyOpen { visit: VisitId(open.visit), outlet });
            }
        }
        Ok(())
    }

    fn time_in_store_ms(&self, visit: VisitId, moment: Moment) -> Option<i64> {
        let open = self.store.open_visits().into_iter().find(|open| open.visit == visit.0)?;
        let elapsed_ms = moment.mono_ms.checked_sub(open.mono_ms).filter(|_| open.boot == moment.boot)?;
        i64::try_from(elapsed_ms).ok()
    }

    /// The person who uses this device.
    pub(super) fn person(&self) -> Option<PersonId> {
        self.identity().map(|identity| identity.person)
    }
}

fn planned(outlet_index: &OutletIndex, outlet: OutletId, day: Day) -> Option<RoutePlanId> {
    outlet_index.plan(day).filter(|plan| plan.outlets.contains(&outlet)).map(|plan| plan.id)
}
