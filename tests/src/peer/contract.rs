//! The contract with the harness: its environment variables, signals, visits and digest.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::PeerError;

/// One product line of a visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) sku: String,
    pub(super) shelf_qty: u32,
    pub(super) back_qty: u32,
    pub(super) facings: u32,
    pub(super) price_cents: u32,
    pub(super) oos: bool,
}

/// A visit. The fields are in the order of the canonical JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Visit {
    pub(super) visit_id: String,
    pub(super) store_id: String,
    pub(super) rep_id: String,
    pub(super) region_id: u32,
    pub(super) check_in: i64,
    pub(super) check_out: i64,
    pub(super) lat_e6: i32,
    pub(super) lon_e6: i32,
    pub(super) lines: Vec<Line>,
    pub(super) tasks: [bool; 3],
    pub(super) note: String,
}

/// The digest of a set of visits: the sum, over all visits, of the first eight bytes of the SHA-256 of their JSON.
#[derive(Default)]
pub(super) struct SetDigest {
    visits: u64,
    sum: u64,
}

impl SetDigest {
    pub(super) fn add(&mut self, visit: &Visit) -> Result<(), PeerError> {
        let json = serde_json::to_vec(visit)?;
        let hash = sha256(&json);
        let first = hash.first_chunk::<8>().copied().unwrap_or_default();
        self.sum = self.sum.wrapping_add(u64::from_be_bytes(first));
        self.visits += 1;
        Ok(())
    }

    pub(super) fn json(&self) -> String {
        format!("{{\"visits\":{},\"digest\":\"{:016x}\"}}", self.visits, self.sum)
    }
}

/// Returns the SHA-256 of the bytes, computed by the TLS library, which is linked anyway.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    suite.tls13().map_or_else(Vec::new, |suite| suite.common.hash_provider.hash(bytes).as_ref().to_vec())
}

pub(super) fn env(name: &'static str) -> Result<String, PeerError> {
    std::env::var(name).map_err(|_| PeerError::Environment(name))
}

/// Returns the folder for this device's or the server's own state.
pub(super) fn folder() -> Result<PathBuf, PeerError> {
    Ok(env("LAB_DIR")?.into())
}

/// Returns the folder with everything provisioned out of band.
pub(super) fn shared() -> Result<PathBuf, PeerError> {
    Ok(env("LAB_SHARED")?.into())
}

pub(super) fn number(name: &'static str) -> Result<u16, PeerError> {
    env(name)?.parse().map_err(|_| PeerError::Environment(name))
}

/// Reads the visits to record.
pub(super) fn load() -> Result<Vec<Visit>, PeerError> {
    let path = PathBuf::from(env("LAB_INPUT")?);
    let file = std::fs::File::open(&path).map_err(|source| PeerError::File { path, source })?;
    std::io::BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// Tells the harness that this process is ready.
pub(super) fn ready() -> Result<(), PeerError> {
    say("READY")
}

/// Tells the harness that this process is ready, and waits until the harness starts its clock.
pub(super) fn ready_go() -> Result<(), PeerError> {
    ready()?;
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Tells the harness to stop its clock: the work is done.
pub(super) fn done() -> Result<(), PeerError> {
    say("DONE")
}

/// Prints one line for the harness.
pub(super) fn say(line: &str) -> Result<(), PeerError> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
