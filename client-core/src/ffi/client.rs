//! The one object that an app uses.

use std::collections::HashMap;
use std::sync::Arc;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{AbortReason, DepartureCheck, ShelfObservation, StockCount, StockMovement};
use xundian_protocol::record::{Home, RecordKey};

use super::changes::{Changes, SignalOnDrop};
use super::device::{Device, OpenCore};
use super::errors::ClientError;
use super::kinds::Kind;
use super::network::{AbandonedWork, ProgressObserver};
use super::observers::{StatusObserver, Subscription, find_status, observe, tell_status};
use super::records::{ListedRecord, RejectedOp};
use crate::client::{
    Client as Core, DaySummary, DeviceStatus, PlannedCall, PushReport, SyncProgress, SyncReport,
};
use crate::errors::RecordError;
use crate::sealing::{KEY_BYTES, StoreKey};
use crate::store::{Identity, RejectedId, SaveState};
use crate::visit_ops::{GpsFix, NewIssue, VisitBundle};

/// A device: records offline, durably, and syncs. One folder is open once at a time. Calls may come from any thread.
/// Those that are not async return within the time of a save; a save is durable when its call returns.
#[derive(uniffi::Object)]
pub struct Client {
    pub(super) device: Arc<Device>,
    pub(super) changes: Changes,
    pub(super) abandoned: AbandonedWork,
}

/// Opening, enrolment, sync and status.
#[uniffi::export]
impl Client {
    /// Opens the device in a folder, or creates a new one there. Recording needs an enrolment first.
    ///
    /// With a key of 32 bytes, which the app keeps in the platform's keystore, everything written to disk is sealed.
    /// A folder is sealed from its first opening on, or never; [`Self::change_key`] replaces the key.
    ///
    /// # Errors
    /// Returns an error if the folder is in use, damaged, or of a newer format, or the key is not the folder's.
    #[uniffi::constructor(default(key = None))]
    pub fn open(folder: String, key: Option<Vec<u8>>) -> Result<Self, ClientError> {
        let device = Device::open(folder.into(), key.map(store_key).transpose()?)?;
        Ok(Self {
            changes: device.changes.clone(),
            device: Arc::new(device),
            abandoned: AbandonedWork::default(),
        })
    }

    /// Replaces the key that the folder was opened with. If the call is interrupted, the folder opens with the old key
    /// or with the new one.
    ///
    /// # Errors
    /// Returns an error if the folder is not sealed or cannot be written.
    pub fn change_key(&self, key: Vec<u8>) -> Result<(), ClientError> {
        self.device.change_key(store_key(key)?)
    }

    /// Closes the store after running calls finish. Every later call fails with `ClientClosed`.
    pub fn close(&self) {
        self.device.close();
    }

    /// Returns the device's identity; none before enrolment.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn identity(&self) -> Result<Option<Identity>, ClientError> {
        Ok(self.core()?.identity())
    }

    /// Enrols the folder as a device. The call may be repeated with the same invitation until it succeeds. Unsent work
    /// is kept in every case.
    ///
    /// # Errors
    /// Returns an error if the invitation is invalid, the server refuses or cannot be reached, or the folder is another
    /// person's.
    pub async fn enrol(&self, invitation: String, label: String) -> Result<Identity, ClientError> {
        let (core, backgrounded) = self.device.core_for_work().await?;
        let noted = SignalOnDrop(self.changes.clone());
        let work = async move {
            let _noted = noted;
            core.enrol_here(&invitation, &label).await?;
            core.identity().ok_or_else(|| ClientError::internal("no identity after enrolment"))
        };
        self.abandoned.run(backgrounded, work).await
    }

    /// Sends unsent ops, fetches changes, then sends unsent pictures. Cancelling ends it at its next step; what was
    /// done stays done, and the next sync resumes from there.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or refuses, or the store cannot be written.
    #[uniffi::method(default(observer = None))]
    pub async fn sync(&self, observer: Option<Arc<dyn ProgressObserver>>) -> Result<SyncReport, ClientError> {
        let (core, backgrounded) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.abandoned.run(backgrounded, async move { Ok(core.sync(&mut progress).await?) }).await
    }

    /// Sends unsent ops and fetches nothing. Meant for the end of a visit, and for when the app goes to the background.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn push(&self, observer: Option<Arc<dyn ProgressObserver>>) -> Result<PushReport, ClientError> {
        let (core, backgrounded) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.abandoned.run(backgrounded, async move { Ok(core.push(&mut progress).await?) }).await
    }

    /// Returns the device's status, such as the moment up to which nothing would be lost with the phone.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn status(&self) -> Result<DeviceStatus, ClientError> {
        Ok(self.core()?.status()?)
    }

    /// Calls an observer with the status, now and after each change, as long as the subscription is held.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn observe_status(
        &self,
        observer: Arc<dyn StatusObserver>,
    ) -> Result<Arc<Subscription>, ClientError> {
        self.core()?;
        let tell = move |status| tell_status(status, &*observer);
        Ok(Arc::new(observe(&self.device, find_status, tell)?))
    }
}

/// The day's work. Each call is one durable save.
#[uniffi::export]
impl Client {
    /// Records the check of the bag before backgrounded. A second check on the same day replaces the first.
    ///
    /// # Errors
    /// Returns an error if an item of the bag is not answered.
    pub fn check_departure(&self, check: DepartureCheck) -> Result<RecordId, ClientError> {
        self.save(|core| core.check_departure(&check))
    }

    /// Records the report that closes the day, with counts of what was done. A second report replaces the first.
    ///
    /// # Errors
    /// Returns an error if the device is not enrolled.
    #[uniffi::method(default(remarks = None, documents = None))]
    pub fn report_day(
        &self,
        remarks: Option<String>,
        documents: Option<i64>,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.report_day(remarks, documents))
    }

    /// Opens a visit. Only one visit can be open at a time.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or another visit is open.
    #[uniffi::method(default(fix = None))]
    pub fn open_visit(&self, outlet: OutletId, fix: Option<GpsFix>) -> Result<VisitId, ClientError> {
        self.save(|core| core.open_visit(outlet, fix))
    }

    /// Returns the open visit; none if no visit is open.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn current_visit(&self) -> Result<Option<VisitId>, ClientError> {
        match self.core()?.current_visit() {
            Err(RecordError::NoOpenVisit) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Answers tasks of an open visit, and sets its note (本店重要事务).
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    #[uniffi::method(default(note = None))]
    pub fn update_visit(
        &self,
        visit: VisitId,
        task_answers: HashMap<String, bool>,
        note: Option<String>,
    ) -> Result<(), ClientError> {
        self.save(|core| core.update_visit(visit, task_answers.into_iter().collect(), note))
    }

    /// Records the shelf. Saving again adds lines and replaces lines of the same product.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn observe_shelf(&self, visit: VisitId, shelf: ShelfObservation) -> Result<(), ClientError> {
        self.save(|core| core.observe_shelf(visit, &shelf))
    }

    /// Records the stock counted in a visit. Saving again adds lines and replaces lines of the same product.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn count_stock(&self, visit: VisitId, count: StockCount) -> Result<(), ClientError> {
        self.save(|core| core.count_stock(visit, &count))
    }

    /// Records units that arrived at an outlet or left it, in a visit or outside one.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or a required field is missing.
    pub fn move_stock(&self, outlet: OutletId, movement: StockMovement) -> Result<RecordId, ClientError> {
        self.save(|core| core.move_stock(outlet, &movement))
    }

    /// Raises an issue, in a visit or outside one.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope.
    #[uniffi::method(default(visit = None))]
    pub fn raise_issue(
        &self,
        outlet: OutletId,
        issue: NewIssue,
        visit: Option<VisitId>,
    ) -> Result<RecordId, ClientError> {
        self.save(|core| core.raise_issue(outlet, visit, &issue))
    }

    /// Acknowledges an issue.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown, or already acknowledged or closed.
    pub fn acknowledge_issue(&self, issue: RecordId) -> Result<(), ClientError> {
        self.save(|core| core.acknowledge_issue(issue))
    }

    /// Closes an issue.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown or already closed.
    pub fn close_issue(&self, issue: RecordId, resolution: String) -> Result<(), ClientError> {
        self.save(|core| core.close_issue(issue, resolution))
    }

    /// Closes a visit.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    pub fn close_visit(&self, visit: VisitId) -> Result<(), ClientError> {
        self.save(|core| core.close_visit(visit))
    }

    /// Aborts a visit.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended.
    #[uniffi::method(default(note = None))]
    pub fn abort_visit(
        &self,
        visit: VisitId,
        reason: AbortReason,
        note: Option<String>,
    ) -> Result<(), ClientError> {
        self.save(|core| core.abort_visit(visit, reason, note))
    }

    /// Records a whole visit in one save, with its shelf, stock count and issues.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, the times run backwards, or a value is not allowed.
    pub fn record_visit(&self, visit: VisitBundle) -> Result<VisitId, ClientError> {
        self.save(|core| core.record(&visit))
    }

    /// Saves a rejected op again as a new op, and removes it from the rejected ops.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected op.
    pub fn resend_rejected(&self, id: RejectedId) -> Result<(), ClientError> {
        self.save(|core| core.resend_rejected(id))
    }

    /// Discards a rejected op.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected op.
    pub fn drop_rejected(&self, id: RejectedId) -> Result<(), ClientError> {
        self.save(|core| core.drop_rejected(id))
    }
}

/// Reads of what the device holds: confirmed records with unsent ops applied.
#[uniffi::export]
impl Client {
    /// Returns the present day.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn today(&self) -> Result<Day, ClientError> {
        Ok(self.core()?.today())
    }

    /// Returns this person's planned calls on a day, in their order.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn route(&self, day: Day) -> Result<Vec<PlannedCall>, ClientError> {
        Ok(self.core()?.route(day)?)
    }

    /// Returns what this person did on a day.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn day_summary(&self, day: Day) -> Result<DaySummary, ClientError> {
        Ok(self.core()?.day_summary(day)?)
    }

    /// Finds an outlet by its code or id.
    ///
    /// # Errors
    /// Returns an error if the device knows no such outlet.
    pub fn outlet_named(&self, name: String) -> Result<OutletId, ClientError> {
        Ok(self.core()?.outlet_named(&name)?)
    }

    /// Returns a record; none if the device does not have it.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn find(&self, kind: Kind, id: RecordId) -> Result<Option<ListedRecord>, ClientError> {
        let found = self.core()?.find(RecordKey { kind: kind.id(), id })?;
        Ok(found.and_then(ListedRecord::of))
    }

    /// Returns the records of a kind, of one business day or of all.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(day = None))]
    pub fn list(&self, kind: Kind, day: Option<Day>) -> Result<Vec<ListedRecord>, ClientError> {
        let lines = self.core()?.list(kind.id(), day)?;
        Ok(lines.into_iter().filter_map(ListedRecord::of).collect())
    }

    /// Returns the records of a home, such as an outlet, of one kind or of all known kinds.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(kind = None))]
    pub fn list_home(&self, home: Home, kind: Option<Kind>) -> Result<Vec<ListedRecord>, ClientError> {
        let lines = self.core()?.list_home(home, kind.map(Kind::id))?;
        Ok(lines.into_iter().filter_map(ListedRecord::of).collect())
    }

    /// Returns a record's save state; none if the device does not have the record.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn save_state(&self, kind: Kind, id: RecordId) -> Result<Option<SaveState>, ClientError> {
        Ok(self.core()?.save_state(RecordKey { kind: kind.id(), id })?)
    }

    /// Returns the rejected ops, with the reasons.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn rejected(&self) -> Result<Vec<RejectedOp>, ClientError> {
        Ok(self.core()?.rejected()?.into_iter().map(RejectedOp::from).collect())
    }
}

impl Client {
    /// Returns the open store. Opens it first if the app was in the background.
    pub(super) fn core(&self) -> Result<Arc<OpenCore>, ClientError> {
        self.device.core()
    }

    pub(super) fn save<T>(
        &self,
        save: impl FnOnce(&Core) -> Result<T, RecordError>,
    ) -> Result<T, ClientError> {
        let saved = save(&*self.core()?)?;
        self.changes.note();
        Ok(saved)
    }

    pub(super) fn progress(
        &self,
        observer: Option<Arc<dyn ProgressObserver>>,
    ) -> impl FnMut(SyncProgress) + Send + use<> {
        // Dropped with the work: it also signals changes after the last step, or those before a cancellation.
        let changes = SignalOnDrop(self.changes.clone());
        move |progress| {
            changes.0.note();
            if let Some(Err(error)) = observer.as_ref().map(|observer| observer.on_progress(progress)) {
                tracing::warn!(%error, "a progress observer failed");
            }
        }
    }
}

pub(super) fn store_key(key: Vec<u8>) -> Result<StoreKey, ClientError> {
    let key = zeroize::Zeroizing::new(key);
    let bytes = key.as_slice().try_into().map_err(|_| {
        ClientError::argument(format!("a key must have {KEY_BYTES} bytes; this one has {}", key.len()))
    })?;
    Ok(StoreKey::new(bytes))
}
