//! Frames on one QUIC stream, the server's end.
//!
//! Owns sending and receiving whole payloads. Ignores their content; `xundian_protocol::wire::framing` delimits them.
//! The device's counterpart is `client-core/src/transport/frames.rs`.

use xundian_protocol::limits::FRAME_BYTES_MAX;
use xundian_protocol::wire::framing::{FrameReader, FramingError, frame_prefix};

/// Bytes read from the stream at once.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Why receiving or sending a frame failed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The device, or the caller, broke the framing rules.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The connection broke.
    #[error("the connection to the device is gone ({0}): it connects again by itself")]
    ConnectionGone(String),
    /// The device reset this stream only.
    #[error("the device ended this stream with code {code}: drop the stream, it opens another one")]
    EndedByDevice {
        /// The device's reason, as a number.
        code: u64,
    },
    /// A send after `finish`.
    #[error("this stream was finished already: nothing more can be sent on it")]
    Finished,
}

/// A bidirectional stream of frames.
#[derive(Debug)]
pub struct FrameStream {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    reader: FrameReader,
}

impl FrameStream {
    pub(super) fn new((send, receive): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self { send, receive, reader: FrameReader::new(FRAME_BYTES_MAX) }
    }

    /// Limits the payloads accepted from here on. Call it before the first is received.
    pub fn limit_payload(&mut self, payload_bytes_max: usize) {
        self.reader = FrameReader::new(payload_bytes_max);
    }

    /// Sends one payload; waits while the device's window is full. If the future is dropped early, the frame may be
    /// half sent: drop the stream as well.
    pub async fn send(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        let prefix = frame_prefix(payload)?;
        self.send.write_all(&prefix).await.map_err(write_error)?;
        self.send.write_all(payload).await.map_err(write_error)
    }

    /// Receives the next payload; `None` when the device finished the stream, or closed the connection gracefully,
    /// between two frames. Cancel-safe: no bytes are lost.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            if let Some(payload) = self.reader.next()? {
                return Ok(Some(payload));
            }
            match self.receive.read_chunk(CHUNK_BYTES_MAX, true).await {
                Ok(Some(chunk)) => self.reader.push(&chunk.bytes),
                Ok(None) => {
                    self.reader.finish()?;
                    return Ok(None);
                }
                Err(error) if is_good_order(&error) && self.reader.finish().is_ok() => return Ok(None),
                Err(error) => return Err(read_error(error)),
            }
        }
    }

    /// Ends sending. What was sent may still be in flight: await [`delivered`](Self::delivered) before closing the
    /// connection.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        self.send.finish().map_err(|_| StreamError::Finished)
    }

    /// Waits, after [`finish`](Self::finish), until the device has acknowledged every byte.
    pub async fn delivered(&self) -> Result<(), StreamError> {
        match self.send.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(StreamError::EndedByDevice { code: code.into_inner() }),
            Err(error) => Err(StreamError::ConnectionGone(error.to_string())),
        }
    }
}

fn write_error(error: quinn::WriteError) -> StreamError {
    match error {
        quinn::WriteError::Stopped(code) => StreamError::EndedByDevice { code: code.into_inner() },
        quinn::WriteError::ClosedStream => StreamError::Finished,
        quinn::WriteError::ConnectionLost(error) => StreamError::ConnectionGone(error.to_string()),
        quinn::WriteError::ZeroRttRejected => StreamError::ConnectionGone(error.to_string()),
    }
}

/// Whether the device closed the connection because it was done.
fn is_good_order(error: &quinn::ReadError) -> bool {
    let quinn::ReadError::ConnectionLost(quinn::ConnectionError::ApplicationClosed(close)) = error else {
        return false;
    };
    close.error_code == quinn::VarInt::from_u32(0)
}

fn read_error(error: quinn::ReadError) -> StreamError {
    match error {
        quinn::ReadError::Reset(code) => StreamError::EndedByDevice { code: code.into_inner() },
        quinn::ReadError::ClosedStream => StreamError::Finished,
        quinn::ReadError::ConnectionLost(error) => StreamError::ConnectionGone(error.to_string()),
        quinn::ReadError::IllegalOrderedRead | quinn::ReadError::ZeroRttRejected => {
            StreamError::ConnectionGone(error.to_string())
        }
    }
}
