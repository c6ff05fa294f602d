//! A device whose disk, network, clocks and randomness are simulated. The code that decides, stores and syncs is the
//! code of a phone; only pictures are real files.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rand::RngCore;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::record::{Home, Op, RecordKey, Write};
use xundian_protocol::sync::client::SyncMode;

use super::session_stream::SessionStream;
use super::simulated_link::SimulatedLink;
use super::sync_guard::SyncGuard;
use super::{Client, Clocks, SyncError, SyncReport};
use crate::errors::RecordError;
use crate::store::{Disk, Identity, Save, Store, StoreError};

/// A sync whose payloads a simulation carries.
pub struct SimulatedSync {
    link: SimulatedLink,
    sync: Pin<Box<dyn Future<Output = Result<SyncReport, SyncError>> + Send>>,
}

impl SimulatedSync {
    /// Runs until it waits for a payload or has ended.
    pub fn advance(&mut self) -> Option<Result<SyncReport, SyncError>> {
        match self.sync.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// Takes the payloads sent since the last call, each with the number of its stream. Each stream is a session.
    pub fn take_sent(&self) -> Vec<(u32, Vec<u8>)> {
        self.link.lock().up.drain(..).collect()
    }

    /// Delivers a payload from the server. Payloads of a finished stream are ignored.
    pub fn receive(&self, stream: u32, payload: &[u8]) {
        let mut link = self.link.lock();
        if link.stream == stream {
            link.down.push_back(payload.to_vec());
        }
    }
}

impl Client {
    /// Opens a device on a simulated disk. Pictures are kept in `home`, and nothing else is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn simulated(
        disk: Arc<dyn Disk>,
        home: &Path,
        clocks: Box<Clocks>,
        random: impl Fn() -> Box<dyn RngCore> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Ok(Self::on(Store::simulated(disk)?, home, clocks, Box::new(random)))
    }

    /// Gives the device the identity that the server granted, as the end of an enrolment does.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn take_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        self.store.set_identity(identity)
    }

    /// The unsent saves, from a number on.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn unsent_from(&self, from: OpSeq) -> Result<Vec<Op>, StoreError> {
        self.store.unsent_from(from, usize::MAX)
    }

    /// The homes of the scope.
    pub fn homes(&self) -> Vec<Home> {
        self.store.standing().homes
    }

    /// The number of the next save.
    pub fn next_seq(&self) -> OpSeq {
        self.store.next_seq()
    }

    /// The number up to which the server has acknowledged its saves.
    pub fn applied_through(&self) -> OpSeq {
        self.store.applied_through()
    }

    /// The keys and values with a key prefix, as stored.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn stored(&self, front: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        self.store.stored(front)
    }

    /// Overwrites or removes bytes of the store, to simulate corruption.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn decay(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.store.decay(key, value)
    }

    /// Saves what a newer app would: a kind or fields unknown to this version.
    ///
    /// # Errors
    /// Returns an error if the device is not enrolled or the disk fails.
    pub fn save_unknown(&self, record: RecordKey, home: Home, writes: Vec<Write>) -> Result<(), RecordError> {
        let standing = self.store.record(record)?;
        self.save(|recorder, _, _| {
            recorder.write_unknown(record, home, writes, standing.as_ref());
            Ok(((), Save::default()))
        })
    }

    /// Begins a sync, or a push with the unsent pictures.
    pub fn begin_sync(self: &Arc<Self>, mode: SyncMode) -> SimulatedSync {
        let (client, link) = (Arc::clone(self), SimulatedLink::default());
        let session_stream = SessionStream::Simulated(link.clone());
        let sync = Box::pin(async move {
            let identity = client.identity().ok_or(SyncError::NotEnrolled)?;
            let guard = SyncGuard::start(&client)?;
            client.store.fold_settled()?;
            let report = client.run_over(identity, session_stream, mode, true, |_| {}).await;
            drop(guard);
            report
        });
        SimulatedSync { link, sync }
    }
}
