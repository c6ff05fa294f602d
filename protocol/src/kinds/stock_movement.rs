//! StockMovement 库存变动: units that came into an outlet or left it, and why.

use super::declare::header;
use super::declare::{choice, kind};
use super::gtin::Gtin;
use crate::figures::stock_ledger::Stock;
use crate::ids::VisitId;
use crate::record::{Key, Record, Value};
use std::collections::BTreeMap;

choice! {
    /// Why units moved.
    MovementCause {
        /// Delivered to the outlet.
        SellIn = 1, "sell_in", "进货" / "Sell-in";
        /// Taken out in an exchange 调换货.
        ExchangeOut = 2, "exchange_out", "换出" / "Exchanged out";
        /// Put in by an exchange.
        ExchangeIn = 3, "exchange_in", "换入" / "Exchanged in";
        /// Damaged.
        Damage = 4, "damage", "破损" / "Damage";
        /// Expired.
        Expiry = 5, "expiry", "过期" / "Expiry";
        /// Returned to the supplier.
        Return = 6, "return", "退货" / "Return";
        /// Given away.
        Gift = 7, "gift", "赠品" / "Gift";
        /// Corrected.
        Adjust = 8, "adjust", "调整" / "Adjustment";
    }
}

kind! {
    /// A movement of stock, one line per product. Units that leave are negative.
    StockMovement = 12, "stock_movement", "库存变动" / "Stock movement";
    home Outlet; write_policy Event; writers [Merchandiser, Representative, Manager];
    stock stock;
    {
        /// The visit; `None` for a movement outside of a visit.
        visit: Option<VisitId> = 16, "拜访" / "Visit", None;
        /// The cause.
        cause: Option<MovementCause> = 17, "原因" / "Cause", None, required;
        /// Units that came (+) or left (−).
        units: BTreeMap<Gtin, i64> = 18, "数量" / "Units", BaseUnits;
        /// The lot of a line.
        lot: BTreeMap<Gtin, String> = 19, "批次" / "Lot", None;
        /// The document that belongs to it.
        document: Option<String> = 20, "单据" / "Document", None;
    }
}

fn stock(record: &Record) -> Vec<(u64, Stock)> {
    if header::is_corrected(record) {
        return Vec::new();
    }
    let line = |field: &crate::record::Field| match (&field.at.key, &field.register.value) {
        (Key::Number(gtin), Value::Int(units)) => Some((*gtin, Stock::Moved(*units))),
        _ => None,
    };
    record.lines(18).iter().filter_map(line).collect()
}
