//! One person's day, recorded on one client without a network (DOMAIN S6.5–S6.7): the bag is checked, planned calls are
//! made, aborted or missed, issues are raised and solved, and a report closes the day.
//!
//! All randomness comes from the caller's seed, and no decision depends on the client.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use xundian_client::{
    AbortReason, Client, DepartureCheck, Due, GpsFix, Issue, IssueKind, MovementCause, NewIssue, NewPhoto,
    PhotoOf, PhotoSource, PhotoSubject, RecordError, Severity, ShelfObservation, StockMovement, VisitBundle,
    VisitId,
};
use xundian_protocol::kinds::Channel;

use super::catalogue::Item;
use super::clock::PhoneClock;
use super::company::{Merchandiser, Shop};
use super::picture;
use super::shelf::{self, Seen};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// About 20 m in degrees × 10⁷: the distance of a phone from the door.
const NEAR_E7: i64 = 2_000;
const FAR_E7: i64 = 120_000;

/// The visits' yes/no tasks.
const TASKS: [&str; 3] = ["clean_shelf", "price_tags", "promotion_display"];

/// 本店重要事务
const NOTES: [&str; 8] = [
    "下周店庆，店长同意加一个堆箱",
    "新店长周一到岗，需要再次拜访",
    "竞品本周买二送一",
    "仓库改造到月底，送货请走北门",
    "价签已全部更换",
    "店方要求周五前补货",
    "冰柜故障，已报店方维修",
    "堆箱位置被挪到收银台旁",
];

const ISSUES: [(IssueKind, Severity, &str); 7] = [
    (IssueKind::OutOfStock, Severity::Severe, "连续两次拜访缺货，店方未下单"),
    (IssueKind::Price, Severity::Normal, "价签与促销价不符"),
    (IssueKind::Display, Severity::Normal, "堆箱被拆除，需要重新谈判"),
    (IssueKind::Quality, Severity::Urgent, "同批次三件胀包，已下架封存"),
    (IssueKind::Relations, Severity::Normal, "采购负责人对账期有意见"),
    (IssueKind::Competitor, Severity::Severe, "竞品签下整面端架"),
    (IssueKind::Other, Severity::Normal, "门店周末停业装修"),
];

const RESOLUTIONS: [&str; 3] = ["已补货", "已与店长协商解决", "已更换价签并复查"];

/// The day of one person.
pub(super) struct Shift<'a> {
    pub(super) client: &'a Client,
    pub(super) clock: &'a PhoneClock,
    pub(super) who: &'a Merchandiser,
    pub(super) items: &'a [Item],
    /// The beginning of the day, Unix milliseconds.
    pub(super) midnight_ms: i64,
    pub(super) random: StdRng,
}

impl Shift<'_> {
    /// Records the day and what is left from the evening before.
    pub(super) fn record(mut self) -> Result<(), RecordError> {
        self.evening_before()?;
        let mut now_ms = self.leave()?;
        let mut by_hand = true;
        let mut at_lunch = true;
        let who = self.who;
        for shop in &who.planned {
            now_ms += self.minutes(4, 10);
            if at_lunch && now_ms > self.midnight_ms + 12 * HOUR_MS {
                now_ms += 40 * MINUTE_MS;
                at_lunch = false;
            }
            now_ms = match self.random.random_range(0..100) {
                0..5 => now_ms,
                5..9 => self.break_off(shop, now_ms)?,
                _ if by_hand => {
                    by_hand = false;
                    self.visit_by_hand(shop, now_ms)?
                }
                _ => self.visit(shop, now_ms)?,
            };
        }
        // Sometimes there is time for an unplanned outlet.
        if let Some(shop) = who.spare.first().filter(|_| self.random.random_bool(0.5)) {
            now_ms = self.visit(shop, now_ms + 8 * MINUTE_MS)?;
        }
        let home_ms = now_ms + self.minutes(15, 40);
        self.come_home(home_ms)
    }

    /// Issues raised the evening before, due now or since yesterday.
    fn evening_before(&mut self) -> Result<(), RecordError> {
        if !self.random.random_bool(0.4) {
            return Ok(());
        }
        let who = self.who;
        let Some(shop) = who.planned.choose(&mut self.random) else { return Ok(()) };
        let issue = self.issue();
        self.clock.set(self.midnight_ms - 6 * HOUR_MS - self.minutes(5, 50));
        self.client.raise_issue(shop.id, None, &issue)?;
        Ok(())
    }

    /// Checks the bag (S6.5). Returns when the person left.
    fn leave(&mut self) -> Result<i64, RecordError> {
        let now_ms = self.midnight_ms + 7 * HOUR_MS + self.minutes(25, 50);
        let is_complete = !self.random.random_bool(0.06);
        let check = DepartureCheck {
            folder: Some(true),
            cloth: Some(true),
            knife: Some(is_complete),
            gifts: Some(self.random.random_range(0..30)),
            exchange_goods: Some(self.random.random_range(0..12)),
            note: (!is_complete).then(|| "美工刀遗失，已向主管领取".to_owned()),
        };
        self.clock.set(now_ms);
        self.client.check_departure(&check)?;
        Ok(now_ms)
    }

    /// A visit that the app saves at its end, in one save.
    fn visit(&mut self, shop: &Shop, opened_at_ms: i64) -> Result<i64, RecordError> {
        let ended_at_ms = opened_at_ms + self.stay(shop.channel);
        let Seen { shelf, count, short } = shelf::look(&mut self.random, self.items, shop, self.midnight_ms);
        let bundle = VisitBundle {
            time_in_store_ms: Some(ended_at_ms - opened_at_ms - 30_000),
            fix: self.fix(shop),
            task_answers: TASKS.map(|task| (task.to_owned(), self.random.random_bool(0.85))).into(),
            note: self.note(),
            shelf: shelf.clone(),
            count,
            issues: if self.has_issue(short) { vec![self.issue()] } else { Vec::new() },
            ..VisitBundle::new(shop.id, opened_at_ms, ended_at_ms)
        };
        self.clock.set(ended_at_ms);
        let visit = self.client.record(&bundle)?;
        self.photograph(visit, &shelf, bundle.fix, ended_at_ms)?;
        self.move_stock(shop, visit, ended_at_ms + MINUTE_MS)?;
        Ok(ended_at_ms + 2 * MINUTE_MS)
    }

    /// A visit that the app saves step by step.
    fn visit_by_hand(&mut self, shop: &Shop, opened_at_ms: i64) -> Result<i64, RecordError> {
        let ended_at_ms = opened_at_ms + self.stay(shop.channel);
        let Seen { shelf, count, short } = shelf::look(&mut self.random, self.items, shop, self.midnight_ms);
        self.clock.set(opened_at_ms);
        let fix = self.fix(shop);
        let visit = self.client.open_visit(shop.id, fix)?;
        self.clock.set(opened_at_ms + 3 * MINUTE_MS);
        self.client.observe_shelf(visit, &shelf)?;
        self.photograph(visit, &shelf, fix, opened_at_ms + 3 * MINUTE_MS)?;
        self.clock.set(opened_at_ms + 6 * MINUTE_MS);
        self.client.count_stock(visit, &count)?;
        if self.has_issue(short) {
            let issue = self.issue();
            self.client.raise_issue(shop.id, Some(visit), &issue)?;
        }
        self.clock.set(ended_at_ms - 30_000);
        let answers = TASKS.map(|task| (task.to_owned(), self.random.random_bool(0.85))).into();
        self.client.update_visit(visit, answers, self.note())?;
        self.clock.set(ended_at_ms);
        self.client.close_visit(visit)?;
        self.move_stock(shop, visit, ended_at_ms + MINUTE_MS)?;
        Ok(ended_at_ms + 2 * MINUTE_MS)
    }

    /// Takes a photo of the shelf in some visits, and sometimes chooses an older one from the gallery.
    fn photograph(
        &mut self,
        visit: VisitId,
        shelf: &ShelfObservation,
        fix: Option<GpsFix>,
        at_ms: i64,
    ) -> Result<(), RecordError> {
        // A separate source: the rest of the day does not depend on what was photographed.
        let mut random = StdRng::seed_from_u64(at_ms.unsigned_abs() ^ self.who.nth as u64);
        if !random.random_bool(0.2) {
            return Ok(());
        }
        let is_chosen = random.random_bool(0.1);
        let source = if is_chosen { PhotoSource::Chosen } else { PhotoSource::InApp };
        let photo = NewPhoto {
            taken_at_ms: Some(if is_chosen { at_ms - 20 * HOUR_MS } else { at_ms }),
            fix: fix.filter(|_| !is_chosen),
            ..NewPhoto::new(PhotoSubject::Shelf, source)
        };
        self.client.attach_photo(PhotoOf::Visit(visit), &photo, &picture::draw(&mut random, shelf))?;
        Ok(())
    }

    fn break_off(&mut self, shop: &Shop, opened_at_ms: i64) -> Result<i64, RecordError> {
        let reasons =
            [AbortReason::Closed, AbortReason::Refused, AbortReason::NobodyThere, AbortReason::NoTime];
        let ended_at_ms = opened_at_ms + self.minutes(2, 7);
        let bundle = VisitBundle {
            abort_reason: reasons.choose(&mut self.random).copied(),
            fix: self.fix(shop),
            ..VisitBundle::new(shop.id, opened_at_ms, ended_at_ms)
        };
        self.clock.set(ended_at_ms);
        self.client.record(&bundle)?;
        Ok(ended_at_ms)
    }

    /// Deliveries, exchanges and losses, after the visit's count.
    fn move_stock(&mut self, shop: &Shop, visit: VisitId, at_ms: i64) -> Result<(), RecordError> {
        let Some(item) = shop.listed.choose(&mut self.random).map(|place| &self.items[*place]) else {
            return Ok(());
        };
        let (cause, units, document) = match self.random.random_range(0..100) {
            0..9 => {
                (MovementCause::SellIn, item.units_per_case * self.random.random_range(1..4), Some("送货单"))
            }
            9..12 => (MovementCause::ExchangeOut, -self.random.random_range(1..6), Some("调换单")),
            12..15 => (MovementCause::Damage, -self.random.random_range(1..4), None),
            15..17 => (MovementCause::Expiry, -self.random.random_range(1..5), None),
            17..19 => (MovementCause::Gift, self.random.random_range(2..7), None),
            _ => return Ok(()),
        };
        let movement = StockMovement {
            visit: Some(visit),
            cause: Some(cause),
            units: [(item.gtin, units)].into(),
            document: document.map(|kind| format!("{kind} {}-{}", self.who.code, at_ms / MINUTE_MS % 10_000)),
            ..StockMovement::default()
        };
        self.clock.set(at_ms);
        self.client.move_stock(shop.id, &movement)?;
        Ok(())
    }

    /// Closes the day (S6.7): solves what can be solved, and reports.
    fn come_home(mut self, now_ms: i64) -> Result<(), RecordError> {
        self.clock.set(now_ms);
        // The list is in the order of raising, so the same seed solves the same issues.
        for line in self.client.list(Issue::SPEC.kind, None)? {
            let id = line.record.key.id;
            match self.random.random_range(0..100) {
                0..45 => {
                    let resolution = RESOLUTIONS.choose(&mut self.random).copied().unwrap_or_default();
                    self.client.close_issue(id, resolution.to_owned())?;
                }
                45..70 => self.client.acknowledge_issue(id)?,
                _ => {}
            }
        }
        let remarks =
            ["当日计划基本完成", "路上耽误，部分门店改到明天", "大卖场促销顺利", "连锁缺货较多，已上报"];
        let remarks = remarks.choose(&mut self.random).map(|text| (*text).to_owned());
        let documents = self.random.random_range(2..16);
        self.clock.set(now_ms + 5 * MINUTE_MS);
        self.client.report_day(remarks, Some(documents))?;
        Ok(())
    }

    fn issue(&mut self) -> NewIssue {
        let (issue_kind, severity, text) = ISSUES[self.random.random_range(0..ISSUES.len())];
        let due = if self.random.random_bool(0.4) { Due::SameDay } else { Due::NextDay };
        NewIssue { issue_kind, severity, text: text.to_owned(), due, assignee: None }
    }

    /// An empty shelf leads to an issue more often than a full one.
    fn has_issue(&mut self, short: bool) -> bool {
        self.random.random_bool(if short { 0.18 } else { 0.03 })
    }

    fn note(&mut self) -> Option<String> {
        let note = NOTES.choose(&mut self.random).copied();
        note.filter(|_| self.random.random_bool(0.3)).map(str::to_owned)
    }

    fn fix(&mut self, shop: &Shop) -> Option<GpsFix> {
        let (reach_e7, mocked) = match self.random.random_range(0..100) {
            0..2 => return None,
            2 => (NEAR_E7, true),
            3..6 => (FAR_E7, false),
            _ => (NEAR_E7, false),
        };
        let (latitude_e7, longitude_e7) = shop.position_e7;
        Some(GpsFix {
            latitude_e7: latitude_e7 + self.random.random_range(-reach_e7..reach_e7),
            longitude_e7: longitude_e7 + self.random.random_range(-reach_e7..reach_e7),
            accuracy_m: Some(self.random.random_range(4..40)),
            mocked,
        })
    }

    /// The duration of a visit: twenty-four chain outlets or eight hypermarkets must fit into a day.
    fn stay(&mut self, channel: Channel) -> i64 {
        if channel == Channel::Hypermarket { self.minutes(28, 44) } else { self.minutes(9, 15) }
    }

    /// A random number of minutes and seconds, in milliseconds.
    fn minutes(&mut self, from: i64, to: i64) -> i64 {
        self.random.random_range(from * 60..to * 60) * 1000
    }
}
