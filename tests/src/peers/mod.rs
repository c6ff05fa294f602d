//! Runs the harness of `../shared/peers` with our entry beside `sql` and `floor`, and judges the ratios by the
//! bounds of `../shared/BUDGETS.md`.
//!
//! The harness writes into its own folder, and the shared one must never be written. So it is first copied into the
//! target folder, where its programs are built once.

mod bounds;
mod lab;

use std::path::PathBuf;

/// Why the run failed.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The harness is absent.
    #[error("the peers' harness is not at {0}: it comes with ../shared")]
    NoHarness(PathBuf),
    /// A file or a program could not be used.
    #[error("{what}: {source}")]
    Io {
        /// The step that failed.
        what: String,
        /// The error from the system.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{what} failed: {status}")]
    Failed {
        /// The program.
        what: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// A tool is missing and could not be installed.
    #[error("{0} is missing: install {1} (as root on Debian and Ubuntu this program does it itself)")]
    Tool(&'static str, &'static str),
    /// The harness's results are not valid JSON.
    #[error("results.json cannot be read: {0}")]
    Results(#[from] serde_json::Error),
}

/// How much to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// 1 × 200 and 4 × 50 visits, once.
    Quick,
    /// 1 × 2,000 and 20 × 200 visits, three times, or `REPS` times if that is set in the environment.
    Full,
}

/// Prepares and runs the lab, and prints its table, then our ratios and their bounds. Returns whether all bounds
/// were kept.
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
