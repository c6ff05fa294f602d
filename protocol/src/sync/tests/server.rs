//! The server's store in memory, and its driver.

use super::super::SessionError;
use super::super::server::{ServerSession, Step};
use super::device::Device;
use super::homes_of;
use crate::access::scope_digest;
use crate::clock::{Hlc, clamp_future};
use crate::ids::{DeviceNo, FeedSeq, OpSeq};
use crate::record::{Home, Op, Record, RecordKey};
use crate::wire::v1::{Answer, Changes, Pull, Receipt, Refusal, Rejection, encode_server};
use std::collections::{BTreeMap, VecDeque};

/// Records that one frame of changes takes here, so that a storm has many frames.
const CHANGES_RECORDS: usize = 2;

struct Stored {
    record: Record,
    /// Its place in the feed.
    seq: FeedSeq,
    /// Who changed it last, and the place of the last change by anybody else.
    author: DeviceNo,
    foreign: FeedSeq,
}

#[derive(Default)]
struct Account {
    applied_through: OpSeq,
    rejected: BTreeMap<OpSeq, Refusal>,
    restamped: BTreeMap<OpSeq, Hlc>,
    merged: BTreeMap<OpSeq, u32>,
    last: Hlc,
}

pub(super) struct Server {
    records: BTreeMap<RecordKey, Stored>,
    head: FeedSeq,
    accounts: BTreeMap<DeviceNo, Account>,
    pub(super) scopes: BTreeMap<DeviceNo, Vec<Home>>,
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
        }
    }

    pub(super) fn applied_through(&self, device: DeviceNo) -> OpSeq {
        self.accounts[&device].applied_through
    }

    pub(super) fn records_of(&self, homes: &[Home]) -> BTreeMap<RecordKey, Record> {
        let of_homes = self.records.values().filter(|stored| homes.contains(&stored.record.home));
        of_homes.map(|stored| (stored.record.key, stored.record.clone())).collect()
    }

    /// Every op of a device was merged once, or stands in its tray with the reason given here.
    pub(super) fn check_account_of(&self, device: &Device) {
        let account = &self.accounts[&device.no];
        assert!(device.outbox.is_empty(), "{} still has ops to send", device.no);
        assert_eq!(account.applied_through.next(), device.next_seq, "{} lost ops", device.no);
        assert_eq!(device.tray, account.rejected, "the tray of {}", device.no);
        for seq in 1..device.next_seq.0 {
            let merged = account.merged.get(&OpSeq(seq)).copied().unwrap_or(0);
            let rejected = u32::from(account.rejected.contains_key(&OpSeq(seq)));
            assert_eq!(merged + rejected, 1, "op {seq} of {}: merged {merged} times", device.no);
        }
    }

    /// Does what the session asks for until it waits.
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
                Step::ReadFigures(_) => session.figures(Answer { rows: Vec::new() }),
                Step::FindPicture(_) | Step::KeepPiece(_) => {
                    unreachable!("pictures have tests of their own")
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
            "{device} claims what it has not sent"
        );
        let scope = &self.scopes[&device];
        if scope_digest(scope) != pull.scope_digest {
            return session.scope(pull, Some(scope.clone()));
        }
        let is_behind = |home: &Home| pull.behind.iter().any(|(behind, _)| behind == home);
        *puller = Some(Puller { homes: scope.iter().copied().filter(|home| !is_behind(home)).collect() });
        session.scope(pull, None);
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

    /// The next changes of some homes. For `reader` its own writes are left out: a record that it was the
    /// last to change stands where somebody else last changed it.
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
