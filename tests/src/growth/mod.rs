//! Measures whether one server keeps up with a growing store: it ingests months of a company's work, and each tenth
//! of them is measured separately.
//!
//! The ops go directly to the server's single writer, with a durable commit per batch. A batch is one rep's day, as
//! their phone would send it. No network and no phone compete for the cores, so the figures are the writer's own
//! limit. At the end a region's manager syncs everything over the real protocol, reconciles it with the server, and
//! `verify` recomputes all figures.

mod company;
mod field;

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use xundian_client::SyncReport;
use xundian_protocol::calendar::Day;
use xundian_server::figures::RollUp;
use xundian_server::{OpenError, Server, sessions};

use crate::serving::{Serving, ServingError};
use crate::support::company::today;
use crate::support::device::Device;
use field::Field;

/// The number of rows in the table: one for each tenth of the days.
const STRETCHES: u32 = 10;
const DAY_MS: i64 = 24 * 3_600_000;

/// Loads one server with months of a company's work, and prints what each tenth of it costs.
#[derive(Parser, Clone, Copy, Debug)]
#[command(name = "growth")]
pub struct Size {
    /// Reps, spread over nine regions.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(9..=20_000))]
    people: u32,
    /// Outlets per rep.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=500))]
    outlets_each: u32,
    /// Visits per rep and day.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    visits_a_day: u32,
    /// Products audited and counted per visit.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    products: u32,
    /// Days of work, ending today; the server refuses late work older than 90 days.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(10..=90))]
    days: u32,
}

impl Size {
    /// The smallest company that exercises everything.
    pub const SMALL: Self = Self { people: 9, outlets_each: 3, visits_a_day: 2, products: 3, days: 10 };
}

/// Why the benchmark stopped.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant wraps the error of the part in its name")]
pub enum GrowthError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Serving(#[from] ServingError),
    #[error(transparent)]
    Write(#[from] xundian_server::WriteError),
    #[error(transparent)]
    Invite(#[from] xundian_server::enrolment::InviteError),
    #[error(transparent)]
    Enrol(#[from] xundian_server::enrolment::EnrolError),
    #[error(transparent)]
    Key(#[from] rcgen::Error),
    #[error(transparent)]
    Store(#[from] xundian_server::store::StoreError),
    #[error("{0}")]
    Wrong(String),
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run(Size::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the growth benchmark stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Loads a server in a temporary folder, and prints what that costs.
///
/// # Errors
/// Returns an error if a step fails or a figure is wrong.
pub fn run(size: Size) -> Result<(), GrowthError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(grow(size))
}

async fn grow(size: Size) -> Result<(), GrowthError> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("server");
    let server = Arc::new(Server::open(&data, sessions::now_ms())?);
    let first = Day(today().0 - size.days.cast_signed() + 1);
    let mut field = timed("the company", || Field::found(&server, size, first))?;
    println!("{} outlets, {} people", size.people * size.outlets_each, size.people);
    println!(
        "|   visits | visits/s | batch ms p50 / p99 / max | nation, day / month ms | memory MB | disk MB |"
    );
    println!("|---|---|---|---|---|---|");
    let mut before = 0;
    for stretch in 0..STRETCHES {
        let days = size.days * stretch / STRETCHES..size.days * (stretch + 1) / STRETCHES;
        let (times, visits) = field.work(&server, first, days.clone())?;
        let last = Day(first.0 + days.end.cast_signed() - 1);
        println!("{}", line(&server, &data, visits, visits - before, &times, last)?);
        before = visits;
    }
    let report = timed("verify", || server.verify().map_err(GrowthError::from))?;
    println!("verify: {} records, {} findings", report.records, report.findings.len());
    if let Some(first) = report.findings.first() {
        return Err(GrowthError::Wrong(format!("a figure differs from the sum of its records: {first}")));
    }
    drop((server, field));
    let begun = Instant::now();
    let serving = Serving::start(&data, 0).await?;
    println!("opening the store: {} s", seconds(begun.elapsed()));
    fetch(&serving).await
}

/// Formats one row of the table.
fn line(
    server: &Server,
    data: &Path,
    visits: u64,
    done: u64,
    times: &[Duration],
    day: Day,
) -> Result<String, GrowthError> {
    let all: Duration = times.iter().sum();
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |hundredths: usize| millis(sorted[(sorted.len() * hundredths / 100).min(sorted.len() - 1)]);
    let nation = |from: Day| -> Result<String, GrowthError> {
        let begun = Instant::now();
        let (total, regions) = (server.figures(RollUp::Nation, from, day)?, server.by_region(from, day)?);
        let took = begun.elapsed();
        let sum: i64 = regions.iter().map(|(_, figures)| figures.visits.done).sum();
        if sum != total.visits.done || sum == 0 {
            return Err(GrowthError::Wrong(format!(
                "the regions have {sum} visits, the nation {}",
                total.visits.done
            )));
        }
        Ok(millis(took))
    };
    Ok(format!(
        "| {visits:>8} | {:>8.0} | {} / {} / {} | {} / {} | {} | {} |",
        done as f64 / all.as_secs_f64(),
        at(50),
        at(99),
        at(100),
        nation(day)?,
        nation(Day(day.0 - 29))?,
        resident_kib()? / 1024,
        folder_bytes(data)? / 1_000_000,
    ))
}

/// Syncs a region's manager from scratch, then reconciles everything 90 days later by the device's clock.
async fn fetch(serving: &Serving) -> Result<(), GrowthError> {
    let invitation = serving.invitation(company::manager())?;
    let device = Device::enrol(&invitation, "growth").await;
    let begun = Instant::now();
    let SyncReport { records_pulled, homes_added, .. } = device.sync().await;
    println!(
        "a region's first sync: {records_pulled} records of {homes_added} homes in {} s",
        seconds(begun.elapsed())
    );
    println!("its folder: {} MB", folder_bytes(device.folder())? / 1_000_000);
    let begun = Instant::now();
    device.sync().await;
    println!("a sync with nothing new: {} s", seconds(begun.elapsed()));
    device.clock.advance_ms(90 * DAY_MS);
    let begun = Instant::now();
    let checked = device.client.sync(|_| {}).await.map_err(|error| GrowthError::Wrong(error.to_string()))?;
    println!(
        "a sync that reconciles everything: {} s, {} repaired",
        seconds(begun.elapsed()),
        checked.records_repaired
    );
    if checked.records_repaired > 0 {
        return Err(GrowthError::Wrong(
            "a device that has just fetched everything differs from the server".into(),
        ));
    }
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T, GrowthError>) -> Result<T, GrowthError> {
    let begun = Instant::now();
    let done = work()?;
    println!("{what}: {} s", seconds(begun.elapsed()));
    Ok(done)
}

fn seconds(time: Duration) -> impl Display {
    format!("{:.2}", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn resident_kib() -> Result<u64, GrowthError> {
    crate::support::process::resident_kib(std::process::id())
        .ok_or_else(|| GrowthError::Wrong("the system does not report the memory in use".into()))
}
