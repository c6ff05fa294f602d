//! The upload of a picture to a server that may send anything.

use xundian_protocol::ids::ContentHash;
use xundian_protocol::limits::{PHOTO_PIECE_BYTES_MAX, PHOTO_PIECES_IN_FLIGHT_MAX};
use xundian_protocol::sync::upload::{Outcome, Step, Upload};
use xundian_protocol::wire::v1::{ClientFrame, Declined, Refusal, ServerFrame, UploadStatus};

use super::super::random::Random;
use super::frames::Pool;

/// The largest number of pieces in a picture.
const PIECES_MAX: usize = 7;
/// The number of frames that an upload receives.
const FRAMES_MAX: usize = 80;
/// The number of polls within which an upload must wait: reads and sends of a full pipeline, an offer and a hash.
const POLLS_MAX: usize = 2 * PHOTO_PIECES_IN_FLIGHT_MAX + 8;
/// How often a whole picture may be sent to a server that never stores it.
const TIMES_MAX: u64 = 5;

/// Runs one upload. Returns how many frames were taken.
pub(super) fn run(pool: &Pool, random: &mut Random) -> u64 {
    let size = 1 + random.below(PIECES_MAX * PHOTO_PIECE_BYTES_MAX);
    let picture: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
    let hash = ContentHash::of(&picture);
    let mut upload = Upload::new(hash, size as u64);
    let (mut held, mut sent, mut taken) = (0, 0, 0);
    // Whether the server has reported that it holds the whole picture.
    let mut is_whole = false;
    for _ in 0..FRAMES_MAX {
        if random.below(40) == 0 {
            upload.pause();
        }
        let outcome = work(&mut upload, &picture, &mut sent, &mut held);
        assert!(sent <= TIMES_MAX * size as u64, "{sent} bytes of {size}");
        assert!(upload.held_bytes() <= size as u64);
        if let Some(outcome) = outcome {
            assert!(outcome != Outcome::Stored || is_whole, "the server never reported the whole picture");
            assert_eq!(upload.poll(), Step::Done(outcome), "a finished upload stays finished");
            break;
        }
        let Some(frame) = answer(&picture, hash, held, pool, random) else { continue };
        taken += 1;
        is_whole |= matches!(&frame, ServerFrame::UploadStatus(said) if said.hash == hash && said.front == hash && said.bytes == size as u64);
        if upload.handle(frame).is_err() {
            break;
        }
    }
    taken
}

/// Does what the upload asks for until it waits or ends. Returns the outcome if it has ended.
fn work(upload: &mut Upload, picture: &[u8], sent: &mut u64, held: &mut usize) -> Option<Outcome> {
    for _ in 0..POLLS_MAX {
        match upload.poll() {
            Step::Wait => return None,
            Step::Done(outcome) => return Some(outcome),
            Step::HashFront(bytes) => {
                let bytes = usize::try_from(bytes).expect("a part of the picture");
                upload.front(ContentHash::of(&picture[..bytes]));
            }
            Step::Read { from, bytes } => {
                let from = usize::try_from(from).expect("a place in the picture");
                assert!(bytes > 0 && bytes <= PHOTO_PIECE_BYTES_MAX);
                upload.piece(picture[from..from + bytes].to_vec());
            }
            Step::Send(ClientFrame::Piece(piece)) => {
                *sent += piece.bytes.len() as u64;
                *held = usize::try_from(piece.from).expect("a place in the picture") + piece.bytes.len();
            }
            Step::Send(_) => {}
        }
    }
    panic!("it does not wait: {upload:?}");
}

/// Returns the server's next frame: usually what it holds, sometimes an approximation, or anything else.
fn answer(
    picture: &[u8],
    hash: ContentHash,
    held: usize,
    pool: &Pool,
    random: &mut Random,
) -> Option<ServerFrame> {
    let bytes = match random.below(32) {
        0 => random.below(picture.len() + 2),
        1 => picture.len(),
        2..=5 => held.saturating_sub(random.below(2 * PHOTO_PIECE_BYTES_MAX)),
        _ => held,
    };
    let front = match random.below(8) {
        0 => ContentHash([9; 32]),
        _ => ContentHash::of(&picture[..bytes.min(picture.len())]),
    };
    match random.below(64) {
        0 => pool.server(None, random),
        1 => Some(ServerFrame::Declined(Declined { hash, why: Refusal::Unnamed, message: String::new() })),
        2 => Some(ServerFrame::UploadStatus(UploadStatus {
            hash: ContentHash([8; 32]),
            bytes: bytes as u64,
            front,
        })),
        _ => Some(ServerFrame::UploadStatus(UploadStatus { hash, bytes: bytes as u64, front })),
    }
}
