//! Organisation, people, assignments and route plans.

use super::*;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::{OrgUnit, Outlet, Person, PersonStatus, RoutePlan};
use xundian_protocol::record::Home;

const ASSIGNMENTS: &str = "outlet,position,from,to\nS1,HB-M1,2026-11-01,\nS2,HB-M1,2026-11-01,2026-12-31\n";
const ROUTES: &str = "person,day,outlet,order,purpose,must
M001,2026-11-23,S1,,盘点,是
M001,2026-11-23,S2,,,
M001,2026-11-24,S1,2,,no
";

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn outlet(code: &str) -> OutletId {
    OutletId(RecordId::derived(Outlet::SPEC.kind, code))
}

#[test]
fn importing_again_changes_nothing() {
    let fixture = Fixture::company();
    let files = [
        (ImportKind::Org, ORG, 5),
        (ImportKind::People, PEOPLE, 2),
        (ImportKind::Outlets, OUTLETS, 3),
        (ImportKind::Assignments, ASSIGNMENTS, 2),
        (ImportKind::Routes, ROUTES, 2),
    ];
    for (kind, file, _) in files {
        assert!(fixture.import(kind, file).imported);
    }
    for (kind, file, records) in files {
        let again = fixture.import(kind, file);
        assert_eq!(counts(&again), [0, 0, records], "{kind}");
    }
}

#[test]
fn the_source_s_slip_in_a_region_s_name_is_mended() {
    let fixture = Fixture::company();
    assert_eq!(fixture.read::<OrgUnit>("GAN_WAN").name_zh.as_deref(), Some("赣皖大区"));
    for spelling in ["赣晥大区", "赣皖大区", "GAN_WAN", "gan_wan", "Gan-Wan"] {
        let outcome = fixture.import(ImportKind::Outlets, &format!("code,name,region\nS9,a,{spelling}\n"));
        assert_eq!(outcome.bad_rows, 0, "{spelling}");
        let unit = RecordId::derived(OrgUnit::SPEC.kind, "GAN_WAN");
        assert_eq!(fixture.read::<Outlet>("S9").unit.map(|unit| unit.0), Some(unit));
    }
}

#[test]
fn a_territory_is_what_the_file_says() {
    let fixture = Fixture::company();
    let territory = |fixture: &Fixture| {
        let unit: OrgUnit = fixture.read("HB");
        unit.territory.into_iter().filter(|(_, is)| *is).map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(territory(&fixture), ["11", "12", "13"]);
    let changed = fixture.import(ImportKind::Org, &ORG.replace("11|12;130000", "11;14"));
    assert_eq!(counts(&changed), [0, 1, 4]);
    assert_eq!(territory(&fixture), ["11", "14"]);
    let untold = fixture.import(ImportKind::Org, "code,name_zh,unit_type,parent\nHB,华北大区,region,HQ\n");
    assert_eq!(counts(&untold), [0, 0, 1]);
}

#[test]
fn the_organisation_s_faults_are_named() {
    let fixture = Fixture::company();
    let text = "row,code,name_zh,unit_type,parent,territory,title,unit,role,superior
unit,A,甲,region,B,,,,,
unit,B,乙,region,A,,,,,
unit,C,丙,region,NO,,,,,
unit,D,丁,area,C,,,,,
unit,E,戊,planet,,2x,,,,
unit,F,己,region,HQ,11,,,,
position,P1,,,,,经理,D,manager,
position,P2,,,,,经理,HB,boss,
position,P3,,,,,经理,HB,manager,P3
section,X,,,,,,,,
unit,HQ,总公司,company,,,,,,
unit,HQ,总公司,company,,,,,,
";
    let outcome = fixture.import(ImportKind::Org, text);
    let dangling = "no unit has this code, here or in a good row of the file";
    assert_eq!(
        faults(&outcome),
        [
            (2, "parent", "the unit would lie below itself"),
            (3, "parent", "the unit would lie below itself"),
            (4, "parent", dangling),
            (5, "parent", dangling),
            (
                6,
                "unit_type",
                "is none of company 公司, centre 中心, department 部门, region 大区, special_region 特区, operating_zone 运营区, pilot_zone 试点区, area 片区"
            ),
            (6, "territory", "2x is no division code of two, four or six digits"),
            (7, "territory", "11 is the territory of HB as well"),
            (8, "unit", dangling),
            (
                9,
                "role",
                "is none of merchandiser 理货员, representative 区域销售, manager 经理, headquarters 总部"
            ),
            (10, "superior", "the position would report to itself"),
            (11, "row", "is neither unit 组织 nor position 岗位"),
            (13, "code", "stands on line 12 already"),
        ]
    );
    assert_eq!(counts(&fixture.skip_bad(ImportKind::Org, text)), [0, 0, 1]);
}

#[test]
fn people_are_checked_and_an_empty_cell_clears() {
    let fixture = Fixture::company();
    let outcome = fixture.import(
        ImportKind::People,
        "code,name,status,position,joined_on,left_on\nM1,a,fired,NO,2026-02-01,2026-01-01\n",
    );
    assert_eq!(
        faults(&outcome),
        [
            (2, "left_on", "is before the first day of work"),
            (2, "status", "is none of active 在职, left 离职"),
            (2, "position", "no position has this code: import the organisation first"),
        ]
    );
    let cleared = fixture.import(ImportKind::People, "code,name,joined_on\nM001,王芳,\n");
    assert_eq!(counts(&cleared), [0, 1, 0]);
    assert_eq!(fixture.read::<Person>("M001").joined_on, None);
    assert_eq!(
        held(&fixture, "2027-01-15").as_deref(),
        Some("HB-M1"),
        "a column that the file lacks is left alone"
    );
}

/// The code of the position that 王芳 holds on a day.
fn held(fixture: &Fixture, on: &str) -> Option<String> {
    let directory = fixture.server.directory();
    let id = PersonId(RecordId::derived(Person::SPEC.kind, "M001"));
    directory.held_on(id, day(on)).map(|(_, position)| position.code.clone())
}

#[test]
fn a_person_who_moves_keeps_the_days_before() {
    let fixture = Fixture::company();
    let moved = "code,name,position,position_from\nM001,王芳,HB-MGR,2027-03-01\n";
    assert_eq!(counts(&fixture.import(ImportKind::People, moved)), [0, 1, 0]);
    assert_eq!(counts(&fixture.import(ImportKind::People, moved)), [0, 0, 1], "again");
    let undated = |position| format!("code,name,position\nM001,王芳,{position}\n");
    let as_today = fixture.import(ImportKind::People, &undated("HB-M1"));
    assert_eq!(counts(&as_today), [0, 0, 1], "the position of today, and the move to come stands");
    assert_eq!(held(&fixture, "2027-02-28").as_deref(), Some("HB-M1"));
    assert_eq!(held(&fixture, "2027-03-01").as_deref(), Some("HB-MGR"));
    let none = "code,name,position,position_from\nM001,王芳,,2027-05-01\n";
    assert_eq!(counts(&fixture.import(ImportKind::People, none)), [0, 1, 0]);
    assert_eq!(held(&fixture, "2027-05-01"), None);
    assert_eq!(held(&fixture, "2027-04-30").as_deref(), Some("HB-MGR"));
    // Without a day a move begins tomorrow, because today's work is unsent yet. Today is 2027-01-15.
    for changed in [1, 0] {
        let outcome = fixture.import(ImportKind::People, &undated("HB-MGR"));
        assert_eq!(counts(&outcome), [0, changed, 1 - changed]);
    }
    assert_eq!(held(&fixture, "2027-01-15").as_deref(), Some("HB-M1"));
    assert_eq!(held(&fixture, "2027-01-16").as_deref(), Some("HB-MGR"));
}

#[test]
fn who_has_left_held_the_position_up_to_the_last_day() {
    let fixture = Fixture::company();
    let left = "code,name,status\nM001,王芳,离职\n";
    assert_eq!(counts(&fixture.import(ImportKind::People, left)), [0, 1, 0]);
    let person: Person = fixture.read("M001");
    assert_eq!((person.status, person.left_on), (Some(PersonStatus::Left), Some(day("2027-01-15"))));
    assert_eq!(counts(&fixture.import(ImportKind::People, left)), [0, 0, 1], "the day stays");
    let again = "code,name,left_on,position\nM001,王芳,,\n";
    assert_eq!(counts(&fixture.import(ImportKind::People, again)), [0, 0, 1], "without the status as well");
    assert_eq!(held(&fixture, "2027-01-15").as_deref(), Some("HB-M1"));
    assert_eq!(held(&fixture, "2027-01-16"), None);
}

#[test]
fn assignments_count_hand_overs() {
    let fixture = Fixture::company();
    fixture.import(ImportKind::Assignments, ASSIGNMENTS);
    let handed = "outlet,position,from,reason\nS1,HB-MGR,2026-12-01,交接\nS1,HB-M1,2027-01-01,\n";
    assert_eq!(counts(&fixture.import(ImportKind::Assignments, handed)), [2, 0, 0]);
    assert_eq!(counts(&fixture.import(ImportKind::Assignments, handed)), [0, 0, 2]);
    let directory = fixture.server.directory();
    let epoch = |on: &str| directory.assignment_on(outlet("S1"), day(on)).map(|found| found.epoch);
    assert_eq!([epoch("2026-11-23"), epoch("2026-12-31"), epoch("2027-06-01")], [Some(1), Some(2), Some(3)]);
}

#[test]
fn assignments_faults_are_named() {
    let fixture = Fixture::company();
    let text = "门店编码,岗位编码,开始日期,结束日期,交接序号
S9,HB-M1,2026-11-01,,
S1,NO,2026-11-01,,
S1,HB-M1,,,
S1,HB-M1,2026-11-02,2026-11-01,0
S1,HB-M1,2026-11-05,,7
S1,HB-M1,2026-11-05,,8
S1,HB-MGR,2026-11-06,,7
";
    assert_eq!(
        faults(&fixture.import(ImportKind::Assignments, text)),
        [
            (2, "门店编码", "no outlet has this code: import the outlets first"),
            (3, "岗位编码", "no position has this code: import the organisation first"),
            (4, "开始日期", "must not be empty"),
            (5, "结束日期", "is before the first day"),
            (5, "交接序号", "is not within 1 to 2147483647"),
            (7, "门店编码", "is assigned to this position from this day on line 6 already"),
            (8, "交接序号", "7 is the number of the assignment on line 6 already"),
        ]
    );
    let again = fixture.skip_bad(ImportKind::Assignments, text).bad_rows_csv.unwrap();
    assert!(
        again.starts_with("\u{FEFF}门店编码,岗位编码,开始日期,结束日期,交接序号,line,column,bad_reason\n")
    );
}

#[test]
fn a_plan_is_the_rows_of_a_person_and_day() {
    let fixture = Fixture::company();
    assert_eq!(counts(&fixture.import(ImportKind::Routes, ROUTES)), [2, 0, 0]);
    let plan: RoutePlan = fixture.read("M001\n2026-11-23");
    assert_eq!(plan.call_order, [(outlet("S1"), 1), (outlet("S2"), 2)].into());
    assert_eq!(plan.call_purpose, [(outlet("S1"), "盘点".to_owned())].into());
    assert_eq!(plan.call_must, [(outlet("S1"), true)].into());
    let shorter = "person,day,outlet\nM001,2026-11-23,S2\n";
    assert_eq!(counts(&fixture.import(ImportKind::Routes, shorter)), [0, 1, 0]);
    let plan: RoutePlan = fixture.read("M001\n2026-11-23");
    assert_eq!((plan.call_order, plan.call_must.len()), ([(outlet("S2"), 1)].into(), 0));
}

#[test]
fn a_plan_made_by_hand_is_the_same_plan() {
    let fixture = Fixture::company();
    let person = xundian_protocol::ids::PersonId(RecordId::derived(Person::SPEC.kind, "M001"));
    let made = RoutePlan {
        day: Some(day("2026-11-23")),
        call_order: [(outlet("S3"), 1)].into(),
        ..Default::default()
    };
    let key = RoutePlan::key(RecordId::v7(1, [1; 10]));
    let draft = crate::server::Draft { key, home: Home::Person(person), writes: made.writes() };
    fixture.server.write(vec![draft], "console", NOW_MS).unwrap();
    assert_eq!(counts(&fixture.import(ImportKind::Routes, ROUTES)), [1, 1, 0]);
    let plans = fixture.server.records_of_home(Home::Person(person), RoutePlan::SPEC.kind).unwrap();
    assert_eq!(plans.len(), 2);
}

#[test]
fn routes_faults_are_named() {
    let fixture = Fixture::company();
    let text = "person,day,outlet,order,must
M001,2026-11-23,S1,1,
M001,2026-11-23,S1,2,
M001,2026-11-23,S2,1,
M9,2026-11-23,S1,1,perhaps
M001,,S7,1001,
";
    assert_eq!(
        faults(&fixture.import(ImportKind::Routes, text)),
        [
            (3, "outlet", "is on this plan on line 2 already"),
            (4, "order", "1 is the place of the call on line 2 already"),
            (5, "person", "nobody has this staff number: import the people first"),
            (5, "must", "is neither yes 是 nor no 否"),
            (6, "outlet", "no outlet has this code: import the outlets first"),
            (6, "day", "must not be empty"),
            (6, "order", "is not within 1 to 1000"),
        ]
    );
    let outcome = fixture.try_import(ImportKind::Routes, OUTLETS.as_bytes());
    assert!(matches!(outcome, Err(ImportError::MissingColumns { .. })));
}
