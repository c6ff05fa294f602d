//! The simulator: fleets and a server through days of work and faults, from one seed and in one thread. The network and
//! the clocks are simulated, and so are the disks, except for the files of pictures.
//!
//! All decisions and storage are the product's own code: the client core's saves, store and sessions, and the server's
//! sessions, ingest, views and store. Only the engines below both stores ([`disk`]), the clocks and the network
//! ([`network`]) are simulated. A run is a script made from its seed ([`script`]), so the same seed gives the same run.
//! A failing script can be shrunk ([`mod@shrink`]) to the events that matter. During a run, everything that the server
//! sends is checked. Afterwards everything must settle, and then everything is compared ([`oracle`]).

pub mod cli;
mod company;
mod disk;
mod faults;
mod network;
mod oracle;
mod parts;
mod phone;
mod release;
mod script;
mod shrink;
mod site;
mod syncing;
mod tally;
mod work;
mod world;

use std::sync::Arc;

pub use parts::Parts;
pub use script::{DEVICES_MAX, Fault, HOURS_MAX, Script};
pub use shrink::shrink;
pub use tally::{Phase, Tally};
use world::World;
use xundian_protocol::simulation::fault_injection::{self, Bug};

const MINUTE_MS: i64 = 60_000;
/// The number of sync rounds within which everything must settle after the storm.
const ROUNDS_MAX: u32 = 24;
const ROUND_MS: i64 = 5 * MINUTE_MS;

/// Why a simulation could not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant wraps the error of the part in its name")]
pub enum SimulationError {
    #[error("no folder for the simulation: {0}")]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Authority(#[from] xundian_server::authority::AuthorityError),
    #[error("no keys for the simulated phones: {0}")]
    Keys(#[from] rcgen::Error),
}

/// The result of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The violated rules; empty if the run passed.
    pub violations: Vec<String>,
    /// The run's statistics.
    pub tally: Tally,
}

/// Runs a script with a bug injected in the product.
///
/// # Errors
/// Returns the errors of [`run`].
pub fn run_with(bug: Bug, parts: &Arc<Parts>, script: &Script) -> Result<Outcome, SimulationError> {
    fault_injection::inject(Some(bug));
    let outcome = run(parts, script);
    fault_injection::inject(None);
    outcome
}

/// Runs a script.
///
/// # Errors
/// Returns an error if the folder for pictures cannot be created.
pub fn run(parts: &Arc<Parts>, script: &Script) -> Result<Outcome, SimulationError> {
    let mut world = World::begin(Arc::clone(parts), script)?;
    come_to_rest(&mut world);
    let begun_at_ms = world.now_ms;
    world.take_script(script);
    world.run_until(begun_at_ms + i64::from(script.size.hours) * 60 * MINUTE_MS);
    world.calm();
    come_to_rest(&mut world);
    // Payloads that were delayed for days arrive at last, and must change nothing.
    world.run_until(world.last_event_ms());
    world.calm();
    come_to_rest(&mut world);
    if world.violations.is_empty() {
        world.check_all();
    }
    // At the end all programs are updated to the present release, and every check must pass again.
    if world.violations.is_empty() && world.update_all() {
        come_to_rest(&mut world);
        world.check_all();
    }
    let passed_hours = (world.now_ms - begun_at_ms) / (60 * MINUTE_MS);
    world.tally.device_hours = passed_hours.unsigned_abs() * world.phones.len() as u64;
    world.tally.pictures = world.pictures();
    world.tally.saves = world.phones.iter().map(|phone| phone.ledger.len() as u64).sum();
    Ok(Outcome { violations: world.violations, tally: world.tally })
}

/// Syncs all phones in rounds, until a round transfers nothing.
fn come_to_rest(world: &mut World) {
    for _ in 0..ROUNDS_MAX {
        if !world.violations.is_empty() {
            return;
        }
        world.moved = 0;
        world.sync_all();
        world.run_until(world.now_ms + ROUND_MS);
        if world.moved == 0 {
            return;
        }
    }
    world.check(false, || format!("the system does not settle in {ROUNDS_MAX} rounds of syncs"));
}
