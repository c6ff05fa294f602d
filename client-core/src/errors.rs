//! Why work was not recorded.

use std::path::PathBuf;

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{Choice, Decision, Invalid, IssueState, spec};
use xundian_protocol::limits::{PHOTO_BYTES_MAX, PHOTOS_UNSENT_BYTES_MAX, PHOTOS_UNSENT_MAX};
use xundian_protocol::record::RecordKey;

use crate::photos::PhotoFileError;
use crate::store::{RejectedId, StoreError};

/// Why something was not recorded. Nothing of it was saved. Each message says what happened, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The device knows no such outlet.
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
    /// The device knows no such visit.
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
    /// Another visit is open. A person is in one shop at a time.
    #[error("visit 拜访 {visit} is still open at outlet {outlet}: close or abort it first")]
    AlreadyOpen {
        /// The open visit.
        visit: VisitId,
        /// The outlet of the open visit.
        outlet: OutletId,
    },
    /// No visit is open.
    #[error("no visit 拜访 is open: open one first")]
    NoOpenVisit,
    /// The device knows no such record.
    #[error("no {} {} is on this device: sync, or check the id", spec(.key.kind).map_or("record", |spec| spec.code), .key.id)]
    NoSuchRecord {
        /// The record.
        key: RecordKey,
    },
    /// There is no such rejected op.
    #[error("no rejected save {id} is on this device: look it up in the list of rejected saves")]
    NoSuchRejected {
        /// The rejected op.
        id: RejectedId,
    },
    /// The issue's state does not allow this step.
    #[error("the issue 问题 is {} already, which does not allow this step: if something is wrong again, raise another one", .state.code())]
    IssueState {
        /// Its state.
        state: IssueState,
    },
    /// The outlet or the device names an unknown time zone.
    #[error(
        "time zone {zone:?} is not known: correct the outlet's time zone (an IANA name such as Asia/Shanghai)"
    )]
    UnknownZone {
        /// The time zone.
        zone: String,
    },
    /// The end is before the beginning.
    #[error("the visit 拜访 ends before it begins ({closed_at_ms} < {opened_at_ms} ms): correct its times")]
    EndsBeforeItBegins {
        /// The beginning, Unix milliseconds.
        opened_at_ms: i64,
        /// The end, Unix milliseconds.
        closed_at_ms: i64,
    },
    /// The entity has no value.
    #[error("the {kind} holds nothing: fill in at least one line")]
    Empty {
        /// The kind's code.
        kind: &'static str,
    },
    /// The entity violates its kind's declaration.
    #[error("{invalid}: correct it and save again")]
    Invalid {
        /// What is wrong.
        invalid: Invalid,
    },
    /// Records of this kind are not edited but corrected.
    #[error("a {kind} cannot be edited: record a new one, which corrects it")]
    CorrectedOnly {
        /// The kind's code.
        kind: &'static str,
    },
    /// Only headquarters writes records of this kind.
    #[error("a {kind} cannot be edited on a device: ask headquarters to change it")]
    HeadquartersOnly {
        /// The kind's code.
        kind: &'static str,
    },
    /// The entity has another kind than the rejected op.
    #[error("rejected save {id} is a {of}, and a {form} was given: correct it with a {of}")]
    OtherKind {
        /// The rejected op.
        id: RejectedId,
        /// The code of its kind.
        of: &'static str,
        /// The code of the entity's kind.
        form: &'static str,
    },
    /// The conflict is settled already.
    #[error("conflict 冲突 {id} is settled already ({}): edit the record if another value is right", .decision.code())]
    ConflictSettled {
        /// The conflict.
        id: RecordId,
        /// How it was settled.
        decision: Decision,
    },
    /// The bytes are not a picture.
    #[error("this is not a picture 图片 of a known format (JPEG, PNG, WebP, HEIC): attach another one")]
    NoPicture,
    /// The picture is too large.
    #[error(
        "the picture 图片 has {bytes} bytes and at most {PHOTO_BYTES_MAX} are accepted: attach it in a smaller size"
    )]
    PictureTooLarge {
        /// How many bytes it has.
        bytes: u64,
    },
    /// The file cannot be read.
    #[error("cannot read {} ({source}): check the path and its permissions", path.display())]
    PictureUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The device holds the most waiting pictures that it may.
    #[error(
        "{pictures} pictures 图片 of {bytes} bytes have not reached the server, and this device holds {PHOTOS_UNSENT_MAX} of {PHOTOS_UNSENT_BYTES_MAX} bytes: sync with photos before you attach more"
    )]
    PicturesFull {
        /// The number of pictures.
        pictures: u64,
        /// The number of their bytes.
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
    /// The picture file cannot be written.
    #[error(transparent)]
    Photo(#[from] PhotoFileError),
    /// The device is not enrolled.
    #[error("this device is not enrolled: enrol it with the invitation that your manager gave you")]
    NotEnrolled,
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
