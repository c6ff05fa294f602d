//! Reports of the nation and of units, by unit, product, person or day.

use super::sheet::{Column, Sheet, SheetValue, ShownIn, through, total_name};
use super::{GroupBy, ReportError, Request};
use crate::figures::{Figures, RollUp};
use crate::server::Server;
use crate::store::StoreError;
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::figures::{IssueFigures, ProductFigures, VisitFigures};
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::{Entity, Gtin, Product};

const UNASSIGNED_ZH: &str = "未分配";

const fn head(key: &'static str, zh: &'static str, show: ShownIn) -> Column {
    Column { key, zh, show }
}

const FIGURES: [Column; 26] = [
    head("planned", "计划", ShownIn::Data),
    head("planned_done", "计划完成", ShownIn::Data),
    head("call_compliance", "拜访完成率", ShownIn::Always),
    head("visits", "拜访", ShownIn::Always),
    head("done", "完成", ShownIn::Always),
    head("aborted", "中止", ShownIn::Always),
    head("day_load", "日标准", ShownIn::Always),
    head("mean_time_in_store_s", "平均在店秒数", ShownIn::Data),
    head("audited", "检查", ShownIn::Data),
    head("absent", "缺货", ShownIn::Data),
    head("backroom_only", "仅仓库有货", ShownIn::Data),
    head("oos", "缺货率", ShownIn::Always),
    head("osa", "在架率", ShownIn::Data),
    head("share_of_shelf", "排面占比", ShownIn::Always),
    head("counts", "盘点", ShownIn::Data),
    head("counted_units", "盘点数量", ShownIn::Data),
    head("stock_units", "库存", ShownIn::Always),
    head("issues_raised", "问题", ShownIn::Always),
    head("issues_closed", "已解决", ShownIn::Data),
    head("issues_on_time", "按时解决率", ShownIn::Data),
    head("issues_open", "未解决", ShownIn::Always),
    head("issues_overdue", "逾期", ShownIn::Always),
    head("devices", "设备", ShownIn::Data),
    head("devices_complete", "已传齐", ShownIn::Data),
    head("through", "数据截至", ShownIn::Data),
    head("complete", "已传齐设备", ShownIn::Table),
];

const PRODUCTS: [Column; 12] = [
    head("gtin", "GTIN", ShownIn::Always),
    head("name", "产品", ShownIn::Always),
    head("audited", "检查", ShownIn::Always),
    head("absent", "缺货", ShownIn::Always),
    head("backroom_only", "仅仓库有货", ShownIn::Always),
    head("oos", "缺货率", ShownIn::Always),
    head("osa", "在架率", ShownIn::Data),
    head("facings_own", "本品排面", ShownIn::Data),
    head("share_of_shelf", "排面占比", ShownIn::Always),
    head("counts", "盘点", ShownIn::Always),
    head("counted_units", "盘点数量", ShownIn::Always),
    head("stock_units", "库存", ShownIn::Always),
];

pub(super) fn nation(server: &Server, request: &Request) -> Result<Sheet, ReportError> {
    let title = format!("全国 {}", period(request));
    if request.by != GroupBy::Unit {
        return Ok(scope(server, RollUp::Nation, "nation", title, request)?);
    }
    let rows = server.by_region(request.from, request.to)?;
    let total = server.figures(RollUp::Nation, request.from, request.to)?;
    Ok(places(&server.directory(), "nation", title, request, rows, total))
}

pub(super) fn unassigned(server: &Server, request: &Request) -> Result<Sheet, ReportError> {
    let title = format!("{UNASSIGNED_ZH} {}", period(request));
    if request.by != GroupBy::Unit {
        return Ok(scope(server, RollUp::Unassigned, "unassigned", title, request)?);
    }
    let total = server.figures(RollUp::Unassigned, request.from, request.to)?;
    let rows = vec![(RollUp::Unassigned, total)];
    Ok(places(&server.directory(), "unassigned", title, request, rows, total))
}

pub(super) fn unit(server: &Server, name: &str, request: &Request) -> Result<Sheet, ReportError> {
    let directory = server.directory();
    let unit = crate::imports::unit_named(&directory, name).map_err(|reason| ReportError::Unit {
        text: name.chars().take(64).collect(),
        reason,
        known: known_regions(&directory),
    })?;
    let shown = directory.unit(unit).map_or("", |entry| &entry.name_zh);
    let title = format!("{shown} {}", period(request));
    if request.by != GroupBy::Unit {
        return Ok(scope(server, RollUp::Unit(unit), "unit", title, request)?);
    }
    let rows = server.by_unit_below(unit, request.from, request.to)?;
    let total = server.figures(RollUp::Unit(unit), request.from, request.to)?;
    Ok(places(&directory, "unit", title, request, rows, total))
}

fn known_regions(directory: &Directory) -> String {
    let regions = directory.units().filter(|(_, unit)| unit.unit_type.is_region());
    let mut names: Vec<_> = regions.map(|(_, unit)| format!("{} {}", unit.code, unit.name_zh)).collect();
    names.sort_unstable();
    names.join(", ")
}

pub(super) fn period(request: &Request) -> String {
    if request.from == request.to {
        request.from.to_string()
    } else {
        format!("{} 至 {}", request.from, request.to)
    }
}

fn places(
    directory: &Directory,
    name: &'static str,
    title: String,
    request: &Request,
    rows: Vec<(RollUp, Figures)>,
    total: Figures,
) -> Sheet {
    let heads = [head("code", "编码", ShownIn::Data), head("name", "组织", ShownIn::Always)];
    let named = |place: RollUp| match place {
        RollUp::Unit(id) => directory
            .unit(id)
            .map_or((id.to_string(), String::new()), |unit| (unit.code.clone(), unit.name_zh.clone())),
        RollUp::Unassigned => ("unassigned".into(), UNASSIGNED_ZH.into()),
        RollUp::Nation => ("nation".into(), "全国".into()),
        RollUp::Person(id) => (id.to_string(), String::new()),
    };
    let cells = rows.into_iter().map(|(place, figures)| {
        let (code, name) = named(place);
        (vec![code.into(), name.into()], figures)
    });
    with_figures(name, title, request, &heads, cells.collect(), total)
}

fn scope(
    server: &Server,
    scope: RollUp,
    name: &'static str,
    title: String,
    request: &Request,
) -> Result<Sheet, StoreError> {
    let (from, to) = (request.from, request.to);
    match request.by {
        GroupBy::Product => {
            let rows = server.by_product(scope, from, to)?;
            let mut sheet = products(server, name, title, request, rows)?;
            sheet.completeness = Some(server.completeness(scope, to)?);
            Ok(sheet)
        }
        GroupBy::Person => {
            let mut total = Figures { completeness: server.completeness(scope, to)?, ..Default::default() };
            let rows = server.by_person(scope, from, to)?;
            rows.iter().for_each(|(_, figures)| add(&mut total, figures));
            Ok(people(&server.directory(), name, title, request, rows, total))
        }
        GroupBy::Day | GroupBy::Unit => {
            let total = server.figures(scope, from, to)?;
            let rows = server.by_day(scope, from, to)?;
            let rows =
                rows.into_iter().map(|(day, figures)| (vec![day.to_string().into()], figures)).collect();
            Ok(with_figures(name, title, request, &[head("day", "日期", ShownIn::Always)], rows, total))
        }
    }
}

pub(super) fn people(
    directory: &Directory,
    name: &'static str,
    title: String,
    request: &Request,
    rows: Vec<(PersonId, Figures)>,
    total: Figures,
) -> Sheet {
    let heads = [head("code", "工号", ShownIn::Always), head("name", "姓名", ShownIn::Always)];
    let named = |person: PersonId| match directory.person(person) {
        Some(entry) => vec![entry.code.as_str().into(), entry.name.as_str().into()],
        None => vec![person.to_string().into(), SheetValue::Empty],
    };
    let cells = rows.into_iter().map(|(person, figures)| (named(person), figures)).collect();
    with_figures(name, title, request, &heads, cells, total)
}

/// A sheet of rows: the columns that name a row, then all its figures.
pub(super) fn with_figures(
    name: &'static str,
    title: String,
    request: &Request,
    blob_ref: &[Column],
    rows: Vec<(Vec<SheetValue>, Figures)>,
    total: Figures,
) -> Sheet {
    let mut total_row = vec![SheetValue::Empty; blob_ref.len()];
    let shown = blob_ref.iter().position(|head| head.show != ShownIn::Data).unwrap_or(0);
    total_row[shown] = total_name();
    total_row.extend(cells(&total));
    let rows = rows.into_iter().map(|(named, figures)| [named, cells(&figures)].concat()).collect();
    Sheet {
        name,
        title,
        days: Some((request.from, request.to)),
        heads: [blob_ref, &FIGURES].concat(),
        rows,
        total: Some(total_row),
        completeness: Some(total.completeness),
    }
}

fn cells(figures: &Figures) -> Vec<SheetValue> {
    let Figures { visits, products, stock_units, issues, completeness } = figures;
    vec![
        visits.planned.into(),
        visits.planned_done.into(),
        SheetValue::Ratio(visits.call_compliance()),
        visits.visits.into(),
        visits.done.into(),
        visits.aborted.into(),
        SheetValue::Quotient(visits.day_load()),
        visits.mean_time_in_store_s().into(),
        products.audited.into(),
        products.absent.into(),
        products.backroom_only.into(),
        SheetValue::Ratio(products.oos()),
        SheetValue::Ratio(products.osa()),
        SheetValue::Ratio(products.share_of_shelf()),
        products.counts.into(),
        products.counted_units.into(),
        (*stock_units).into(),
        issues.raised.into(),
        issues.closed.into(),
        SheetValue::Ratio(issues.on_time()),
        issues.open.into(),
        issues.overdue.into(),
        completeness.devices.into(),
        completeness.complete.into(),
        through(completeness).into(),
        format!("{}/{}", completeness.complete, completeness.devices).into(),
    ]
}

/// A sheet with one row per product, and their sum.
pub(super) fn products(
    server: &Server,
    name: &'static str,
    title: String,
    request: &Request,
    rows: Vec<(Gtin, ProductFigures, i64)>,
) -> Result<Sheet, StoreError> {
    let mut names = BTreeMap::new();
    for record in server.records(Product::SPEC.kind)? {
        let product = Product::read(&record);
        names.extend(product.gtin.zip(product.name));
    }
    let mut sum = (ProductFigures::default(), 0);
    for (_, found, stock_units) in &rows {
        add_products(&mut sum.0, found);
        sum.1 += stock_units;
    }
    let row = |(gtin, found, stock_units): (Gtin, ProductFigures, i64)| {
        let name = names.get(&gtin).map_or(SheetValue::Empty, |name| name.as_str().into());
        [vec![SheetValue::from(gtin.to_string()), name], product_cells(&found, stock_units)].concat()
    };
    let total = [vec![total_name(), SheetValue::Empty], product_cells(&sum.0, sum.1)].concat();
    Ok(Sheet {
        name,
        title,
        days: Some((request.from, request.to)),
        heads: PRODUCTS.to_vec(),
        rows: rows.into_iter().map(row).collect(),
        total: Some(total),
        completeness: None,
    })
}

fn product_cells(found: &ProductFigures, stock_units: i64) -> Vec<SheetValue> {
    vec![
        found.audited.into(),
        found.absent.into(),
        found.backroom_only.into(),
        SheetValue::Ratio(found.oos()),
        SheetValue::Ratio(found.osa()),
        found.facings_own.into(),
        SheetValue::Ratio(found.share_of_shelf()),
        found.counts.into(),
        found.counted_units.into(),
        stock_units.into(),
    ]
}

fn add_products(to: &mut ProductFigures, other: &ProductFigures) {
    let mut measures = to.measures();
    measures += other.measures();
    *to = measures.into();
}

/// Adds all figures except completeness, which is not additive.
fn add(to: &mut Figures, other: &Figures) {
    let mut visits = to.visits.measures();
    visits += other.visits.measures();
    to.visits = VisitFigures::from(visits);
    add_products(&mut to.products, &other.products);
    to.stock_units += other.stock_units;
    to.issues = IssueFigures {
        raised: to.issues.raised + other.issues.raised,
        closed: to.issues.closed + other.issues.closed,
        closed_by_due: to.issues.closed_by_due + other.issues.closed_by_due,
        due: to.issues.due + other.issues.due,
        open: to.issues.open + other.issues.open,
        overdue: to.issues.overdue + other.issues.overdue,
    };
}
