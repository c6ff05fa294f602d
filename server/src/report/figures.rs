//! Reports of the nation and of units, by unit, product, person or day.

use super::sheet::{Cell, Head, Sheet, Show, through, total_name};
use super::{By, ReportError, Request};
use crate::figures::{Figures, Scope};
use crate::server::Server;
use crate::store::StoreError;
use std::collections::BTreeMap;
use xundian_protocol::access::Directory;
use xundian_protocol::ids::PersonId;
use xundian_protocol::kinds::{Gtin, Product, Typed};
use xundian_protocol::views::{IssueFigures, ProductFigures, VisitFigures};

const UNASSIGNED_ZH: &str = "未分配";

const fn head(key: &'static str, zh: &'static str, show: Show) -> Head {
    Head { key, zh, show }
}

const FIGURES: [Head; 26] = [
    head("planned", "计划", Show::Data),
    head("planned_done", "计划完成", Show::Data),
    head("call_compliance", "拜访完成率", Show::Always),
    head("visits", "拜访", Show::Always),
    head("done", "完成", Show::Always),
    head("aborted", "中止", Show::Always),
    head("day_load", "日标准", Show::Always),
    head("mean_time_in_store_s", "平均在店秒数", Show::Data),
    head("audited", "检查", Show::Data),
    head("absent", "缺货", Show::Data),
    head("backroom_only", "仅仓库有货", Show::Data),
    head("oos", "缺货率", Show::Always),
    head("osa", "在架率", Show::Data),
    head("share_of_shelf", "排面占比", Show::Always),
    head("counts", "盘点", Show::Data),
    head("counted_units", "盘点数量", Show::Data),
    head("stock_units", "库存", Show::Always),
    head("issues_raised", "问题", Show::Always),
    head("issues_closed", "已解决", Show::Data),
    head("issues_on_time", "按时解决率", Show::Data),
    head("issues_open", "未解决", Show::Always),
    head("issues_overdue", "逾期", Show::Always),
    head("devices", "设备", Show::Data),
    head("devices_complete", "已传齐", Show::Data),
    head("through", "数据截至", Show::Data),
    head("complete", "已传齐设备", Show::Table),
];

const PRODUCTS: [Head; 12] = [
    head("gtin", "GTIN", Show::Always),
    head("name", "产品", Show::Always),
    head("audited", "检查", Show::Always),
    head("absent", "缺货", Show::Always),
    head("backroom_only", "仅仓库有货", Show::Always),
    head("oos", "缺货率", Show::Always),
    head("osa", "在架率", Show::Data),
    head("facings_own", "本品排面", Show::Data),
    head("share_of_shelf", "排面占比", Show::Always),
    head("counts", "盘点", Show::Always),
    head("counted_units", "盘点数量", Show::Always),
    head("stock_units", "库存", Show::Always),
];

pub(super) fn nation(server: &Server, request: &Request) -> Result<Sheet, ReportError> {
    let title = format!("全国 {}", period(request));
    if request.by != By::Place {
        return Ok(scope(server, Scope::Nation, "nation", title, request)?);
    }
    let rows = server.by_region(request.from, request.to)?;
    let total = server.figures(Scope::Nation, request.from, request.to)?;
    Ok(places(&server.directory(), "nation", title, request, rows, total))
}

pub(super) fn unassigned(server: &Server, request: &Request) -> Result<Sheet, ReportError> {
    let title = format!("{UNASSIGNED_ZH} {}", period(request));
    if request.by != By::Place {
        return Ok(scope(server, Scope::Unassigned, "unassigned", title, request)?);
    }
    let total = server.figures(Scope::Unassigned, request.from, request.to)?;
    let rows = vec![(Scope::Unassigned, total)];
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
    if request.by != By::Place {
        return Ok(scope(server, Scope::Unit(unit), "unit", title, request)?);
    }
    let rows = server.by_unit_below(unit, request.from, request.to)?;
    let total = server.figures(Scope::Unit(unit), request.from, request.to)?;
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
    rows: Vec<(Scope, Figures)>,
    total: Figures,
) -> Sheet {
    let heads = [head("code", "编码", Show::Data), head("name", "组织", Show::Always)];
    let named = |place: Scope| match place {
        Scope::Unit(id) => directory
            .unit(id)
            .map_or((id.to_string(), String::new()), |unit| (unit.code.clone(), unit.name_zh.clone())),
        Scope::Unassigned => ("unassigned".into(), UNASSIGNED_ZH.into()),
        Scope::Nation => ("nation".into(), "全国".into()),
        Scope::Person(id) => (id.to_string(), String::new()),
    };
    let cells = rows.into_iter().map(|(place, figures)| {
        let (code, name) = named(place);
        (vec![code.into(), name.into()], figures)
    });
    with_figures(name, title, request, &heads, cells.collect(), total)
}

fn scope(
    server: &Server,
    scope: Scope,
    name: &'static str,
    title: String,
    request: &Request,
) -> Result<Sheet, StoreError> {
    let (from, to) = (request.from, request.to);
    match request.by {
        By::Product => {
            let rows = server.by_product(scope, from, to)?;
            let mut sheet = products(server, name, title, request, rows)?;
            sheet.completeness = Some(server.completeness(scope, to)?);
            Ok(sheet)
        }
        By::Person => {
            let mut total = Figures { completeness: server.completeness(scope, to)?, ..Default::default() };
            let rows = server.by_person(scope, from, to)?;
            rows.iter().for_each(|(_, figures)| add(&mut total, figures));
            Ok(people(&server.directory(), name, title, request, rows, total))
        }
        By::Day | By::Place => {
            let total = server.figures(scope, from, to)?;
            let rows = server.by_day(scope, from, to)?;
            let rows =
                rows.into_iter().map(|(day, figures)| (vec![day.to_string().into()], figures)).collect();
            Ok(with_figures(name, title, request, &[head("day", "日期", Show::Always)], rows, total))
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
    let heads = [head("code", "工号", Show::Always), head("name", "姓名", Show::Always)];
    let named = |person: PersonId| match directory.person(person) {
        Some(entry) => vec![entry.code.as_str().into(), entry.name.as_str().into()],
        None => vec![person.to_string().into(), Cell::Empty],
    };
    let cells = rows.into_iter().map(|(person, figures)| (named(person), figures)).collect();
    with_figures(name, title, request, &heads, cells, total)
}

/// A sheet of rows with all figures behind what names them.
pub(super) fn with_figures(
    name: &'static str,
    title: String,
    request: &Request,
    naming: &[Head],
    rows: Vec<(Vec<Cell>, Figures)>,
    total: Figures,
) -> Sheet {
    let mut total_row = vec![Cell::Empty; naming.len()];
    let shown = naming.iter().position(|head| head.show != Show::Data).unwrap_or(0);
    total_row[shown] = total_name();
    total_row.extend(cells(&total));
    let rows = rows.into_iter().map(|(named, figures)| [named, cells(&figures)].concat()).collect();
    Sheet {
        name,
        title,
        days: Some((request.from, request.to)),
        heads: [naming, &FIGURES].concat(),
        rows,
        total: Some(total_row),
        completeness: Some(total.completeness),
    }
}

fn cells(figures: &Figures) -> Vec<Cell> {
    let Figures { visits, products, stock_units, issues, completeness } = figures;
    vec![
        visits.planned.into(),
        visits.planned_done.into(),
        Cell::Ratio(visits.call_compliance()),
        visits.visits.into(),
        visits.done.into(),
        visits.aborted.into(),
        Cell::Quotient(visits.day_load()),
        visits.mean_time_in_store_s().into(),
        products.audited.into(),
        products.absent.into(),
        products.backroom_only.into(),
        Cell::Ratio(products.oos()),
        Cell::Ratio(products.osa()),
        Cell::Ratio(products.share_of_shelf()),
        products.counts.into(),
        products.counted_units.into(),
        (*stock_units).into(),
        issues.raised.into(),
        issues.closed.into(),
        Cell::Ratio(issues.on_time()),
        issues.open.into(),
        issues.overdue.into(),
        completeness.devices.into(),
        completeness.complete.into(),
        through(completeness).into(),
        format!("{}/{}", completeness.complete, completeness.devices).into(),
    ]
}

/// A sheet with a row a product and their sum.
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
        let name = names.get(&gtin).map_or(Cell::Empty, |name| name.as_str().into());
        [vec![Cell::from(gtin.to_string()), name], product_cells(&found, stock_units)].concat()
    };
    let total = [vec![total_name(), Cell::Empty], product_cells(&sum.0, sum.1)].concat();
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

fn product_cells(found: &ProductFigures, stock_units: i64) -> Vec<Cell> {
    vec![
        found.audited.into(),
        found.absent.into(),
        found.backroom_only.into(),
        Cell::Ratio(found.oos()),
        Cell::Ratio(found.osa()),
        found.facings_own.into(),
        Cell::Ratio(found.share_of_shelf()),
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

/// Adds all figures but the completeness, which is no sum.
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
