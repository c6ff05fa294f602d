//! The server's figures at every level, and the truth to compare them with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use xundian_protocol::calendar::Day;
use xundian_protocol::figures::ProductFigures;
use xundian_server::Server;
use xundian_server::figures::RollUp;

use super::series::{Series, Source, UNASSIGNED};
use super::{ReplayError, scopes_of};

/// The key of a figure: its level, then the region, week and product, each empty if the level does not split by it.
type FigureKey = (String, String, String, String);
/// The number of rows, and how many of them are out of stock.
type Count = (i64, i64);

/// The counts of the independent program.
pub(super) struct Truth(BTreeMap<FigureKey, Count>);

impl Truth {
    /// Runs `truth.py` and reads its output.
    pub(super) fn count(source: &Source, out: &Path) -> Result<Self, ReplayError> {
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/truth.py")).arg(&source.series);
        match &source.public {
            Some((stores, products)) => {
                command.arg("--stores").arg(stores).arg("--products").arg(products);
            }
            None => {
                command.arg("--sample");
            }
        }
        let output =
            command.arg("--out").arg(out).output().map_err(|error| ReplayError::Truth(error.to_string()))?;
        if !output.status.success() {
            return Err(ReplayError::Truth(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let mut reader = csv::Reader::from_path(out)?;
        let mut truth = BTreeMap::new();
        for row in reader.deserialize() {
            let (level, region, week, product, rows, absent): (String, String, String, String, i64, i64) =
                row?;
            truth.insert((level, region, week, product), (rows, absent));
        }
        Ok(Self(truth))
    }
}

/// The server's figures.
#[derive(Default)]
pub(super) struct Cells(BTreeMap<FigureKey, Count>);

impl Cells {
    /// Reads every figure that the truth contains from the server, using a separate query for each level.
    pub(super) fn read(server: &Server, series: &Series) -> Result<Self, ReplayError> {
        let weeks = series.weeks();
        let (Some(first), Some(last)) = (weeks.first(), weeks.last()) else { return Ok(Self::default()) };
        let mut cells = Self::default();
        cells.read_period(server, series, (*first, *last), None)?;
        for week in &weeks {
            cells.read_period(server, series, (*week, *week), Some(*week))?;
        }
        Ok(cells)
    }

    fn read_period(
        &mut self,
        server: &Server,
        series: &Series,
        (from, to): (Day, Day),
        week: Option<Day>,
    ) -> Result<(), ReplayError> {
        let nation = server.figures(RollUp::Nation, from, to)?;
        self.add(None, week, None, &nation.products);
        for (scope, figures) in server.by_region(from, to)? {
            let region = match scope {
                RollUp::Unit(unit) => server.directory().unit(unit).map(|unit| unit.name_zh.clone()),
                _ => None,
            };
            self.add(Some(region.as_deref().unwrap_or(UNASSIGNED)), week, None, &figures.products);
        }
        for (gtin, figures, _) in server.by_product(RollUp::Nation, from, to)? {
            self.add(None, week, series.labels.get(&gtin).map(String::as_str), &figures);
        }
        let regions = series.regions().into_iter().map(Some).chain([None]);
        for region in regions {
            for scope in scopes_of(server, region) {
                for (gtin, figures, _) in server.by_product(scope, from, to)? {
                    let product = series.labels.get(&gtin).map(String::as_str);
                    self.add(Some(region.unwrap_or(UNASSIGNED)), week, product, &figures);
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        region: Option<&str>,
        week: Option<Day>,
        product: Option<&str>,
        figures: &ProductFigures,
    ) {
        if figures.audited == 0 && figures.absent == 0 {
            return;
        }
        let split = [("region", region.is_some()), ("product", product.is_some()), ("week", week.is_some())];
        let by: Vec<&str> = split.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect();
        let level = if by.is_empty() { "nation".to_owned() } else { by.join("_") };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let week = week.map_or_else(String::new, |week| week.to_string());
        let count = self.0.entry((level, text(region), week, text(product))).or_default();
        count.0 += figures.audited;
        count.1 += figures.absent;
    }

    /// Returns the number of rows out of stock in the nation.
    pub(super) fn nation_absent(&self) -> i64 {
        let nation = ("nation".to_owned(), String::new(), String::new(), String::new());
        self.0.get(&nation).map_or(0, |count| count.1)
    }

    /// Returns the number of figures of each level.
    pub(super) fn count_by_level(&self) -> BTreeMap<String, usize> {
        let mut levels = BTreeMap::new();
        for (level, ..) in self.0.keys() {
            *levels.entry(level.clone()).or_default() += 1;
        }
        levels
    }

    /// Describes every figure that differs from the truth, and every figure that is missing.
    pub(super) fn differences(&self, truth: &Truth) -> Vec<String> {
        let mut differences = Vec::new();
        for (place, found) in &self.0 {
            match truth.0.get(place) {
                Some(counted) if counted == found => {}
                counted => {
                    differences.push(format!("{place:?}: the server has {found:?}, the truth is {counted:?}"))
                }
            }
        }
        let missing = truth.0.iter().filter(|(place, _)| !self.0.contains_key(*place));
        differences
            .extend(missing.map(|(place, counted)| format!("{place:?}: missing, the truth is {counted:?}")));
        differences
    }
}
