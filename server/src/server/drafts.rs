//! What headquarters writes, as ops.

use xundian_protocol::calendar::{DEFAULT_ZONE, Day, utc_offset_min};
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId, RecordId};
use xundian_protocol::kinds::{ClockGrade, Header};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Value, Write};

/// A record that headquarters writes: an import's row or a form of the console.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// Which record.
    pub key: RecordKey,
    /// Where it lives.
    pub home: Home,
    /// The fields; those that stand already with the same value are left out.
    pub writes: Vec<Write>,
}

/// The header of what headquarters writes.
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

/// The op that a draft stands for, without its stamp; `None` where the record holds all of it already.
pub(super) fn draft_op(draft: Draft, standing: Option<&Record>, header: &Header, seq: OpSeq) -> Option<Op> {
    let register = |write: &Write| standing.and_then(|record| record.register(&write.at));
    let holds = |write: &Write| match register(write) {
        Some(register) => register.value == write.value,
        None => write.value == Value::Absent,
    };
    let mut writes: Vec<Write> = draft.writes.into_iter().filter(|write| !holds(write)).collect();
    if writes.is_empty() {
        return None;
    }
    writes.extend(header.writes());
    // A form or an import that says what it saw may find that somebody else was faster: a conflict. One
    // that says nothing saw what stands.
    for write in &mut writes {
        write.seen = write.seen.or_else(|| register(write).map(|register| register.stamp));
    }
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    let stamp = Stamp { hlc: Hlc(0), device: DeviceNo::SERVER };
    Some(Op { seq, stamp, record: draft.key, home: draft.home, writes })
}
