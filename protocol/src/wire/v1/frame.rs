//! The frames, as the sessions use them.

use crate::calendar::Day;
use crate::clock::Hlc;
use crate::digest::{Digest, ShortDigest};
use crate::figures::{MeasureFamily, Measures, Subject};
use crate::ids::{ContentHash, DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId};
use crate::record::{Home, Op, Record, RecordKey};

/// A frame of a device.
#[derive(Clone, PartialEq, Debug)]
pub enum ClientFrame {
    /// The first frame of a session.
    Hello(Hello),
    /// Saved ops, in order.
    Push(Push),
    /// Asks for all changes in the scope, after all pushes of the session.
    Pull(Pull),
    /// Asks for figures.
    FigureRequest(FigureRequest),
    /// Asks for a certificate, with an invitation. It is the only frame that needs no certificate.
    Enrol(Enrol),
    /// Offers a picture, after the record that names it was pushed.
    Offer(Offer),
    /// A piece of an offered picture.
    Piece(Piece),
    /// The digests of what the device holds, after a pull.
    CompareDigests(CompareDigests),
    /// The digests of single records of a home that differs.
    CompareRecords(CompareRecords),
    /// The device's feed position, before it continues from there.
    Resume(Resume),
}

/// A frame of the server.
#[derive(Clone, PartialEq, Debug)]
pub enum ServerFrame {
    /// Answers [`Hello`].
    Welcome(Welcome),
    /// Answers one [`Push`]: what is durable now.
    Receipt {
        /// The first op of the push. The receipt says nothing about earlier ops, so a device that lost their receipts
        /// must not take them for merged.
        first: OpSeq,
        /// The outcome of the push.
        receipt: Receipt,
    },
    /// All homes of the scope, if the device holds another scope. Asks for another pull.
    Scope(Vec<Home>),
    /// Records that changed.
    Changes(Changes),
    /// Nothing more to pull: the device is up to date as of this position.
    Pulled(FeedSeq),
    /// Answers [`FigureRequest`].
    FigureResponse(FigureResponse),
    /// Answers [`Enrol`].
    Granted(Granted),
    /// The session ends here, with the reason.
    Refused(Refused),
    /// Answers [`Offer`] and [`Piece`] with what the server holds of the picture.
    UploadStatus(UploadStatus),
    /// The server does not accept a picture. The session continues.
    Declined(Declined),
    /// Answers [`CompareDigests`].
    DigestVerdict(DigestVerdict),
    /// Answers [`CompareRecords`].
    Repair(Repair),
    /// Answers [`Resume`].
    Resumed(Resumed),
    /// The device's next certificate (DER), for the same key, because the current one expires soon. It is sent unasked.
    Renewed(Vec<u8>),
}

/// The device's identity and state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The program and its version, for people.
    pub app: String,
    /// The device by its own account; the certificate is authoritative.
    pub device: DeviceNo,
    /// The number that the next save will get. If the server has already applied it, the device's store was restored or
    /// copied.
    pub next_seq: OpSeq,
    /// The device's wall clock, Unix milliseconds.
    pub now_ms: i64,
}

/// The feed position up to which a device has pulled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The epoch that the server named last; nil if it has named none.
    pub epoch: FeedEpoch,
    /// The highest feed position of anything that the device holds.
    pub reached: FeedSeq,
}

/// Whether a device may continue from its feed position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resumed {
    /// The epoch of the feed from now on.
    pub epoch: FeedEpoch,
    /// Whether the position is in this server's feed. If it is not, the server was restored from a backup that is older
    /// than what the device has seen, and the device pulls everything again.
    pub continues: bool,
}

/// Ops in the order of their sequence, without gaps.
#[derive(Clone, PartialEq, Debug)]
pub struct Push {
    /// The ops.
    pub ops: Vec<Op>,
}

/// The device's cursors, and the scope that it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    /// [`crate::access::scope_digest`] of the homes that the device holds.
    pub scope_digest: [u8; 16],
    /// Up to here it has everything in scope, except for the homes in `behind`.
    pub cursor: FeedSeq,
    /// Homes that came into scope recently, each with the position up to which it was pulled.
    pub behind: Vec<(Home, FeedSeq)>,
    /// The last op that was sent, in this session or before. The driver passes the last saved op; the session replaces
    /// it.
    pub sent_through: OpSeq,
    /// Everything captured up to this moment (Unix milliseconds) is among the ops up to `sent_through`.
    pub captured_through_ms: i64,
}

/// A request for figures of whole days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FigureRequest {
    /// The family of figures.
    pub family: MeasureFamily,
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
}

/// Cells summed over the requested days, by subject and dimension.
#[derive(Clone, PartialEq, Debug)]
pub struct FigureResponse {
    /// One row for each subject and dimension.
    pub rows: Vec<(Subject, u64, Measures)>,
}

/// A request to become a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrol {
    /// The invitation's secret.
    pub secret: [u8; 16],
    /// The certificate request, PKCS#10 DER.
    pub request_der: Vec<u8>,
    /// The name of the device for people.
    pub label: String,
}

/// A picture that a device can send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its hash.
    pub hash: ContentHash,
    /// Its size.
    pub bytes: u64,
}

/// Bytes of a picture. They replace what the server holds from their offset on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The picture.
    pub hash: ContentHash,
    /// The offset of the first byte.
    pub from: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How much of a picture the server holds. The full size means that it is complete, verified and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadStatus {
    /// The picture.
    pub hash: ContentHash,
    /// The number of bytes from the start.
    pub bytes: u64,
    /// The hash of those bytes. If the device's own hash differs, they are corrupt and are sent again.
    pub front: ContentHash,
}

/// Why a picture is not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declined {
    /// The picture.
    pub hash: ContentHash,
    /// Why.
    pub why: Refusal,
    /// The reason, as text for people.
    pub message: String,
}

/// What a device holds as of a feed position, as sums of [`crate::digest::Digest`]s.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompareDigests {
    /// The position up to which the device has pulled.
    pub at: FeedSeq,
    /// The digest of all records in its scope.
    pub all: Digest,
    /// The digest of each home that the device holds. The first request has none, because usually everything is equal.
    pub homes: Vec<(Home, Digest)>,
}

/// The result of a comparison of digests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DigestVerdict {
    /// Everything is equal, or differs only in what has changed meanwhile.
    Agrees,
    /// The whole differs; the device must send the digest of each home.
    Differs,
    /// These homes differ.
    DifferIn(Vec<Home>),
}

/// The records that a device holds of a home, within a range of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompareRecords {
    /// The position up to which the device has pulled.
    pub at: FeedSeq,
    /// The home.
    pub home: Home,
    /// The range begins after this key; `None` begins at the first record.
    pub after: Option<RecordKey>,
    /// The range ends with this key; `None` ends at the last record.
    pub through: Option<RecordKey>,
    /// In the order of their keys.
    pub records: Vec<(RecordKey, ShortDigest)>,
}

/// What must change in a range of a home so that the device holds what the server holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Repair {
    /// The home.
    pub home: Home,
    /// The start of the range, as the device sent it.
    pub after: Option<RecordKey>,
    /// The end of the answer: the end of the range, unless not everything fitted into one frame.
    pub through: Option<RecordKey>,
    /// Records that are missing or different on the device. Each replaces the device's own.
    pub records: Vec<Record>,
    /// Records that the device holds and the server does not.
    pub gone: Vec<RecordKey>,
}

/// The credentials of a new device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Its number.
    pub device: DeviceNo,
    /// Its certificate, DER.
    pub certificate_der: Vec<u8>,
    /// The certificate of the server's authority, DER.
    pub authority_der: Vec<u8>,
    /// The person who uses it.
    pub person: PersonId,
    /// The person's name.
    pub person_name: String,
}

/// The server's greeting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// The server's clock, Unix milliseconds.
    pub now_ms: i64,
    /// All ops of this device up to here are durable.
    pub applied_through: OpSeq,
    /// The person who uses the device.
    pub person: PersonId,
}

/// The outcome of the ops of one push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Everything up to here is durable, merged or rejected. It is lower than the push's own ops if the server missed
    /// earlier ops, or has applied as much as fits into one commit. The rest must then be sent again.
    pub through: OpSeq,
    /// The ops of the push that were not merged, also if they were sent before.
    pub rejections: Vec<Rejection>,
    /// Ops of the push whose stamps were in the future, with the moments that replace them, also if they were sent
    /// before. The device adopts them, so that both ends hold the same.
    pub restamped: Vec<(OpSeq, Hlc)>,
}

/// An op that was not merged. Its author's device keeps it among the rejected ops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The op.
    pub seq: OpSeq,
    /// Why.
    pub why: Refusal,
    /// The reason, as text for people.
    pub message: String,
}

/// Records of the device's scope that changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Changes {
    /// The home that is being caught up; `None` for the whole scope.
    pub home: Option<Home>,
    /// The cursor at which the frame starts. If the device's cursor is another one, the frame does not move it.
    pub from: FeedSeq,
    /// The cursor after the frame.
    pub to: FeedSeq,
    /// The records, each whole.
    pub records: Vec<Record>,
}

/// The reason of a refusal. The numbers are stable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Refusal {
    /// Not a frame of this version, or not allowed at this point of the session.
    Protocol = 1,
    /// A frame of a version that the server does not support.
    Version = 2,
    /// No certificate, or the certificate of another device.
    Unauthenticated = 3,
    /// The device was revoked.
    Revoked = 4,
    /// The invitation is unknown, used or expired.
    Invitation = 5,
    /// A temporary failure of the server; try again later.
    Unavailable = 6,
    /// The op's record is outside of the device's scope.
    OutOfScope = 7,
    /// This role may not write the op's kind.
    NotAWriter = 8,
    /// The op violates its kind's declaration.
    Invalid = 9,
    /// The record belongs to another home.
    OtherHome = 10,
    /// Another person wrote the record, and its kind is corrected only by new records.
    NotTheAuthor = 11,
    /// The server does not know the kind, and its records would grant rights. The op is kept aside.
    UnknownKind = 12,
    /// The device's store was restored from a backup or copied to another device.
    Cloned = 13,
    /// No record on the server refers to this picture.
    Unnamed = 14,
    /// The server knows no device of this number, or another one.
    UnknownDevice = 15,
    /// A reason of a newer server.
    Other = 0,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::Protocol,
        Self::Version,
        Self::Unauthenticated,
        Self::Revoked,
        Self::Invitation,
        Self::Unavailable,
        Self::OutOfScope,
        Self::NotAWriter,
        Self::Invalid,
        Self::OtherHome,
        Self::NotTheAuthor,
        Self::UnknownKind,
        Self::Cloned,
        Self::Unnamed,
        Self::UnknownDevice,
        Self::Other,
    ];

    /// The reason with a number.
    pub fn from_number(number: u16) -> Self {
        Self::ALL.into_iter().find(|refusal| *refusal as u16 == number).unwrap_or(Self::Other)
    }

    /// Whether the same request may succeed later without anybody's action.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// The reason, as text for people: what happened, where, and what to do.
    pub message: String,
}
