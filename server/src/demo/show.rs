//! The demo's output: its steps, the national and regional tables, and the checks.

use std::io::Write;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use xundian_protocol::access::Directory;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::{Completeness, Ratio, Subject, VisitFigures};

use crate::Server;
use crate::figures::{Figures, RollUp};
use crate::store::StoreError;

/// Prints a line. If nobody reads any more, the demo continues.
pub(super) fn say(line: impl AsRef<str>) {
    let _reader_may_be_gone = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}

/// A step of the demo: a progress bar on a terminal, and a line when it is done.
pub(super) struct Step {
    pub(super) bar: ProgressBar,
    began: Instant,
}

impl Step {
    /// Begins a step with this many parts.
    pub(super) fn begin(parts: usize, name: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(parts as u64), ProgressDrawTarget::stderr());
        // The template is constant; if it were invalid, the default would do.
        let style = ProgressStyle::with_template("  {msg} {bar:32.cyan} {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, began: Instant::now() }
    }

    /// Ends the step and prints its outcome.
    pub(super) fn done(self, what: &str) {
        self.bar.finish_and_clear();
        say(format!("✓ {what}  ({:.1} s)", self.began.elapsed().as_secs_f64()));
    }
}

/// A check, as it is printed.
pub(super) struct Check {
    pub(super) holds: bool,
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    /// The compared figures.
    pub(super) detail: String,
}

impl Check {
    /// Prints the outcome.
    pub(super) fn say(&self) {
        let mark = if self.holds { "✓" } else { "✗" };
        say(format!("{mark} {}：{}\n  {}", self.zh, self.detail, self.en));
    }
}

/// One line on completeness.
pub(super) fn completeness(completeness: Completeness) -> String {
    format!("{}/{}", completeness.complete, completeness.devices)
}

/// The regions, the outlets of no region, and the nation.
pub(super) fn regions(server: &Server, day: Day) -> Result<Table, StoreError> {
    let mut table = table(&[
        "大区\nRegion",
        "已传齐\nSynced",
        "门店\nOutlets",
        "计划\nPlanned",
        "完成率\nMade",
        "拜访\nVisits",
        "中止\nAborted",
        "日标准\nDay load",
        "缺货率\nAbsent",
        "库存\nUnits",
        "未解决\nOpen",
        "逾期\nOverdue",
    ]);
    let directory = server.directory();
    for (scope, figures) in server.by_region(day, day)? {
        table.add_row(row(&directory, scope, &figures, day));
    }
    let nation = server.figures(RollUp::Nation, day, day)?;
    table.add_row(row(&directory, RollUp::Nation, &nation, day));
    Ok(table)
}

fn row(directory: &Directory, scope: RollUp, figures: &Figures, day: Day) -> Vec<String> {
    let Figures { visits, products, stock_units, issues, completeness: complete } = figures;
    let name = match scope {
        RollUp::Unit(unit) => directory.unit(unit).map_or_else(String::new, |unit| unit.name_zh.clone()),
        RollUp::Unassigned => "未分配 none".to_owned(),
        RollUp::Nation | RollUp::Person(_) => "全国 nation".to_owned(),
    };
    vec![
        name,
        completeness(*complete),
        outlets(directory, scope, day).to_string(),
        visits.planned.to_string(),
        visits.call_compliance().percent(),
        visits.visits.to_string(),
        visits.aborted.to_string(),
        load_per_person(visits, complete.devices).percent(),
        products.oos().percent(),
        stock_units.to_string(),
        issues.open.to_string(),
        issues.overdue.to_string(),
    ]
}

/// The nation's figures with their numerators and denominators.
pub(super) fn nation(server: &Server, day: Day) -> Result<Table, StoreError> {
    let Figures { visits, products, stock_units, issues, completeness: complete } =
        server.figures(RollUp::Nation, day, day)?;
    let people = complete.devices;
    let of = |Ratio { numerator, denominator }: Ratio| format!("{numerator} / {denominator}");
    let mut table = table(&["全国 Nation", "数值 Figure", "由来 Made of"]);
    let mut ratio =
        |name: &str, ratio: Ratio| _ = table.add_row([name.to_owned(), ratio.percent(), of(ratio)]);
    ratio("拜访完成率 Call compliance", visits.call_compliance());
    ratio("日标准 Day load a person", load_per_person(&visits, people));
    ratio("在架率 On-shelf availability", products.osa());
    ratio("缺货率 Out of stock", products.oos());
    ratio("排面占比 Share of shelf", products.share_of_shelf());
    ratio("按时解决率 Issues closed by due", issues.on_time());
    let minutes =
        visits.mean_time_in_store_s().map_or_else(|| "–".to_owned(), |s| format!("{}:{:02}", s / 60, s % 60));
    for (name, figure, made_of) in [
        ("平均在店 Mean time in store", minutes, format!("{} 次拜访 visits", visits.timed)),
        (
            "仅仓库有货 In the backroom only",
            products.backroom_only.to_string(),
            format!("{} 缺货 absent", products.absent),
        ),
        ("库存 Units on hand", stock_units.to_string(), format!("{} 次盘点 counts", products.counts)),
        ("完整度 Completeness", completeness(complete), "台手机 phones".to_owned()),
    ] {
        table.add_row([name.to_owned(), figure, made_of]);
    }
    Ok(table)
}

/// The workload: the people's sum, divided by their number.
const fn load_per_person(visits: &VisitFigures, people: i64) -> Ratio {
    let Ratio { numerator, denominator } = visits.day_load();
    Ratio { numerator, denominator: denominator * people }
}

fn outlets(directory: &Directory, scope: RollUp, day: Day) -> usize {
    let is_of = |unit| scope.covers(directory, Subject::Unit(unit), day);
    directory.outlets().filter(|(id, _)| is_of(directory.unit_on(*id, day))).count()
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    for lines in [TableComponent::HorizontalLines, TableComponent::MiddleIntersections] {
        table.remove_style(lines);
    }
    table.set_header(heads);
    for column in 1..heads.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
