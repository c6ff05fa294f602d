//! StockCount 库存盘点: how many units of a product are in an outlet (S6.5 c: 产品库存).

use super::declare::header::{self, Header};
use super::declare::kind;
use super::gtin::Gtin;
use crate::calendar::Day;
use crate::figures::stock_ledger::Stock;
use crate::figures::{Contribution, Dimension, MeasureFamily, ProductFigures};
use crate::ids::VisitId;
use crate::record::{Field, Home, Key, Record, Value};
use std::collections::BTreeMap;

/// The tags that count units by product. Together they are the whole stock of the product.
const UNITS: std::ops::RangeInclusive<u16> = 17..=19;

kind! {
    /// A count, one line per product and location. It states the whole stock of every product that it names. The count
    /// of a visit shares the visit's id.
    StockCount = 11, "stock_count", "库存盘点" / "Stock count";
    home Outlet; write_policy Event; writers [Merchandiser, Representative, Manager];
    contribute contribute;
    stock stock;
    {
        /// The visit; `None` for a count outside of a visit.
        visit: Option<VisitId> = 16, "拜访" / "Visit", None;
        /// Units on the shelf 货架.
        shelf_units: BTreeMap<Gtin, i64> = 17, "货架数量" / "Units on shelf", BaseUnits;
        /// Units in stacked displays 堆箱.
        stack_units: BTreeMap<Gtin, i64> = 18, "堆箱数量" / "Units in stacks", BaseUnits;
        /// Units in the backroom 仓库.
        backroom_units: BTreeMap<Gtin, i64> = 19, "仓库数量" / "Units in backroom", BaseUnits;
        /// Of these, units by lot 批次.
        lot_units: BTreeMap<(Gtin, String), i64> = 20, "批次数量" / "Units by lot", BaseUnits;
        /// When a lot was produced.
        lot_produced_on: BTreeMap<(Gtin, String), Day> = 21, "生产日期" / "Produced on", Day;
        /// When a lot expires.
        lot_expires_on: BTreeMap<(Gtin, String), Day> = 22, "到期日期" / "Expires on", Day;
    }
}

/// Counted units by product over all locations, in order of GTIN.
fn units_by_product(record: &Record) -> Vec<(u64, i64)> {
    let line = |field: &Field| match (&field.at.key, &field.register.value) {
        (Key::Number(gtin), Value::Int(counted)) => Some((*gtin, *counted)),
        _ => None,
    };
    let mut units: Vec<(u64, i64)> = UNITS.flat_map(|tag| record.lines(tag)).filter_map(line).collect();
    units.sort_unstable();
    units.dedup_by(|(gtin, counted), (first, sum)| {
        let is_same = gtin == first;
        if is_same {
            *sum = sum.saturating_add(*counted);
        }
        is_same
    });
    units
}

fn contribute(record: &Record) -> Vec<Contribution> {
    let (Home::Outlet(outlet), Some(header), false) =
        (record.home, Header::read(record), header::is_corrected(record))
    else {
        return Vec::new();
    };
    let line = |(gtin, counted_units)| Contribution {
        family: MeasureFamily::Products,
        outlet: Some(outlet),
        person: Some(header.actor),
        day: header.business_day,
        unit_on: header.business_day,
        dimension: Dimension(gtin),
        measures: ProductFigures { counts: 1, counted_units, ..Default::default() }.measures(),
    };
    units_by_product(record).into_iter().map(line).collect()
}

fn stock(record: &Record) -> Vec<(u64, Stock)> {
    if header::is_corrected(record) {
        return Vec::new();
    }
    units_by_product(record).into_iter().map(|(gtin, units)| (gtin, Stock::Counted(units))).collect()
}
