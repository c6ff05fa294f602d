//! What runs over the network: at most one sync, push or enrolment of a device at a time, over one connection, which
//! may move to another socket while it runs.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Client;
use super::sync_error::SyncError;
use crate::transport::{Connection, Socket, TlsIdentity};

impl Client {
    /// Says that the device's network is another one than before. A sync, push or enrolment that runs goes on from a
    /// new socket, over the same connection; without it, it would wait in vain for answers to its old address. Where
    /// nothing runs nothing happens.
    pub fn network_changed(&self) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = socket.as_ref().map(Socket::rebind) {
            // The old socket may still be of use, and the next change of the network is told as well.
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

/// Keeps a second sync, push or enrolment of the same device out, and ends however the first one ends.
pub(super) struct SyncGuard<'a>(&'a Client);

impl<'a> SyncGuard<'a> {
    pub(super) fn start(client: &'a Client) -> Result<Self, SyncError> {
        if client.syncing.swap(true, Ordering::Acquire) {
            return Err(SyncError::Running);
        }
        Ok(Self(client))
    }

    /// Connects to the first of an address's hosts that answers.
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
