//! The device's end of a picture upload: offers the picture, and sends the missing bytes in pieces.
//!
//! Calling order: [`Upload::new`], then [`Upload::poll`] until it returns [`Step::Wait`]. For each frame that arrives
//! call [`Upload::handle`], then poll again. A step that asks for something names the method that answers it before the
//! next poll. Several pictures may follow each other in one stream.
//!
//! An upload may end at any moment; the next one continues from what the server holds. At most
//! [`PHOTO_PIECES_IN_FLIGHT_MAX`] pieces are in flight at a time, which bounds the cost of a disconnect.

#[cfg(test)]
mod tests;

use super::SessionError;
use crate::ids::ContentHash;
use crate::limits::{PHOTO_PIECE_BYTES_MAX, PHOTO_PIECES_IN_FLIGHT_MAX};
use crate::wire::v1::{ClientFrame, Declined, Offer, Piece, Refusal, ServerFrame, UploadStatus};
use std::collections::VecDeque;

/// How many times an upload starts again if the server does not hold what was sent.
const ROUNDS_MAX: u32 = 3;

/// What the driver must do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ClientFrame),
    /// Hash this many bytes from the start of the picture and pass the hash to [`Upload::front`].
    HashFront(u64),
    /// Read these bytes of the picture and pass all of them to [`Upload::piece`].
    Read {
        /// The offset of the first byte.
        from: u64,
        /// The number of bytes.
        bytes: usize,
    },
    /// Wait for a frame.
    Wait,
    /// The upload has ended, and no piece is in flight.
    Done(Outcome),
}

/// How an upload ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The server holds the complete picture, verified and durable.
    Stored,
    /// [`Upload::pause`] ended it.
    Paused,
    /// The server does not accept the picture.
    Declined {
        /// Why.
        why: Refusal,
        /// The reason, as text for people.
        message: String,
    },
    /// The bytes were sent several times, and the server never held them.
    NotKept,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Offering,
    Offered,
    Checking(UploadStatus),
    Sending,
    Done(Outcome),
}

/// The upload of one picture.
#[derive(Clone, Debug)]
pub struct Upload {
    hash: ContentHash,
    bytes: u64,
    phase: Phase,
    /// A piece that was read and is to be sent.
    frame: Option<ClientFrame>,
    /// The bytes that the server will hold after each piece in flight.
    in_flight: VecDeque<u64>,
    next: u64,
    held: u64,
    paused: bool,
    /// Whether the server did not hold what was sent, so that the picture is offered again.
    again: bool,
    rounds: u32,
}

impl Upload {
    /// An upload of a picture, which is not empty.
    pub const fn new(hash: ContentHash, bytes: u64) -> Self {
        Self {
            hash,
            bytes,
            phase: Phase::Offering,
            frame: None,
            in_flight: VecDeque::new(),
            next: 0,
            held: 0,
            paused: false,
            again: false,
            rounds: 0,
        }
    }

    /// The number of bytes that the server is known to hold.
    pub const fn held_bytes(&self) -> u64 {
        self.held
    }

    /// Stops sending: the upload ends as soon as no piece is in flight.
    pub const fn pause(&mut self) {
        self.paused = true;
    }

    /// Returns the next step.
    pub fn poll(&mut self) -> Step {
        if let Some(frame) = self.frame.take() {
            return Step::Send(frame);
        }
        if self.paused && self.is_idle() {
            self.phase = Phase::Done(Outcome::Paused);
        }
        match &self.phase {
            Phase::Offering => {
                self.phase = Phase::Offered;
                Step::Send(ClientFrame::Offer(Offer { hash: self.hash, bytes: self.bytes }))
            }
            Phase::Checking(held) => Step::HashFront(held.bytes),
            Phase::Sending => self.send(),
            Phase::Offered => Step::Wait,
            Phase::Done(outcome) => Step::Done(outcome.clone()),
        }
    }

    /// Whether no piece is in flight and the upload is undecided.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
            && matches!(self.phase, Phase::Offering | Phase::Checking(_) | Phase::Sending)
    }

    fn send(&mut self) -> Step {
        let room = self.in_flight.len() < PHOTO_PIECES_IN_FLIGHT_MAX;
        if room && !self.paused && !self.again && self.next < self.bytes {
            let left = usize::try_from(self.bytes - self.next).unwrap_or(usize::MAX);
            return Step::Read { from: self.next, bytes: left.min(PHOTO_PIECE_BYTES_MAX) };
        }
        if !self.in_flight.is_empty() {
            return Step::Wait;
        }
        self.rounds += 1;
        self.again = false;
        self.phase = if self.rounds > ROUNDS_MAX { Phase::Done(Outcome::NotKept) } else { Phase::Offering };
        self.poll()
    }

    /// Answers [`Step::Read`].
    pub fn piece(&mut self, bytes: Vec<u8>) {
        let from = self.next;
        self.next += bytes.len() as u64;
        self.in_flight.push_back(self.next);
        self.frame = Some(ClientFrame::Piece(Piece { hash: self.hash, from, bytes }));
    }

    /// Answers [`Step::HashFront`]. If the server's bytes are not the picture's, all bytes are sent again.
    pub fn front(&mut self, front: ContentHash) {
        let Phase::Checking(held) = &self.phase else { return };
        self.held = if held.front == front { held.bytes } else { 0 };
        self.next = self.held;
        self.phase = Phase::Sending;
    }

    /// Handles a frame of the server.
    ///
    /// # Errors
    /// Returns an error if the frame is not allowed here, or ends the session.
    pub fn handle(&mut self, frame: ServerFrame) -> Result<(), SessionError> {
        match frame {
            ServerFrame::Refused(refused) => return Err(SessionError::Refused(refused)),
            ServerFrame::UploadStatus(held) if held.hash == self.hash => self.held(held)?,
            ServerFrame::Declined(Declined { hash, why, message }) if hash == self.hash => {
                self.phase = Phase::Done(Outcome::Declined { why, message });
            }
            // An answer for an earlier picture that ended with pieces in flight.
            ServerFrame::UploadStatus(_) | ServerFrame::Declined(_) => {}
            _ => return Err(SessionError::Unexpected { got: "records", expected: "a picture's status" }),
        }
        Ok(())
    }

    fn held(&mut self, held: UploadStatus) -> Result<(), SessionError> {
        if held.bytes > self.bytes {
            return Err(SessionError::Unexpected { got: "more than the picture", expected: "a part of it" });
        }
        let is_whole = held.bytes == self.bytes && held.front == self.hash;
        match self.phase {
            Phase::Offered | Phase::Sending if is_whole => self.phase = Phase::Done(Outcome::Stored),
            Phase::Offered if held.bytes == 0 => {
                (self.held, self.next) = (0, 0);
                self.phase = Phase::Sending;
            }
            Phase::Offered => self.phase = Phase::Checking(held),
            Phase::Sending => match self.in_flight.pop_front() {
                Some(expected) if expected == held.bytes && expected < self.bytes => self.held = expected,
                _ => self.again = true,
            },
            Phase::Offering | Phase::Checking(_) | Phase::Done(_) => {}
        }
        if self.phase == Phase::Done(Outcome::Stored) {
            self.held = self.bytes;
            self.in_flight.clear();
        }
        Ok(())
    }
}
