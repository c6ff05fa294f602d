//! Acceptance: programs of different versions work together, and old stores stay readable forever (docs/adr/0012).

mod fields;
mod kinds;
mod listing;
mod rewriting_proxy;
mod stores;
mod versions;

use xundian_protocol::ids::RecordId;
use xundian_protocol::kinds::Product;
use xundian_protocol::record::{FieldKey, Key, Op, Record, Value, Write};
use xundian_tests::support::company::product;
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use crate::raw::RawDevice;

/// The first tag of unknown fields: no kind of today has fields from here on.
const FUTURE_TAGS: u16 = 60_000;

/// Enrols a second device of a person, with a newer app than all others: the test writes its frames.
async fn newer(service: &Service, person: &str) -> (Device, RawDevice) {
    let device = Device::enrol(&service.invitation(person), "newer").await;
    let raw = RawDevice::of(&device, service.address()).await;
    (device, raw)
}

/// Writes of unknown fields, with values of every type under keys of every form.
fn future_writes() -> Vec<Write> {
    let id = Product::id_of(product(3));
    let fields = [
        (0, Key::Single, Value::Text("新字段".into())),
        (1, Key::Single, Value::Absent),
        (2, Key::Single, Value::Bool(true)),
        (3, Key::Number(product(1).number()), Value::Int(i64::MIN)),
        (3, Key::Number(product(2).number()), Value::Int(i64::MAX)),
        (4, Key::Text("甲".into()), Value::Id(RecordId::NIL)),
        (5, Key::Id(id), Value::Bytes(vec![0, 255, 7])),
        (6, Key::NumberText(9, "L9".into()), Value::Int(-1)),
    ];
    let write = |(tag, key, value)| Write { at: FieldKey { tag: FUTURE_TAGS + tag, key }, value, seen: None };
    fields.into_iter().map(write).collect()
}

/// Returns the op with unknown fields added.
fn with_future(mut op: Op) -> Op {
    op.writes.extend(future_writes());
    op.writes.sort_by(|a, b| a.at.cmp(&b.at));
    op
}

/// Checks that the record holds everything an op writes, with the op's stamp.
fn assert_holds(record: &Record, op: &Op) {
    for write in &op.writes {
        let register = record.register(&write.at).unwrap_or_else(|| panic!("{:?} is gone", write.at));
        assert_eq!((&register.value, register.stamp), (&write.value, op.stamp), "{:?}", write.at);
    }
}
