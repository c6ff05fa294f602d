//! Sends commands to the running server through its socket, or executes them on the data folder.

use super::{About, Command, Failure, Report, User, password};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use xundian_protocol::calendar::Day;
use xundian_server::admin::{self, Output, Password};
use xundian_server::imports::FILE_BYTES_MAX;
use xundian_server::photos::{Photos, SpoolLimits, StorageLocation};
use xundian_server::report::{self, ReportSubject};
use xundian_server::sessions::now_ms;
use xundian_server::{OpenError, Server, serve};

/// The port of devices unless `serve --quic` says otherwise.
const DEFAULT_PORT: u16 = 4433;

pub(super) fn run(data: &Path, command: Command) -> Result<ExitCode, Failure> {
    let mut attachment = Vec::new();
    let mut bad_file = None;
    if let Command::Import { file, .. } = &command {
        attachment = read_file(file)?;
        bad_file = Some(file.with_extension("bad.csv"));
    }
    let photos = if let Command::Verify { photos, .. } = &command { photos.place.clone() } else { None };
    let output = give(data, told(command)?, attachment, photos.as_deref())?;
    finish(output, bad_file)
}

/// The command in the server's form.
fn told(command: Command) -> Result<admin::Command, Failure> {
    Ok(match command {
        Command::Import { kind, dry_run, skip_bad, channel, json, .. } => {
            admin::Command::Import { kind, dry_run, skip_bad, channel, json }
        }
        Command::Invite { person, valid, address } => admin::Command::Invite {
            person,
            valid_ms: valid,
            address: address.unwrap_or_else(guessed_address),
        },
        Command::Devices { format } => admin::Command::Devices { format },
        Command::Revoke { device } => admin::Command::Revoke { device },
        Command::Report(report) => admin::Command::Report(report_request(report)?),
        Command::Verify { format, pictures, repair_views, .. } => {
            admin::Command::Verify { format, pictures, repair_views }
        }
        Command::User { command } => match command {
            User::Add { name, person } => {
                admin::Command::AddUser { name, password: Password(password::read()?), person }
            }
            User::Passwd { name } => {
                admin::Command::SetPassword { name, password: Password(password::read()?) }
            }
            User::Remove { name } => admin::Command::RemoveUser { name },
            User::List { format } => admin::Command::Users { format },
        },
        Command::Serve { .. } | Command::Demo { .. } => return Err("this is no command for a server".into()),
    })
}

fn report_request(report: Report) -> Result<report::Request, Failure> {
    let Report { what, name, unit, day, from, to, by, format, bom } = report;
    let named = |what: &str| name.clone().ok_or_else(|| format!("`report {what}` needs a name behind it"));
    let what = match what {
        About::Nation if name.is_some() => {
            return Err("`report nation` takes no name: did you mean `report region`?".into());
        }
        About::Nation | About::Region => {
            name.clone().or(unit).map_or(ReportSubject::Nation, ReportSubject::Unit)
        }
        _ if unit.is_some() => return Err("--unit narrows `report nation` and `report region` alone".into()),
        About::Unassigned => ReportSubject::Unassigned,
        About::Outlet => ReportSubject::Outlet(named("outlet")?),
        About::Visit => ReportSubject::Visit(named("visit")?),
    };
    let today = || Day::in_default_zone(now_ms());
    let (from, to) = from.zip(to).unwrap_or_else(|| {
        let day = day.unwrap_or_else(today);
        (day, day)
    });
    Ok(report::Request { what, from, to, by, format, bom })
}

fn give(
    data: &Path,
    command: admin::Command,
    attachment: Vec<u8>,
    photos: Option<&str>,
) -> Result<Output, Failure> {
    let by =
        format!("cli:{}", std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default());
    if let Some(output) = admin::request(data, &command, &attachment, &by)? {
        return Ok(output);
    }
    let begins = matches!(command, admin::Command::Import { .. } | admin::Command::AddUser { .. });
    if !begins && !data.is_dir() {
        return Err(format!("there is no data folder {}: name it with --data", data.display()).into());
    }
    let server = Server::open(data, now_ms()).map_err(|error| match error {
        OpenError::InUse { folder } => {
            let folder = folder.display();
            format!("a server has {folder} open and does not take commands (yet): try again in a moment")
        }
        other => other.to_string(),
    })?;
    let server = Arc::new(server);
    let opened = || {
        let photos =
            Photos::open(Arc::clone(&server), &StorageLocation::read(photos, data)?, SpoolLimits::default())?;
        Ok(Arc::new(photos))
    };
    let done = admin::execute(Arc::clone(&server), opened, command, attachment, by, now_ms());
    Ok(serve::runtime()?.block_on(done)?)
}

fn finish(output: Output, bad_file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    eprint!("{}", output.notes);
    if let Some((csv, path)) = output.bad_rows_csv.zip(bad_file) {
        std::fs::write(&path, csv).map_err(|error| {
            format!("the good rows were imported, but {} cannot be written: {error}", path.display())
        })?;
        eprintln!("the bad rows are in {}", path.display());
    }
    let mut out = io::stdout().lock();
    match out.write_all(output.data.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(if output.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than allowed shows that the file is too large, however large it is.
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("{} has more than {FILE_BYTES_MAX} bytes: split it", path.display()).into());
    }
    Ok(bytes)
}

/// This machine's address towards others; nothing is sent to find it.
fn guessed_address() -> String {
    let towards_others = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        Some(socket.local_addr().ok()?.ip().to_string())
    };
    let address = format!("{}:{DEFAULT_PORT}", towards_others().unwrap_or_else(|| "127.0.0.1".into()));
    eprintln!(
        "the address {address} is a guess: give --address host:port if devices find the server elsewhere"
    );
    address
}
