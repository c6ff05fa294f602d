//! Ops that no correct device makes, and correct ones at unusual times.

use super::*;
use xundian_protocol::kinds::header;
use xundian_protocol::record::Value;

/// The refusal of one more op of device 1, if any.
fn answer(server: &Server, op: Op) -> Option<Refusal> {
    let receipt = server.ingest(DeviceNo(1), vec![op], NOW_MS).expect("ingest works");
    receipt.rejections.first().map(|rejection| rejection.why)
}

fn counted(record: u64, day: i32) -> Job {
    Job { work: Work::Count { units: 5 }, outlet: 0, product: 3, day, record }
}

#[test]
fn an_op_names_its_moment_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    assert_eq!(answer(&server, op(DeviceNo(1), 1, &counted(0, 1))), None);
    let mut forged = op(DeviceNo(1), 2, &counted(0, 1));
    forged.writes.retain(|write| [header::ACTOR, header::BUSINESS_DAY].contains(&write.at.tag));
    forged.writes[0].value = Value::Id(person(1).0);
    assert_eq!(answer(&server, forged), Some(Refusal::Invalid), "another person, on no day");
    assert_clean(&server);
}

#[test]
fn ones_own_count_is_mended_on_the_day_of_the_count_though_it_is_past_midnight() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    server.write(vec![assignment(0, 1, 2, DAY_ZERO + 3)], "test", NOW_MS).expect("a hand-over");
    assert_eq!(answer(&server, op(DeviceNo(1), 1, &counted(0, 2))), None);
    let mend = |seq, day: i64| {
        let mut op = op(DeviceNo(1), seq, &counted(0, 2));
        op.writes.retain(|write| !header::MOMENT.contains(&write.at.tag));
        op.stamp.hlc = Hlc::at_ms((i64::from(DAY_ZERO) + day) * 86_400_000 + 600_000);
        op
    };
    assert_eq!(answer(&server, mend(2, 3)), None, "ten minutes later");
    assert_clean(&server);
}

#[test]
fn a_stock_row_follows_the_day_of_its_record_and_two_kinds_in_one_place_keep_a_row_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let at = |op: Op, hlc: u64| Op { stamp: Stamp { hlc: Hlc(hlc << 16), ..op.stamp }, ..op };
    let whole = op(DeviceNo(1), 1, &counted(0, 1));
    let mut line = op(DeviceNo(1), 2, &counted(0, 1));
    line.writes.retain(|write| write.at.tag >= header::TAGS_END);
    let mut moved = op(DeviceNo(1), 3, &counted(0, 1));
    moved.writes.retain(|write| write.at.tag < header::TAGS_END);
    for write in moved.writes.iter_mut().filter(|write| write.at.tag == header::BUSINESS_DAY) {
        write.value = Value::Int(i64::from(DAY_ZERO));
    }
    for (op, moment) in [(whole, 10), (line, 30), (moved, 20)] {
        assert_eq!(answer(&server, at(op, moment)), None);
        assert_clean(&server);
    }
    let beside = Job { work: Work::Move { units: 3 }, product: 2, ..counted(0, 1) };
    assert_eq!(answer(&server, at(op(DeviceNo(1), 4, &beside), 30)), None);
    assert_clean(&server);
}

#[test]
fn what_nobody_here_knows_is_not_written_for_the_whole_company() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let unknown = |seq, home| Op {
        home,
        record: xundian_protocol::record::RecordKey { kind: KindId(999), id: id(999, seq) },
        ..op(DeviceNo(1), seq, &counted(0, 1))
    };
    assert_eq!(answer(&server, unknown(1, Home::Company)), Some(Refusal::OutOfScope));
    assert_eq!(answer(&server, unknown(2, Home::Unit(unit(0)))), Some(Refusal::OutOfScope));
    assert_eq!(
        answer(&server, unknown(3, Home::Outlet(outlet(0)))),
        None,
        "an app that is newer than the server"
    );
}
