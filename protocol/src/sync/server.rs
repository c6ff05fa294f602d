//! The server's end of a session.
//!
//! Calling order: [`ServerSession::handle`] for each frame, then [`ServerSession::poll`] until it gives
//! [`Step::Wait`]. Steps that ask for store work are answered by the method that they name before the next
//! poll; the work is durable by then.

use super::SessionError;
use crate::ids::{DeviceNo, FeedSeq, OpSeq, PersonId};
use crate::record::{Home, Op};
use crate::wire::v1::{
    Changes, ClientFrame, CompareDigests, CompareRecords, Declined, DigestVerdict, FigureRequest,
    FigureResponse, Hello, Offer, Piece, Pull, Receipt, Refusal, Refused, Repair, Resume, Resumed,
    ServerFrame, UploadStatus, Welcome,
};
use std::collections::VecDeque;

/// What the driver has to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send a frame.
    Send(ServerFrame),
    /// Send a frame, then end the connection.
    Refuse(ServerFrame),
    /// Note the device's clock and program. Where its certificate ends soon, call [`ServerSession::renewed`].
    Greet(Hello),
    /// See whether the place that a device stands at lies in this feed, then call [`ServerSession::resumed`].
    FindFeedPosition(Resume),
    /// Load, plan and commit these ops, then call [`ServerSession::ingested`].
    Ingest(Vec<Op>),
    /// Note that the device has sent everything captured up to the pull's moment, if everything up to its
    /// `sent_through` is applied. Then compare the scope and call [`ServerSession::scope`].
    CheckScope(Pull),
    /// Read the changes of one home, or of the whole scope, after a place, up to the bounds of one frame.
    /// Then call [`ServerSession::changes`].
    ReadChanges {
        /// The home; `None` for all homes of the scope but those that are behind.
        home: Option<Home>,
        /// After this place.
        after: FeedSeq,
    },
    /// Compare what a device holds, then call [`ServerSession::verdict`].
    Compare(CompareDigests),
    /// Compare the records of a home one by one, then call [`ServerSession::repair`].
    CompareRecords(CompareRecords),
    /// Read figures, then call [`ServerSession::figures`].
    ReadFigures(FigureRequest),
    /// See how much of a picture is there, then call [`ServerSession::picture`].
    FindPicture(Offer),
    /// Keep a piece of a picture and, where that makes it whole, verify it and make it durable. Then call
    /// [`ServerSession::picture`].
    KeepPiece(Piece),
    /// Wait for a frame.
    Wait,
}

/// The server's end of one session with a device that its certificate has proved.
#[derive(Debug)]
pub struct ServerSession {
    device: DeviceNo,
    person: PersonId,
    greeted: bool,
    /// Whether the device stands where this feed has no place, and was told so: a pull from there has been on its way,
    /// and the device asks again from the beginning.
    is_beyond: bool,
    steps: VecDeque<Step>,
    /// The first and the last op of each push that awaits its receipt.
    pushes: VecDeque<(OpSeq, OpSeq)>,
    pull: Option<Pull>,
    /// What is still to be read for this pull: first the scope, then the homes that are behind.
    to_read: VecDeque<(Option<Home>, FeedSeq)>,
}

impl ServerSession {
    /// A session with a device and the person who uses it.
    pub const fn new(device: DeviceNo, person: PersonId) -> Self {
        Self {
            device,
            person,
            greeted: false,
            is_beyond: false,
            steps: VecDeque::new(),
            pushes: VecDeque::new(),
            pull: None,
            to_read: VecDeque::new(),
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> Step {
        self.steps.pop_front().unwrap_or(Step::Wait)
    }

    /// Whether the next poll gives [`Step::Wait`].
    pub fn is_waiting(&self) -> bool {
        self.steps.is_empty()
    }

    /// Takes a frame of the device. `now_ms` is the server's clock, `applied_through` the last op of the
    /// device that is durable.
    ///
    /// # Errors
    /// Where the frame has no place here; [`refusal`] makes the answer.
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
                        "the store is that of {}, the certificate that of {}: enrol this device anew",
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
                self.is_beyond &= !is_from_beginning(&pull);
                self.steps.extend((!self.is_beyond).then_some(Step::CheckScope(pull)));
            }
            ClientFrame::CompareDigests(check) => self.steps.push_back(Step::Compare(check)),
            ClientFrame::CompareRecords(check) => self.steps.push_back(Step::CompareRecords(check)),
            // What pictures are taken for was sent before, so they need no greeting: whoever sends one twice, from
            // whatever copy of a store, sends the same.
            ClientFrame::Offer(offer) => self.steps.push_back(Step::FindPicture(offer)),
            ClientFrame::Piece(piece) => self.steps.push_back(Step::KeepPiece(piece)),
            ClientFrame::Enrol(_) => {
                return Err(SessionError::Unexpected { got: "an enrolment", expected: "a hello" });
            }
        }
        Ok(())
    }

    /// The device's next certificate, after the welcome.
    pub fn renewed(&mut self, certificate_der: Vec<u8>) {
        self.steps.push_back(Step::Send(ServerFrame::Renewed(certificate_der)));
    }

    /// Answers [`Step::FindFeedPosition`].
    pub fn resumed(&mut self, resumed: Resumed) {
        self.is_beyond = !resumed.continues;
        self.steps.push_front(Step::Send(ServerFrame::Resumed(resumed)));
    }

    /// Answers [`Step::Ingest`]. The receipt names the rejections and new stamps of all its push's ops that
    /// are durable, whether they came for the first time or again.
    pub fn ingested(&mut self, mut receipt: Receipt) {
        let Some((first, last)) = self.pushes.pop_front() else { return };
        receipt.through = receipt.through.min(last);
        self.steps.push_front(Step::Send(ServerFrame::Receipt { first, receipt }));
    }

    /// Answers [`Step::CheckScope`]: the homes of the scope where it is not the one that the device holds.
    pub fn scope(&mut self, pull: Pull, changed: Option<Vec<Home>>) {
        if let Some(homes) = changed {
            self.steps.push_back(Step::Send(ServerFrame::Scope(homes)));
            return;
        }
        // A pull that comes before the last one is answered takes its place.
        self.steps.retain(|step| !matches!(step, Step::ReadChanges { .. }));
        self.to_read = std::iter::once((None, pull.cursor))
            .chain(pull.behind.iter().map(|(home, seq)| (Some(*home), *seq)))
            .collect();
        self.pull = Some(pull);
        self.read_next();
    }

    /// Answers [`Step::ReadChanges`]: the frame, and whether more of the same home is to come. A frame
    /// without records that moves the cursor is sent as well, so that a device need not ask for the same
    /// stretch twice.
    pub fn changes(&mut self, mut changes: Changes, more: bool) {
        let Some(first) = self.to_read.front_mut() else { return };
        if !more && changes.home.is_some() {
            // A home is read after the scope was, to its end: it is no further behind than the rest.
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

/// The last frame of a session that cannot go on.
pub fn refusal(why: Refusal, message: impl std::fmt::Display) -> ServerFrame {
    let mut message = message.to_string();
    let max = crate::limits::MESSAGE_BYTES_MAX;
    if message.len() > max {
        message.truncate(message.floor_char_boundary(max));
    }
    ServerFrame::Refused(Refused { why, message })
}
