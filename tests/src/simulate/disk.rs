//! Disks that fail when the simulation says so: a power cut at any commit, before it took or after, and a full disk.
//!
//! Both keep what the real engines promise of a commit: all or nothing, and durable when it returns, unless it was
//! said to be one that may be lost. That the engines keep that promise is for the power cuts of real files to show.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use xundian_server::store::{RowWrite, Table};

/// A power cut that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerCut {
    /// Commits that still go through.
    pub(super) after_commits: u32,
    /// Whether the commit that it meets takes all the same.
    pub(super) takes: bool,
}

/// What a disk is able to do.
#[derive(Debug, Default)]
struct Power {
    cut: Option<PowerCut>,
    /// One that is to come after the next start.
    next: Option<PowerCut>,
    is_off: bool,
    is_full: bool,
    commits: u64,
}

/// What becomes of a commit.
#[derive(PartialEq, Eq)]
enum Fate {
    Takes,
    /// It takes, and nobody hears of it.
    TakesUnheard,
}

impl Power {
    /// The power is back. What was to be cut before is not any more.
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

/// A device's disk.
#[derive(Default)]
pub(super) struct DeviceDisk(Mutex<(DeviceRows, Power)>);

impl DeviceDisk {
    /// A disk with what another one had on it.
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

    /// What cuts the power while or after it is started next, if anything does.
    pub(super) fn cut_next(&self, cut: Option<PowerCut>) {
        self.inner().1.next = cut;
    }

    /// No power cut is to come any more.
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
/// What rows were before a commit.
type Before = Vec<(ServerKey, Option<Vec<u8>>)>;

#[derive(Default)]
struct ServerInner {
    rows: ServerRows,
    /// The commits since the last durable one, each with what it wrote over.
    unsynced: Vec<Before>,
    power: Power,
}

/// The server's disk.
#[derive(Default)]
pub(super) struct ServerDisk(Mutex<ServerInner>);

impl ServerDisk {
    fn inner(&self) -> MutexGuard<'_, ServerInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cut_power(&self, cut: PowerCut) {
        self.inner().power.cut = Some(cut);
    }

    /// What cuts the power while or after it is started next, if anything does.
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

    /// No power cut is to come any more.
    pub(super) fn disarm(&self) {
        let power = &mut self.inner().power;
        (power.cut, power.next) = (None, None);
    }

    /// The power is back. Of the commits that might be lost, only the first `kept` are there. Says how many are lost.
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

    /// What is on it.
    pub(super) fn rows(&self) -> ServerRows {
        self.inner().rows.clone()
    }

    /// A disk with what another one had on it.
    pub(super) fn holding(rows: ServerRows) -> Self {
        Self(Mutex::new(ServerInner { rows, ..ServerInner::default() }))
    }

    /// A row as a power cut at this moment would leave it at the latest.
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
