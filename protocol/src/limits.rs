//! Every bound of the system, in one place, checked against each other when the crate is compiled.
//! A bound is enforced before memory is taken for what it bounds.

/// A frame's payload on the wire, compressed.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A frame's payload after decompression.
pub const FRAME_PLAIN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a decoder may take for one frame, counted by bincode over all it reads.
pub const DECODE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Ops in one push frame.
pub const BATCH_OPS_MAX: usize = 4096;
/// Plain bytes of ops that a device puts into one push frame; one op more may go over it.
pub const BATCH_PLAIN_BYTES_TARGET: usize = 2 * 1024 * 1024;
/// Push frames that a device sends ahead of their receipts.
pub const PUSH_FRAMES_IN_FLIGHT_MAX: usize = 4;
/// Records in one frame of changes.
pub const CHANGES_RECORDS_MAX: usize = 4096;
/// Plain bytes of records that the server puts into one frame of changes.
pub const CHANGES_PLAIN_BYTES_TARGET: usize = 2 * 1024 * 1024;

/// Fields written by one op, and fields of one record.
pub const RECORD_FIELDS_MAX: usize = 8192;
/// A text value, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// A value of raw bytes.
pub const BYTES_VALUE_MAX: usize = 8 * 1024;
/// A text that keys a line of a map, in bytes of UTF-8.
pub const KEY_TEXT_BYTES_MAX: usize = 128;
/// Fields of all rows of one frame together, which bounds the memory that a small frame can ask for.
pub const FRAME_FIELDS_MAX: usize = 500_000;
/// One op as stored or sent.
pub const OP_BYTES_MAX: usize = 512 * 1024;

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

/// Unsent ops that a device holds; a save beyond it is refused with a clear error.
pub const OUTBOX_OPS_MAX: u64 = 1_000_000;
/// How far ahead of the server a stamp may be before it is taken as the time of receipt.
pub const CLOCK_AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

const _: () = assert!(RECORD_FIELDS_MAX <= FRAME_FIELDS_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= FRAME_PLAIN_BYTES_MAX);
const _: () = assert!(FRAME_PLAIN_BYTES_MAX <= DECODE_BYTES_MAX);
const _: () = assert!(BATCH_PLAIN_BYTES_TARGET + OP_BYTES_MAX <= FRAME_PLAIN_BYTES_MAX);
const _: () = assert!(CHANGES_PLAIN_BYTES_TARGET + RECORD_FIELDS_MAX * 64 <= FRAME_PLAIN_BYTES_MAX);
const _: () = assert!(TEXT_BYTES_MAX <= OP_BYTES_MAX && BYTES_VALUE_MAX <= OP_BYTES_MAX);
const _: () = assert!(KEY_TEXT_BYTES_MAX <= TEXT_BYTES_MAX);
