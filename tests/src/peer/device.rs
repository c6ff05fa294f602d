//! The device's commands: record, push, pull.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use xundian_client::Client;

use super::PeerError;
use super::contract::{SetDigest, done, env, folder, load, number, ready_go, say, shared};
use super::field::{Reader, bundle};

/// The ops of a visit: the visit, its shelf and its count.
const OPS_PER_VISIT: u64 = 3;

/// Returns the folder under `LAB_SHARED` of a device that records visits.
pub(super) fn recorder(device: u32) -> String {
    format!("dev-{device}")
}
/// The folder of the device that pulls.
pub(super) const PULLER: &str = "puller";
/// The folder of the device that queries figures.
pub(super) const VIEWER: &str = "viewer";

/// Saves each visit durably, one at a time.
pub(super) fn record() -> Result<(), PeerError> {
    let home = take_over(&recorder(number("LAB_DEVICE")?.into()))?;
    let client = Client::open(&home)?;
    let mut outlets = BTreeMap::new();
    let mut bundles = Vec::new();
    for visit in load()? {
        let outlet = match outlets.get(&visit.store_id) {
            Some(outlet) => *outlet,
            None => client.outlet_named(&visit.store_id)?,
        };
        bundles.push(bundle(&visit, outlet)?);
        outlets.insert(visit.store_id, outlet);
    }
    ready_go()?;
    let mut latencies_ns = Vec::with_capacity(bundles.len());
    for bundle in &bundles {
        let begun = Instant::now();
        client.record(bundle)?;
        latencies_ns.push(begun.elapsed().as_nanos());
    }
    done()?;
    let text: String = latencies_ns.iter().map(|ns| format!("{ns}\n")).collect();
    fs::write(env("LAB_OUT")?, text)?;
    say(&format!("{{\"visits\":{}}}", bundles.len()))
}

/// Pushes the recorded visits.
pub(super) async fn push() -> Result<(), PeerError> {
    let client = Client::open(&folder()?)?;
    ready_go()?;
    let report = client.push(|_| {}).await?;
    done()?;
    if report.rejected > 0 || report.unsent_ops > 0 {
        let why = client.rejected()?.into_iter().next().map(|rejected| rejected.message);
        return Err(PeerError::Wrong(format!("not all was merged: {report:?}, {why:?}")));
    }
    say(&format!("{{\"visits\":{}}}", report.merged / OPS_PER_VISIT))
}

/// Pulls the whole region into an empty store, and reads the visits back.
pub(super) async fn pull() -> Result<(), PeerError> {
    let client = Client::open(&take_over(PULLER)?)?;
    ready_go()?;
    client.sync(|_| {}).await?;
    done()?;
    let mut digest = SetDigest::default();
    for visit in Reader::new(&client)?.visits()? {
        digest.add(&visit)?;
    }
    say(&digest.json())
}

/// Copies a provisioned device to `LAB_DIR`, unless that exists already.
pub(super) fn take_over(name: &str) -> Result<std::path::PathBuf, PeerError> {
    let home = folder()?;
    if !home.exists() {
        copy(&shared()?.join(name), &home)?;
    }
    Ok(home)
}

fn copy(from: &Path, to: &Path) -> Result<(), PeerError> {
    let file = |source| PeerError::File { path: from.to_owned(), source };
    fs::create_dir_all(to).map_err(file)?;
    for entry in fs::read_dir(from).map_err(file)? {
        let entry = entry.map_err(file)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(file)?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(file)?;
        }
    }
    Ok(())
}
