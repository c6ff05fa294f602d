//! Ingest and figures on a real store: in whatever order ops arrive, the figures equal a recomputation.

mod backfilled;
mod forged;
mod repaired;

use super::RollUp;
use crate::server::{Draft, Server};
use crate::store::{Changes, Device};
use proptest::prelude::*;
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{
    DeviceNo, KindId, OpSeq, OrgUnitId, OutletId, PersonId, PositionId, RecordId, VisitId,
};
use xundian_protocol::kinds::{
    Channel, ClockGrade, Entity, Gtin, Header, Issue, IssueKind, IssueState, MovementCause, OrgUnit, Outlet,
    OutletAssignment, OutletStatus, Person, PersonStatus, Position, Role, RoutePlan, Severity,
    ShelfObservation, StockCount, StockMovement, UnitType, Visit,
};
use xundian_protocol::record::{Home, Op, Write};
use xundian_protocol::wire::v1::Refusal;

const DAY_ZERO: i32 = 20_780;
const NOW_MS: i64 = (DAY_ZERO as i64 + 60) * 86_400_000;

fn id(kind: u16, n: u64) -> RecordId {
    RecordId::derived(KindId(kind), &n.to_string())
}

fn unit(n: u64) -> OrgUnitId {
    OrgUnitId(id(1, n))
}

fn position(n: u64) -> PositionId {
    PositionId(id(2, n))
}

fn person(n: u64) -> PersonId {
    PersonId(id(3, n))
}

fn outlet(n: u64) -> OutletId {
    OutletId(id(4, n))
}

fn gtin(n: u64) -> Gtin {
    Gtin::with_check_digit(952_000_000_000 + n).expect("a demonstration number")
}

fn draft<T: Entity>(form: &T, id: RecordId, home: Home) -> Draft {
    Draft { key: T::key(id), home, writes: form.writes() }
}

fn assignment(of: u64, to: u64, epoch: i64, from: i32) -> Draft {
    let form = OutletAssignment {
        position: Some(position(to)),
        epoch: Some(epoch),
        from: Some(Day(from)),
        ..Default::default()
    };
    draft(&form, id(5, of * 1000 + epoch.unsigned_abs()), Home::Outlet(outlet(of)))
}

/// Two regions, each with a merchandiser (devices 1 and 2) and two outlets.
fn company(folder: &std::path::Path) -> Server {
    let server = Server::open(folder, NOW_MS).expect("a fresh folder opens");
    let mut drafts = Vec::new();
    for n in 0..2u64 {
        let form = OrgUnit {
            code: Some(format!("R{n}")),
            name_zh: Some(format!("大区{n}")),
            unit_type: Some(UnitType::Region),
            ..Default::default()
        };
        drafts.push(draft(&form, unit(n).0, Home::Company));
        let form = Position {
            code: Some(format!("P{n}")),
            title: Some("理货员".into()),
            unit: Some(unit(n)),
            role: Some(Role::Merchandiser),
            superior: None,
        };
        drafts.push(draft(&form, position(n).0, Home::Company));
        let form = Person {
            code: Some(format!("S{n}")),
            name: Some(format!("人员{n}")),
            status: Some(PersonStatus::Active),
            position: Some(position(n)),
            ..Default::default()
        };
        drafts.push(draft(&form, person(n).0, Home::Person(person(n))));
    }
    for n in 0..4u64 {
        let form = Outlet {
            code: Some(format!("O{n}")),
            name: Some(format!("门店{n}")),
            channel: Some(Channel::Chain),
            status: Some(OutletStatus::Active),
            ..Default::default()
        };
        drafts.push(draft(&form, outlet(n).0, Home::Outlet(outlet(n))));
        drafts.push(assignment(n, n / 2, 1, DAY_ZERO));
    }
    server.write(drafts, "test", NOW_MS).expect("the company is written");
    for n in 0..2 {
        enrol(&server, DeviceNo(n + 1), person(u64::from(n)));
    }
    server
}

fn enrol(server: &Server, no: DeviceNo, person: PersonId) {
    let device = Device {
        no,
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
    let changes = Changes { devices: vec![device], ..Default::default() };
    server.change(|_| Ok::<_, crate::store::StoreError>((changes, ()))).expect("a device is stored");
}

/// One piece of a merchandiser's work.
#[derive(Clone, Debug)]
enum Work {
    Visit { done: bool },
    Shelf { present: bool },
    Count { units: i64 },
    Move { units: i64 },
    Issue { closed: Option<i32> },
}

#[derive(Clone, Debug)]
struct Job {
    work: Work,
    outlet: u64,
    /// The products, see [`products`].
    product: u64,
    day: i32,
    /// The record: the same number writes the same record again.
    record: u64,
}

fn job() -> impl Strategy<Value = Job> {
    let work = prop_oneof![
        any::<bool>().prop_map(|done| Work::Visit { done }),
        any::<bool>().prop_map(|present| Work::Shelf { present }),
        (0..50i64).prop_map(|units| Work::Count { units }),
        (-9..9i64).prop_map(|units| Work::Move { units }),
        prop::option::of(0..4i32).prop_map(|closed| Work::Issue { closed }),
    ];
    (work, 0..2u64, 0..6u64, 0..8i32, 0..12u64).prop_map(|(work, outlet, product, day, record)| Job {
        work,
        outlet,
        product,
        day,
        record,
    })
}

/// The products of a job: one, or several of the same set.
fn products(job: &Job) -> &[u64] {
    match job.product {
        0 => &[0],
        1 => &[1],
        2 => &[2],
        3 => &[0, 1],
        4 => &[1, 2],
        _ => &[0, 1, 2],
    }
}

fn header(device: DeviceNo, day: i32, record: u64) -> Header {
    Header {
        actor: person(u64::from(device.0) - 1),
        captured_at_ms: i64::from(day) * 86_400_000 + i64::try_from(record).unwrap_or(0) * 1000,
        utc_offset_min: 480,
        clock_grade: ClockGrade::Trusted,
        business_day: Day(day),
        corrects: None,
    }
}

fn op(device: DeviceNo, seq: u64, job: &Job) -> Op {
    let day = DAY_ZERO + job.day;
    let at = outlet(u64::from(device.0 - 1) * 2 + job.outlet);
    let record = id(100, u64::from(device.0) * 100 + job.record * 2 + job.outlet);
    let lines = |units: i64| -> BTreeMap<Gtin, i64> {
        products(job).iter().map(|n| (gtin(*n), units + n.cast_signed())).collect()
    };
    let (kind, mut writes): (KindId, Vec<Write>) = match job.work {
        Work::Visit { done } => {
            let at_ms = i64::from(day) * 86_400_000;
            let form = Visit {
                opened_at_ms: Some(at_ms),
                closed_at_ms: done.then_some(at_ms + 60_000),
                time_in_store_ms: done.then_some(60_000),
                channel: Some(Channel::Chain),
                ..Default::default()
            };
            (Visit::SPEC.kind, form.writes())
        }
        Work::Shelf { present } => {
            let present = products(job).iter().map(|n| (gtin(*n), present)).collect();
            let form = ShelfObservation { visit: Some(VisitId(record)), present, ..Default::default() };
            (ShelfObservation::SPEC.kind, form.writes())
        }
        Work::Count { units } => {
            (StockCount::SPEC.kind, StockCount { shelf_units: lines(units), ..Default::default() }.writes())
        }
        Work::Move { units } => {
            let cause = Some(MovementCause::SellIn);
            (
                StockMovement::SPEC.kind,
                StockMovement { cause, units: lines(units), ..Default::default() }.writes(),
            )
        }
        Work::Issue { closed } => {
            let form = Issue {
                issue_kind: Some(IssueKind::Price),
                severity: Some(Severity::Normal),
                text: Some("价格".into()),
                raised_on: Some(Day(day)),
                raised_by: Some(person(u64::from(device.0) - 1)),
                due_on: Some(Day(day + 1)),
                state: Some(if closed.is_some() { IssueState::Closed } else { IssueState::Open }),
                closed_on: closed.map(|after| Day(day + after)),
                ..Default::default()
            };
            (Issue::SPEC.kind, form.writes())
        }
    };
    writes.extend(header(device, day, job.record).writes());
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    let stamp =
        Stamp { hlc: Hlc::at_ms(i64::from(day) * 86_400_000 + i64::try_from(seq).unwrap_or(0)), device };
    Op {
        seq: OpSeq(seq),
        stamp,
        record: xundian_protocol::record::RecordKey { kind, id: record },
        home: Home::Outlet(at),
        writes,
    }
}

fn ops(device: DeviceNo, jobs: &[Job]) -> Vec<Op> {
    (1..).zip(jobs).map(|(seq, job)| op(device, seq, job)).collect()
}

/// Sends ops in batches of the given sizes, each batch twice.
fn send(server: &Server, device: DeviceNo, ops: &[Op], batch: usize) {
    for chunk in ops.chunks(batch) {
        for _ in 0..2 {
            let receipt = server.ingest(device, chunk.to_vec(), NOW_MS).expect("ingest works");
            assert_eq!(receipt.rejections, []);
        }
    }
}

fn assert_clean(server: &Server) {
    let report = server.verify().expect("verify reads the store");
    assert!(report.is_clean(), "{:#?}", report.findings);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn figures_equal_a_recomputation_and_order_does_not_matter(
        one in prop::collection::vec(job(), 1..40),
        two in prop::collection::vec(job(), 1..40),
        batch in 1usize..20,
        handover in 0i32..8,
    ) {
        let (one, two) = (ops(DeviceNo(1), &one), ops(DeviceNo(2), &two));
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let first = company(folders[0].path());
        send(&first, DeviceNo(1), &one, batch);
        assert_clean(&first);
        // A backdated assignment of an outlet moves what was recorded there already.
        first.write(vec![assignment(1, 1, 2, DAY_ZERO + handover)], "test", NOW_MS).expect("a hand-over");
        assert_clean(&first);
        send(&first, DeviceNo(2), &two, batch);
        assert_clean(&first);

        let second = company(folders[1].path());
        send(&second, DeviceNo(2), &two, 100);
        send(&second, DeviceNo(1), &one, 100);
        second.write(vec![assignment(1, 1, 2, DAY_ZERO + handover)], "test", NOW_MS).expect("a hand-over");
        assert_clean(&second);
        for scope in [RollUp::Nation, RollUp::Unit(unit(0)), RollUp::Unit(unit(1)), RollUp::Person(person(0))] {
            for day in 0..12 {
                let day = Day(DAY_ZERO + day);
                prop_assert_eq!(first.figures(scope, day, day).ok(), second.figures(scope, day, day).ok());
                prop_assert_eq!(first.by_product(scope, day, day).ok(), second.by_product(scope, day, day).ok());
            }
        }
    }
}

#[test]
fn regions_add_up_to_the_nation() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let job = |outlet| Job { work: Work::Visit { done: true }, outlet, product: 0, day: 0, record: outlet };
    send(&server, DeviceNo(1), &ops(DeviceNo(1), &[job(0), job(1)]), 5);
    send(&server, DeviceNo(2), &ops(DeviceNo(2), &[job(0)]), 5);
    let day = Day(DAY_ZERO);
    let nation = server.figures(RollUp::Nation, day, day).expect("figures");
    let regions = server.by_region(day, day).expect("figures");
    let done: Vec<i64> = regions.iter().map(|(_, figures)| figures.visits.done).collect();
    assert_eq!((nation.visits.done, done), (3, vec![2, 1, 0]));
}

#[test]
fn an_op_outside_the_scope_is_rejected_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let job = Job { work: Work::Count { units: 5 }, outlet: 0, product: 0, day: 0, record: 0 };
    let mut foreign = op(DeviceNo(1), 1, &job);
    foreign.home = Home::Outlet(outlet(2));
    let mut fine = op(DeviceNo(1), 2, &Job { record: 1, ..job });
    fine.seq = OpSeq(2);
    let receipt =
        server.ingest(DeviceNo(1), vec![foreign.clone(), fine.clone()], NOW_MS).expect("ingest works");
    assert_eq!(receipt.through, OpSeq(2));
    assert_eq!(
        receipt.rejections.iter().map(|r| (r.seq, r.why)).collect::<Vec<_>>(),
        [(OpSeq(1), Refusal::OutOfScope)]
    );
    assert_eq!(server.record(foreign.record).expect("a read"), None);
    assert!(server.record(fine.record).expect("a read").is_some(), "one bad op never blocks the next");
    let again = server.ingest(DeviceNo(1), vec![foreign, fine], NOW_MS).expect("ingest works");
    assert_eq!(again, receipt, "the first receipt may have been lost");
    assert_clean(&server);
}

#[test]
fn a_gap_is_not_applied_and_the_receipt_says_where_to_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let jobs: Vec<Job> = (0..3)
        .map(|record| Job { work: Work::Count { units: 1 }, outlet: 0, product: 0, day: 0, record })
        .collect();
    let all = ops(DeviceNo(1), &jobs);
    let receipt = server.ingest(DeviceNo(1), all[1..].to_vec(), NOW_MS).expect("ingest works");
    assert_eq!(receipt.through, OpSeq(0));
    let receipt = server.ingest(DeviceNo(1), all, NOW_MS).expect("ingest works");
    assert_eq!(receipt.through, OpSeq(3));
}

#[test]
fn a_stamp_from_the_future_is_taken_as_the_time_of_receipt() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let mut future =
        op(DeviceNo(1), 1, &Job { work: Work::Count { units: 1 }, outlet: 0, product: 0, day: 0, record: 0 });
    future.stamp.hlc = Hlc::at_ms(NOW_MS * 2);
    let receipt = server.ingest(DeviceNo(1), vec![future.clone()], NOW_MS).expect("ingest works");
    let [(seq, moment)] = receipt.restamped[..] else { panic!("{receipt:?}") };
    assert_eq!(seq, OpSeq(1));
    let kept = server.record(future.record).expect("a read").and_then(|record| record.newest());
    assert_eq!(kept.map(|stamp| stamp.hlc), Some(moment));
    assert!(moment < future.stamp.hlc);
    let again = server.ingest(DeviceNo(1), vec![future], NOW_MS).expect("ingest works");
    assert_eq!(again, receipt, "the first receipt may have been lost");
}

#[test]
fn a_route_plan_of_outlets_in_two_regions_counts_in_both_and_moves_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let day = Day(DAY_ZERO + 3);
    let call_order = BTreeMap::from([(outlet(0), 1), (outlet(1), 2), (outlet(2), 3)]);
    let plan = RoutePlan { day: Some(day), call_order, ..Default::default() };
    server.write(vec![draft(&plan, id(7, 1), Home::Person(person(0)))], "test", NOW_MS).expect("a plan");
    let planned = |n| server.figures(RollUp::Unit(unit(n)), day, day).expect("figures").visits.planned;
    assert_eq!((planned(0), planned(1)), (2, 1));
    let handed_over = vec![assignment(0, 1, 2, DAY_ZERO), assignment(1, 1, 2, DAY_ZERO)];
    server.write(handed_over, "test", NOW_MS).expect("a hand-over");
    assert_eq!((planned(0), planned(1)), (0, 3));
    assert_clean(&server);
}

#[test]
fn a_batch_that_overlaps_what_was_applied_goes_on_where_that_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let jobs: Vec<Job> = (0..4)
        .map(|record| Job { work: Work::Count { units: 1 }, outlet: 0, product: 0, day: 0, record })
        .collect();
    let all = ops(DeviceNo(1), &jobs);
    server.ingest(DeviceNo(1), all[..3].to_vec(), NOW_MS).expect("ingest works");
    let receipt = server.ingest(DeviceNo(1), all[1..].to_vec(), NOW_MS).expect("ingest works");
    assert_eq!(receipt.through, OpSeq(4));
    assert_eq!(server.records(StockCount::SPEC.kind).expect("a read").len(), 4);
}

#[test]
fn stock_leaves_the_old_unit_with_the_first_count_of_the_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let count = |units, day| Job {
        work: Work::Count { units },
        outlet: 0,
        product: 0,
        day,
        record: u64::from(units.unsigned_abs() > 9),
    };
    send(&server, DeviceNo(1), &ops(DeviceNo(1), &[count(10, 1)]), 1);
    server.write(vec![assignment(0, 1, 2, DAY_ZERO + 3)], "test", NOW_MS).expect("a hand-over");
    let on_hand = |day| {
        let units = |n| {
            server
                .figures(RollUp::Unit(unit(n)), Day(DAY_ZERO + day), Day(DAY_ZERO + day))
                .expect("figures")
                .stock_units
        };
        (units(0), units(1))
    };
    assert_eq!(on_hand(3), (10, 0), "nobody of the new unit has counted yet");
    let mut next = op(DeviceNo(2), 1, &count(8, 4));
    next.home = Home::Outlet(outlet(0));
    let receipt = server.ingest(DeviceNo(2), vec![next], NOW_MS).expect("ingest works");
    assert_eq!(receipt.rejections, []);
    assert_eq!(on_hand(3), (10, 0));
    assert_eq!(on_hand(4), (0, 8));
    assert_clean(&server);
}

#[test]
fn an_issue_stays_with_the_unit_in_which_it_was_raised() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let issue = |closed| Job { work: Work::Issue { closed }, outlet: 0, product: 0, day: 1, record: 0 };
    send(&server, DeviceNo(1), &[op(DeviceNo(1), 1, &issue(None))], 1);
    server.write(vec![assignment(0, 1, 2, DAY_ZERO + 3)], "test", NOW_MS).expect("a hand-over");
    let open_and_overdue = |n: u64, day| {
        let day = Day(DAY_ZERO + day);
        let issues = server.figures(RollUp::Unit(unit(n)), day, day).expect("figures").issues;
        (issues.open, issues.overdue)
    };
    assert_eq!((open_and_overdue(0, 6), open_and_overdue(1, 6)), ((1, 1), (0, 0)));
    let mut closed = op(DeviceNo(2), 1, &issue(Some(4)));
    closed.home = Home::Outlet(outlet(0));
    closed.record = op(DeviceNo(1), 1, &issue(None)).record;
    let receipt = server.ingest(DeviceNo(2), vec![closed], NOW_MS).expect("ingest works");
    assert_eq!(
        receipt.rejections.len(),
        1,
        "the work was done before the hand-over, so by somebody else's day"
    );
    send(&server, DeviceNo(1), &[op(DeviceNo(1), 2, &issue(Some(4)))], 1);
    assert_eq!((open_and_overdue(0, 6), open_and_overdue(1, 6)), ((0, 0), (0, 0)));
    assert_clean(&server);
}

#[test]
fn nobody_blanks_another_persons_record_without_a_record_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let count = |record| {
        op(DeviceNo(1), 1, &Job { work: Work::Count { units: 5 }, outlet: 0, product: 0, day: 1, record })
    };
    let theirs = count(0);
    server.ingest(DeviceNo(1), vec![theirs.clone()], NOW_MS).expect("ingest works");
    server.write(vec![assignment(0, 1, 2, DAY_ZERO)], "test", NOW_MS).expect("a hand-over");
    let blank = |seq: i64, by| {
        let value = xundian_protocol::record::Value::Id(by);
        let at = xundian_protocol::record::FieldKey::single(xundian_protocol::kinds::header::CORRECTED_BY);
        let stamp =
            Stamp { hlc: Hlc::at_ms(i64::from(DAY_ZERO + 2) * 86_400_000 + seq), device: DeviceNo(2) };
        let seq = OpSeq(seq.unsigned_abs());
        Op { seq, stamp, writes: vec![Write { at, value, seen: None }], ..theirs.clone() }
    };
    let receipt = server.ingest(DeviceNo(2), vec![blank(1, RecordId::NIL)], NOW_MS).expect("ingest works");
    assert_eq!(receipt.rejections.iter().map(|r| r.why).collect::<Vec<_>>(), [Refusal::NotTheAuthor]);

    let mut own =
        op(DeviceNo(2), 2, &Job { work: Work::Count { units: 7 }, outlet: 0, product: 0, day: 1, record: 1 });
    own.home = theirs.home;
    let by = own.record.id;
    let receipt = server.ingest(DeviceNo(2), vec![own, blank(3, by)], NOW_MS).expect("ingest works");
    assert_eq!(receipt.rejections, []);
    let day = Day(DAY_ZERO + 5);
    assert_eq!(server.figures(RollUp::Nation, day, day).expect("figures").stock_units, 7);
    assert_clean(&server);
}
