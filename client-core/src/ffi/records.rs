//! What the client takes and returns beside the entities.

use std::collections::BTreeMap;

use uniffi::{FfiConverter, Lift, Lower, MetadataBuffer, TypeId};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{DeviceNo, OrgUnitId, OutletId, PersonId, RecordId, VisitId};
use xundian_protocol::kinds::{
    AbortReason, ClockGrade, Header, IssueKind, Severity, ShelfObservation, StockCount,
};
use xundian_protocol::record::{Field, Home, Record, Register};
use xundian_protocol::wire::v1::Refusal;

use super::UniFfiTag;
use super::errors::ClientError;
use super::kinds::RecordContent;
use crate::client::{
    DaySummary, DeviceStatus, PhotoReport, PlannedCall, PushReport, RecordLine, SyncProgress, SyncReport,
};
use crate::store::{Identity, Rejected, RejectedId, SaveState};
use crate::visit_ops::{self, Due, NewIssue, VisitBundle};

/// A device's identity.
#[uniffi::remote(Record)]
pub struct Identity {
    /// Its number.
    pub device: DeviceNo,
    /// The person who uses it.
    pub person: PersonId,
    /// The person's name, as the server gave it at enrolment.
    pub person_name: String,
    /// The server's address, host:port.
    pub server: String,
}

/// The device's status.
#[uniffi::remote(Record)]
pub struct DeviceStatus {
    /// Ops that the server has not acknowledged. An op is one saved change of one record.
    pub unsent_ops: u64,
    /// When the oldest of them was saved, Unix milliseconds.
    pub oldest_unsent_ms: Option<i64>,
    /// Rejected ops: those that the server refused.
    pub rejected_ops: u64,
    /// Unsent pictures. Those of rejected ops are not counted.
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
    /// If the phone were lost now, only what was saved after this moment would be lost, pictures included; none if the
    /// device never synced. Rejected ops and stuck pictures are only on this device in any case.
    pub safe_to_lose_up_to_ms: Option<i64>,
    /// The server's clock minus the device's, measured by the last sync.
    pub server_offset_ms: Option<i64>,
    /// Homes in scope.
    pub homes: u64,
    /// The store's size on disk.
    pub store_bytes: u64,
    /// Whether the device is sealed with a key of the app.
    pub is_sealed: bool,
}

/// What was done on a day, counted from its records.
#[uniffi::remote(Record)]
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
#[uniffi::remote(Record)]
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

/// The progress of a sync. Each figure only grows, and no part exceeds its total.
#[uniffi::remote(Record)]
pub struct SyncProgress {
    /// Ops that the server has merged or rejected.
    pub ops_done: u64,
    /// Ops to be sent.
    pub ops_total: u64,
    /// Records received from the server.
    pub records_pulled: u64,
    /// Bytes of this sync's pictures that the server holds. Bytes that it held before count as done; bytes that it lost
    /// meanwhile are added to the total.
    pub photo_bytes_done: u64,
    /// Bytes of the pictures of this sync. It stays above the bytes done if pictures were declined or damaged.
    pub photo_bytes_total: u64,
    /// Bytes of pictures handed to the network in this sync.
    pub photo_bytes_sent: u64,
}

/// The outcome of a sync.
#[uniffi::remote(Record)]
pub struct SyncReport {
    /// Ops that the server merged.
    pub merged: u64,
    /// Ops that it rejected; the call `rejected` lists them.
    pub rejected: u64,
    /// Records received from the server.
    pub records_pulled: u64,
    /// Corrupted records that were repaired from the server.
    pub records_repaired: u64,
    /// Homes that entered the scope.
    pub homes_added: u64,
    /// Homes that left it.
    pub homes_dropped: u64,
    /// Everything captured up to this moment is on the server, Unix milliseconds.
    pub captured_through_ms: i64,
    /// Ops saved while the sync ran. They wait for the next one.
    pub unsent_ops: u64,
    /// The outcome of the pictures.
    pub photos: PhotoReport,
}

/// The outcome of a push.
#[uniffi::remote(Record)]
pub struct PushReport {
    /// Ops that the server merged.
    pub merged: u64,
    /// Ops that it rejected; the call `rejected` lists them.
    pub rejected: u64,
    /// Ops saved while the push ran. They wait for the next push or sync.
    pub unsent_ops: u64,
}

/// A GPS fix, WGS-84.
#[derive(Clone, Copy, PartialEq, Debug, uniffi::Record)]
pub struct GpsFix {
    /// Latitude in degrees, from -90 to 90.
    pub latitude: f64,
    /// Longitude in degrees, from -180 to 180.
    pub longitude: f64,
    /// The accuracy, in metres.
    #[uniffi(default)]
    pub accuracy_m: Option<f64>,
    /// Whether the system reports a mock location.
    #[uniffi(default)]
    pub mocked: bool,
}

impl TryFrom<GpsFix> for visit_ops::GpsFix {
    type Error = ClientError;

    fn try_from(fix: GpsFix) -> Result<Self, ClientError> {
        let GpsFix { latitude, longitude, accuracy_m, mocked } = fix;
        if !((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)) {
            return Err(ClientError::argument(format!(
                "degrees go from -90 to 90 and from -180 to 180; {latitude} {longitude} is no position"
            )));
        }
        let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
        let accuracy_m = accuracy_m.map(|metres| metres.round() as i64);
        Ok(Self { latitude_e7: e7(latitude), longitude_e7: e7(longitude), accuracy_m, mocked })
    }
}

impl From<visit_ops::GpsFix> for GpsFix {
    fn from(at: visit_ops::GpsFix) -> Self {
        Self {
            latitude: at.latitude_e7 as f64 / 1e7,
            longitude: at.longitude_e7 as f64 / 1e7,
            accuracy_m: at.accuracy_m.map(|metres| metres as f64),
            mocked: at.mocked,
        }
    }
}

// The core keeps degrees × 10⁷; apps give and take degrees.
// SAFETY: every function is the one that UniFFI derived for `GpsFix`.
unsafe impl FfiConverter<UniFfiTag> for visit_ops::GpsFix {
    type FfiType = <GpsFix as Lower<UniFfiTag>>::FfiType;

    fn lower(at: Self) -> Self::FfiType {
        <GpsFix as Lower<UniFfiTag>>::lower(at.into())
    }

    fn try_lift(fix: Self::FfiType) -> uniffi::Result<Self> {
        Ok(<GpsFix as Lift<UniFfiTag>>::try_lift(fix)?.try_into()?)
    }

    fn write(at: Self, buf: &mut Vec<u8>) {
        <GpsFix as Lower<UniFfiTag>>::write(at.into(), buf);
    }

    fn try_read(buf: &mut &[u8]) -> uniffi::Result<Self> {
        Ok(<GpsFix as Lift<UniFfiTag>>::try_read(buf)?.try_into()?)
    }

    const TYPE_ID_META: MetadataBuffer = <GpsFix as TypeId<UniFfiTag>>::TYPE_ID_META;
}

uniffi::derive_ffi_traits!(local visit_ops::GpsFix);

/// By when an issue must be solved.
#[uniffi::remote(Enum)]
pub enum Due {
    /// The day on which it was raised.
    SameDay,
    /// The day after.
    NextDay,
}

/// A new issue: an urgent matter for the superior.
#[uniffi::remote(Record)]
pub struct NewIssue {
    /// What it is about.
    pub issue_kind: IssueKind,
    /// How severe it is.
    pub severity: Severity,
    /// What happened.
    pub text: String,
    /// By when it must be solved.
    pub due: Due,
    /// Who has to solve it; none leaves it to the superior.
    #[uniffi(default)]
    pub assignee: Option<PersonId>,
}

/// A whole visit, recorded in one durable save.
#[uniffi::remote(Record)]
pub struct VisitBundle {
    /// The visit's id, if the caller chose one. Recording the same id again saves nothing.
    #[uniffi(default)]
    pub id: Option<VisitId>,
    /// The outlet.
    pub outlet: OutletId,
    /// Check-in, Unix milliseconds.
    pub opened_at_ms: i64,
    /// Check-out, or the time of the abort, Unix milliseconds.
    pub ended_at_ms: i64,
    /// The reason, if it was aborted.
    #[uniffi(default)]
    pub abort_reason: Option<AbortReason>,
    /// The time in store by a monotonic clock, if one was read.
    #[uniffi(default)]
    pub time_in_store_ms: Option<i64>,
    /// The GPS fix at check-in.
    #[uniffi(default)]
    pub fix: Option<visit_ops::GpsFix>,
    /// Answers to the visit's tasks.
    #[uniffi(default)]
    pub task_answers: BTreeMap<String, bool>,
    /// The visit's note (本店重要事务).
    #[uniffi(default)]
    pub note: Option<String>,
    /// The shelf; its `visit` is filled in.
    pub shelf: ShelfObservation,
    /// The stock counted; its `visit` is filled in.
    pub count: StockCount,
    /// The issues raised in the visit.
    #[uniffi(default)]
    pub issues: Vec<NewIssue>,
}

/// The sync partition in which a record lives.
#[uniffi::remote(Enum)]
pub enum Home {
    /// The whole company: catalogue, organisation.
    Company,
    /// An organisation unit.
    Unit(OrgUnitId),
    /// An outlet: everything that happened there.
    Outlet(OutletId),
    /// A person: route plans, day reports.
    Person(PersonId),
}

/// Who captured a record, when, and how certain that time is.
#[uniffi::remote(Record)]
pub struct Header {
    /// Who captured it.
    pub actor: PersonId,
    /// When, Unix milliseconds by the device's clock.
    pub captured_at_ms: i64,
    /// The device's offset from UTC, in minutes.
    pub utc_offset_min: i64,
    /// How certain the time is.
    pub clock_grade: ClockGrade,
    /// The local day of the outlet.
    pub business_day: Day,
    /// The record that this one corrects.
    pub corrects: Option<RecordId>,
}

/// A record's save state.
#[uniffi::remote(Enum)]
pub enum SaveState {
    /// Some of its changes are only on this device.
    Saved,
    /// All its changes were sent; the receipt is awaited.
    Sent,
    /// The server has all of it.
    Confirmed,
    /// The server rejected some of its changes.
    Rejected(Vec<RejectedId>),
}

/// A record and its save state.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ListedRecord {
    /// Its id.
    pub id: RecordId,
    /// Its home.
    pub home: Home,
    /// Who captured it and when; none if the record lacks it.
    pub header: Option<Header>,
    /// Whether a later record has replaced it.
    pub is_corrected: bool,
    /// Its save state.
    pub state: SaveState,
    /// Its fields.
    pub content: RecordContent,
}

impl ListedRecord {
    /// Converts a record; `None` if this version does not know its kind.
    pub(super) fn of(line: RecordLine) -> Option<Self> {
        let RecordLine { record, state } = line;
        Some(Self {
            id: record.key.id,
            home: record.home,
            header: Header::read(&record),
            is_corrected: xundian_protocol::kinds::header::is_corrected(&record),
            content: RecordContent::read(&record)?,
            state,
        })
    }
}

/// Why the server rejected an op. The order is stable.
#[uniffi::remote(Enum)]
pub enum Refusal {
    /// Not a frame of this version, or not allowed at this point of the session.
    Protocol,
    /// A frame of a version that the server does not support.
    Version,
    /// No certificate, or not this device's.
    Unauthenticated,
    /// The device was revoked.
    Revoked,
    /// The invitation is unknown, used or expired.
    Invitation,
    /// The server has a temporary failure; retry later.
    Unavailable,
    /// The record is outside the device's scope.
    OutOfScope,
    /// The role may not write the kind.
    NotAWriter,
    /// The op breaks a rule of its kind's declaration.
    Invalid,
    /// The record lives in another home.
    OtherHome,
    /// The record was written by another person, and its kind is corrected only by new records.
    NotTheAuthor,
    /// The server does not know the kind; it keeps the op until it does.
    UnknownKind,
    /// The device's store was restored from a backup or copied to another device.
    Cloned,
    /// No record on the server names this picture.
    Unnamed,
    /// A reason added by a newer server.
    Other,
    /// The server knows no device of this number, or knows another device by it.
    UnknownDevice,
}

/// A rejected op: one that the server refused.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct RejectedOp {
    /// Its id.
    pub id: RejectedId,
    /// The record that it changes.
    pub record: RecordId,
    /// The record's home.
    pub home: Home,
    /// The reason.
    pub why: Refusal,
    /// The reason in Chinese.
    pub message_zh: String,
    /// The reason in the server's words.
    pub message: String,
    /// The op's fields; none if this version does not know its kind.
    pub content: Option<RecordContent>,
}

impl From<Rejected> for RejectedOp {
    fn from(rejected: Rejected) -> Self {
        let Rejected { id, op, why, message } = rejected;
        let stamp = op.stamp;
        let field = |write: xundian_protocol::record::Write| Field {
            at: write.at,
            register: Register { value: write.value, stamp },
        };
        let saved = Record::from_fields(op.record, op.home, op.writes.into_iter().map(field).collect());
        Self {
            id,
            record: op.record.id,
            home: op.home,
            why,
            message_zh: super::messages_zh::refusal(why).to_owned(),
            message,
            content: RecordContent::read(&saved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_converted_and_checked() {
        let fix = GpsFix { latitude: 31.24, longitude: 121.49, accuracy_m: Some(7.6), mocked: false };
        let at = super::visit_ops::GpsFix::try_from(fix).expect("a valid fix");
        assert_eq!((at.latitude_e7, at.longitude_e7), (312_400_000, 1_214_900_000));
        assert_eq!(at.accuracy_m, Some(8));
        for latitude in [90.1, f64::NAN, f64::INFINITY] {
            assert!(super::visit_ops::GpsFix::try_from(GpsFix { latitude, ..fix }).is_err());
        }
    }
}
