//! Reports of one outlet: its visits, or its figures by product, person or day. Cells have no outlet grain, so these
//! are summed from the records found through provenance.

use super::figures::{people as people_sheet, period, products, with_figures};
use super::sheet::{Column, Sheet, SheetValue, ShownIn};
use super::{GroupBy, ReportError, Request};
use crate::figures::{Figures, RollUp};
use crate::server::Server;
use crate::store::{Owner, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::figures::{
    Completeness, Contribution, IssueFigures, MeasureFamily, Measures, Nature, ProductFigures,
};
use xundian_protocol::ids::{OutletId, PersonId};
use xundian_protocol::kinds::format::moment;
use xundian_protocol::kinds::{self, Choice, Entity, Gtin, Header, Visit, header};
use xundian_protocol::record::Record;

const VISITS: [Column; 12] = [
    Column { key: "visit", zh: "拜访编号", show: ShownIn::Always },
    Column { key: "day", zh: "日期", show: ShownIn::Always },
    Column { key: "person_code", zh: "工号", show: ShownIn::Always },
    Column { key: "person", zh: "姓名", show: ShownIn::Always },
    Column { key: "opened", zh: "进店", show: ShownIn::Always },
    Column { key: "closed", zh: "离店", show: ShownIn::Always },
    Column { key: "aborted", zh: "中止", show: ShownIn::Always },
    Column { key: "abort_reason", zh: "中止原因", show: ShownIn::Always },
    Column { key: "time_in_store_s", zh: "在店秒数", show: ShownIn::Always },
    Column { key: "planned", zh: "计划内", show: ShownIn::Data },
    Column { key: "corrected", zh: "已更正", show: ShownIn::Always },
    Column { key: "note", zh: "备注", show: ShownIn::Always },
];

pub(super) fn read(server: &Server, code: &str, request: &Request) -> Result<Sheet, ReportError> {
    let directory = server.directory();
    let found = directory.outlets().find(|(_, entry)| entry.code == code);
    let (outlet, entry) =
        found.ok_or_else(|| ReportError::Outlet { code: code.chars().take(64).collect() })?;
    let title = format!("{} {} {}", entry.code, entry.name, period(request));
    let completeness = completeness(server, &directory, outlet, request.to)?;
    if request.by == GroupBy::Unit {
        let sheet = visits(server, &directory, outlet, title, request)?;
        return Ok(Sheet { completeness: Some(completeness), ..sheet });
    }
    let (from, to) = (request.from, request.to);
    let added = contributions(server, outlet, to)?;
    let total = Figures { completeness, ..sum(added.iter(), from) };
    Ok(match request.by {
        GroupBy::Product => {
            let sheet = products(server, "outlet", title, request, by_product(&added, from))?;
            Sheet { completeness: Some(completeness), ..sheet }
        }
        GroupBy::Person => {
            let people: BTreeSet<PersonId> = added.iter().filter_map(|added| added.person).collect();
            let mut rows = Vec::new();
            for person in people {
                let completeness = server.completeness(RollUp::Person(person), to)?;
                let of = sum(added.iter().filter(|added| added.person == Some(person)), from);
                rows.push((person, Figures { completeness, ..of }));
            }
            people_sheet(&directory, "outlet", title, request, rows, total)
        }
        GroupBy::Day | GroupBy::Unit => {
            let mut rows = Vec::new();
            for day in (from.0..=to.0).map(Day) {
                let completeness = self::completeness(server, &directory, outlet, day)?;
                let of = sum(added.iter().filter(|added| added.day <= day), day);
                rows.push((vec![day.to_string().into()], Figures { completeness, ..of }));
            }
            let blob_ref = [Column { key: "day", zh: "日期", show: ShownIn::Always }];
            with_figures("outlet", title, request, &blob_ref, rows, total)
        }
    })
}

/// The completeness of the devices of the people responsible for the outlet on a day.
fn completeness(
    server: &Server,
    directory: &Directory,
    outlet: OutletId,
    day: Day,
) -> Result<Completeness, StoreError> {
    let mut sum = Completeness::default();
    let Some(assignment) = directory.assignment_on(outlet, day) else { return Ok(sum) };
    let holds = |person: &PersonId| {
        directory.held_on(*person, day).is_some_and(|(position, _)| position == assignment.position)
    };
    for person in directory.people().map(|(id, _)| id).filter(holds) {
        let found = server.completeness(RollUp::Person(person), day)?;
        sum.through_ms = match (sum.devices, found.devices) {
            (0, _) => found.through_ms,
            (_, 0) => sum.through_ms,
            // Everything has arrived only up to the least of all devices' watermarks.
            _ => sum.through_ms.zip(found.through_ms).map(|(a, b)| a.min(b)),
        };
        sum.devices += found.devices;
        sum.complete += found.complete;
    }
    Ok(sum)
}

fn visits(
    server: &Server,
    directory: &Directory,
    outlet: OutletId,
    title: String,
    request: &Request,
) -> Result<Sheet, StoreError> {
    let zone = directory.outlet(outlet).and_then(|entry| entry.time_zone.as_deref()).unwrap_or(DEFAULT_ZONE);
    let home = xundian_protocol::record::Home::Outlet(outlet);
    let mut rows = Vec::new();
    for record in server.records_of_home(home, Visit::SPEC.kind)? {
        let Some(header) = Header::read(&record) else { continue };
        if (request.from..=request.to).contains(&header.business_day) {
            rows.push((header.captured_at_ms, visit_row(directory, &record, &header, zone)));
        }
    }
    rows.sort_by_key(|(captured_at_ms, _)| std::cmp::Reverse(*captured_at_ms));
    Ok(Sheet {
        name: "outlet",
        title,
        days: Some((request.from, request.to)),
        heads: VISITS.to_vec(),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        total: None,
        completeness: None,
    })
}

fn visit_row(directory: &Directory, record: &Record, header: &Header, zone: &str) -> Vec<SheetValue> {
    let visit = Visit::read(record);
    let person = directory.person(header.actor);
    let at = |ms: Option<i64>| ms.map_or(SheetValue::Empty, |ms| moment(ms, zone).into());
    let yes = |is: bool| if is { SheetValue::from("是") } else { SheetValue::from("否") };
    vec![
        record.key.id.to_string().into(),
        header.business_day.to_string().into(),
        person.map_or_else(|| header.actor.to_string().into(), |entry| entry.code.as_str().into()),
        person.map_or(SheetValue::Empty, |entry| entry.name.as_str().into()),
        at(visit.opened_at_ms),
        at(visit.closed_at_ms),
        at(visit.aborted_at_ms),
        visit.abort_reason.map_or(SheetValue::Empty, |reason| reason.label().zh.into()),
        visit.time_in_store_ms.map(|ms| ms / 1000).into(),
        yes(visit.plan.is_some()),
        yes(header::is_corrected(record)),
        visit.note.map_or(SheetValue::Empty, SheetValue::from),
    ]
}

/// The contributions of the outlet's records to all figures up to a day.
fn contributions(server: &Server, outlet: OutletId, to: Day) -> Result<Vec<Contribution>, StoreError> {
    let provenance = server.provenance(Owner::Outlet(outlet), None, Day(0), to)?;
    // A record that contributes to several days has provenance under each.
    let keys: BTreeSet<_> = provenance.into_iter().map(|(_, key)| key).collect();
    let mut found = server.stock_changes(outlet)?;
    for key in keys {
        if let (Some(spec), Some(record)) = (kinds::spec(key.kind), server.record(key)?) {
            found.append(&mut (spec.contribute)(&record));
        }
    }
    found.retain(|added| added.outlet == Some(outlet) && added.day <= to);
    Ok(found)
}

/// Flows from a day on, and levels at the end.
fn sum<'a>(added: impl Iterator<Item = &'a Contribution>, from: Day) -> Figures {
    let mut views: BTreeMap<MeasureFamily, Measures> = BTreeMap::new();
    for added in added.filter(|added| added.family.nature() == Nature::Level || added.day >= from) {
        *views.entry(added.family).or_default() += added.measures;
    }
    let of = |family| views.get(&family).copied().unwrap_or_default();
    Figures {
        visits: of(MeasureFamily::Visits).into(),
        products: of(MeasureFamily::Products).into(),
        stock_units: of(MeasureFamily::Stock).0[0],
        issues: IssueFigures::new(of(MeasureFamily::Issues), of(MeasureFamily::OpenIssues)),
        completeness: Completeness::default(),
    }
}

fn by_product(added: &[Contribution], from: Day) -> Vec<(Gtin, ProductFigures, i64)> {
    let gtins: BTreeSet<u64> =
        added.iter().map(|added| added.dimension.0).filter(|gtin| *gtin != 0).collect();
    let row = |gtin: u64| {
        let figures = sum(added.iter().filter(|added| added.dimension.0 == gtin), from);
        Some((Gtin::new(gtin).ok()?, figures.products, figures.stock_units))
    };
    gtins.into_iter().filter_map(row).collect()
}
