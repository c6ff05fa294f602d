//! Only the server records conflicts, and only a person who may write the field settles one, in their own name.

use xundian_client::{Decision, Outlet};
use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::{Conflict, Entity, KeyedValue, Person, PersonStatus, Position, Role};
use xundian_protocol::record::{FieldKey, Home, Key, Op, Record, Value};
use xundian_protocol::wire::v1::Refusal;
use xundian_server::Draft;
use xundian_tests::support::company::{self, draft, outlet, person, position, unit};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use super::{assert_says, assert_unchanged};
use crate::raw::RawDevice;

fn note(text: &str) -> Outlet {
    Outlet { note: Some(text.into()), ..Outlet::default() }
}

fn a1() -> Home {
    Home::Outlet(outlet("A1"))
}

/// A conflict about the note of A1, between two devices of the manager. W1 sees it but may not write the field.
async fn conflict(service: &Service) -> Record {
    let (phone, tablet) = (service.device("W4").await, service.device("W4").await);
    for (device, text) in [(&phone, "周一"), (&tablet, "周二")] {
        device.clock.advance_ms(1_000);
        device.client.edit(outlet("A1").0, &note(text), None).expect("saved");
        device.sync().await;
    }
    let found = service.server().records_of_home(a1(), Conflict::SPEC.kind).expect("readable");
    <[Record; 1]>::try_from(found).expect("one conflict")[0].clone()
}

/// Enrols a device of a person, whose frames the test writes.
async fn raw(service: &Service, of: &str) -> (Device, RawDevice) {
    let device = Device::enrol(&service.invitation(of), "raw").await;
    let raw = RawDevice::of(&device, service.address()).await;
    (device, raw)
}

/// Drafts a person at headquarters, who may write everything else.
fn director() -> Vec<Draft> {
    let role = Position {
        code: Some("HQ-DIR".into()),
        title: Some("总监".into()),
        unit: Some(unit("HQ")),
        role: Some(Role::Headquarters),
        ..Position::default()
    };
    let somebody = Person {
        code: Some("W9".into()),
        name: Some("周敏".into()),
        status: Some(PersonStatus::Active),
        position: Some(position("HQ-DIR")),
        ..Person::default()
    };
    vec![
        draft(&role, position("HQ-DIR").0, Home::Company),
        draft(&somebody, person("W9").0, Home::Person(person("W9"))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_device_may_create_or_alter_a_conflict_not_even_at_headquarters() {
    let service = Service::start().await;
    company::write(service.server(), director());
    let conflict = conflict(&service).await;
    let found = Conflict::read(&conflict);
    let before = Contents::of(service.server());
    let held = |text: &str| Some(KeyedValue { key: Key::Single, value: Value::Text(text.into()) });
    let line = Some(KeyedValue { key: Key::Text("line".into()), value: Value::Int(1) });
    for of in ["W4", "W9"] {
        let (device, mut raw) = raw(&service, of).await;
        let at_ms = device.clock.read_ms();
        let forged = Conflict { lost: held("从未写过"), ..found.clone() };
        let new = RecordId::v7(at_ms.unsigned_abs(), [9; 10]);
        let bare = Conflict::settled(Decision::Kept, person(of), at_ms);
        let ops: Vec<Op> = vec![
            raw.op(&forged, new, a1(), at_ms, None),
            raw.op(&bare, new, a1(), at_ms, None),
            raw.op(
                &Conflict { lost: held("别的"), ..Conflict::default() },
                conflict.key.id,
                a1(),
                at_ms,
                Some(&conflict),
            ),
            raw.op(
                &Conflict { kept: line.clone(), ..Conflict::default() },
                conflict.key.id,
                a1(),
                at_ms,
                None,
            ),
            raw.op(
                &Conflict { lost_by: Some(person("W1")), ..Conflict::default() },
                conflict.key.id,
                a1(),
                at_ms,
                None,
            ),
        ];
        let receipt = raw.push(ops).await;
        let why: Vec<_> = receipt.rejections.iter().map(|rejection| rejection.why).collect();
        let expected = [
            Refusal::NotAWriter,
            Refusal::Invalid,
            Refusal::NotAWriter,
            Refusal::NotAWriter,
            Refusal::NotAWriter,
        ];
        assert_eq!(why, expected, "{of}: {:?}", receipt.rejections);
        assert_says(&receipt.rejections[0].message, &["conflict.record_kind", "written by the server alone"]);
        assert_says(&receipt.rejections[3].message, &["conflict.kept"]);
        assert_unchanged(&service, &before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_is_settled_only_by_a_writer_of_the_field_in_their_own_name() {
    let service = Service::start().await;
    let conflict = conflict(&service).await;
    let id = conflict.key.id;
    let before = Contents::of(service.server());

    let merchandiser = service.device("W1").await;
    assert_eq!(merchandiser.client.conflicts(Some(a1())).expect("readable").len(), 1, "W1 sees it");
    merchandiser.client.settle_conflict(id, Decision::Restored).expect("saved on the phone");
    assert_eq!(merchandiser.sync().await.rejected, 2, "neither the edit nor the settlement");
    for rejected in merchandiser.client.rejected().expect("readable") {
        assert_eq!(rejected.why, Refusal::NotAWriter);
        assert_says(&rejected.message, &["merchandiser does not write outlet"]);
    }
    let [line] = &merchandiser.client.conflicts(None).expect("readable")[..] else {
        panic!("the conflict is still there")
    };
    assert_eq!(line.settlement, None, "a rejected settlement does not count");

    let (device, mut raw) = raw(&service, "W4").await;
    let at_ms = device.clock.read_ms();
    let in_anothers_name = Conflict::settled(Decision::Kept, person("W1"), at_ms);
    let forged = raw.op(&in_anothers_name, id, a1(), at_ms, Some(&conflict));
    let mut nobody =
        raw.op(&Conflict::settled(Decision::Kept, person("W4"), at_ms), id, a1(), at_ms, Some(&conflict));
    nobody.writes.retain(|write| write.at != FieldKey::single(30));
    for write in nobody.writes.iter_mut().filter(|write| write.at == FieldKey::single(31)) {
        write.at = FieldKey::single(32);
        write.value = Value::Absent;
    }
    let moment = Conflict { settled_kept_at_ms: Some(1), ..Conflict::default() };
    let no_name = raw.op(&moment, id, a1(), at_ms, Some(&conflict));
    let receipt = raw.push(vec![forged, nobody, no_name]).await;
    assert_eq!(receipt.rejections.len(), 3, "{receipt:?}");
    for rejection in &receipt.rejections {
        assert_eq!(rejection.why, Refusal::Invalid);
        assert_says(&rejection.message, &["in one's own name alone"]);
    }
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_uses_a_stamp_twice_overwrites_no_settlement() {
    let service = Service::start().await;
    let manager = service.device("W4").await;
    manager.client.edit(outlet("A1").0, &note("现值"), None).expect("saved");
    manager.sync().await;
    let (device, mut raw) = raw(&service, "W4").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let mut ops: Vec<Op> =
        ["一", "二", "三"].map(|text| raw.op(&note(text), outlet("A1").0, a1(), at_ms, None)).to_vec();
    let stamp = ops[0].stamp;
    ops.iter_mut().for_each(|op| op.stamp = stamp);
    let last = ops.pop().expect("three");
    assert_eq!(raw.push(ops).await.rejections, []);
    manager.sync().await;
    let [found] = &manager.client.conflicts(None).expect("readable")[..] else { panic!("one conflict") };
    assert_eq!(found.lost.text.zh, "一");
    manager.client.settle_conflict(found.id, Decision::Kept).expect("saved");
    manager.sync().await;
    let before = Contents::of(service.server());
    assert_eq!(raw.push(vec![last]).await.rejections, []);
    assert_unchanged(&service, &before);
}
