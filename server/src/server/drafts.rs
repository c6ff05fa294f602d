//! What headquarters writes, as ops.

use crate::store::StoredRecord;
use std::collections::HashMap;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day, utc_offset_min};
use xundian_protocol::clock::{Clock, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId, RecordId};
use xundian_protocol::kinds::{ClockGrade, Entity, Header};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Value, Write};

/// A record that headquarters writes: an import's row or a form of the console.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// Which record.
    pub key: RecordKey,
    /// Its home.
    pub home: Home,
    /// The fields; those that already have the same value are left out.
    pub writes: Vec<Write>,
}

impl Draft {
    /// A draft of an entity's record.
    pub fn of<T: Entity>(id: RecordId, home: Home, entity: &T) -> Self {
        Self { key: T::key(id), home, writes: entity.writes() }
    }
}

/// The outcome of drafts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Records that did not exist before.
    pub created: usize,
    /// Records that changed.
    pub changed: usize,
    /// Records that already held everything.
    pub unchanged: usize,
}

/// The header of records written by headquarters.
pub(super) fn headquarters_header(now_ms: i64) -> Header {
    Header {
        actor: PersonId(RecordId::NIL),
        captured_at_ms: now_ms,
        utc_offset_min: utc_offset_min(now_ms, DEFAULT_ZONE).unwrap_or(0),
        clock_grade: ClockGrade::Trusted,
        business_day: Day::in_default_zone(now_ms),
        corrects: None,
    }
}

/// The ops of drafts, each stamped, and their outcome. A record that already holds its whole draft gets no op.
pub(super) fn ops_of_drafts(
    drafts: Vec<Draft>,
    current: &HashMap<RecordKey, StoredRecord>,
    clock: &mut Clock,
    now_ms: i64,
) -> (Vec<Op>, Written) {
    let header = headquarters_header(now_ms);
    let (mut ops, mut written) = (Vec::new(), Written::default());
    for draft in drafts {
        let current = current.get(&draft.key).map(|stored| &stored.record);
        let Some(writes) = writes_of(draft.writes, current, &header) else {
            written.unchanged += 1;
            continue;
        };
        let counted = if current.is_some() { &mut written.changed } else { &mut written.created };
        *counted += 1;
        let seq = OpSeq(ops.len() as u64 + 1);
        let stamp = Stamp { hlc: clock.tick(now_ms), device: DeviceNo::SERVER };
        ops.push(Op { seq, stamp, record: draft.key, home: draft.home, writes });
    }
    (ops, written)
}

/// The fields of a draft that the record does not hold yet, with the header; `None` if it holds all of them.
fn writes_of(writes: Vec<Write>, standing: Option<&Record>, header: &Header) -> Option<Vec<Write>> {
    let register = |write: &Write| standing.and_then(|record| record.register(&write.at));
    let holds = |write: &Write| match register(write) {
        Some(register) => register.value == write.value,
        None => write.value == Value::Absent,
    };
    let mut writes: Vec<Write> = writes.into_iter().filter(|write| !holds(write)).collect();
    if writes.is_empty() {
        return None;
    }
    writes.extend(header.writes());
    // A form or an import that reports the values it saw may find a concurrent change: a conflict. One that reports
    // nothing is taken to have seen the current values.
    for write in &mut writes {
        write.seen = write.seen.or_else(|| register(write).map(|register| register.stamp));
    }
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    Some(writes)
}
