//! `import products`: the catalogue 产品. Accepts only codes of retail items, and explains what every other code is.

use super::Checked;
use super::current_records::Seen;
use super::draft_record::{DraftRecord, Filled};
use super::row_reader::{Finer, RowReader};
use super::rows::Table;
use std::collections::BTreeMap;
use xundian_protocol::kinds::{Entity, Gtin, GtinError, Product};
use xundian_protocol::record::Home;

const FIELDS: &[Filled] = &[
    ("brand", Product::SPEC.tag_of("brand")),
    ("category", Product::SPEC.tag_of("category")),
    ("pack", Product::SPEC.tag_of("pack")),
    ("retail_price", Product::SPEC.tag_of("retail_price_minor")),
    ("retail_price", Product::SPEC.tag_of("currency")),
    ("shelf_life_days", Product::SPEC.tag_of("shelf_life_days")),
    ("competitor", Product::SPEC.tag_of("competitor")),
    ("unit", Product::SPEC.tag_of("sold_by")),
    ("sold_by", Product::SPEC.tag_of("sold_by")),
];

/// Currencies whose minor unit is a hundredth.
const CURRENCIES: [&str; 7] = ["CNY", "HKD", "MOP", "TWD", "USD", "EUR", "GBP"];
const DEFAULT_CURRENCY: &str = "CNY";
const MINOR_DIGITS: u32 = 2;
const UNITS_MAX: i64 = 1_000_000;

pub(super) fn check(table: &Table) -> Checked {
    let mut checked = Checked::default();
    let mut seen = Seen::default();
    let packs = ["units_per_inner", "units_per_case"].iter().any(|column| table.has(column));
    for row in &table.rows {
        let mut cells = RowReader::new(table, row);
        let says = read(&mut cells, &mut seen);
        match says.gtin.filter(|_| !cells.is_bad()) {
            Some(gtin) => {
                let key = Product::key(Product::id_of(gtin));
                let draft = DraftRecord::new(key, Home::Company, &says, table, FIELDS);
                let draft = if packs {
                    draft.replacing(const { &[Product::SPEC.tag_of("units_per")] })
                } else {
                    draft
                };
                checked.drafts.push((row.line, draft));
            }
            None => checked.bad.append(&mut cells.into_bad()),
        }
    }
    checked
}

fn read(cells: &mut RowReader<'_>, seen: &mut Seen) -> Product {
    let gtin = read_gtin(cells);
    if let Some(first) = gtin.and_then(|gtin| seen.before(&gtin.to_string(), cells.line())) {
        cells.refuse("gtin", format!("stands on line {first} already"));
    }
    let (retail_price_minor, currency) = read_price(cells);
    let mut units_per = BTreeMap::new();
    for (column, unit) in [("units_per_inner", "inner"), ("units_per_case", "case")] {
        units_per.extend(cells.int(column, 1, UNITS_MAX).map(|units| (unit.to_owned(), units)));
    }
    Product {
        gtin,
        name: cells.required_text("name"),
        brand: cells.text("brand"),
        category: cells.text("category"),
        pack: cells.text("pack"),
        retail_price_minor,
        currency,
        shelf_life_days: cells.int("shelf_life_days", 1, 36_500),
        competitor: cells.flag("competitor"),
        units_per,
        sold_by: cells.text("unit").or_else(|| cells.text("sold_by")),
    }
}

fn read_gtin(cells: &mut RowReader<'_>) -> Option<Gtin> {
    cells.require("gtin");
    let code = cells.code("gtin")?;
    match retail_gtin(&code) {
        Ok(gtin) => Some(gtin),
        Err(reason) => {
            cells.refuse("gtin", reason);
            None
        }
    }
}

/// The GTIN of a retail item, from 13 digits or from 14 with a leading 0. Shorter codes are refused: shops' lists are
/// full of their own short numbers, and one in ten has a valid check digit.
fn retail_gtin(code: &str) -> Result<Gtin, String> {
    if !code.bytes().all(|byte| byte.is_ascii_digit()) {
        let rounded = code.contains("E+") || code.contains("e+");
        let hint = if rounded {
            ": Excel has rounded it; format the column as text and fill it in anew"
        } else {
            ""
        };
        return Err(format!("is no GTIN: it may hold digits only{hint}"));
    }
    let item = match code.len() {
        13 => code,
        14 if code.starts_with('0') => &code[1..],
        14 if code.parse::<Gtin>().is_ok() => {
            return Err("is the GTIN-14 of a case or pallet: give the 13 digits of the item in it".into());
        }
        8 if code.starts_with(['0', '2']) => {
            return Err("is a shop's own number of 8 digits, not a GTIN-13".into());
        }
        len => return Err(format!("is no GTIN-13: it has {len} digits")),
    };
    if let Some(what) = not_a_retail_item(item) {
        return Err(format!("is no product's code: {what}"));
    }
    item.parse().map_err(|error| match error {
        GtinError::CheckDigit { found, expected, .. } => {
            format!("is no GTIN: its check digit is {found}, but the other digits ask for {expected}")
        }
        other => other.to_string(),
    })
}

/// GS1 prefixes that no manufacturer's item has.
fn not_a_retail_item(item: &str) -> Option<&'static str> {
    let prefix: u16 = item.get(..3)?.parse().ok()?;
    match prefix {
        0 if item.starts_with("00000") => Some("prefix 00000 is a short code"),
        20..=29 | 40..=49 | 200..=299 => Some("prefixes 02, 04 and 2 are for use inside a shop"),
        50..=59 | 980..=999 => Some("prefixes 05, 98 and 99 are coupons and refund receipts"),
        977 => Some("prefix 977 is a periodical (ISSN)"),
        978 | 979 => Some("prefixes 978 and 979 are books (ISBN)"),
        _ => None,
    }
}

fn read_price(cells: &mut RowReader<'_>) -> (Option<i64>, Option<String>) {
    let raw = cells.raw("retail_price");
    if raw.is_empty() {
        return (None, None);
    }
    let currency =
        cells.text("currency").map_or_else(|| DEFAULT_CURRENCY.to_owned(), |code| code.to_uppercase());
    if !CURRENCIES.contains(&currency.as_str()) {
        cells.refuse("currency", format!("is none of {}", CURRENCIES.join(", ")));
    }
    let plain = raw.trim_start_matches(['¥', '￥']);
    let price = without_thousands(plain)
        .and_then(|text| super::row_reader::decimal(&text, MINOR_DIGITS, Finer::Refused));
    match price {
        Ok(minor) if minor < 0 => cells.refuse("retail_price", "is below zero"),
        Ok(minor) => return (Some(minor), Some(currency)),
        Err(reason) => cells.refuse("retail_price", reason),
    }
    (None, None)
}

/// `1,234.50`, as Excel writes money; any other comma is a decimal comma or a typing error.
fn without_thousands(text: &str) -> Result<String, String> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default().len();
    let rest: Vec<&str> = groups.collect();
    if !rest.is_empty() && (first == 0 || first > 3 || rest.iter().any(|group| group.len() != 3)) {
        return Err("is no plain decimal number: a comma stands where no thousands end".into());
    }
    Ok(text.replace(',', ""))
}
