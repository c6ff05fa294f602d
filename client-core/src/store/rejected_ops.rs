//! Rejected ops (被拒记录): ops that the server did not merge, with the reason, kept until their author has seen them.
//! Value: version u8 = 1, reason u16 BE, length of the message u32 BE, the message, the op.

use std::fmt;
use std::str::FromStr;

use xundian_protocol::ids::{DeviceNo, OpSeq};
use xundian_protocol::record::Op;
use xundian_protocol::wire::stored;
use xundian_protocol::wire::v1::Refusal;

use super::error::StoreFault;

const VERSION: u8 = 1;

/// Identifies a rejected op by the number of its save. It contains the device's number too, because a device that is
/// enrolled again counts from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RejectedId {
    /// The device's number when it was saved.
    pub device: DeviceNo,
    /// The number of the save.
    pub seq: OpSeq,
}

impl fmt::Display for RejectedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.device, self.seq.0)
    }
}

/// A text that is not the id of a rejected op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no rejected save; it looks like D3-12, as the list of rejected saves shows it")]
pub struct RejectedIdError {
    text: String,
}

impl FromStr for RejectedId {
    type Err = RejectedIdError;
    fn from_str(text: &str) -> Result<Self, RejectedIdError> {
        let numbers = || {
            let (device, seq) = text.strip_prefix(['D', 'd'])?.split_once('-')?;
            Some(Self { device: DeviceNo(device.parse().ok()?), seq: OpSeq(seq.parse().ok()?) })
        };
        numbers().ok_or_else(|| RejectedIdError { text: text.chars().take(64).collect() })
    }
}

/// An op that the server did not merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Its id.
    pub id: RejectedId,
    /// The op as it was saved.
    pub op: Op,
    /// Why it was not merged.
    pub why: Refusal,
    /// The same for people.
    pub message: String,
}

impl Rejected {
    /// The value of an entry, for an op that is already encoded.
    pub(super) fn encode(why: Refusal, message: &str, op: &[u8]) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend((why as u16).to_be_bytes());
        bytes.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(message.as_bytes());
        bytes.extend(op);
        bytes
    }

    pub(super) fn decode(id: RejectedId, bytes: &[u8]) -> Result<Self, StoreFault> {
        let what = format!("rejected save {id}");
        let parts = split(bytes).ok_or_else(|| StoreFault::malformed(what.clone()))?;
        let (why, message, op) = parts;
        let op = stored::decode_op(op).map_err(StoreFault::decode(what))?;
        Ok(Self {
            id,
            op,
            why: Refusal::from_number(why),
            message: String::from_utf8_lossy(message).into_owned(),
        })
    }
}

fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let (why, rest) = rest.split_first_chunk::<2>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (message, op) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((u16::from_be_bytes(*why), message, op))
}
