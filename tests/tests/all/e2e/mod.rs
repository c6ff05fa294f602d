//! A company's days end to end: real devices with real stores, real QUIC, a real server.

mod conflict;
mod cost;
mod day;
mod decay;
mod edit;
mod handover;
mod photos;
mod push;
mod restored;
mod server_restored;
