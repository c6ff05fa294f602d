//! The integration tests, in one binary so that everything is linked once.

mod e2e;
mod raw;
mod security;
mod replay;
mod tidy;
