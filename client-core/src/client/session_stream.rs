//! A connection to the server, with patience.

use super::sync_error::SyncError;
use crate::transport::{ANSWER_TIMEOUT, Connection, FrameStream};

/// A connection and its one stream. The server serves one stream of a connection at a time, each a session of its own.
pub(super) enum SessionStream {
    /// Over QUIC.
    Quic { connection: Connection, stream: FrameStream },
    /// By a simulation.
    #[cfg(feature = "simulation")]
    Simulated(super::simulated_link::SimulatedLink),
}

impl SessionStream {
    pub(super) async fn open(connection: Connection) -> Result<Self, SyncError> {
        let stream = connection.open_stream().await?;
        Ok(Self::Quic { connection, stream })
    }

    /// Ends the stream, whose answers are all in, and goes on with another one, in a session of its own.
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
            // All answers are in, so nothing is lost where the server no longer listens.
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
                // Where all runs on one thread, the frame leaves now instead of after the next one is made.
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
