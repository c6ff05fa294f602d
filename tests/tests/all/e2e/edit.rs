//! Acceptance: shared records are edited offline, and a rejected edit is corrected and sent again.

use xundian_client::{Outlet, RecordError, Rejected, StockCount};
use xundian_protocol::kinds::{Entity, Product, Visit};
use xundian_protocol::wire::v1::Refusal;
use xundian_tests::support::company::{outlet, product, today, unit};
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

fn rejected_ops(device: &Device) -> Vec<Rejected> {
    device.client.rejected().expect("readable")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_edit_is_corrected_in_one_durable_step() {
    let service = Service::start().await;
    let device = service.device("W2").await;
    let id = outlet("B1").0;
    // The unit of an outlet decides who sees it, so only headquarters may change it.
    let edit = Outlet { unit: Some(unit("HN")), phone: Some("010-1".into()), ..Outlet::default() };
    device.client.edit(id, &edit, None).expect("saved");
    assert_eq!(device.sync().await.rejected, 1);
    let [refused] = &rejected_ops(&device)[..] else { panic!("one entry") };
    assert_eq!((refused.why, refused.op.record), (Refusal::NotAWriter, Outlet::key(id)));

    let other = device.client.mend_rejected(refused.id, &StockCount { visit: None, ..count() });
    assert!(
        matches!(other, Err(RecordError::OtherKind { of: "outlet", form: "stock_count", .. })),
        "{other:?}"
    );
    let empty = device.client.mend_rejected(refused.id, &Outlet::default());
    assert!(matches!(empty, Err(RecordError::Empty { kind: "outlet" })), "{empty:?}");
    assert_eq!(rejected_ops(&device).len(), 1, "a failed correction changes nothing");

    let captured = refused.op.written(2).cloned();
    let mended = Outlet { unit: None, phone: Some("010-2".into()), ..edit };
    device.client.mend_rejected(refused.id, &mended).expect("saved");
    let device = Device::open(device.close());
    assert_eq!(
        (rejected_ops(&device), device.client.status().expect("readable").unsent_ops),
        (Vec::new(), 1)
    );
    let report = device.sync().await;
    assert_eq!((report.merged, report.rejected), (1, 0));
    let stands = service.server().record(Outlet::key(id)).expect("readable").expect("there");
    let form = Outlet::read(&stands);
    assert_eq!((form.phone.as_deref(), form.unit), (Some("010-2"), None));
    assert_eq!(stands.value(2).cloned(), captured, "the capture time is that of the first save");
}

fn count() -> StockCount {
    StockCount { shelf_units: [(product(1), 1)].into(), ..StockCount::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_of_an_impossible_edit_says_what_to_do_instead() {
    let service = Service::start().await;
    let device = service.device("W1").await;
    let visit = device.visit("A1", today(), 1);
    let changed = Visit { note: Some("改".into()), ..Visit::default() };
    let refused = device.client.edit(visit.0, &changed, None).expect_err("a visit is an event");
    assert!(refused.to_string().contains("record a new one, which corrects it"), "{refused}");
    let product_form = Product::default();
    let refused = device.client.edit(Product::id_of(product(1)), &product_form, None);
    assert!(matches!(refused, Err(RecordError::HeadquartersOnly { kind: "product" })), "{refused:?}");
    let unknown = device.client.edit(visit.0, &Outlet::default(), None);
    assert!(matches!(unknown, Err(RecordError::NoSuchRecord { .. })), "{unknown:?}");
    let before = device.client.status().expect("readable").unsent_ops;
    device.client.edit(outlet("A1").0, &Outlet::default(), None).expect("nothing to do");
    assert_eq!(device.client.status().expect("readable").unsent_ops, before);
}
