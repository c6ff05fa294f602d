//! Why a piece of the day's work was not saved.

use std::path::PathBuf;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{Choice, Decision, Invalid, IssueState, spec};
use xundian_protocol::limits::{PHOTO_BYTES_MAX, PHOTOS_UNSENT_BYTES_MAX, PHOTOS_UNSENT_MAX};
use xundian_protocol::record::RecordKey;

use crate::photos::PhotoFileError;
use crate::store::{RejectedId, StoreError};

/// Why something was not recorded. Nothing of it was saved. Each text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The device does not know such an outlet.
    #[error(
        "no outlet 门店 {name:?} is on this device: check the code, or sync to get the outlets of your scope"
    )]
    NoSuchOutlet {
        /// The code or id that was given.
        name: String,
    },
    /// The outlet is known but not in scope.
    #[error("outlet 门店 {name} is not in your scope: ask your manager whether it is assigned to you")]
    OutletNotInScope {
        /// Its code.
        name: String,
    },
    /// The device does not know such a visit.
    #[error("no visit 拜访 {visit} is on this device: look it up in the list of visits, or sync")]
    NoSuchVisit {
        /// The id.
        visit: VisitId,
    },
    /// The visit has ended.
    #[error("visit 拜访 {visit} is closed: open a new visit to record more")]
    VisitClosed {
        /// The id.
        visit: VisitId,
    },
    /// A person is in one shop at a time.
    #[error("visit 拜访 {visit} is still open at outlet {outlet}: close or abort it first")]
    AlreadyOpen {
        /// The open visit.
        visit: VisitId,
        /// Where it is.
        outlet: OutletId,
    },
    /// No visit is open.
    #[error("no visit 拜访 is open: open one first")]
    NoOpenVisit,
    /// The device does not know such a record.
    #[error("no {} {} is on this device: sync, or check the id", spec(.key.kind).map_or("record", |spec| spec.code), .key.id)]
    NoSuchRecord {
        /// Which one.
        key: RecordKey,
    },
    /// The tray has no such entry.
    #[error("no rejected save {id} is on this device: look it up in the list of rejected saves")]
    NoSuchRejected {
        /// Which one.
        id: RejectedId,
    },
    /// The issue is not in a state from which this step leads on.
    #[error("the issue 问题 is {} already, from which this step does not lead on: if something is wrong again, raise another one", .state.code())]
    IssueState {
        /// The state it is in.
        state: IssueState,
    },
    /// The outlet, or the device, names a zone that this version does not know.
    #[error(
        "time zone {zone:?} is not known: correct the outlet's time zone (an IANA name such as Asia/Shanghai)"
    )]
    UnknownZone {
        /// The zone.
        zone: String,
    },
    /// The end comes before the beginning.
    #[error("the visit 拜访 ends before it begins ({closed_at_ms} < {opened_at_ms} ms): correct its times")]
    EndsBeforeItBegins {
        /// The beginning, Unix milliseconds.
        opened_at_ms: i64,
        /// The end, Unix milliseconds.
        closed_at_ms: i64,
    },
    /// The form holds nothing.
    #[error("the {kind} holds nothing: fill in at least one line")]
    Empty {
        /// The kind's code.
        kind: &'static str,
    },
    /// The form does not keep what its kind declares.
    #[error("{invalid}: correct it and save again")]
    Invalid {
        /// What is wrong.
        invalid: Invalid,
    },
    /// Records of this kind are not edited but corrected.
    #[error("a {kind} is not edited: record a new one, which corrects it")]
    CorrectedOnly {
        /// The kind's code.
        kind: &'static str,
    },
    /// Records of this kind are written at headquarters.
    #[error("a {kind} is not edited on a device: ask headquarters to change it")]
    HeadquartersOnly {
        /// The kind's code.
        kind: &'static str,
    },
    /// The form is of another kind than the rejected save.
    #[error("rejected save {id} is a {of}, the form is a {form}: mend it with a form of its own kind")]
    OtherKind {
        /// The rejected save.
        id: RejectedId,
        /// The code of its kind.
        of: &'static str,
        /// The code of the form's kind.
        form: &'static str,
    },
    /// The conflict is settled.
    #[error("conflict 冲突 {id} is settled already ({}): edit the record if another value is right", .decision.code())]
    ConflictSettled {
        /// Which one.
        id: RecordId,
        /// How.
        decision: Decision,
    },
    /// What was given is no picture.
    #[error("this is no picture 图片 of a form that is known (JPEG, PNG, WebP, HEIC): attach another one")]
    NoPicture,
    /// The picture is too large.
    #[error(
        "the picture 图片 has {bytes} bytes and at most {PHOTO_BYTES_MAX} are taken: attach it in a smaller size"
    )]
    PictureTooLarge {
        /// How many bytes it has.
        bytes: u64,
    },
    /// The file that was named cannot be read.
    #[error("cannot read {} ({source}): check the path and its permissions", path.display())]
    PictureUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// As many pictures wait as the device holds.
    #[error(
        "{pictures} pictures 图片 of {bytes} bytes have not reached the server, and this device holds {PHOTOS_UNSENT_MAX} of {PHOTOS_UNSENT_BYTES_MAX} bytes: sync with photos before you attach more"
    )]
    PicturesFull {
        /// How many there are.
        pictures: u64,
        /// How many bytes they have.
        bytes: u64,
    },
    /// The visit ended on an earlier day.
    #[error(
        "visit 拜访 {visit} of {day} has ended, and takes photos until the end of its day: attach the photo to another visit or to an issue"
    )]
    PhotoTooLate {
        /// The id.
        visit: VisitId,
        /// Its day.
        day: Day,
    },
    /// The picture cannot be kept.
    #[error(transparent)]
    Photo(#[from] PhotoFileError),
    /// The device is not enrolled.
    #[error("this device is not enrolled: enrol it with the invitation that your manager gave you")]
    NotEnrolled,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
