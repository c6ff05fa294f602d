//! Reads a password: from a terminal without echo, otherwise from the first line of standard input.

use super::Failure;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::process::{Command, Stdio};

/// More than a password may have; a longer one is refused where the limit is known.
const LINE_BYTES_MAX: u64 = 4096;

/// Reads the password that somebody types or pipes in.
pub(super) fn read() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return line();
    }
    eprint!("password: ");
    let first = unseen()?;
    eprint!("again: ");
    if unseen()? != first {
        return Err("the two passwords differ: nothing was changed".into());
    }
    Ok(first)
}

fn unseen() -> Result<String, Failure> {
    let hidden = echo("-echo");
    let typed = line();
    if hidden {
        echo("echo");
    }
    eprintln!();
    typed
}

/// Sets the terminal's echo. Returns whether `stty` succeeded; without it the password is visible.
fn echo(how: &str) -> bool {
    let stty = Command::new("stty").arg(how).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    stty.is_ok_and(|status| status.success())
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), LINE_BYTES_MAX).read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err("no password was given".into()) } else { Ok(password.to_owned()) }
}
