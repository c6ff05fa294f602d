//! The link of a simulated sync: payloads in transit between the device and the simulation.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// The payloads in transit.
#[derive(Debug, Default)]
pub(super) struct InTransit {
    /// Payloads for the server, each with the number of its stream.
    pub(super) up: VecDeque<(u32, Vec<u8>)>,
    /// Payloads from the server.
    pub(super) down: VecDeque<Vec<u8>>,
    pub(super) stream: u32,
}

/// The device's end of the link.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedLink(Arc<Mutex<InTransit>>);

impl SimulatedLink {
    pub(super) fn lock(&self) -> MutexGuard<'_, InTransit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_stream(&self) {
        let mut link = self.lock();
        link.stream += 1;
        // Payloads of the previous stream have no reader any more.
        link.down.clear();
    }

    pub(super) fn send(&self, payload: &[u8]) {
        let mut link = self.lock();
        let stream = link.stream;
        link.up.push_back((stream, payload.to_vec()));
    }

    pub(super) async fn receive(&self) -> Vec<u8> {
        // The simulation polls again when there is a payload.
        poll_fn(|_| self.lock().down.pop_front().map_or(Poll::Pending, Poll::Ready)).await
    }
}
