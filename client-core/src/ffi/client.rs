//! The one object that an app holds.

use std::collections::HashMap;
use std::sync::Arc;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{AbortReason, DepartureCheck, ShelfObservation, StockCount, StockMovement};
use xundian_protocol::record::{Home, RecordKey};

use super::changes::{Changes, NotesItsEnd};
use super::device::{Device, OpenCore};
use super::errors::ClientError;
use super::kinds::Kind;
use super::network::{GivenUp, ProgressObserver};
use super::observers::{StatusObserver, Subscription, find_status, observe, tell_status};
use super::records::{ListedRecord, RejectedSave};
use crate::client::{
    Client as Core, DaySummary, DeviceStatus, PlannedCall, PushReport, SyncProgress, SyncReport,
};
use crate::errors::RecordError;
use crate::sealing::{KEY_BYTES, StoreKey};
use crate::store::{Identity, RejectedId, SaveState};
use crate::visit_ops::{GpsFix, NewIssue, VisitBundle};

/// A device: records offline, durably, and syncs. One folder is open once at a time. Calls come from any thread;
/// those that are not async return within the time of a save, and what they saved is durable then.
#[derive(uniffi::Object)]
pub struct Client {
    pub(super) device: Arc<Device>,
    pub(super) changes: Changes,
    pub(super) given_up: GivenUp,
}

/// The device's life.
#[uniffi::export]
impl Client {
    /// Opens the device in a folder, or prepares a new one there. Recording needs an enrolment first.
    ///
    /// With a key of 32 bytes, which the app keeps in the platform's keystore, everything that reaches the disk is
    /// sealed with it. A folder takes the same key, or none, for all its life; see [`Self::change_key`].
    ///
    /// # Errors
    /// Returns an error if the folder is in use, damaged, or of a newer format, or the key is not the folder's.
    #[uniffi::constructor(default(key = None))]
    pub fn open(folder: String, key: Option<Vec<u8>>) -> Result<Self, ClientError> {
        let device = Device::open(folder.into(), key.map(store_key).transpose()?)?;
        Ok(Self { changes: device.changes.clone(), device: Arc::new(device), given_up: GivenUp::default() })
    }

    /// Puts another key in the place of the one that the folder was opened with. Broken off at any moment, it leaves
    /// the folder with one of the two.
    ///
    /// # Errors
    /// Returns an error if the folder is not sealed or cannot be written.
    pub fn change_key(&self, key: Vec<u8>) -> Result<(), ClientError> {
        self.device.change_key(store_key(key)?)
    }

    /// Lets go of the folder, once what runs has ended. Every later call fails with `ClientClosed`.
    pub fn close(&self) {
        self.device.close();
    }

    /// Who the device is; none before it is enrolled.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn identity(&self) -> Result<Option<Identity>, ClientError> {
        Ok(self.core()?.identity())
    }

    /// Makes a device of the folder. The same call may be repeated with the same invitation until it succeeds. Unsent
    /// work is kept, whatever happens.
    ///
    /// # Errors
    /// Returns an error if the invitation is none, the server refuses or cannot be reached, or the folder is another
    /// person's.
    pub async fn enrol(&self, invitation: String, label: String) -> Result<Identity, ClientError> {
        let (core, leaving) = self.device.core_for_work().await?;
        let noted = NotesItsEnd(self.changes.clone());
        let work = async move {
            let _noted = noted;
            core.enrol_here(&invitation, &label).await?;
            core.identity().ok_or_else(|| ClientError::internal("no identity after enrolment"))
        };
        self.given_up.run(leaving, work).await
    }

    /// Sends what waits, fetches what changed, then sends the pictures that wait. Cancelling it ends it at its next
    /// step; what was done until then stays done, and the next one goes on from there.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or refuses, or the store cannot be written.
    #[uniffi::method(default(observer = None))]
    pub async fn sync(&self, observer: Option<Arc<dyn ProgressObserver>>) -> Result<SyncReport, ClientError> {
        let (core, leaving) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.given_up.run(leaving, async move { Ok(core.sync(&mut progress).await?) }).await
    }

    /// Sends the records that wait and fetches nothing: right after a visit, or before the app goes to the background.
    ///
    /// # Errors
    /// As `sync`.
    #[uniffi::method(default(observer = None))]
    pub async fn push(&self, observer: Option<Arc<dyn ProgressObserver>>) -> Result<PushReport, ClientError> {
        let (core, leaving) = self.device.core_for_work().await?;
        let mut progress = self.progress(observer);
        self.given_up.run(leaving, async move { Ok(core.push(&mut progress).await?) }).await
    }

    /// How the device stands towards the server, such as up to when the phone may be lost.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn status(&self) -> Result<DeviceStatus, ClientError> {
        Ok(self.core()?.status()?)
    }

    /// Tells an observer the status now and whenever it changes, for as long as the subscription is held.
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
    /// Records the check of the bag before leaving. A second one on a day takes the place of the first.
    ///
    /// # Errors
    /// Returns an error if an item of the bag is not answered.
    pub fn check_departure(&self, check: DepartureCheck) -> Result<RecordId, ClientError> {
        self.save(|core| core.check_departure(&check))
    }

    /// Records the report that closes the day, with the counts of what was done. A second one takes the place of the
    /// first.
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

    /// Opens a visit. One visit is open at a time.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or another visit is open.
    #[uniffi::method(default(fix = None))]
    pub fn open_visit(&self, outlet: OutletId, fix: Option<GpsFix>) -> Result<VisitId, ClientError> {
        self.save(|core| core.open_visit(outlet, fix))
    }

    /// The visit that is going on.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn current_visit(&self) -> Result<Option<VisitId>, ClientError> {
        match self.core()?.current_visit() {
            Err(RecordError::NoOpenVisit) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Answers tasks of an open visit, and notes the store's important matters.
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

    /// Records what stands on the shelf. Saving again adds lines and replaces those named again.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn observe_shelf(&self, visit: VisitId, shelf: ShelfObservation) -> Result<(), ClientError> {
        self.save(|core| core.observe_shelf(visit, &shelf))
    }

    /// Records the stock counted in a visit. Saving again adds lines and replaces those named again.
    ///
    /// # Errors
    /// Returns an error if the visit is unknown or has ended, or nothing is filled in.
    pub fn count_stock(&self, visit: VisitId, count: StockCount) -> Result<(), ClientError> {
        self.save(|core| core.count_stock(visit, &count))
    }

    /// Records units that came into an outlet or left it, in a visit or outside one.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, or a required field is missing.
    pub fn move_stock(&self, outlet: OutletId, movement: StockMovement) -> Result<RecordId, ClientError> {
        self.save(|core| core.move_stock(outlet, &movement))
    }

    /// Raises an urgent matter, in a visit or outside one.
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

    /// Takes an issue up.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown, or was taken up or closed before.
    pub fn acknowledge_issue(&self, issue: RecordId) -> Result<(), ClientError> {
        self.save(|core| core.acknowledge_issue(issue))
    }

    /// Closes an issue.
    ///
    /// # Errors
    /// Returns an error if the issue is unknown, or closed already.
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

    /// Breaks a visit off.
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

    /// Records a whole visit, with what was seen, counted and raised in it, in one save.
    ///
    /// # Errors
    /// Returns an error if the outlet is unknown or out of scope, the times run backwards, or a value is not allowed.
    pub fn record_visit(&self, visit: VisitBundle) -> Result<VisitId, ClientError> {
        self.save(|core| core.record(&visit))
    }

    /// Sends a rejected save again, as a new one; it leaves the tray.
    ///
    /// # Errors
    /// Returns an error if the tray has no such entry.
    pub fn resend_rejected(&self, id: RejectedId) -> Result<(), ClientError> {
        self.save(|core| core.resend_rejected(id))
    }

    /// Throws a rejected save away.
    ///
    /// # Errors
    /// Returns an error if the tray has no such entry.
    pub fn drop_rejected(&self, id: RejectedId) -> Result<(), ClientError> {
        self.save(|core| core.drop_rejected(id))
    }
}

/// What the device holds: confirmed records, with what waits to be sent on top.
#[uniffi::export]
impl Client {
    /// The present day.
    ///
    /// # Errors
    /// Returns an error if the client was closed.
    pub fn today(&self) -> Result<Day, ClientError> {
        Ok(self.core()?.today())
    }

    /// This person's calls of a day, in their order.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn route(&self, day: Day) -> Result<Vec<PlannedCall>, ClientError> {
        Ok(self.core()?.route(day)?)
    }

    /// What this person did on a day.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn day_summary(&self, day: Day) -> Result<DaySummary, ClientError> {
        Ok(self.core()?.day_summary(day)?)
    }

    /// The outlet of a code or an id.
    ///
    /// # Errors
    /// Returns an error if the device knows no such outlet.
    pub fn outlet_named(&self, name: String) -> Result<OutletId, ClientError> {
        Ok(self.core()?.outlet_named(&name)?)
    }

    /// A record; none where the device has no such one.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn find(&self, kind: Kind, id: RecordId) -> Result<Option<ListedRecord>, ClientError> {
        let found = self.core()?.find(RecordKey { kind: kind.id(), id })?;
        Ok(found.and_then(ListedRecord::of))
    }

    /// The records of a kind, of one business day or all.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(day = None))]
    pub fn list(&self, kind: Kind, day: Option<Day>) -> Result<Vec<ListedRecord>, ClientError> {
        let lines = self.core()?.list(kind.id(), day)?;
        Ok(lines.into_iter().filter_map(ListedRecord::of).collect())
    }

    /// The records of a home, such as all that happened in an outlet, of one kind or of all that this version knows.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    #[uniffi::method(default(kind = None))]
    pub fn list_home(&self, home: Home, kind: Option<Kind>) -> Result<Vec<ListedRecord>, ClientError> {
        let lines = self.core()?.list_home(home, kind.map(Kind::id))?;
        Ok(lines.into_iter().filter_map(ListedRecord::of).collect())
    }

    /// Where a record stands on its way to the server; none where the device has no such one.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn save_state(&self, kind: Kind, id: RecordId) -> Result<Option<SaveState>, ClientError> {
        Ok(self.core()?.save_state(RecordKey { kind: kind.id(), id })?)
    }

    /// The saves that the server did not take, with the reasons.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn rejected(&self) -> Result<Vec<RejectedSave>, ClientError> {
        Ok(self.core()?.rejected()?.into_iter().map(RejectedSave::from).collect())
    }
}

impl Client {
    /// The device's store, opened where the app was in the background.
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
        // Also what comes after the last step, and what comes before the work is given up.
        let changes = NotesItsEnd(self.changes.clone());
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
    let bytes = key
        .as_slice()
        .try_into()
        .map_err(|_| ClientError::argument(format!("a key has {KEY_BYTES} bytes, this one {}", key.len())))?;
    Ok(StoreKey::new(bytes))
}
