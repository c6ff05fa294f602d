//! The device's end of a session: sends the hello, pushes the outbox and, in [`SyncMode::Sync`], pulls the scope.
//!
//! Calling order: [`ClientSession::new`], then [`ClientSession::poll`] until it returns [`Step::Wait`]. For each frame
//! that arrives call [`ClientSession::handle`], then poll again. A step that asks for store work names the method that
//! answers it. The driver calls that method before the next poll, when the work is durable.

mod pull_progress;
mod reconciliation;
mod step;

pub use reconciliation::RecordDigests;
pub use step::{Outcome, Step, SyncMode, Synced};

use super::SessionError;
use crate::digest::Digest;
use crate::ids::OpSeq;
use crate::limits::{
    BATCH_FIRST_PLAIN_BYTES_TARGET, BATCH_MANY_OPS, BATCH_OPS_MAX, BATCH_PLAIN_BYTES_TARGET,
    FRAME_FIELDS_MAX, PUSH_FRAMES_IN_FLIGHT_MAX,
};
use crate::record::{Home, Op};
use crate::wire::v1::{ClientFrame, Hello, Pull, Push, Receipt, Resume, Resumed, ServerFrame};
use pull_progress::PullProgress;
use reconciliation::{Next, Reconciliation};
use std::collections::VecDeque;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Pushing,
    /// The driver was asked for the cursors.
    ReadingCursors,
    Pulling {
        captured_through_ms: i64,
    },
    /// Everything was pulled, and is being compared.
    Reconciling(Synced),
    Done(Outcome),
}

/// A push that waits for its receipt.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    first: OpSeq,
    last: OpSeq,
}

/// The device's end of one session.
#[derive(Debug)]
pub struct ClientSession {
    mode: SyncMode,
    phase: Phase,
    /// Whether the driver received the server's welcome. No push is sent before it. The welcome tells whether this
    /// store was restored or copied; then the server knows other saves under the same numbers, and would drop these.
    welcomed: bool,
    /// Whether the driver still waits for the answer to its resume. No sync completes before it.
    is_resuming: bool,
    frames: VecDeque<ClientFrame>,
    /// Frames of the server that are to be committed.
    steps: VecDeque<Step>,
    /// The next op to read from the outbox; `None` at its end.
    read_next: Option<OpSeq>,
    /// Whether the driver was asked for ops and has not answered yet.
    reading: bool,
    /// Whether the outbox was empty when no push was in flight.
    outbox_ended: bool,
    in_flight: VecDeque<InFlight>,
    /// The end of the outbox when the session began.
    outbox_end: OpSeq,
    sent_through: OpSeq,
    /// The outcome of every op up to here is known. The server may have applied more, but only their receipts tell
    /// which of those it rejected.
    receipted_through: OpSeq,
    committed_through: OpSeq,
    /// Whether ops must be sent again, after the receipts of those in flight.
    again: bool,
    rounds_without_progress: u32,
    pull_progress: PullProgress,
    /// Whether the session reconciles after the pull.
    reconciles: bool,
    reconciliation: Option<Reconciliation>,
}

/// How many times a session repeats the same request without progress before it fails.
const ROUNDS_MAX: u32 = 8;

impl ClientSession {
    /// A session of a device. `outbox_first` is the number of its oldest unsent op, or of the next op if there is none.
    pub fn new(mode: SyncMode, hello: Hello, outbox_first: OpSeq) -> Self {
        let sent = OpSeq(outbox_first.0.saturating_sub(1));
        Self {
            mode,
            phase: Phase::Pushing,
            welcomed: false,
            is_resuming: false,
            outbox_end: hello.next_seq,
            frames: VecDeque::from([ClientFrame::Hello(hello)]),
            steps: VecDeque::new(),
            read_next: Some(outbox_first),
            reading: false,
            outbox_ended: false,
            in_flight: VecDeque::new(),
            sent_through: sent,
            receipted_through: sent,
            committed_through: sent,
            again: false,
            rounds_without_progress: 0,
            pull_progress: PullProgress::default(),
            reconciles: false,
            reconciliation: None,
        }
    }

    /// Asks first whether the device may continue from its feed position.
    #[must_use]
    pub fn resuming(mut self, resume: Resume) -> Self {
        self.is_resuming = true;
        self.frames.push_back(ClientFrame::Resume(resume));
        self
    }

    /// Reconciles before the sync ends. Both sides then read all records, so do it rarely.
    #[must_use]
    pub const fn reconciling(mut self) -> Self {
        self.reconciles = true;
        self
    }

    /// Returns the next step. Sending goes before committing, so that the server works while this side waits for its
    /// disk.
    pub fn poll(&mut self) -> Step {
        if let Some(frame) =
            self.frames.pop_front_if(|frame| self.welcomed || !matches!(frame, ClientFrame::Push(_)))
        {
            return Step::Send(frame);
        }
        if let Some(from) = self.next_to_read() {
            return self.read(from);
        }
        if let Some(step) = self.steps.pop_front() {
            self.welcomed |= matches!(step, Step::Welcome(_));
            if let Step::Resumed(resumed) = step {
                self.resumed(resumed);
            }
            return step;
        }
        match self.phase {
            Phase::Pushing if self.is_settled() => self.all_settled(),
            // The welcome must come first: it shows whether this store was restored or copied, and the server's time.
            Phase::Done(outcome) if self.welcomed && !self.is_resuming => Step::Done(outcome),
            Phase::Pushing
            | Phase::ReadingCursors
            | Phase::Pulling { .. }
            | Phase::Reconciling(_)
            | Phase::Done(_) => Step::Wait,
        }
    }

    /// The op from which to read, if more ops can be sent now.
    fn next_to_read(&mut self) -> Option<OpSeq> {
        if self.again && self.in_flight.is_empty() {
            self.again = false;
            self.read_next = Some(self.receipted_through.next());
        }
        // One push is read while the welcome is in flight.
        let pushes_max = if self.welcomed { PUSH_FRAMES_IN_FLIGHT_MAX } else { 1 };
        let room = self.in_flight.len() < pushes_max;
        let may_read = self.phase == Phase::Pushing && !self.reading && !self.again && room;
        self.read_next.filter(|_| may_read)
    }

    fn read(&mut self, from: OpSeq) -> Step {
        self.reading = true;
        let is_awaited =
            self.in_flight.is_empty() && self.outbox_end.0.saturating_sub(from.0) > BATCH_MANY_OPS;
        let bytes_target = if is_awaited { BATCH_FIRST_PLAIN_BYTES_TARGET } else { BATCH_PLAIN_BYTES_TARGET };
        Step::ReadOps { from, bytes_target }
    }

    /// Whether the outcome of everything that was read is known and committed.
    fn is_settled(&self) -> bool {
        self.read_next.is_none()
            && !self.reading
            && self.in_flight.is_empty()
            && self.committed_through >= self.receipted_through
    }

    /// Continues after everything sent is acknowledged and committed.
    fn all_settled(&mut self) -> Step {
        match self.mode {
            SyncMode::Sync => {
                self.phase = Phase::ReadingCursors;
                Step::ReadCursors
            }
            // Ops that were saved meanwhile are sent too.
            SyncMode::Push if !self.outbox_ended => self.read(self.sent_through.next()),
            SyncMode::Push => {
                self.phase = Phase::Done(Outcome::Pushed);
                self.poll()
            }
        }
    }

    /// A pull that was requested before this answer may have started from a position that is not in the feed. It is
    /// then requested again.
    fn resumed(&mut self, resumed: Resumed) {
        self.is_resuming = false;
        let has_asked = matches!(self.phase, Phase::Pulling { .. } | Phase::Reconciling(_) | Phase::Done(_));
        if self.mode == SyncMode::Sync && has_asked && !resumed.continues {
            self.phase = Phase::ReadingCursors;
            self.reconciliation = None;
            self.steps.push_back(Step::ReadCursors);
        }
    }

    /// Answers [`Step::ReadOps`]. Ops that do not fit into one push are read again for the next one.
    pub fn ops(&mut self, mut ops: Vec<Op>) {
        self.reading = false;
        if self.again {
            return;
        }
        ops.truncate(fitting(&ops));
        let (Some(first), Some(last)) = (ops.first(), ops.last()) else {
            self.read_next = None;
            self.outbox_ended = self.in_flight.is_empty();
            return;
        };
        let push = InFlight { first: first.seq, last: last.seq };
        self.read_next = Some(push.last.next());
        self.sent_through = self.sent_through.max(push.last);
        self.in_flight.push_back(push);
        self.frames.push_back(ClientFrame::Push(Push { ops }));
    }

    /// Answers [`Step::ReadCursors`] and [`Step::CommitScope`]. `sent_through` of the pull is the last op that was
    /// saved when `captured_through_ms` was read. If it was not sent yet, the rest is pushed first, so that the device
    /// never claims more than it has sent.
    pub fn ready_to_pull(&mut self, mut position: Pull) {
        // A second scope came right after the first. Something must be pushed first, and the cursors are read again
        // after that.
        if self.phase == Phase::Pushing {
            return;
        }
        if position.sent_through > self.sent_through {
            self.phase = Phase::Pushing;
            self.read_next = Some(self.sent_through.next());
            return;
        }
        self.phase = Phase::Pulling { captured_through_ms: position.captured_through_ms };
        position.sent_through = self.sent_through;
        self.pull_progress = PullProgress::of(&position);
        self.frames.push_back(ClientFrame::Pull(position));
    }

    /// Answers [`Step::ReadDigests`] with every home of the device and the digest of its records.
    pub fn digests(&mut self, homes: Vec<(Home, Digest)>) {
        let frame = self.reconciliation.as_mut().map(|reconciliation| reconciliation.digests(homes));
        self.frames.extend(frame);
    }

    /// Answers [`Step::ReadRecords`].
    pub fn records(&mut self, held: RecordDigests) {
        let frame = self.reconciliation.as_ref().and_then(|reconciliation| reconciliation.records(held));
        self.frames.extend(frame);
    }

    /// Answers [`Step::CommitReceipt`] with the receipt's last op.
    ///
    /// # Errors
    /// Returns an error if less was committed than receipts were handed out for.
    pub fn receipt_committed(&mut self, through: OpSeq) -> Result<(), SessionError> {
        if through <= self.committed_through && through < self.receipted_through {
            return Err(SessionError::NoProgress { through: through.0 });
        }
        self.committed_through = self.committed_through.max(through);
        Ok(())
    }

    /// Handles a frame of the server.
    ///
    /// # Errors
    /// Returns an error if the frame is not allowed in this phase, or ends the session.
    pub fn handle(&mut self, frame: ServerFrame) -> Result<(), SessionError> {
        match (self.phase, frame) {
            (_, ServerFrame::Refused(refused)) => return Err(SessionError::Refused(refused)),
            (_, ServerFrame::Welcome(welcome)) => self.steps.push_back(Step::Welcome(welcome)),
            (_, ServerFrame::Renewed(certificate)) => {
                self.steps.push_back(Step::KeepCertificate(certificate))
            }
            (_, ServerFrame::Resumed(resumed)) => {
                // A repeated answer is ignored.
                self.steps.extend(self.is_resuming.then_some(Step::Resumed(resumed)));
            }
            (_, ServerFrame::Receipt { first, receipt }) => return self.receipt(first, receipt),
            // Records from a position that may not be in this feed: the answer to the resume is still in flight, or was
            // lost.
            (
                Phase::Pulling { .. },
                ServerFrame::Scope(_) | ServerFrame::Changes(_) | ServerFrame::Pulled(_),
            ) if self.is_resuming => {}
            (Phase::Pulling { .. }, ServerFrame::Scope(homes)) => {
                self.round()?;
                self.steps.push_back(Step::CommitScope(homes));
            }
            (Phase::Pulling { .. }, ServerFrame::Changes(changes)) => {
                if self.pull_progress.advance(&changes) {
                    self.rounds_without_progress = 0;
                }
                self.steps.push_back(Step::CommitChanges(changes));
            }
            (Phase::Pulling { captured_through_ms }, ServerFrame::Pulled(cursor)) => {
                return self.pulled(Synced { cursor, captured_through_ms });
            }
            (Phase::Reconciling(_), ServerFrame::DigestVerdict(verdict)) => {
                let next = self
                    .reconciliation
                    .as_mut()
                    .map(|reconciliation| reconciliation.verdict(verdict))
                    .transpose()?;
                self.continue_reconciliation(next.flatten());
            }
            (Phase::Reconciling(_), ServerFrame::Repair(repair)) => {
                let next = self
                    .reconciliation
                    .as_mut()
                    .map(|reconciliation| reconciliation.repair(&repair))
                    .transpose()?;
                let next = next.flatten();
                self.steps.extend(next.is_some().then_some(Step::CommitRepair(repair)));
                self.continue_reconciliation(next);
            }
            (phase, frame) => {
                let got = match frame {
                    ServerFrame::FigureResponse(_) => "figures",
                    ServerFrame::Granted(_) => "a certificate",
                    ServerFrame::UploadStatus(_) | ServerFrame::Declined(_) => "a picture's status",
                    _ => "records",
                };
                let expected = if phase == Phase::Pushing { "a receipt" } else { "nothing" };
                return Err(SessionError::Unexpected { got, expected });
            }
        }
        Ok(())
    }

    fn receipt(&mut self, first: OpSeq, mut receipt: Receipt) -> Result<(), SessionError> {
        let sent = self.in_flight.len() - self.pushes_to_send();
        let Some(at) = self.in_flight.iter().take(sent).position(|push| push.first == first) else {
            // A receipt for a push that was answered before, or that has not been sent yet.
            return Ok(());
        };
        let last = self.in_flight[at].last;
        // Receipts arrive in the order of their pushes, so those for earlier pushes are lost.
        self.in_flight.drain(..=at);
        receipt.through = receipt.through.min(last);
        let covered = first..=receipt.through;
        let knows_all_before = first <= self.receipted_through.next();
        if knows_all_before && receipt.through > self.receipted_through {
            receipt.rejections.retain(|rejection| covered.contains(&rejection.seq));
            receipt.restamped.retain(|(seq, _)| covered.contains(seq));
            self.receipted_through = receipt.through;
            self.rounds_without_progress = 0;
            self.steps.push_back(Step::CommitReceipt(receipt));
        }
        if self.receipted_through < last && !self.again {
            // The server missed ops, or a receipt was lost: start again from what is known. Later pushes in the
            // pipeline are useless too, but their receipts must arrive first.
            self.again = true;
            self.round()?;
        }
        Ok(())
    }

    fn continue_reconciliation(&mut self, next: Option<Next>) {
        match (next, self.phase) {
            (Some(Next::Send(frame)), _) => self.frames.push_back(frame),
            (Some(Next::Do(step)), _) => self.steps.push_back(step),
            (Some(Next::Done), Phase::Reconciling(synced)) => {
                self.phase = Phase::Done(Outcome::Synced(synced))
            }
            (Some(Next::Done) | None, _) => {}
        }
    }

    fn pulled(&mut self, synced: Synced) -> Result<(), SessionError> {
        if self.pull_progress.reach(synced.cursor) && self.reconciles {
            self.phase = Phase::Reconciling(synced);
            self.reconciliation = Some(Reconciliation::new(synced.cursor));
            self.steps.push_back(Step::ReadDigests);
            return Ok(());
        }
        if self.pull_progress.reach(synced.cursor) {
            self.phase = Phase::Done(Outcome::Synced(synced));
            return Ok(());
        }
        // Frames were lost. The missing ones are requested again, because "done" must be true.
        self.round()?;
        self.phase = Phase::ReadingCursors;
        self.steps.push_back(Step::ReadCursors);
        Ok(())
    }

    /// The number of pushes in flight that are not sent yet. They are the last ones.
    fn pushes_to_send(&self) -> usize {
        self.frames.iter().filter(|frame| matches!(frame, ClientFrame::Push(_))).count()
    }

    const fn round(&mut self) -> Result<(), SessionError> {
        self.rounds_without_progress += 1;
        if self.rounds_without_progress > ROUNDS_MAX {
            return Err(SessionError::NoProgress { through: self.receipted_through.0 });
        }
        Ok(())
    }
}

/// The number of these ops that fit into one push: at least one, and no more than the server accepts.
fn fitting(ops: &[Op]) -> usize {
    let mut fields = 0;
    let fits = |op: &&Op| {
        fields += op.writes.len();
        fields <= FRAME_FIELDS_MAX
    };
    ops.iter().take(BATCH_OPS_MAX).take_while(fits).count().max(1)
}
