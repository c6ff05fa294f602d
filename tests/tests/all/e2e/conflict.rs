//! Acceptance: two people change the same field without knowing of each other's change. Both values are shown to
//! everybody in scope, and one of the two settles the conflict.

use xundian_client::{
    ConflictLine, Decision, Due, Gtin, Issue, IssueKind, NewIssue, Outlet, RecordError, SaveState, Severity,
    StockCount, VisitId,
};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::DeviceNo;
use xundian_protocol::kinds::{Conflict, Entity, KeyedValue};
use xundian_protocol::record::{FieldKey, Home, Key, Op, Value};
use xundian_server::{Draft, sessions};
use xundian_tests::support::company::{self, outlet, person, product, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use crate::raw::RawDevice;

/// The tag of an outlet's note.
const NOTE: u16 = 31;

fn note(text: &str) -> Outlet {
    Outlet { note: Some(text.into()), ..Outlet::default() }
}

/// Enrols a phone of B1's representative, and two phones of the manager above.
async fn three(service: &Service) -> [Device; 3] {
    [service.device("W2").await, service.device("W4").await, service.device("W4").await]
}

/// Two people write a note offline, the manager a second later. The later one syncs first.
async fn two_notes(service: &Service, devices: &[Device; 3]) -> ConflictLine {
    let [representative, manager, third] = devices;
    let id = outlet("B1").0;
    representative.client.edit(id, &note("周二盘点"), None).expect("saved offline");
    manager.clock.advance_ms(1_000);
    manager.client.edit(id, &note("周一盘点"), None).expect("saved offline");
    for device in [manager, representative, manager, third] {
        device.sync().await;
    }
    for device in devices {
        assert_eq!(device.client.rejected().expect("readable"), []);
        assert_same(service, device);
    }
    let [conflict] = <[ConflictLine; 1]>::try_from(conflicts(third)).expect("one conflict");
    conflict
}

fn conflicts(device: &Device) -> Vec<ConflictLine> {
    device.client.conflicts(None).expect("readable")
}

/// Checks that a device and the server hold the same outlet B1 and the same conflicts about it.
fn assert_same(service: &Service, device: &Device) {
    let home = Home::Outlet(outlet("B1"));
    for kind in [Outlet::SPEC.kind, Conflict::SPEC.kind] {
        let held = device.client.list_home(home, Some(kind)).expect("readable");
        let mut held: Vec<_> = held.into_iter().map(|line| line.record).collect();
        held.sort_by_key(|record| record.key);
        assert_eq!(held, service.server().records_of_home(home, kind).expect("readable"));
    }
}

fn note_of_b1(device: &Device) -> Option<String> {
    device.client.entity::<Outlet>(outlet("B1").0).expect("readable").expect("there").note
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_with_both_values_reaches_everybody_in_scope() {
    let service = Service::start().await;
    let devices = three(&service).await;
    let outsider = service.device("W1").await;
    let conflict = two_notes(&service, &devices).await;

    assert_eq!((conflict.record, &conflict.at), (Outlet::key(outlet("B1").0), &FieldKey::single(NOTE)));
    assert_eq!((conflict.field.zh.as_str(), conflict.field.en.as_str()), ("备注", "Note"));
    assert_eq!((conflict.settlement, conflict.may_restore), (None, true));
    let (kept, lost) = (&conflict.kept, &conflict.lost);
    assert_eq!(
        (kept.text.zh.as_str(), lost.text.zh.as_str()),
        ("周一盘点", "周二盘点"),
        "the later stamp wins"
    );
    assert_eq!(lost.side.held, KeyedValue { key: Key::Single, value: Value::Text("周二盘点".into()) });
    assert_eq!(kept.side.person, Some(person("W4")));
    assert_eq!((lost.side.person, lost.side.name.as_deref()), (Some(person("W2")), Some("李雷")));
    assert_eq!(Some(lost.side.device), devices[0].client.identity().map(|identity| identity.device));
    assert!(kept.side.at_ms > lost.side.at_ms);
    outsider.sync().await;
    assert_eq!(conflicts(&outsider), [], "B1 is not in W1's scope");
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeping_the_winning_value_settles_the_conflict_for_everybody_and_changes_nothing_else() {
    let service = Service::start().await;
    let devices = three(&service).await;
    let conflict = two_notes(&service, &devices).await;
    let before = service.server().record(conflict.record).expect("readable");

    let [representative, manager, third] = &devices;
    representative.client.settle_conflict(conflict.id, Decision::Kept).expect("saved offline");
    let settled_at_ms = representative.clock.read_ms();
    let [offline] = &conflicts(representative)[..] else { panic!("one conflict") };
    assert_eq!(
        (offline.settlement.map(|settled| settled.by), &offline.state),
        (Some(person("W2")), &SaveState::Saved)
    );
    for device in [representative, manager, third] {
        device.sync().await;
    }
    for device in &devices {
        let [settled] = &conflicts(device)[..] else { panic!("one conflict") };
        let settlement = settled.settlement.expect("settled");
        assert_eq!((settlement.decision, settlement.by), (Decision::Kept, person("W2")));
        assert_eq!(settlement.at_ms, Some(settled_at_ms));
        assert_eq!(note_of_b1(device).as_deref(), Some("周一盘点"));
        let again = device.client.settle_conflict(conflict.id, Decision::Restored);
        assert!(
            matches!(again, Err(RecordError::ConflictSettled { decision: Decision::Kept, .. })),
            "{again:?}"
        );
    }
    assert_eq!(service.server().record(conflict.record).expect("readable"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restoring_writes_the_losing_value_again_without_a_further_conflict() {
    let service = Service::start().await;
    let devices = three(&service).await;
    let conflict = two_notes(&service, &devices).await;

    let [representative, manager, third] = &devices;
    third.client.settle_conflict(conflict.id, Decision::Restored).expect("saved offline");
    assert_eq!(note_of_b1(third).as_deref(), Some("周二盘点"), "shown before the sync");
    assert_eq!(third.client.status().expect("readable").unsent_ops, 2, "the edit and the settlement");
    for device in [third, manager, representative] {
        let report = device.sync().await;
        assert_eq!(report.rejected, 0);
    }
    for device in &devices {
        let [settled] = &conflicts(device)[..] else { panic!("no further conflict") };
        assert_eq!(settled.settlement.map(|settled| settled.decision), Some(Decision::Restored));
        assert_eq!(note_of_b1(device).as_deref(), Some("周二盘点"));
        assert_same(&service, device);
    }
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_settlements_agree_with_the_record_in_any_order() {
    for (keeps_later, keeper_syncs_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let service = Service::start().await;
        let devices = three(&service).await;
        let conflict = two_notes(&service, &devices).await;
        let [keeper, restorer, third] = &devices;
        let late = if keeps_later { keeper } else { restorer };
        late.clock.advance_ms(60_000);
        keeper.client.settle_conflict(conflict.id, Decision::Kept).expect("saved");
        restorer.client.settle_conflict(conflict.id, Decision::Restored).expect("saved");
        let order = if keeper_syncs_first { [keeper, restorer] } else { [restorer, keeper] };
        for device in order.into_iter().chain([keeper, restorer, third]) {
            device.sync().await;
        }
        for device in &devices {
            let [settled] = &conflicts(device)[..] else { panic!("no conflict about the settlement") };
            let settlement = settled.settlement.expect("settled");
            assert_eq!((settlement.decision, settlement.by), (Decision::Restored, person("W4")));
            assert_eq!(note_of_b1(device).as_deref(), Some("周二盘点"));
            let form: Conflict = device.client.entity(conflict.id).expect("readable").expect("there");
            assert_eq!(form.settled_kept_by, Some(person("W2")), "the decision to keep stays on record");
            assert_same(&service, device);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_pulled_while_a_form_was_open_are_not_overwritten_without_a_conflict() {
    let service = Service::start().await;
    let (representative, manager) = (service.device("W2").await, service.device("W4").await);
    let id = outlet("B1").0;
    let before: Outlet = representative.client.entity(id).expect("readable").expect("there");
    let phone = Outlet { phone: Some("010-1111".into()), note: Some("早".into()), ..Outlet::default() };
    manager.client.edit(id, &phone, None).expect("saved");
    manager.sync().await;
    representative.sync().await;

    let after = Outlet { phone: Some("010-2222".into()), ..before.clone() };
    representative.client.edit(id, &after, Some(&before)).expect("saved");
    representative.sync().await;
    let [conflict] = &conflicts(&representative)[..] else { panic!("one conflict") };
    assert_eq!((conflict.kept.text.en.as_str(), conflict.lost.text.en.as_str()), ("010-2222", "010-1111"));
    assert_eq!(
        note_of_b1(&representative).as_deref(),
        Some("早"),
        "an unchanged field keeps the pulled value"
    );

    // They saw the present value before removing it, so this is no conflict.
    let before: Outlet = representative.client.entity(id).expect("readable").expect("there");
    representative.client.edit(id, &Outlet { phone: None, ..before.clone() }, Some(&before)).expect("saved");
    representative.client.edit(id, &before, Some(&before)).expect("nothing to save");
    assert_eq!(representative.client.status().expect("readable").unsent_ops, 1);
    representative.sync().await;
    assert_eq!(conflicts(&representative).len(), 1);
    assert_same(&service, &representative);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_close_one_issue_offline_and_the_losing_solution_is_restored() {
    let service = Service::start().await;
    let (author, manager) = (service.device("W1").await, service.device("W4").await);
    author.clock.set(Day(today().0 - 1), 9);
    let issue = NewIssue {
        issue_kind: IssueKind::Price,
        severity: Severity::Normal,
        text: "标价有误".into(),
        due: Due::NextDay,
        assignee: None,
    };
    let id = author.client.raise_issue(outlet("A1"), None, &issue).expect("raised");
    author.sync().await;
    manager.sync().await;

    author.client.close_issue(id, "已更换价签".into()).expect("closed");
    manager.clock.advance_ms(5);
    manager.client.close_issue(id, "已联系店长".into()).expect("closed, as far as the manager knows");
    for device in [&manager, &author, &manager] {
        device.sync().await;
    }
    let home = Home::Outlet(outlet("A1"));
    let found = author.client.conflicts(Some(home)).expect("readable");
    let [conflict] = &found[..] else {
        panic!("both closed it on the same day, so only the solution differs: {found:?}")
    };
    assert_eq!((conflict.record, conflict.field.zh.as_str()), (Issue::key(id), "解决办法"));
    let lost = conflict.lost.text.zh.clone();
    author.client.settle_conflict(conflict.id, Decision::Restored).expect("a merchandiser writes issues");
    assert_eq!(author.sync().await.rejected, 0);
    manager.sync().await;
    for device in [&author, &manager] {
        let stands: Issue = device.client.entity(id).expect("readable").expect("there");
        assert_eq!(stands.resolution.as_ref(), Some(&lost));
    }
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_import_makes_a_conflict_whose_other_side_is_the_server() {
    let service = Service::start().await;
    let representative = service.device("W2").await;
    let key = Outlet::key(outlet("B1").0);
    let home = Home::Outlet(outlet("B1"));
    let server = service.server();
    company::write(server, vec![Draft { key, home, writes: note("总部旧").writes() }]);
    let saw = server
        .record(key)
        .expect("readable")
        .and_then(|record| Some(record.register(&FieldKey::single(NOTE))?.stamp));
    representative.sync().await;
    representative.client.edit(key.id, &note("现场新"), None).expect("saved");
    representative.sync().await;
    let mut writes = note("总部新").writes();
    writes[0].seen = saw;
    server.write(vec![Draft { key, home, writes }], "test", sessions::now_ms()).expect("written");

    representative.sync().await;
    let [conflict] = &conflicts(&representative)[..] else { panic!("one conflict") };
    let (kept, lost) = (&conflict.kept.side, &conflict.lost.side);
    assert_eq!((kept.device, kept.person, kept.name.as_deref()), (DeviceNo::SERVER, None, None));
    assert_eq!((lost.person, conflict.lost.text.zh.as_str()), (Some(person("W2")), "现场新"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_conflicts_from_one_device_all_arrive() {
    const LINES: u64 = 2_000;
    let service = Service::start().await;
    let (phone, tablet) = (service.device("W1").await, service.device("W1").await);
    let visit = phone.client.open_visit(outlet("A1"), None).expect("opened");
    phone.sync().await;
    tablet.sync().await;
    for (device, units) in [(&phone, 1), (&tablet, 2)] {
        count(device, visit, LINES, units);
        device.sync().await;
    }
    let found = conflicts(&tablet);
    assert_eq!(found.len(), usize::try_from(LINES).expect("few"), "one conflict per product");
    let gtins: std::collections::BTreeSet<_> = found.iter().map(|conflict| conflict.at.key.clone()).collect();
    assert_eq!(gtins.len(), found.len());
    let restored = tablet.client.settle_conflict(found[0].id, Decision::Restored);
    assert!(matches!(restored, Err(RecordError::CorrectedOnly { kind: "stock_count" })), "{restored:?}");
    tablet.client.settle_conflict(found[0].id, Decision::Kept).expect("saved");
    assert_eq!(tablet.sync().await.rejected, 0);
    phone.sync().await;
    assert_eq!(conflicts(&phone).len(), found.len());
    assert!(conflicts(&phone).last().is_some_and(|last| last.settlement.is_some()), "open ones first");
    service.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_with_too_many_conflicts_is_accepted_in_part_and_the_rest_can_be_sent_again() {
    const OPS: u64 = 10;
    let service = Service::start().await;
    let phone = service.device("W1").await;
    let visit = phone.client.open_visit(outlet("A1"), None).expect("opened");
    count(&phone, visit, 200 * OPS, 1);
    phone.sync().await;
    let tablet = Device::enrol(&service.invitation("W1"), "tablet").await;
    let mut raw = RawDevice::of(&tablet, service.address()).await;
    let at_ms = tablet.clock.read_ms();
    let home = Home::Outlet(outlet("A1"));
    let op = |n: u64| {
        let shelf_units = (200 * n..200 * (n + 1)).map(|line| (product(line), 2)).collect();
        raw.op(&StockCount { shelf_units, ..StockCount::default() }, visit.0, home, at_ms, None)
    };
    let ops: Vec<Op> = (0..OPS).map(op).collect();
    let (mut through, mut pushes) = (0, 0);
    while through < OPS {
        let rest = ops[usize::try_from(through).expect("few")..].to_vec();
        let receipt = raw.push(rest).await;
        assert!(receipt.through.0 > through && receipt.rejections.is_empty(), "{receipt:?}");
        (through, pushes) = (receipt.through.0, pushes + 1);
    }
    assert!(pushes > 1, "the push must not fit in one commit");
    let found = service.server().records_of_home(home, Conflict::SPEC.kind).expect("readable");
    assert_eq!(found.len() as u64, 200 * OPS, "one conflict per product");
    let again = raw.push(ops).await;
    assert_eq!((again.through.0, again.rejections.len()), (OPS, 0));
    let after = service.server().records_of_home(home, Conflict::SPEC.kind).expect("readable");
    assert_eq!(after, found, "ops that are sent again make no further conflicts");
}

/// Counts `lines` products, in saves of 200 products each.
fn count(device: &Device, visit: VisitId, lines: u64, units: i64) {
    let gtins: Vec<Gtin> = (0..lines).map(product).collect();
    for some in gtins.chunks(200) {
        let shelf_units = some.iter().map(|gtin| (*gtin, units)).collect();
        let form = StockCount { shelf_units, ..StockCount::default() };
        device.client.count_stock(visit, &form).expect("saved");
    }
}
