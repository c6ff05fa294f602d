//! The command line: its arguments, and where each command goes. Data go to standard output, messages for people to
//! standard error, and the exit code is not 0 if something failed.

mod administer;
mod password;
mod values;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use xundian_protocol::calendar::Day;
use xundian_server::imports::ImportKind;
use xundian_server::report::{Format, GroupBy};
use xundian_server::{demo, serve};

/// Why a command failed; [`main`] prints the message.
type Failure = Box<dyn std::error::Error>;

/// The server of Xundian 巡店.
#[derive(Parser)]
#[command(name = "xundian-server", version, propagate_version = true)]
struct Cli {
    /// The data folder [default: ./xundian-data; for the demo a new one that is removed at the end]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve devices and the console until Ctrl-C or SIGTERM
    Serve {
        #[command(flatten)]
        listen: Listen,
        #[command(flatten)]
        photos: PhotosAt,
    },
    /// Fill an empty data folder with a demo company and its visits, and serve it
    Demo {
        #[command(flatten)]
        listen: Listen,
        #[command(flatten)]
        photos: PhotosAt,
        /// Stop when the demo has run, with exit code 0 if all checks passed
        #[arg(long)]
        exit: bool,
    },
    /// Import a CSV file (docs/IMPORT.md lists the columns)
    Import {
        /// org, people, outlets, products, assignments or routes
        kind: ImportKind,
        /// The file: UTF-8 or GB18030
        file: PathBuf,
        /// Check and compare, but write nothing
        #[arg(long)]
        dry_run: bool,
        /// Import the good rows; the bad ones go to FILE.bad.csv
        #[arg(long)]
        skip_bad: bool,
        /// Channel of outlets whose row names none, such as chain
        #[arg(long, value_name = "CODE")]
        channel: Option<String>,
        /// Print the outcome as JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Invite a person to enrol a device
    Invite {
        /// The staff number
        person: String,
        /// How long the invitation is valid: 7d, 12h, 30m
        #[arg(long, default_value = "7d", value_parser = values::duration_ms)]
        valid: i64,
        /// Where devices find this server, host:port
        #[arg(long, value_name = "HOST:PORT")]
        address: Option<String>,
    },
    /// List the devices
    Devices {
        /// table, csv or json
        #[arg(long, default_value = "table")]
        format: Format,
    },
    /// Revoke a device: its sessions end and new ones are refused
    Revoke {
        /// Its number, as listed by `devices`
        #[arg(value_parser = values::device_no)]
        device: u32,
    },
    /// Print figures
    Report(Report),
    /// Recompute every figure from all records and compare, and look for every stored picture
    Verify {
        #[command(flatten)]
        photos: PhotosAt,
        /// Read all pictures as well, and compare their hashes
        #[arg(long)]
        pictures: bool,
        /// Repair figures that differ, from the records; records and pictures stay as they are
        #[arg(long)]
        repair_views: bool,
        /// table, csv or json
        #[arg(long, default_value = "table")]
        format: Format,
    },
    /// Users of the console
    User {
        #[command(subcommand)]
        command: User,
    },
}

#[derive(Args, Clone, Copy)]
struct Listen {
    /// Where the console listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where devices connect (QUIC)
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:4433")]
    quic: SocketAddr,
}

#[derive(Args, Clone)]
struct PhotosAt {
    /// Where the pictures of photos are stored: a folder, or s3://bucket/prefix with endpoint, region and keys in the
    /// usual AWS_* variables [default: the folder photos in the data folder]
    #[arg(long = "photos", env = "XUNDIAN_PHOTOS", value_name = "PLACE")]
    place: Option<String>,
}

#[derive(Args)]
struct Report {
    /// What the report is about
    #[arg(value_enum)]
    what: About,
    /// The region's name or code, the outlet's code or the visit's id
    name: Option<String>,
    /// Limit it to a unit and everything below it, by code or name
    #[arg(long, value_name = "CODE", conflicts_with = "name")]
    unit: Option<String>,
    /// One day, such as 2026-11-23; the default is today
    #[arg(long, conflicts_with_all = ["from", "to"])]
    day: Option<Day>,
    /// The first day
    #[arg(long, requires = "to")]
    from: Option<Day>,
    /// The last day
    #[arg(long, requires = "from")]
    to: Option<Day>,
    /// What each row is: unit, product, person or day
    #[arg(long, default_value = "unit")]
    by: GroupBy,
    /// table, csv or json
    #[arg(long, default_value = "table")]
    format: Format,
    /// Begin CSV with a byte order mark, by which Excel recognises UTF-8
    #[arg(long)]
    bom: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum About {
    /// All regions, the outlets of no unit, and their sum
    Nation,
    /// One region or other unit and what is below it; without a name all regions
    Region,
    /// The outlets of no unit
    Unassigned,
    /// One outlet: its visits
    Outlet,
    /// One visit: everything that was recorded
    Visit,
}

#[derive(Subcommand)]
enum User {
    /// Add a user; the password is prompted for, or read from standard input
    Add {
        /// The name to log in with
        name: String,
        /// Staff number of the person whose position decides what the user sees; without one the nation
        #[arg(long, value_name = "CODE")]
        person: Option<String>,
    },
    /// Set a user's password; it is prompted for, or read from standard input
    Passwd {
        /// The name
        name: String,
    },
    /// Remove a user
    Remove {
        /// The name
        name: String,
    },
    /// List the users
    List {
        /// table, csv or json
        #[arg(long, default_value = "table")]
        format: Format,
    },
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let Cli { data, command } = Cli::parse();
    let served = matches!(command, Command::Serve { .. });
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(if served { "info" } else { "warn" }));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(data, command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(data: Option<PathBuf>, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve { listen, photos } => {
            let Listen { http, quic } = listen;
            let config = serve::Config { data: folder(data), http, quic, photos: photos.place };
            serve::runtime()?.block_on(serve::run(&config))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { listen, photos, exit } => {
            let Listen { http, quic } = listen;
            let options = demo::Options { exit, data, http, quic, photos: photos.place };
            serve::runtime()?.block_on(demo::run(&options))?;
            Ok(ExitCode::SUCCESS)
        }
        other => administer::run(&folder(data), other),
    }
}

fn folder(data: Option<PathBuf>) -> PathBuf {
    data.unwrap_or_else(|| PathBuf::from("./xundian-data"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
