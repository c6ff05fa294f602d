//! An in-memory device store, and its driver.

use super::super::SessionError;
use super::super::client::{ClientSession, Outcome, RecordDigests, Step};
use super::home;
use crate::access::scope_digest;
use crate::clock::{Clock, Hlc, Stamp};
use crate::digest::Digest;
use crate::ids::{DeviceNo, FeedEpoch, FeedSeq, KindId, OpSeq, RecordId};
use crate::record::{FieldKey, Home, Key, Op, Record, RecordKey, Value, Write};
use crate::wire::stored;
use crate::wire::v1::{Changes, ClientFrame, Pull, Receipt, Refusal, Repair, Resume, Resumed, Welcome};
use std::collections::{BTreeMap, BTreeSet};

/// Ops in one push, few so that a storm has many pushes.
const PUSH_OPS: usize = 3;
/// Records in one reconciliation frame.
const CHECK_RECORDS: usize = 2;
const DAY_MS: i64 = 24 * 3600 * 1000;

pub(super) struct Device {
    pub(super) no: DeviceNo,
    pub(super) next_seq: OpSeq,
    pub(super) outbox: BTreeMap<OpSeq, Op>,
    /// Confirmed ops, kept in case a server loses them.
    sent: BTreeMap<OpSeq, Op>,
    /// The last op that the server had confirmed before the session.
    confirmed_before: OpSeq,
    epoch: FeedEpoch,
    /// Confirmed records of a feed that was lost, until they are pulled again or the pull completes.
    stale: BTreeSet<RecordKey>,
    /// Whether the session ended because the server has lost saves, which are queued again.
    pub(super) has_recovered: bool,
    pub(super) confirmed: BTreeMap<RecordKey, Record>,
    pub(super) rejected_ops: BTreeMap<OpSeq, Refusal>,
    pub(super) cursor: FeedSeq,
    /// Each home with the position up to which it was pulled; `None` if it is as far as the cursor.
    held: BTreeMap<Home, Option<FeedSeq>>,
    clock: Clock,
    clock_error_ms: i64,
    /// Records that reconciliations repaired.
    pub(super) repaired: usize,
}

/// How a confirmed record is corrupted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decay {
    Lost,
    /// It has another value, or exists although it was never saved.
    Other {
        value: i8,
    },
}

pub(super) fn digest_of(record: &Record) -> Digest {
    Digest::of_record(&stored::encode_record(record))
}

impl Device {
    pub(super) fn new(n: u8) -> Self {
        Self {
            no: DeviceNo(u32::from(n) + 1),
            next_seq: OpSeq(1),
            outbox: BTreeMap::new(),
            sent: BTreeMap::new(),
            confirmed_before: OpSeq(0),
            epoch: FeedEpoch::NIL,
            stale: BTreeSet::new(),
            has_recovered: false,
            confirmed: BTreeMap::new(),
            rejected_ops: BTreeMap::new(),
            cursor: FeedSeq(0),
            held: BTreeMap::new(),
            clock: Clock::default(),
            // The second device's clock is a day ahead.
            clock_error_ms: if n == 1 { DAY_MS } else { 0 },
            repaired: 0,
        }
    }

    pub(super) fn outbox_first(&self) -> OpSeq {
        self.outbox.keys().next().copied().unwrap_or(self.next_seq)
    }

    /// The device's feed position when a session begins.
    pub(super) fn begin(&mut self) -> Resume {
        self.confirmed_before = OpSeq(self.outbox_first().0 - 1);
        let pull_progress = self.held.values().flatten().copied();
        Resume { epoch: self.epoch, reached: pull_progress.fold(self.cursor, FeedSeq::max) }
    }

    /// Queues the ops that the server has lost again, unchanged.
    fn recover(&mut self, applied_through: OpSeq) {
        let mut lost = self.sent.split_off(&applied_through.next());
        self.outbox.append(&mut lost);
        self.rejected_ops.retain(|seq, _| *seq <= applied_through);
        self.start_over();
        self.has_recovered = true;
    }

    /// Marks every home as behind, because the server sends a device its own writes only for such homes.
    fn start_over(&mut self) {
        self.cursor = FeedSeq(0);
        self.held.values_mut().for_each(|place| *place = Some(FeedSeq(0)));
        self.stale = self.confirmed.keys().copied().collect();
    }

    fn welcome(&mut self, welcome: &Welcome) -> Result<(), SessionError> {
        if welcome.applied_through >= self.confirmed_before {
            return Ok(());
        }
        self.recover(welcome.applied_through);
        Err(SessionError::Unexpected { got: "less than was confirmed", expected: "all of it" })
    }

    fn resumed(&mut self, resumed: Resumed) {
        self.epoch = resumed.epoch;
        if !resumed.continues {
            self.start_over();
        }
    }

    pub(super) fn homes(&self) -> Vec<Home> {
        self.held.keys().copied().collect()
    }

    pub(super) fn save(&mut self, record: u8, field: u8, value: i8, now_ms: i64) {
        let key = RecordKey { kind: KindId(900), id: RecordId::from_bytes([record; 16]) };
        let home = home(record);
        let tag = u16::from(field);
        let keys = if field < 4 {
            vec![Key::Single]
        } else {
            vec![Key::Number(1), Key::Number(value as u64 % 3 + 2)]
        };
        let mut standing = self.confirmed.get(&key).cloned().unwrap_or_else(|| Record::empty(key, home));
        for op in self.outbox.values().filter(|op| op.record == key) {
            standing.apply(op);
        }
        let write = |key| {
            let at = FieldKey { tag, key };
            let seen = standing.register(&at).map(|register| register.stamp);
            Write { at, value: Value::Int(value.into()), seen }
        };
        let writes = keys.into_iter().map(write).collect();
        let stamp = Stamp { hlc: self.clock.tick(now_ms + self.clock_error_ms), device: self.no };
        let seq = self.next_seq;
        self.next_seq = seq.next();
        self.outbox.insert(seq, Op { seq, stamp, record: key, home, writes });
    }

    /// Carries out the session's steps until it waits.
    pub(super) fn work(
        &mut self,
        session: &mut ClientSession,
        sent: &mut Vec<ClientFrame>,
    ) -> Result<(), SessionError> {
        loop {
            match session.poll() {
                Step::Wait => return Ok(()),
                Step::Done(Outcome::Pushed) => return Ok(()),
                Step::Done(Outcome::Synced(_)) => {
                    self.held.values_mut().for_each(|place| *place = None);
                    for key in std::mem::take(&mut self.stale) {
                        self.confirmed.remove(&key);
                    }
                    return Ok(());
                }
                Step::Send(frame) => sent.push(frame),
                Step::Welcome(welcome) => self.welcome(&welcome)?,
                Step::Resumed(resumed) => self.resumed(resumed),
                Step::KeepCertificate(_) => {}
                Step::ReadOps { from, .. } => {
                    session.ops(self.outbox.range(from..).take(PUSH_OPS).map(|(_, op)| op.clone()).collect());
                }
                Step::CommitReceipt(receipt) => {
                    let through = receipt.through;
                    self.commit_receipt(&receipt);
                    session.receipt_committed(through)?;
                }
                Step::CommitScope(homes) => {
                    self.commit_scope(&homes);
                    session.ready_to_pull(self.pull());
                }
                Step::ReadCursors => session.ready_to_pull(self.pull()),
                Step::CommitChanges(changes) => self.commit_changes(&changes),
                Step::ReadDigests => session.digests(self.digests()),
                Step::ReadRecords { home, after } => session.records(self.held_records(home, after)),
                Step::CommitRepair(repair) => self.commit_repair(&repair),
            }
        }
    }

    pub(super) fn pull(&self) -> Pull {
        let saved = self.next_seq.0 - 1;
        Pull {
            scope_digest: scope_digest(&self.homes()),
            cursor: self.cursor,
            behind: self.held.iter().filter_map(|(home, place)| Some((*home, (*place)?))).collect(),
            sent_through: OpSeq(saved),
            // The number of the last save is used as its time, so that the server can verify the claim.
            captured_through_ms: saved.cast_signed(),
        }
    }

    fn digests(&self) -> Vec<(Home, Digest)> {
        let digest = |home: Home| {
            let of_home = self.confirmed.values().filter(|record| record.home == home);
            (home, of_home.map(digest_of).collect())
        };
        self.held.keys().copied().map(digest).collect()
    }

    fn held_records(&self, home: Home, after: Option<RecordKey>) -> RecordDigests {
        let of_home = self.confirmed.values().filter(|record| record.home == home);
        let behind = of_home.filter(|record| Some(record.key) > after);
        let mut records: Vec<_> = behind.map(|record| (record.key, digest_of(record).short())).collect();
        let is_cut = records.len() > CHECK_RECORDS;
        records.truncate(CHECK_RECORDS);
        RecordDigests { through: records.last().filter(|_| is_cut).map(|(key, _)| *key), records }
    }

    fn commit_repair(&mut self, repair: &Repair) {
        self.repaired += repair.records.len() + repair.gone.len();
        for record in &repair.records {
            self.confirmed.insert(record.key, record.clone());
        }
        for key in &repair.gone {
            self.confirmed.remove(key);
        }
    }

    /// Corrupts a confirmed record in a way that no merge would undo.
    pub(super) fn decay(&mut self, record: u8, decay: Decay) {
        let key = RecordKey { kind: KindId(900), id: RecordId::from_bytes([record; 16]) };
        match decay {
            Decay::Lost => _ = self.confirmed.remove(&key),
            Decay::Other { value } => {
                let home = home(record);
                if !self.held.contains_key(&home) {
                    return;
                }
                // A stamp greater than any that the server will see.
                let stamp = Stamp { hlc: Hlc(u64::MAX), device: self.no };
                let write = Write { at: FieldKey::single(1), value: Value::Int(value.into()), seen: None };
                let record = self.confirmed.entry(key).or_insert_with(|| Record::empty(key, home));
                record.apply(&Op { seq: OpSeq(0), stamp, record: key, home, writes: vec![write] });
            }
        }
    }

    fn commit_receipt(&mut self, receipt: &Receipt) {
        let left = self.outbox.split_off(&receipt.through.next());
        for (seq, mut op) in std::mem::replace(&mut self.outbox, left) {
            if let Some((_, hlc)) = receipt.restamped.iter().find(|(of, _)| *of == seq) {
                op.stamp.hlc = *hlc;
            }
            self.sent.insert(seq, op.clone());
            if let Some(rejection) = receipt.rejections.iter().find(|rejection| rejection.seq == seq) {
                self.rejected_ops.insert(seq, rejection.why);
                continue;
            }
            if self.held.contains_key(&op.home) {
                let record =
                    self.confirmed.entry(op.record).or_insert_with(|| Record::empty(op.record, op.home));
                record.apply(&op);
            }
        }
    }

    fn commit_scope(&mut self, homes: &[Home]) {
        self.held.retain(|home, _| homes.contains(home));
        for home in homes {
            self.held.entry(*home).or_insert(Some(FeedSeq(0)));
        }
        self.confirmed.retain(|_, record| homes.contains(&record.home));
    }

    fn commit_changes(&mut self, changes: &Changes) {
        for record in changes.records.iter().filter(|record| self.held.contains_key(&record.home)) {
            if self.stale.remove(&record.key) {
                self.confirmed.remove(&record.key);
            }
            let standing =
                self.confirmed.entry(record.key).or_insert_with(|| Record::empty(record.key, record.home));
            standing.merge(record);
        }
        match changes.home {
            None if self.cursor == changes.from => self.cursor = changes.to,
            None => {}
            Some(home) => {
                if let Some(place) = self.held.get_mut(&home)
                    && *place == Some(changes.from)
                {
                    *place = Some(changes.to);
                }
            }
        }
    }
}
