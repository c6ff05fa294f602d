//! The four checks that the demo runs in front of the user.

use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Completeness, Measures, ProductFigures};
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::Gtin;

use super::fleet::{FleetError, Holds, Phone, all, blame};
use super::show::{Check, Step};
use crate::Server;
use crate::figures::{Figures, RollUp};
use crate::store::StoreError;

/// Why the checks failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// One or more checks failed; each was reported.
    #[error(
        "{failed} 项检查未通过 of the demo's checks failed: this is a fault of the program, please report it"
    )]
    Failed {
        /// How many.
        failed: usize,
    },
    /// A phone failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The server's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs all four and reports each. `saved` is the number of visits on the phones before any of them synced.
pub(super) async fn all_of_them(
    server: &Server,
    phones: Vec<Phone>,
    day: Day,
    saved: i64,
) -> Result<(), CheckError> {
    let before = tokio::task::block_in_place(|| Everything::of(server, day))?;
    let (phones, merged) = sync_again(phones).await?;
    let after = tokio::task::block_in_place(|| Everything::of(server, day))?;
    let mut held = Holds::default();
    for phone in &phones {
        let holds = phone.holds(day).map_err(blame(phone.who.nth))?;
        held.visits += holds.visits;
        held.unsent += holds.unsent;
        held.rejected += holds.rejected;
    }
    let report = tokio::task::block_in_place(|| server.verify())?;
    let mut checks = vec![adds_up(&before, saved, held), stands(&before, &after, merged)];
    for finding in report.findings.iter().take(5) {
        super::say(format!("  {finding}"));
    }
    checks.push(Check {
        holds: report.pictures_stored > 0 && report.pictures_missing == 0,
        zh: "照片全部到齐",
        en: "every photo's picture has arrived and is stored",
        detail: format!("{} 张图片 pictures", report.pictures_stored),
    });
    checks.push(Check {
        holds: report.is_clean(),
        zh: "重新计算无差异",
        en: "verify is clean: every figure equals its recomputation from all records",
        detail: format!(
            "{} 条记录 records, {} 个单元 cells, {} 条库存 stock entries",
            report.records, report.cells, report.stock_entries
        ),
    });
    checks.iter().for_each(Check::say);
    let failed = checks.iter().filter(|check| !check.holds).count();
    if failed == 0 { Ok(()) } else { Err(CheckError::Failed { failed }) }
}

/// All figures of the day without completeness, which a sync raises even if nothing is new.
#[derive(PartialEq)]
struct Everything {
    nation: Figures,
    regions: Vec<(RollUp, Figures)>,
    people: Vec<(PersonId, Figures)>,
    products: Vec<(Gtin, ProductFigures, i64)>,
}

impl Everything {
    fn of(server: &Server, day: Day) -> Result<Self, StoreError> {
        let without = |figures| Figures { completeness: Completeness::default(), ..figures };
        let regions = server.by_region(day, day)?;
        let people = server.by_person(RollUp::Nation, day, day)?;
        Ok(Self {
            nation: without(server.figures(RollUp::Nation, day, day)?),
            regions: regions.into_iter().map(|(scope, figures)| (scope, without(figures))).collect(),
            people: people.into_iter().map(|(person, figures)| (person, without(figures))).collect(),
            products: server.by_product(RollUp::Nation, day, day)?,
        })
    }

    fn count(&self) -> usize {
        1 + self.regions.len() + self.people.len() + self.products.len()
    }
}

fn adds_up(found: &Everything, saved: i64, held: Holds) -> Check {
    let mut sum = [Measures::default(); 3];
    for (_, figures) in &found.regions {
        sum.iter_mut().zip(measures(figures)).for_each(|(sum, measures)| *sum += measures);
    }
    let nation = found.nation.visits.visits;
    let regions = found.regions.iter().map(|(_, figures)| figures.visits.visits.to_string());
    let regions = regions.collect::<Vec<_>>().join("+");
    Check {
        holds: sum == measures(&found.nation)
            && nation == saved
            && held == (Holds { visits: saved, unsent: 0, rejected: 0 })
            && saved > 0,
        zh: "九个大区与未分配之和等于全国，等于 36 台手机上保存的拜访",
        en: "the regions add up to the nation, and to the visits saved on the 36 phones; none waits, none was rejected",
        detail: format!("{regions} = {nation} = {saved}"),
    }
}

/// All additive parts of figures.
fn measures(figures: &Figures) -> [Measures; 3] {
    let issues = figures.issues;
    let others = [
        figures.stock_units,
        issues.raised,
        issues.closed,
        issues.closed_by_due,
        issues.due,
        issues.open,
        issues.overdue,
    ];
    [figures.visits.measures(), figures.products.measures(), Measures::of(&others)]
}

fn stands(before: &Everything, after: &Everything, merged: u64) -> Check {
    Check {
        holds: before == after && merged == 0,
        zh: "全部再同步一次，数字不变",
        en: "a second sync of everything changes no figure",
        detail: format!(
            "{} 行数字相同 rows of figures are the same, {merged} 条新变更 changes merged",
            after.count()
        ),
    }
}

/// Syncs every phone once more. Returns how many saves the server merged.
async fn sync_again(phones: Vec<Phone>) -> Result<(Vec<Phone>, u64), FleetError> {
    let step = Step::begin(phones.len(), "再同步 sync again");
    let syncing = phones.into_iter().map(|phone| {
        let nth = phone.who.nth;
        async move {
            let report = phone.sync().await.map_err(|error| blame(nth)(error.into()))?;
            Ok((phone, report.merged + report.rejected))
        }
    });
    let (phones, merged): (Vec<_>, Vec<u64>) = all(syncing, &step.bar).await?.into_iter().unzip();
    step.bar.finish_and_clear();
    Ok((phones, merged.into_iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xundian_protocol::figures::VisitFigures;

    fn visits(visits: i64) -> Figures {
        Figures { visits: VisitFigures { visits, ..Default::default() }, ..Default::default() }
    }

    fn found(nation: i64, regions: &[i64]) -> Everything {
        let regions = regions.iter().map(|of| (RollUp::Unassigned, visits(*of))).collect();
        Everything { nation: visits(nation), regions, people: Vec::new(), products: Vec::new() }
    }

    #[test]
    fn a_sum_that_is_off_by_one_is_found() {
        let held = |visits| Holds { visits, unsent: 0, rejected: 0 };
        assert!(adds_up(&found(5, &[2, 3, 0]), 5, held(5)).holds);
        assert!(!adds_up(&found(5, &[2, 2, 0]), 5, held(5)).holds);
        assert!(!adds_up(&found(5, &[2, 3, 0]), 6, held(6)).holds);
        assert!(!adds_up(&found(5, &[2, 3, 0]), 5, held(4)).holds);
        assert!(!adds_up(&found(5, &[2, 3, 0]), 5, Holds { unsent: 1, ..held(5) }).holds);
        assert!(!adds_up(&found(5, &[2, 3, 0]), 5, Holds { rejected: 1, ..held(5) }).holds);
        assert!(!adds_up(&found(0, &[]), 0, held(0)).holds, "a demo without visits shows nothing");
    }

    #[test]
    fn a_figure_that_moves_is_found() {
        assert!(stands(&found(5, &[5]), &found(5, &[5]), 0).holds);
        assert!(!stands(&found(5, &[5]), &found(5, &[4]), 0).holds);
        assert!(!stands(&found(5, &[5]), &found(5, &[5]), 1).holds);
    }
}
