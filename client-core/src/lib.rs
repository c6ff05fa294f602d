//! x
mod day;
mod errors;
mod recorder;
mod store;
mod transport;
