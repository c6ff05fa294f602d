//! The reps: their devices as the server knows them, and what each sends in a day.

use std::ops::Range;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::{OpSeq, OutletId, RecordId, VisitId};
use xundian_protocol::kinds::{Gtin, ShelfObservation, StockCount, Visit};
use xundian_protocol::record::{Home, Op};
use xundian_protocol::wire::v1::Enrol;
use xundian_server::Server;

use super::company::{self, Rep};
use super::{GrowthError, Size};
use crate::support::ops::Author;

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;
/// The ops of a visit: the visit, its shelf and its count.
const FORMS: u64 = 3;

/// All reps, with their devices.
pub(super) struct Field {
    size: Size,
    products: Vec<Gtin>,
    reps: Vec<(Author, Rep)>,
    visits: u64,
}

impl Field {
    /// Writes the company and enrols one device per rep.
    pub(super) fn found(server: &Server, size: Size, first: Day) -> Result<Self, GrowthError> {
        let now_ms = at_hour(first, 6)?;
        let (parts, reps) = company::draw(size, first);
        for part in parts {
            server.write(part.into_drafts(), "growth", now_ms)?;
        }
        let reps = reps.into_iter().map(|rep| Ok((enrol(server, &rep, now_ms)?, rep)));
        let reps = reps.collect::<Result<Vec<_>, GrowthError>>()?;
        Ok(Self { size, products: company::products(size), reps, visits: 0 })
    }

    /// Ingests the work of `days`. Returns the time of each batch, and the total number of visits so far.
    pub(super) fn work(
        &mut self,
        server: &Server,
        first: Day,
        days: Range<u32>,
    ) -> Result<(Vec<Duration>, u64), GrowthError> {
        let mut times = Vec::new();
        for nth in days {
            let day = Day(first.0 + nth.cast_signed());
            let (morning_ms, evening_ms) = (at_hour(day, 8)?, at_hour(day, 20)?);
            for (author, rep) in &mut self.reps {
                let ops = day_of(self.size, &self.products, author, rep, nth, morning_ms);
                let (device, last) = (author.device, OpSeq(author.next.0 - 1));
                let begun = Instant::now();
                let receipt = server.ingest(device, ops, evening_ms)?;
                times.push(begun.elapsed());
                if receipt.through != last || !receipt.rejections.is_empty() {
                    return Err(GrowthError::Wrong(format!("not all of {device} was merged: {receipt:?}")));
                }
                self.visits += u64::from(self.size.visits_a_day);
            }
        }
        Ok((times, self.visits))
    }
}

fn at_hour(day: Day, hour: i64) -> Result<i64, GrowthError> {
    let midnight_ms = day.start_ms(DEFAULT_ZONE);
    Ok(midnight_ms.ok_or_else(|| GrowthError::Wrong(format!("no day {day}")))? + hour * HOUR_MS)
}

fn enrol(server: &Server, rep: &Rep, now_ms: i64) -> Result<Author, GrowthError> {
    let invitation = server.invite(rep.person, HOUR_MS, "growth", now_ms)?;
    let request_der = CertificateParams::default().serialize_request(&KeyPair::generate()?)?.der().to_vec();
    let enrol = Enrol { secret: invitation.secret, request_der, label: "growth".into() };
    let granted = server.enrol(&enrol, now_ms)?;
    Ok(Author { device: granted.device, person: rep.person, next: OpSeq(1) })
}

/// Returns the ops that a rep sends in the evening: visits to their next outlets, with shelf and stock count.
fn day_of(
    size: Size,
    products: &[Gtin],
    author: &mut Author,
    rep: &Rep,
    nth: u32,
    morning_ms: i64,
) -> Vec<Op> {
    let mut ops = Vec::with_capacity((u64::from(size.visits_a_day) * FORMS) as usize);
    for visit in 0..size.visits_a_day {
        let outlet = rep.outlets[(nth * size.visits_a_day + visit) as usize % rep.outlets.len()];
        let at_ms = morning_ms + i64::from(visit) * 5 * MINUTE_MS;
        visit_to(outlet, products, i64::from(nth + visit), at_ms, author, &mut ops);
    }
    ops
}

fn visit_to(
    outlet: OutletId,
    products: &[Gtin],
    varying: i64,
    at_ms: i64,
    author: &mut Author,
    ops: &mut Vec<Op>,
) {
    // As a phone does it: records made at about the same time are adjacent in the store.
    let id = RecordId::v7(at_ms.unsigned_abs(), rand::random());
    let home = Home::Outlet(outlet);
    let units = |n: usize| (n as i64 * 7 + varying) % 13;
    let lines = || products.iter().copied().enumerate();
    let visit =
        Visit { opened_at_ms: Some(at_ms), closed_at_ms: Some(at_ms + 4 * MINUTE_MS), ..Visit::default() };
    let shelf = ShelfObservation {
        visit: Some(VisitId(id)),
        present: lines().map(|(n, gtin)| (gtin, units(n) > 0)).collect(),
        facings_own: lines().map(|(n, gtin)| (gtin, units(n))).collect(),
        ..ShelfObservation::default()
    };
    let count = StockCount {
        visit: Some(VisitId(id)),
        shelf_units: lines().map(|(n, gtin)| (gtin, units(n))).collect(),
        ..StockCount::default()
    };
    ops.push(author.op(&visit, id, home, at_ms, None));
    ops.push(author.op(&shelf, id, home, at_ms, None));
    ops.push(author.op(&count, id, home, at_ms, None));
}
