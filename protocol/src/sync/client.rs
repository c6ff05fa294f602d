//! The device's end of a session: hello, push the outbox, pull the scope.
//!
//! Calling order: [`ClientSession::new`], then [`ClientSession::poll`] until it gives [`Step::Wait`]; for
//! each frame that arrives [`ClientSession::handle`], then poll again. Steps that ask for store work are
//! answered by the method that they name before the next poll; the work is durable by then.

use super::SessionError;
use crate::ids::{FeedSeq, OpSeq};
use crate::limits::PUSH_FRAMES_IN_FLIGHT_MAX;
use crate::record::{Home, Op};
use crate::wire::v1::{Changes, ClientFrame, Hello, Pull, Push, Receipt, ServerFrame, Welcome};
use std::collections::VecDeque;

/// What the driver has to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ClientFrame),
    /// Read the next ops of the outbox from this number on, up to a push's bounds, and give them to
    /// [`ClientSession::ops`]; none where the outbox ends.
    ReadOps(OpSeq),
    /// Learn the server's clock and what it has applied already.
    Welcome(Welcome),
    /// Commit a receipt: drop what is durable from the outbox and keep what was rejected in the tray. Then
    /// call [`ClientSession::receipt_committed`].
    CommitReceipt(Receipt),
    /// Commit the new scope, then call [`ClientSession::ready_to_pull`].
    CommitScope(Vec<Home>),
    /// Nothing is left to push: read where the store stands and call [`ClientSession::ready_to_pull`].
    ReadPosition,
    /// Commit changed records, and the cursor where the frame starts where the device stands.
    CommitChanges(Changes),
    /// Wait for a frame.
    Wait,
    /// The session is complete; the device has everything up to here.
    Done(FeedSeq),
}

/// Where the device's store stands; what it says in [`Pull`].
pub type Position = Pull;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Pushing,
    /// The position was asked for from the driver.
    Positioning,
    Pulling,
    Done(FeedSeq),
}

/// The device's end of one session.
#[derive(Debug)]
pub struct ClientSession {
    phase: Phase,
    steps: VecDeque<Step>,
    /// The next op to read from the outbox; `None` once its end was reached.
    read_next: Option<OpSeq>,
    /// Whether the driver was asked for ops and has not given them yet.
    reading: bool,
    /// The last op of each push that awaits its receipt.
    in_flight: VecDeque<OpSeq>,
    durable_through: OpSeq,
    sent_through: OpSeq,
    resends: u32,
}

/// Pushes that may be sent again within one session before it gives up.
const RESENDS_MAX: u32 = 8;

impl ClientSession {
    /// A session of a device whose oldest unsent op is `outbox_first` (or would be).
    pub fn new(hello: Hello, outbox_first: OpSeq) -> Self {
        let sent = OpSeq(outbox_first.0.saturating_sub(1));
        Self {
            phase: Phase::Pushing,
            steps: VecDeque::from([Step::Send(ClientFrame::Hello(hello))]),
            read_next: Some(outbox_first),
            reading: false,
            in_flight: VecDeque::new(),
            durable_through: sent,
            sent_through: sent,
            resends: 0,
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> Step {
        if let Some(step) = self.steps.pop_front() {
            return step;
        }
        match self.phase {
            Phase::Pushing => self.poll_push(),
            Phase::Positioning | Phase::Pulling => Step::Wait,
            Phase::Done(cursor) => Step::Done(cursor),
        }
    }

    fn poll_push(&mut self) -> Step {
        match self.read_next {
            Some(from) if !self.reading && self.in_flight.len() < PUSH_FRAMES_IN_FLIGHT_MAX => {
                self.reading = true;
                Step::ReadOps(from)
            }
            None if self.in_flight.is_empty() => {
                self.phase = Phase::Positioning;
                Step::ReadPosition
            }
            _ => Step::Wait,
        }
    }

    /// Answers [`Step::ReadOps`].
    pub fn ops(&mut self, ops: Vec<Op>) {
        self.reading = false;
        match ops.last() {
            None => self.read_next = None,
            Some(last) => {
                self.read_next = Some(last.seq.next());
                self.sent_through = self.sent_through.max(last.seq);
                self.in_flight.push_back(last.seq);
                self.steps.push_back(Step::Send(ClientFrame::Push(Push { ops })));
            }
        }
    }

    /// Answers [`Step::ReadPosition`] and [`Step::CommitScope`]. The position's `sent_through` is set here.
    pub fn ready_to_pull(&mut self, mut position: Position) {
        self.phase = Phase::Pulling;
        position.sent_through = self.sent_through.max(self.durable_through);
        self.steps.push_back(Step::Send(ClientFrame::Pull(position)));
    }

    /// Answers [`Step::CommitReceipt`].
    ///
    /// # Errors
    /// Where the server answers pushes without ever getting further.
    pub fn receipt_committed(&mut self, through: OpSeq) -> Result<(), SessionError> {
        let pushed = self.in_flight.pop_front();
        self.durable_through = self.durable_through.max(through);
        if pushed.is_some_and(|last| through < last) {
            // The server missed ops before these. Those behind in the pipeline are as useless to it: wait
            // for their receipts, then start again from what it has.
            self.read_next = Some(self.durable_through.next());
            self.resends += 1;
            if self.resends > RESENDS_MAX {
                return Err(SessionError::NoProgress { through: through.0 });
            }
        }
        Ok(())
    }

    /// Takes a frame of the server.
    ///
    /// # Errors
    /// Where the frame has no place in this phase, or ends the session.
    pub fn handle(&mut self, frame: ServerFrame) -> Result<(), SessionError> {
        match (self.phase, frame) {
            (_, ServerFrame::Refused(refused)) => return Err(SessionError::Refused(refused)),
            (_, ServerFrame::Welcome(welcome)) => {
                self.durable_through = self.durable_through.max(welcome.applied_through);
                self.steps.push_back(Step::Welcome(welcome));
            }
            (_, ServerFrame::Receipt(receipt)) => self.steps.push_back(Step::CommitReceipt(receipt)),
            (Phase::Pulling, ServerFrame::Scope(homes)) => self.steps.push_back(Step::CommitScope(homes)),
            (Phase::Pulling, ServerFrame::Changes(changes)) => {
                self.steps.push_back(Step::CommitChanges(changes));
            }
            (Phase::Pulling, ServerFrame::Pulled(cursor)) => self.phase = Phase::Done(cursor),
            (phase, frame) => {
                let got = match frame {
                    ServerFrame::Answer(_) => "figures",
                    ServerFrame::Granted(_) => "a certificate",
                    _ => "records",
                };
                let expected = if phase == Phase::Pushing { "a receipt" } else { "nothing" };
                return Err(SessionError::Unexpected { got, expected });
            }
        }
        Ok(())
    }
}
