//! The server's end: a small store, a driver like the server's, and the invariants that hold for any device.

use std::collections::{BTreeMap, VecDeque};

use xundian_protocol::access::scope_digest;
use xundian_protocol::ids::{FeedEpoch, FeedSeq, OpSeq, PersonId, RecordId};
use xundian_protocol::record::Home;
use xundian_protocol::sync::server::{ServerSession, Step};
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, CompareRecords, Declined, DigestVerdict, FigureResponse, Pull, Push, Receipt,
    Refusal, Rejection, Repair, Resumed, ServerFrame, UploadStatus, encode_server,
};

use super::super::random::Random;
use super::device::{NO, homes};

/// The number of polls per frame, besides those for the homes that a pull names and for reading the feed in parts.
const POLLS_A_FRAME: usize = 8;
/// The number of changes in one frame.
const STRETCH: usize = 3;

/// A server with its store, used for several sessions with one device.
pub(super) struct Server {
    applied: OpSeq,
    rejected: BTreeMap<OpSeq, Refusal>,
    scope: Vec<Home>,
    /// The feed: the home of each change, by feed position from 1 on.
    feed: Vec<Home>,
    at: Session,
}

struct Session {
    inner: ServerSession,
    is_greeted: bool,
    /// Frames that were taken but not processed yet.
    pushes: VecDeque<Push>,
    pulls: VecDeque<Pull>,
    /// The receipt that must follow: the first and the last op of its push.
    due: Option<(OpSeq, OpSeq)>,
    /// The number of homes named by the pulls since the last wait.
    named: usize,
    since_wait: usize,
    answered: usize,
    ends: usize,
}

impl Session {
    fn new() -> Self {
        Self {
            inner: ServerSession::new(NO, PersonId(RecordId::from_bytes([3; 16]))),
            is_greeted: false,
            pushes: VecDeque::new(),
            pulls: VecDeque::new(),
            due: None,
            named: 0,
            since_wait: 0,
            answered: 0,
            ends: 0,
        }
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            applied: OpSeq(0),
            rejected: BTreeMap::new(),
            scope: homes().to_vec(),
            feed: Vec::new(),
            at: Session::new(),
        }
    }

    pub(super) fn accept(&mut self) {
        self.at = Session::new();
    }

    /// Changes up to eight records, as other devices would.
    pub(super) fn change(&mut self, random: &mut Random) {
        for _ in 0..random.below(9) {
            self.feed.push(homes()[random.below(homes().len())]);
        }
    }

    pub(super) fn rescope(&mut self, random: &mut Random) {
        let bits = random.next();
        self.scope =
            homes().into_iter().zip(0..).filter(|(_, n)| bits >> n & 1 == 1).map(|(home, _)| home).collect();
    }

    /// Handles a frame. Returns whether the session continues.
    pub(super) fn take(&mut self, frame: ClientFrame) -> bool {
        let session = &mut self.at;
        let (mut push, mut pull) = (None, None);
        match &frame {
            ClientFrame::Push(taken) => push = Some(taken.clone()),
            ClientFrame::Pull(taken) => pull = Some(taken.clone()),
            _ => {}
        }
        let is_taken = session.inner.handle(frame, 0, self.applied).is_ok();
        if is_taken {
            session.since_wait += 1;
            session.pushes.extend(push);
            session.named += pull.as_ref().map_or(0, |pull| pull.behind.len());
            session.pulls.extend(pull);
        }
        is_taken
    }

    /// Does what the session asks for until it waits or ends. Returns whether it continues.
    pub(super) fn work(&mut self, down: &mut VecDeque<Vec<u8>>, random: &mut Random) -> bool {
        let stretches = self.feed.len() / STRETCH + 3;
        let polls_max = POLLS_A_FRAME * (1 + self.at.since_wait) + 2 * (1 + self.at.named) * (stretches + 1);
        for _ in 0..polls_max {
            let is_waiting = self.at.inner.is_waiting();
            let step = self.at.inner.poll();
            assert_eq!(is_waiting, step == Step::Wait);
            match step {
                Step::Wait => {
                    (self.at.since_wait, self.at.named) = (0, 0);
                    assert!(self.at.pushes.is_empty() && self.at.due.is_none(), "a push has no receipt");
                    return true;
                }
                Step::Refuse(_) => return false,
                Step::Send(frame) => {
                    self.check_sent(&frame);
                    down.push_back(encode_server(&frame));
                }
                step => self.work_on(step, random),
            }
        }
        panic!("it does not wait: {:?}", self.at.inner);
    }

    fn work_on(&mut self, step: Step, random: &mut Random) {
        let session = &mut self.at;
        match step {
            Step::Greet(hello) => {
                assert_eq!(hello.device, NO, "the device number comes from the certificate");
                session.is_greeted = true;
            }
            Step::FindFeedPosition(_) => {
                assert!(session.is_greeted);
                let continues = random.below(4) != 0;
                session.inner.resumed(Resumed { epoch: FeedEpoch::NIL, continues });
            }
            Step::Ingest(ops) => {
                assert!(session.is_greeted && session.due.is_none());
                let push = session.pushes.pop_front().expect("ops without a push");
                assert_eq!(ops, push.ops);
                let (Some(first), Some(last)) = (ops.first(), ops.last()) else {
                    panic!("a push without ops")
                };
                session.due = Some((first.seq, last.seq));
                let receipt = self.ingest(first.seq, last.seq, random);
                self.at.inner.ingested(receipt);
            }
            Step::CheckScope(pull) => {
                assert!(session.is_greeted);
                // Pulls from positions that this feed does not have are skipped.
                let asked = std::iter::from_fn(|| session.pulls.pop_front()).any(|asked| asked == pull);
                assert!(asked, "a scope check without a pull");
                let is_other = scope_digest(&self.scope) != pull.scope_digest;
                // Usually report a changed scope, so that both ends agree at some point and pulls can end.
                let changed = (is_other && random.below(4) != 0).then(|| self.scope.clone());
                session.answered += usize::from(changed.is_none());
                session.inner.scope(pull, changed);
            }
            Step::ReadChanges { home, after } => {
                let (changes, more) = self.changes(home, after);
                self.at.inner.changes(changes, more);
            }
            Step::Compare(check) => {
                assert!(session.is_greeted);
                let homes = check.homes.into_iter().map(|(home, _)| home).collect();
                session.inner.verdict(match random.below(3) {
                    0 => DigestVerdict::Agrees,
                    1 => DigestVerdict::Differs,
                    _ => DigestVerdict::DifferIn(homes),
                });
            }
            Step::CompareRecords(CompareRecords { home, after, through, .. }) => {
                assert!(session.is_greeted);
                session.inner.repair(Repair { home, after, through, records: Vec::new(), gone: Vec::new() });
            }
            Step::ReadFigures(_) => session.inner.figures(FigureResponse { rows: Vec::new() }),
            Step::FindPicture(offer) => {
                session.inner.picture(Ok(UploadStatus { hash: offer.hash, bytes: 0, front: offer.hash }))
            }
            Step::KeepPiece(piece) => {
                let declined = Declined { hash: piece.hash, why: Refusal::Unnamed, message: String::new() };
                session.inner.picture(Err(declined));
            }
            Step::Send(_) | Step::Refuse(_) | Step::Wait => {}
        }
    }

    fn ingest(&mut self, first: OpSeq, last: OpSeq, random: &mut Random) -> Receipt {
        for seq in (first.0..=last.0).map(OpSeq) {
            if seq == self.applied.next() {
                self.applied = seq;
                if random.below(5) == 0 {
                    self.rejected.insert(seq, Refusal::Invalid);
                }
            }
        }
        let rejection =
            |(seq, why): (&OpSeq, &Refusal)| Rejection { seq: *seq, why: *why, message: String::new() };
        let rejections = self.rejected.range(first..=last.max(first)).map(rejection).collect();
        Receipt { through: self.applied, rejections, restamped: Vec::new() }
    }

    /// Returns the next part of a home's feed, or of the whole feed.
    fn changes(&self, home: Option<Home>, after: FeedSeq) -> (Changes, bool) {
        let head = FeedSeq(self.feed.len() as u64);
        let left = head.0.saturating_sub(after.0);
        let is_more = left > STRETCH as u64;
        let to = if is_more { FeedSeq(after.0 + STRETCH as u64) } else { head };
        (Changes { home, from: after, to, records: Vec::new() }, is_more)
    }

    fn check_sent(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Receipt { first, receipt } => {
                let due = self.at.due.take();
                assert_eq!(due.map(|(first, _)| first), Some(*first), "a receipt for another push");
                let Some((_, last)) = due else { return };
                assert!(
                    receipt.through <= last && receipt.through <= self.applied,
                    "the receipt covers more than was pushed"
                );
            }
            ServerFrame::Pulled(_) => {
                self.at.ends += 1;
                assert!(self.at.ends <= self.at.answered, "an end without a pull");
            }
            _ => {}
        }
    }
}
