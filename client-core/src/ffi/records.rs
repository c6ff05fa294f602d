//! What the client takes and gives beside the business objects' forms.

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

/// Who a device is.
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

/// How the device stands towards the server.
#[uniffi::remote(Record)]
pub struct DeviceStatus {
    /// Saves that wait to be sent.
    pub unsent_ops: u64,
    /// When the oldest of them was saved, Unix milliseconds.
    pub oldest_unsent_ms: Option<i64>,
    /// Saves that the server did not take.
    pub rejected_ops: u64,
    /// Pictures that wait to be sent. Those of rejected saves do not.
    pub unsent_photos: u64,
    /// Their bytes.
    pub unsent_photo_bytes: u64,
    /// When the oldest of them was attached, Unix milliseconds.
    pub oldest_unsent_photo_ms: Option<i64>,
    /// Pictures that no sync will send by itself: damaged, or not taken by the server. `photos_of` says which and why.
    pub stuck_photos: u64,
    /// The end of the last sync, Unix milliseconds.
    pub last_sync_ms: Option<i64>,
    /// If the phone were lost now, only what was saved after this moment would be lost with it, pictures included;
    /// none where the device never synced. Rejected saves and pictures that are stuck are on this device alone all
    /// the same.
    pub safe_to_lose_up_to_ms: Option<i64>,
    /// The server's clock minus the device's, as of the last sync.
    pub server_offset_ms: Option<i64>,
    /// Homes in scope.
    pub homes: u64,
    /// What the store takes on disk.
    pub store_bytes: u64,
    /// Whether what lies on the disk is sealed with a key of the app's.
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
    /// Visits broken off.
    pub visits_aborted: i64,
    /// Visits that were opened and not closed.
    pub visits_open: i64,
}

/// A call of a day's route.
#[uniffi::remote(Record)]
pub struct PlannedCall {
    /// Whom to call on.
    pub outlet: OutletId,
    /// The outlet's code; empty where the outlet is not on this device.
    pub code: String,
    /// The outlet's name; empty where the outlet is not on this device.
    pub name: String,
    /// Its place in the order of calls, from 1.
    pub order: i64,
    /// What the call is for.
    pub purpose: Option<String>,
    /// Whether it must be made.
    pub must: bool,
    /// The visit that this person last opened there on that day.
    pub visit: Option<VisitId>,
}

/// How far a sync is. Each figure only grows, and what is done never passes its total.
#[uniffi::remote(Record)]
pub struct SyncProgress {
    /// Saves that the server has taken or rejected.
    pub ops_done: u64,
    /// Saves that were to be sent.
    pub ops_total: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
    /// Bytes of pictures that the server is known to hold, of those that are sent in this sync. What it held of them
    /// before counts as done; what it lost of them meanwhile is added to the total.
    pub photo_bytes_done: u64,
    /// Bytes of the pictures that are sent in this sync. It is more than what is done in the end where some were
    /// declined or damaged.
    pub photo_bytes_total: u64,
    /// Bytes of pictures that were handed to the network in this sync.
    pub photo_bytes_sent: u64,
}

/// What a sync did.
#[uniffi::remote(Record)]
pub struct SyncReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
    /// Records that had decayed on the device, and were put right as the server holds them.
    pub records_repaired: u64,
    /// Homes that came into scope.
    pub homes_added: u64,
    /// Homes that left it.
    pub homes_dropped: u64,
    /// Everything captured up to here is on the server, Unix milliseconds.
    pub captured_through_ms: i64,
    /// Saves that were made while the sync ran and wait for the next one.
    pub unsent_ops: u64,
    /// What became of the pictures of photos.
    pub photos: PhotoReport,
}

/// What a push did.
#[uniffi::remote(Record)]
pub struct PushReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Saves that were made in the last moment and wait for the next push or sync.
    pub unsent_ops: u64,
}

/// Where the device was, WGS-84.
#[derive(Clone, Copy, PartialEq, Debug, uniffi::Record)]
pub struct GpsFix {
    /// Degrees from -90 to 90.
    pub latitude: f64,
    /// Degrees from -180 to 180.
    pub longitude: f64,
    /// How far off that may be, in metres.
    #[uniffi(default)]
    pub accuracy_m: Option<f64>,
    /// Whether the system says that the position is simulated.
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

/// An urgent matter for the superior.
#[uniffi::remote(Record)]
pub struct NewIssue {
    /// What it is about.
    pub issue_kind: IssueKind,
    /// How much it matters.
    pub severity: Severity,
    /// What is the matter.
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
    /// The visit's id where the caller has made one. Recording the same id again saves nothing.
    #[uniffi(default)]
    pub id: Option<VisitId>,
    /// Where.
    pub outlet: OutletId,
    /// Check-in, Unix milliseconds.
    pub opened_at_ms: i64,
    /// Check-out, or when it was broken off.
    pub ended_at_ms: i64,
    /// Why it was broken off, if it was.
    #[uniffi(default)]
    pub abort_reason: Option<AbortReason>,
    /// Time in store by a monotonic clock, where one was read.
    #[uniffi(default)]
    pub time_in_store_ms: Option<i64>,
    /// Where the device was.
    #[uniffi(default)]
    pub fix: Option<visit_ops::GpsFix>,
    /// Answers to the visit's tasks.
    #[uniffi(default)]
    pub task_answers: BTreeMap<String, bool>,
    /// The store's important matters.
    #[uniffi(default)]
    pub note: Option<String>,
    /// What was seen on the shelf; its `visit` is filled in.
    pub shelf: ShelfObservation,
    /// What was counted; its `visit` is filled in.
    pub count: StockCount,
    /// Urgent matters.
    #[uniffi(default)]
    pub issues: Vec<NewIssue>,
}

/// Where a record lives for ever.
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

/// Who captured a record, when, and how sure that time is.
#[uniffi::remote(Record)]
pub struct Header {
    /// Who captured it.
    pub actor: PersonId,
    /// When, in Unix milliseconds by the device's clock.
    pub captured_at_ms: i64,
    /// The device's offset from UTC, in minutes.
    pub utc_offset_min: i64,
    /// How sure the time is.
    pub clock_grade: ClockGrade,
    /// The local day of the outlet.
    pub business_day: Day,
    /// The record that this one corrects.
    pub corrects: Option<RecordId>,
}

/// Where a record stands on its way to the server.
#[uniffi::remote(Enum)]
pub enum SaveState {
    /// Some of its changes are only on this device.
    Saved,
    /// All its changes were sent; the server's word is awaited.
    Sent,
    /// The server has all of it.
    Confirmed,
    /// The server did not take some of its changes; they lie in the rejected tray.
    Rejected(Vec<RejectedId>),
}

/// A record and where it stands.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct ListedRecord {
    /// Its id.
    pub id: RecordId,
    /// Where it lives.
    pub home: Home,
    /// Who captured it and when; none where the record lacks it.
    pub header: Option<Header>,
    /// Whether a later record has taken its place.
    pub is_corrected: bool,
    /// Where it stands on its way to the server.
    pub state: SaveState,
    /// What it says.
    pub content: RecordContent,
}

impl ListedRecord {
    /// `None` where this version does not know the record's kind.
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

/// Why the server did not take a save. The order is stable.
#[uniffi::remote(Enum)]
pub enum Refusal {
    /// Not a frame of this version, or not at this point of the session.
    Protocol,
    /// A frame of a version that the server does not speak.
    Version,
    /// No certificate, or not the one of this device.
    Unauthenticated,
    /// The device was revoked.
    Revoked,
    /// The invitation is unknown, used or expired.
    Invitation,
    /// The server has a passing trouble; try again later.
    Unavailable,
    /// The record lies outside the device's scope.
    OutOfScope,
    /// The kind may not be written by this role.
    NotAWriter,
    /// The save does not keep what its kind declares.
    Invalid,
    /// The record lives in another home.
    OtherHome,
    /// The record was written by another person, and its kind is corrected by new records only.
    NotTheAuthor,
    /// The server knows no such kind; the save is kept aside until it does.
    UnknownKind,
    /// The device's store was restored from a backup or copied to another device.
    Cloned,
    /// No record that the server holds names this picture.
    Unnamed,
    /// A reason of a newer server.
    Other,
    /// The server knows no device of this number, or another one.
    UnknownDevice,
}

/// A save that the server did not take.
#[derive(Clone, PartialEq, Debug, uniffi::Record)]
pub struct RejectedSave {
    /// Which one.
    pub id: RejectedId,
    /// The record that it was for.
    pub record: RecordId,
    /// Where that record lives.
    pub home: Home,
    /// Why it was not taken.
    pub why: Refusal,
    /// The same in Chinese.
    pub message_zh: String,
    /// The same as the server put it.
    pub message: String,
    /// What the save says; none where this version does not know its kind.
    pub content: Option<RecordContent>,
}

impl From<Rejected> for RejectedSave {
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
    fn a_fix_is_on_the_map() {
        let fix = GpsFix { latitude: 31.24, longitude: 121.49, accuracy_m: Some(7.6), mocked: false };
        let at = super::visit_ops::GpsFix::try_from(fix).expect("on the map");
        assert_eq!((at.latitude_e7, at.longitude_e7), (312_400_000, 1_214_900_000));
        assert_eq!(at.accuracy_m, Some(8));
        for latitude in [90.1, f64::NAN, f64::INFINITY] {
            assert!(super::visit_ops::GpsFix::try_from(GpsFix { latitude, ..fix }).is_err());
        }
    }
}
