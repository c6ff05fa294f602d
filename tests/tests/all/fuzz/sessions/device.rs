//! The device's end: a small store, a driver like the app's, and the invariants that hold for any server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use xundian_protocol::access::scope_digest;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::digest::Digest;
use xundian_protocol::ids::{
    DeviceNo, FeedEpoch, FeedSeq, KindId, OpSeq, OrgUnitId, OutletId, PersonId, RecordId,
};
use xundian_protocol::limits::PUSH_FRAMES_IN_FLIGHT_MAX;
use xundian_protocol::record::{FieldKey, Home, Op, RecordKey, Value, Write};
use xundian_protocol::sync::client::RecordDigests;
use xundian_protocol::sync::client::{ClientSession, Outcome, Step, SyncMode, Synced};
use xundian_protocol::wire::v1::{
    ClientFrame, Hello, Pull, Receipt, Resume, Resumed, ServerFrame, encode_client,
};

use super::super::random::Random;

pub(super) const NO: DeviceNo = DeviceNo(7);
/// The number of polls within which a session must wait: reads and sends of a full pipeline, and commits.
const POLLS_MAX: usize = 4 * PUSH_FRAMES_IN_FLIGHT_MAX + 8;

/// The homes that exist in these tests.
pub(super) fn homes() -> [Home; 4] {
    let id = |n| RecordId::from_bytes([n; 16]);
    [
        Home::Company,
        Home::Unit(OrgUnitId(id(1))),
        Home::Outlet(OutletId(id(2))),
        Home::Person(PersonId(id(3))),
    ]
}

/// A device with its store, used for several sessions.
pub(super) struct Device {
    outbox: BTreeMap<OpSeq, Op>,
    next: OpSeq,
    /// The highest sequence number that was ever sent.
    sent_ever: OpSeq,
    settled: OpSeq,
    cursor: FeedSeq,
    held: BTreeMap<Home, Option<FeedSeq>>,
    at: Option<Session>,
}

/// One session, and what happened in it.
struct Session {
    inner: ClientSession,
    aim: SyncMode,
    is_welcomed: bool,
    is_checked: bool,
    is_resuming: bool,
    sent: BTreeSet<OpSeq>,
    in_flight: VecDeque<OpSeq>,
    /// The received receipts: the first op of the push, and the last acknowledged op.
    receipts: Vec<(OpSeq, OpSeq)>,
    pulled: Vec<FeedSeq>,
    /// The last sent pull.
    pull: Option<Pull>,
    /// The next sequence number when the outbox was last found empty.
    empty_at: OpSeq,
    /// The number of frames taken since the last wait.
    since_wait: usize,
    taken: usize,
    sends: usize,
    saves: usize,
}

impl Device {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut device = Self {
            outbox: BTreeMap::new(),
            next: OpSeq(1),
            sent_ever: OpSeq(0),
            settled: OpSeq(0),
            cursor: FeedSeq(0),
            held: BTreeMap::new(),
            at: None,
        };
        (0..random.below(12)).for_each(|_| device.save());
        device
    }

    pub(super) fn save(&mut self) {
        let seq = self.next;
        let write = Write { at: FieldKey::single(1), value: Value::Int(7), seen: None };
        let record = RecordKey { kind: KindId(900), id: RecordId::from_bytes([seq.0 as u8; 16]) };
        let stamp = Stamp { hlc: Hlc(seq.0), device: NO };
        self.outbox.insert(seq, Op { seq, stamp, record, home: homes()[2], writes: vec![write] });
        self.next = seq.next();
        self.at.iter_mut().for_each(|session| session.saves += 1);
    }

    pub(super) fn connect(&mut self, random: &mut Random) {
        let aim = if random.below(3) == 0 { SyncMode::Push } else { SyncMode::Sync };
        let hello = Hello { app: "fuzz".into(), device: NO, next_seq: self.next, now_ms: 0 };
        let first = self.outbox.keys().next().copied().unwrap_or(self.next);
        let is_checked = random.below(2) == 0;
        let inner = ClientSession::new(aim, hello, first);
        let is_resuming = random.below(2) == 0;
        let resume = Resume { epoch: FeedEpoch::NIL, reached: self.cursor };
        let inner = if is_resuming { inner.resuming(resume) } else { inner };
        self.at = Some(Session {
            inner: if is_checked { inner.reconciling() } else { inner },
            aim,
            is_welcomed: false,
            is_checked,
            is_resuming,
            sent: BTreeSet::new(),
            in_flight: VecDeque::new(),
            receipts: Vec::new(),
            pulled: Vec::new(),
            pull: None,
            empty_at: OpSeq(0),
            since_wait: 0,
            taken: 0,
            sends: 0,
            saves: 0,
        });
    }

    /// Handles a frame. Returns whether the session continues.
    pub(super) fn take(&mut self, frame: ServerFrame) -> bool {
        let Some(session) = &mut self.at else { return false };
        session.since_wait += 1;
        session.taken += 1;
        match &frame {
            ServerFrame::Receipt { first, receipt } => {
                session.receipts.push((*first, receipt.through));
                if let Some(at) = session.in_flight.iter().position(|push| push == first) {
                    session.in_flight.drain(..=at);
                }
            }
            ServerFrame::Pulled(place) => session.pulled.push(*place),
            _ => {}
        }
        session.inner.handle(frame).is_ok()
    }

    /// Does what the session asks for until it waits or ends. Returns whether it continues.
    pub(super) fn work(&mut self, up: &mut VecDeque<Vec<u8>>, random: &mut Random) -> bool {
        let Some(mut session) = self.at.take() else { return false };
        let polls_max = POLLS_MAX + 4 * session.since_wait;
        session.since_wait = 0;
        let mut goes_on = None;
        for _ in 0..polls_max {
            goes_on = self.step(&mut session, up, random);
            if goes_on.is_some() {
                break;
            }
        }
        assert!(goes_on.is_some(), "it does not wait: {session:?}", session = session.inner);
        let sends_max = 8 + 6 * session.taken + session.saves + self.outbox.len();
        assert!(session.sends <= sends_max, "{} frames for {}", session.sends, session.taken);
        self.at = Some(session);
        goes_on == Some(true)
    }

    /// Does one step. Returns whether the session continues if it waits or has ended, and `None` otherwise.
    fn step(
        &mut self,
        session: &mut Session,
        up: &mut VecDeque<Vec<u8>>,
        random: &mut Random,
    ) -> Option<bool> {
        match session.inner.poll() {
            Step::Wait => return Some(true),
            Step::Done(outcome) => {
                self.check_done(session, outcome);
                assert_eq!(session.inner.poll(), Step::Done(outcome), "a finished session stays finished");
                return Some(false);
            }
            Step::Send(frame) => {
                self.check_sent(session, &frame);
                up.push_back(encode_client(&frame));
            }
            Step::ReadOps { from, .. } => {
                let ops: Vec<Op> =
                    self.outbox.range(from..).take(1 + random.below(4)).map(|(_, op)| op.clone()).collect();
                if ops.is_empty() {
                    session.empty_at = self.next;
                }
                session.inner.ops(ops);
            }
            Step::Welcome(welcome) => {
                session.is_welcomed = true;
                // The app does the same: its store or the server's was restored from a backup.
                if welcome.applied_through > self.sent_ever || welcome.applied_through < self.settled {
                    return Some(false);
                }
            }
            Step::Resumed(resumed) => self.resumed(session, resumed),
            Step::KeepCertificate(_) => {}
            Step::CommitReceipt(receipt) => self.commit_receipt(session, &receipt),
            Step::CommitScope(of) => {
                self.held.retain(|home, _| of.contains(home));
                for home in of {
                    self.held.entry(home).or_insert(Some(FeedSeq(0)));
                }
                session.inner.ready_to_pull(self.pull());
            }
            Step::ReadCursors => session.inner.ready_to_pull(self.pull()),
            Step::CommitChanges(changes) => {
                assert!(session.pull.is_some(), "no pull was sent");
                let place = match changes.home {
                    None => Some(&mut self.cursor),
                    Some(home) => self.held.get_mut(&home).and_then(Option::as_mut),
                };
                if let Some(place) = place.filter(|place| **place == changes.from) {
                    *place = changes.to;
                }
            }
            Step::ReadDigests => {
                let digest = |home: &Home| (*home, Digest(random.below(2) as u128));
                session.inner.digests(self.held.keys().map(digest).collect());
            }
            Step::ReadRecords { after, .. } => {
                assert!(session.is_checked, "no reconciliation was requested");
                let key = RecordKey { kind: KindId(u16::from(after.is_some())), id: RecordId::NIL };
                let through = (random.below(3) == 0).then_some(key);
                session.inner.records(RecordDigests { through, records: Vec::new() });
            }
            Step::CommitRepair(_) => assert!(session.is_checked, "no reconciliation was requested"),
        }
        None
    }

    fn resumed(&mut self, session: &Session, resumed: Resumed) {
        assert!(session.is_resuming, "resuming was not requested");
        if !resumed.continues {
            self.cursor = FeedSeq(0);
            self.held.values_mut().for_each(|place| *place = Some(FeedSeq(0)));
        }
    }

    fn pull(&self) -> Pull {
        let held: Vec<Home> = self.held.keys().copied().collect();
        Pull {
            scope_digest: scope_digest(&held),
            cursor: self.cursor,
            behind: self.held.iter().filter_map(|(home, place)| Some((*home, (*place)?))).collect(),
            sent_through: OpSeq(self.next.0 - 1),
            captured_through_ms: i64::try_from(self.next.0).expect("a young device"),
        }
    }

    fn check_sent(&mut self, session: &mut Session, frame: &ClientFrame) {
        session.sends += 1;
        match frame {
            ClientFrame::Push(push) => {
                assert!(session.is_welcomed, "a push before the welcome");
                let (Some(first), Some(last)) = (push.ops.first(), push.ops.last()) else {
                    panic!("a push without ops")
                };
                session.in_flight.push_back(first.seq);
                assert!(session.in_flight.len() <= PUSH_FRAMES_IN_FLIGHT_MAX);
                assert!(push.ops.windows(2).all(|pair| pair[1].seq == pair[0].seq.next()));
                session.sent.extend(push.ops.iter().map(|op| op.seq));
                self.sent_ever = self.sent_ever.max(last.seq);
            }
            ClientFrame::Pull(pull) => {
                // A pull claims that everything up to a moment was sent, so it must have been sent.
                let position = self.pull();
                assert_eq!((pull.cursor, &pull.behind), (position.cursor, &position.behind));
                let unsent = self.outbox.keys().filter(|seq| !session.sent.contains(seq)).count();
                assert_eq!(unsent, 0, "it claims more ops than it sent");
                assert!(pull.sent_through >= position.sent_through);
                session.pull = Some(pull.clone());
            }
            _ => {}
        }
    }

    /// Checks that a receipt settles only ops that were sent and that a received receipt covers.
    fn commit_receipt(&mut self, session: &mut Session, receipt: &Receipt) {
        let through = receipt.through;
        assert!(through > self.settled, "a receipt that settles nothing new");
        for seq in (self.settled.0 + 1..=through.0).map(OpSeq) {
            assert!(session.sent.contains(&seq), "op {} was never sent", seq.0);
            let is_said = |(first, through): &(OpSeq, OpSeq)| (*first..=*through).contains(&seq);
            assert!(session.receipts.iter().any(is_said), "no receipt covers op {}", seq.0);
        }
        let named = receipt.rejections.iter().map(|rejection| rejection.seq);
        for seq in named.chain(receipt.restamped.iter().map(|(seq, _)| *seq)) {
            assert!(
                seq <= through && session.sent.contains(&seq),
                "op {} is not covered by the receipt",
                seq.0
            );
        }
        self.outbox = self.outbox.split_off(&through.next());
        self.settled = through;
        session.inner.receipt_committed(through).expect("what was handed out was committed");
    }

    fn check_done(&mut self, session: &Session, outcome: Outcome) {
        assert!(session.is_welcomed);
        match outcome {
            Outcome::Pushed => {
                assert_eq!(session.aim, SyncMode::Push);
                assert!(self.outbox.keys().all(|seq| *seq >= session.empty_at), "some ops are left");
            }
            Outcome::Synced(Synced { cursor, captured_through_ms }) => {
                let pull = session.pull.as_ref().expect("a pull");
                assert_eq!(session.aim, SyncMode::Sync);
                assert!(session.pulled.contains(&cursor), "the server never sent this position");
                assert_eq!(self.cursor, cursor);
                let is_here = |place: &Option<FeedSeq>| place.is_none_or(|place| place >= cursor);
                assert!(self.held.values().all(is_here), "a home is behind");
                assert_eq!(captured_through_ms, pull.captured_through_ms);
                assert!(self.outbox.keys().all(|seq| *seq > pull.sent_through), "some ops have no receipt");
                self.held.values_mut().for_each(|place| *place = None);
            }
        }
    }
}
