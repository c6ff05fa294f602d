//! The public data, unchanged: shops, products and codes that are no products.

use super::*;
use std::path::Path;
use xundian_protocol::kinds::{Outlet, Product};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");

/// The nine regions of the source with the provinces that regions.csv assigns to them.
const REGIONS: &str = "code,name_zh,unit_type,parent,territory
HQ,总公司,company,,
JIN_MENG,晋蒙特区,special_region,HQ,14|15
ZHONG_NAN,中南大区,region,HQ,42|43
XI_BEI,西北大区,region,HQ,61|62|63|64|65
HUA_BEI,华北大区,region,HQ,11|12|13
HUA_NAN,华南大区,region,HQ,44|45|46
GAN_WAN,赣晥大区,region,HQ,34|36
SHANGHAI,上海特区,special_region,HQ,31
LU_YU,鲁豫大区,region,HQ,37|41
JIANG_ZHE,江浙大区,region,HQ,32|33
";

fn data(file: &str) -> Option<Vec<u8>> {
    let path = Path::new(DATA).join(file);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("NOT TESTED: {} is not there", path.display());
    }
    bytes
}

#[test]
fn all_shops_are_imported_and_those_of_no_region_stay() {
    let Some(shops) = data("stores/stores_china.csv") else { return };
    let fixture = Fixture::empty();
    fixture.import(ImportKind::Org, REGIONS);
    let outcome = fixture.try_import(ImportKind::Outlets, &shops).unwrap();
    assert_eq!((counts(&outcome), outcome.unassigned, outcome.bad_rows), ([4166, 0, 0], 564, 0));
    let outlets = fixture.server.records(Outlet::SPEC.kind).unwrap();
    assert_eq!(outlets.len(), 4166);
    assert_eq!(outlets.iter().filter(|record| Outlet::read(record).unit.is_none()).count(), 564);
    let again = fixture.try_import(ImportKind::Outlets, &shops).unwrap();
    assert_eq!(counts(&again), [0, 0, 4166]);
}

#[test]
fn all_products_are_imported() {
    let Some(products) = data("products/products_cn_gtin13.csv") else { return };
    let fixture = Fixture::empty();
    let outcome = fixture.try_import(ImportKind::Products, &products).unwrap();
    assert_eq!((counts(&outcome), outcome.bad_rows), ([5831, 0, 0], 0));
    assert_eq!(fixture.server.records(Product::SPEC.kind).unwrap().len(), 5831);
    assert_eq!(counts(&fixture.try_import(ImportKind::Products, &products).unwrap()), [0, 0, 5831]);
}

#[test]
fn all_codes_that_are_no_products_are_refused() {
    let Some(rejected) = data("products/products_cn_rejected_codes.csv") else { return };
    let fixture = Fixture::empty();
    let outcome = fixture.try_import(ImportKind::Products, &rejected).unwrap();
    assert_eq!((outcome.rows, outcome.bad_rows, outcome.bad.len()), (573, 573, 573));
    assert!(!outcome.imported && outcome.bad.iter().all(|bad| !bad.reason.is_empty()));
}
