//! `xundian-server`: serves a data folder, and administers it.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
