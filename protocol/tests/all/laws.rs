//! The merge laws, over random records and ops of every known kind and of an unknown one.

use crate::random;
use proptest::prelude::*;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, KindId, OpSeq, RecordId};
use xundian_protocol::record::{Field, FieldKey, Home, Op, Record, RecordKey, Register, Value, Write};

fn merged(mut into: Record, other: &Record) -> Record {
    into.merge(other);
    into
}

/// The record after a single op.
fn alone(op: &Op) -> Record {
    let mut record = Record::empty(op.record, op.home);
    record.apply(op);
    record
}

proptest! {
    #[test]
    fn merging_is_commutative(copies in random::copies(2)) {
        prop_assert_eq!(merged(copies[0].clone(), &copies[1]), merged(copies[1].clone(), &copies[0]));
    }

    #[test]
    fn merging_is_associative(copies in random::copies(3)) {
        let [a, b, c] = <[Record; 3]>::try_from(copies).unwrap();
        let left = merged(merged(a.clone(), &b), &c);
        let right = merged(a, &merged(b, &c));
        prop_assert_eq!(left, right);
    }

    #[test]
    fn merging_is_idempotent_and_reports_whether_anything_changed(copies in random::copies(2)) {
        let once = merged(copies[0].clone(), &copies[1]);
        let mut twice = once.clone();
        prop_assert!(!twice.merge(&copies[1]) && !twice.merge(&copies[0]) && !twice.merge(&once.clone()));
        prop_assert_eq!(&twice, &once);
        let mut first = copies[0].clone();
        prop_assert_eq!(first.merge(&copies[1]), once != copies[0]);
    }

    #[test]
    fn ops_in_any_order_and_repeated_give_the_same_record(
        (ops, order) in random::ops_on_one(1..8).prop_flat_map(|ops| {
            let repeated: Vec<usize> = (0..ops.len()).chain(0..ops.len()).collect();
            (Just(ops), Just(repeated).prop_shuffle())
        }),
    ) {
        let mut in_order = Record::empty(ops[0].record, ops[0].home);
        for op in &ops {
            in_order.apply(op);
        }
        let mut shuffled = Record::empty(ops[0].record, ops[0].home);
        for at in order {
            shuffled.apply(&ops[at]);
        }
        prop_assert_eq!(&shuffled, &in_order);
        let merged = ops.iter().map(alone).reduce(|into, other| merged(into, &other)).unwrap();
        prop_assert_eq!(merged, in_order);
    }

    #[test]
    fn from_fields_equals_merging_one_by_one(copies in random::copies(3), seed in any::<u64>()) {
        let mut fields: Vec<Field> = copies.iter().flat_map(Record::fields).cloned().collect();
        let mut random = random::Random::new(seed);
        for at in (1..fields.len()).rev() {
            fields.swap(at, random.below(at as u64 + 1) as usize);
        }
        let (key, home) = (copies[0].key, copies[0].home);
        let one_by_one = fields.iter().fold(Record::empty(key, home), |into, field| {
            merged(into, &Record::from_fields(key, home, vec![field.clone()]))
        });
        prop_assert_eq!(Record::from_fields(key, home, fields), one_by_one);
    }

    #[test]
    fn fields_are_in_order_and_unique_and_can_be_found(copies in random::copies(2)) {
        let record = merged(copies[0].clone(), &copies[1]);
        prop_assert!(record.fields().windows(2).all(|pair| pair[0].at < pair[1].at));
        for field in record.fields() {
            prop_assert_eq!(record.register(&field.at), Some(&field.register));
            prop_assert!(record.lines(field.at.tag).contains(field));
        }
        let newest = record.fields().iter().map(|field| field.register.stamp).max();
        prop_assert_eq!(record.newest(), newest);
    }

    #[test]
    fn a_conflict_is_reported_exactly_if_the_writer_had_not_seen_the_current_value(
        base in random::copies(1),
        ops in random::ops_on_one(1..2),
    ) {
        let before = &base[0];
        let op = Op { record: before.key, home: before.home, ..ops[0].clone() };
        let mut after = before.clone();
        let applied = after.apply(&op);
        for write in &op.writes {
            let found = applied.conflicts.iter().find(|conflict| conflict.at == write.at);
            let unseen = before.register(&write.at).filter(|standing| {
                let known = write.seen == Some(standing.stamp) || standing.stamp.device == op.stamp.device;
                !known && standing.value != write.value
            });
            prop_assert_eq!(found.is_some(), unseen.is_some(), "{:?}", write);
            let Some(conflict) = found else { continue };
            prop_assert_eq!(Some(&conflict.kept), after.register(&write.at));
            let written = Register { value: write.value.clone(), stamp: op.stamp };
            let other = if conflict.kept == written { unseen.unwrap() } else { &written };
            prop_assert_eq!(&conflict.lost, other);
        }
        prop_assert_eq!(applied.changed, after != *before);
    }
}

// ---- Conflicts, case by case ----

const AT: FieldKey = FieldKey::single(16);

fn stamp(hlc: u64, device: u32) -> Stamp {
    Stamp { hlc: Hlc(hlc), device: DeviceNo(device) }
}

fn op(stamp: Stamp, value: i64, seen: Option<Stamp>) -> Op {
    let write = Write { at: AT, value: Value::Int(value), seen };
    let record = RecordKey { kind: KindId(4), id: RecordId::NIL };
    Op { seq: OpSeq(1), stamp, record, home: Home::Company, writes: vec![write] }
}

fn standing(stamp: Stamp, value: i64) -> Record {
    alone(&op(stamp, value, None))
}

#[test]
fn a_write_that_saw_the_current_value_is_no_conflict() {
    let mut record = standing(stamp(5, 1), 1);
    assert!(record.apply(&op(stamp(6, 2), 2, Some(stamp(5, 1)))).conflicts.is_empty());
    assert_eq!(record.value(16), Some(&Value::Int(2)));
}

#[test]
fn of_two_concurrent_writes_the_later_wins_and_the_conflict_keeps_the_other() {
    let mut record = standing(stamp(5, 1), 1);
    let late = record.apply(&op(stamp(6, 2), 2, None));
    assert_eq!(late.conflicts[0].kept.value, Value::Int(2));
    assert_eq!(late.conflicts[0].lost.value, Value::Int(1));

    let mut record = standing(stamp(6, 2), 2);
    let early = record.apply(&op(stamp(5, 1), 1, None));
    assert!(!early.changed);
    assert_eq!(early.conflicts, late.conflicts, "the same conflict, whichever write arrives first");
}

#[test]
fn the_same_write_sent_again_is_no_conflict() {
    let mut record = standing(stamp(5, 1), 1);
    assert_eq!(record.apply(&op(stamp(5, 1), 1, None)), Default::default());
}

#[test]
fn two_writes_of_the_same_value_are_no_conflict() {
    let mut record = standing(stamp(5, 1), 1);
    assert!(record.apply(&op(stamp(6, 2), 1, None)).conflicts.is_empty());
}

#[test]
fn a_device_does_not_conflict_with_itself() {
    let mut record = standing(stamp(5, 1), 1);
    assert!(record.apply(&op(stamp(4, 1), 3, None)).conflicts.is_empty());
}

#[test]
fn a_concurrent_removal_is_a_conflict_like_any_other_write() {
    let mut record = standing(stamp(5, 1), 1);
    let removal =
        Op { writes: vec![Write { at: AT, value: Value::Absent, seen: None }], ..op(stamp(7, 2), 0, None) };
    assert_eq!(record.apply(&removal).conflicts.len(), 1);
    assert_eq!(record.value(16), None);
    assert_eq!(record.register(&AT).map(|register| &register.value), Some(&Value::Absent));
}
