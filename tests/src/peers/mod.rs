//! Runs the harness of `../shared/peers` with our row beside `sql` and `floor`, and judges the ratios by the
//! bounds of `../shared/BUDGETS.md`.
//!
//! The harness is copied aside first, into the target folder: it writes beside itself, and what is shared is
//! never written. Its own programs are built there once.

mod bounds;
mod lab;

use std::path::PathBuf;

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The harness is absent.
    #[error("the peers' harness is not at {0}: it comes with ../shared")]
    NoHarness(PathBuf),
    /// A file or a program.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended badly.
    #[error("{what} failed: {status}")]
    Failed {
        /// The program.
        what: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// A tool is missing and could not be installed.
    #[error("{0} is missing: install {1} (as root on Debian and Ubuntu this program does it itself)")]
    Tool(&'static str, &'static str),
    /// The harness's results.
    #[error("results.json cannot be read: {0}")]
    Results(#[from] serde_json::Error),
}

/// How much to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// 1 × 200 and 4 × 50 visits, once.
    Quick,
    /// 1 × 2,000 and 20 × 200 visits, three times; `REPS` in the environment says how often.
    Full,
}

/// Prepares and runs the lab, prints its table, our ratios and what they were to be. Returns whether all bounds were
/// kept.
///
/// # Errors
/// Returns an error if a tool is missing or the harness fails.
pub fn run(size: Size) -> Result<bool, PeersError> {
    let lab = lab::Lab::prepare()?;
    lab.run(size)?;
    let verdicts = bounds::judge(&lab.results()?);
    println!("\n{}", bounds::table(&verdicts));
    Ok(verdicts.iter().all(bounds::Verdict::is_kept))
}
