//! The first plan: authorise each op, drop what was applied before, merge the rest, and write the receipt.
//!
//! Merge knows no store and no clock. One bad op never blocks the next.

use super::conflicts::{Found, check_settlement};
use crate::store::{RejectedOp, StoredRecord};
use std::collections::HashMap;
use xundian_protocol::access::{Denied, Directory, Grant, Writer};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::clock::{Clock, Hlc, Stamp, clamp_future};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId};
use xundian_protocol::kinds::{self, Conflict, Header, WritePolicy, header};
use xundian_protocol::limits::{BATCH_CONFLICT_BYTES_TARGET, MESSAGE_BYTES_MAX};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Value};
use xundian_protocol::simulation::fault_injection::Bug;
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::{Receipt, Refusal, Rejection};

/// Ops of one writer, in the order of their sequence.
pub(crate) struct Batch {
    /// The device that sent them.
    pub(crate) device: DeviceNo,
    /// The person behind it, or headquarters.
    pub(crate) writer: Writer,
    /// The ops.
    pub(crate) ops: Vec<Op>,
    /// The server's clock.
    pub(crate) now_ms: i64,
}

/// What the plan needs to read.
pub(crate) struct Loaded {
    /// The last op of the device that was applied.
    pub(crate) applied_through: OpSeq,
    /// The records that the ops name, as they stand.
    pub(crate) records: HashMap<RecordKey, StoredRecord>,
    /// Of the ops that were applied before: those that were not merged. The receipt that said so may have
    /// been lost, so it is said again.
    pub(crate) rejected: Vec<Rejection>,
    /// Of the ops that were applied before: those whose stamps were replaced.
    pub(crate) restamped: Vec<(OpSeq, Hlc)>,
}

/// A record that the batch changed.
pub(crate) struct ChangedRecord {
    /// As it stood.
    pub(crate) old: Option<StoredRecord>,
    /// As it stands after.
    pub(crate) new: Record,
    /// Whether the author's device holds something else than this and needs it sent back.
    pub(crate) echo: bool,
}

/// What becomes of the batch.
pub(crate) struct Merged {
    /// Records that changed, in the order of their first op.
    pub(crate) changed: Vec<ChangedRecord>,
    /// The answer to the device.
    pub(crate) receipt: Receipt,
    /// Ops that were not merged.
    pub(crate) rejected: Vec<RejectedOp>,
    /// Ops of this batch whose stamps were replaced.
    pub(crate) restamped: Vec<(OpSeq, Hlc)>,
    /// Fields that two people wrote without knowing of each other.
    pub(crate) conflicts: Vec<Found>,
}

/// Why an op is not merged.
pub(super) struct Refused {
    pub(super) why: Refusal,
    pub(super) message: String,
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let why = match denied {
            Denied::Role { .. } | Denied::Field { .. } | Denied::Server { .. } => Refusal::NotAWriter,
            Denied::NoPosition { .. } | Denied::Scope { .. } => Refusal::OutOfScope,
        };
        Self { why, message: denied.to_string() }
    }
}

/// Plans a batch. `clock` is the server's own, which stamps in the future are moved to.
pub(crate) fn merge(batch: Batch, loaded: Loaded, directory: &Directory, clock: &mut Clock) -> Merged {
    let Batch { device, writer, ops, now_ms } = batch;
    let mut plan = Planner {
        directory,
        writer,
        now_ms,
        stored: loaded.records,
        changed: Vec::new(),
        index: HashMap::new(),
        conflicts: Vec::new(),
        conflict_bytes: 0,
    };
    let mut receipt =
        Receipt { through: loaded.applied_through, rejections: loaded.rejected, restamped: loaded.restamped };
    let mut restamped = Vec::new();
    let mut rejected = Vec::new();
    for mut op in ops {
        let is_known = op.seq <= receipt.through;
        if is_known && !Bug::LostDedupe.is_injected() {
            continue;
        }
        // A gap: what came before never arrived, so this must be sent again after it. And where many conflicts
        // were found, the rest is left to the next batch.
        if (!is_known && op.seq != receipt.through.next())
            || plan.conflict_bytes >= BATCH_CONFLICT_BYTES_TARGET
        {
            break;
        }
        receipt.through = receipt.through.max(op.seq);
        let believed = clamp_future(op.stamp.hlc, now_ms);
        let restamp = believed != op.stamp.hlc;
        if let Err(mut refused) = plan.check(&op, device) {
            refused.message.truncate(refused.message.floor_char_boundary(MESSAGE_BYTES_MAX));
            rejected.push(rejection(&op, device, &refused, now_ms));
            receipt.rejections.push(Rejection { seq: op.seq, why: refused.why, message: refused.message });
            continue;
        }
        if restamp {
            op.stamp = Stamp { hlc: clock.tick(now_ms), device: op.stamp.device };
            restamped.push((op.seq, op.stamp.hlc));
        }
        plan.apply(&op);
    }
    receipt.restamped.extend(&restamped);
    Merged { changed: plan.changed, receipt, rejected, restamped, conflicts: plan.conflicts }
}

fn rejection(op: &Op, device: DeviceNo, refused: &Refused, now_ms: i64) -> RejectedOp {
    RejectedOp {
        device,
        seq: op.seq,
        why: refused.why as u16,
        message: refused.message.clone(),
        at_ms: now_ms,
        op: stored::encode_op(op),
    }
}

struct Planner<'a> {
    directory: &'a Directory,
    writer: Writer,
    now_ms: i64,
    stored: HashMap<RecordKey, StoredRecord>,
    changed: Vec<ChangedRecord>,
    index: HashMap<RecordKey, usize>,
    conflicts: Vec<Found>,
    conflict_bytes: usize,
}

impl Planner<'_> {
    fn standing(&self, key: RecordKey) -> Option<&Record> {
        match self.index.get(&key) {
            Some(at) => Some(&self.changed[*at].new),
            None => self.stored.get(&key).map(|stored| &stored.record),
        }
    }

    fn check(&self, op: &Op, device: DeviceNo) -> Result<(), Refused> {
        let refuse = |why, message: String| Err(Refused { why, message });
        let standing = self.standing(op.record);
        if op.stamp.device != device {
            return refuse(
                Refusal::Invalid,
                format!("the op is stamped by {}, sent by {device}", op.stamp.device),
            );
        }
        if let Some(record) = standing
            && record.home != op.home
        {
            let name = self.directory.home_name(record.home);
            return refuse(Refusal::OtherHome, format!("the record lives in {name} and cannot move"));
        }
        let day = self.work_day(op, standing)?;
        let Some(spec) = kinds::spec(op.record.kind) else {
            return self.check_unknown_kind(op, standing, day);
        };
        let today = Day::in_default_zone(self.now_ms);
        self.directory.may_write(self.writer, spec, op, day, today)?;
        if op.record.kind == Conflict::SPEC.kind
            && let Writer::Person(person) = self.writer
        {
            check_settlement(self.directory, person, op, standing, day, today)?;
        }
        if let Err(invalid) = kinds::validate_op(spec, op, standing) {
            return refuse(Refusal::Invalid, invalid.to_string());
        }
        if spec.write_policy == WritePolicy::Event
            && let Writer::Person(person) = self.writer
            && let Some(author) = standing.and_then(Header::read).map(|header| header.actor)
            && author != person
            && !self.only_names_a_correction(op, person)
        {
            let message =
                format!("the {} was written by another person: save a new one that corrects it", spec.code);
            return refuse(Refusal::NotTheAuthor, message);
        }
        Ok(())
    }

    /// Whether an op on another person's record does nothing but name the record that corrects it: one of the
    /// same kind and home, which its writer has written.
    fn only_names_a_correction(&self, op: &Op, writer: PersonId) -> bool {
        let [write] = &op.writes[..] else { return false };
        let Value::Id(id) = &write.value else { return false };
        let by = self.standing(RecordKey { id: *id, ..op.record });
        write.at.tag == header::CORRECTED_BY
            && by.is_some_and(|by| by.home == op.home && Header::read(by).is_some_and(|h| h.actor == writer))
    }

    /// A kind that this server does not know yet comes from a newer app; it is kept, and sent on to whoever
    /// sees its home, without figures (docs/adr/0012).
    ///
    /// What belongs to the company or to a unit is headquarters' to write, whatever it is.
    fn check_unknown_kind(&self, op: &Op, standing: Option<&Record>, day: Day) -> Result<(), Refused> {
        let Writer::Person(person) = self.writer else { return Ok(()) };
        let invalid = |message| Refused { why: Refusal::Invalid, message };
        if op.record.kind.is_guarded() {
            let message = format!(
                "this server does not know records of kind {} yet: the save is kept here, send it again once the server was updated",
                op.record.kind.0
            );
            return Err(Refused { why: Refusal::UnknownKind, message });
        }
        if op.writes.is_empty() {
            return Err(invalid("an op writes at least one field".into()));
        }
        let within =
            op.writes.iter().all(|write| write.value.within_limits() && write.at.key.within_limits());
        if !within {
            return Err(invalid("a value is too long".into()));
        }
        kinds::validate_size("record of a newer version", op, standing)
            .map_err(|error| invalid(error.to_string()))?;
        let today = Day::in_default_zone(self.now_ms);
        let sees = |day| self.directory.sees(person, op.home, day);
        let is_shared = matches!(op.home, Home::Company | Home::Unit(_));
        if sees(day)
            && sees(today)
            && (!is_shared || self.directory.grant(person, today) == Some(Grant::Nation))
        {
            return Ok(());
        }
        Err(Denied::Scope { home: self.directory.home_name(op.home), day }.into())
    }

    /// The day of the work, on which the writer's scope is looked up. It must be the day of the moment that
    /// the op names, give or take the zones of the earth.
    fn work_day(&self, op: &Op, standing: Option<&Record>) -> Result<Day, Refused> {
        let invalid = |message| Refused { why: Refusal::Invalid, message };
        let Some(header) = Header::of_op(op) else {
            let names = |tag| op.written(tag).is_some();
            if matches!(self.writer, Writer::Person(_)) && header::MOMENT.into_iter().any(names) {
                return Err(invalid(
                    "an op names who, when and on which day all together or not at all".into(),
                ));
            }
            return self.day_of_edit(op, standing);
        };
        if let Writer::Person(person) = self.writer
            && header.actor != person
        {
            return Err(invalid("the op names another person than the one who uses this device".into()));
        }
        let utc = header.captured_at_ms.div_euclid(86_400_000);
        if (i64::from(header.business_day.0) - utc).abs() > 1 {
            return Err(invalid(format!(
                "the business day {} is not the day of its captured time",
                header.business_day
            )));
        }
        Ok(header.business_day)
    }

    /// The day of an op that does not name it: of one's own visit or count the day on which it was, however late
    /// it is mended; else that of the stamp.
    fn day_of_edit(&self, op: &Op, standing: Option<&Record>) -> Result<Day, Refused> {
        let is_event =
            kinds::spec(op.record.kind).is_some_and(|spec| spec.write_policy == WritePolicy::Event);
        let own = standing.filter(|_| is_event).and_then(Header::read);
        if let Some(own) = own.filter(|own| self.writer == Writer::Person(own.actor)) {
            return Ok(own.business_day);
        }
        let moment_ms = op.stamp.hlc.unix_ms().min(self.now_ms);
        Day::local(moment_ms, DEFAULT_ZONE).ok_or_else(|| Refused {
            why: Refusal::Invalid,
            message: "the op's moment is out of range".into(),
        })
    }

    fn apply(&mut self, op: &Op) {
        let at = match self.index.get(&op.record) {
            Some(at) => *at,
            None => {
                let old = self.stored.remove(&op.record);
                let new =
                    old.as_ref().map_or_else(|| Record::empty(op.record, op.home), |old| old.record.clone());
                self.changed.push(ChangedRecord { old, new, echo: false });
                self.index.insert(op.record, self.changed.len() - 1);
                self.changed.len() - 1
            }
        };
        let changed = &mut self.changed[at];
        let applied = changed.new.apply(op);
        changed.echo |= !applied.conflicts.is_empty();
        for conflict in applied.conflicts.into_iter().filter(|found| Conflict::concerns(op.record, &found.at))
        {
            self.conflict_bytes += Conflict::bytes_max(&conflict);
            self.conflicts.push(Found { record: op.record, home: op.home, conflict });
        }
    }
}
