//! What is seen and counted in an outlet: most listed products are on the shelf, some are absent, and some are
//! plentiful in the backroom.

use rand::Rng;
use rand::rngs::StdRng;
use xundian_client::{ShelfObservation, StockCount};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::kinds::Channel;

use super::catalogue::Item;
use super::company::Shop;

/// One product in this many sells out more often.
const SCARCE_EVERY: usize = 11;
const ABSENT: f64 = 0.065;
const ABSENT_SCARCE: f64 = 0.22;
/// The most products of a shelf that are counted as well.
const COUNTED_MAX: usize = 8;

/// What was seen and counted.
pub(super) struct Seen {
    pub(super) shelf: ShelfObservation,
    pub(super) count: StockCount,
    /// Whether several products were missing.
    pub(super) short: bool,
}

/// Looks for every listed product, and counts the first of them.
pub(super) fn look(random: &mut StdRng, items: &[Item], shop: &Shop, midnight_ms: i64) -> Seen {
    let mut seen = Seen { shelf: ShelfObservation::default(), count: StockCount::default(), short: false };
    let mut absent = 0;
    for (nth, place) in shop.listed.iter().enumerate() {
        let item = &items[*place];
        let is_scarce = place % SCARCE_EVERY == 3;
        let present = !random.random_bool(if is_scarce { ABSENT_SCARCE } else { ABSENT });
        absent += usize::from(!present);
        let in_backroom = random.random_bool(if present { 0.6 } else { 0.35 });
        see(random, &mut seen.shelf, item, present, in_backroom);
        if nth < COUNTED_MAX {
            count(random, &mut seen.count, item, shop.channel, present, in_backroom);
        }
    }
    if shop.channel == Channel::Hypermarket
        && let Some(item) = shop.listed.first().map(|place| &items[*place])
    {
        count_lot(random, &mut seen.count, item, midnight_ms);
    }
    seen.short = absent >= 3;
    seen
}

fn see(random: &mut StdRng, shelf: &mut ShelfObservation, item: &Item, present: bool, in_backroom: bool) {
    let gtin = item.gtin;
    let facings = if present { random.random_range(1..7) } else { 0 };
    shelf.present.insert(gtin, present);
    shelf.facings_own.insert(gtin, facings);
    shelf.facings_category.insert(gtin, facings + random.random_range(4..22));
    if present {
        // Some shops round up, some run a promotion.
        let percent = [100, 100, 100, 103, 105, 92][random.random_range(0..6)];
        shelf.price_minor.insert(gtin, item.price_minor * percent / 100);
    } else {
        shelf.in_backroom.insert(gtin, in_backroom);
        shelf.facings_empty.insert(gtin, random.random_range(1..4));
    }
}

fn count(
    random: &mut StdRng,
    count: &mut StockCount,
    item: &Item,
    channel: Channel,
    present: bool,
    in_backroom: bool,
) {
    let gtin = item.gtin;
    count.shelf_units.insert(gtin, if present { random.random_range(3..30) } else { 0 });
    if in_backroom {
        count.backroom_units.insert(gtin, item.units_per_case * random.random_range(1..5));
    }
    if channel == Channel::Hypermarket && random.random_bool(0.15) {
        count.stack_units.insert(gtin, item.units_per_case * random.random_range(2..9));
    }
}

/// One lot with its dates, some months old.
fn count_lot(random: &mut StdRng, count: &mut StockCount, item: &Item, midnight_ms: i64) {
    let Some(today) = Day::local(midnight_ms, DEFAULT_ZONE) else { return };
    let age_days = random.random_range(10..item.shelf_life_days);
    let produced_on = Day(today.0 - i32::try_from(age_days).unwrap_or(0));
    let expires_on = Day(produced_on.0 + i32::try_from(item.shelf_life_days).unwrap_or(0));
    let lot = (item.gtin, format!("L{}", produced_on.date().format("%y%m%d")));
    let units = count.shelf_units.get(&item.gtin).copied().unwrap_or(0);
    count.lot_units.insert(lot.clone(), units);
    count.lot_produced_on.insert(lot.clone(), produced_on);
    count.lot_expires_on.insert(lot, expires_on);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::company;
    use rand::SeedableRng;

    #[test]
    fn about_eight_of_a_hundred_products_are_missing_and_nothing_unlisted_is_seen() {
        let company = company::make(7, Day(20_780)).expect("valid GTINs");
        let mut random = StdRng::seed_from_u64(7);
        let (mut audited, mut absent) = (0, 0);
        for shop in company.merchandisers.iter().flat_map(|who| &who.planned) {
            let seen = look(&mut random, &company.items, shop, 0);
            assert_eq!(seen.shelf.present.len(), shop.listed.len());
            assert!(seen.count.shelf_units.keys().all(|gtin| seen.shelf.present.contains_key(gtin)));
            audited += seen.shelf.present.len();
            absent += seen.shelf.present.values().filter(|present| !**present).count();
        }
        let per_mille = absent * 1000 / audited;
        assert!((60..=100).contains(&per_mille), "{per_mille} ‰");
    }
}
