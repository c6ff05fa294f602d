//! Fields of a newer app on records of today's kinds.

use xundian_client::{Outlet, ShelfObservation, StockCount, VisitId};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::{Conflict, Entity, Visit};
use xundian_protocol::record::{FieldKey, Home, Op, Record, Value};
use xundian_tests::support::company::{outlet, product, today};
use xundian_tests::support::contents::Contents;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use super::{FUTURE_TAGS, assert_holds, future_writes, newer, with_future};
use crate::raw::RawDevice;

/// Ops of a visit to B1 with shelf and stock count, by an app that writes more fields than today's.
fn visit_of_the_future(raw: &mut RawDevice, at_ms: i64) -> Vec<Op> {
    let (home, id) = (Home::Outlet(outlet("B1")), RecordId::v7(at_ms.unsigned_abs(), [5; 10]));
    let visit = Some(VisitId(id));
    let opened = Visit {
        opened_at_ms: Some(at_ms),
        closed_at_ms: Some(at_ms + 60_000),
        time_in_store_ms: Some(60_000),
        ..Visit::default()
    };
    let shelf = ShelfObservation {
        visit,
        present: [(product(0), true)].into(),
        facings_own: [(product(0), 4)].into(),
        ..ShelfObservation::default()
    };
    let count =
        StockCount { visit, shelf_units: [(product(0), 7), (product(1), 2)].into(), ..StockCount::default() };
    let ops = [
        raw.op(&opened, id, home, at_ms, None),
        raw.op(&shelf, id, home, at_ms, None),
        raw.op(&count, id, home, at_ms, None),
    ];
    ops.into_iter().map(with_future).collect()
}

fn held(device: &Device, op: &Op) -> Record {
    device.client.find(op.record).expect("readable").expect("it has come").record
}

fn at_server(service: &Service, op: &Op) -> Record {
    service.server().record(op.record).expect("readable").expect("there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_of_a_newer_app_reach_everybody_unchanged_through_todays_server_and_devices() {
    let service = Service::start().await;
    let phone = service.device("W2").await;
    let (device, mut raw) = newer(&service, "W2").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let note = Outlet { note: Some("周二盘点".into()), ..Outlet::default() };
    let b1 = service.server().record(Outlet::key(outlet("B1").0)).expect("readable").expect("there");
    let mut ops = visit_of_the_future(&mut raw, at_ms);
    ops.push(with_future(raw.op(&note, b1.key.id, b1.home, at_ms, Some(&b1))));
    let receipt = raw.push(ops.clone()).await;
    assert_eq!((receipt.through.0, receipt.rejections), (4, vec![]));
    for op in &ops {
        assert_holds(&at_server(&service, op), &future_only(op));
    }

    // Today's app pulls them, edits another field of one record, and keeps the unknown fields.
    phone.sync().await;
    let phone = Device::open(phone.close());
    for op in &ops {
        assert_eq!(held(&phone, op), at_server(&service, op));
    }
    let edit = Outlet { phone: Some("010-1".into()), ..Outlet::default() };
    phone.client.edit(b1.key.id, &edit, None).expect("saved");
    assert_holds(&held(&phone, &ops[3]), &future_only(&ops[3]));
    let phone = Device::open(phone.close());
    assert_eq!(phone.sync().await.merged, 1);
    assert_holds(&held(&phone, &ops[3]), &future_only(&ops[3]));

    // The manager's phone, which pulls everything in its first sync, and the newer app get the records unchanged.
    let manager = service.device("W4").await;
    let scope =
        service.server().directory().scope(phone.client.identity().expect("enrolled").person, today());
    let pulled = raw.pull(&scope, &scope).await;
    for op in &ops {
        let stands = at_server(&service, op);
        assert_holds(&stands, &future_only(op));
        assert_eq!(held(&manager, op), stands);
        assert!(pulled.contains(&stands), "the newer app gets {} back as it is", op.record.kind.0);
    }
    assert_eq!(Outlet::read(&held(&manager, &ops[3])).phone.as_deref(), Some("010-1"));
    let folder = service.stop().await;
    let service = Service::resume(folder).await;
    for op in &ops {
        assert_holds(&at_server(&service, op), &future_only(op));
    }
    service.verify();
}

/// Returns the op with only the fields that today's version does not know.
fn future_only(op: &Op) -> Op {
    let mut op = op.clone();
    op.writes.retain(|write| write.at.tag >= FUTURE_TAGS);
    op
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_change_no_figure() {
    let service = Service::start().await;
    let (device, mut raw) = newer(&service, "W2").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let whole = visit_of_the_future(&mut raw, at_ms);
    let known = |op: &Op| {
        let mut op = op.clone();
        op.writes.retain(|write| write.at.tag < FUTURE_TAGS);
        op
    };
    assert_eq!(raw.push(whole.iter().map(known).collect()).await.rejections, []);
    let before = Contents::of(service.server());
    assert!(!before.has_no_figures(), "a closed visit and a stock count make figures");
    let mut later = visit_of_the_future(&mut raw, at_ms);
    later.iter_mut().for_each(|op| *op = future_only(op));
    assert_eq!(raw.push(later.clone()).await.rejections, []);
    assert_holds(&at_server(&service, &later[2]), &later[2]);
    let after = Contents::of(service.server());
    assert_eq!(before.figure_differences(&after), Vec::<String>::new());
    service.verify();

    // The same holds if unknown and known fields are in one op.
    let other = Service::start().await;
    let (_device, mut raw) = newer(&other, "W2").await;
    let at_once = visit_of_the_future(&mut raw, at_ms);
    assert_eq!(raw.push(at_once).await.rejections, []);
    assert_eq!(before.figure_differences(&Contents::of(other.server())), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_about_an_unknown_field_is_shown_and_settled_by_todays_app() {
    let service = Service::start().await;
    let phone = service.device("W2").await;
    let at_ms = phone.clock.read_ms() - 60_000;
    let b1 = service.server().record(Outlet::key(outlet("B1").0)).expect("readable").expect("there");
    for (nth, person) in [(0, "W2"), (1, "W4")] {
        let (_device, mut raw) = newer(&service, person).await;
        let mut op = raw.op(&Outlet::default(), b1.key.id, b1.home, at_ms + nth, Some(&b1));
        op.writes.push(future_writes().swap_remove(0));
        if let Some(write) = op.writes.last_mut() {
            write.value = Value::Text(format!("第{nth}台"));
        }
        assert_eq!(raw.push(vec![op]).await.rejections, []);
    }
    phone.sync().await;
    let conflicts = phone.client.conflicts(Some(b1.home)).expect("readable");
    let [conflict] = &conflicts[..] else { panic!("one conflict, not {conflicts:?}") };
    assert_eq!((conflict.record, &conflict.at), (b1.key, &FieldKey::single(FUTURE_TAGS)));
    assert_eq!((conflict.kept.text.en.as_str(), conflict.lost.text.en.as_str()), ("第1台", "第0台"));
    assert!(conflict.field.en.contains("60000"), "{:?}", conflict.field);

    phone.client.settle_conflict(conflict.id, xundian_client::Decision::Restored).expect("saved");
    assert_eq!(phone.sync().await.rejected, 0);
    let stands = service.server().record(b1.key).expect("readable").expect("there");
    assert_eq!(stands.value(FUTURE_TAGS), Some(&Value::Text("第0台".into())));
    let settled = service.server().record(Conflict::key(conflict.id)).expect("readable").expect("there");
    assert!(Conflict::read(&settled).settlement().is_some());
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_a_newer_app_adds_to_an_existing_record_reach_todays_app() {
    let service = Service::start().await;
    let phone = service.device("W2").await;
    let visit = phone.visit("B1", Day(today().0 - 1), 2);
    phone.sync().await;
    let (device, mut raw) = newer(&service, "W2").await;
    let at_ms = device.clock.read_ms() - 60_000;
    let key = StockCount::key(visit.0);
    let seen = service.server().record(key).expect("readable").expect("there");
    let mut op = raw.op(&StockCount::default(), visit.0, seen.home, at_ms, Some(&seen));
    op.writes = future_writes();
    assert_eq!(raw.push(vec![op.clone()]).await.rejections, []);
    phone.sync().await;
    assert_holds(&held(&phone, &op), &op);
    service.verify();
}
