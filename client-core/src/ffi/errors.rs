//! Every failure as one typed error: a stable code, a text in Chinese and in English, and whether a retry may succeed.

use std::fmt::Display;

use xundian_protocol::sync::SessionError;
use xundian_protocol::wire::v1::Refusal;

use super::error_code::ErrorCode;
use super::messages_zh;
use crate::client::rescue::RescueError;
use crate::client::{ConnectionTrouble, EnrolError, IdentityFileError, PhotoError, QueryError, SyncError};
use crate::errors::RecordError;
use crate::photos::PhotoFileError;
use crate::store::{StoreError, StoreTrouble};

/// A failed call. Nothing was done, unless the call's documentation says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, uniffi::Error)]
pub enum ClientError {
    /// The one form of all failures.
    #[error("{message_en}")]
    Failed {
        /// What went wrong, for programs.
        code: ErrorCode,
        /// What went wrong and what to do, in Chinese.
        message_zh: String,
        /// What went wrong and what to do, in English.
        message_en: String,
        /// Whether the same call may succeed later without anybody doing anything.
        is_retryable: bool,
    },
}

/// A failure of an observer; it ends nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, uniffi::Error)]
pub enum ObserverError {
    /// The observer raised or threw.
    #[error("an observer failed: {reason}")]
    Failed {
        /// The reason it gave.
        reason: String,
    },
}

impl ClientError {
    /// An argument of the wrong form.
    pub(super) fn argument(error: impl Display) -> Self {
        Self::new(ErrorCode::Argument, &error, false, format!("参数不正确：{error}"))
    }

    pub(super) fn closed() -> Self {
        let message_en = "the client was closed: open it again";
        Self::new(ErrorCode::ClientClosed, message_en, false, "客户端已关闭：请重新打开".into())
    }

    pub(super) fn backgrounded() -> Self {
        let message_en =
            "the app went to the background, which ended this: call it again; what was done stays done";
        let message_zh = messages_zh::code(ErrorCode::Backgrounded).to_owned();
        Self::new(ErrorCode::Backgrounded, message_en, true, message_zh)
    }

    pub(super) fn internal(what: impl Display) -> Self {
        let message_en =
            format!("the library has a fault ({what}): report it together with the app's version");
        let message_zh = format!("程序内部错误（{what}）：请连同应用版本一起反馈");
        Self::new(ErrorCode::Internal, message_en, false, message_zh)
    }

    /// Marks a failed save as not retryable. After a disk error it may be stored anyway, and a retry
    /// would save it twice.
    fn not_to_be_repeated(mut self) -> Self {
        let Self::Failed { code, is_retryable, .. } = &mut self;
        *is_retryable &= *code != ErrorCode::StoreDisk;
        self
    }

    /// The code.
    pub const fn code(&self) -> ErrorCode {
        let Self::Failed { code, .. } = self;
        *code
    }

    fn new(code: ErrorCode, message_en: impl Display, is_retryable: bool, message_zh: String) -> Self {
        Self::Failed { code, message_zh, message_en: message_en.to_string(), is_retryable }
    }
}

impl From<RescueError> for ClientError {
    fn from(error: RescueError) -> Self {
        let code = match error {
            RescueError::Store(error) => return error.into(),
            RescueError::NoStore { .. } => ErrorCode::NoStore,
            RescueError::File { .. } => ErrorCode::RescueFile,
        };
        Self::new(code, &error, false, messages_zh::code(code).to_owned())
    }
}

impl From<QueryError> for ClientError {
    fn from(error: QueryError) -> Self {
        Self::argument(error)
    }
}

impl From<RecordError> for ClientError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => Self::from(error).not_to_be_repeated(),
            RecordError::Photo(error) => error.into(),
            error => Self::new(record_code(&error), &error, false, messages_zh::record(&error)),
        }
    }
}

const fn record_code(error: &RecordError) -> ErrorCode {
    match error {
        RecordError::NoSuchOutlet { .. } => ErrorCode::OutletUnknown,
        RecordError::OutletNotInScope { .. } => ErrorCode::OutletOutOfScope,
        RecordError::NoSuchVisit { .. } => ErrorCode::VisitUnknown,
        RecordError::VisitClosed { .. } => ErrorCode::VisitClosed,
        RecordError::AlreadyOpen { .. } => ErrorCode::VisitStillOpen,
        RecordError::NoOpenVisit => ErrorCode::NoOpenVisit,
        RecordError::NoSuchRecord { .. } => ErrorCode::RecordUnknown,
        RecordError::NoSuchRejected { .. } => ErrorCode::RejectedUnknown,
        RecordError::IssueState { .. } => ErrorCode::IssueState,
        RecordError::UnknownZone { .. } => ErrorCode::ZoneUnknown,
        RecordError::EndsBeforeItBegins { .. } => ErrorCode::TimesReversed,
        RecordError::Empty { .. } => ErrorCode::FormEmpty,
        RecordError::Invalid { .. } => ErrorCode::FormInvalid,
        RecordError::CorrectedOnly { .. } | RecordError::HeadquartersOnly { .. } => ErrorCode::NotEdited,
        RecordError::OtherKind { .. } => ErrorCode::Argument,
        RecordError::ConflictSettled { .. } => ErrorCode::ConflictSettled,
        RecordError::NotEnrolled => ErrorCode::NotEnrolled,
        RecordError::NoPicture => ErrorCode::PhotoForm,
        RecordError::PictureTooLarge { .. } => ErrorCode::PhotoTooLarge,
        RecordError::PictureUnreadable { .. } => ErrorCode::PhotoUnreadable,
        RecordError::PicturesFull { .. } => ErrorCode::PhotosFull,
        RecordError::PhotoTooLate { .. } => ErrorCode::PhotoTooLate,
        RecordError::Photo(error) => photo_code(error),
        RecordError::Store(_) => ErrorCode::StoreBroken,
    }
}

impl From<PhotoFileError> for ClientError {
    fn from(error: PhotoFileError) -> Self {
        let code = photo_code(&error);
        // An app's files cannot be read while the phone is locked.
        let is_retryable = matches!(error, PhotoFileError::Io { .. });
        Self::new(code, &error, is_retryable, messages_zh::code(code).to_owned())
    }
}

impl From<PhotoError> for ClientError {
    fn from(error: PhotoError) -> Self {
        match error {
            PhotoError::File(error) => error.into(),
            PhotoError::Store(error) => error.into(),
            error @ PhotoError::StillNeeded { .. } => {
                let code = ErrorCode::PhotoNeeded;
                Self::new(code, error, false, messages_zh::code(code).to_owned())
            }
        }
    }
}

const fn photo_code(error: &PhotoFileError) -> ErrorCode {
    match error {
        PhotoFileError::Missing { .. } => ErrorCode::PhotoNotHere,
        PhotoFileError::Damaged { .. } => ErrorCode::PhotoDamaged,
        PhotoFileError::Io { .. } => ErrorCode::PhotoFolder,
    }
}

impl From<StoreError> for ClientError {
    fn from(error: StoreError) -> Self {
        let code = match error.trouble() {
            StoreTrouble::InUse => ErrorCode::StoreInUse,
            StoreTrouble::OtherKey | StoreTrouble::OtherKind => ErrorCode::StoreKey,
            StoreTrouble::Full => ErrorCode::StoreFull,
            StoreTrouble::Disk => ErrorCode::StoreDisk,
            StoreTrouble::Newer => ErrorCode::StoreNewer,
            StoreTrouble::Damaged => ErrorCode::StoreBroken,
            StoreTrouble::Fault => return Self::internal(error),
        };
        let is_retryable = matches!(code, ErrorCode::StoreInUse | ErrorCode::StoreDisk);
        Self::new(code, &error, is_retryable, messages_zh::store(code, &error))
    }
}

impl From<SyncError> for ClientError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) => error.into(),
            SyncError::Photo(error) => error.into(),
            error => {
                let code = sync_code(&error);
                Self::new(code, &error, error.is_retryable(), messages_zh::sync(code, &error))
            }
        }
    }
}

fn sync_code(error: &SyncError) -> ErrorCode {
    match error {
        SyncError::NotEnrolled => ErrorCode::NotEnrolled,
        SyncError::Running => ErrorCode::SyncRunning,
        SyncError::Connection { trouble, .. } => match trouble {
            ConnectionTrouble::Passing => ErrorCode::Connection,
            ConnectionTrouble::Certificate => ErrorCode::ConnectionRefused,
            ConnectionTrouble::Revoked => ErrorCode::DeviceRevoked,
            ConnectionTrouble::Date => ErrorCode::DeviceDate,
            ConnectionTrouble::Version => ErrorCode::VersionRefused,
        },
        SyncError::Address { .. } => ErrorCode::ServerAddress,
        SyncError::NoAnswer => ErrorCode::ServerSilent,
        SyncError::Ended
        | SyncError::Session(SessionError::NoProgress { .. } | SessionError::Unexpected { .. }) => {
            ErrorCode::SessionEnded
        }
        SyncError::Frame(_) => ErrorCode::ServerUnreadable,
        SyncError::Session(SessionError::Refused(refused)) => refused_code(refused.why),
        SyncError::Restored { .. } => ErrorCode::DeviceRestored,
        SyncError::ServerRestored { .. } => ErrorCode::ServerRestored,
        SyncError::File(error) => identity_code(error),
        SyncError::Store(_) => ErrorCode::StoreBroken,
        SyncError::Photo(error) => photo_code(error),
    }
}

fn identity_code(error: &IdentityFileError) -> ErrorCode {
    if error.is_passing() { ErrorCode::StoreDisk } else { ErrorCode::IdentityBroken }
}

const fn refused_code(why: Refusal) -> ErrorCode {
    match why {
        Refusal::Version => ErrorCode::VersionRefused,
        Refusal::Unauthenticated | Refusal::UnknownDevice => ErrorCode::DeviceUnknown,
        Refusal::Revoked => ErrorCode::DeviceRevoked,
        Refusal::Invitation => ErrorCode::InvitationRefused,
        Refusal::Unavailable => ErrorCode::ServerUnavailable,
        Refusal::Cloned => ErrorCode::DeviceRestored,
        _ => ErrorCode::ServerRefused,
    }
}

impl From<EnrolError> for ClientError {
    fn from(error: EnrolError) -> Self {
        let (message_en, is_retryable) = (error.to_string(), error.is_retryable());
        let code = match error {
            EnrolError::Connection(error) => return Self::from(*error),
            EnrolError::Store(error) => return error.into(),
            EnrolError::Invitation(_) => ErrorCode::InvitationMalformed,
            EnrolError::Label { .. } => ErrorCode::LabelTooLong,
            EnrolError::OtherPerson { .. } => ErrorCode::OtherPerson,
            EnrolError::Refused(refused) => refused_code(refused.why),
            EnrolError::Answer(_) => ErrorCode::ServerUnreadable,
            EnrolError::File(error) => identity_code(&error),
        };
        let message_zh = messages_zh::code(code).to_owned();
        Self::new(code, message_en, is_retryable, message_zh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_device_is_told_why_in_both_languages() {
        let refused =
            xundian_protocol::wire::v1::Refused { why: Refusal::Revoked, message: "revoked".into() };
        let error = ClientError::from(SyncError::Session(SessionError::Refused(refused)));
        let ClientError::Failed { code, message_zh, message_en, is_retryable } = error;
        assert_eq!((code, is_retryable), (ErrorCode::DeviceRevoked, false));
        assert!(message_zh.contains("停用"), "{message_zh}");
        assert!(message_en.contains("revoked"), "{message_en}");
    }

    #[test]
    fn a_refused_connection_names_the_remedy() {
        let of = |trouble| {
            let refused = SyncError::Connection { message: "refused".into(), trouble };
            let ClientError::Failed { code, message_zh, is_retryable, .. } = refused.into();
            assert!(!is_retryable, "{code:?}");
            (code, message_zh)
        };
        assert_eq!(of(ConnectionTrouble::Certificate).0, ErrorCode::ConnectionRefused);
        assert_eq!(of(ConnectionTrouble::Revoked).0, ErrorCode::DeviceRevoked);
        assert_eq!(of(ConnectionTrouble::Version).0, ErrorCode::VersionRefused);
        let (code, message_zh) = of(ConnectionTrouble::Date);
        assert!(code == ErrorCode::DeviceDate && message_zh.contains("校正日期"), "{message_zh}");
    }

    #[test]
    fn a_lost_connection_is_retryable() {
        let lost = SyncError::Connection { message: "no route".into(), trouble: ConnectionTrouble::Passing };
        let enrolling = ClientError::from(EnrolError::from(lost));
        let ClientError::Failed { code, is_retryable, .. } = enrolling;
        assert_eq!((code, is_retryable), (ErrorCode::Connection, true));
    }
}
