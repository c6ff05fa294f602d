//! A day of one merchandiser in two outlets, in every report and format.

use super::*;
use crate::imports::{self, ImportKind};
use crate::store::{Changes, Device, StoreError};
use tempfile::TempDir;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, OutletId, PersonId, RecordId, VisitId};
use xundian_protocol::kinds::{
    Channel, ClockGrade, Entity, Gtin, Header, Outlet, Person, RoutePlan, ShelfObservation, StockCount, Visit,
};
use xundian_protocol::record::{Home, Op};

const ORG: &str = "row,code,name_zh,unit_type,parent,territory,title,unit,role
unit,HQ,总公司,company,,,,,
unit,HB,华北大区,region,HQ,11,,,
unit,XB,西北大区,region,HQ,61,,,
position,HB-M1,,,,,理货员,HB,merchandiser
";
const PEOPLE: &str = "code,name,position\nM001,王芳,HB-M1\n";
const OUTLETS: &str = "code,name,city_code,channel\nS1,银泰店,1101,hypermarket\nS2,沈阳店,2101,\n";
const PRODUCTS: &str = "gtin,name\n6901234567892,牛奶\n6901028075831,\"饼干,大\"\n";
const ASSIGNMENTS: &str = "outlet,position,from\nS1,HB-M1,2026-01-01\n";
const ROUTES: &str = "person,day,outlet\nM001,2026-11-23,S1\n";
const DAY: &str = "2026-11-23";
/// 2026-11-23 10:00 in Shanghai.
const OPENED_MS: i64 = 1_795_399_200_000;
/// 17:00 of the same day.
const THROUGH_MS: i64 = OPENED_MS + 7 * 3_600_000;

struct Fixture {
    _folder: TempDir,
    server: Server,
    visit: RecordId,
}

fn id<T: Entity>(key: &str) -> RecordId {
    RecordId::derived(T::SPEC.kind, key)
}

fn header() -> Header {
    Header {
        actor: PersonId(id::<Person>("M001")),
        captured_at_ms: OPENED_MS,
        utc_offset_min: 480,
        clock_grade: ClockGrade::Trusted,
        business_day: DAY.parse().unwrap(),
        corrects: None,
    }
}

fn op<T: Entity>(seq: u64, of: RecordId, form: &T) -> Op {
    let stamp = Stamp { hlc: Hlc(Hlc::at_ms(OPENED_MS).0 + seq), device: DeviceNo(1) };
    let mut writes = [header().writes(), form.writes()].concat();
    writes.sort_by(|a, b| a.at.cmp(&b.at));
    Op {
        seq: OpSeq(seq),
        stamp,
        record: T::key(of),
        home: Home::Outlet(OutletId(id::<Outlet>("S1"))),
        writes,
    }
}

fn device(person: PersonId) -> Device {
    Device {
        no: DeviceNo(1),
        person,
        label: "测试机".into(),
        enrolled_at_ms: OPENED_MS,
        certificate_not_after_ms: OPENED_MS,
        request_hash: [0; 32],
        key_hash: None,
        revoked_at_ms: None,
        replaced_by: None,
        applied_through: OpSeq(0),
        last_sync_ms: None,
        captured_through_ms: Some(THROUGH_MS),
        clock_offset_ms: None,
        app: String::new(),
    }
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(folder.path(), OPENED_MS).unwrap();
        let files = [
            (ImportKind::Org, ORG),
            (ImportKind::People, PEOPLE),
            (ImportKind::Outlets, OUTLETS),
            (ImportKind::Products, PRODUCTS),
            (ImportKind::Assignments, ASSIGNMENTS),
            (ImportKind::Routes, ROUTES),
        ];
        for (kind, file) in files {
            let request = imports::Request {
                kind,
                bytes: file.as_bytes(),
                dry_run: false,
                skip_bad: false,
                channel: None,
            };
            assert!(imports::run(&server, &request, "test", OPENED_MS).unwrap().imported);
        }
        let devices = vec![device(header().actor)];
        server.change(|_| Ok::<_, StoreError>((Changes { devices, ..Default::default() }, ()))).unwrap();
        let visit = RecordId::v7(1, [1; 10]);
        let receipt = server.ingest(DeviceNo(1), ops(visit), OPENED_MS).unwrap();
        assert!(receipt.rejections.is_empty(), "{:?}", receipt.rejections);
        Self { _folder: folder, server, visit }
    }

    fn text(&self, what: ReportSubject, by: GroupBy, format: Format) -> String {
        let day = DAY.parse().unwrap();
        run(&self.server, &Request { what, from: day, to: day, by, format, bom: false }).unwrap()
    }

    fn json(&self, what: ReportSubject, by: GroupBy) -> serde_json::Value {
        serde_json::from_str(&self.text(what, by, Format::Json)).unwrap()
    }
}

fn ops(visit: RecordId) -> Vec<Op> {
    let gtins: [Gtin; 2] = ["6901234567892", "6901028075831"].map(|gtin| gtin.parse().unwrap());
    let opened = Visit {
        opened_at_ms: Some(OPENED_MS),
        closed_at_ms: Some(OPENED_MS + 30 * 60_000),
        time_in_store_ms: Some(30 * 60_000),
        plan: Some(xundian_protocol::ids::RoutePlanId(id::<RoutePlan>("M001\n2026-11-23"))),
        channel: Some(Channel::Hypermarket),
        note: Some("堆箱已搭".into()),
        ..Default::default()
    };
    let shelf = ShelfObservation {
        visit: Some(VisitId(visit)),
        present: [(gtins[0], true), (gtins[1], false)].into(),
        facings_own: [(gtins[0], 3)].into(),
        facings_category: [(gtins[0], 12)].into(),
        ..Default::default()
    };
    let count = StockCount {
        visit: Some(VisitId(visit)),
        shelf_units: [(gtins[0], 5)].into(),
        backroom_units: [(gtins[0], 7)].into(),
        ..Default::default()
    };
    vec![op(1, visit, &opened), op(2, visit, &shelf), op(3, visit, &count)]
}

#[test]
fn the_nation_is_its_regions_the_unassigned_and_their_sum() {
    let report = Fixture::new().json(ReportSubject::Nation, GroupBy::Unit);
    let codes: Vec<_> =
        report["rows"].as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["HB", "XB", "unassigned"]);
    for row in [&report["rows"][0], &report["total"]] {
        assert_eq!(row["visits"], 1);
        assert_eq!(
            row["call_compliance"],
            serde_json::json!({"numerator": 1, "denominator": 1, "percent": 100.0})
        );
        assert_eq!(row["oos"], serde_json::json!({"numerator": 1, "denominator": 2, "percent": 50.0}));
        assert_eq!(row["share_of_shelf"]["percent"], 25.0);
        assert_eq!(row["day_load"], serde_json::json!({"numerator": 3, "denominator": 24, "value": 0.13}));
        assert_eq!((&row["stock_units"], &row["mean_time_in_store_s"]), (&12.into(), &1800.into()));
    }
    assert_eq!(report["rows"][1]["oos"]["percent"], serde_json::Value::Null);
    assert_eq!(
        (&report["from"], &report["to"], &report["report"]),
        (&DAY.into(), &DAY.into(), &"nation".into())
    );
    let expected = serde_json::json!(
        {"devices": 1, "complete": 0, "through_ms": THROUGH_MS, "through": "2026-11-23 17:00"}
    );
    assert_eq!(report["completeness"], expected);
}

#[test]
fn a_table_is_in_chinese_and_tells_how_complete_it_is() {
    let text = Fixture::new().text(ReportSubject::Nation, GroupBy::Unit, Format::Table);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "全国 2026-11-23");
    assert!(lines[2].starts_with("│ 组织     ┆   拜访完成率 ┆ 拜访 ┆ 完成"), "{text}");
    assert!(lines[4].starts_with("│ 华北大区 ┆ 1/1 100.00 % ┆    1 ┆    1"), "{text}");
    assert!(text.contains("│ 未分配   ┆            – ┆    0"), "{text}");
    assert!(text.contains("│ 合计     ┆ 1/1 100.00 % ┆    1"), "{text}");
    assert!(
        text.ends_with(
            "数据完整度: 1 台设备中 0 台已传齐, 数据截至 2026-11-23 17:00 (0 of 1 devices, to 2026-11-23 17:00)\n"
        ),
        "{text}"
    );
}

#[test]
fn csv_has_a_ratio_in_three_columns_and_a_mark_where_asked() {
    let fixture = Fixture::new();
    let text = fixture.text(ReportSubject::Unit("华北大区".into()), GroupBy::Product, Format::Csv);
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "GTIN gtin,产品 name,检查 audited,缺货 absent,仅仓库有货 backroom_only,缺货率 oos_numerator,\
             缺货率 oos_denominator,缺货率 oos_percent,在架率 osa_numerator,在架率 osa_denominator,\
             在架率 osa_percent,本品排面 facings_own,排面占比 share_of_shelf_numerator,\
             排面占比 share_of_shelf_denominator,排面占比 share_of_shelf_percent,盘点 counts,\
             盘点数量 counted_units,库存 stock_units"
        )
    );
    assert_eq!(lines.next(), Some("06901028075831,\"饼干,大\",1,1,0,1,1,100.00,0,1,0.00,0,0,0,,0,0,0"));
    assert_eq!(lines.next(), Some("06901234567892,牛奶,1,0,0,0,1,0.00,1,1,100.00,3,3,12,25.00,1,12,12"));
    assert_eq!(lines.next(), Some("合计,,2,1,0,1,2,50.00,1,2,50.00,3,3,12,25.00,1,12,12"));
    let day = DAY.parse().unwrap();
    let request = Request {
        what: ReportSubject::Nation,
        from: day,
        to: day,
        by: GroupBy::Day,
        format: Format::Csv,
        bom: true,
    };
    assert!(run(&fixture.server, &request).unwrap().starts_with("\u{FEFF}日期 day,"));
}

#[test]
fn an_outlet_s_figures_are_those_of_its_unit() {
    let fixture = Fixture::new();
    let outlet = || ReportSubject::Outlet("S1".into());
    let unit = || ReportSubject::Unit("HB".into());
    let same = |by| {
        let (mut a, mut b) = (fixture.json(outlet(), by), fixture.json(unit(), by));
        for report in [&mut a, &mut b] {
            for part in ["title", "report", "completeness"] {
                report.as_object_mut().unwrap().remove(part);
            }
        }
        assert_eq!(a["rows"], b["rows"], "{by}");
        assert_eq!(a["total"], b["total"], "{by}");
    };
    [GroupBy::Product, GroupBy::Person, GroupBy::Day].into_iter().for_each(same);
    let visits = fixture.json(outlet(), GroupBy::Unit);
    let row = &visits["rows"][0];
    assert_eq!(row["visit"], fixture.visit.to_string());
    assert_eq!((&row["opened"], &row["closed"]), (&"2026-11-23 10:00".into(), &"2026-11-23 10:30".into()));
    assert_eq!(
        (&row["person"], &row["note"], &row["planned"]),
        (&"王芳".into(), &"堆箱已搭".into(), &"是".into())
    );
}

#[test]
fn a_visit_shows_all_that_was_recorded() {
    let fixture = Fixture::new();
    let report = fixture.json(ReportSubject::Visit(fixture.visit.to_string()), GroupBy::Unit);
    let rows = report["rows"].as_array().unwrap();
    let value = |record: &str, field: &str, line: &str| {
        let found =
            rows.iter().find(|row| row["record"] == record && row["field"] == field && row["line"] == line);
        found.map(|row| row["value"].clone()).unwrap()
    };
    assert_eq!(value("visit", "channel", ""), "大卖场");
    assert_eq!(value("visit", "actor", ""), "M001 王芳");
    assert_eq!(value("visit", "time_in_store_ms", ""), "30:00");
    assert_eq!(value("shelf_observation", "present", "06901028075831"), "否");
    assert_eq!(value("stock_count", "backroom_units", "06901234567892"), 7);
    let table = fixture.text(ReportSubject::Visit(fixture.visit.to_string()), GroupBy::Unit, Format::Table);
    assert!(table.contains("饼干,大 06901028075831"), "{table}");
}

#[test]
fn what_there_is_not_is_told() {
    let fixture = Fixture::new();
    let day: Day = DAY.parse().unwrap();
    let refused = |what, from: Day, by| {
        let request = Request { what, from, to: day, by, format: Format::Table, bom: false };
        run(&fixture.server, &request).unwrap_err().to_string()
    };
    assert_eq!(
        refused(ReportSubject::Unit("东北".into()), day, GroupBy::Unit),
        "\"东北\" names no unit (no unit has this code or name); the units are: HB 华北大区, XB 西北大区"
    );
    assert!(
        refused(ReportSubject::Outlet("S9".into()), day, GroupBy::Unit)
            .contains("no outlet has the code \"S9\"")
    );
    assert!(
        refused(ReportSubject::Visit("7".into()), day, GroupBy::Unit).contains("there is no visit \"7\"")
    );
    assert!(refused(ReportSubject::Nation, day.next(), GroupBy::Unit).contains("before it begins"));
    assert!(
        refused(ReportSubject::Nation, Day(day.0 - 400), GroupBy::Day)
            .contains("at most 366 days, this one 401")
    );
}
