//! Codes of failures, stable for programs.

/// What went wrong. A code is never renamed; new ones may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, uniffi::Enum)]
pub enum ErrorCode {
    /// An argument is not of its form: an id, a day, a GTIN, a position.
    Argument,
    /// The client was closed.
    ClientClosed,
    /// The app went to the background, or the store had to be opened again, which ended what ran.
    Backgrounded,
    /// The library has a fault. Report it.
    Internal,
    /// The device is not enrolled.
    NotEnrolled,

    /// The device does not know such an outlet.
    OutletUnknown,
    /// The outlet is not in scope.
    OutletOutOfScope,
    /// The device does not know such a visit.
    VisitUnknown,
    /// The visit has ended.
    VisitClosed,
    /// Another visit is open.
    VisitStillOpen,
    /// No visit is open.
    NoOpenVisit,
    /// The device does not know such a record.
    RecordUnknown,
    /// The tray has no such entry.
    RejectedUnknown,
    /// The issue is in a state from which this step does not lead on.
    IssueState,
    /// The outlet's time zone is not known.
    ZoneUnknown,
    /// The end comes before the beginning.
    TimesReversed,
    /// The form holds nothing.
    FormEmpty,
    /// The form does not keep what its kind declares.
    FormInvalid,
    /// Records of this kind are not edited: a visit is corrected by a new one, reference data by headquarters.
    NotEdited,
    /// The conflict is settled already.
    ConflictSettled,

    /// What was given is no picture of a known form.
    PhotoForm,
    /// The picture is too large.
    PhotoTooLarge,
    /// The file that was named as the picture cannot be read.
    PhotoUnreadable,
    /// As many pictures wait as the device holds.
    PhotosFull,
    /// The visit ended on an earlier day.
    PhotoTooLate,
    /// The picture is not on this device.
    PhotoNotHere,
    /// The picture's file is damaged.
    PhotoDamaged,
    /// The picture was to be dropped, and is still to be sent or stored at the server.
    PhotoNeeded,
    /// The folder of pictures cannot be read or written at this moment.
    PhotoFolder,

    /// Another program, or another client of this one, has the folder open.
    StoreInUse,
    /// The store is sealed with another key, or sealed where no key was given, or not sealed where one was.
    StoreKey,
    /// The store holds as much unsent work as it may.
    StoreFull,
    /// The disk does not let the store be read or written: no room, no permission, a locked phone. The store is sound
    /// for all that is known. A save that failed so may be there all the same: look before it is made again.
    StoreDisk,
    /// A newer app has written the store.
    StoreNewer,
    /// The store is not what was written.
    StoreBroken,
    /// The device's key or certificates are not what was written, or are gone.
    IdentityBroken,
    /// The folder holds no device.
    NoStore,
    /// The file or folder of a rescue cannot be made, read or written.
    RescueFile,

    /// A sync, push or enrolment is running already.
    SyncRunning,
    /// There is no connection, or none any more.
    Connection,
    /// The connection was made and refused: the certificates do not fit.
    ConnectionRefused,
    /// The server's certificate is not valid at this device's time: one of the two is wrong.
    DeviceDate,
    /// The server's name has no address.
    ServerAddress,
    /// The server does not answer any more.
    ServerSilent,
    /// The session ended before it was complete.
    SessionEnded,
    /// What the server sent cannot be read or used.
    ServerUnreadable,
    /// This device's store was restored from a backup or copied.
    DeviceRestored,
    /// The server was restored from a backup so old that this device no longer has all that is missing there.
    ServerRestored,

    /// The text is no invitation, or was not copied whole.
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
    /// The server does not speak this version.
    VersionRefused,
    /// The server has a passing trouble.
    ServerUnavailable,
    /// The server refused for another reason.
    ServerRefused,
}
