//! An upload against a small server, over a connection that breaks, with bytes that are corrupted.

use super::*;
use crate::ids::ContentHasher;
use proptest::prelude::*;

/// What a server does with offers and pieces.
#[derive(Default)]
struct Server {
    held: Vec<u8>,
    is_stored: bool,
}

impl Server {
    fn answer(&mut self, frame: ClientFrame, whole: (ContentHash, u64)) -> ServerFrame {
        if let ClientFrame::Piece(piece) = frame
            && !self.is_stored
            && piece.from <= self.held.len() as u64
        {
            self.held.truncate(piece.from as usize);
            self.held.extend(piece.bytes);
            if self.held.len() as u64 == whole.1 {
                self.is_stored = ContentHash::of(&self.held) == whole.0;
                if !self.is_stored {
                    self.held.clear();
                }
            }
        }
        let mut front = ContentHasher::default();
        front.update(&self.held);
        ServerFrame::UploadStatus(UploadStatus {
            hash: whole.0,
            bytes: self.held.len() as u64,
            front: front.hash(),
        })
    }
}

/// Runs an upload until it ends or this many payload bytes were sent. Pieces wait at the server until nothing more can
/// be sent, as on a slow link. Returns the outcome and the number of bytes sent.
fn run(picture: &[u8], server: &mut Server, cut_after: u64, lost: usize) -> (Option<Outcome>, u64) {
    let whole = (ContentHash::of(picture), picture.len() as u64);
    let mut upload = Upload::new(whole.0, whole.1);
    let mut on_the_way = VecDeque::new();
    let mut sent = 0;
    loop {
        match upload.poll() {
            Step::Send(frame) => {
                if let ClientFrame::Piece(piece) = &frame {
                    assert!(piece.bytes.len() <= PHOTO_PIECE_BYTES_MAX);
                    sent += piece.bytes.len() as u64;
                }
                on_the_way.push_back(frame);
                assert!(on_the_way.len() <= PHOTO_PIECES_IN_FLIGHT_MAX);
                if sent > cut_after {
                    // The last pieces in flight are lost.
                    on_the_way.truncate(on_the_way.len().saturating_sub(lost));
                    on_the_way.into_iter().for_each(|frame| drop(server.answer(frame, whole)));
                    return (None, sent);
                }
            }
            Step::HashFront(bytes) => upload.front(ContentHash::of(&picture[..bytes as usize])),
            Step::Read { from, bytes } => {
                upload.piece(picture[from as usize..from as usize + bytes].to_vec())
            }
            Step::Wait => {
                let frame = on_the_way.pop_front().expect("an upload waits only after it has sent something");
                upload.handle(server.answer(frame, whole)).expect("a server that keeps to the protocol");
            }
            Step::Done(outcome) => return (Some(outcome), sent),
        }
    }
}

fn picture(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

proptest! {
    #[test]
    fn a_disconnect_costs_only_the_pieces_in_flight(
        bytes in 1..400_000usize,
        cuts in prop::collection::vec((0..200_000u64, 0..=PHOTO_PIECES_IN_FLIGHT_MAX), 0..6),
    ) {
        let picture = picture(bytes);
        let mut server = Server::default();
        let mut sent = 0;
        let mut broken = 0;
        for (cut_after, lost) in cuts {
            let (outcome, now) = run(&picture, &mut server, cut_after, lost);
            sent += now;
            broken += u64::from(outcome.is_none());
        }
        let (outcome, now) = run(&picture, &mut server, u64::MAX, 0);
        prop_assert_eq!(outcome, Some(Outcome::Stored));
        prop_assert_eq!(&server.held, &picture);
        prop_assert!(sent + now <= bytes as u64 + broken * 64 * 1024);
    }

    #[test]
    fn a_byte_that_is_corrupted_at_the_server_is_found_and_repaired(
        bytes in 100_000..400_000usize, at in 0..40_000usize, bit in 0..8u8,
    ) {
        let picture = picture(bytes);
        let mut server = Server::default();
        run(&picture, &mut server, 90_000, 1);
        let flipped = at % server.held.len();
        server.held[flipped] ^= 1 << bit;
        let (outcome, sent) = run(&picture, &mut server, u64::MAX, 0);
        prop_assert_eq!(outcome, Some(Outcome::Stored));
        prop_assert_eq!(sent, bytes as u64, "all bytes are sent again");
        prop_assert_eq!(server.held, picture);
    }
}

#[test]
fn what_the_server_holds_is_not_sent() {
    let picture = picture(50_000);
    let mut server = Server { held: picture.clone(), is_stored: true };
    assert_eq!(run(&picture, &mut server, u64::MAX, 0), (Some(Outcome::Stored), 0));
}

#[test]
fn an_upload_gives_up_if_the_server_never_keeps_the_picture() {
    let whole = (ContentHash::of(b"picture"), 7);
    let mut upload = Upload::new(whole.0, whole.1);
    let mut offers = 0;
    let outcome = loop {
        match upload.poll() {
            Step::Send(ClientFrame::Offer(_)) => offers += 1,
            Step::Send(_) | Step::HashFront(_) => {}
            Step::Read { bytes, .. } => upload.piece(vec![0; bytes]),
            Step::Wait => {
                let nothing = UploadStatus { hash: whole.0, bytes: 0, front: ContentHash::of(b"") };
                upload.handle(ServerFrame::UploadStatus(nothing)).expect("an allowed frame");
            }
            Step::Done(outcome) => break outcome,
        }
    };
    assert_eq!((outcome, offers), (Outcome::NotKept, 1 + ROUNDS_MAX));
}

#[test]
fn a_pause_ends_the_upload_once_no_piece_is_in_flight() {
    let picture = picture(100_000);
    let whole = (ContentHash::of(&picture), picture.len() as u64);
    let mut server = Server::default();
    let mut upload = Upload::new(whole.0, whole.1);
    let mut on_the_way = VecDeque::new();
    loop {
        match upload.poll() {
            Step::Send(frame) => on_the_way.push_back(frame),
            Step::Read { from, bytes } => {
                upload.piece(picture[from as usize..from as usize + bytes].to_vec());
                upload.pause();
            }
            Step::Wait => {
                let frame = on_the_way.pop_front().expect("something was sent");
                upload.handle(server.answer(frame, whole)).expect("an allowed frame");
            }
            Step::HashFront(_) => unreachable!("the server holds nothing yet"),
            Step::Done(outcome) => break assert_eq!(outcome, Outcome::Paused),
        }
    }
    assert!(on_the_way.is_empty());
    assert_eq!(upload.held_bytes(), PHOTO_PIECE_BYTES_MAX as u64);
}

#[test]
fn the_next_picture_uses_the_stream_after_one_was_declined() {
    let (first, second) = (ContentHash::of(b"1"), ContentHash::of(b"2"));
    let mut upload = Upload::new(first, 1);
    assert!(matches!(upload.poll(), Step::Send(_)));
    let declined = Declined { hash: first, why: Refusal::Unnamed, message: "no record names it".into() };
    upload.handle(ServerFrame::Declined(declined.clone())).expect("an allowed frame");
    assert!(matches!(upload.poll(), Step::Done(Outcome::Declined { why: Refusal::Unnamed, .. })));
    let mut upload = Upload::new(second, 1);
    assert!(matches!(upload.poll(), Step::Send(_)));
    upload.handle(ServerFrame::Declined(declined)).expect("a late answer for the first picture is ignored");
    assert_eq!(upload.poll(), Step::Wait);
    assert!(upload.handle(ServerFrame::Pulled(crate::ids::FeedSeq(1))).is_err());
}
