//! The server's end of a session whose network and clock are simulated. The deciding code is the one that serves.

use super::Served;
use super::worker::{Turn, Worker};
use crate::authority::DeviceCertificate;
use crate::photos::Photos;
use crate::server::Server;
use std::sync::Arc;
use tokio::runtime::Runtime;
use xundian_protocol::wire::v1::{ServerFrame, encode_server};

/// The server's answer to a payload.
#[derive(Debug)]
pub struct Answers {
    /// The payloads it sends.
    pub payloads: Vec<Vec<u8>>,
    /// Whether the session has ended with the last of them.
    pub has_ended: bool,
}

/// The server's end of a session with a device whose certificate is valid.
pub struct SimulatedSession {
    server: Arc<Server>,
    photos: Arc<Photos>,
    certificate: DeviceCertificate,
    worker: Option<Worker>,
    runtime: Arc<Runtime>,
}

impl SimulatedSession {
    /// A session before its first frame. `runtime` is where complete pictures are stored.
    pub const fn new(
        server: Arc<Server>,
        photos: Arc<Photos>,
        certificate: DeviceCertificate,
        runtime: Arc<Runtime>,
    ) -> Self {
        Self { server, photos, certificate, worker: None, runtime }
    }

    /// Takes a payload of the device and does everything that it asks for.
    pub fn take(&mut self, payload: &[u8], now_ms: i64) -> Answers {
        let mut payloads = Vec::new();
        let begun = match self.worker.take() {
            Some(worker) => Ok(worker.take(payload, now_ms)),
            None => {
                let served = Served { server: Arc::clone(&self.server), photos: Arc::clone(&self.photos) };
                Worker::begin(served, self.certificate.clone(), payload, now_ms)
            }
        };
        let (mut worker, mut turn) = match begun {
            Ok(begun) => begun,
            Err(refused) => return ended(payloads, &refused),
        };
        loop {
            match turn {
                Turn::Send { payload, more } => {
                    payloads.push(payload);
                    if !more {
                        break;
                    }
                    (worker, turn) = worker.go_on(now_ms);
                }
                Turn::Refuse(refused) => return ended(payloads, &refused),
                Turn::Store(whole) => {
                    let stored = self.runtime.block_on(self.photos.store(whole));
                    (worker, turn) = worker.stored(stored, now_ms);
                }
                Turn::Wait => break,
            }
        }
        self.worker = Some(worker);
        Answers { payloads, has_ended: false }
    }
}

fn ended(mut payloads: Vec<Vec<u8>>, refused: &ServerFrame) -> Answers {
    payloads.push(encode_server(refused));
    Answers { payloads, has_ended: true }
}
