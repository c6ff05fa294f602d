//! What an admitted device may read and write.

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, RecordId};
use xundian_protocol::kinds::{Entity, Issue, OrgUnit, Outlet, Person, Visit};
use xundian_protocol::record::{Home, Value};
use xundian_protocol::wire::v1::Refusal;
use xundian_tests::support::company::{self, assignment, outlet, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use super::{assert_says, assert_unchanged};
use crate::raw::RawDevice;

/// Enrols a second device of a person, whose frames the test writes.
async fn raw(service: &Service, person: &str) -> (Device, RawDevice) {
    let device = Device::enrol(&service.invitation(person), "raw").await;
    let raw = RawDevice::of(&device, service.address()).await;
    (device, raw)
}

fn visit(opened_at_ms: i64) -> Visit {
    Visit { opened_at_ms: Some(opened_at_ms), ..Visit::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_outside_the_scope_is_rejected_and_listed_with_the_reason() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    // The phone does not know yet that A1 has left its scope.
    let change = Day(today().0 - 50);
    company::write(service.server(), vec![assignment("A1", "HN-R1", 2, change, None)]);
    let before = Contents::of(service.server());
    let visit = device.visit("A1", Day(today().0 - 1), 2);
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (0, 3));
    let rejected_ops = device.client.rejected().expect("readable");
    assert_eq!(rejected_ops.len(), 3);
    for rejected in rejected_ops {
        assert_eq!((rejected.why, rejected.op.record.id), (Refusal::OutOfScope, visit.0));
        assert_says(&rejected.message, &["outlet A1", "not in your scope", "ask your manager"]);
    }
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_ops_are_rejected_individually_and_a_valid_op_after_them_is_merged() {
    let service = Service::start().await;
    let (device, mut raw) = raw(&service, "W1").await;
    let before = Contents::of(service.server());
    let at_ms = device.clock.read_ms() - 60_000;
    let (a1, c1) = (Home::Outlet(outlet("A1")), Home::Outlet(outlet("C1")));
    let id = |n: u8| RecordId::v7(at_ms.unsigned_abs(), [n; 10]);

    let foreign_outlet = raw.op(&visit(at_ms), id(1), c1, at_ms, None);
    let unknown_outlet = raw.op(&visit(at_ms), id(2), Home::Outlet(OutletId(id(9))), at_ms, None);
    let mut other_author = raw.op(&visit(at_ms), id(3), a1, at_ms, None);
    for write in other_author.writes.iter_mut().filter(|write| write.at.tag == 1) {
        write.value = Value::Id(company::person("W2").0);
    }
    let note = Outlet { note: Some("mine".into()), ..Outlet::default() };
    let not_a_writer = raw.op(&note, outlet("A1").0, a1, at_ms, None);
    let unit = OrgUnit { name_zh: Some("mine".into()), ..OrgUnit::default() };
    let organisation = raw.op(&unit, company::unit("HB").0, Home::Company, at_ms, None);
    let person = Person { position: Some(company::position("HB-MGR")), ..Person::default() };
    let promotion =
        raw.op(&person, company::person("W1").0, Home::Person(company::person("W1")), at_ms, None);
    let wrong_home = raw.op(&Issue::default(), id(4), Home::Company, at_ms, None);
    let incomplete = raw.op(&Visit::default(), id(5), a1, at_ms, None);
    let mut other_stamp = raw.op(&visit(at_ms), id(6), a1, at_ms, None);
    other_stamp.stamp.device.0 += 1;
    let ops = vec![
        foreign_outlet,
        unknown_outlet,
        other_author,
        not_a_writer,
        organisation,
        promotion,
        wrong_home,
        incomplete,
        other_stamp,
    ];
    let receipt = raw.push(ops).await;
    let why: Vec<Refusal> = receipt.rejections.iter().map(|rejection| rejection.why).collect();
    let (scope, writer, invalid) = (Refusal::OutOfScope, Refusal::NotAWriter, Refusal::Invalid);
    assert_eq!(
        why,
        [scope, scope, invalid, writer, writer, writer, invalid, invalid, invalid],
        "{receipt:?}"
    );
    assert!(receipt.rejections.iter().all(|rejection| !rejection.message.is_empty()));
    assert_unchanged(&service, &before);

    let sound = raw.op(&visit(at_ms), id(7), a1, at_ms, None);
    assert_eq!(raw.push(vec![sound]).await.rejections, []);
    assert_eq!(Contents::of(service.server()).count("visit"), before.count("visit") + 1);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_visit_cannot_be_changed() {
    let service = Service::start().await;
    let author = service.device("W1").await;
    let visit_id = author.visit("A1", Day(today().0 - 1), 2);
    author.sync().await;
    let (device, mut raw) = raw(&service, "W4").await;
    let before = Contents::of(service.server());
    let stands = service.server().record(Visit::key(visit_id.0)).expect("readable").expect("there");
    let at_ms = device.clock.read_ms() - 60_000;
    let edit = Visit { note: Some("改".into()), ..Visit::default() };
    let op = raw.op(&edit, visit_id.0, Home::Outlet(outlet("A1")), at_ms, Some(&stands));
    let moved = raw.op(&edit, visit_id.0, Home::Outlet(outlet("B1")), at_ms, Some(&stands));
    let receipt = raw.push(vec![op, moved]).await;
    let why: Vec<Refusal> = receipt.rejections.iter().map(|rejection| rejection.why).collect();
    assert_eq!(why, [Refusal::NotTheAuthor, Refusal::OtherHome]);
    assert_unchanged(&service, &before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_returns_nothing_of_a_home_outside_the_scope() {
    let service = Service::start().await;
    let other = service.device("W3").await;
    other.visit("C1", Day(today().0 - 1), 3);
    other.sync().await;
    let (_device, mut raw) = raw(&service, "W1").await;
    let scope = service.server().directory().scope(company::person("W1"), today());
    let c1 = Home::Outlet(outlet("C1"));
    assert!(!scope.contains(&c1));
    // A pull names the homes that are behind: here also homes outside the scope.
    let records =
        raw.pull(&scope, &[Home::Outlet(outlet("A1")), c1, Home::Person(company::person("W3"))]).await;
    let seen: Vec<Home> = records.iter().map(|record| record.home).collect();
    assert!(seen.contains(&Home::Outlet(outlet("A1"))), "records in scope are sent");
    let outside: Vec<&Home> = seen.iter().filter(|home| !scope.contains(home)).collect();
    assert_eq!(outside, Vec::<&Home>::new());
}
