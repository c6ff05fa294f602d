//! A connection to the server, with patience.

use std::time::Duration;

use super::sync_error::SyncError;
use crate::transport::{Connection, FrameStream, TlsIdentity};

/// How long the server may take for one answer; it answers within a second unless something is wrong.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection and its one stream. The server serves one stream of a connection at a time, each a session of its own.
pub(super) struct Carrier {
    connection: Connection,
    stream: FrameStream,
}

impl Carrier {
    pub(super) async fn open(connection: Connection) -> Result<Self, SyncError> {
        let stream = connection.open_stream().await?;
        Ok(Self { connection, stream })
    }

    /// Ends the stream, whose answers are all in, and goes on with another one, in a session of its own.
    pub(super) async fn next_stream(&mut self) -> Result<(), SyncError> {
        self.finish();
        self.stream = self.connection.open_stream().await?;
        Ok(())
    }

    fn finish(&mut self) {
        // All answers are in, so nothing is lost where the server no longer listens.
        if let Err(error) = self.stream.finish() {
            tracing::debug!(%error, "the stream was closed already");
        }
    }

    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), SyncError> {
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.stream.send(payload)).await;
        sent.map_err(|_| SyncError::NoAnswer)??;
        // Where all runs on one thread, the frame leaves now instead of after the next one is made.
        tokio::task::yield_now().await;
        Ok(())
    }

    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, SyncError> {
        let received = tokio::time::timeout(ANSWER_TIMEOUT, self.stream.recv()).await;
        received.map_err(|_| SyncError::NoAnswer)??.ok_or(SyncError::Ended)
    }

    pub(super) async fn close(mut self, reason: &str) {
        self.finish();
        self.connection.close(reason).await;
    }
}

/// Connects to the first of an address's hosts that answers.
pub(super) async fn connect(address: &str, tls: &TlsIdentity) -> Result<Connection, SyncError> {
    let not_found = |source| SyncError::Address { address: address.to_owned(), source };
    let hosts = tokio::net::lookup_host(address).await.map_err(not_found)?;
    let mut failed = SyncError::Address {
        address: address.to_owned(),
        source: std::io::Error::other("the name has no address"),
    };
    for host in hosts {
        match Connection::connect(host, tls).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}
