//! Product 产品: an item for sale, own or a competitor's.

use super::declare::kind;
use super::gtin::Gtin;
use crate::ids::{KindId, RecordId};
use std::collections::BTreeMap;

kind! {
    /// A product. Its id is derived from its GTIN, so every import of it names the same record.
    Product = 6, "product", "产品" / "Product";
    home Company; write_policy Reference; writers [];
    {
        /// Its GTIN.
        gtin: Option<Gtin> = 16, "GTIN" / "GTIN", None, required;
        /// Its name.
        name: Option<String> = 17, "名称" / "Name", None, required, display_name;
        /// Its brand.
        brand: Option<String> = 18, "品牌" / "Brand", None;
        /// Its category.
        category: Option<String> = 19, "品类" / "Category", None;
        /// The content of a pack, as printed.
        pack: Option<String> = 20, "规格" / "Pack", None;
        /// Recommended retail price.
        retail_price_minor: Option<i64> = 21, "零售价" / "Retail price", MinorUnits;
        /// ISO 4217 code of the price.
        currency: Option<String> = 22, "币种" / "Currency", None;
        /// Days from production to expiry.
        shelf_life_days: Option<i64> = 23, "保质期" / "Shelf life", Days;
        /// Whether it is a competitor's.
        competitor: Option<bool> = 24, "竞品" / "Competitor", None;
        /// Base units in each unit of measure, such as `case` → 24.
        units_per: BTreeMap<String, i64> = 25, "换算" / "Units per", BaseUnits;
        /// The unit in which it is sold, as the shop names it.
        sold_by: Option<String> = 26, "销售单位" / "Sold by", None;
    }
}

impl Product {
    /// The id of the product with a GTIN.
    pub fn id_of(gtin: Gtin) -> RecordId {
        RecordId::derived(KindId(6), &gtin.to_string())
    }
}
