//! The command line: parses the arguments, calls the client, prints the answer. Chinese first, English second.

mod args;
mod conflicts;
mod key;
mod network;
mod output;
mod photos;
mod record_commands;
mod record_file;
mod rescue;
mod show;

use std::process::ExitCode;

use clap::Parser;
use xundian_client::{Client, EnrolError, PhotoError, RecordError, RescueError, StoreError, SyncError};

use args::{Cli, Command};
use output::Output;

/// Why a command failed. Each text says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Photo(#[from] PhotoError),
    #[error(transparent)]
    Rescue(#[from] RescueError),
    #[error("cannot start the network runtime ({0}): close other programs and try again")]
    Runtime(std::io::Error),
    #[error("cannot read {file} ({source}): check the path and its permissions")]
    File { file: String, source: std::io::Error },
    #[error(
        "{file} 不是密钥文件 holds no key: it must hold 32 bytes, or 64 hexadecimal digits and nothing else"
    )]
    Key { file: String },
    #[error("cannot print the answer ({0})")]
    Print(#[from] std::io::Error),
    #[error("{kind:?} 不是记录类型 is no kind of record; the kinds are {known}")]
    Kind { kind: String, known: String },
    #[error("{id:?} 不是编号 is no id of a {kind}: `list {kind}` shows the ids")]
    Id { kind: String, id: String },
    #[error("degrees go from -90 to 90 and from -180 to 180; {latitude} {longitude} is no position")]
    GpsFix { latitude: f64, longitude: f64 },
    #[error(
        "{bad} 行未保存 lines were not saved, {saved} visits were; correct those lines and record them again"
    )]
    BadLines { bad: u64, saved: u64 },
}

/// Runs the command given by the arguments.
pub(crate) fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("错误 error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let output = Output { json: cli.json };
    let key = cli.key_file.as_deref().map(key::read).transpose()?;
    // These commands need a device that is not open.
    match &cli.command {
        Command::Enrol { invitation, label } => {
            return network::enrol(&cli.home, key.as_ref(), invitation, label, output);
        }
        Command::Rescue { into } => return rescue::rescue(&cli.home, key.as_ref(), into, output),
        Command::SetAside => return rescue::set_aside(&cli.home, output),
        _ => {}
    }
    let client = match &key {
        Some(key) => Client::open_with_key(&cli.home, key)?,
        None => Client::open(&cli.home)?,
    };
    match cli.command {
        Command::Enrol { .. } | Command::Rescue { .. } | Command::SetAside => Ok(()),
        Command::Sync { push_only: true, .. } => network::push(&client, output),
        Command::Sync { photos_only: true, .. } => network::send_photos(&client, output),
        Command::Sync { no_photos, .. } => network::sync(&client, !no_photos, output),
        Command::ChangeKey { new_key_file } => key::change(&client, &new_key_file, output),
        Command::Status => show::status(&client, output),
        Command::Visit(command) => record_commands::visit(&client, command, output),
        Command::Shelf(args) => record_commands::shelf(&client, &args, output),
        Command::Count(args) => record_commands::count(&client, &args, output),
        Command::Move(args) => record_commands::movement(&client, args, output),
        Command::Issue(command) => record_commands::issue(&client, command, output),
        Command::Photo(command) => photos::photo(&client, command, output),
        Command::Day(command) => record_commands::day(&client, command, output),
        Command::Record { file } => record_file::record(&client, &file, output),
        Command::List { kind, day } => show::list(&client, &kind, day, output),
        Command::Show { kind, id } => show::show(&client, &kind, &id, output),
        Command::Rejected(command) => show::rejected(&client, &command, output),
        Command::Conflicts { outlet } => conflicts::list(&client, outlet.as_deref(), output),
        Command::Settle { conflict, decision } => conflicts::settle(&client, conflict, decision, output),
    }
}
