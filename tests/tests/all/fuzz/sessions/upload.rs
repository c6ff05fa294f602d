//! The sending of a picture, to a server that says what it likes of it.

use xundian_protocol::ids::ContentHash;
use xundian_protocol::limits::{PHOTO_PIECE_BYTES_MAX, PHOTO_PIECES_IN_FLIGHT_MAX};
use xundian_protocol::sync::upload::{Outcome, Step, Upload};
use xundian_protocol::wire::v1::{ClientFrame, Declined, Refusal, ServerFrame, UploadStatus};

use super::super::random::Random;
use super::frames::Pool;

/// Pieces of the largest picture here.
const PIECES_MAX: usize = 7;
/// Frames that one upload is told.
const FRAMES_MAX: usize = 80;
/// Polls from a frame to the next wait: a full pipeline is read and sent, after an offer and a hash.
const POLLS_MAX: usize = 2 * PHOTO_PIECES_IN_FLIGHT_MAX + 8;
/// How often all of a picture may be sent to a server that does not come to hold it.
const TIMES_MAX: u64 = 5;

/// One upload. Returns how many frames were taken.
pub(super) fn run(pool: &Pool, random: &mut Random) -> u64 {
    let size = 1 + random.below(PIECES_MAX * PHOTO_PIECE_BYTES_MAX);
    let picture: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
    let hash = ContentHash::of(&picture);
    let mut upload = Upload::new(hash, size as u64);
    let (mut held, mut sent, mut taken) = (0, 0, 0);
    // Whether the server has said that it holds all.
    let mut is_whole = false;
    for _ in 0..FRAMES_MAX {
        if random.below(40) == 0 {
            upload.pause();
        }
        let outcome = work(&mut upload, &picture, &mut sent, &mut held);
        assert!(sent <= TIMES_MAX * size as u64, "{sent} bytes of {size}");
        assert!(upload.held_bytes() <= size as u64);
        if let Some(outcome) = outcome {
            assert!(outcome != Outcome::Stored || is_whole, "the server never said so");
            assert_eq!(upload.poll(), Step::Done(outcome), "done is done");
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

/// Does what the upload asks for until it waits or ends.
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
    panic!("it does not come to wait: {upload:?}");
}

/// What a server says next: mostly what it holds, else something near it, or anything.
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
