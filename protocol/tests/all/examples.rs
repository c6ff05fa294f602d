//! A small example of each stored or sent value. The golden bytes are their encodings.

use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::digest::{Digest, ShortDigest};
use xundian_protocol::figures::{MeasureFamily, Measures, Subject};
use xundian_protocol::ids::{
    ContentHash, DeviceNo, FeedEpoch, FeedSeq, KindId, OpSeq, OrgUnitId, OutletId, PersonId, PositionId,
    RecordId, RoutePlanId, VisitId,
};
use xundian_protocol::kinds::{
    AbortReason, Channel, ClockGrade, Conflict, DayReport, Decision, DepartureCheck, Entity, FixGrade, Gtin,
    Header, Issue, IssueKind, IssueState, MediaType, MovementCause, OrgUnit, Outlet, OutletAssignment,
    OutletStatus, Person, PersonStatus, Photo, PhotoSource, PhotoSubject, Position, Product, Role, RoutePlan,
    Severity, ShelfObservation, StockCount, StockMovement, UnitType, Visit,
};
use xundian_protocol::record::{
    ConcurrentWrite, FieldKey, Home, Key, Op, Record, RecordKey, Register, Value, Write,
};
use xundian_protocol::wire::stored::encode_record;
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, CompareDigests, CompareRecords, Declined, DigestVerdict, Enrol, FigureRequest,
    FigureResponse, Granted, Hello, Offer, Piece, Pull, Push, Receipt, Refusal, Refused, Rejection, Repair,
    Resume, Resumed, ServerFrame, UploadStatus, Welcome,
};

pub(crate) const NOON_MS: i64 = 1_795_406_400_000;
pub(crate) const DAY: Day = Day(20_780);

pub(crate) fn id(n: u8) -> RecordId {
    RecordId::v7(NOON_MS.cast_unsigned(), [n; 10])
}

pub(crate) fn stamp(ms: i64, device: u32) -> Stamp {
    Stamp { hlc: Hlc::at_ms(NOON_MS + ms), device: DeviceNo(device) }
}

pub(crate) fn outlet() -> Home {
    Home::Outlet(OutletId(id(40)))
}

pub(crate) fn person() -> Home {
    Home::Person(PersonId(id(30)))
}

pub(crate) fn gtin(n: u64) -> Gtin {
    Gtin::with_check_digit(690_123_456_700 + n).expect("a GTIN")
}

pub(crate) fn header() -> Header {
    Header {
        actor: PersonId(id(30)),
        captured_at_ms: NOON_MS,
        utc_offset_min: 480,
        clock_grade: ClockGrade::Trusted,
        business_day: DAY,
        corrects: None,
    }
}

/// An op that creates a record from an entity, with a header.
pub(crate) fn create<T: Entity>(form: &T, home: Home, n: u8) -> Op {
    let mut writes = header().writes();
    writes.extend(form.writes());
    Op { seq: OpSeq(u64::from(n) + 1), stamp: stamp(i64::from(n), 7), record: T::key(id(n)), home, writes }
}

pub(crate) fn record_of(op: &Op) -> Record {
    let mut record = Record::empty(op.record, op.home);
    record.apply(op);
    record
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

/// An op of every kind and one of an unknown kind, by the kind's code.
pub(crate) fn ops() -> Vec<(&'static str, Op)> {
    let mut ops = first_ops();
    ops.push(("photo", create(&photo(), outlet(), 66)));
    ops.push(("conflict", create(&conflict(), outlet(), 67)));
    ops
}

/// The ops of the first kinds. The first example frames contain exactly these; later kinds have their own frames.
fn first_ops() -> Vec<(&'static str, Op)> {
    let mut ops = organisation();
    ops.extend(field_work());
    ops.push(("unknown", unknown()));
    ops
}

fn organisation() -> Vec<(&'static str, Op)> {
    let unit = OrgUnit {
        code: text("HB"),
        name_zh: text("华北大区"),
        unit_type: Some(UnitType::Region),
        parent: Some(OrgUnitId(id(9))),
        territory: BTreeMap::from([("11".into(), true), ("12".into(), true)]),
        ..Default::default()
    };
    let position = Position {
        code: text("HB-01"),
        title: text("理货员"),
        unit: Some(OrgUnitId(id(10))),
        role: Some(Role::Merchandiser),
        ..Default::default()
    };
    let somebody = Person {
        code: text("0042"),
        name: text("王芳"),
        status: Some(PersonStatus::Active),
        position: Some(PositionId(id(20))),
        joined_on: Some(Day(DAY.0 - 400)),
        ..Default::default()
    };
    let shop = Outlet {
        code: text("S1-01"),
        name: text("学府路店"),
        channel: Some(Channel::Hypermarket),
        division: text("110108"),
        unit: Some(OrgUnitId(id(10))),
        latitude_e7: Some(399_900_000),
        longitude_e7: Some(1_163_000_000),
        status: Some(OutletStatus::Active),
        ..Default::default()
    };
    let assignment = OutletAssignment {
        position: Some(PositionId(id(20))),
        epoch: Some(3),
        from: Some(DAY),
        to: None,
        reason: text("交接"),
    };
    let product = Product {
        gtin: Some(gtin(1)),
        name: text("原味薯片"),
        units_per: BTreeMap::from([("case".into(), 24)]),
        competitor: Some(false),
        ..Default::default()
    };
    vec![
        ("org_unit", create(&unit, Home::Company, 10)),
        ("position", create(&position, Home::Company, 20)),
        ("person", create(&somebody, person(), 30)),
        ("outlet", create(&shop, outlet(), 40)),
        ("outlet_assignment", create(&assignment, outlet(), 41)),
        ("product", create(&product, Home::Company, 50)),
    ]
}

fn field_work() -> Vec<(&'static str, Op)> {
    let plan = RoutePlan {
        day: Some(DAY),
        call_order: BTreeMap::from([(OutletId(id(40)), 1), (OutletId(id(42)), 2)]),
        call_purpose: BTreeMap::from([(OutletId(id(40)), "盘点".into())]),
        call_must: BTreeMap::from([(OutletId(id(40)), true)]),
        note: None,
    };
    let check = DepartureCheck {
        folder: Some(true),
        cloth: Some(true),
        knife: Some(false),
        gifts: Some(5),
        ..Default::default()
    };
    let movement = StockMovement {
        cause: Some(MovementCause::ExchangeOut),
        units: BTreeMap::from([(gtin(1), -3)]),
        lot: BTreeMap::from([(gtin(1), "L7".into())]),
        ..Default::default()
    };
    let report =
        DayReport { day: Some(DAY), visits_done: Some(8), remarks: text("顺利"), ..Default::default() };
    vec![
        ("route_plan", create(&plan, person(), 60)),
        ("departure_check", create(&check, person(), 61)),
        ("visit", create(&visit(), outlet(), 62)),
        ("shelf_observation", create(&shelf(2), outlet(), 62)),
        ("stock_count", create(&count(2), outlet(), 62)),
        ("stock_movement", create(&movement, outlet(), 63)),
        ("issue", create(&issue(), outlet(), 64)),
        ("day_report", create(&report, person(), 65)),
    ]
}

pub(crate) fn visit() -> Visit {
    Visit {
        opened_at_ms: Some(NOON_MS - 1_800_000),
        closed_at_ms: Some(NOON_MS),
        time_in_store_ms: Some(1_795_000),
        plan: Some(RoutePlanId(id(60))),
        channel: Some(Channel::Hypermarket),
        latitude_e7: Some(399_900_123),
        longitude_e7: Some(1_163_000_456),
        accuracy_m: Some(12),
        position_grade: Some(FixGrade::Measured),
        distance_m: Some(31),
        task_answers: BTreeMap::from([("poster".into(), true), ("price_tags".into(), false)]),
        note: Some("堆头已摆好".into()),
        ..Default::default()
    }
}

pub(crate) fn aborted_visit() -> Visit {
    Visit { aborted_at_ms: Some(NOON_MS), abort_reason: Some(AbortReason::Closed), ..visit() }
}

pub(crate) fn shelf(lines: u64) -> ShelfObservation {
    ShelfObservation {
        visit: Some(VisitId(id(62))),
        present: (0..lines).map(|n| (gtin(n), n % 7 != 1)).collect(),
        in_backroom: BTreeMap::from([(gtin(1), true)]),
        facings_own: (0..lines).map(|n| (gtin(n), 2 + n.cast_signed() % 5)).collect(),
        price_minor: (0..lines).map(|n| (gtin(n), 590 + 100 * (n.cast_signed() % 9))).collect(),
        ..Default::default()
    }
}

pub(crate) fn count(lines: u64) -> StockCount {
    StockCount {
        visit: Some(VisitId(id(62))),
        shelf_units: (0..lines).map(|n| (gtin(n), 5 + n.cast_signed())).collect(),
        backroom_units: (0..lines).map(|n| (gtin(n), 24 * (n.cast_signed() % 3))).collect(),
        lot_units: BTreeMap::from([((gtin(0), "L1".into()), 4)]),
        lot_expires_on: BTreeMap::from([((gtin(0), "L1".into()), Day(DAY.0 + 90))]),
        ..Default::default()
    }
}

pub(crate) fn issue() -> Issue {
    Issue {
        visit: Some(VisitId(id(62))),
        issue_kind: Some(IssueKind::OutOfStock),
        severity: Some(Severity::Urgent),
        text: text("原味薯片断货"),
        raised_on: Some(DAY),
        raised_by: Some(PersonId(id(30))),
        due_on: Some(DAY.next()),
        state: Some(IssueState::Open),
        ..Default::default()
    }
}

/// A conflict about a line of a count, found and settled.
pub(crate) fn conflict() -> Conflict {
    let at = FieldKey { tag: 17, key: Key::Number(gtin(1).number()) };
    let register = |value, stamp| Register { value, stamp };
    let found = ConcurrentWrite {
        at,
        kept: register(Value::Int(12), stamp(9000, 9)),
        lost: register(Value::Absent, stamp(8000, 0)),
    };
    let who = |device: DeviceNo| (device != DeviceNo::SERVER).then(|| (PersonId(id(30)), "王芳".into()));
    let settled = Conflict::settled(Decision::Kept, PersonId(id(31)), NOON_MS + 60_000);
    Conflict {
        settled_kept_by: settled.settled_kept_by,
        settled_kept_at_ms: settled.settled_kept_at_ms,
        ..Conflict::of(StockCount::key(id(62)), &found, NOON_MS, who)
    }
}

pub(crate) fn photo() -> Photo {
    Photo {
        visit: Some(VisitId(id(62))),
        subject: Some(PhotoSubject::Shelf),
        content_hash: Some(ContentHash([7; 32])),
        size_bytes: Some(2_800_000),
        media_type: Some(MediaType::Jpeg),
        source: Some(PhotoSource::InApp),
        taken_at_ms: Some(NOON_MS - 60_000),
        position_grade: Some(FixGrade::Missing),
        note: text("第二层"),
        ..Default::default()
    }
}

/// An edit by a newer app: an unknown kind with unknown tags, every type of key and value, and seen stamps.
fn unknown() -> Op {
    let at = |tag, key| FieldKey { tag, key };
    let write = |at, value, seen| Write { at, value, seen };
    Op {
        seq: OpSeq(99),
        stamp: stamp(900, 8),
        record: RecordKey { kind: KindId(60_000), id: id(70) },
        home: Home::Unit(OrgUnitId(id(10))),
        writes: vec![
            write(at(1, Key::Single), Value::Absent, Some(stamp(1, 3))),
            write(at(2, Key::Single), Value::Bool(true), None),
            write(at(2, Key::Number(7)), Value::Int(-1), None),
            write(at(3, Key::Text("甲".into())), Value::Text("乙".into()), Some(stamp(2, 4))),
            write(at(4, Key::Id(id(1))), Value::Id(id(2)), None),
            write(at(65_535, Key::NumberText(9, "L9".into())), Value::Bytes(vec![0, 255]), None),
        ],
    }
}

/// A record that three people wrote.
pub(crate) fn merged_record() -> Record {
    let mut record = record_of(&create(&count(2), outlet(), 62));
    for (device, units) in [(8, 11), (9, 12)] {
        let form = StockCount { shelf_units: BTreeMap::from([(gtin(device), units)]), ..Default::default() };
        let stamp = stamp(device.cast_signed() * 1000, u32::try_from(device).unwrap());
        record.apply(&Op {
            seq: OpSeq(1),
            stamp,
            record: record.key,
            home: record.home,
            writes: form.writes(),
        });
    }
    record
}

pub(crate) fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let app = "xundian 1.0 (Android 15)".into();
    let pushed: Vec<Op> =
        first_ops().into_iter().zip(1..).map(|((_, op), seq)| Op { seq: OpSeq(seq), ..op }).collect();
    let hello = Hello { app, device: DeviceNo(7), next_seq: OpSeq(16), now_ms: NOON_MS };
    let pull = Pull {
        scope_digest: [9; 16],
        cursor: FeedSeq(1_000_000),
        behind: vec![(Home::Company, FeedSeq(0)), (outlet(), FeedSeq(500))],
        sent_through: OpSeq(15),
        captured_through_ms: NOON_MS,
    };
    let enrol = Enrol { secret: [5; 16], request_der: vec![48, 3, 2, 1, 0], label: "王芳的手机".into() };
    vec![
        ("hello", ClientFrame::Hello(hello)),
        ("push_one", ClientFrame::Push(Push { ops: pushed[..1].to_vec() })),
        ("push", ClientFrame::Push(Push { ops: pushed })),
        ("pull", ClientFrame::Pull(pull)),
        (
            "ask",
            ClientFrame::FigureRequest(FigureRequest {
                family: MeasureFamily::Products,
                from: DAY,
                to: DAY.next(),
            }),
        ),
        ("enrol", ClientFrame::Enrol(enrol)),
        ("push_photo", ClientFrame::Push(Push { ops: vec![create(&photo(), outlet(), 66)] })),
        ("offer", ClientFrame::Offer(Offer { hash: ContentHash([7; 32]), bytes: 2_800_000 })),
        (
            "piece",
            ClientFrame::Piece(Piece { hash: ContentHash([7; 32]), from: 65_536, bytes: vec![255, 216] }),
        ),
        ("check", check(Vec::new())),
        ("check_homes", check(vec![(Home::Company, Digest(0)), (outlet(), digest_of_visit())])),
        ("check_records", ClientFrame::CompareRecords(check_records())),
        ("resume", ClientFrame::Resume(Resume { epoch: FeedEpoch([6; 16]), reached: FeedSeq(1_000_000) })),
    ]
}

/// The digest of a stored record. Every implementation must compute the same one.
pub(crate) fn digest_of_visit() -> Digest {
    let stored = encode_record(&record_of(&create(&visit(), outlet(), 62)));
    Digest::of_record(&stored)
}

fn check(homes: Vec<(Home, Digest)>) -> ClientFrame {
    ClientFrame::CompareDigests(CompareDigests { at: FeedSeq(1_000_321), all: digest_of_visit(), homes })
}

fn check_records() -> CompareRecords {
    let (visit, count) = (Visit::key(id(62)), StockCount::key(id(62)));
    CompareRecords {
        at: FeedSeq(1_000_321),
        home: outlet(),
        after: Some(Visit::key(id(61))),
        through: Some(count),
        records: vec![(visit, digest_of_visit().short()), (count, ShortDigest(7))],
    }
}

fn repair() -> Repair {
    Repair {
        home: outlet(),
        after: Some(Visit::key(id(61))),
        through: None,
        records: vec![record_of(&create(&visit(), outlet(), 62))],
        gone: vec![StockCount::key(id(62))],
    }
}

pub(crate) fn server_frames() -> Vec<(&'static str, ServerFrame)> {
    let mut records: Vec<Record> = first_ops().iter().map(|(_, op)| record_of(op)).collect();
    records.push(merged_record());
    let changes = |home, records| Changes { home, from: FeedSeq(1_000_000), to: FeedSeq(1_000_321), records };
    let rejections = vec![Rejection {
        seq: OpSeq(3),
        why: Refusal::OutOfScope,
        message: "S1-01 was not in your scope".into(),
    }];
    let receipt = Receipt { through: OpSeq(15), rejections, restamped: vec![(OpSeq(4), stamp(5, 0).hlc)] };
    let rows = vec![
        (Subject::Unit(None), 0, Measures::of(&[1])),
        (Subject::Unit(Some(OrgUnitId(id(10)))), gtin(1).number(), Measures::of(&[94_043, 10_517, 0, -1])),
        (Subject::Person(PersonId(id(30))), 0, Measures::default()),
    ];
    let granted = Granted {
        device: DeviceNo(7),
        certificate_der: vec![48, 1, 2],
        authority_der: vec![48, 3, 4],
        person: PersonId(id(30)),
        person_name: "王芳".into(),
    };
    let refused = Refused { why: Refusal::Revoked, message: "D7 was revoked".into() };
    let declined = Declined {
        hash: ContentHash([7; 32]),
        why: Refusal::Unnamed,
        message: "no record names this picture".into(),
    };
    let welcome = Welcome { now_ms: NOON_MS, applied_through: OpSeq(15), person: PersonId(id(30)) };
    vec![
        ("welcome", ServerFrame::Welcome(welcome)),
        ("receipt", ServerFrame::Receipt { first: OpSeq(1), receipt }),
        ("scope", ServerFrame::Scope(vec![Home::Company, Home::Unit(OrgUnitId(id(10))), outlet(), person()])),
        ("changes_none", ServerFrame::Changes(changes(None, Vec::new()))),
        ("changes", ServerFrame::Changes(changes(Some(outlet()), records))),
        ("pulled", ServerFrame::Pulled(FeedSeq(1_000_321))),
        ("answer", ServerFrame::FigureResponse(FigureResponse { rows })),
        ("granted", ServerFrame::Granted(granted)),
        ("refused", ServerFrame::Refused(refused)),
        (
            "held",
            ServerFrame::UploadStatus(UploadStatus {
                hash: ContentHash([7; 32]),
                bytes: 65_538,
                front: ContentHash([8; 32]),
            }),
        ),
        ("declined", ServerFrame::Declined(declined)),
        ("checked", ServerFrame::DigestVerdict(DigestVerdict::Agrees)),
        ("checked_differs", ServerFrame::DigestVerdict(DigestVerdict::Differs)),
        ("checked_homes", ServerFrame::DigestVerdict(DigestVerdict::DifferIn(vec![Home::Company, outlet()]))),
        ("repair", ServerFrame::Repair(repair())),
        ("renewed", ServerFrame::Renewed(vec![0x30, 3, 2, 1, 4])),
        ("resumed", ServerFrame::Resumed(Resumed { epoch: FeedEpoch([6; 16]), continues: true })),
    ]
}
