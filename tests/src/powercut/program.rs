//! The program `powercut`: the lives that are recorded, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use super::disk::short;
use super::trace::{self, TraceError};
use super::{client, recorder};

/// Works on a folder, and records every change of its files.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    life: Life,
}

#[derive(Debug, Subcommand)]
enum Life {
    /// A device that saves and syncs.
    Client(ClientLife),
    /// Prints a trace, an event a line.
    Show {
        /// The file.
        #[arg(long)]
        trace: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Recorded {
    /// The folder.
    #[arg(long)]
    folder: PathBuf,
    /// The file that the trace goes to, behind what is in it.
    #[arg(long)]
    trace: PathBuf,
    /// Die at the end as by kill -9, with everything open.
    #[arg(long)]
    dies: bool,
}

#[derive(Debug, Args)]
struct ClientLife {
    #[command(flatten)]
    recorded: Recorded,
    /// Whether the device is sealed.
    #[arg(long)]
    sealed: bool,
    /// For a device that is not enrolled yet.
    #[arg(long)]
    invitation: Option<String>,
    /// Rounds of work.
    #[arg(long)]
    rounds: usize,
    /// Whether there is no server to sync with.
    #[arg(long)]
    offline: bool,
}

/// Lives the life that the arguments name.
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().life {
        Life::Client(life) => live_client(&life).map_err(|error| error.to_string()),
        Life::Show { trace } => show(&trace).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powercut: {error}");
            ExitCode::FAILURE
        }
    }
}

fn live_client(life: &ClientLife) -> Result<(), client::LifeError> {
    recorder::start(&life.recorded.folder, Some(&life.recorded.trace))?;
    let of = client::Life {
        home: &life.recorded.folder,
        is_sealed: life.sealed,
        invitation: life.invitation.as_deref(),
        rounds: life.rounds,
        is_online: !life.offline,
    };
    let lived = client::live(&of, recorder::say)?;
    if life.recorded.dies {
        recorder::die();
    }
    debug_assert_eq!(Arc::strong_count(&lived), 1);
    drop(lived);
    recorder::flush();
    Ok(())
}

fn show(file: &Path) -> Result<(), TraceError> {
    for (nth, event) in trace::read(file)?.iter().enumerate() {
        println!("{nth} {}", short(event));
    }
    Ok(())
}
