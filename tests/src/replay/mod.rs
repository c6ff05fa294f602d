//! The replay of a real weekly series of shelf stock. One device per store records it, the devices sync in a random
//! order, and the server's figures are compared with an independent count, cell by cell.
//!
//! A row of the series (week, store, product, in stock or not) becomes a line of a shelf observation: `present`
//! is `in_stock`. All rows of a store and week are one visit, whose business day is the first day of the week.
//!
//! The stores and products of the series are mapped to the public outlets and products as `tests/data/truth.py`
//! describes and implements. Store s is the outlet at index ⌊s · N / 67⌋ of all N outlets sorted by (province_code,
//! store_id) as text; its region is the row's `region`. Product p is the row at index p of the products sorted by GTIN
//! as text. Without the public data the committed sample is used: its outlets have no region, and its product p has
//! the GTIN with the digits of 690,000,000,000 + p followed by the check digit.
//!
//! Outlets of a region are assigned to positions of that region's unit. The first outlet without a region is assigned
//! to nobody and visited by headquarters, so its figures belong to no unit. The other outlets without a region are
//! assigned to positions of a unit outside all regions.
//!
//! Each device records its weeks in a random order and syncs after a few of them. Several devices sync at the same
//! time. Some sync twice in a row, and some lose all receipts of a sync and send everything again.

mod figures;
mod fleet;
mod series;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use xundian_client::{EnrolError, RecordError, StoreError as DeviceStoreError, SyncError};
use xundian_protocol::calendar::{Day, DayError};
use xundian_protocol::kinds::{GtinError, Role, UnitType};
use xundian_server::store::StoreError;
use xundian_server::verify::VerifyReport;
use xundian_server::{Server, WriteError, sessions};

use crate::company::{Company, NewOutlet, outlet_id};
use crate::serving::{Serving, ServingError};
use figures::{Cells, Truth};
use fleet::{Counts, Device};
use series::Series;
pub use series::Source;

/// The number of devices that sync at the same time.
const LANES: usize = 4;
/// The warning if the public data are absent.
pub const SAMPLE_BANNER: &str = "
!!! ================================================================================
!!! The public data (../shared/data) are absent: the replay runs on the small committed
!!! sample, tests/data/synthetic_sample.csv, and proves far less.
!!! ================================================================================";
const COMPANY: &str = "HQ";
/// The unit of outlets that belong to no region.
const DIRECT: &str = "直属";

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant wraps the error of the part in its name")]
pub enum ReplayError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the series, the outlets or the products cannot be read: {0}")]
    Csv(#[from] csv::Error),
    #[error(transparent)]
    Day(#[from] DayError),
    #[error(transparent)]
    Gtin(#[from] GtinError),
    #[error("the series does not fit the outlets and products: {0}")]
    Mapping(String),
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    DeviceStore(#[from] DeviceStoreError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error("{0}")]
    Device(String),
    #[error("tests/data/truth.py did not count the truth (does python3 run here?): {0}")]
    Truth(String),
}

/// The result of a replay.
#[derive(Debug)]
pub struct Report {
    /// The seed of the run.
    pub seed: u64,
    /// The number of rows in the series.
    pub rows: usize,
    /// The number of rows out of stock, from the server's national figure.
    pub out_of_stock: i64,
    /// The number of stores, which is also that of devices.
    pub stores: usize,
    /// The number of figures compared with the truth, by level.
    pub compared: BTreeMap<String, usize>,
    /// The figures that differ from the truth, as text.
    pub differences: Vec<String>,
    /// The report of `verify`.
    pub verify: VerifyReport,
    counts: Counts,
    times: Vec<(&'static str, Duration)>,
}

impl Report {
    /// Whether every figure equals the truth, and every cell the sum of its records.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.verify.is_clean()
    }
}

/// Returns the seed in `XUNDIAN_SEED`, or a random one.
pub fn seed_from_environment() -> u64 {
    let given = std::env::var("XUNDIAN_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| rand::rng().random())
}

/// Replays a series into a new server and new devices, all in `folder`.
///
/// # Errors
/// Returns an error if a device or the server fails. Wrong figures are not errors; they are in the report.
pub fn run(source: &Source, folder: &Path, seed: u64) -> Result<Report, ReplayError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(replay(source, folder, seed))
}

async fn replay(source: &Source, folder: &Path, seed: u64) -> Result<Report, ReplayError> {
    let mut times = Vec::new();
    let mut begun = Instant::now();
    let mut lap = |what, times: &mut Vec<_>| {
        times.push((what, std::mem::replace(&mut begun, Instant::now()).elapsed()))
    };
    let series = Series::read(source)?;
    let truth = Truth::count(source, &folder.join("truth.csv"))?;
    lap("series and truth", &mut times);

    let serving = Serving::start(&folder.join("server"), 0).await?;
    let devices = set_up(&serving, &series, folder)?;
    lap("organisation", &mut times);
    let counts = run_devices(&serving, &series, devices, seed).await?;
    lap("devices: enrol, record, sync", &mut times);

    let server = serving.stop().await;
    let cells = Cells::read(&server, &series)?;
    lap("reading the figures", &mut times);
    let verify = server.verify()?;
    lap("verify", &mut times);
    Ok(Report {
        seed,
        rows: series.rows,
        out_of_stock: cells.nation_absent(),
        stores: series.shops.len(),
        compared: cells.count_by_level(),
        differences: cells.differences(&truth),
        verify,
        counts,
        times,
    })
}

/// Writes the organisation and invites one device per store.
fn set_up(serving: &Serving, series: &Series, folder: &Path) -> Result<Vec<Device>, ReplayError> {
    let first_day = series.weeks().first().copied().unwrap_or(Day(0));
    let mut company = Company::default();
    let top = company.unit(COMPANY, "总公司", UnitType::Company, None);
    let direct = company.unit(DIRECT, DIRECT, UnitType::Department, Some(top));
    let mut regions = BTreeMap::new();
    for region in series.regions() {
        let unit_type = if region.ends_with("特区") { UnitType::SpecialRegion } else { UnitType::Region };
        regions.insert(region, company.unit(region, region, unit_type, Some(top)));
    }
    for gtin in series.gtins.values() {
        company.product(*gtin, "产品");
    }
    let mut unassigned = 0;
    let mut people = Vec::new();
    for (at, shop) in series.shops.iter().enumerate() {
        let unit = shop.region.as_deref().and_then(|region| regions.get(region)).copied();
        let (code, name) = (shop.code.as_str(), shop.name.as_str());
        let outlet = company.outlet(NewOutlet { code, name, address: None, unit, position_e7: None });
        unassigned += usize::from(unit.is_none());
        let (code, role) = match (unit, unassigned) {
            (None, 1) => (format!("H{at:02}"), Role::Headquarters),
            _ => (format!("M{at:02}"), Role::Merchandiser),
        };
        let position = company.position(&code, "理货员", unit.unwrap_or(direct), role);
        if role == Role::Merchandiser {
            company.assign(outlet, position, first_day);
        }
        people.push(company.person(&format!("P{at:02}"), "理货员", position));
    }
    serving.server().write(company.into_drafts(), "replay", sessions::now_ms())?;
    let device = |(shop, person): (&series::Shop, _)| {
        let (home, invitation) = (folder.join("devices").join(&shop.code), serving.invitation(person)?);
        Ok(Device { outlet: outlet_id(&shop.code), weeks: shop.weeks.clone(), home, invitation })
    };
    series.shops.iter().zip(people).map(device).collect()
}

/// Runs all devices, [`LANES`] at a time.
async fn run_devices(
    serving: &Serving,
    series: &Series,
    mut devices: Vec<Device>,
    seed: u64,
) -> Result<Counts, ReplayError> {
    let mut random = StdRng::seed_from_u64(seed);
    devices.shuffle(&mut random);
    let gtins = Arc::new(series.gtins.clone());
    let mut lanes: Vec<Vec<Device>> = (0..LANES).map(|_| Vec::new()).collect();
    for (at, device) in devices.into_iter().enumerate() {
        lanes[at % LANES].push(device);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        let server = Arc::clone(serving.server());
        let random = StdRng::seed_from_u64(random.random());
        tasks.spawn(fleet::run_lane(server, lane, Arc::clone(&gtins), random));
    }
    let mut counts = Counts::default();
    for lane in tasks.join_all().await {
        counts += lane?;
    }
    if counts.visits != series.visits() {
        return Err(ReplayError::Device(format!(
            "{} of {} visits were recorded",
            counts.visits,
            series.visits()
        )));
    }
    Ok(counts)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, rows, out_of_stock, stores, counts, verify, .. } = self;
        let Counts { visits, syncs, syncs_again, resent_ops } = counts;
        writeln!(f, "replay, seed {seed} (XUNDIAN_SEED={seed} repeats it)")?;
        writeln!(f, "  {rows} rows, {out_of_stock} out of stock; {visits} visits by {stores} devices")?;
        writeln!(
            f,
            "  {syncs} syncs, {syncs_again} of them repeated; {resent_ops} ops sent again after lost receipts"
        )?;
        writeln!(f, "  {:<22} {:>9}", "figures compared", "agree")?;
        for (level, count) in &self.compared {
            writeln!(f, "    {level:<20} {count:>9}")?;
        }
        writeln!(f, "  differences: {}", self.differences.len())?;
        for difference in self.differences.iter().take(20) {
            writeln!(f, "    {difference}")?;
        }
        let VerifyReport { records, cells, provenance, findings, .. } = verify;
        writeln!(
            f,
            "  verify: {records} records, {cells} cells, {provenance} provenance entries, {} findings",
            findings.len()
        )?;
        for finding in findings.iter().take(20) {
            writeln!(f, "    {finding}")?;
        }
        for (what, time) in &self.times {
            writeln!(f, "  {:>7.2} s  {what}", time.as_secs_f64())?;
        }
        let all: Duration = self.times.iter().map(|(_, time)| *time).sum();
        write!(f, "  {:>7.2} s  in all", all.as_secs_f64())
    }
}

/// Returns the units of a region. For `None` these are the unit outside all regions, and the outlets without a unit.
fn scopes_of(server: &Server, region: Option<&str>) -> Vec<xundian_server::figures::RollUp> {
    use xundian_server::figures::RollUp;
    let directory = server.directory();
    let name = region.unwrap_or(DIRECT);
    let units = directory.units().filter(|(_, unit)| unit.name_zh == name).map(|(id, _)| RollUp::Unit(id));
    units.chain(region.is_none().then_some(RollUp::Unassigned)).collect()
}
