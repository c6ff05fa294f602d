//! A small company with nine regions and a few days of work, written as imports and devices write.

use crate::server::{Draft, Server};
use crate::store::{Changes, Device, StoreError};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, OrgUnitId, OutletId, PersonId, PositionId, RecordId, VisitId};
use xundian_protocol::kinds::*;
use xundian_protocol::record::{Home, Op, Record, RecordKey};

/// Monday 2026-11-23, 18:00 in Shanghai.
pub(super) const NOW_MS: i64 = 1_795_428_000_000;
/// That day.
pub(super) const TODAY: Day = Day(20_780);
/// The regions by code.
pub(super) const REGIONS: [(&str, &str); 9] = [
    ("GAN_WAN", "赣皖大区"),
    ("HUA_BEI", "华北大区"),
    ("HUA_NAN", "华南大区"),
    ("JIANG_ZHE", "江浙大区"),
    ("JIN_MENG", "晋蒙特区"),
    ("LU_YU", "鲁豫大区"),
    ("SHANG_HAI", "上海特区"),
    ("XI_BEI", "西北大区"),
    ("ZHONG_NAN", "中南大区"),
];
/// A name that does harm if it is not escaped.
pub(super) const HOSTILE: &str = r#"<script>alert("门店")</script>'&"#;

const PRODUCTS: [&str; 6] =
    ["原味酸奶 200g", "纯牛奶 250ml", "高钙奶 1L", "早餐奶 250ml", "巧克力奶 200ml", "燕麦奶 1L"];

/// The id of an object with a code.
pub(super) fn id(code: &str) -> RecordId {
    RecordId::derived(xundian_protocol::ids::KindId(0), code)
}

/// A product's GTIN.
pub(super) fn gtin(n: usize) -> Gtin {
    Gtin::with_check_digit(690_123_400_000 + n as u64).unwrap()
}

/// The size of the company.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) people_per_region: usize,
    pub(super) outlets_per_person: usize,
    pub(super) days: i32,
}

fn draft<K: Entity>(id: RecordId, home: Home, form: &K) -> Draft {
    Draft { key: K::key(id), home, writes: form.writes() }
}

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

/// Writes a company of a size to a server.
pub(super) fn fill(server: &Server, size: Size) {
    let mut drafts = organisation();
    for (r, (region, name)) in REGIONS.iter().enumerate() {
        for p in 0..size.people_per_region {
            drafts.extend(person_with_outlets(region, name, r, p, size));
        }
    }
    drafts.extend(PRODUCTS.iter().enumerate().map(|(n, name)| {
        let product =
            Product { gtin: Some(gtin(n)), name: text(*name), brand: text("示例"), ..Product::default() };
        draft(Product::id_of(gtin(n)), Home::Company, &product)
    }));
    drafts.push(outlet("FREE-1", HOSTILE, None, Channel::Chain));
    server.write(drafts, "test", NOW_MS).unwrap();
    let mut no = 0;
    for (region, _) in REGIONS {
        for p in 0..size.people_per_region {
            no += 1;
            enrol(server, no, PersonId(id(&format!("{region}-P{p}"))));
            let ops = work(region, p, no, size);
            let receipt = server.ingest(DeviceNo(no), ops, NOW_MS).unwrap();
            assert!(receipt.rejections.is_empty(), "{:?}", receipt.rejections);
            let through = if no % 4 == 0 {
                NOW_MS - 3_600_000
            } else {
                TODAY.next().start_ms("Asia/Shanghai").unwrap()
            };
            server.note_device(DeviceNo(no), |device| device.captured_through_ms = Some(through)).unwrap();
        }
    }
}

fn organisation() -> Vec<Draft> {
    let unit = |code: &str, name: &str, unit_type, parent: Option<&str>| {
        let form = OrgUnit {
            code: text(code),
            name_zh: text(name),
            name_en: text(code),
            unit_type: Some(unit_type),
            parent: parent.map(|code| OrgUnitId(id(code))),
            ..OrgUnit::default()
        };
        draft(id(code), Home::Company, &form)
    };
    let mut drafts = vec![unit("HQ", "总公司", UnitType::Company, None)];
    for (code, name) in REGIONS {
        let kind = if name.ends_with("特区") { UnitType::SpecialRegion } else { UnitType::Region };
        drafts.push(unit(code, name, kind, Some("HQ")));
        drafts.push(unit(&format!("{code}-A"), &format!("{name}一片"), UnitType::Area, Some(code)));
        drafts.extend(post(&format!("{code}-M"), "大区经理", code, Role::Manager, &format!("{name}经理")));
    }
    drafts.extend(post("HQ-1", "营销总监", "HQ", Role::Headquarters, "陈总监"));
    drafts.push(draft(
        id("LOOSE"),
        Home::Person(PersonId(id("LOOSE"))),
        &Person {
            code: text("LOOSE"),
            name: text("无岗位"),
            status: Some(PersonStatus::Active),
            ..Person::default()
        },
    ));
    drafts
}

/// A position and the person who holds it, under one code.
fn post(code: &str, title: &str, unit: &str, role: Role, name: &str) -> [Draft; 2] {
    let position = Position {
        code: text(code),
        title: text(title),
        unit: Some(OrgUnitId(id(unit))),
        role: Some(role),
        superior: None,
    };
    let held = RecordId::derived(Position::SPEC.kind, code);
    let person = Person {
        code: text(code),
        name: text(name),
        status: Some(PersonStatus::Active),
        position: Some(PositionId(held)),
        ..Person::default()
    };
    [draft(held, Home::Company, &position), draft(id(code), Home::Person(PersonId(id(code))), &person)]
}

fn outlet(code: &str, name: &str, unit: Option<&str>, channel: Channel) -> Draft {
    let form = Outlet {
        code: text(code),
        name: text(name),
        channel: Some(channel),
        city: text("示例市"),
        address: text("人民路 1 号"),
        unit: unit.map(|code| OrgUnitId(id(code))),
        latitude_e7: Some(312_304_000),
        longitude_e7: Some(1_214_737_000),
        geofence_m: Some(200),
        status: Some(OutletStatus::Active),
        ..Outlet::default()
    };
    draft(id(code), Home::Outlet(OutletId(id(code))), &form)
}

const fn channel(n: usize) -> Channel {
    match n % 3 {
        0 => Channel::Hypermarket,
        1 => Channel::Chain,
        _ => Channel::Convenience,
    }
}

fn outlet_code(region: &str, p: usize, o: usize) -> String {
    format!("{region}-P{p}-S{o}")
}

fn person_with_outlets(region: &str, region_name: &str, r: usize, p: usize, size: Size) -> Vec<Draft> {
    const NAMES: [&str; 8] = ["王芳", "李伟", "张敏", "刘洋", "陈静", "杨磊", "赵丽", "黄强"];
    let code = format!("{region}-P{p}");
    // The first person of a region belongs to the region itself, the others to its area.
    let unit = if p == 0 { region.to_owned() } else { format!("{region}-A") };
    let name = format!("{}{}", NAMES[(r + p) % NAMES.len()], p + 1);
    let mut drafts = post(&code, "理货员", &unit, Role::Merchandiser, &name).to_vec();
    let position = PositionId(RecordId::derived(Position::SPEC.kind, &code));
    for o in 0..size.outlets_per_person {
        let code = outlet_code(region, p, o);
        let shop = format!("{}示例店{}-{}", &region_name[..6], p + 1, o + 1);
        drafts.push(outlet(&code, &shop, Some(region), channel(o)));
        let form = OutletAssignment {
            position: Some(position),
            epoch: Some(1),
            from: Some(Day(TODAY.0 - 400)),
            ..OutletAssignment::default()
        };
        drafts.push(draft(id(&format!("{code}-ASSIGNED")), Home::Outlet(OutletId(id(&code))), &form));
    }
    for day in TODAY.0 - size.days + 1..=TODAY.0 {
        let outlets = 0..size.outlets_per_person;
        let form = RoutePlan {
            day: Some(Day(day)),
            call_order: outlets.map(|o| (OutletId(id(&outlet_code(region, p, o))), o as i64 + 1)).collect(),
            ..RoutePlan::default()
        };
        drafts.push(draft(
            plan_id(region, p, day),
            Home::Person(PersonId(id(&format!("{region}-P{p}")))),
            &form,
        ));
    }
    drafts
}

fn plan_id(region: &str, p: usize, day: i32) -> RecordId {
    id(&format!("{region}-P{p}-{day}"))
}

fn enrol(server: &Server, no: u32, person: PersonId) {
    let device = Device {
        no: DeviceNo(no),
        person,
        label: "测试机".into(),
        enrolled_at_ms: NOW_MS,
        certificate_not_after_ms: NOW_MS,
        request_hash: [0; 32],
        key_hash: None,
        revoked_at_ms: None,
        replaced_by: None,
        applied_through: OpSeq(0),
        last_sync_ms: Some(NOW_MS),
        captured_through_ms: None,
        clock_offset_ms: Some(-120),
        app: "xundian 0.1.0".into(),
    };
    let changes = Changes { devices: vec![device], ..Changes::default() };
    server.change(|_| Ok::<_, StoreError>((changes, ()))).unwrap();
}

/// What one device saves, in order.
struct Recorder {
    device: DeviceNo,
    actor: PersonId,
    ops: Vec<Op>,
}

impl Recorder {
    fn save<K: Entity>(&mut self, id: RecordId, home: Home, at_ms: i64, day: Day, form: &K) {
        let header = Header {
            actor: self.actor,
            captured_at_ms: at_ms,
            utc_offset_min: 480,
            clock_grade: ClockGrade::Trusted,
            business_day: day,
            corrects: None,
        };
        let record: RecordKey = K::key(id);
        let mut writes = header.writes();
        writes.extend(form.writes());
        let stamp = Stamp { hlc: Hlc::at_ms(at_ms), device: self.device };
        self.ops.push(Op { seq: OpSeq(self.ops.len() as u64 + 1), stamp, record, home, writes });
    }
}

fn work(region: &str, p: usize, no: u32, size: Size) -> Vec<Op> {
    let actor = PersonId(id(&format!("{region}-P{p}")));
    let mut recorder = Recorder { device: DeviceNo(no), actor, ops: Vec::new() };
    for day in (TODAY.0 - size.days + 1..=TODAY.0).map(Day) {
        let start = day.start_ms("Asia/Shanghai").unwrap() + 8 * 3_600_000;
        let check = DepartureCheck {
            folder: Some(true),
            cloth: Some(true),
            knife: Some(p != 1),
            gifts: Some(12),
            ..DepartureCheck::default()
        };
        recorder.save(id(&format!("{region}{p}{day}C")), Home::Person(actor), start, day, &check);
        for o in 0..size.outlets_per_person {
            // Somebody is always behind the plan.
            if (o + p + day.0 as usize).is_multiple_of(7) {
                continue;
            }
            visit(&mut recorder, region, p, o, day, start + (o as i64 + 1) * 25 * 60_000);
        }
        let report = DayReport {
            day: Some(day),
            visits_done: Some(size.outlets_per_person as i64),
            remarks: text("堆箱已补，两家店缺货已报。"),
            ..DayReport::default()
        };
        recorder.save(
            id(&format!("{region}{p}{day}R")),
            Home::Person(actor),
            start + 8 * 3_600_000,
            day,
            &report,
        );
    }
    recorder.ops
}

fn visit(recorder: &mut Recorder, region: &str, p: usize, o: usize, day: Day, at_ms: i64) {
    let code = outlet_code(region, p, o);
    let home = Home::Outlet(OutletId(id(&code)));
    let visit = visit_id(region, p, o, day);
    let aborted = (o + day.0 as usize).is_multiple_of(11);
    let stay_ms = 12 * 60_000 + (o as i64 % 5) * 61_000;
    let form = Visit {
        opened_at_ms: Some(at_ms),
        closed_at_ms: (!aborted).then_some(at_ms + stay_ms),
        aborted_at_ms: aborted.then_some(at_ms + 60_000),
        abort_reason: aborted.then_some(AbortReason::Closed),
        time_in_store_ms: (!aborted).then_some(stay_ms),
        plan: Some(xundian_protocol::ids::RoutePlanId(plan_id(region, p, day.0))),
        channel: Some(channel(o)),
        latitude_e7: Some(312_304_000),
        longitude_e7: Some(1_214_737_000),
        accuracy_m: Some(12),
        position_grade: Some(FixGrade::Measured),
        distance_m: Some(35),
        task_answers: BTreeMap::from([("price_tag".into(), true), ("stack_built".into(), o != 2)]),
        note: text("店长要求周五前补货。"),
    };
    recorder.save(visit.0, home, at_ms, day, &form);
    if !aborted {
        lines(recorder, visit, home, o, day, at_ms);
    }
}

/// The id of a person's visit in one of their outlets.
pub(super) fn visit_id(region: &str, p: usize, o: usize, day: Day) -> VisitId {
    VisitId(id(&format!("{region}-P{p}-S{o}-{day}")))
}

/// Saves an entity after everything else, as a person's device does.
pub(super) fn save_more<K: Entity>(
    server: &Server,
    (region, p, size): (&str, usize, Size),
    (record, home): (RecordId, Home),
    header: Header,
    form: &K,
) {
    let place = REGIONS.iter().position(|(code, _)| *code == region).unwrap();
    let no = DeviceNo((place * size.people_per_region + p + 1) as u32);
    let device = server.device(no).unwrap().unwrap();
    let mut writes = header.writes();
    writes.extend(form.writes());
    let seq = device.applied_through.next();
    let stamp = Stamp { hlc: Hlc::at_ms(NOW_MS), device: no };
    let op = Op { seq, stamp, record: K::key(record), home, writes };
    let receipt = server.ingest(no, vec![op], NOW_MS).unwrap();
    assert!(receipt.rejections.is_empty(), "{:?}", receipt.rejections);
}

fn lines(recorder: &mut Recorder, visit: VisitId, home: Home, o: usize, day: Day, at_ms: i64) {
    let absent = |n: usize| (n + o + day.0 as usize).is_multiple_of(8);
    let products = 0..PRODUCTS.len();
    let shelf = ShelfObservation {
        visit: Some(visit),
        present: products.clone().map(|n| (gtin(n), !absent(n))).collect(),
        in_backroom: products.clone().filter(|n| absent(*n)).map(|n| (gtin(n), n % 2 == 0)).collect(),
        facings_own: products.clone().map(|n| (gtin(n), 3 + n as i64)).collect(),
        facings_category: products.clone().map(|n| (gtin(n), 20)).collect(),
        price_minor: products.clone().map(|n| (gtin(n), 399 + 100 * n as i64)).collect(),
        ..ShelfObservation::default()
    };
    recorder.save(visit.0, home, at_ms + 5 * 60_000, day, &shelf);
    let count = StockCount {
        visit: Some(visit),
        shelf_units: products.clone().map(|n| (gtin(n), if absent(n) { 0 } else { 12 + o as i64 })).collect(),
        backroom_units: products.map(|n| (gtin(n), 24)).collect(),
        ..StockCount::default()
    };
    recorder.save(visit.0, home, at_ms + 8 * 60_000, day, &count);
    if o == 1 {
        let movement = StockMovement {
            visit: Some(visit),
            cause: Some(MovementCause::ExchangeOut),
            units: BTreeMap::from([(gtin(0), -2)]),
            ..StockMovement::default()
        };
        recorder.save(visit.0, home, at_ms + 9 * 60_000, day, &movement);
    }
    if o == 3 {
        let closed = day.0 % 2 == 0;
        let issue = Issue {
            visit: Some(visit),
            issue_kind: Some(IssueKind::OutOfStock),
            severity: Some(Severity::Severe),
            text: text("高钙奶连续三天缺货，店方要求今天补货 <b>急</b>"),
            raised_on: Some(day),
            raised_by: Some(recorder.actor),
            due_on: Some(day.next()),
            state: Some(if closed { IssueState::Closed } else { IssueState::Open }),
            closed_on: closed.then_some(day),
            resolution: closed.then(|| "已从仓库补货".into()),
            ..Issue::default()
        };
        recorder.save(visit.0, home, at_ms + 10 * 60_000, day, &issue);
    }
}

/// The device of a region's manager.
const MANAGERS_DEVICE: u32 = 900;

fn manager(region: &str) -> Recorder {
    let actor = PersonId(id(&format!("{region}-M")));
    Recorder { device: DeviceNo(MANAGERS_DEVICE), actor, ops: Vec::new() }
}

/// Creates a conflict on an outlet's note, between the region's manager and headquarters. Returns its record.
pub(super) fn conflict(server: &Server, region: &str, outlet: &str, lost: &str, kept: &str) -> Record {
    let (outlet, mut recorder) = (id(outlet), manager(region));
    enrol(server, MANAGERS_DEVICE, recorder.actor);
    let home = Home::Outlet(OutletId(outlet));
    let note = |note: &str| Outlet { note: text(note), ..Outlet::default() };
    recorder.save(outlet, home, NOW_MS - 60_000, TODAY, &note(lost));
    let receipt = server.ingest(DeviceNo(MANAGERS_DEVICE), recorder.ops, NOW_MS).unwrap();
    assert_eq!(receipt.rejections, []);
    let mut late = draft(outlet, home, &note(kept));
    late.writes[0].seen = Some(Stamp { hlc: Hlc(1), device: DeviceNo::SERVER });
    server.write(vec![late], "test", NOW_MS).unwrap();
    let mut found = server.records_of_home(home, Conflict::SPEC.kind).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// The region's manager settles it.
pub(super) fn settle(server: &Server, conflict: Record, region: &str) {
    let mut recorder = manager(region);
    let settled = Conflict::settled(Decision::Kept, recorder.actor, NOW_MS);
    recorder.save(conflict.key.id, conflict.home, NOW_MS, TODAY, &settled);
    recorder.ops[0].seq = OpSeq(2);
    let receipt = server.ingest(DeviceNo(MANAGERS_DEVICE), recorder.ops, NOW_MS).unwrap();
    assert_eq!(receipt.rejections, []);
}
