//! The store's metadata: the device's identity and its progress.

use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::{DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId, RecordId};

use super::StoreFault;
use super::keys::{self, MetaKey};
use super::storage::Storage;

/// The format that this program writes and reads.
pub(super) const FORMAT: u16 = 1;

/// The device's identity at the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its number.
    pub device: DeviceNo,
    /// The person who uses it.
    pub person: PersonId,
    /// The person's name, as the server gave it at enrolment.
    pub person_name: String,
    /// The server's address, host:port.
    pub server: String,
}

/// The last complete sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LastSync {
    /// When, by the device's clock.
    pub(crate) at_ms: i64,
    /// The server's clock minus the device's, as the last sync or push has learnt it.
    pub(crate) server_offset_ms: i64,
    /// Everything captured before this moment is on the server.
    pub(crate) captured_through_ms: i64,
    /// The boot of the device in which the server's clock was learnt, see [`super::OpenVisit::boot`].
    pub(crate) boot: [u8; 16],
}

impl LastSync {
    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = [self.at_ms, self.server_offset_ms, self.captured_through_ms];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        bytes.extend(self.boot);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            at_ms: number(0)?,
            server_offset_ms: number(8)?,
            captured_through_ms: number(16)?,
            boot: bytes.get(24..)?.try_into().ok()?,
        })
    }
}

/// Everything under [`keys::META`] except for the format.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Meta {
    pub(super) identity: Option<Identity>,
    pub(super) next_seq: OpSeq,
    pub(super) hlc: Hlc,
    pub(super) cursor: FeedSeq,
    pub(super) last_sync: Option<LastSync>,
    pub(super) applied_through: OpSeq,
    pub(super) sent_through: OpSeq,
    pub(super) last_reconciled_ms: Option<i64>,
    /// The epoch of the feed to which the cursors belong.
    pub(super) epoch: FeedEpoch,
    /// Whether the server did not know this device when it last answered.
    pub(super) is_forgotten: bool,
}

impl Meta {
    pub(super) fn load(engine: &Storage) -> Result<Self, StoreFault> {
        Ok(Self {
            identity: load_identity(engine)?,
            next_seq: OpSeq(number(engine, MetaKey::NextSeq)?.unwrap_or(1)),
            hlc: Hlc(number(engine, MetaKey::Hlc)?.unwrap_or(0)),
            cursor: FeedSeq(number(engine, MetaKey::Cursor)?.unwrap_or(0)),
            last_sync: value(engine, MetaKey::LastSync, LastSync::decode)?,
            applied_through: OpSeq(number(engine, MetaKey::AppliedThrough)?.unwrap_or(0)),
            sent_through: OpSeq(number(engine, MetaKey::SentThrough)?.unwrap_or(0)),
            last_reconciled_ms: number(engine, MetaKey::LastCheck)?.map(u64::cast_signed),
            epoch: value(engine, MetaKey::Epoch, |bytes| Some(FeedEpoch(bytes.try_into().ok()?)))?
                .unwrap_or_default(),
            is_forgotten: engine.contains(&keys::meta(MetaKey::Forgotten))?,
        })
    }
}

pub(super) fn encode_identity(identity: &Identity) -> Vec<u8> {
    [&identity.device.0.to_be_bytes()[..], identity.person.0.as_bytes()].concat()
}

fn load_identity(engine: &Storage) -> Result<Option<Identity>, StoreFault> {
    identity_of(|name| Ok::<_, StoreFault>(engine.get(&keys::meta(name))?))
}

/// The identity, from its entries.
pub(super) fn identity_of(
    entry: impl Fn(MetaKey) -> Result<Option<Vec<u8>>, StoreFault>,
) -> Result<Option<Identity>, StoreFault> {
    let decode = |bytes: &[u8]| {
        let (device, person) = bytes.split_first_chunk::<4>()?;
        Some((DeviceNo(u32::from_be_bytes(*device)), PersonId(RecordId::from_bytes(person.try_into().ok()?))))
    };
    let Some((device, person)) = decoded(&entry, MetaKey::Identity, decode)? else { return Ok(None) };
    let text = |name| decoded(&entry, name, |bytes| String::from_utf8(bytes.to_vec()).ok());
    let person_name = text(MetaKey::PersonName)?.unwrap_or_default();
    let server = text(MetaKey::Server)?.unwrap_or_default();
    Ok(Some(Identity { device, person, person_name, server }))
}

pub(super) fn format(engine: &Storage) -> Result<Option<u16>, StoreFault> {
    value(engine, MetaKey::Format, |bytes| Some(u16::from_be_bytes(bytes.try_into().ok()?)))
}

fn number(engine: &Storage, name: MetaKey) -> Result<Option<u64>, StoreFault> {
    value(engine, name, |bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)))
}

fn value<T>(
    engine: &Storage,
    name: MetaKey,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, StoreFault> {
    decoded(&|name| Ok(engine.get(&keys::meta(name))?), name, decode)
}

fn decoded<T>(
    entry: &impl Fn(MetaKey) -> Result<Option<Vec<u8>>, StoreFault>,
    name: MetaKey,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, StoreFault> {
    let Some(bytes) = entry(name)? else { return Ok(None) };
    let decoded = decode(&bytes).ok_or_else(|| StoreFault::malformed(format!("meta entry {name:?}")))?;
    Ok(Some(decoded))
}
