//! Conflicts on a real store: the same records, in whatever order and however often ops arrive.

use crate::server::{Draft, Server};
use crate::store::{Changes, Device, StoreError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, KindId, OpSeq, OrgUnitId, OutletId, PersonId, PositionId, RecordId};
use xundian_protocol::kinds::{
    Channel, Conflict, Entity, OrgUnit, Outlet, OutletStatus, Person, PersonStatus, Position, Role, Side,
    UnitType,
};
use xundian_protocol::record::{FieldKey, Home, Op, Record, Value, Write};

const NOW_MS: i64 = 1_795_428_000_000;
/// The text fields of an outlet that the devices write.
const TAGS: [u16; 3] = [19, 30, 31];
const DEVICES: usize = 5;

fn id(kind: u16, code: &str) -> RecordId {
    RecordId::derived(KindId(kind), code)
}

fn outlet() -> OutletId {
    OutletId(id(4, "B1"))
}

/// A region with its manager, who uses all devices, and an outlet.
fn company(folder: &std::path::Path) -> Server {
    let server = Server::open(folder, NOW_MS).expect("a fresh folder opens");
    let text = |text: &str| Some(text.to_owned());
    let (unit, position, person) = (OrgUnitId(id(1, "HB")), PositionId(id(2, "M")), PersonId(id(3, "W4")));
    let region = OrgUnit {
        code: text("HB"),
        name_zh: text("华北大区"),
        unit_type: Some(UnitType::Region),
        ..OrgUnit::default()
    };
    let post = Position {
        code: text("M"),
        title: text("大区经理"),
        unit: Some(unit),
        role: Some(Role::Manager),
        ..Position::default()
    };
    let manager = Person {
        code: text("W4"),
        name: text("赵强"),
        status: Some(PersonStatus::Active),
        position: Some(position),
        ..Person::default()
    };
    let shop = Outlet {
        code: text("B1"),
        name: text("门店"),
        channel: Some(Channel::Chain),
        status: Some(OutletStatus::Active),
        unit: Some(unit),
        ..Outlet::default()
    };
    let drafts = vec![
        Draft { key: OrgUnit::key(unit.0), home: Home::Company, writes: region.writes() },
        Draft { key: Position::key(position.0), home: Home::Company, writes: post.writes() },
        Draft { key: Person::key(person.0), home: Home::Person(person), writes: manager.writes() },
        Draft { key: Outlet::key(outlet().0), home: Home::Outlet(outlet()), writes: shop.writes() },
    ];
    server.write(drafts, "test", NOW_MS).expect("the company is written");
    let device = |no| Device {
        no: DeviceNo(no),
        person,
        label: String::new(),
        enrolled_at_ms: 0,
        certificate_not_after_ms: i64::MAX,
        request_hash: [0; 32],
        key_hash: None,
        revoked_at_ms: None,
        replaced_by: None,
        applied_through: OpSeq(0),
        last_sync_ms: None,
        captured_through_ms: None,
        clock_offset_ms: None,
        app: String::new(),
    };
    let devices = (1..=u32::try_from(DEVICES).expect("few")).map(device).collect();
    let changes = Changes { devices, ..Changes::default() };
    server.change(|_| Ok::<_, StoreError>((changes, ()))).expect("the devices are stored");
    server
}

/// One edit by each device, none having seen another: which fields, and when.
fn edits() -> impl Strategy<Value = Vec<Op>> {
    let edit = (prop::sample::subsequence(TAGS.to_vec(), 1..=TAGS.len()), 0i64..4);
    prop::collection::vec(edit, DEVICES).prop_map(|edits| {
        let op = |(n, (tags, ms)): (u32, (Vec<u16>, i64))| Op {
            seq: OpSeq(1),
            stamp: Stamp { hlc: Hlc::at_ms(NOW_MS - 60_000 + ms), device: DeviceNo(n) },
            record: Outlet::key(outlet().0),
            home: Home::Outlet(outlet()),
            writes: tags
                .into_iter()
                .map(|tag| Write {
                    at: FieldKey::single(tag),
                    value: Value::Text(format!("{n}/{tag}")),
                    seen: None,
                })
                .collect(),
        };
        (1..).zip(edits).map(op).collect()
    })
}

/// Pushes in some order, each device's more than once.
fn pushes() -> impl Strategy<Value = Vec<usize>> {
    let twice: Vec<usize> = (0..DEVICES).chain(0..DEVICES).collect();
    Just(twice).prop_shuffle()
}

/// The outlet, and the lost value of each conflict on it, by id.
fn merged(ops: &[Op], pushes: &[usize]) -> (Record, BTreeMap<RecordId, Option<Side>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    for at in pushes {
        let op = ops[*at].clone();
        let receipt = server.ingest(op.stamp.device, vec![op], NOW_MS).expect("ingested");
        assert_eq!((receipt.through, &receipt.rejections[..]), (OpSeq(1), &[][..]));
    }
    let record = server.record(Outlet::key(outlet().0)).expect("readable").expect("there");
    let conflicts = server.records_of_home(Home::Outlet(outlet()), Conflict::SPEC.kind).expect("readable");
    let lost = |conflict: &Record| (conflict.key.id, Conflict::read(conflict).lost_side());
    assert!(server.verify().expect("readable").is_clean());
    (record, conflicts.iter().map(lost).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_same_conflicts_are_found_in_whatever_order_and_however_often_ops_arrive(
        ops in edits(), first in pushes(), second in pushes(),
    ) {
        let ((record, conflicts), other) = (merged(&ops, &first), merged(&ops, &second));
        prop_assert_eq!((&record, &conflicts), (&other.0, &other.1));
        // Of a field's writers, all but the last lose.
        let writers = |tag: &u16| ops.iter().filter(|op| op.names(*tag)).count();
        let losers: usize = TAGS.iter().map(|tag| writers(tag).saturating_sub(1)).sum();
        prop_assert_eq!(conflicts.len(), losers);
    }
}
