//! Authorisation: whether an op may be merged, decided by its writer, its day, its home and its kind's declaration.

use xundian_protocol::access::{Denied, Directory, Grant, Writer};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{DeviceNo, PersonId};
use xundian_protocol::kinds::{self, Conflict, Entity, Header, WritePolicy, header};
use xundian_protocol::record::{Home, Op, Record, RecordKey, Value, Write};
use xundian_protocol::wire::v1::Refusal;

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

/// Checks the ops of one batch.
pub(super) struct Authoriser<'a> {
    pub(super) directory: &'a Directory,
    /// The device that sent the batch.
    pub(super) device: DeviceNo,
    pub(super) writer: Writer,
    pub(super) now_ms: i64,
}

impl Authoriser<'_> {
    /// Checks one op. `current` returns a record of the batch's read set as it is now.
    ///
    /// # Errors
    /// Returns why the op must be rejected.
    pub(super) fn check<'r>(
        &self,
        op: &Op,
        current: impl Fn(RecordKey) -> Option<&'r Record>,
    ) -> Result<(), Refused> {
        let refuse = |why, message: String| Err(Refused { why, message });
        let standing = current(op.record);
        if op.stamp.device != self.device {
            return refuse(
                Refusal::Invalid,
                format!("the op is stamped by {}, sent by {}", op.stamp.device, self.device),
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
            && !only_names_a_correction(op, person, current)
        {
            let message =
                format!("the {} was written by another person: save a new one that corrects it", spec.code);
            return refuse(Refusal::NotTheAuthor, message);
        }
        Ok(())
    }

    /// Checks an op of a kind that this server does not know, from a newer app. It is kept and sent to everybody who
    /// sees its home, without figures (docs/adr/0012).
    ///
    /// Records of the company or of a unit are written by headquarters only, whatever their kind.
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

    /// The day of the work, for which the writer's scope is looked up. It must be the day of the op's moment, within
    /// the range of time zones.
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

    /// The day of an op without a business day. For one's own visit or count it is the day of that record, however late
    /// it is corrected; otherwise the day of the stamp.
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
}

/// Whether an op on another person's record only names the record that corrects it: one of the same kind and home,
/// which its writer has written.
fn only_names_a_correction<'r>(
    op: &Op,
    writer: PersonId,
    current: impl Fn(RecordKey) -> Option<&'r Record>,
) -> bool {
    let [write] = &op.writes[..] else { return false };
    let Value::Id(id) = &write.value else { return false };
    let by = current(RecordKey { id: *id, ..op.record });
    write.at.tag == header::CORRECTED_BY
        && by.is_some_and(|by| by.home == op.home && Header::read(by).is_some_and(|h| h.actor == writer))
}

/// Checks the settlement of a conflict. People settle in their own name, and need the right to write the field in
/// conflict, because restoring writes it.
fn check_settlement(
    directory: &Directory,
    person: PersonId,
    op: &Op,
    standing: Option<&Record>,
    day: Day,
    today: Day,
) -> Result<(), Refused> {
    let mut settlers = Conflict::settlers(op).peekable();
    if settlers.peek().is_none() || settlers.any(|by| by != Some(person)) {
        let message = "a conflict is settled in one's own name alone, and by nothing else".into();
        return Err(Refused { why: Refusal::Invalid, message });
    }
    let conflict = standing.map(Conflict::read).unwrap_or_default();
    let Some((record, at)) = conflict.about() else { return Ok(()) };
    // For an unknown kind only the home decides, as for the record itself.
    let Some(spec) = kinds::spec(record.kind) else { return Ok(()) };
    let value = conflict.lost.map(|lost| lost.value).unwrap_or(Value::Absent);
    let restoring = Op { record, writes: vec![Write { at, value, seen: None }], ..op.clone() };
    Ok(directory.may_write(Writer::Person(person), spec, &restoring, day, today)?)
}
