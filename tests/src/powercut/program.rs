//! The program `powercut`: each run of the recorded work is a process of this program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use super::disk::short;
use super::points::{self, Cut};
use super::recorder::Trouble;
use super::trace::{self, TraceError};
use super::{client, recorder, server};

/// Works in a folder, and records every change of its files.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    life: Life,
}

#[derive(Debug, Subcommand)]
enum Life {
    /// A device that saves and syncs.
    Client(ClientLife),
    /// A server that devices push to and sync with.
    Server(ServerLife),
    /// Repeats one cut of a kept trace, and checks the result.
    Again {
        /// The trace file.
        #[arg(long)]
        trace: PathBuf,
        /// The number of events before the cut.
        #[arg(long)]
        after: usize,
        /// The seed of the random choices.
        #[arg(long)]
        seed: u64,
        /// The trace is of a server.
        #[arg(long)]
        server: bool,
        /// The device's store is encrypted.
        #[arg(long)]
        sealed: bool,
    },
    /// Prints a trace, one event per line.
    Show {
        /// The trace file.
        #[arg(long)]
        trace: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Recorded {
    /// The recorded folder.
    #[arg(long)]
    folder: PathBuf,
    /// The trace file; new events are appended.
    #[arg(long, default_value = "trace")]
    trace: PathBuf,
    /// At the end, die as by kill -9, with everything open.
    #[arg(long)]
    dies: bool,
    /// Once the work begins, limit the disk to this many more bytes.
    #[arg(long)]
    room_bytes: Option<u64>,
    /// Once the work begins, make the disk read-only.
    #[arg(long)]
    read_only: bool,
    /// Apply these limits before anything is opened.
    #[arg(long)]
    at_once: bool,
}

impl Recorded {
    fn start(&self) -> std::io::Result<()> {
        recorder::start(&self.folder, Some(&self.trace))?;
        if self.at_once {
            recorder::set_trouble(self.trouble());
        }
        Ok(())
    }

    fn trouble(&self) -> Option<Trouble> {
        let full = self.room_bytes.map(|room_bytes| Trouble::Full { room_bytes });
        full.or_else(|| self.read_only.then_some(Trouble::ReadOnly))
    }
}

#[derive(Debug, Args)]
struct ClientLife {
    #[command(flatten)]
    recorded: Recorded,
    /// The device's store is encrypted.
    #[arg(long)]
    sealed: bool,
    /// The invitation, if the device is not enrolled yet.
    #[arg(long)]
    invitation: Option<String>,
    /// Rounds of work.
    #[arg(long)]
    rounds: usize,
    /// There is no server to sync with.
    #[arg(long)]
    offline: bool,
    /// Take no photos.
    #[arg(long)]
    no_photos: bool,
    /// Record nothing, and print what was acknowledged on standard output; for tests that kill the process.
    #[arg(long)]
    untraced: bool,
}

#[derive(Debug, Args)]
struct ServerLife {
    #[command(flatten)]
    recorded: Recorded,
    /// The folder of the devices' home folders.
    #[arg(long)]
    devices: PathBuf,
    /// The port to listen on.
    #[arg(long)]
    port: u16,
    /// The number of batches that each device pushed in earlier runs.
    #[arg(long)]
    from: u64,
    /// The number of batches that each device pushes in this run.
    #[arg(long)]
    batches: u64,
}

/// Parses the arguments and runs the command.
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().life {
        Life::Client(life) => live_client(&life).map_err(|error| error.to_string()),
        Life::Server(life) => live_server(&life).map_err(|error| error.to_string()),
        Life::Again { trace, after, seed, server, sealed } => {
            again(&trace, Cut { after, seed }, server, sealed)
        }
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
    let say = if life.untraced { print } else { recorder::say };
    if !life.untraced {
        life.recorded.start()?;
    }
    let of = client::Life {
        home: &life.recorded.folder,
        is_sealed: life.sealed,
        invitation: life.invitation.as_deref(),
        rounds: life.rounds,
        is_online: !life.offline,
        takes_photos: !life.no_photos,
    };
    let trouble = life.recorded.trouble();
    let lived = client::live(&of, say, || _ = recorder::set_trouble(trouble));
    recorder::flush();
    let lived = lived?;
    if life.recorded.dies {
        recorder::die();
    }
    debug_assert_eq!(Arc::strong_count(&lived), 1);
    drop(lived);
    recorder::flush();
    Ok(())
}

/// Prints and flushes one message at once: a kill a moment later must not lose it.
fn print(words: &[u8]) {
    let line = [words, b"\n"].concat();
    let mut out = std::io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush()).expect("standard output is read");
}

fn live_server(life: &ServerLife) -> Result<(), server::LifeError> {
    life.recorded.start()?;
    let of = server::Life {
        data: &life.recorded.folder,
        devices: &life.devices,
        port: life.port,
        from: life.from,
        batches: life.batches,
    };
    let trouble = life.recorded.trouble();
    let lived = server::live(&of, recorder::say, || _ = recorder::set_trouble(trouble));
    recorder::flush();
    let (runtime, serving) = lived?;
    if life.recorded.dies {
        recorder::die();
    }
    drop(runtime.block_on(serving.stop()));
    drop(runtime);
    recorder::flush();
    Ok(())
}

fn again(file: &Path, cut: Cut, is_server: bool, is_sealed: bool) -> Result<(), String> {
    let trace = trace::read(file).map_err(|error| error.to_string())?;
    let no_words = |error: serde_json::Error| error.to_string();
    let outcome = if is_server {
        let expected = server::Words::of(&trace).map_err(no_words)?.expected_at(cut.after);
        points::try_all(&trace, &[cut], |data, _| server::check(data, &expected, true))
    } else {
        let expected = client::Words::of(&trace).map_err(no_words)?.expected_at(cut.after);
        points::try_all(&trace, &[cut], |home, _| client::check(home, is_sealed, &expected))
    };
    outcome.map_err(|error| error.to_string())
}

fn show(file: &Path) -> Result<(), TraceError> {
    for (nth, event) in trace::read(file)?.iter().enumerate() {
        println!("{nth} {}", short(event));
    }
    Ok(())
}
