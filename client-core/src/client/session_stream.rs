//! A connection to the server, with its timeouts.

use super::sync_error::SyncError;
use crate::transport::{ANSWER_TIMEOUT, Connection, FrameStream};

/// A connection and its one stream. The server serves one stream of a connection at a time; each is a session.
pub(super) enum SessionStream {
    /// Over QUIC.
    Quic { connection: Connection, stream: FrameStream },
    /// A simulated link.
    #[cfg(feature = "simulation")]
    Simulated(super::simulated_link::SimulatedLink),
}

impl SessionStream {
    pub(super) async fn open(connection: Connection) -> Result<Self, SyncError> {
        let stream = connection.open_stream().await?;
        Ok(Self::Quic { connection, stream })
    }

    /// Finishes the stream, whose answers have all arrived, and opens another one with its own session.
    pub(super) async fn next_stream(&mut self) -> Result<(), SyncError> {
        self.finish();
        match self {
            Self::Quic { connection, stream } => *stream = connection.open_stream().await?,
            #[cfg(feature = "simulation")]
            Self::Simulated(link) => link.next_stream(),
        }
        Ok(())
    }

    fn finish(&mut self) {
        match self {
            // All answers have arrived, so nothing is lost if the server no longer reads.
            Self::Quic { stream, .. } => {
                if let Err(error) = stream.finish() {
                    tracing::debug!(%error, "the stream was closed already");
                }
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => {}
        }
    }

    pub(super) async fn send(&mut self, payload: &[u8]) -> Result<(), SyncError> {
        match self {
            Self::Quic { stream, .. } => {
                let sent = tokio::time::timeout(ANSWER_TIMEOUT, stream.send(payload)).await;
                sent.map_err(|_| SyncError::NoAnswer)??;
                // On a single-threaded runtime the frame leaves now instead of after the next one is built.
                tokio::task::yield_now().await;
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(link) => link.send(payload),
        }
        Ok(())
    }

    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, SyncError> {
        match self {
            Self::Quic { stream, .. } => {
                let received = tokio::time::timeout(ANSWER_TIMEOUT, stream.recv()).await;
                received.map_err(|_| SyncError::NoAnswer)??.ok_or(SyncError::Ended)
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(link) => Ok(link.receive().await),
        }
    }

    pub(super) async fn close(mut self, reason: &str) {
        self.finish();
        match self {
            Self::Quic { connection, .. } => connection.close(reason).await,
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => {}
        }
    }
}
