//! Scopes in small organisations of every shape, including cycles and missing records.

use proptest::prelude::*;
use std::collections::BTreeSet;
use xundian_protocol::access::{Denied, Directory, Grant, Writer, scope_digest};
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, KindId, OpSeq, OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    self, Channel, Conflict, Entity, Issue, OrgUnit, Outlet, OutletAssignment, OutletStatus, Person,
    PersonStatus, Position, Role, StockCount, UnitType,
};
use xundian_protocol::limits::LATE_WORK_DAYS_MAX;
use xundian_protocol::record::{FieldKey, Home, Key, Op, Record, RecordKey, Value, Write};

const COUNT: u8 = 5;
const DAYS: i32 = 8;

fn id(of: u8, n: u8) -> RecordId {
    let mut bytes = [0; 16];
    (bytes[0], bytes[15]) = (of, n);
    RecordId::from_bytes(bytes)
}

fn unit(n: u8) -> OrgUnitId {
    OrgUnitId(id(1, n))
}

fn position(n: u8) -> PositionId {
    PositionId(id(2, n))
}

fn person(n: u8) -> PersonId {
    PersonId(id(3, n))
}

fn outlet(n: u8) -> OutletId {
    OutletId(id(4, n))
}

fn record<T: Entity>(form: &T, id: RecordId, home: Home) -> Record {
    let mut record = Record::empty(T::key(id), home);
    let stamp = Stamp { hlc: Hlc(1), device: DeviceNo::SERVER };
    record.apply(&Op { seq: OpSeq(1), stamp, record: record.key, home, writes: form.writes() });
    record
}

fn text(n: u8) -> Option<String> {
    Some(n.to_string())
}

fn unit_record(n: u8, parent: Option<u8>, territory: &[String]) -> Record {
    let form = OrgUnit {
        code: text(n),
        name_zh: text(n),
        unit_type: Some(UnitType::Region),
        parent: parent.map(unit),
        territory: territory.iter().map(|code| (code.clone(), true)).collect(),
        ..Default::default()
    };
    record(&form, unit(n).0, Home::Company)
}

fn position_record(n: u8, of: u8, role: Role) -> Record {
    let form =
        Position { code: text(n), title: text(n), unit: Some(unit(of)), role: Some(role), superior: None };
    record(&form, position(n).0, Home::Company)
}

fn person_record(n: u8, active: bool, holds: Option<u8>) -> Record {
    let status = if active { PersonStatus::Active } else { PersonStatus::Left };
    let form = Person {
        code: text(n),
        name: text(n),
        status: Some(status),
        position: holds.map(position),
        ..Default::default()
    };
    record(&form, person(n).0, Home::Person(person(n)))
}

fn outlet_record(n: u8, of: Option<u8>) -> Record {
    let form = Outlet {
        code: text(n),
        name: text(n),
        channel: Some(Channel::Chain),
        unit: of.map(unit),
        status: Some(OutletStatus::Active),
        ..Default::default()
    };
    record(&form, outlet(n).0, Home::Outlet(outlet(n)))
}

fn assignment(n: u8, of: u8, to: u8, epoch: i64, days: (i32, Option<i32>)) -> Record {
    let form = OutletAssignment {
        position: Some(position(to)),
        epoch: Some(epoch),
        from: Some(Day(days.0)),
        to: days.1.map(Day),
        reason: None,
    };
    record(&form, id(5, n), Home::Outlet(outlet(of)))
}

fn directory(records: &[Record]) -> Directory {
    let mut directory = Directory::default();
    for record in records {
        directory.apply(record);
    }
    directory
}

/// Organisations with cycles of units, references to missing units and positions, and outlets without a profile. Records
/// with numbers from COUNT on do not exist.
fn organisation() -> impl Strategy<Value = Vec<Record>> {
    let n = || 0..COUNT;
    let any = || 0..COUNT + 2;
    let role = prop::sample::select(vec![
        Role::Merchandiser,
        Role::Representative,
        Role::Manager,
        Role::Headquarters,
    ]);
    let days = (0..DAYS, prop::option::of(0..DAYS));
    let records = prop_oneof![
        2 => (n(), prop::option::of(any())).prop_map(|(n, parent)| unit_record(n, parent, &[])),
        2 => (n(), any(), role).prop_map(|(n, of, role)| position_record(n, of, role)),
        2 => (n(), prop::bool::weighted(0.9), prop::option::weighted(0.9, any()))
            .prop_map(|(n, active, holds)| person_record(n, active, holds)),
        2 => (n(), prop::option::of(any())).prop_map(|(n, of)| outlet_record(n, of)),
        3 => (n(), any(), any(), 0i64..3, days)
            .prop_map(|(n, of, to, epoch, days)| assignment(n, of, to, epoch, days)),
    ];
    prop::collection::vec(records, 0..50)
}

fn all_homes() -> Vec<Home> {
    let of = |n| [Home::Unit(unit(n)), Home::Person(person(n)), Home::Outlet(outlet(n))];
    std::iter::once(Home::Company).chain((0..COUNT + 2).flat_map(of)).collect()
}

fn op(kind: KindId, home: Home, writes: Vec<Write>) -> Op {
    let stamp = Stamp { hlc: Hlc(1), device: DeviceNo(1) };
    Op { seq: OpSeq(1), stamp, record: RecordKey { kind, id: id(9, 9) }, home, writes }
}

/// Whether the directory knows a home. Other homes cannot be listed in a scope.
fn is_known(directory: &Directory, home: Home) -> bool {
    match home {
        Home::Company => true,
        Home::Unit(id) => directory.unit(id).is_some(),
        Home::Person(id) => directory.person(id).is_some(),
        Home::Outlet(id) => directory.outlet(id).is_some() || directory.assignments(id).next().is_some(),
    }
}

proptest! {
    #[test]
    fn a_scope_is_all_homes_that_the_person_sees(records in organisation(), day in 0..DAYS) {
        let directory = directory(&records);
        for person in (0..COUNT + 1).map(person) {
            let scope = directory.scope(person, Day(day));
            prop_assert!(scope.windows(2).all(|pair| pair[0] < pair[1]), "in order, each home once");
            for home in all_homes() {
                let sees = directory.sees(person, home, Day(day));
                let known = is_known(&directory, home);
                if scope.contains(&home) {
                    prop_assert!(sees, "the scope of {person} has {home:?}, which they do not see");
                } else {
                    prop_assert!(!(sees && known), "the scope of {person} lacks {home:?}, which they see");
                }
                for spec in kinds::ALL {
                    let op = op(spec.kind, home, Vec::new());
                    let may = directory.may_write(Writer::Person(person), spec, &op, Day(day), Day(day)).is_ok();
                    prop_assert!(sees || !may, "{person} may write a {} in {home:?} without seeing it", spec.code);
                }
            }
        }
    }

    #[test]
    fn records_in_any_order_make_the_same_organisation(
        (records, shuffled) in organisation().prop_flat_map(|records| {
            // The last state of a record wins, so each record occurs only once here.
            let mut seen = BTreeSet::new();
            let once: Vec<Record> =
                records.into_iter().filter(|record| seen.insert((record.key, record.home))).collect();
            (Just(once.clone()), Just(once).prop_shuffle())
        }),
        day in 0..DAYS,
    ) {
        let distinct: BTreeSet<_> = records.iter().map(|record| record.key).collect();
        prop_assume!(distinct.len() == records.len());
        let (one, other) = (directory(&records), directory(&shuffled));
        for person in (0..COUNT).map(person) {
            prop_assert_eq!(one.scope(person, Day(day)), other.scope(person, Day(day)));
        }
        for outlet in (0..COUNT).map(outlet) {
            prop_assert_eq!(one.unit_on(outlet, Day(day)), other.unit_on(outlet, Day(day)));
        }
    }

    #[test]
    fn the_assignment_in_force_has_the_greatest_epoch(records in organisation(), day in 0..DAYS) {
        let directory = directory(&records);
        for outlet in (0..COUNT + 2).map(outlet) {
            let in_force = |a: &xundian_protocol::access::Assignment| {
                a.from <= Day(day) && a.to.is_none_or(|to| Day(day) <= to)
            };
            let greatest = directory.assignments(outlet).filter(in_force).map(|a| a.epoch).max();
            prop_assert_eq!(directory.assignment_on(outlet, Day(day)).map(|a| a.epoch), greatest);
        }
    }

    #[test]
    fn cycles_end_the_walk(records in organisation()) {
        let directory = directory(&records);
        for unit in (0..COUNT + 2).map(unit) {
            let chain = directory.chain(unit);
            let distinct: BTreeSet<_> = chain.iter().collect();
            prop_assert_eq!(distinct.len(), chain.len());
            let _ = (directory.region_of(unit), directory.people_within(unit, Day(1)).count());
        }
    }
}

#[test]
fn a_hand_over_is_a_new_assignment_with_a_greater_epoch() {
    let mut directory = directory(&[
        unit_record(0, None, &[]),
        unit_record(1, None, &[]),
        position_record(0, 0, Role::Merchandiser),
        position_record(1, 1, Role::Merchandiser),
        person_record(0, true, Some(0)),
        person_record(1, true, Some(1)),
        outlet_record(0, None),
        assignment(0, 0, 0, 1, (0, None)),
    ]);
    let home = Home::Outlet(outlet(0));
    assert!(directory.sees(person(0), home, Day(3)) && !directory.sees(person(1), home, Day(3)));
    directory.apply(&assignment(1, 0, 1, 2, (4, None)));
    for (day, before, after) in [(3, true, false), (4, false, true)] {
        assert_eq!(directory.sees(person(0), home, Day(day)), before, "day {day}");
        assert_eq!(directory.sees(person(1), home, Day(day)), after, "day {day}");
    }
    assert_eq!(directory.unit_on(outlet(0), Day(3)), Some(unit(0)), "earlier days stay with the first unit");
    assert_eq!(directory.unit_on(outlet(0), Day(4)), Some(unit(1)));
}

#[test]
fn an_unassigned_outlet_counts_towards_the_unit_of_its_territory_or_no_unit() {
    let directory =
        directory(&[unit_record(0, None, &[]), outlet_record(0, Some(0)), outlet_record(1, None)]);
    assert_eq!(directory.unit_on(outlet(0), Day(1)), Some(unit(0)));
    assert_eq!(directory.unit_on(outlet(1), Day(1)), None);
}

#[test]
fn an_assigned_outlet_is_in_its_managers_scope_before_its_profile_arrives() {
    let directory = directory(&[
        unit_record(0, None, &[]),
        position_record(0, 0, Role::Manager),
        position_record(1, 0, Role::Merchandiser),
        person_record(0, true, Some(0)),
        assignment(0, 3, 1, 1, (0, None)),
    ]);
    assert!(directory.scope(person(0), Day(1)).contains(&Home::Outlet(outlet(3))));
}

#[test]
fn a_division_belongs_to_the_unit_with_the_longest_prefix() {
    let codes = |codes: &[&str]| -> Vec<String> { codes.iter().map(|code| (*code).into()).collect() };
    let directory = directory(&[
        unit_record(0, None, &codes(&["11", "13"])),
        unit_record(1, None, &codes(&["1101", "12"])),
        unit_record(2, None, &codes(&["110108"])),
    ]);
    let found = |division| directory.unit_of_division(division);
    assert_eq!(found("110108"), Some(unit(2)));
    assert_eq!(found("110105"), Some(unit(1)));
    assert_eq!(found("1102"), Some(unit(0)));
    assert_eq!(found("44"), None);
}

#[test]
fn a_person_who_has_left_or_holds_no_position_sees_only_the_company() {
    let directory = directory(&[
        unit_record(0, None, &[]),
        position_record(0, 0, Role::Headquarters),
        person_record(0, false, Some(0)),
        person_record(1, true, None),
    ]);
    for n in 0..2 {
        assert_eq!(directory.scope(person(n), Day(1)), [Home::Company]);
        assert_eq!(directory.grant(person(n), Day(1)), None);
    }
}

#[test]
fn work_belongs_to_the_position_held_on_its_day() {
    let mut directory = directory(&[
        unit_record(0, None, &[]),
        unit_record(1, None, &[]),
        position_record(0, 0, Role::Merchandiser),
        position_record(1, 1, Role::Manager),
        outlet_record(0, None),
        assignment(0, 0, 0, 1, (0, None)),
    ]);
    let moved = |left_on: Option<i32>| Person {
        code: text(0),
        name: text(0),
        status: Some(if left_on.is_some() { PersonStatus::Left } else { PersonStatus::Active }),
        position: Some(position(0)),
        left_on: left_on.map(Day),
        position_from: [(Day(4), position(1)), (Day(7), PositionId(RecordId::NIL))].into(),
        ..Default::default()
    };
    let home = Home::Outlet(outlet(0));
    let op = op(StockCount::SPEC.kind, home, Vec::new());
    let late = |directory: &Directory, day, today| {
        directory.may_write(Writer::Person(person(0)), &StockCount::SPEC, &op, Day(day), Day(today))
    };
    let may = |directory: &Directory, day| late(directory, day, 8);
    directory.apply(&record(&moved(None), person(0).0, Home::Person(person(0))));
    assert_eq!(may(&directory, 3), Ok(()), "work done before the move is accepted after it");
    assert!(
        matches!(may(&directory, 4), Err(Denied::Scope { .. })),
        "the outlet stays with the old position"
    );
    assert_eq!(directory.grant(person(0), Day(4)), Some(Grant::Unit(unit(1))));
    assert!(
        matches!(may(&directory, 7), Err(Denied::NoPosition { day: Day(7), .. })),
        "no position from day 7 on"
    );
    assert_eq!(late(&directory, 3, 3 + LATE_WORK_DAYS_MAX), Ok(()));
    assert!(
        late(&directory, 3, 4 + LATE_WORK_DAYS_MAX).is_err(),
        "an old day does not extend the right for ever"
    );
    let edited = |hlc| {
        let op = Op { stamp: Stamp { hlc, ..op.stamp }, ..op.clone() };
        directory.may_write(Writer::Person(person(0)), &Issue::SPEC, &op, Day(3), Day(8))
    };
    assert_eq!(edited(Hlc::at_ms(3 * 86_400_000)), Ok(()));
    assert!(edited(Hlc::at_ms(6 * 86_400_000)).is_err(), "a later stamp could override edits by others");
    assert!(
        late(&directory, 3, 2).is_ok() && late(&directory, 8, 3).is_err(),
        "a future day is judged by its position"
    );

    directory.apply(&record(&moved(Some(3)), person(0).0, Home::Person(person(0))));
    assert_eq!(may(&directory, 3), Ok(()), "the last day of work");
    assert!(matches!(may(&directory, 4), Err(Denied::NoPosition { .. })), "after the last day of work");
    assert!(
        directory.people_within(unit(1), Day(9)).any(|id| id == person(0)),
        "the manager still sees the work"
    );
}

#[test]
fn reference_data_need_the_right_of_today_whatever_day_the_op_states() {
    let left = Person {
        code: text(0),
        name: text(0),
        status: Some(PersonStatus::Left),
        left_on: Some(Day(5)),
        position: Some(position(0)),
        ..Default::default()
    };
    let directory = directory(&[
        unit_record(0, None, &[]),
        position_record(0, 0, Role::Headquarters),
        record(&left, person(0).0, Home::Person(person(0))),
    ]);
    let op = op(Person::SPEC.kind, Home::Person(person(0)), Vec::new());
    let may = |today| directory.may_write(Writer::Person(person(0)), &Person::SPEC, &op, Day(5), Day(today));
    assert_eq!(may(5), Ok(()));
    assert!(may(6).is_err(), "a person who has left headquarters cannot reinstate themselves");
}

#[test]
fn a_future_move_has_no_effect_yet() {
    let moving = record(
        &Person {
            code: text(0),
            name: text(0),
            status: Some(PersonStatus::Active),
            position: Some(position(0)),
            position_from: [(Day(6), position(1))].into(),
            ..Default::default()
        },
        person(0).0,
        Home::Person(person(0)),
    );
    let directory = directory(&[
        unit_record(0, None, &[]),
        unit_record(1, None, &[]),
        position_record(0, 0, Role::Merchandiser),
        position_record(1, 1, Role::Merchandiser),
        moving,
    ]);
    for (day, first, second) in [(5, true, false), (6, false, true)] {
        let within = |of| directory.people_within(unit(of), Day(day)).any(|id| id == person(0));
        assert_eq!((within(0), within(1)), (first, second), "day {day}");
    }
}

#[test]
fn each_role_has_its_grant() {
    for (role, grant) in [
        (Role::Merchandiser, Grant::Own),
        (Role::Representative, Grant::Own),
        (Role::Manager, Grant::Unit(unit(0))),
        (Role::Headquarters, Grant::Nation),
    ] {
        let records =
            [unit_record(0, None, &[]), position_record(0, 0, role), person_record(0, true, Some(0))];
        assert_eq!(directory(&records).grant(person(0), Day(1)), Some(grant));
    }
}

#[test]
fn only_headquarters_writes_the_unit_of_an_outlet() {
    let form = Outlet { name: text(7), ..Default::default() };
    let moving = Outlet { unit: Some(unit(1)), ..form.clone() };
    for (role, may_move) in
        [(Role::Representative, false), (Role::Manager, false), (Role::Headquarters, true)]
    {
        let directory = directory(&[
            unit_record(0, None, &[]),
            position_record(0, 0, role),
            person_record(0, true, Some(0)),
            outlet_record(0, Some(0)),
            assignment(0, 0, 0, 1, (0, None)),
        ]);
        let may = |form: &Outlet| {
            let op = op(Outlet::SPEC.kind, Home::Outlet(outlet(0)), form.writes());
            directory.may_write(Writer::Person(person(0)), &Outlet::SPEC, &op, Day(1), Day(1))
        };
        assert_eq!(may(&form), Ok(()), "{role:?}");
        assert_eq!(may(&moving).is_ok(), may_move, "{role:?}");
        assert!(may_move || matches!(may(&moving), Err(Denied::Field { field: "unit", .. })), "{role:?}");
    }
}

#[test]
fn no_device_writes_server_fields_not_even_as_a_line_or_at_headquarters() {
    let at = |tag, key| FieldKey { tag, key };
    for role in [Role::Merchandiser, Role::Manager, Role::Headquarters] {
        let directory = directory(&[
            unit_record(0, None, &[]),
            position_record(0, 0, role),
            person_record(0, true, Some(0)),
            outlet_record(0, Some(0)),
            assignment(0, 0, 0, 1, (0, None)),
        ]);
        let may = |at: FieldKey| {
            let write = Write { at, value: Value::Int(1), seen: None };
            let op = op(Conflict::SPEC.kind, Home::Outlet(outlet(0)), vec![write]);
            directory.may_write(Writer::Person(person(0)), &Conflict::SPEC, &op, Day(1), Day(1))
        };
        for field in Conflict::SPEC.fields.iter().filter(|field| field.server) {
            for key in [Key::Single, Key::Text("line".into())] {
                let denied = Err(Denied::Server { kind: "conflict", field: field.name });
                assert_eq!(may(at(field.tag, key)), denied, "{role:?}");
            }
        }
        assert_eq!(may(at(31, Key::Single)), Ok(()), "a {role:?} may settle the conflict");
    }
}

#[test]
fn different_scopes_have_different_digests() {
    let homes = all_homes();
    let mut digests: BTreeSet<[u8; 16]> = (0..homes.len()).map(|end| scope_digest(&homes[..end])).collect();
    digests.extend(homes.iter().map(|home| scope_digest(&[*home])));
    assert_eq!(digests.len(), 2 * homes.len() - 1, "only [Company] is in both lists");
}
