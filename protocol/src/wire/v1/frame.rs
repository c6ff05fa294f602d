//! The frames, as the sessions see them.

use crate::calendar::Day;
use crate::clock::Hlc;
use crate::digest::{Digest, ShortDigest};
use crate::figures::{MeasureFamily, Measures, Subject};
use crate::ids::{ContentHash, DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId};
use crate::record::{Home, Op, Record, RecordKey};

/// What a device says.
#[derive(Clone, PartialEq, Debug)]
pub enum ClientFrame {
    /// The first frame of a session.
    Hello(Hello),
    /// Saved ops, in order.
    Push(Push),
    /// Asks for everything new, after all pushes of the session.
    Pull(Pull),
    /// Asks for figures.
    FigureRequest(FigureRequest),
    /// Asks for a certificate, with an invitation; the only frame that needs none.
    Enrol(Enrol),
    /// Offers a photo's picture, once the record that names it was sent.
    Offer(Offer),
    /// A piece of an offered picture.
    Piece(Piece),
    /// Tells what the device holds, after a pull came to its end.
    CompareDigests(CompareDigests),
    /// Tells the records of a home that differs, one by one.
    CompareRecords(CompareRecords),
    /// Says where in the feed the device stands, before it goes on from there.
    Resume(Resume),
}

/// What the server says.
#[derive(Clone, PartialEq, Debug)]
pub enum ServerFrame {
    /// Answers [`Hello`].
    Welcome(Welcome),
    /// Answers one [`Push`]: what is durable now.
    Receipt {
        /// The first op of the push. The receipt says nothing of ops before it, so a device whose receipts
        /// for those were lost must not take them for merged.
        first: OpSeq,
        /// What has become of the push.
        receipt: Receipt,
    },
    /// The device's scope is no longer what it holds: all homes of the new one. Asks for another pull.
    Scope(Vec<Home>),
    /// Records that changed.
    Changes(Changes),
    /// Nothing more to pull; the device is up to date as of this place.
    Pulled(FeedSeq),
    /// Answers [`FigureRequest`].
    FigureResponse(FigureResponse),
    /// Answers [`Enrol`].
    Granted(Granted),
    /// The session ends here, and why.
    Refused(Refused),
    /// Answers [`Offer`] and [`Piece`]: what the server holds of the picture now.
    UploadStatus(UploadStatus),
    /// The server does not take a picture. The session goes on.
    Declined(Declined),
    /// Answers [`CompareDigests`].
    DigestVerdict(DigestVerdict),
    /// Answers [`CompareRecords`].
    Repair(Repair),
    /// Answers [`Resume`].
    Resumed(Resumed),
    /// The device's next certificate, DER, for the key of the one that it shows, which ends soon. Nobody asks for it.
    Renewed(Vec<u8>),
}

/// Who speaks and how far it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The program and its version, for people.
    pub app: String,
    /// The device by its own account; the certificate decides.
    pub device: DeviceNo,
    /// The number that the next save will get. A server that has applied it already knows more of the
    /// device than the device itself: its store was restored or copied.
    pub next_seq: OpSeq,
    /// The device's wall clock, Unix milliseconds.
    pub now_ms: i64,
}

/// How far a device has come in the feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The epoch that the server named last; nil where it has named none.
    pub epoch: FeedEpoch,
    /// The furthest place that the device holds anything of.
    pub reached: FeedSeq,
}

/// Whether a device may go on from where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resumed {
    /// The epoch of the feed from now on.
    pub epoch: FeedEpoch,
    /// Whether the place lies in this server's feed. Where it does not, the server was restored from a backup that is
    /// older than what the device has seen, and the device asks for everything again.
    pub continues: bool,
}

/// Ops in the order of their sequence, without gaps.
#[derive(Clone, PartialEq, Debug)]
pub struct Push {
    /// The ops.
    pub ops: Vec<Op>,
}

/// Where the device stands, and the scope that it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    /// [`crate::access::scope_digest`] of the homes that the device holds.
    pub scope_digest: [u8; 16],
    /// Up to here it has everything of its scope but the homes of `behind`.
    pub cursor: FeedSeq,
    /// Homes that came into scope lately, each with the place up to which it has them.
    pub behind: Vec<(Home, FeedSeq)>,
    /// The last op sent in this session or before. To its session the device says the last op saved.
    pub sent_through: OpSeq,
    /// Everything captured up to this moment (Unix milliseconds) is among the ops up to `sent_through`.
    pub captured_through_ms: i64,
}

/// A question for figures of whole days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FigureRequest {
    /// The family of figures.
    pub family: MeasureFamily,
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
}

/// Cells summed over the days asked for, by subject and dimension.
#[derive(Clone, PartialEq, Debug)]
pub struct FigureResponse {
    /// One row a subject and dimension.
    pub rows: Vec<(Subject, u64, Measures)>,
}

/// A request to become a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enrol {
    /// The invitation's secret.
    pub secret: [u8; 16],
    /// The certificate request, PKCS#10 DER.
    pub request_der: Vec<u8>,
    /// What people call the device.
    pub label: String,
}

/// A picture that a device could send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// What names it.
    pub hash: ContentHash,
    /// How large it is.
    pub bytes: u64,
}

/// Some bytes of a picture. What the server holds from that place on is replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The picture.
    pub hash: ContentHash,
    /// Where in the picture they stand.
    pub from: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How much of a picture the server holds. All of it means that it is whole, verified and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadStatus {
    /// The picture.
    pub hash: ContentHash,
    /// So many bytes of its front.
    pub bytes: u64,
    /// The hash of those bytes: where the device's own differs, they were damaged and are sent again.
    pub front: ContentHash,
}

/// Why a picture is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declined {
    /// The picture.
    pub hash: ContentHash,
    /// Why.
    pub why: Refusal,
    /// The same for people.
    pub message: String,
}

/// What a device holds as of a place in the feed, as sums of [`crate::digest::Digest`]s.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompareDigests {
    /// The place to which the device has pulled.
    pub at: FeedSeq,
    /// Of all records of its scope.
    pub all: Digest,
    /// Of each home that has records. The first time none is named, as mostly all agrees.
    pub homes: Vec<(Home, Digest)>,
}

/// What of a check does not agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DigestVerdict {
    /// All agrees, or nothing can be said of what does not, as it changed meanwhile.
    Agrees,
    /// The whole does not: which homes do is to be told.
    Differs,
    /// These homes do not.
    DifferIn(Vec<Home>),
}

/// Records of a home that a device holds: all of those in a stretch of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompareRecords {
    /// The place to which the device has pulled.
    pub at: FeedSeq,
    /// The home.
    pub home: Home,
    /// The stretch begins behind this record; at the first one for `None`.
    pub after: Option<RecordKey>,
    /// It ends with this record; with the last one for `None`.
    pub through: Option<RecordKey>,
    /// In the order of their keys.
    pub records: Vec<(RecordKey, ShortDigest)>,
}

/// What is to be done in a stretch of a home so that the device holds what the server holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Repair {
    /// The home.
    pub home: Home,
    /// Where the stretch begins, as the device said.
    pub after: Option<RecordKey>,
    /// How far the answer speaks of it: to the end that the device said, unless all did not fit into one frame.
    pub through: Option<RecordKey>,
    /// Records that are others on the device or not there. Each takes the place of the device's own.
    pub records: Vec<Record>,
    /// Records that the device holds and the server does not.
    pub gone: Vec<RecordKey>,
}

/// What makes a device of a program.
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
    /// Everything of this device up to here is durable.
    pub applied_through: OpSeq,
    /// The person who uses the device.
    pub person: PersonId,
}

/// What has become of the ops of one push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Everything up to here is durable, merged or rejected. Lower than the push's own ops where the
    /// server missed what came before them, or has taken as much as fits into one commit: then they must be
    /// sent again from the next one on.
    pub through: OpSeq,
    /// The ops of the push that were not merged, also where they came a second time.
    pub rejections: Vec<Rejection>,
    /// Ops of the push whose stamps lay in the future, with the moment that the server put in its place,
    /// also where they came a second time: the device takes it over, so that both hold the same.
    pub restamped: Vec<(OpSeq, Hlc)>,
}

/// An op that was not merged; it stays in its author's rejected tray.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The op.
    pub seq: OpSeq,
    /// Why.
    pub why: Refusal,
    /// The same for people.
    pub message: String,
}

/// Records of the device's scope that changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Changes {
    /// The home that is being caught up; `None` for the whole scope.
    pub home: Option<Home>,
    /// The device must stand here, else the frame moves no cursor.
    pub from: FeedSeq,
    /// Where it stands after.
    pub to: FeedSeq,
    /// The records, each whole.
    pub records: Vec<Record>,
}

/// Why the server says no. The numbers are stable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Refusal {
    /// Not a frame of this version, or not at this point of the session.
    Protocol = 1,
    /// A frame of a version that the server does not speak.
    Version = 2,
    /// No certificate, or not the one of this device.
    Unauthenticated = 3,
    /// The device was revoked.
    Revoked = 4,
    /// The invitation is unknown, used or expired.
    Invitation = 5,
    /// The server has a passing trouble; try again later.
    Unavailable = 6,
    /// The op's record lies outside the device's scope.
    OutOfScope = 7,
    /// The op's kind may not be written by this role.
    NotAWriter = 8,
    /// The op does not keep what its kind declares.
    Invalid = 9,
    /// The record lives in another home.
    OtherHome = 10,
    /// The record was written by another person, and its kind is corrected by new records only.
    NotTheAuthor = 11,
    /// The server knows no such kind, and its records would give rights; the op is kept aside.
    UnknownKind = 12,
    /// The device's store was restored from a backup or copied to another device.
    Cloned = 13,
    /// No record that the server holds names this picture.
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

    /// The reason of a number.
    pub fn from_number(number: u16) -> Self {
        Self::ALL.into_iter().find(|refusal| *refusal as u16 == number).unwrap_or(Self::Other)
    }

    /// Whether the same again may succeed later without anybody doing anything.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// The same for people: what, where, and what to do.
    pub message: String,
}
