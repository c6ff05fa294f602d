//! The commands that record the day's work.

use std::collections::BTreeMap;

use serde_json::json;
use xundian_client::{
    Client, DepartureCheck, GpsFix, Gtin, NewIssue, OutletId, RecordError, ShelfObservation, StockCount,
    StockMovement, VisitId,
};
use xundian_protocol::kinds::{Entity, Visit};
use xundian_protocol::record::Home;

use super::CliError;
use super::args::{
    CountArgs, DayCommand, GpsFixArgs, IssueCommand, MoveArgs, ShelfArgs, VisitArg, VisitCommand,
};
use super::output::Output;

pub(super) fn visit(client: &Client, command: VisitCommand, output: Output) -> Result<(), CliError> {
    match command {
        VisitCommand::Open { outlet, fix } => {
            let fix = given_fix(&fix)?;
            let visit = client.open_visit(client.outlet_named(&outlet)?, fix)?;
            saved(visit, "进店 visit opened", output)
        }
        VisitCommand::Close(arg) => {
            let visit = meant(client, &arg)?;
            client.close_visit(visit)?;
            saved(visit, "离店 visit closed", output)
        }
        VisitCommand::Abort { reason, note, visit } => {
            let visit = meant(client, &visit)?;
            client.abort_visit(visit, reason, note)?;
            saved(visit, "中止 visit broken off", output)
        }
        VisitCommand::Note { text, visit } => {
            let visit = meant(client, &visit)?;
            client.update_visit(visit, BTreeMap::new(), Some(text))?;
            saved(visit, "已记录 noted", output)
        }
        VisitCommand::Task { code, answer, visit } => {
            let visit = meant(client, &visit)?;
            client.update_visit(visit, BTreeMap::from([(code, answer)]), None)?;
            saved(visit, "已回答 answered", output)
        }
    }
}

pub(super) fn shelf(client: &Client, args: &ShelfArgs, output: Output) -> Result<(), CliError> {
    let visit = meant(client, &args.visit)?;
    let form = ShelfObservation {
        present: line(args.gtin, args.present),
        in_backroom: line(args.gtin, args.in_backroom),
        facings_own: line(args.gtin, args.facings),
        facings_category: line(args.gtin, args.category),
        price_minor: line(args.gtin, args.price),
        ..ShelfObservation::default()
    };
    client.observe_shelf(visit, &form)?;
    saved(visit, "货架已记录 shelf recorded", output)
}

pub(super) fn count(client: &Client, args: &CountArgs, output: Output) -> Result<(), CliError> {
    let visit = meant(client, &args.visit)?;
    let form = StockCount {
        shelf_units: line(args.gtin, args.shelf),
        stack_units: line(args.gtin, args.stack),
        backroom_units: line(args.gtin, args.backroom),
        ..StockCount::default()
    };
    client.count_stock(visit, &form)?;
    saved(visit, "库存已记录 count recorded", output)
}

pub(super) fn movement(client: &Client, args: MoveArgs, output: Output) -> Result<(), CliError> {
    let outlet = client.outlet_named(&args.outlet)?;
    let form = StockMovement {
        cause: Some(args.cause),
        units: line(args.gtin, Some(args.units)),
        document: args.document,
        ..StockMovement::default()
    };
    saved(client.move_stock(outlet, &form)?, "变动已记录 movement recorded", output)
}

pub(super) fn issue(client: &Client, command: IssueCommand, output: Output) -> Result<(), CliError> {
    match command {
        IssueCommand::Raise { kind, text, severity, due, outlet } => {
            let (outlet, visit) = match outlet {
                Some(name) => (client.outlet_named(&name)?, None),
                None => {
                    let visit = client.current_visit()?;
                    (outlet_of(client, visit)?, Some(visit))
                }
            };
            let issue = NewIssue { issue_kind: kind, severity, text, due, assignee: None };
            saved(client.raise_issue(outlet, visit, &issue)?, "问题已提出 issue raised", output)
        }
        IssueCommand::Ack { issue } => {
            client.acknowledge_issue(issue)?;
            saved(issue, "处理中 issue taken up", output)
        }
        IssueCommand::Close { issue, resolution } => {
            client.close_issue(issue, resolution)?;
            saved(issue, "已解决 issue closed", output)
        }
    }
}

pub(super) fn day(client: &Client, command: DayCommand, output: Output) -> Result<(), CliError> {
    match command {
        DayCommand::Check { folder, cloth, knife, gifts, exchange, note } => {
            let check = DepartureCheck {
                folder: Some(folder),
                cloth: Some(cloth),
                knife: Some(knife),
                gifts,
                exchange_goods: exchange,
                note,
            };
            let says = if check.passes() {
                "装备齐全，可以出门 all there, ready to go"
            } else {
                "装备不全，已记录 something is missing, recorded"
            };
            saved(client.check_departure(&check)?, says, output)
        }
        DayCommand::Report { remarks, documents } => {
            saved(client.report_day(remarks, documents)?, "日报已保存 day report saved", output)
        }
        DayCommand::Show { day } => {
            let day = day.unwrap_or_else(|| client.today());
            let summary = client.day_summary(day)?;
            let json = json!({
                "day": day.to_string(),
                "visits_planned": summary.visits_planned,
                "visits_done": summary.visits_done,
                "planned_done": summary.planned_done,
                "visits_aborted": summary.visits_aborted,
                "visits_open": summary.visits_open,
            });
            let rows = [
                ("计划拜访 Planned", summary.visits_planned),
                ("完成拜访 Done", summary.visits_done),
                ("其中按计划 Of these planned", summary.planned_done),
                ("中止 Broken off", summary.visits_aborted),
                ("进行中 Open", summary.visits_open),
            ];
            let rows = rows.map(|(label, count)| vec![label.to_owned(), count.to_string()]).to_vec();
            Ok(output.rows(&json, &["项目 Item", &day.to_string()], rows)?)
        }
    }
}

/// The GPS fix given by the arguments, if any.
pub(super) fn given_fix(args: &GpsFixArgs) -> Result<Option<GpsFix>, CliError> {
    let given = args.lat.zip(args.lon);
    given.map(|(latitude, longitude)| gps_fix(latitude, longitude, args.accuracy, args.mocked)).transpose()
}

/// Builds a GPS fix from degrees.
pub(super) fn gps_fix(
    latitude: f64,
    longitude: f64,
    accuracy_m: Option<i64>,
    mocked: bool,
) -> Result<GpsFix, CliError> {
    if !((-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)) {
        return Err(CliError::GpsFix { latitude, longitude });
    }
    let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
    Ok(GpsFix { latitude_e7: e7(latitude), longitude_e7: e7(longitude), accuracy_m, mocked })
}

fn meant(client: &Client, arg: &VisitArg) -> Result<VisitId, RecordError> {
    arg.visit.map_or_else(|| client.current_visit(), Ok)
}

fn outlet_of(client: &Client, visit: VisitId) -> Result<OutletId, CliError> {
    match client.find(Visit::key(visit.0))?.map(|line| line.record.home) {
        Some(Home::Outlet(outlet)) => Ok(outlet),
        _ => Err(RecordError::NoSuchVisit { visit }.into()),
    }
}

fn line<T>(gtin: Gtin, value: Option<T>) -> BTreeMap<Gtin, T> {
    value.map(|value| (gtin, value)).into_iter().collect()
}

pub(super) fn saved(id: impl std::fmt::Display, says: &str, output: Output) -> Result<(), CliError> {
    Ok(output.answer(&json!({ "saved": id.to_string() }), format!("{says}：{id}"))?)
}
