//! The recorder: the decide step of a save, which turns entities into ops.
//!
//! It is pure. Clock readings, the author and the current record are arguments, and the result is not saved yet. The
//! recorder refuses whatever the server would refuse, so that the person who makes a mistake sees it at once and not a
//! day later.

use xundian_protocol::calendar::{self, Day};
use xundian_protocol::clock::{Clock, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId, RecordId};
use xundian_protocol::kinds::{
    ClockGrade, Entity, Header, Invalid, KindSpec, WritePolicy, header, spec, validate_op,
};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Value, Write};

use crate::errors::RecordError;

/// A reading of the clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The wall clock, in Unix milliseconds.
    pub now_ms: i64,
    /// The monotonic clock.
    pub mono_ms: u64,
    /// The boot of the device from which the monotonic clock counts.
    pub boot: [u8; 16],
}

/// Who records, and how reliable their clock is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Author {
    pub(crate) person: PersonId,
    pub(crate) device: DeviceNo,
    pub(crate) clock_grade: ClockGrade,
    /// The server's clock minus the device's. Stamps use the server's time.
    pub(crate) server_offset_ms: i64,
}

/// When and in which time zone something was captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Captured {
    at_ms: i64,
    utc_offset_min: i64,
    /// The local day in that zone.
    pub(crate) day: Day,
}

impl Captured {
    /// A moment in an IANA zone.
    pub(crate) fn at(at_ms: i64, zone: &str) -> Result<Self, RecordError> {
        let unknown = || RecordError::UnknownZone { zone: zone.chars().take(64).collect() };
        Ok(Self {
            at_ms,
            utc_offset_min: calendar::utc_offset_min(at_ms, zone).ok_or_else(unknown)?,
            day: Day::local(at_ms, zone).ok_or_else(unknown)?,
        })
    }
}

/// The record that an entity is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) id: RecordId,
    pub(crate) home: Home,
    /// The current record, overlaid with the ops in the outbox.
    pub(crate) existing: Option<&'a Record>,
    /// The record that it corrects.
    pub(crate) corrects: Option<RecordId>,
    /// What the person saw, if that may be older than the current record.
    pub(crate) before: Option<&'a [Write]>,
}

impl Target<'_> {
    /// A new record.
    pub(crate) const fn new(id: RecordId, home: Home) -> Self {
        Self { id, home, existing: None, corrects: None, before: None }
    }
}

/// Collects the ops of one save.
pub(crate) struct Recorder<'a> {
    author: Author,
    now_ms: i64,
    clock: &'a mut Clock,
    next: OpSeq,
    ops: Vec<Op>,
}

impl<'a> Recorder<'a> {
    /// A recorder whose first op gets the number `next`.
    pub(crate) const fn new(author: Author, now_ms: i64, clock: &'a mut Clock, next: OpSeq) -> Self {
        Self { author, now_ms, clock, next, ops: Vec::new() }
    }

    /// The wall clock at which the save is made.
    pub(crate) const fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Who records.
    pub(crate) const fn person(&self) -> PersonId {
        self.author.person
    }

    /// Adds the writes of an entity.
    pub(crate) fn write<T: Entity>(
        &mut self,
        target: &Target<'_>,
        captured: Captured,
        form: &T,
    ) -> Result<(), RecordError> {
        self.add(&T::SPEC, target, captured, form.writes())
    }

    /// Adds writes of a kind that is only known at run time.
    pub(crate) fn write_fields(
        &mut self,
        kind: &KindSpec,
        target: &Target<'_>,
        captured: Captured,
        writes: Vec<Write>,
    ) -> Result<(), RecordError> {
        self.add(kind, target, captured, writes)
    }

    /// Adds the writes of an entity, overridden by those of a second one.
    pub(crate) fn write_over<T: Entity>(
        &mut self,
        target: &Target<'_>,
        captured: Captured,
        form: &T,
        over: &T,
    ) -> Result<(), RecordError> {
        let (mut writes, over) = (form.writes(), over.writes());
        writes.retain(|write| over.iter().all(|over| over.at != write.at));
        writes.extend(over);
        self.add(&T::SPEC, target, captured, writes)
    }

    /// Marks an older record as corrected by a newer one, so that its figures no longer count.
    pub(crate) fn mark_corrected(
        &mut self,
        old: &Record,
        by: RecordId,
        captured: Captured,
    ) -> Result<(), RecordError> {
        let kind = spec(old.key.kind).ok_or(RecordError::NoSuchRecord { key: old.key })?;
        let target = Target { existing: Some(old), ..Target::new(old.key.id, old.home) };
        let at = xundian_protocol::record::FieldKey::single(header::CORRECTED_BY);
        let value = Value::Id(by);
        self.add(kind, &target, captured, vec![Write { at, value, seen: None }])
    }

    /// Adds a rejected op again, as a new one.
    pub(crate) fn resend(&mut self, rejected: &Op, existing: Option<&Record>) -> Result<(), RecordError> {
        let kind = spec(rejected.record.kind).ok_or(RecordError::NoSuchRecord { key: rejected.record })?;
        let mut writes = rejected.writes.clone();
        note_seen(&mut writes, existing);
        self.push(kind, rejected.record, rejected.home, writes, existing)
    }

    /// Adds writes of unknown kinds or fields, which a newer app made and this one passes on.
    #[cfg(feature = "simulation")]
    pub(crate) fn write_unknown(
        &mut self,
        record: RecordKey,
        home: Home,
        mut writes: Vec<Write>,
        existing: Option<&Record>,
    ) {
        note_seen(&mut writes, existing);
        let op = self.op(record, home, writes);
        self.ops.push(op);
    }

    /// The ops, ready to be saved.
    pub(crate) fn finish(self) -> Vec<Op> {
        self.ops
    }

    fn add(
        &mut self,
        kind: &KindSpec,
        target: &Target<'_>,
        captured: Captured,
        mut form: Vec<Write>,
    ) -> Result<(), RecordError> {
        // Values that are current already are not written again: an edit touches only what was edited.
        let stands = |write: &Write| {
            let register = target.existing.and_then(|record| record.register(&write.at));
            register.is_some_and(|register| register.value == write.value)
        };
        form.retain(|write| !stands(write));
        if form.is_empty() && target.existing.is_some() {
            // The record has all these values already.
            return Ok(());
        }
        let mut writes = self.header(kind, target, captured).map_or_else(Vec::new, |header| header.writes());
        writes.extend(form);
        writes.sort_unstable_by(|a, b| a.at.cmp(&b.at));
        note_seen(&mut writes, target.existing);
        if let (Some(before), Some(record)) = (target.before, target.existing) {
            forget_unseen(&mut writes, before, record);
        }
        let key = RecordKey { kind: kind.kind, id: target.id };
        self.push(kind, key, target.home, writes, target.existing)
    }

    fn push(
        &mut self,
        kind: &KindSpec,
        record: RecordKey,
        home: Home,
        writes: Vec<Write>,
        existing: Option<&Record>,
    ) -> Result<(), RecordError> {
        let op = self.op(record, home, writes);
        validate_op(kind, &op, existing).map_err(|invalid: Invalid| RecordError::Invalid { invalid })?;
        self.ops.push(op);
        Ok(())
    }

    /// Makes the next op. If one op of a save is refused, the save is not made, so that no number is skipped.
    fn op(&mut self, record: RecordKey, home: Home, writes: Vec<Write>) -> Op {
        let hlc = self.clock.tick(self.now_ms.saturating_add(self.author.server_offset_ms));
        let stamp = Stamp { hlc, device: self.author.device };
        let seq = self.next;
        self.next = seq.next();
        Op { seq, stamp, record, home, writes }
    }

    /// The header of a save. An event keeps its first header: a visit that is closed after midnight still belongs to
    /// the day before, and a correction does not change who recorded what it corrects.
    fn header(&self, kind: &KindSpec, target: &Target<'_>, captured: Captured) -> Option<Header> {
        let before = target.existing.and_then(Header::read);
        if before.is_some() && kind.write_policy == WritePolicy::Event {
            return None;
        }
        Some(Header {
            actor: self.author.person,
            captured_at_ms: captured.at_ms,
            utc_offset_min: captured.utc_offset_min,
            clock_grade: self.author.clock_grade,
            business_day: captured.day,
            corrects: target.corrects.or_else(|| before.and_then(|before| before.corrects)),
        })
    }
}

/// Adds to each write the stamp of the value that its author saw.
fn note_seen(writes: &mut [Write], existing: Option<&Record>) {
    for write in writes {
        write.seen = existing.and_then(|record| record.register(&write.at)).map(|register| register.stamp);
    }
}

/// Removes the stamps of values that somebody else changed after the author last saw them, so that the server finds the
/// conflict.
fn forget_unseen(writes: &mut [Write], before: &[Write], standing: &Record) {
    for write in writes.iter_mut().filter(|write| write.at.tag >= header::TAGS_END) {
        let before = before.iter().find(|old| old.at == write.at).map_or(&Value::Absent, |old| &old.value);
        let stands = standing.register(&write.at).map_or(&Value::Absent, |register| &register.value);
        if before != stands {
            write.seen = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xundian_protocol::calendar::DEFAULT_ZONE;
    use xundian_protocol::ids::OutletId;
    use xundian_protocol::kinds::Visit;

    const AUTHOR: Author = Author {
        person: PersonId(RecordId::NIL),
        device: DeviceNo(3),
        clock_grade: ClockGrade::Trusted,
        server_offset_ms: 0,
    };
    const EVENING_MS: i64 = 1_800_000_000_000;

    fn saved(existing: Option<&Record>, at_ms: i64, form: &Visit) -> Result<Op, RecordError> {
        let mut clock =
            Clock::resume(existing.and_then(Record::newest).map(|stamp| stamp.hlc).unwrap_or_default());
        let mut recorder = Recorder::new(AUTHOR, at_ms, &mut clock, OpSeq(5));
        let id = RecordId::v7(7, [7; 10]);
        let target = Target { existing, ..Target::new(id, Home::Outlet(OutletId(id))) };
        recorder.write(&target, Captured::at(at_ms, DEFAULT_ZONE)?, form)?;
        Ok(recorder.finish().remove(0))
    }

    #[test]
    fn an_edit_writes_only_what_changed_and_says_what_it_saw() {
        let open = Visit { opened_at_ms: Some(EVENING_MS), ..Visit::default() };
        let first = saved(None, EVENING_MS, &open).expect("valid");
        assert!(first.writes.iter().all(|write| write.seen.is_none()));
        let mut record = Record::empty(first.record, first.home);
        record.apply(&first);

        let closed = Visit { closed_at_ms: Some(EVENING_MS + 86_400_000), ..open };
        let second = saved(Some(&record), EVENING_MS + 86_400_000, &closed).expect("valid");
        assert!(second.written(16).is_none(), "the opening stands already");
        assert!(second.written(17).is_some());
        assert_eq!(second.writes.len(), 1, "the header stays that of the opening");
        let again = Visit { closed_at_ms: Some(1), ..Visit::default() };
        let third = {
            record.apply(&second);
            saved(Some(&record), EVENING_MS, &again).expect("valid")
        };
        assert_eq!(third.writes[0].seen, Some(second.stamp));
        assert!(record.apply(&second).conflicts.is_empty());
        assert_eq!(Header::read(&record).map(|header| header.business_day), Some(day(EVENING_MS)));
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_here() {
        let missing = saved(None, EVENING_MS, &Visit::default());
        assert!(matches!(
            missing,
            Err(RecordError::Invalid { invalid: Invalid::Missing { field: "opened_at_ms", .. } })
        ));
        let unknown = Captured::at(EVENING_MS, "Asia/Nowhere");
        assert!(matches!(unknown, Err(RecordError::UnknownZone { .. })));
    }

    fn day(at_ms: i64) -> Day {
        Day::local(at_ms, DEFAULT_ZONE).expect("a day")
    }
}
