//! The server's end of a session.
//!
//! Calling order: [`ServerSession::handle`] for each frame, then [`ServerSession::poll`] until it returns
//! [`Step::Wait`]. A step that asks for store work names the method that answers it. The driver calls that method
//! before the next poll, when the work is durable.

use super::SessionError;
use crate::ids::{DeviceNo, FeedSeq, OpSeq, PersonId};
use crate::record::{Home, Op};
use crate::wire::v1::{
    Changes, ClientFrame, CompareDigests, CompareRecords, Declined, DigestVerdict, FigureRequest,
    FigureResponse, Hello, Offer, Piece, Pull, Receipt, Refusal, Refused, Repair, Resume, Resumed,
    ServerFrame, UploadStatus, Welcome,
};
use std::collections::VecDeque;

/// What the driver must do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ServerFrame),
    /// Send a frame, then end the connection.
    Refuse(ServerFrame),
    /// Note the device's clock and program. If its certificate expires soon, call [`ServerSession::renewed`].
    Greet(Hello),
    /// Find out whether the device's position is in this feed, then call [`ServerSession::resumed`].
    FindFeedPosition(Resume),
    /// Load, plan and commit these ops, then call [`ServerSession::ingested`].
    Ingest(Vec<Op>),
    /// If everything up to the pull's `sent_through` is applied, note that the device has sent everything captured up
    /// to the pull's moment. Then compare the scope and call [`ServerSession::scope`].
    CheckScope(Pull),
    /// Read the changes of one home, or of the whole scope, after a feed position, up to the bounds of one frame. Then
    /// call [`ServerSession::changes`].
    ReadChanges {
        /// The home; `None` for all homes of the scope that are not behind.
        home: Option<Home>,
        /// The feed position.
        after: FeedSeq,
    },
    /// Compare the digests of a device, then call [`ServerSession::verdict`].
    Compare(CompareDigests),
    /// Compare the records of a home one by one, then call [`ServerSession::repair`].
    CompareRecords(CompareRecords),
    /// Read figures, then call [`ServerSession::figures`].
    ReadFigures(FigureRequest),
    /// Find out how much of a picture is stored, then call [`ServerSession::picture`].
    FindPicture(Offer),
    /// Store a piece of a picture. If the picture is complete, verify it and make it durable. Then call
    /// [`ServerSession::picture`].
    KeepPiece(Piece),
    /// Wait for a frame.
    Wait,
}

/// The server's end of one session with an authenticated device.
#[derive(Debug)]
pub struct ServerSession {
    device: DeviceNo,
    person: PersonId,
    greeted: bool,
    /// Whether the device was told that its position is not in this feed. A pull from that position may be in flight;
    /// the device pulls again from the beginning.
    has_lost_position: bool,
    steps: VecDeque<Step>,
    /// The first and the last op of each push that waits for its receipt.
    pushes: VecDeque<(OpSeq, OpSeq)>,
    pull: Option<Pull>,
    /// What this pull still has to read: first the scope, then the homes that are behind.
    to_read: VecDeque<(Option<Home>, FeedSeq)>,
}

impl ServerSession {
    /// A session with a device and the person who uses it.
    pub const fn new(device: DeviceNo, person: PersonId) -> Self {
        Self {
            device,
            person,
            greeted: false,
            has_lost_position: false,
            steps: VecDeque::new(),
            pushes: VecDeque::new(),
            pull: None,
            to_read: VecDeque::new(),
        }
    }

    /// Returns the next step.
    pub fn poll(&mut self) -> Step {
        self.steps.pop_front().unwrap_or(Step::Wait)
    }

    /// Whether the next poll returns [`Step::Wait`].
    pub fn is_waiting(&self) -> bool {
        self.steps.is_empty()
    }

    /// Handles a frame of the device. `now_ms` is the server's clock, `applied_through` the last durable op of the
    /// device.
    ///
    /// # Errors
    /// Returns an error if the frame is not allowed here; [`refusal`] makes the answer.
    pub fn handle(
        &mut self,
        frame: ClientFrame,
        now_ms: i64,
        applied_through: OpSeq,
    ) -> Result<(), SessionError> {
        match frame {
            ClientFrame::Hello(hello) => {
                if hello.device != self.device {
                    let message = format!(
                        "the store belongs to {}, but the certificate to {}: enrol this device again",
                        hello.device, self.device
                    );
                    let refused = Refused { why: Refusal::Unauthenticated, message };
                    self.steps.push_back(Step::Refuse(ServerFrame::Refused(refused)));
                    return Ok(());
                }
                self.greeted = true;
                self.steps.push_back(Step::Greet(hello));
                let welcome = Welcome { now_ms, applied_through, person: self.person };
                self.steps.push_back(Step::Send(ServerFrame::Welcome(welcome)));
            }
            ClientFrame::FigureRequest(ask) => self.steps.push_back(Step::ReadFigures(ask)),
            ClientFrame::Push(_)
            | ClientFrame::Pull(_)
            | ClientFrame::CompareDigests(_)
            | ClientFrame::CompareRecords(_)
            | ClientFrame::Resume(_)
                if !self.greeted =>
            {
                return Err(SessionError::Unexpected { got: "records", expected: "a hello" });
            }
            ClientFrame::Push(push) => {
                let (Some(first), Some(last)) = (push.ops.first(), push.ops.last()) else {
                    return Err(SessionError::Unexpected { got: "a push without ops", expected: "ops" });
                };
                self.pushes.push_back((first.seq, last.seq));
                self.steps.push_back(Step::Ingest(push.ops));
            }
            ClientFrame::Resume(resume) => self.steps.push_back(Step::FindFeedPosition(resume)),
            ClientFrame::Pull(pull) => {
                self.has_lost_position &= !is_from_beginning(&pull);
                self.steps.extend((!self.has_lost_position).then_some(Step::CheckScope(pull)));
            }
            ClientFrame::CompareDigests(check) => self.steps.push_back(Step::Compare(check)),
            ClientFrame::CompareRecords(check) => self.steps.push_back(Step::CompareRecords(check)),
            // The records that name the pictures were pushed before, so no hello is needed. A picture that is sent
            // twice, even from two copies of a store, is the same.
            ClientFrame::Offer(offer) => self.steps.push_back(Step::FindPicture(offer)),
            ClientFrame::Piece(piece) => self.steps.push_back(Step::KeepPiece(piece)),
            ClientFrame::Enrol(_) => {
                return Err(SessionError::Unexpected { got: "an enrolment", expected: "a hello" });
            }
        }
        Ok(())
    }

    /// Sends the device's next certificate, after the welcome.
    pub fn renewed(&mut self, certificate_der: Vec<u8>) {
        self.steps.push_back(Step::Send(ServerFrame::Renewed(certificate_der)));
    }

    /// Answers [`Step::FindFeedPosition`].
    pub fn resumed(&mut self, resumed: Resumed) {
        self.has_lost_position = !resumed.continues;
        self.steps.push_front(Step::Send(ServerFrame::Resumed(resumed)));
    }

    /// Answers [`Step::Ingest`]. The receipt names the rejections and new stamps of all durable ops of the push,
    /// whether they were sent for the first time or again.
    pub fn ingested(&mut self, mut receipt: Receipt) {
        let Some((first, last)) = self.pushes.pop_front() else { return };
        receipt.through = receipt.through.min(last);
        self.steps.push_front(Step::Send(ServerFrame::Receipt { first, receipt }));
    }

    /// Answers [`Step::CheckScope`] with the homes of the scope, if the device holds another scope.
    pub fn scope(&mut self, pull: Pull, changed: Option<Vec<Home>>) {
        if let Some(homes) = changed {
            self.steps.push_back(Step::Send(ServerFrame::Scope(homes)));
            return;
        }
        // A pull that arrives before the last one is answered replaces it.
        self.steps.retain(|step| !matches!(step, Step::ReadChanges { .. }));
        self.to_read = std::iter::once((None, pull.cursor))
            .chain(pull.behind.iter().map(|(home, seq)| (Some(*home), *seq)))
            .collect();
        self.pull = Some(pull);
        self.read_next();
    }

    /// Answers [`Step::ReadChanges`] with the frame, and with whether more changes of the same home follow. A frame
    /// without records is sent too if it moves the cursor, so that a device need not request the same range twice.
    pub fn changes(&mut self, mut changes: Changes, more: bool) {
        let Some(first) = self.to_read.front_mut() else { return };
        if !more && changes.home.is_some() {
            // A home is read to its end, after the scope was read, so it is no further behind than the rest.
            changes.to = self.pull.as_ref().map_or(changes.to, |pull| changes.to.max(pull.cursor));
        }
        first.1 = changes.to;
        if !more {
            self.to_read.pop_front();
        }
        let (home, to) = (changes.home, changes.to);
        if changes.from != to || !changes.records.is_empty() || home.is_some() {
            self.steps.push_back(Step::Send(ServerFrame::Changes(changes)));
        }
        if home.is_none()
            && let Some(pull) = &mut self.pull
        {
            pull.cursor = to;
        }
        self.read_next();
    }

    fn read_next(&mut self) {
        match (self.to_read.front(), self.pull.take_if(|_| self.to_read.is_empty())) {
            (Some((home, after)), _) => {
                self.steps.push_back(Step::ReadChanges { home: *home, after: *after });
            }
            (None, Some(pull)) => self.steps.push_back(Step::Send(ServerFrame::Pulled(pull.cursor))),
            (None, None) => {}
        }
    }

    /// Answers [`Step::Compare`].
    pub fn verdict(&mut self, verdict: DigestVerdict) {
        self.steps.push_front(Step::Send(ServerFrame::DigestVerdict(verdict)));
    }

    /// Answers [`Step::CompareRecords`].
    pub fn repair(&mut self, repair: Repair) {
        self.steps.push_front(Step::Send(ServerFrame::Repair(repair)));
    }

    /// Answers [`Step::ReadFigures`].
    pub fn figures(&mut self, answer: FigureResponse) {
        self.steps.push_back(Step::Send(ServerFrame::FigureResponse(answer)));
    }

    /// Answers [`Step::FindPicture`] and [`Step::KeepPiece`].
    pub fn picture(&mut self, answer: Result<UploadStatus, Declined>) {
        let frame = answer.map_or_else(ServerFrame::Declined, ServerFrame::UploadStatus);
        self.steps.push_front(Step::Send(frame));
    }
}

fn is_from_beginning(pull: &Pull) -> bool {
    pull.cursor == FeedSeq(0) && pull.behind.iter().all(|(_, place)| *place == FeedSeq(0))
}

/// The last frame of a session that cannot continue.
pub fn refusal(why: Refusal, message: impl std::fmt::Display) -> ServerFrame {
    let mut message = message.to_string();
    let max = crate::limits::MESSAGE_BYTES_MAX;
    if message.len() > max {
        message.truncate(message.floor_char_boundary(max));
    }
    ServerFrame::Refused(Refused { why, message })
}
