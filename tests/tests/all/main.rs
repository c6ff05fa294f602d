//! The integration tests, in one binary so that everything is linked once.

mod cli;
mod e2e;
mod evolution;
mod ffi;
mod fuzz;
mod hostile;
mod import_cli;
mod kill;
mod photos;
mod raw;
mod replay;
mod security;
mod simulation;
mod tidy;
