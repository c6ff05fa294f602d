//! The lab: a copy of the harness with our entry added.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PeersError, Size};

/// The peers that we are compared with.
const BESIDE: [&str; 2] = ["sql", "floor"];
const OURS: &str = "xundian";
const PROMISE: &str = "Everything on. Device: sled, one fdatasync a save. Server: fjall, one fdatasync a batch before its \
receipt, with merge, scopes, feed, views, stock timelines and provenance in the same transaction. QUIC with mutual TLS 1.3, \
columns under zstd. A pull starts with an empty store and brings the reference data too.\n";
/// Programs that the harness needs, each with the Debian package that contains it.
const TOOLS: [(&str, &str); 4] =
    [("nft", "nftables"), ("ethtool", "ethtool"), ("strace", "strace"), (POSTGRES, "postgresql-15")];
const POSTGRES: &str = "/usr/lib/postgresql/15/bin/postgres";
/// The harness's crates to build; the other peers are not run here.
const CRATES: [&str; 3] = ["gen", "peer-sql", "peer-floor"];
/// The harness's own output, which is not copied.
const OUTPUT: [&str; 3] = ["data", "target", "node_modules"];

/// A copy of the harness, ready to run.
pub(super) struct Lab {
    folder: PathBuf,
}

impl Lab {
    /// Copies the harness, installs its tools, builds its programs and ours, and adds our entry.
    pub(super) fn prepare() -> Result<Self, PeersError> {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers");
        if !shared.join("harness.py").is_file() {
            return Err(PeersError::NoHarness(shared));
        }
        // This program is in a profile's folder of the target folder, next to `peer`.
        let program = std::env::current_exe().map_err(|source| io_error("finding this program", source))?;
        let profile = program.parent().map(Path::to_owned).unwrap_or_default();
        let folder = profile.parent().unwrap_or(&profile).join("peers");
        copy(&shared, &folder)?;
        let lab = Self { folder };
        install_tools()?;
        lab.build()?;
        build_ours()?;
        lab.add_ours(&profile.join("peer"))?;
        Ok(lab)
    }

    fn build(&self) -> Result<(), PeersError> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked"]).current_dir(self.folder.join("rust"));
        // run.sh looks for the programs beside their sources.
        cargo.env_remove("CARGO_TARGET_DIR");
        for name in CRATES {
            cargo.args(["-p", name]);
        }
        run(&mut cargo, "building the peers")
    }

    fn add_ours(&self, program: &Path) -> Result<(), PeersError> {
        let folder = self.folder.join("peers").join(OURS);
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display());
        let write = || {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("promise"), PROMISE)?;
            fs::write(folder.join("peer"), script)?;
            fs::set_permissions(folder.join("peer"), fs::Permissions::from_mode(0o755))
        };
        write().map_err(|source| io_error("adding our row", source))
    }

    /// Runs the harness, which prints its table.
    pub(super) fn run(&self, size: Size) -> Result<(), PeersError> {
        let mode = if size == Size::Quick { "quick" } else { "full" };
        let mut harness = Command::new("sh");
        harness.arg("run.sh").arg(mode).args(BESIDE).arg(OURS).current_dir(&self.folder);
        run(&mut harness, "the peers' harness")
    }

    /// Reads the harness's results.
    pub(super) fn results(&self) -> Result<serde_json::Value, PeersError> {
        let path = self.folder.join("results.json");
        let text = fs::read(&path).map_err(|source| io_error("reading results.json", source))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Builds `peer`: `cargo run --bin peers` builds only `peers`.
fn build_ours() -> Result<(), PeersError> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "-p", "xundian-tests", "--bin", "peer"]);
    run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")), "building our row")
}

fn install_tools() -> Result<(), PeersError> {
    for (program, package) in TOOLS {
        if is_there(program) {
            continue;
        }
        eprintln!("installing {package}");
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "-q", "--no-install-recommends", package]);
        let is_installed =
            apt.env("DEBIAN_FRONTEND", "noninteractive").status().is_ok_and(|status| status.success());
        if !is_installed || !is_there(program) {
            return Err(PeersError::Tool(program, package));
        }
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    Path::new(program).is_file() && program.starts_with('/')
        || folders.iter().any(|folder| Path::new(folder).join(program).is_file())
}

/// Copies the files that have changed, so that unchanged programs are not built again.
fn copy(from: &Path, to: &Path) -> Result<(), PeersError> {
    let failed = |source| io_error(&format!("copying {}", from.display()), source);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if OUTPUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if source.is_dir() {
            copy(&source, &target)?;
            continue;
        }
        let content = fs::read(&source).map_err(failed)?;
        if fs::read(&target).is_ok_and(|standing| standing == content) {
            continue;
        }
        let mode = entry.metadata().map_err(failed)?.permissions().mode();
        fs::write(&target, content).map_err(failed)?;
        // The shared files may be read-only; the copies must be writable.
        fs::set_permissions(&target, fs::Permissions::from_mode(mode | 0o600)).map_err(failed)?;
    }
    Ok(())
}

fn run(command: &mut Command, what: &str) -> Result<(), PeersError> {
    let status = command.status().map_err(|source| io_error(what, source))?;
    if status.success() { Ok(()) } else { Err(PeersError::Failed { what: what.to_owned(), status }) }
}

fn io_error(what: &str, source: io::Error) -> PeersError {
    PeersError::Io { what: what.to_owned(), source }
}
