//! The demo's products: an invented brand with GTINs of prefix 952, which GS1 reserves for demonstrations.

use xundian_protocol::kinds::{Gtin, GtinError, Product};
use xundian_protocol::record::Home;

use crate::Draft;

/// The twelve digits of a GTIN-13 with prefix 952, before the item's number and the check digit.
const DEMO_PREFIX: u64 = 952_000_000_000;
/// Every twelfth product belongs to a competitor.
const COMPETITOR_EVERY: usize = 12;

/// Similar products.
struct Category {
    name: &'static str,
    pack: &'static str,
    sold_by: &'static str,
    shelf_life_days: i64,
    price_minor: i64,
    units_per_case: i64,
    /// Their names, separated by blanks.
    items: &'static str,
}

const CATEGORIES: [Category; 6] = [
    Category {
        name: "饮料",
        pack: "500 mL",
        sold_by: "瓶",
        shelf_life_days: 365,
        price_minor: 380,
        units_per_case: 15,
        items: "绿茶 红茶 乌龙茶 茉莉花茶 橙汁 苹果汁 葡萄汁 酸梅汤 椰子水 苏打水 矿泉水 柠檬茶",
    },
    Category {
        name: "饼干",
        pack: "120 g",
        sold_by: "包",
        shelf_life_days: 300,
        price_minor: 690,
        units_per_case: 24,
        items: "苏打饼干 牛奶饼干 巧克力夹心 草莓夹心 芝麻薄饼 全麦饼干 曲奇 威化 葱香饼干 燕麦饼干 蛋卷 手指饼干",
    },
    Category {
        name: "方便面",
        pack: "105 g",
        sold_by: "桶",
        shelf_life_days: 180,
        price_minor: 450,
        units_per_case: 12,
        items: "红烧牛肉面 香菇鸡面 酸菜面 番茄面 麻辣面 海鲜面 老坛面 炸酱面 葱油面 排骨面 鸡汤面 清汤面",
    },
    Category {
        name: "乳品",
        pack: "250 mL",
        sold_by: "盒",
        shelf_life_days: 180,
        price_minor: 420,
        units_per_case: 16,
        items: "纯牛奶 高钙奶 低脂奶 核桃奶 红枣奶 香蕉奶 草莓奶 巧克力奶 原味酸奶 黄桃酸奶 燕麦奶 儿童奶",
    },
    Category {
        name: "调味品",
        pack: "480 mL",
        sold_by: "瓶",
        shelf_life_days: 540,
        price_minor: 990,
        units_per_case: 12,
        items: "生抽 老抽 香醋 陈醋 蚝油 料酒 芝麻油 花椒油 豆瓣酱 黄豆酱 辣椒酱 番茄酱",
    },
    Category {
        name: "洗护",
        pack: "400 g",
        sold_by: "瓶",
        shelf_life_days: 1095,
        price_minor: 2590,
        units_per_case: 12,
        items: "洗发露 护发素 沐浴露 洗手液 洗洁精 洗衣液 柔顺剂 牙膏 香皂 润肤露 护手霜 洁面乳",
    },
];

/// A product as the demo needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) gtin: Gtin,
    pub(super) name: String,
    pub(super) price_minor: i64,
    pub(super) units_per_case: i64,
    pub(super) shelf_life_days: i64,
    /// Whether it is a competitor's product: known, but observed nowhere.
    pub(super) competitor: bool,
    category: usize,
}

/// All products, by GTIN.
pub(super) fn items() -> Result<Vec<Item>, GtinError> {
    let named = CATEGORIES
        .iter()
        .enumerate()
        .flat_map(|(nth, category)| category.items.split_whitespace().map(move |name| (nth, category, name)));
    let item = |(number, (category, of, name)): (usize, (usize, &Category, &str))| {
        let competitor = number % COMPETITOR_EVERY == COMPETITOR_EVERY - 1;
        let brand = brand(competitor);
        Ok(Item {
            gtin: Gtin::with_check_digit(DEMO_PREFIX + 1 + number as u64)?,
            name: format!("{brand} {name} {}", of.pack),
            // Prices within a category differ by a few steps of ten fen.
            price_minor: of.price_minor + 30 * (number as i64 % 5),
            units_per_case: of.units_per_case,
            shelf_life_days: of.shelf_life_days,
            competitor,
            category,
        })
    };
    named.enumerate().map(item).collect()
}

/// The drafts of all products.
pub(super) fn drafts(items: &[Item]) -> impl Iterator<Item = Draft> {
    items.iter().map(|item| {
        let category = &CATEGORIES[item.category];
        let product = Product {
            gtin: Some(item.gtin),
            name: Some(item.name.clone()),
            brand: Some(brand(item.competitor).to_owned()),
            category: Some(category.name.to_owned()),
            pack: Some(category.pack.to_owned()),
            retail_price_minor: Some(item.price_minor),
            currency: Some("CNY".to_owned()),
            shelf_life_days: Some(item.shelf_life_days),
            competitor: Some(item.competitor),
            units_per: [("case".to_owned(), item.units_per_case)].into(),
            sold_by: Some(category.sold_by.to_owned()),
        };
        Draft::of(Product::id_of(item.gtin), Home::Company, &product)
    })
}

const fn brand(competitor: bool) -> &'static str {
    if competitor { "对照牌" } else { "示例牌" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn gtins_are_of_the_demonstration_prefix_and_valid() {
        let items = items().expect("valid GTINs");
        let gtins: BTreeSet<_> = items.iter().map(|item| item.gtin).collect();
        assert_eq!((items.len(), gtins.len()), (72, 72));
        for gtin in gtins {
            let text = gtin.to_string();
            assert!(text.starts_with("0952"), "{text}");
            assert_eq!(text.parse(), Ok(gtin));
        }
        assert_eq!(items.iter().filter(|item| item.competitor).count(), 6);
    }

    #[test]
    fn every_product_says_what_it_is() {
        let items = items().expect("valid GTINs");
        assert_eq!(drafts(&items).count(), items.len());
        assert!(drafts(&items).all(|draft| draft.writes.len() >= 11));
    }
}
