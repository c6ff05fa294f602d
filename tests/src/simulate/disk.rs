//! Simulated disks that fail on demand: a power cut before or after any commit, or a full disk.
//!
//! Both disks keep the promise of the real engines: a commit is all or nothing, and durable when it returns, unless the
//! caller allows it to be lost. The power cut tests on real files show that the engines keep that promise.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xundian_server::store::{RowWrite, Table};

/// A power cut in the future.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerCut {
    /// The number of commits before it.
    pub(super) after_commits: u32,
    /// Whether the interrupted commit succeeds although it returns an error.
    pub(super) takes: bool,
}

/// The state of a disk.
#[derive(Debug, Default)]
struct Power {
    cut: Option<PowerCut>,
    /// The cut to arm at the next start.
    next: Option<PowerCut>,
    is_off: bool,
    is_full: bool,
    commits: u64,
}

/// The result of a commit.
#[derive(PartialEq, Eq)]
enum Fate {
    Takes,
    /// It succeeds, but returns an error.
    TakesUnheard,
}

impl Power {
    /// Restores the power, and arms the next cut in the place of the old one.
    const fn on(&mut self) {
        (self.is_off, self.cut) = (false, self.next.take());
    }

    fn check(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn meet(&mut self) -> io::Result<Fate> {
        self.check()?;
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.commits += 1;
        let Some(cut) = &mut self.cut else { return Ok(Fate::Takes) };
        if cut.after_commits > 0 {
            cut.after_commits -= 1;
            return Ok(Fate::Takes);
        }
        let takes = cut.takes;
        (self.cut, self.is_off) = (None, true);
        if takes { Ok(Fate::TakesUnheard) } else { self.check().map(|()| Fate::Takes) }
    }
}

fn heard(fate: &Fate) -> io::Result<()> {
    if *fate == Fate::Takes { Ok(()) } else { Err(io::Error::other("the power went off")) }
}

/// Rows of a device's store.
pub(super) type DeviceRows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A device's simulated disk.
#[derive(Default)]
pub(super) struct DeviceDisk(Mutex<(DeviceRows, Power)>);

impl DeviceDisk {
    /// Creates a disk with the rows of another one.
    pub(super) fn holding(rows: DeviceRows) -> Self {
        Self(Mutex::new((rows, Power::default())))
    }

    fn inner(&self) -> MutexGuard<'_, (DeviceRows, Power)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rows(&self) -> DeviceRows {
        self.inner().0.clone()
    }

    pub(super) fn cut_power(&self, cut: PowerCut) {
        self.inner().1.cut = Some(cut);
    }

    /// Sets the cut to arm at the next start, if any.
    pub(super) fn cut_next(&self, cut: Option<PowerCut>) {
        self.inner().1.next = cut;
    }

    /// Removes all future cuts.
    pub(super) fn disarm(&self) {
        let power = &mut self.inner().1;
        (power.cut, power.next) = (None, None);
    }

    pub(super) fn is_off(&self) -> bool {
        self.inner().1.is_off
    }

    pub(super) fn power_on(&self) {
        self.inner().1.on();
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.inner().1.is_full = is_full;
    }

    pub(super) fn is_full(&self) -> bool {
        self.inner().1.is_full
    }
}

impl xundian_client::Disk for DeviceDisk {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let inner = self.inner();
        inner.1.check()?;
        Ok(inner.0.get(key).cloned())
    }

    fn entries(&self, from: &[u8], to: Option<&[u8]>, max: usize) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let inner = self.inner();
        inner.1.check()?;
        if to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = inner.0.range::<[u8], _>((Bound::Included(from), to));
        Ok(rows.take(max).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, writes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> io::Result<()> {
        let (rows, power) = &mut *self.inner();
        let fate = power.meet()?;
        for (key, value) in writes {
            match value {
                Some(value) => _ = rows.insert(key.clone(), value.clone()),
                None => _ = rows.remove(key),
            }
        }
        heard(&fate)
    }
}

type ServerKey = (Table, Vec<u8>);
pub(super) type ServerRows = BTreeMap<ServerKey, Vec<u8>>;
/// The values that a commit replaced.
type Before = Vec<(ServerKey, Option<Vec<u8>>)>;

#[derive(Default)]
struct ServerInner {
    rows: ServerRows,
    /// The commits since the last durable one, each with the values that it replaced.
    unsynced: Vec<Before>,
    power: Power,
}

/// The server's simulated disk.
#[derive(Default)]
pub(super) struct ServerDisk(Mutex<ServerInner>);

impl ServerDisk {
    fn inner(&self) -> MutexGuard<'_, ServerInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut_power(&self, cut: PowerCut) {
        self.inner().power.cut = Some(cut);
    }

    /// Sets the cut to arm at the next start, if any.
    pub(super) fn cut_next(&self, cut: Option<PowerCut>) {
        self.inner().power.next = cut;
    }

    pub(super) fn is_off(&self) -> bool {
        self.inner().power.is_off
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.inner().power.is_full = is_full;
    }

    pub(super) fn is_full(&self) -> bool {
        self.inner().power.is_full
    }

    /// Removes all future cuts.
    pub(super) fn disarm(&self) {
        let power = &mut self.inner().power;
        (power.cut, power.next) = (None, None);
    }

    /// Restores the power. Of the commits that may be lost only the first `kept` remain. Returns how many are lost.
    pub(super) fn power_on(&self, kept: usize) -> usize {
        let inner = &mut *self.inner();
        let lost = inner.unsynced.split_off(kept.min(inner.unsynced.len()));
        for before in lost.iter().rev() {
            for (key, value) in before.iter().rev() {
                match value {
                    Some(value) => _ = inner.rows.insert(key.clone(), value.clone()),
                    None => _ = inner.rows.remove(key),
                }
            }
        }
        inner.unsynced.clear();
        inner.power.on();
        lost.len()
    }

    /// Returns all rows.
    pub(super) fn rows(&self) -> ServerRows {
        self.inner().rows.clone()
    }

    /// Creates a disk with the rows of another one.
    pub(super) fn holding(rows: ServerRows) -> Self {
        Self(Mutex::new(ServerInner { rows, ..ServerInner::default() }))
    }

    /// Returns the row that remains if the power fails now and all commits that may be lost are lost.
    pub(super) fn durable(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        let inner = self.inner();
        let key = (table, key.to_vec());
        let written = inner.unsynced.iter().flatten().find(|(written, _)| *written == key);
        written.map_or_else(|| inner.rows.get(&key).cloned(), |(_, before)| before.clone())
    }
}

impl xundian_server::store::Disk for ServerDisk {
    fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let inner = self.inner();
        inner.power.check()?;
        Ok(inner.rows.get(&(table, key.to_vec())).cloned())
    }

    fn range(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let inner = self.inner();
        inner.power.check()?;
        let from = from.map(|key| (table, key.to_vec()));
        let from = if from == Bound::Unbounded { Bound::Included((table, Vec::new())) } else { from };
        let is_within = |key: &[u8]| match to {
            Bound::Unbounded => true,
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
        };
        let rows = inner.rows.range((from, Bound::Unbounded));
        let rows = rows.take_while(|((of, key), _)| *of == table && is_within(key));
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&self, writes: Vec<RowWrite>, may_be_lost: bool) -> io::Result<()> {
        let inner = &mut *self.inner();
        let fate = inner.power.meet()?;
        let mut before = Before::new();
        for (table, key, value) in writes {
            let key = (table, key);
            let old = match value {
                Some(value) => inner.rows.insert(key.clone(), value),
                None => inner.rows.remove(&key),
            };
            before.push((key, old));
        }
        if may_be_lost {
            inner.unsynced.push(before);
        } else {
            inner.unsynced.clear();
        }
        heard(&fate)
    }

    fn commits(&self) -> u64 {
        self.inner().power.commits
    }
}
