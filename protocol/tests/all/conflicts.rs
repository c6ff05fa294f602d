//! Conflict records: which ones are found in any order of arrival, and what they keep of the losing value.

use crate::{examples, random};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, PersonId, RecordId};
use xundian_protocol::kinds::{Conflict, Decision, Entity, Outlet, Side, validate_op};
use xundian_protocol::limits::RECORD_BYTES_MAX;
use xundian_protocol::record::{
    ConcurrentWrite as Found, FieldKey, Home, Key, Op, Record, Register, Value, Write,
};
use xundian_protocol::wire::stored::{decode_record, encode_record};

const NOTE: FieldKey = FieldKey::single(31);

fn op(stamp: Stamp, value: Value, seen: Option<Stamp>) -> Op {
    let record = Outlet::key(examples::id(40));
    let writes = vec![Write { at: NOTE, value, seen }];
    Op { seq: OpSeq(1), stamp, record, home: examples::outlet(), writes }
}

fn stamp(hlc: u64, device: u32) -> Stamp {
    Stamp { hlc: Hlc(hlc), device: DeviceNo(device) }
}

/// The losing values by conflict id, if each op arrives once in this order.
fn found<'a>(ops: impl IntoIterator<Item = &'a Op>) -> BTreeMap<RecordId, Vec<Side>> {
    let mut record = Record::empty(Outlet::key(examples::id(40)), examples::outlet());
    let mut conflicts: BTreeMap<RecordId, Vec<Side>> = BTreeMap::new();
    for op in ops {
        for conflict in record.apply(op).conflicts {
            let id = Conflict::id_of(op.record, &conflict.at, conflict.lost.stamp);
            let form = Conflict::of(op.record, &conflict, examples::NOON_MS, |_| None);
            conflicts.entry(id).or_default().extend(form.lost_side());
        }
    }
    conflicts
}

/// Writes of different values by different devices, and an order of arrival.
fn writes() -> impl Strategy<Value = (Vec<Op>, Vec<usize>)> {
    prop::collection::vec(0u64..4, 2..7).prop_flat_map(|moments| {
        let ops: Vec<Op> = moments
            .iter()
            .zip(0u32..)
            .map(|(hlc, n)| op(stamp(*hlc, n), Value::Int(n.into()), None))
            .collect();
        let order: Vec<usize> = (0..ops.len()).collect();
        (Just(ops), Just(order).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn of_concurrent_writes_all_but_the_last_lose_in_any_order_of_arrival(
        (ops, order) in writes(),
    ) {
        let (in_order, shuffled) = (found(&ops), found(order.iter().map(|at| &ops[*at])));
        prop_assert_eq!(&in_order, &shuffled, "the same conflicts with the same losing values");
        let last = ops.iter().map(|op| op.stamp).max();
        let losers: BTreeSet<_> = ops.iter().map(|op| op.stamp).filter(|stamp| Some(*stamp) != last).collect();
        let ids: BTreeSet<_> = losers.iter().map(|lost| Conflict::id_of(ops[0].record, &NOTE, *lost)).collect();
        prop_assert_eq!(in_order.keys().copied().collect::<BTreeSet<_>>(), ids);
    }

    #[test]
    fn a_write_that_arrives_once_loses_at_most_once_whatever_its_writer_saw(
        (ops, order) in writes(), seen in prop::collection::vec(prop::option::of(0usize..6), 6),
    ) {
        let mut ops = ops;
        let stamps: Vec<Stamp> = ops.iter().map(|op| op.stamp).collect();
        for (op, seen) in ops.iter_mut().zip(seen) {
            op.writes[0].seen = seen.and_then(|at| stamps.get(at).copied());
        }
        for lost in found(order.iter().map(|at| &ops[*at])).values() {
            prop_assert_eq!(lost.len(), 1, "a conflict record is written once, so it never overwrites a settlement");
        }
    }

    #[test]
    fn a_conflict_keeps_lines_and_values_of_any_type_unchanged(record in random::record(), stamps in (random::stamp(), random::stamp())) {
        for field in record.fields() {
            let register = |value: &Value, stamp| Register { value: value.clone(), stamp };
            let found = Found {
                at: field.at.clone(),
                kept: register(&Value::Absent, stamps.0),
                lost: register(&field.register.value, stamps.1),
            };
            let who = |device: DeviceNo| (device.0 > 1).then(|| (PersonId(examples::id(30)), "王芳".into()));
            let form = Conflict::of(record.key, &found, examples::NOON_MS, who);
            let op = Op { home: record.home, ..examples::create(&form, record.home, 67) };
            prop_assert_eq!(validate_op(&Conflict::SPEC, &op, None), Ok(()));
            let kept = examples::record_of(&op);
            prop_assert!(kept.bytes_max() <= Conflict::bytes_max(&found) + 2 * "王芳".len());
            let read = Conflict::read(&decode_record(&encode_record(&kept)).expect("its own bytes"));
            prop_assert_eq!(&read, &form);
            prop_assert_eq!(read.about(), Some((record.key, field.at.clone())));
            let lost = read.lost_side().expect("a complete side");
            prop_assert_eq!((&lost.held.key, &lost.held.value), (&field.at.key, &field.register.value));
            prop_assert_eq!(read.kept_side().expect("a complete side").held.value, Value::Absent);
        }
    }
}

#[test]
fn a_value_that_was_knowingly_overwritten_does_not_conflict_with_later_arrivals() {
    let (first, second, other) = (stamp(1, 1), stamp(2, 2), stamp(3, 3));
    let ops = [
        op(first, Value::Int(1), None),
        op(second, Value::Int(2), Some(first)),
        op(other, Value::Int(3), None),
    ];
    let id = |lost| Conflict::id_of(ops[0].record, &NOTE, lost);
    assert_eq!(found(&ops).into_keys().collect::<Vec<_>>(), [id(second)]);
    // If the other write arrives in between, it is concurrent with the first one too.
    let between = found([&ops[0], &ops[2], &ops[1]]);
    assert_eq!(between.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([id(first), id(second)]));
}

#[test]
fn different_records_fields_lines_and_writes_have_different_conflict_ids() {
    let record = Outlet::key(examples::id(40));
    let id = |tag, key: Key, lost| Conflict::id_of(record, &FieldKey { tag, key }, lost);
    let lines = [
        Key::Single,
        Key::Number(7),
        Key::Text("7".into()),
        Key::Text("number 7".into()),
        Key::NumberText(7, String::new()),
        Key::NumberText(7, "text 7".into()),
        Key::Id(RecordId::NIL),
    ];
    let mut ids: BTreeSet<RecordId> = lines.iter().map(|key| id(16, key.clone(), stamp(1, 1))).collect();
    ids.insert(id(17, Key::Single, stamp(1, 1)));
    ids.insert(id(16, Key::Single, stamp(2, 1)));
    ids.insert(id(16, Key::Single, stamp(1, 2)));
    ids.insert(Conflict::id_of(Outlet::key(examples::id(41)), &FieldKey::single(16), stamp(1, 1)));
    assert_eq!(ids.len(), lines.len() + 4);
}

#[test]
fn header_fields_and_settlements_make_no_conflict() {
    let outlet = Outlet::key(examples::id(40));
    assert!(Conflict::concerns(outlet, &NOTE));
    assert!(!Conflict::concerns(outlet, &FieldKey::single(1)), "the actor in the header");
    assert!(!Conflict::concerns(Conflict::key(examples::id(67)), &FieldKey::single(30)));
}

#[test]
fn of_two_concurrent_settlements_restoring_takes_precedence() {
    let mut record = examples::record_of(&examples::create(&examples::conflict(), examples::outlet(), 67));
    assert_eq!(Conflict::read(&record).settlement().map(|settled| settled.decision), Some(Decision::Kept));
    // It was restored earlier by the clock, but arrives later.
    let restored = Conflict::settled(Decision::Restored, PersonId(examples::id(32)), examples::NOON_MS);
    let op = Op { writes: restored.writes(), ..examples::create(&restored, examples::outlet(), 67) };
    record.apply(&Op { stamp: examples::stamp(-1, 8), ..op });
    let settlement = Conflict::read(&record).settlement().expect("settled");
    assert_eq!((settlement.decision, settlement.by), (Decision::Restored, PersonId(examples::id(32))));
    assert_eq!(
        Conflict::read(&record).settled_kept_by,
        Some(PersonId(examples::id(31))),
        "both settlements are recorded"
    );
}

#[test]
fn a_conflict_about_the_longest_values_fits_into_a_frame() {
    let text = |n: u8| {
        Value::Text(String::from_utf8(vec![n; xundian_protocol::limits::TEXT_BYTES_MAX]).expect("ASCII"))
    };
    let found = Found {
        at: FieldKey {
            tag: 20,
            key: Key::NumberText(1, "L".repeat(xundian_protocol::limits::KEY_TEXT_BYTES_MAX)),
        },
        kept: Register { value: text(b'a'), stamp: stamp(2, 2) },
        lost: Register { value: text(b'b'), stamp: stamp(1, 1) },
    };
    let form = Conflict::of(Outlet::key(examples::id(40)), &found, examples::NOON_MS, |_| None);
    let op = examples::create(&form, Home::Company, 67);
    assert_eq!(validate_op(&Conflict::SPEC, &op, None), Ok(()));
    assert!(examples::record_of(&op).bytes_max() <= RECORD_BYTES_MAX);
}
