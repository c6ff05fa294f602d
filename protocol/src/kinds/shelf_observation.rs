//! ShelfObservation 货架检查: which listed products are on the shelf, and how they are displayed.

use super::declare::header::{self, Header};
use super::declare::kind;
use super::gtin::Gtin;
use crate::figures::{Contribution, Dimension, MeasureFamily, ProductFigures};
use crate::ids::VisitId;
use crate::record::{Home, Key, Record, Value};
use std::collections::BTreeMap;

/// The tag of `present`, which says that a product was looked for.
const PRESENT: u16 = 17;
const IN_BACKROOM: u16 = 18;
const FACINGS_OWN: u16 = 19;
const FACINGS_CATEGORY: u16 = 20;

kind! {
    /// What was seen on the shelf in one visit, one line per product. It shares the visit's id.
    ShelfObservation = 10, "shelf_observation", "货架检查" / "Shelf observation";
    home Outlet; write_policy Event; writers [Merchandiser, Representative, Manager];
    contribute contribute;
    {
        /// The visit.
        visit: Option<VisitId> = 16, "拜访" / "Visit", None, required;
        /// Whether a listed product was on the shelf; products not looked for have no line.
        present: BTreeMap<Gtin, bool> = 17, "在架" / "Present", None;
        /// For a product not on the shelf: whether the backroom has it.
        in_backroom: BTreeMap<Gtin, bool> = 18, "仓库有货" / "In backroom", None;
        /// Facings 排面 of the product.
        facings_own: BTreeMap<Gtin, i64> = 19, "本品排面" / "Own facings", Facings;
        /// Facings of its whole category.
        facings_category: BTreeMap<Gtin, i64> = 20, "品类排面" / "Category facings", Facings;
        /// Empty facings of the product, kept apart because definitions differ (DOMAIN F5).
        facings_empty: BTreeMap<Gtin, i64> = 21, "空排面" / "Empty facings", Facings;
        /// Length of shelf.
        linear_mm: BTreeMap<Gtin, i64> = 22, "陈列长度" / "Shelf length", Mm;
        /// Shelf level, counted from the floor.
        shelf_level: BTreeMap<Gtin, i64> = 23, "层位" / "Shelf level", Count;
        /// The price on the label.
        price_minor: BTreeMap<Gtin, i64> = 24, "标价" / "Shelf price", MinorUnits;
    }
}

fn contribute(record: &Record) -> Vec<Contribution> {
    let (Home::Outlet(outlet), Some(header), false) =
        (record.home, Header::read(record), header::is_corrected(record))
    else {
        return Vec::new();
    };
    // All maps are in the order of their GTINs, so each is walked once alongside `present`.
    let mut others =
        [IN_BACKROOM, FACINGS_OWN, FACINGS_CATEGORY].map(|tag| record.lines(tag).iter().peekable());
    let mut number = |map: usize, at: &Key| {
        while others[map].next_if(|field| field.at.key < *at).is_some() {}
        match others[map].next_if(|field| field.at.key == *at).map(|field| &field.register.value) {
            Some(Value::Int(number)) => *number,
            Some(Value::Bool(yes)) => i64::from(*yes),
            _ => 0,
        }
    };
    let line = |field: &crate::record::Field| {
        let (Key::Number(gtin), Value::Bool(present)) = (&field.at.key, &field.register.value) else {
            return None;
        };
        let [in_backroom, facings_own, facings_category] = [0, 1, 2].map(|map| number(map, &field.at.key));
        let figures = ProductFigures {
            audited: 1,
            absent: i64::from(!present),
            backroom_only: if *present { 0 } else { in_backroom },
            facings_own,
            facings_category,
            ..Default::default()
        };
        Some(Contribution {
            family: MeasureFamily::Products,
            outlet: Some(outlet),
            person: Some(header.actor),
            day: header.business_day,
            unit_on: header.business_day,
            dimension: Dimension(*gtin),
            measures: figures.measures(),
        })
    };
    record.lines(PRESENT).iter().filter_map(line).collect()
}
