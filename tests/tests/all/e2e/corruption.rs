//! Confirmed records that were corrupted on a device's disk: the next reconciliation repairs them and nothing else.

use std::collections::BTreeMap;

use xundian_client::{SyncReport, rescue};
use xundian_protocol::calendar::Day;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, OpSeq, RecordId};
use xundian_protocol::kinds::{Entity as _, StockCount, Visit};
use xundian_protocol::record::{FieldKey, Op, Record, RecordKey, Value, Write};
use xundian_protocol::wire::stored::{decode_record, encode_record};
use xundian_tests::support::company::today;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

/// The key prefix of confirmed records in the device's store, and that of the index of homes.
const RECORD: u8 = 3;
const HOME_INDEX: u8 = 4;
const DAY_MS: i64 = 24 * 3_600_000;

/// Returns the confirmed records as they are stored, by their keys in the store.
fn confirmed(device: &Device) -> BTreeMap<Vec<u8>, Vec<u8>> {
    device.client.stored(&[RECORD]).expect("readable")
}

fn record_of(bytes: &[u8]) -> Record {
    decode_record(bytes).expect("a record")
}

/// Returns the record with a value that no merge would replace, because its stamp is the greatest.
fn altered(record: &Record) -> Record {
    let mut record = record.clone();
    let write = Write { at: FieldKey::single(30), value: Value::Int(-7), seen: None };
    let stamp = Stamp { hlc: Hlc(u64::MAX), device: DeviceNo(9) };
    record.apply(&Op { seq: OpSeq(1), stamp, record: record.key, home: record.home, writes: vec![write] });
    record
}

/// Returns the key of a record's entry in the index of homes.
fn indexed(device: &Device, record: &[u8]) -> Vec<u8> {
    let index = device.client.stored(&[HOME_INDEX]).expect("readable");
    index.into_keys().find(|key| key.ends_with(&record[1..])).expect("indexed")
}

/// Corrupts five records, each in another way.
fn decay(device: &Device) {
    let records = confirmed(device);
    let of_kind = |kind: u16| records.iter().filter(move |(key, _)| key[1..3] == kind.to_be_bytes());
    let put = |key: &[u8], value: Option<&[u8]>| device.client.decay(key, value).expect("written");
    let visits: Vec<_> = of_kind(Visit::SPEC.kind.0).collect();
    let counts: Vec<_> = of_kind(StockCount::SPEC.kind.0).collect();

    put(visits[0].0, Some(&encode_record(&altered(&record_of(visits[0].1)))));
    put(visits[1].0, Some(b"no record at all"));
    put(counts[0].0, None);
    put(&indexed(device, counts[1].0), None);
    put(counts[1].0, None);
    let standing = record_of(visits[2].1);
    let key = RecordKey { id: RecordId::from_bytes([0xfe; 16]), ..standing.key };
    let mut never = Record::empty(key, standing.home);
    never.merge(&altered(&Record::empty(key, standing.home)));
    let tail = [&key.kind.0.to_be_bytes()[..], key.id.as_bytes()].concat();
    put(&[&[RECORD][..], &tail].concat(), Some(&encode_record(&never)));
    let index = indexed(device, visits[2].0);
    put(&[&index[..index.len() - tail.len()], &tail].concat(), Some(b""));
}

/// Syncs a day later by the device's clock.
async fn sync_next_day(device: &Device) -> SyncReport {
    device.clock.advance_ms(DAY_MS + 1);
    device.client.sync(|_| {}).await.expect("the sync succeeds")
}

/// sled may lose entries at the end of its log without an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rescue_reports_a_record_that_vanished_without_an_error() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    device.visit("A1", Day(today().0 - 1), 3);
    device.sync().await;
    let gone = confirmed(&device).into_keys().next().expect("records");
    device.client.decay(&gone, None).expect("written");
    let home = device.close();
    let into = tempfile::tempdir().expect("a folder");
    let report = rescue(home.path(), None, &into.path().join("rescued.ndjson")).expect("rescued");
    assert_eq!(report.losses, ["1 records that are listed in their home could not be read"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupted_records_are_repaired_by_reconciliation_and_unsent_work_is_kept() {
    let service = Service::start().await;
    let (device, other) = (service.device("W1").await, service.device("W1").await);
    let day = Day(today().0 - 1);
    for outlet in ["A1", "A2"] {
        device.visit(outlet, day, 3);
        other.visit(outlet, day, 2);
    }
    device.sync().await;
    other.sync().await;
    device.sync().await;
    let sound = confirmed(&device);

    decay(&device);
    let unsent = device.visit("A3", day, 2);
    device.clock.set_to_now();
    let today = device.client.sync(|_| {}).await.expect("the sync succeeds");
    assert_eq!(
        (today.merged, today.records_repaired),
        (3, 0),
        "the last reconciliation was only seconds ago"
    );
    let second = device.visit("A3", day, 2);
    device.clock.set_to_now();
    let report = sync_next_day(&device).await;
    assert_eq!((report.merged, report.records_repaired), (3, 5));

    let mended = confirmed(&device);
    for (key, bytes) in &mended {
        let record = record_of(bytes);
        assert_eq!(service.server().record(record.key).expect("readable"), Some(record), "{key:?}");
    }
    let added = mended.len() - sound.len();
    assert!(
        sound.iter().all(|(key, bytes)| mended.get(key) == Some(bytes)) && added == 6,
        "{added} records were added"
    );
    let listed = device.client.stored(&[HOME_INDEX]).expect("readable").len();
    assert_eq!(listed, mended.len(), "every record is listed once");
    for visit in [unsent, second] {
        let key = Visit::key(visit.0);
        assert!(mended.values().any(|bytes| record_of(bytes).key == key));
    }
    assert_eq!(sync_next_day(&device).await.records_repaired, 0);
    service.verify();
}
