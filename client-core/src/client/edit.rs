//! Editing shared records, and correcting rejected saves.

use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::{Entity, KindSpec, WritePolicy, header, spec};
use xundian_protocol::record::{Op, RecordKey, Value, Write};

use super::Client;
use crate::errors::RecordError;
use crate::recorder::Target;
use crate::store::{RejectedId, Save};

impl Client {
    /// Writes the filled-in fields of an entity into a shared record, such as an outlet or an issue. With `before`, the
    /// entity as the person saw it, only the differences are written, emptied fields are removed, and a concurrent
    /// change becomes a conflict instead of being lost. If nothing changed, nothing is saved.
    ///
    /// # Errors
    /// Returns an error if the device has no such record, the kind is not editable, or a value is not allowed.
    pub fn edit<T: Entity>(&self, id: RecordId, form: &T, before: Option<&T>) -> Result<(), RecordError> {
        self.edit_fields(T::key(id), form.writes(), before.map(Entity::writes))
    }

    /// Like [`Self::edit`], with the entities' fields.
    pub(crate) fn edit_fields(
        &self,
        key: RecordKey,
        form: Vec<Write>,
        before: Option<Vec<Write>>,
    ) -> Result<(), RecordError> {
        let kind = edited_kind(key)?;
        self.save(|recorder, _, moment| {
            let record = self.store.record(key)?.ok_or(RecordError::NoSuchRecord { key })?;
            let writes = before.as_ref().map_or_else(|| form.clone(), |before| changed(&form, before));
            let target = Target {
                existing: Some(&record),
                before: before.as_deref(),
                ..Target::new(key.id, record.home)
            };
            recorder.write_fields(kind, &target, self.captured(&record, moment)?, writes)?;
            Ok(((), Save::default()))
        })
    }

    /// Saves a rejected op again, with the given entity's fields in place of the rejected ones. The same transaction
    /// removes it from the rejected ops.
    ///
    /// # Errors
    /// Returns an error if there is no such rejected save, the entity is of another kind, or a value is not allowed.
    pub fn mend_rejected<T: Entity>(&self, id: RejectedId, form: &T) -> Result<(), RecordError> {
        self.mend_fields(id, &T::SPEC, form.writes())
    }

    /// Like [`Self::mend_rejected`], with the entity's fields.
    pub(crate) fn mend_fields(
        &self,
        id: RejectedId,
        kind: &KindSpec,
        form: Vec<Write>,
    ) -> Result<(), RecordError> {
        if form.is_empty() {
            return Err(RecordError::Empty { kind: kind.code });
        }
        self.save(|recorder, _, _| {
            let rejected = self.store.rejected_save(id)?.ok_or(RecordError::NoSuchRejected { id })?;
            if rejected.op.record.kind != kind.kind {
                let of = spec(rejected.op.record.kind).map_or("record of a newer version", |spec| spec.code);
                return Err(RecordError::OtherKind { id, of, form: kind.code });
            }
            let existing = self.store.record(rejected.op.record)?;
            let mended = Op { writes: mended(kind, rejected.op.writes, form), ..rejected.op };
            recorder.resend(&mended, existing.as_ref())?;
            Ok(((), Save { resends: Some(id), ..Save::default() }))
        })
    }
}

/// The kind of a record, if people edit that kind.
pub(super) fn edited_kind(key: RecordKey) -> Result<&'static KindSpec, RecordError> {
    let kind = spec(key.kind).ok_or(RecordError::NoSuchRecord { key })?;
    match kind.write_policy {
        WritePolicy::Event => Err(RecordError::CorrectedOnly { kind: kind.code }),
        WritePolicy::Reference => Err(RecordError::HeadquartersOnly { kind: kind.code }),
        WritePolicy::Edited if kind.fields.iter().any(|field| field.server) => {
            Err(RecordError::HeadquartersOnly { kind: kind.code })
        }
        WritePolicy::Edited => Ok(kind),
    }
}

/// The writes and removals that lead from one state of the fields to the other.
fn changed(form: &[Write], before: &[Write]) -> Vec<Write> {
    let written = form.iter().filter(|write| !before.contains(write)).cloned();
    let emptied = before.iter().filter(|old| form.iter().all(|write| write.at != old.at));
    let removals = emptied.map(|old| Write { value: Value::Absent, ..old.clone() });
    written.chain(removals).collect()
}

/// The writes of a rejected save, with new fields in place of the old. Kept are who captured it and when, fields
/// unknown to this version, and removals, which no entity can express.
fn mended(kind: &KindSpec, refused: Vec<Write>, form: Vec<Write>) -> Vec<Write> {
    let is_shown = |write: &Write| {
        write.at.tag >= header::TAGS_END && write.value != Value::Absent && kind.field(write.at.tag).is_some()
    };
    let stays = |write: &Write| !is_shown(write) && form.iter().all(|mended| mended.at != write.at);
    let mut writes: Vec<Write> = refused.into_iter().filter(stays).collect();
    writes.extend(form);
    writes.sort_unstable_by(|a, b| a.at.cmp(&b.at));
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use xundian_protocol::kinds::{Channel, Outlet, Visit};
    use xundian_protocol::record::FieldKey;

    #[test]
    fn an_edit_writes_what_the_person_changed_and_removes_what_they_emptied() {
        let before = Outlet {
            name: Some("银泰店".into()),
            phone: Some("010".into()),
            channel: Some(Channel::Chain),
            ..Outlet::default()
        };
        let after = Outlet { phone: None, note: Some("周一休".into()), ..before.clone() };
        let writes = changed(&after.writes(), &before.writes());
        let found: Vec<_> = writes.iter().map(|write| (write.at.tag, &write.value)).collect();
        assert_eq!(found, [(31, &Value::Text("周一休".into())), (30, &Value::Absent)]);
    }

    #[test]
    fn mending_keeps_what_the_form_does_not_show() {
        let write = |tag, value| Write { at: FieldKey::single(tag), value, seen: None };
        let refused = vec![
            write(1, Value::Id(RecordId::NIL)),
            write(20, Value::Int(-5)),
            write(29, Value::Text("旧".into())),
            write(25, Value::Absent),
            write(60_000, Value::Bool(true)),
        ];
        let form = Visit { time_in_store_ms: Some(5), ..Visit::default() };
        let tags: Vec<_> =
            mended(&Visit::SPEC, refused, form.writes()).iter().map(|write| write.at.tag).collect();
        assert_eq!(tags, [1, 20, 25, 60_000], "the note was taken out of the form");
    }

    #[test]
    fn only_what_people_edit_is_edited() {
        let key = |kind: &KindSpec| RecordKey { kind: kind.kind, id: RecordId::NIL };
        assert!(edited_kind(key(&Outlet::SPEC)).is_ok());
        let visit = edited_kind(key(&Visit::SPEC));
        assert!(matches!(visit, Err(RecordError::CorrectedOnly { kind: "visit" })));
        for kind in [&xundian_protocol::kinds::Product::SPEC, &xundian_protocol::kinds::Conflict::SPEC] {
            assert!(
                matches!(edited_kind(key(kind)), Err(RecordError::HeadquartersOnly { .. })),
                "{}",
                kind.code
            );
        }
    }
}
