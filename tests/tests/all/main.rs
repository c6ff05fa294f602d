//! The integration tests, in one binary to link only once.

mod cli;
mod e2e;
mod evolution;
mod ffi;
mod fuzz;
mod growth;
mod hostile;
mod import_cli;
mod kill;
mod photos;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod powercut;
mod raw;
mod replay;
mod security;
mod simulation;
mod tidy;
