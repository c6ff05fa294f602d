//! Records of kinds that only a newer app knows.

use xundian_client::{Decision, Issue};
use xundian_protocol::ids::{KindId, OutletId, RecordId};
use xundian_protocol::limits::{OP_BYTES_MAX, TEXT_BYTES_MAX};
use xundian_protocol::record::{FieldKey, Home, Key, Op, RecordKey, Value, Write};
use xundian_protocol::wire::v1::Refusal;
use xundian_tests::support::company::{outlet, person, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use super::{FUTURE_TAGS, assert_holds, newer, with_future};
use crate::raw::RawDevice;

/// A kind that today's programs do not know.
pub(super) const FUTURE: KindId = KindId(999);
/// An unknown kind whose records affect access.
const GUARDED: KindId = KindId(40_000);

/// Creates an op for a record of `kind` in `home`.
fn op(raw: &mut RawDevice, kind: KindId, home: Home, at_ms: i64) -> Op {
    let id = RecordId::v7(at_ms.unsigned_abs(), [6; 10]);
    let op = with_future(raw.op(&Issue::default(), id, home, at_ms, None));
    Op { record: RecordKey { kind, id }, ..op }
}

fn b1() -> Home {
    Home::Outlet(outlet("B1"))
}

fn assert_held(device: &Device, op: &Op) {
    let line = device.client.find(op.record).expect("readable").expect("it has come");
    assert_holds(&line.record, op);
    let of_home = device.client.list_home(op.home, Some(op.record.kind)).expect("readable");
    assert_eq!(of_home.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_an_unknown_kind_reach_everybody_whose_scope_has_their_home() {
    let service = Service::start().await;
    let (phone, outsider) = (service.device("W2").await, service.device("W1").await);
    let (device, mut raw) = newer(&service, "W2").await;
    let before = Contents::of(service.server());
    let at_ms = device.clock.read_ms() - 60_000;
    let written = op(&mut raw, FUTURE, b1(), at_ms);
    let own = op(&mut raw, FUTURE, Home::Person(person("W2")), at_ms + 1);
    assert_eq!(raw.push(vec![written.clone(), own.clone()]).await.rejections, []);
    phone.sync().await;
    outsider.sync().await;
    let phone = Device::open(phone.close());
    assert_held(&phone, &written);
    assert_held(&phone, &own);
    assert!(outsider.client.find(written.record).expect("readable").is_none(), "B1 is not in W1's scope");
    let json = xundian_client::json::record_json(&phone.client.find(written.record).unwrap().unwrap().record);
    assert_eq!(json["kind"], "kind_999");

    // A newer app of the manager edits the record, and the newer app of W2 gets both versions merged.
    let (_manager, mut other) = newer(&service, "W4").await;
    let stands = service.server().record(written.record).expect("readable").expect("there");
    let edit =
        Write { at: FieldKey::single(FUTURE_TAGS + 9), value: Value::Text("经理".into()), seen: None };
    let mut edited = other.op(&Issue::default(), written.record.id, b1(), at_ms + 2, Some(&stands));
    edited.record = written.record;
    edited.writes.push(edit);
    assert_eq!(other.push(vec![edited.clone()]).await.rejections, []);
    let scope = service.server().directory().scope(person("W2"), today());
    let pulled = raw.pull(&scope, &[]).await;
    let both = pulled.iter().find(|record| record.key == written.record).expect("the manager changed it");
    assert_holds(both, &edited);
    assert_eq!(service.server().record(written.record).expect("readable").as_ref(), Some(both));

    assert_eq!(before.figure_differences(&Contents::of(service.server())), Vec::<String>::new());
    service.verify();
    let folder = service.stop().await;
    let service = Service::resume(folder).await;
    assert_eq!(service.server().records(FUTURE).expect("readable").len(), 2);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ops_of_an_unknown_kind_are_checked_against_scope_and_limits() {
    let service = Service::start().await;
    let (device, mut raw) = newer(&service, "W2").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let nowhere = Home::Outlet(OutletId(RecordId::v7(1, [1; 10])));
    let mut ops: Vec<(Op, Option<Refusal>)> = Vec::new();
    for (home, why) in [
        (b1(), None),
        (Home::Outlet(outlet("A1")), Some(Refusal::OutOfScope)),
        (nowhere, Some(Refusal::OutOfScope)),
        (Home::Person(person("W4")), Some(Refusal::OutOfScope)),
        (Home::Company, Some(Refusal::OutOfScope)),
        (Home::Unit(xundian_tests::support::company::unit("HB")), Some(Refusal::OutOfScope)),
    ] {
        let at_ms = at_ms + ops.len() as i64;
        ops.push((op(&mut raw, FUTURE, home, at_ms), why));
    }
    let text = |bytes| Value::Text("x".repeat(bytes));
    let mut long = op(&mut raw, FUTURE, b1(), at_ms + 20);
    if let Some(write) = long.writes.last_mut() {
        write.value = text(TEXT_BYTES_MAX + 1);
    }
    let mut large = op(&mut raw, FUTURE, b1(), at_ms + 21);
    let line = |n| Write {
        at: FieldKey { tag: FUTURE_TAGS + 20, key: Key::Number(n) },
        value: text(TEXT_BYTES_MAX),
        seen: None,
    };
    large.writes.extend((0..(OP_BYTES_MAX / TEXT_BYTES_MAX) as u64).map(line));
    let mut empty = op(&mut raw, FUTURE, b1(), at_ms + 22);
    empty.writes.clear();
    let mut moved = op(&mut raw, FUTURE, Home::Person(person("W2")), at_ms + 23);
    moved.record = ops[0].0.record;
    ops.extend([long, large, empty].map(|op| (op, Some(Refusal::Invalid))));
    ops.push((moved, Some(Refusal::OtherHome)));
    let receipt = raw.push(ops.iter().map(|(op, _)| op.clone()).collect()).await;
    let expected: Vec<_> = ops.iter().filter_map(|(op, why)| Some((op.seq, (*why)?))).collect();
    let refused: Vec<_> = receipt.rejections.iter().map(|r| (r.seq, r.why)).collect();
    assert_eq!(refused, expected, "{:?}", receipt.rejections);
    assert_eq!(service.server().records(FUTURE).expect("readable").len(), 1);
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_on_a_record_of_an_unknown_kind_is_shown_and_settled_by_todays_app() {
    let service = Service::start().await;
    let phone = service.device("W2").await;
    let at_ms = phone.clock.read_ms() - 60_000;
    for (nth, person) in [(0, "W2"), (1, "W4")] {
        let (_device, mut raw) = newer(&service, person).await;
        let mut op = op(&mut raw, FUTURE, b1(), at_ms);
        op.stamp.hlc.0 += nth;
        for write in op.writes.iter_mut().filter(|write| write.at.tag == FUTURE_TAGS) {
            write.value = Value::Text(format!("第{nth}台"));
        }
        assert_eq!(raw.push(vec![op]).await.rejections, []);
    }
    phone.sync().await;
    let conflicts = phone.client.conflicts(Some(b1())).expect("readable");
    let [conflict] = &conflicts[..] else { panic!("one conflict, not {conflicts:?}") };
    assert_eq!((conflict.record.kind, conflict.may_restore), (FUTURE, false));
    assert_eq!((conflict.kept.text.en.as_str(), conflict.lost.text.en.as_str()), ("第1台", "第0台"));
    phone.client.settle_conflict(conflict.id, Decision::Kept).expect("saved");
    let report = phone.sync().await;
    assert_eq!((report.merged, report.rejected), (1, 0));
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_kind_that_affects_access_is_refused() {
    let service = Service::start().await;
    let (device, mut raw) = newer(&service, "W4").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let ops = [GUARDED, FUTURE].map(|kind| op(&mut raw, kind, b1(), at_ms));
    let receipt = raw.push(ops.to_vec()).await;
    let [refused] = &receipt.rejections[..] else { panic!("one rejection was expected, not {receipt:?}") };
    assert_eq!((refused.seq.0, refused.why), (1, Refusal::UnknownKind));
    assert!(refused.message.contains("send it again once the server was updated"), "{}", refused.message);
    assert_eq!(service.server().records(GUARDED).expect("readable"), []);
}
