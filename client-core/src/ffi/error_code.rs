//! Error codes, stable for programs.

/// What went wrong. A code is never renamed; new codes may be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, uniffi::Enum)]
pub enum ErrorCode {
    /// An argument is malformed: an id, a day, a GTIN, a GPS fix.
    Argument,
    /// The client was closed.
    ClientClosed,
    /// The app went to the background, or the store had to be opened again; running work was ended.
    Backgrounded,
    /// The library has a bug. Report it.
    Internal,
    /// The device is not enrolled.
    NotEnrolled,

    /// The device does not know the outlet.
    OutletUnknown,
    /// The outlet is not in scope.
    OutletOutOfScope,
    /// The device does not know the visit.
    VisitUnknown,
    /// The visit has ended.
    VisitClosed,
    /// Another visit is open.
    VisitStillOpen,
    /// No visit is open.
    NoOpenVisit,
    /// The device does not know the record.
    RecordUnknown,
    /// There is no such rejected op.
    RejectedUnknown,
    /// The issue's state does not allow this step.
    IssueState,
    /// The outlet's time zone is unknown.
    ZoneUnknown,
    /// The end comes before the beginning.
    TimesReversed,
    /// The entity has no field filled in.
    FormEmpty,
    /// The entity breaks a rule of its kind's declaration.
    FormInvalid,
    /// Records of this kind are not editable: a visit is corrected by a new one, reference data by headquarters.
    NotEdited,
    /// The conflict is already settled.
    ConflictSettled,

    /// The bytes are not a picture of a known format.
    PhotoForm,
    /// The picture is too large.
    PhotoTooLarge,
    /// The picture's file cannot be read.
    PhotoUnreadable,
    /// The device holds the most unsent pictures that it may.
    PhotosFull,
    /// The visit ended on an earlier day.
    PhotoTooLate,
    /// The picture is not on this device.
    PhotoNotHere,
    /// The picture's file is damaged.
    PhotoDamaged,
    /// The picture may not be dropped: it is unsent, or the server has it.
    PhotoNeeded,
    /// The folder of pictures cannot be read or written at the moment.
    PhotoFolder,

    /// Another process, or another client of this one, has the folder open.
    StoreInUse,
    /// The store is sealed with another key, or is sealed and no key was given, or is not sealed and one was.
    StoreKey,
    /// The store holds the most unsent work that it may.
    StoreFull,
    /// The store cannot be read or written: the disk is full, permission is missing, or the phone is locked. As far as
    /// is known, the store is intact. A save that failed this way may be stored anyway: look before repeating it.
    StoreDisk,
    /// The store was written by a newer app.
    StoreNewer,
    /// The store is corrupt.
    StoreBroken,
    /// The device's key or certificates are corrupt or missing.
    IdentityBroken,
    /// The folder holds no device.
    NoStore,
    /// The file or folder of a rescue cannot be created, read or written.
    RescueFile,

    /// A sync, push or enrolment is already running.
    SyncRunning,
    /// There is no connection, or it broke.
    Connection,
    /// The connection was refused: the certificates do not match.
    ConnectionRefused,
    /// The server's certificate is not valid at this device's time: one of the two clocks is wrong.
    DeviceDate,
    /// The server's name has no address.
    ServerAddress,
    /// The server stopped answering.
    ServerSilent,
    /// The session ended before it was complete.
    SessionEnded,
    /// The server's data cannot be decoded or used.
    ServerUnreadable,
    /// This device's store was restored from a backup or copied.
    DeviceRestored,
    /// The server was restored from a backup so old that this device no longer has everything that is missing there.
    ServerRestored,

    /// The text is not an invitation, or not all of it was copied.
    InvitationMalformed,
    /// The server does not know the invitation, or it was used or has expired.
    InvitationRefused,
    /// The label is too long.
    LabelTooLong,
    /// The folder is the device of another person.
    OtherPerson,
    /// The device was revoked.
    DeviceRevoked,
    /// The server does not know this device.
    DeviceUnknown,
    /// The server does not support this version.
    VersionRefused,
    /// The server has a temporary failure.
    ServerUnavailable,
    /// The server refused for another reason.
    ServerRefused,
}
