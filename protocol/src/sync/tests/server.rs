//! An in-memory server store, and its driver.

use super::super::SessionError;
use super::super::server::{ServerSession, Step};
use super::device::{Device, digest_of};
use super::homes_of;
use crate::access::scope_digest;
use crate::clock::{Hlc, clamp_future};
use crate::digest::Digest;
use crate::ids::{DeviceNo, FeedEpoch, FeedSeq, OpSeq};
use crate::record::{Home, Op, Record, RecordKey};
use crate::wire::v1::{
    Changes, CompareDigests, CompareRecords, DigestVerdict, FigureResponse, Pull, Receipt, Refusal,
    Rejection, Repair, Resume, Resumed, encode_server,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Records in one frame of changes, few so that a storm has many frames.
const CHANGES_RECORDS: usize = 2;

#[derive(Clone)]
struct Stored {
    record: Record,
    /// Its feed position.
    seq: FeedSeq,
    /// The last author, and the position of the last change by anybody else.
    author: DeviceNo,
    foreign: FeedSeq,
}

#[derive(Clone, Default)]
struct Account {
    applied_through: OpSeq,
    rejected: BTreeMap<OpSeq, Refusal>,
    restamped: BTreeMap<OpSeq, Hlc>,
    merged: BTreeMap<OpSeq, u32>,
    last: Hlc,
}

#[derive(Clone)]
pub(super) struct Server {
    records: BTreeMap<RecordKey, Stored>,
    head: FeedSeq,
    accounts: BTreeMap<DeviceNo, Account>,
    pub(super) scopes: BTreeMap<DeviceNo, Vec<Home>>,
    /// Each epoch with the position at which it begins.
    epochs: Vec<(FeedEpoch, FeedSeq)>,
}

/// What one pull reads: the homes of the scope that are not behind.
pub(super) struct Puller {
    homes: Vec<Home>,
}

impl Server {
    pub(super) fn new(devices: impl Iterator<Item = DeviceNo>) -> Self {
        let devices: Vec<DeviceNo> = devices.collect();
        Self {
            records: BTreeMap::new(),
            head: FeedSeq(0),
            accounts: devices.iter().map(|no| (*no, Account::default())).collect(),
            scopes: devices.into_iter().map(|no| (no, homes_of(u8::MAX))).collect(),
            epochs: vec![(FeedEpoch([1; 16]), FeedSeq(0))],
        }
    }

    /// Begins the `nth` epoch, as each opening does.
    pub(super) fn open(&mut self, nth: u8) {
        self.epochs.push((FeedEpoch([nth; 16]), self.head));
    }

    fn resumed(&self, resume: Resume) -> Resumed {
        let at = self.epochs.iter().position(|(epoch, _)| *epoch == resume.epoch);
        let end = at.map(|at| self.epochs.get(at + 1).map_or(self.head, |(_, from)| *from));
        let continues = resume.reached == FeedSeq(0) || end.is_some_and(|end| resume.reached <= end);
        Resumed { epoch: self.epochs[self.epochs.len() - 1].0, continues }
    }

    pub(super) fn applied_through(&self, device: DeviceNo) -> OpSeq {
        self.accounts[&device].applied_through
    }

    pub(super) fn records_of(&self, homes: &[Home]) -> BTreeMap<RecordKey, Record> {
        let of_homes = self.records.values().filter(|stored| homes.contains(&stored.record.home));
        of_homes.map(|stored| (stored.record.key, stored.record.clone())).collect()
    }

    /// Asserts that every op of a device was merged once, or is among its rejected ops with the reason given here.
    pub(super) fn check_account_of(&self, device: &Device) {
        let account = &self.accounts[&device.no];
        assert!(device.outbox.is_empty(), "{} still has ops to send", device.no);
        assert_eq!(account.applied_through.next(), device.next_seq, "{} lost ops", device.no);
        assert_eq!(device.rejected_ops, account.rejected, "the rejected ops of {}", device.no);
        for seq in 1..device.next_seq.0 {
            let merged = account.merged.get(&OpSeq(seq)).copied().unwrap_or(0);
            let rejected = u32::from(account.rejected.contains_key(&OpSeq(seq)));
            assert_eq!(merged + rejected, 1, "op {seq} of {}: merged {merged} times", device.no);
        }
    }

    /// Carries out the session's steps until it waits.
    pub(super) fn work(
        &mut self,
        device: DeviceNo,
        session: &mut ServerSession,
        puller: &mut Option<Puller>,
        now_ms: i64,
        down: &mut VecDeque<Vec<u8>>,
    ) -> Result<(), SessionError> {
        loop {
            match session.poll() {
                Step::Wait => return Ok(()),
                Step::Send(frame) => down.push_back(encode_server(&frame)),
                Step::Refuse(_) => {
                    return Err(SessionError::Unexpected { got: "a refusal", expected: "none" });
                }
                Step::Greet(_) => {}
                Step::FindFeedPosition(resume) => session.resumed(self.resumed(resume)),
                Step::Ingest(ops) => session.ingested(self.ingest(device, ops, now_ms)),
                Step::CheckScope(pull) => self.check_scope(device, session, puller, pull),
                Step::ReadChanges { home, after } => {
                    let homes = match (home, &puller) {
                        (Some(home), _) => vec![home],
                        (None, Some(puller)) => puller.homes.clone(),
                        (None, None) => Vec::new(),
                    };
                    let reader = home.is_none().then_some(device);
                    let (changes, more) = self.changes(&homes, reader, after);
                    session.changes(Changes { home, ..changes }, more);
                }
                Step::Compare(check) => session.verdict(self.compare(device, &check)),
                Step::CompareRecords(check) => session.repair(self.compare_records(check)),
                Step::ReadFigures(_) => session.figures(FigureResponse { rows: Vec::new() }),
                Step::FindPicture(_) | Step::KeepPiece(_) => {
                    unreachable!("uploads have their own tests")
                }
            }
        }
    }

    fn check_scope(
        &self,
        device: DeviceNo,
        session: &mut ServerSession,
        puller: &mut Option<Puller>,
        pull: Pull,
    ) {
        assert!(
            pull.captured_through_ms <= pull.sent_through.0.cast_signed(),
            "{device} claims more than it has sent"
        );
        let scope = &self.scopes[&device];
        if scope_digest(scope) != pull.scope_digest {
            return session.scope(pull, Some(scope.clone()));
        }
        let is_behind = |home: &Home| pull.behind.iter().any(|(behind, _)| behind == home);
        *puller = Some(Puller { homes: scope.iter().copied().filter(|home| !is_behind(home)).collect() });
        session.scope(pull, None);
    }

    fn of_home(&self, home: Home) -> impl Iterator<Item = &Stored> {
        self.records.values().filter(move |stored| stored.record.home == home)
    }

    fn moved(&self, home: Home, at: FeedSeq) -> bool {
        self.of_home(home).any(|stored| stored.seq > at)
    }

    fn compare(&self, device: DeviceNo, check: &CompareDigests) -> DigestVerdict {
        let digest = |home| self.of_home(home).map(|stored| digest_of(&stored.record)).collect::<Digest>();
        let scope = &self.scopes[&device];
        if check.homes.is_empty() {
            let all: Digest = scope.iter().map(|home| digest(*home)).collect();
            return if all == check.all { DigestVerdict::Agrees } else { DigestVerdict::Differs };
        }
        let told = |home: &Home| check.homes.iter().find(|(of, _)| of == home).map(|(_, told)| *told);
        let differs = |home: &&Home| told(home) != Some(digest(**home)) && !self.moved(**home, check.at);
        DigestVerdict::DifferIn(scope.iter().filter(differs).copied().collect())
    }

    /// One record in each answer.
    fn compare_records(&self, check: CompareRecords) -> Repair {
        let CompareRecords { at, home, after, through, records } = check;
        let mut repair = Repair { home, after, through: None, records: Vec::new(), gone: Vec::new() };
        if self.moved(home, at) {
            return repair;
        }
        let ours: BTreeMap<RecordKey, &Stored> = self.of_home(home).map(|of| (of.record.key, of)).collect();
        let theirs: BTreeMap<RecordKey, _> = records.into_iter().collect();
        let keys: BTreeSet<RecordKey> = ours.keys().chain(theirs.keys()).copied().collect();
        let within = |key: &RecordKey| Some(*key) > after && through.is_none_or(|through| *key <= through);
        for key in keys.into_iter().filter(within) {
            if !repair.records.is_empty() {
                return repair;
            }
            match ours.get(&key) {
                None => repair.gone.push(key),
                Some(of) if theirs.get(&key) == Some(&digest_of(&of.record).short()) => {}
                Some(of) => {
                    repair.records.push(of.record.clone());
                    repair.through = Some(key);
                }
            }
        }
        repair.through = through;
        repair
    }

    fn ingest(&mut self, device: DeviceNo, ops: Vec<Op>, now_ms: i64) -> Receipt {
        let (Some(first), Some(last)) = (ops.first().map(|op| op.seq), ops.last().map(|op| op.seq)) else {
            panic!("a push without ops reached the store");
        };
        for op in ops {
            let applied = self.accounts[&device].applied_through;
            if op.seq == applied.next() {
                self.ingest_one(device, op, now_ms);
            }
        }
        let account = &self.accounts[&device];
        let rejection =
            |(seq, why): (&OpSeq, &Refusal)| Rejection { seq: *seq, why: *why, message: String::new() };
        Receipt {
            through: account.applied_through,
            rejections: account.rejected.range(first..=last).map(rejection).collect(),
            restamped: account.restamped.range(first..=last).map(|(seq, hlc)| (*seq, *hlc)).collect(),
        }
    }

    fn ingest_one(&mut self, device: DeviceNo, mut op: Op, now_ms: i64) {
        let in_scope = self.scopes[&device].contains(&op.home);
        let Some(account) = self.accounts.get_mut(&device) else { return };
        account.applied_through = op.seq;
        let why = match op.writes[0].at.tag {
            _ if !in_scope => Some(Refusal::OutOfScope),
            0 => Some(Refusal::Invalid),
            _ => None,
        };
        if let Some(why) = why {
            account.rejected.insert(op.seq, why);
            return;
        }
        let believed = clamp_future(op.stamp.hlc, now_ms).max(Hlc(account.last.0 + 1));
        if believed < op.stamp.hlc {
            op.stamp.hlc = believed;
            account.restamped.insert(op.seq, believed);
        }
        account.last = op.stamp.hlc;
        *account.merged.entry(op.seq).or_default() += 1;
        self.merge(device, &op);
    }

    fn merge(&mut self, device: DeviceNo, op: &Op) {
        let stored = self.records.entry(op.record).or_insert_with(|| Stored {
            record: Record::empty(op.record, op.home),
            seq: FeedSeq(0),
            author: device,
            foreign: FeedSeq(0),
        });
        if stored.record.apply(op).changed {
            self.head.0 += 1;
            if stored.author != device {
                stored.foreign = stored.seq;
            }
            (stored.seq, stored.author) = (self.head, device);
        }
    }

    /// The next changes of some homes. A `reader`'s own writes are left out: a record that it changed last is listed at
    /// the position of the last change by anybody else.
    fn changes(&self, homes: &[Home], reader: Option<DeviceNo>, after: FeedSeq) -> (Changes, bool) {
        let place = |stored: &Stored| if reader == Some(stored.author) { stored.foreign } else { stored.seq };
        let of_homes = self.records.values().filter(|stored| homes.contains(&stored.record.home));
        let mut found: Vec<(FeedSeq, &Record)> = of_homes
            .map(|stored| (place(stored), &stored.record))
            .filter(|(place, _)| *place > after)
            .collect();
        found.sort_unstable_by_key(|(place, record)| (*place, record.key));
        let more = found.len() > CHANGES_RECORDS;
        found.truncate(CHANGES_RECORDS);
        let to = found.last().filter(|_| more).map_or(self.head, |(place, _)| *place);
        let records = found.into_iter().map(|(_, record)| record.clone()).collect();
        (Changes { home: None, from: after, to, records }, more)
    }
}
