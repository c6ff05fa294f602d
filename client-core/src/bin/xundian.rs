//! `xundian`: the field command line, a whole device in a folder.

#[path = "../cli/mod.rs"]
mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
