//! The integration tests, in one binary so that everything is linked once.

mod e2e;
mod raw;
mod replay;
mod security;
mod tidy;
