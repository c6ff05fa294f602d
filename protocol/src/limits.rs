//! Every bound of the system, in one place, checked against each other when the crate is compiled.
//! A bound is enforced before memory is taken for what it bounds.

/// A frame's payload on the wire, compressed.
pub const FRAME_BYTES_MAX: usize = 5 * 1024 * 1024;
/// A frame's payload after decompression.
pub const FRAME_PLAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a decoder may take for one frame, counted by bincode over all it reads.
pub const DECODE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Up to so many bytes a value is small.
pub const SMALL_BYTES_MAX: usize = 64 * 1024;
/// What a decoder may take for a small value, so that a few bytes cannot ask for megabytes.
pub const SMALL_DECODE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Ops in one push frame.
pub const BATCH_OPS_MAX: usize = 4096;
/// Plain bytes of ops that a device puts into one push frame; one op more may go over it.
pub const BATCH_PLAIN_BYTES_TARGET: usize = 512 * 1024;
/// The same for a push frame before which the server has nothing to do, where many ops wait: it works on a
/// small one while the device makes the next.
pub const BATCH_FIRST_PLAIN_BYTES_TARGET: usize = 64 * 1024;
/// So many ops are many. A few days' work goes in one frame: each frame is a commit of its own at the server.
pub const BATCH_MANY_OPS: u64 = 1024;
/// Push frames that a device sends ahead of their receipts.
pub const PUSH_FRAMES_IN_FLIGHT_MAX: usize = 4;
/// Bytes of conflict records that the ops of one push may make, by [`FIELD_BYTES`]; one op more may go over it.
/// What is left of the push is sent again, so that neither a commit nor a frame grows with what many have
/// written at once.
pub const BATCH_CONFLICT_BYTES_TARGET: usize = 1024 * 1024;
/// Records in one frame of changes.
pub const CHANGES_RECORDS_MAX: usize = 4096;
/// Plain bytes of records that the server puts into one frame of changes.
pub const CHANGES_PLAIN_BYTES_TARGET: usize = 2 * 1024 * 1024;

/// Homes that a device tells digests of in one frame; one that holds more makes no check.
pub const RECONCILE_HOMES_MAX: usize = 100_000;
/// Records of a home that a device tells one by one in one frame of a check. So the largest record and the most keys
/// that are gone fit into the answer.
pub const RECONCILE_RECORDS_MAX: usize = 4096;

/// Fields written by one op, and fields of one record.
pub const RECORD_FIELDS_MAX: usize = 8192;
/// A quantity, in whatever unit, above and below zero: a million of the largest still add up in a cell.
pub const QUANTITY_MAX: i64 = 1_000_000_000_000;
/// A text value, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// A value of raw bytes.
pub const BYTES_VALUE_MAX: usize = 8 * 1024;
/// A text that keys a line of a map, in bytes of UTF-8.
pub const KEY_TEXT_BYTES_MAX: usize = 128;
/// Fields of all rows of one frame together, which bounds the memory that a small frame can ask for.
pub const FRAME_FIELDS_MAX: usize = 300_000;
/// The fewest bytes that a field counts for when a frame is filled: [`bytes_in_frame`].
pub const FIELD_BYTES_MIN: usize = 8;
/// Columns of one frame: one a field of a kind.
pub const FRAME_COLUMNS_MAX: usize = 8192;
/// Texts and ids in the keys of all lines of one frame: lines that share keys on the wire each get a copy.
pub const FRAME_KEY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most bytes of a field, as stored or sent, besides its text, bytes and ids.
pub const FIELD_BYTES: usize = 48;
/// One op, by [`FIELD_BYTES`].
pub const OP_BYTES_MAX: usize = 512 * 1024;
/// One record, by [`FIELD_BYTES`], whatever many ops have added to it: it must fit into one frame.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Homes in one device's scope.
pub const SCOPE_HOMES_MAX: usize = 200_000;
/// Rejections in one receipt.
pub const RECEIPT_REJECTIONS_MAX: usize = BATCH_OPS_MAX;
/// Rows in one answer to a question for figures.
pub const FIGURE_ROWS_MAX: usize = 100_000;
/// A certificate or a request for one, in DER.
pub const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// A message for people inside a frame, in bytes of UTF-8.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// A photo's picture.
pub const PHOTO_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A piece of a photo, as it is sent.
pub const PHOTO_PIECE_BYTES_MAX: usize = 16 * 1024;
/// Pieces of a photo that a device sends ahead of the server's word. What is on its way when a connection breaks
/// is sent again, so both together are what a cut costs at most.
pub const PHOTO_PIECES_IN_FLIGHT_MAX: usize = 4;
/// Pictures that a device holds and the server does not; one more is refused with a clear error.
pub const PHOTOS_UNSENT_MAX: u64 = 1000;
/// Their bytes: a phone must not be filled up by what waits.
pub const PHOTOS_UNSENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Pictures that the server has and a device keeps to show them, oldest ones leaving first.
pub const PHOTOS_KEPT_MAX: u64 = 2000;
/// Their bytes.
pub const PHOTOS_KEPT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Unsent ops that a device holds; a save beyond it is refused with a clear error.
pub const OUTBOX_OPS_MAX: u64 = 1_000_000;
/// For so many days after somebody lost a right, the work done before is still taken. The day of the work is what
/// the device says, so that without this bound who has left could go on for ever by naming an old day.
pub const LATE_WORK_DAYS_MAX: i32 = 90;
/// How far ahead of the server a stamp may be before it is taken as the time of receipt.
pub const CLOCK_AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// What an op or a record of so many stored bytes and so many fields counts for when a frame is filled up
/// to [`BATCH_PLAIN_BYTES_TARGET`] or [`CHANGES_PLAIN_BYTES_TARGET`]. Fields of one byte each would
/// otherwise pass [`FRAME_FIELDS_MAX`] long before the bytes are many.
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
// What is filled up to its target fits into a frame, even where it does not compress at all.
const _: () = assert!(BATCH_PLAIN_BYTES_TARGET + OP_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(CHANGES_PLAIN_BYTES_TARGET + RECORD_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(BATCH_PLAIN_BYTES_TARGET / FIELD_BYTES_MIN + RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
const _: () = assert!(CHANGES_PLAIN_BYTES_TARGET / FIELD_BYTES_MIN + RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
// A pull that names every home of the largest scope with its place is one frame: 17 bytes and 9 for each,
// random ones, which do not compress.
const _: () = assert!(SCOPE_HOMES_MAX * 26 + 1024 <= FRAME_BYTES_MAX);
// A check names every home with its digest: 33 bytes, which do not compress.
const _: () = assert!(
    RECONCILE_HOMES_MAX * (17 + 16) + 1024 <= FRAME_BYTES_MAX && RECONCILE_HOMES_MAX <= SCOPE_HOMES_MAX
);
const _: () =
    assert!(CHANGES_PLAIN_BYTES_TARGET + RECORD_BYTES_MAX + RECONCILE_RECORDS_MAX * 19 <= FRAME_BYTES_MAX);
const _: () = assert!(RECORD_FIELDS_MAX * FIELD_BYTES <= OP_BYTES_MAX && OP_BYTES_MAX <= RECORD_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX <= OP_BYTES_MAX && BYTES_VALUE_MAX <= OP_BYTES_MAX);
const _: () = assert!(KEY_TEXT_BYTES_MAX <= TEXT_BYTES_MAX);
// A conflict record holds two values of one field, whatever they are, and some thirty small fields.
const _: () = assert!(
    2 * (TEXT_BYTES_MAX + KEY_TEXT_BYTES_MAX) + 64 * FIELD_BYTES + TEXT_BYTES_MAX <= RECORD_BYTES_MAX
);
// A piece is a small frame, which the server decodes with little memory.
const _: () = assert!(PHOTO_PIECE_BYTES_MAX + 64 <= SMALL_BYTES_MAX);
const _: () = assert!(PHOTO_PIECE_BYTES_MAX * PHOTO_PIECES_IN_FLIGHT_MAX <= 64 * 1024);
const _: () = assert!(PHOTO_BYTES_MAX <= PHOTOS_UNSENT_BYTES_MAX && PHOTO_BYTES_MAX <= PHOTOS_KEPT_BYTES_MAX);
