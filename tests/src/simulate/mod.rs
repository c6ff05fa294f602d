//! The simulator: fleets and a server through days of work and of everything that goes wrong, from one seed, in one
//! thread, without a real network or clock; of disks only pictures' files are real.
//!
//! What decides and what stores is the product's own: the client core's saves, its store and its sessions, the
//! server's sessions, ingest, views and store. Simulated are the engines below both stores ([`disk`]), the clocks and
//! the way in between ([`network`]). A run is a script made from its seed ([`script`]), so that the same seed gives
//! the same run, and a failing one shrinks ([`mod@shrink`]) to the happenings that matter. While it runs, everything that
//! the server sends is looked at; after the storm everything must come to rest, and then everything is compared
//! ([`oracle`]).

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
/// After the storm everything must have come to rest within so many rounds of syncs.
const ROUNDS_MAX: u32 = 24;
const ROUND_MS: i64 = 5 * MINUTE_MS;

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is the error of the part that it names")]
pub enum SimulationError {
    #[error("no folder for the simulation: {0}")]
    Folder(#[from] std::io::Error),
    #[error(transparent)]
    Authority(#[from] xundian_server::authority::AuthorityError),
    #[error("no keys for the simulated phones: {0}")]
    Keys(#[from] rcgen::Error),
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What does not hold; nothing where all is well.
    pub violations: Vec<String>,
    /// What there was.
    pub tally: Tally,
}

/// Runs a script with a bug in the product.
///
/// # Errors
/// As [`run`].
pub fn run_with(bug: Bug, parts: &Arc<Parts>, script: &Script) -> Result<Outcome, SimulationError> {
    fault_injection::inject(Some(bug));
    let outcome = run(parts, script);
    fault_injection::inject(None);
    outcome
}

/// Runs a script.
///
/// # Errors
/// Returns an error if there is no room for the folder of its pictures.
pub fn run(parts: &Arc<Parts>, script: &Script) -> Result<Outcome, SimulationError> {
    let mut world = World::begin(Arc::clone(parts), script)?;
    come_to_rest(&mut world);
    let begun_at_ms = world.now_ms;
    world.take_script(script);
    world.run_until(begun_at_ms + i64::from(script.size.hours) * 60 * MINUTE_MS);
    world.calm();
    come_to_rest(&mut world);
    // What was days on its way comes at last, and must change nothing.
    world.run_until(world.last_event_ms());
    world.calm();
    come_to_rest(&mut world);
    if world.violations.is_empty() {
        world.check_all();
    }
    // In the end everybody has the present release, and everything must hold as if it had always been so.
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

/// Rounds of syncs until one of them moves nothing.
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
    world.check(false, || format!("nothing comes to rest in {ROUNDS_MAX} rounds of syncs"));
}
