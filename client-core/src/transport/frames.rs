//! Frames on one QUIC stream, the device's end.
//!
//! Owns sending and receiving of whole payloads. Does not know what they mean; `xundian_protocol::wire::framing` splits
//! them. The server has the same in `server/src/transport/frames.rs`.

use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, FramingError, frame_prefix};

use super::{ConnectError, explain};

/// The most bytes read from the stream at a time.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Why a stream failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The server, or the caller, violated the framing.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The connection is gone. A certificate that the server refuses shows here too: with TLS 1.3 its refusal can
    /// arrive after connecting succeeded.
    #[error(transparent)]
    Connection(#[from] ConnectError),
    /// The server ended this stream only.
    #[error(
        "the server ended this stream with code {code}: open another one and repeat what was not acknowledged"
    )]
    EndedByServer {
        /// The server's reason, as a number.
        code: u64,
    },
    /// Sending after `finish`.
    #[error("this stream was finished already: open another one to send more")]
    Finished,
}

/// A bidirectional stream of frames.
#[derive(Debug)]
pub(crate) struct FrameStream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    reader: FrameReader,
}

impl FrameStream {
    pub(super) fn new((send, receive): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self { send, receive, reader: FrameReader::new(FRAME_BYTES_MAX) }
    }

    /// Sends one payload; waits while the server's window is full. If the future is dropped before it completes, half a
    /// frame may be sent: drop the stream as well.
    pub(crate) async fn send(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let prefix = frame_prefix(payload)?;
        self.send.write_all(&prefix).await.map_err(write_error)?;
        self.send.write_all(payload).await.map_err(write_error)
    }

    /// The next payload; `None` if the server finished the stream between two frames. The future may be dropped at any
    /// moment without losing bytes.
    pub(crate) async fn recv(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            if let Some(payload) = self.reader.next()? {
                return Ok(Some(payload));
            }
            match self.receive.read_chunk(CHUNK_BYTES_MAX, true).await.map_err(read_error)? {
                Some(chunk) => self.reader.push(&chunk.bytes),
                None => {
                    self.reader.finish()?;
                    return Ok(None);
                }
            }
        }
    }

    /// Finishes sending. Sent bytes are still transmitted; closing the connection drops them.
    pub(crate) fn finish(&mut self) -> Result<(), StreamError> {
        self.send.finish().map_err(|_| StreamError::Finished)
    }

    /// Behaves like a server that dies while sending.
    #[cfg(test)]
    pub(super) async fn send_half_a_frame(mut self) {
        self.send.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
    }

    /// After `finish`: waits until the server's host has acknowledged every byte.
    #[cfg(test)]
    pub(crate) async fn delivered(&self) -> Result<(), StreamError> {
        match self.send.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamError::EndedByServer { code: code.into_inner() }),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(explain(error).into()),
            Err(error @ quinn::StoppedError::ZeroRttRejected) => {
                Err(ConnectError::Tls(error.to_string()).into())
            }
        }
    }
}

fn write_error(error: quinn::WriteError) -> StreamError {
    match error {
        quinn::WriteError::Stopped(code) => StreamError::EndedByServer { code: code.into_inner() },
        quinn::WriteError::ConnectionLost(error) => explain(error).into(),
        quinn::WriteError::ClosedStream => StreamError::Finished,
        quinn::WriteError::ZeroRttRejected => ConnectError::Tls(error.to_string()).into(),
    }
}

fn read_error(error: quinn::ReadError) -> StreamError {
    match error {
        quinn::ReadError::Reset(code) => StreamError::EndedByServer { code: code.into_inner() },
        quinn::ReadError::ConnectionLost(error) => explain(error).into(),
        quinn::ReadError::ClosedStream => StreamError::Finished,
        quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            ConnectError::Tls(error.to_string()).into()
        }
    }
}
