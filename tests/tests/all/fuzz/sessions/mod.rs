//! Both ends of a session, driven by sequences of frames that no correct peer sends.
//!
//! A run has a device and a server with small stores. Their frames are lost, repeated, reordered, changed, corrupted
//! and replaced by others. Whatever arrives, each end must keep the invariants of its own store: [`device`] and
//! [`server`] check them at every step. A failing run prints its number; `XUNDIAN_SEED` and `XUNDIAN_RUN` repeat it
//! alone.

mod device;
mod frames;
mod server;
mod upload;

use std::collections::VecDeque;
use std::time::Instant;

use super::random::Random;
use device::Device;
use frames::Pool;
use server::Server;

/// The largest number of events in one session.
const EVENTS_MAX: usize = 160;
/// The largest number of sessions in one run. They follow each other on the same stores.
const SESSIONS_MAX: usize = 4;

/// Repeats `run` until the time is over.
fn repeat(what: &str, mut run: impl FnMut(&mut Random) -> u64) {
    let (seed, until) = (super::seed(what), super::until());
    let alone = std::env::var("XUNDIAN_RUN").ok().and_then(|text| text.parse::<u64>().ok());
    let (begun, mut frames, mut nth) = (Instant::now(), 0, alone.unwrap_or(0));
    loop {
        let shown = Shown { what, seed, nth };
        // Runs are independent, so that one of them can be repeated alone.
        frames += run(&mut Random(Random(seed ^ nth).next()));
        drop(shown);
        nth += 1;
        if alone.is_some() || Instant::now() >= until {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    eprintln!("fuzz: {what}: {nth} runs, {frames} frames, {:.0} a second", frames as f64 / seconds);
}

/// Prints the number of a run that panics.
struct Shown<'a> {
    what: &'a str,
    seed: u64,
    nth: u64,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fuzz: {} fails: XUNDIAN_SEED={} XUNDIAN_RUN={}", self.what, self.seed, self.nth);
        }
    }
}

#[test]
fn no_sequence_of_frames_breaks_a_session() {
    let pool = Pool::golden();
    repeat("sessions", |random| {
        let (mut device, mut server) = (Device::new(random), Server::new());
        (0..=random.below(SESSIONS_MAX)).map(|_| session(&mut device, &mut server, &pool, random)).sum()
    });
}

#[test]
fn no_sequence_of_frames_breaks_an_upload() {
    let pool = Pool::golden();
    repeat("uploads", |random| upload::run(&pool, random));
}

/// Runs one session until an end gives up or the events are used up. Returns how many frames were handled.
fn session(device: &mut Device, server: &mut Server, pool: &Pool, random: &mut Random) -> u64 {
    let (mut up, mut down) = (VecDeque::new(), VecDeque::new());
    let mut taken = 0;
    device.connect(random);
    server.accept();
    let mut is_open = device.work(&mut up, random);
    for _ in 0..random.below(EVENTS_MAX) {
        if !is_open {
            break;
        }
        match random.below(16) {
            0 => device.save(),
            1 => server.change(random),
            2 => server.rescope(random),
            3..=8 => {
                for payload in drawn(&mut up, random) {
                    let Some(frame) = pool.client(payload, random) else { continue };
                    taken += 1;
                    is_open &= server.take(frame);
                }
                is_open &= server.work(&mut down, random);
            }
            _ => {
                for payload in drawn(&mut down, random) {
                    let Some(frame) = pool.server(payload, random) else { continue };
                    taken += 1;
                    is_open &= device.take(frame);
                }
                is_open = is_open && device.work(&mut up, random);
            }
        }
    }
    taken
}

/// Chooses what arrives now: usually the oldest payload, sometimes all, a random one, the oldest again, none at all, or
/// `None` for a frame that the peer did not send.
fn drawn(queue: &mut VecDeque<Vec<u8>>, random: &mut Random) -> Vec<Option<Vec<u8>>> {
    match random.below(16) {
        0 => vec![None],
        1 => vec![queue.remove(random.below(queue.len()))],
        2 => vec![queue.front().cloned()],
        3 => {
            queue.pop_front();
            Vec::new()
        }
        4 => queue.drain(..).map(Some).collect(),
        _ => queue.pop_front().map(Some).into_iter().collect(),
    }
}
