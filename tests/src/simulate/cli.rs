//! The command line of the simulator.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use xundian_protocol::simulation::fault_injection::Bug;

use super::{Fault, Parts, Phase, Script, SimulationError, Tally, run, run_with, shrink};

/// Simulates fleets of phones and a server through days of work and faults, one run per seed.
#[derive(Parser, Debug)]
#[command(name = "simulate")]
struct Arguments {
    /// The number of seeds, starting with `--from`.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Inject this bug into the product, and print the first seed that finds it.
    #[arg(long)]
    inject: Option<String>,
    /// Phones in each run; by default 1 to 6, depending on the seed.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=super::DEVICES_MAX as u64))]
    devices: Option<u64>,
    /// Hours of work and faults; by default 8 to 48, depending on the seed.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(super::HOURS_MAX)))]
    hours: Option<u32>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match simulate(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn simulate(arguments: &Arguments) -> Result<bool, SimulationError> {
    let parts = Arc::new(Parts::make()?);
    if let Some(name) = &arguments.inject {
        return find_injected(&parts, arguments, name);
    }
    let seeds =
        arguments.seed.map_or(arguments.from..arguments.from + arguments.seeds, |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (tally, failed);
            }
            let outcome = match run(&parts, &script(arguments, seed)) {
                Ok(outcome) => outcome,
                Err(error) => {
                    failed.push((seed, vec![error.to_string()]));
                    continue;
                }
            };
            tally.add(&outcome.tally);
            if !outcome.violations.is_empty() {
                failed.push((seed, outcome.violations));
            }
        }
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let (mut tally, mut failed) = (Tally::default(), BTreeMap::new());
    for part in done {
        let Ok((counts, failures)) = part else { return Ok(false) };
        tally.add(&counts);
        failed.extend(failures);
    }
    print(&tally, count, begun.elapsed().as_secs_f64());
    for (seed, violations) in failed.iter().take(10) {
        println!("\nseed {seed} fails:");
        violations.iter().take(5).for_each(|violation| println!("  {violation}"));
    }
    if let Some(seed) = failed.keys().next() {
        let script = script(arguments, *seed);
        let short = shrink(&parts, &script);
        println!("\nseed {seed} with {} events still fails with these {}:", script.len(), short.len());
        print!("{short}");
        run(&parts, &short)?.violations.iter().take(5).for_each(|violation| println!("  {violation}"));
        println!("{} of {count} seeds fail", failed.len());
    }
    Ok(failed.is_empty())
}

/// Finds the first seed that finds an injected bug, and prints the violation.
fn find_injected(parts: &Arc<Parts>, arguments: &Arguments, name: &str) -> Result<bool, SimulationError> {
    let Some(bug) = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name) else {
        eprintln!("{name:?} is not one of {:?}", Bug::ALL);
        return Ok(false);
    };
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = run_with(bug, parts, &script(arguments, seed))?;
        if let Some(violation) = outcome.violations.first() {
            println!("{bug:?} is found by seed {seed}: {violation}");
            return Ok(true);
        }
    }
    println!("none of {} seeds finds {bug:?}", arguments.seeds);
    Ok(false)
}

fn script(arguments: &Arguments, seed: u64) -> Script {
    let devices = arguments.devices.and_then(|devices| usize::try_from(devices).ok());
    Script::of_seed(seed, devices, arguments.hours)
}

fn print(tally: &Tally, runs: u64, seconds: f64) {
    let Tally {
        works,
        saves,
        syncs,
        done,
        given_up,
        payloads,
        pictures,
        boots,
        restored,
        device_hours,
        faults,
    } = tally;
    let days = *device_hours as f64 / 24.0;
    println!("{runs} runs in {seconds:.1} s, {:.1} a second", runs as f64 / seconds.max(0.001));
    println!("{days:.0} days of phones: {works} pieces of work, {saves} saves");
    println!(
        "{syncs} syncs and pushes, {done} completed, {given_up} given up; {payloads} payloads, {pictures} pictures"
    );
    println!(
        "{boots} starts of phones; {restored} times one was refused as restored, copied, replaced or revoked"
    );
    println!("\n{:<24}{}", "fault × phase", Phase::ALL.map(|phase| format!("{:>10}", phase.name())).concat());
    let kinds: std::collections::BTreeSet<Fault> = faults.keys().map(|(fault, _)| *fault).collect();
    for fault in kinds {
        let counts = Phase::ALL.map(|phase| faults.get(&(fault, phase)).copied().unwrap_or_default());
        print!("{:<24}", fault.name());
        counts.iter().for_each(|count| print!("{count:>10}"));
        println!();
    }
}
