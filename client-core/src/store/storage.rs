//! Storage: the engine on a disk or, in a simulation, a disk of the caller. Both keep the engine's contract: a commit
//! is atomic, and durable when it returns.

#[cfg(feature = "simulation")]
use std::sync::Arc;

#[cfg(feature = "simulation")]
use super::engine::KeyRange;
use super::engine::{Batch, Engine, EngineError, Entry};
use crate::sealing::{Cover, StoreKey};

/// A simulated disk.
#[cfg(feature = "simulation")]
pub trait Disk: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk fails.
    fn get(&self, key: &[u8]) -> std::io::Result<Option<Vec<u8>>>;

    /// The first entries from a key on, in the order of keys: at most `max`, all before `to`.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk fails.
    fn entries(&self, from: &[u8], to: Option<&[u8]>, max: usize)
    -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// Writes a batch atomically; `None` removes a key. The batch is durable when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the disk fails. The batch may then be there or not, as after a power cut, and the store must
    /// be opened again.
    fn commit(&self, writes: &std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> std::io::Result<()>;
}

/// The entries that a scan of a simulated disk reads at a time.
#[cfg(feature = "simulation")]
const PAGE_ENTRIES_MAX: usize = 128;

/// The storage of a store.
pub(super) enum Storage {
    /// On a disk.
    Engine(Engine),
    /// By a simulation.
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn Disk>),
}

/// The iterator of a scan.
type Scan<'a> = Box<dyn Iterator<Item = Result<Entry, EngineError>> + 'a>;

impl Storage {
    /// As [`Engine::get`].
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self {
            Self::Engine(engine) => engine.get(key),
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => disk.get(key).map_err(simulated),
        }
    }

    /// As [`Engine::contains`].
    pub(super) fn contains(&self, key: &[u8]) -> Result<bool, EngineError> {
        match self {
            Self::Engine(engine) => engine.contains(key),
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => Ok(disk.get(key).map_err(simulated)?.is_some()),
        }
    }

    /// As [`Engine::scan_prefix`].
    pub(super) fn scan_prefix(&self, prefix: &[u8]) -> Scan<'_> {
        match self {
            Self::Engine(engine) => Box::new(engine.scan_prefix(prefix)),
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => scan(disk.as_ref(), KeyRange::of_prefix(prefix)),
        }
    }

    /// As [`Engine::scan_range`].
    pub(super) fn scan_range(&self, from: &[u8], to: &[u8]) -> Scan<'_> {
        match self {
            Self::Engine(engine) => Box::new(engine.scan_range(from, to)),
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => {
                scan(disk.as_ref(), KeyRange { from: from.to_vec(), to: Some(to.to_vec()) })
            }
        }
    }

    /// As [`Engine::commit`].
    pub(super) fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        match self {
            Self::Engine(engine) => engine.commit(batch),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) if batch.writes().is_empty() => Ok(()),
            #[cfg(feature = "simulation")]
            Self::Simulated(disk) => disk.commit(batch.writes()).map_err(simulated),
        }
    }

    /// As [`Engine::cover`].
    pub(super) const fn cover(&self) -> &Cover {
        match self {
            Self::Engine(engine) => engine.cover(),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => &Cover::Plain,
        }
    }

    /// As [`Engine::recount`]. A simulated disk loses nothing and is not counted.
    pub(super) fn recount(&self) -> Result<(), EngineError> {
        match self {
            Self::Engine(engine) => engine.recount(),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => Ok(()),
        }
    }

    /// As [`Engine::has_stopped`].
    pub(super) fn has_stopped(&self) -> bool {
        match self {
            Self::Engine(engine) => engine.has_stopped(),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => false,
        }
    }

    /// As [`Engine::change_key`].
    pub(super) fn change_key(&self, key: &StoreKey) -> Result<(), EngineError> {
        match self {
            Self::Engine(engine) => engine.change_key(key),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => Err(EngineError::NotSealed { folder: SIMULATED.into() }),
        }
    }

    /// As [`Engine::size_on_disk_bytes`].
    pub(super) fn size_on_disk_bytes(&self) -> Result<u64, EngineError> {
        match self {
            Self::Engine(engine) => engine.size_on_disk_bytes(),
            #[cfg(feature = "simulation")]
            Self::Simulated(_) => Ok(0),
        }
    }
}

/// The name used for the folder in messages.
#[cfg(feature = "simulation")]
const SIMULATED: &str = "(simulated)";

#[cfg(feature = "simulation")]
fn simulated(source: std::io::Error) -> EngineError {
    EngineError::Io { folder: SIMULATED.into(), source }
}

/// Reads a range page by page, as the engine does.
#[cfg(feature = "simulation")]
fn scan(disk: &dyn Disk, mut range: KeyRange) -> Scan<'_> {
    let mut page = Vec::new().into_iter();
    let mut is_done = false;
    Box::new(std::iter::from_fn(move || {
        if page.len() == 0 && !is_done {
            match disk.entries(&range.from, range.to.as_deref(), PAGE_ENTRIES_MAX) {
                Ok(entries) => {
                    is_done = entries.len() < PAGE_ENTRIES_MAX;
                    if let Some((last, _)) = entries.last() {
                        // The least key after the last one is that key followed by a zero byte.
                        range.from = [last, &[0][..]].concat();
                    }
                    page = entries.into_iter();
                }
                Err(error) => {
                    is_done = true;
                    return Some(Err(simulated(error)));
                }
            }
        }
        page.next().map(Ok)
    }))
}
