//! The guard of network use: at most one sync, push or enrolment of a device at a time, over one connection, which may
//! move to another socket while in use.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Client;
use super::sync_error::SyncError;
use crate::transport::{Connection, Socket, TlsIdentity};

impl Client {
    /// Tells the client that the device's network changed. A running sync, push or enrolment continues from a new
    /// socket over the same connection; without this call it would wait in vain for answers to its old address. If
    /// nothing runs, nothing happens.
    pub fn network_changed(&self) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = socket.as_ref().map(Socket::rebind) {
            // The old socket may still work, and the next change of the network is reported as well.
            tracing::warn!(%error, "no socket on the new network");
        }
    }

    /// Whether a sync, a push or an enrolment is running.
    pub fn is_syncing(&self) -> bool {
        self.syncing.load(Ordering::Acquire)
    }

    fn set_socket(&self, socket: Option<Socket>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }
}

/// Excludes a second sync, push or enrolment of the same device. Dropping it ends the exclusion.
pub(super) struct SyncGuard<'a>(&'a Client);

impl<'a> SyncGuard<'a> {
    pub(super) fn start(client: &'a Client) -> Result<Self, SyncError> {
        if client.syncing.swap(true, Ordering::Acquire) {
            return Err(SyncError::Running);
        }
        Ok(Self(client))
    }

    /// Connects to the first host of an address that answers.
    pub(super) async fn connect(&self, address: &str, tls: &TlsIdentity) -> Result<Connection, SyncError> {
        let not_found = |source| SyncError::Address { address: address.to_owned(), source };
        let hosts = tokio::net::lookup_host(address).await.map_err(not_found)?;
        let mut failed = SyncError::Address {
            address: address.to_owned(),
            source: std::io::Error::other("the name has no address"),
        };
        for host in hosts {
            let socket = Socket::to(host)?;
            self.0.set_socket(Some(socket.clone()));
            match Connection::connect(&socket, tls).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }
}

impl Drop for SyncGuard<'_> {
    fn drop(&mut self) {
        self.0.set_socket(None);
        self.0.syncing.store(false, Ordering::Release);
    }
}
