//! Framing: a stream of bytes as frames, each a length (u32, big-endian) and that many bytes of payload.
//!
//! Owns the length prefix and its bound. Does not know what a payload means, compression or versions, and does no I/O:
//! the transports push the bytes they received and take out whole frames.

use crate::limits::FRAME_BYTES_MAX;

/// The size of the length prefix.
pub const FRAME_PREFIX_BYTES: usize = 4;

/// Why bytes cannot be split into frames. The stream is unusable after any of these errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A frame announces, or a caller passes, more bytes than the bound.
    #[error(
        "a frame of {len_bytes} bytes is over the limit of {max_bytes}: close the stream and send smaller frames"
    )]
    Oversized {
        /// Payload bytes announced or passed.
        len_bytes: u64,
        /// The bound.
        max_bytes: usize,
    },
    /// A frame announces, or a caller passes, an empty payload.
    #[error("a frame is empty: the other side speaks another protocol, close the stream")]
    Empty,
    /// The stream ended inside a frame.
    #[error(
        "the stream ended inside a frame, {left_bytes} bytes into it: connect again and repeat what was not acknowledged"
    )]
    Truncated {
        /// The bytes of the incomplete frame that arrived, with its length prefix.
        left_bytes: usize,
    },
}

/// Splits a stream of bytes into frames. Call [`push`](Self::push) with what arrived, then [`next`](Self::next) until
/// it returns `None`, and [`finish`](Self::finish) at the end of the stream.
///
/// It holds only bytes that arrived: an announced length allocates nothing.
#[derive(Debug)]
pub struct FrameReader {
    payload_bytes_max: usize,
    pending: Vec<u8>,
    /// The number of bytes of `pending` that were returned already.
    taken_bytes: usize,
}

impl FrameReader {
    /// A reader that refuses payloads of more than `payload_bytes_max`.
    pub fn new(payload_bytes_max: usize) -> Self {
        Self { payload_bytes_max, pending: Vec::new(), taken_bytes: 0 }
    }

    /// Adds bytes in the order of the stream, however they were split.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken_bytes > 0 {
            self.pending.drain(..self.taken_bytes);
            self.taken_bytes = 0;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Returns the next complete payload; `None` until more bytes are pushed. An error is permanent.
    #[expect(clippy::should_implement_trait, reason = "an iterator's None would mean the end, not a wait")]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        let Some((prefix, rest)) = self.unread().split_first_chunk::<FRAME_PREFIX_BYTES>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*prefix);
        checked_len(u64::from(announced), self.payload_bytes_max)?;
        let len_bytes = announced as usize;
        let Some(payload) = rest.get(..len_bytes) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.taken_bytes += FRAME_PREFIX_BYTES + len_bytes;
        if self.unread().is_empty() {
            // Thousands of idle streams must not each keep the buffer of their largest frame.
            self.pending = Vec::new();
            self.taken_bytes = 0;
        }
        Ok(Some(payload))
    }

    /// Checks that the stream ended between two frames.
    pub fn finish(&self) -> Result<(), FramingError> {
        match self.unread().len() {
            0 => Ok(()),
            left_bytes => Err(FramingError::Truncated { left_bytes }),
        }
    }

    fn unread(&self) -> &[u8] {
        &self.pending[self.taken_bytes..]
    }
}

/// Appends `payload` as one frame to `out`. Leaves `out` unchanged if the payload is empty or over [`FRAME_BYTES_MAX`],
/// so that a sender never makes a frame that its peer must refuse.
pub fn encode_frame(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FramingError> {
    let prefix = frame_prefix(payload)?;
    out.reserve(FRAME_PREFIX_BYTES + payload.len());
    out.extend_from_slice(&prefix);
    out.extend_from_slice(payload);
    Ok(())
}

/// The length prefix of `payload`, for senders that write prefix and payload separately.
pub fn frame_prefix(payload: &[u8]) -> Result<[u8; FRAME_PREFIX_BYTES], FramingError> {
    checked_len(payload.len() as u64, FRAME_BYTES_MAX)?;
    // The bound fits into the prefix; the assertion below checks it at compile time.
    Ok((payload.len() as u32).to_be_bytes())
}

const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize);

fn checked_len(len_bytes: u64, max_bytes: usize) -> Result<(), FramingError> {
    match len_bytes {
        0 => Err(FramingError::Empty),
        _ if len_bytes > max_bytes as u64 => Err(FramingError::Oversized { len_bytes, max_bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 64;

    fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            encode_frame(payload, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn a_frame_is_its_length_and_its_payload() {
        assert_eq!(framed(&[b"abc".to_vec()]), [0, 0, 0, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn two_frames_in_one_push_come_out_one_by_one() {
        let mut reader = FrameReader::new(MAX);
        reader.push(&framed(&[vec![1], vec![2, 3]]));
        assert_eq!(reader.next(), Ok(Some(vec![1])));
        assert_eq!(reader.next(), Ok(Some(vec![2, 3])));
        assert_eq!(reader.next(), Ok(None));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn the_largest_payload_passes_and_a_larger_one_is_refused_by_its_prefix() {
        let mut reader = FrameReader::new(MAX);
        reader.push(&framed(&[vec![7; MAX]]));
        assert_eq!(reader.next(), Ok(Some(vec![7; MAX])));

        let refused = FramingError::Oversized { len_bytes: MAX as u64 + 1, max_bytes: MAX };
        reader.push(&(MAX as u32 + 1).to_be_bytes());
        assert_eq!(reader.next(), Err(refused.clone()));
        assert_eq!(reader.next(), Err(refused), "the error is permanent");
    }

    #[test]
    fn a_sender_refuses_what_its_peer_would_refuse() {
        let mut out = vec![9];
        let len_bytes = FRAME_BYTES_MAX as u64 + 1;
        let refused = FramingError::Oversized { len_bytes, max_bytes: FRAME_BYTES_MAX };
        assert_eq!(encode_frame(&vec![0; FRAME_BYTES_MAX + 1], &mut out), Err(refused));
        assert_eq!(encode_frame(&[], &mut out), Err(FramingError::Empty));
        assert_eq!(out, [9], "a refused frame appends nothing");
        encode_frame(&vec![0; FRAME_BYTES_MAX], &mut out).unwrap();
    }

    #[test]
    fn a_drained_reader_frees_its_buffer() {
        let mut reader = FrameReader::new(MAX);
        reader.push(&framed(&[vec![7; MAX]]));
        assert_eq!(reader.next(), Ok(Some(vec![7; MAX])));
        assert_eq!(reader.pending.capacity(), 0);
    }

    #[test]
    fn an_announced_length_allocates_nothing() {
        let mut reader = FrameReader::new(MAX);
        reader.push(&u32::MAX.to_be_bytes());
        assert!(matches!(reader.next(), Err(FramingError::Oversized { len_bytes: 0xFFFF_FFFF, .. })));
        assert!(reader.pending.capacity() < 1024);
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let mut reader = FrameReader::new(MAX);
        reader.push(&[0; 4]);
        assert_eq!(reader.next(), Err(FramingError::Empty));
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_truncated() {
        let whole = framed(&[vec![1, 2, 3]]);
        for cut in 1..whole.len() {
            let mut reader = FrameReader::new(MAX);
            reader.push(&whole[..cut]);
            assert_eq!(reader.next(), Ok(None));
            assert_eq!(reader.finish(), Err(FramingError::Truncated { left_bytes: cut }));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=MAX), 0..8),
            cuts in prop::collection::vec(0usize..600, 0..20),
        ) {
            let bytes = framed(&payloads);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();

            let mut reader = FrameReader::new(MAX);
            let mut seen = Vec::new();
            for pair in cuts.windows(2) {
                reader.push(&bytes[pair[0]..pair[1]]);
                while let Some(payload) = reader.next().unwrap() {
                    seen.push(payload);
                }
            }
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(seen, payloads);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pass_a_bound(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let mut reader = FrameReader::new(MAX);
            'stream: for chunk in chunks {
                reader.push(&chunk);
                loop {
                    match reader.next() {
                        Ok(Some(payload)) => prop_assert!(!payload.is_empty() && payload.len() <= MAX),
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
            }
        }
    }
}
