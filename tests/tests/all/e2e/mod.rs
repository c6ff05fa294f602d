//! A company's days end to end: real devices with real stores, real QUIC, a real server.

mod conflict;
mod corruption;
mod cost;
mod day;
mod edit;
mod handover;
mod photos;
mod push;
mod restored;
mod server_restored;
