//! A device whose disk, network, clocks and chance are a simulation's. What decides and what stores is what runs on
//! a phone; only its pictures are files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::RngCore;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::record::Op;
use xundian_protocol::sync::client::Aim;

use super::progress::Tally;
use super::sync::{Run, Turn as RunTurn};
use super::{Client, Clocks, SyncError, SyncReport};
use crate::store::{Disk, Identity, Store, StoreError};

/// What a sync does next.
#[derive(Debug)]
pub enum SimulatedTurn {
    /// This payload goes to the server.
    Send(Vec<u8>),
    /// A payload of the server is awaited.
    Wait,
    /// It is complete.
    Done(SyncReport),
}

/// A sync whose payloads the simulation carries.
pub struct SimulatedSync(Option<Run<Arc<Client>>>);

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

    /// Makes the device the one that the server has granted, as the end of an enrolment does.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn take_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        self.store.set_identity(identity)
    }

    /// The saves that wait, from a number on.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn unsent_from(&self, from: OpSeq) -> Result<Vec<Op>, StoreError> {
        self.store.unsent_from(from, usize::MAX)
    }

    /// The number that the next save will get.
    pub fn next_seq(&self) -> OpSeq {
        self.store.next_seq()
    }

    /// The keys and values under a key's front, as they lie in the store.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn stored(&self, front: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
        self.store.stored(front)
    }

    /// Writes over the store's bytes, or removes them, as decay would.
    ///
    /// # Errors
    /// Where the disk fails.
    pub fn decay(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.store.decay(key, value)
    }

    /// Begins a sync of records.
    ///
    /// # Errors
    /// Where the device is not enrolled or the disk fails.
    pub fn begin_sync(self: &Arc<Self>, aim: Aim) -> Result<SimulatedSync, SyncError> {
        let identity = self.identity().ok_or(SyncError::NotEnrolled)?;
        self.store.fold_settled()?;
        Ok(SimulatedSync(Some(Run::new(Arc::clone(self), &identity, aim, Tally::default())?)))
    }
}

impl SimulatedSync {
    /// Does what the session asks for until there is something to send, or nothing more to do.
    ///
    /// # Errors
    /// As [`Client::sync`]. The sync is over then.
    pub fn advance(&mut self) -> Result<SimulatedTurn, SyncError> {
        loop {
            let Some(run) = &mut self.0 else { return Err(SyncError::Ended) };
            match run.advance()? {
                RunTurn::Send { payload, .. } => return Ok(SimulatedTurn::Send(payload)),
                RunTurn::Worked => {}
                RunTurn::Wait => return Ok(SimulatedTurn::Wait),
                RunTurn::Done(outcome) => {
                    let finished = self.0.take().map(|run| run.finish(outcome)).transpose()?;
                    return Ok(SimulatedTurn::Done(finished.unwrap_or_default().report));
                }
            }
        }
    }

    /// Takes a payload of the server.
    ///
    /// # Errors
    /// As [`Client::sync`]. The sync is over then.
    pub fn receive(&mut self, payload: &[u8]) -> Result<(), SyncError> {
        self.0.as_mut().map_or(Err(SyncError::Ended), |run| run.receive(payload))
    }
}
