//! Every bound of the system, in one place, checked against each other at compile time. A bound is enforced before the
//! memory for what it bounds is allocated.

/// A frame's payload on the wire, compressed.
pub const FRAME_BYTES_MAX: usize = 5 * 1024 * 1024;
/// A frame's payload after decompression.
pub const FRAME_PLAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The memory that a decoder may allocate for one frame, as bincode counts it.
pub const DECODE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The size up to which a value counts as small.
pub const SMALL_BYTES_MAX: usize = 64 * 1024;
/// The memory that a decoder may allocate for a small value, so that a few bytes cannot claim megabytes.
pub const SMALL_DECODE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Ops in one push frame.
pub const BATCH_OPS_MAX: usize = 4096;
/// The target size of one push frame, in plain bytes of ops. One more op may exceed it.
pub const BATCH_PLAIN_BYTES_TARGET: usize = 512 * 1024;
/// The target size of the first push frame when many ops are waiting. It is small, so that the server works on it while
/// the device prepares the next frame.
pub const BATCH_FIRST_PLAIN_BYTES_TARGET: usize = 64 * 1024;
/// The number of ops from which the outbox counts as long. Fewer ops, a few days' work, go in one frame, because each
/// frame is a commit at the server.
pub const BATCH_MANY_OPS: u64 = 1024;
/// Push frames that a device sends before their receipts arrive.
pub const PUSH_FRAMES_IN_FLIGHT_MAX: usize = 4;
/// The bytes of conflict records that the ops of one push may cause, by [`FIELD_BYTES`]. One more op may exceed it. The
/// rest of the push is sent again, so that neither a commit nor a frame grows with the number of concurrent writes.
pub const BATCH_CONFLICT_BYTES_TARGET: usize = 1024 * 1024;
/// Records in one frame of changes.
pub const CHANGES_RECORDS_MAX: usize = 4096;
/// The target size of one frame of changes, in plain bytes of records.
pub const CHANGES_PLAIN_BYTES_TARGET: usize = 2 * 1024 * 1024;

/// Homes whose digests a device sends in one frame. A device with more homes does not reconcile.
pub const RECONCILE_HOMES_MAX: usize = 100_000;
/// Records of a home whose digests a device sends in one reconciliation frame. The answer has room for the largest
/// record and all removed keys.
pub const RECONCILE_RECORDS_MAX: usize = 4096;

/// Fields written by one op, and fields of one record.
pub const RECORD_FIELDS_MAX: usize = 8192;
/// The largest absolute quantity of any unit. A million of them can still be summed in a cell.
pub const QUANTITY_MAX: i64 = 1_000_000_000_000;
/// A text value, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// A value of raw bytes.
pub const BYTES_VALUE_MAX: usize = 8 * 1024;
/// A text that keys a line of a map, in bytes of UTF-8.
pub const KEY_TEXT_BYTES_MAX: usize = 128;
/// Fields of all rows of one frame together. It bounds the memory that a small frame can claim.
pub const FRAME_FIELDS_MAX: usize = 300_000;
/// The fewest bytes that a field counts for when a frame is filled; see [`bytes_in_frame`].
pub const FIELD_BYTES_MIN: usize = 8;
/// Columns of one frame, one for each field of a kind.
pub const FRAME_COLUMNS_MAX: usize = 8192;
/// Bytes of texts and ids in the line keys of one frame. Lines that share keys on the wire each get a copy.
pub const FRAME_KEY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most bytes of a field, as stored or sent, without its text, bytes and ids.
pub const FIELD_BYTES: usize = 48;
/// The most bytes of an op, by [`FIELD_BYTES`].
pub const OP_BYTES_MAX: usize = 512 * 1024;
/// The most bytes of a record, by [`FIELD_BYTES`], however many ops have added to it. It must fit into one frame.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Homes in one device's scope.
pub const SCOPE_HOMES_MAX: usize = 200_000;
/// Rejections in one receipt.
pub const RECEIPT_REJECTIONS_MAX: usize = BATCH_OPS_MAX;
/// Rows in one figure response.
pub const FIGURE_ROWS_MAX: usize = 100_000;
/// A certificate or a request for one, in DER.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// A message for people inside a frame, in bytes of UTF-8.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// A photo's picture.
pub const PHOTO_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A piece of a picture, as it is sent.
pub const PHOTO_PIECE_BYTES_MAX: usize = 16 * 1024;
/// Pieces of a picture that a device sends before they are acknowledged. Pieces in flight are sent again after a
/// disconnect, so this bounds the cost of one.
pub const PHOTO_PIECES_IN_FLIGHT_MAX: usize = 4;
/// Pictures on a device that the server does not have. One more is refused with a clear error.
pub const PHOTOS_UNSENT_MAX: u64 = 1000;
/// The bytes of these pictures. Waiting pictures must not fill up a phone.
pub const PHOTOS_UNSENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Pictures that the server has and a device keeps for display. The oldest are removed first.
pub const PHOTOS_KEPT_MAX: u64 = 2000;
/// The bytes of these pictures.
pub const PHOTOS_KEPT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Unsent ops on a device. One more save is refused with a clear error.
pub const OUTBOX_OPS_MAX: u64 = 1_000_000;
/// The number of days for which work is still accepted after its author has lost the right. The device states the day
/// of the work, so without this bound a person who has left could go on for ever by stating an old day.
pub const LATE_WORK_DAYS_MAX: i32 = 90;
/// How far a stamp may be ahead of the server's clock before it is replaced by the time of receipt.
pub const CLOCK_AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// The bytes that an op or a record counts for when a frame is filled up to [`BATCH_PLAIN_BYTES_TARGET`] or
/// [`CHANGES_PLAIN_BYTES_TARGET`]. Without a minimum for each field, fields of one byte would exceed
/// [`FRAME_FIELDS_MAX`] long before the target is reached.
pub const fn bytes_in_frame(stored_bytes: usize, fields: usize) -> usize {
    let by_fields = fields.saturating_mul(FIELD_BYTES_MIN);
    if by_fields > stored_bytes { by_fields } else { stored_bytes }
}

const _: () = assert!(RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= FRAME_PLAIN_BYTES_MAX);
const _: () = assert!(FRAME_PLAIN_BYTES_MAX <= DECODE_BYTES_MAX);
const _: () =
    assert!(SMALL_BYTES_MAX <= SMALL_DECODE_BYTES_MAX && SMALL_DECODE_BYTES_MAX <= DECODE_BYTES_MAX);
const _: () = assert!(BATCH_FIRST_PLAIN_BYTES_TARGET <= BATCH_PLAIN_BYTES_TARGET);
// A batch that is filled up to its target fits into a frame, even if it does not compress at all.
const _: () = assert!(BATCH_PLAIN_BYTES_TARGET + OP_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(CHANGES_PLAIN_BYTES_TARGET + RECORD_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(BATCH_PLAIN_BYTES_TARGET / FIELD_BYTES_MIN + RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
const _: () = assert!(CHANGES_PLAIN_BYTES_TARGET / FIELD_BYTES_MIN + RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
// A pull with the position of every home of the largest scope fits into one frame: 17 bytes and 9 for each home, random
// and incompressible.
const _: () = assert!(SCOPE_HOMES_MAX * 26 + 1024 <= FRAME_BYTES_MAX);
// A reconciliation frame has 33 incompressible bytes for each home.
const _: () = assert!(
    RECONCILE_HOMES_MAX * (17 + 16) + 1024 <= FRAME_BYTES_MAX && RECONCILE_HOMES_MAX <= SCOPE_HOMES_MAX
);
const _: () =
    assert!(CHANGES_PLAIN_BYTES_TARGET + RECORD_BYTES_MAX + RECONCILE_RECORDS_MAX * 19 <= FRAME_BYTES_MAX);
const _: () = assert!(RECORD_FIELDS_MAX * FIELD_BYTES <= OP_BYTES_MAX && OP_BYTES_MAX <= RECORD_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX <= OP_BYTES_MAX && BYTES_VALUE_MAX <= OP_BYTES_MAX);
const _: () = assert!(KEY_TEXT_BYTES_MAX <= TEXT_BYTES_MAX);
// A conflict record holds two values of one field, of any size, and about thirty small fields.
const _: () = assert!(
    2 * (TEXT_BYTES_MAX + KEY_TEXT_BYTES_MAX) + 64 * FIELD_BYTES + TEXT_BYTES_MAX <= RECORD_BYTES_MAX
);
// A piece is a small frame, which the server decodes with little memory.
const _: () = assert!(PHOTO_PIECE_BYTES_MAX + 64 <= SMALL_BYTES_MAX);
const _: () = assert!(PHOTO_PIECE_BYTES_MAX * PHOTO_PIECES_IN_FLIGHT_MAX <= 64 * 1024);
const _: () = assert!(PHOTO_BYTES_MAX <= PHOTOS_UNSENT_BYTES_MAX && PHOTO_BYTES_MAX <= PHOTOS_KEPT_BYTES_MAX);
