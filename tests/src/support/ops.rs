//! Ops as a device makes them, for tests that choose themselves what to send.

use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId, RecordId};
use xundian_protocol::kinds::{ClockGrade, Entity, Header};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Write};

/// The author of ops: a device, its person, and the next sequence number.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// The device.
    pub device: DeviceNo,
    /// Its person.
    pub person: PersonId,
    /// The sequence number of the next op.
    pub next: OpSeq,
}

impl Author {
    /// Creates an op that writes an entity at a moment. The author has seen the record as in `seen`, or not at all.
    ///
    /// # Panics
    /// Panics if the moment is outside the calendar.
    pub fn op<T: Entity>(
        &mut self,
        form: &T,
        id: RecordId,
        home: Home,
        at_ms: i64,
        seen: Option<&Record>,
    ) -> Op {
        let header = Header {
            actor: self.person,
            captured_at_ms: at_ms,
            utc_offset_min: 480,
            clock_grade: ClockGrade::Trusted,
            business_day: Day::local(at_ms, DEFAULT_ZONE).expect("a day of the calendar"),
            corrects: None,
        };
        let mut writes: Vec<Write> = header.writes().into_iter().chain(form.writes()).collect();
        writes.sort_by(|a, b| a.at.cmp(&b.at));
        for write in &mut writes {
            write.seen = seen.and_then(|record| record.register(&write.at)).map(|register| register.stamp);
        }
        let stamp = Stamp { hlc: Hlc(Hlc::at_ms(at_ms).0 + self.next.0), device: self.device };
        let op = Op { seq: self.next, stamp, record: RecordKey { kind: T::SPEC.kind, id }, home, writes };
        self.next = self.next.next();
        op
    }
}
