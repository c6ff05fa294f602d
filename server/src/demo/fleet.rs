//! The 36 phones: each a real client with its own store, which enrols, records offline, and syncs over QUIC in its own
//! way.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use indicatif::ProgressBar;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use xundian_client::{Client, EnrolError, RecordError, StoreError, SyncError, SyncReport, Visit};
use xundian_protocol::calendar::Day;
use xundian_protocol::invitation::{Invitation, InvitationError};

use super::catalogue::Item;
use super::clock::PhoneClock;
use super::company::Merchandiser;
use super::day::Shift;
use crate::Server;
use crate::enrolment::InviteError;
use crate::sessions::now_ms;

/// Phones that work at the same time: more than there are cores, since they mostly wait for disks.
const AT_ONCE: usize = 8;
const INVITATION_VALID_MS: i64 = 3_600_000;

/// How a phone syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Habit {
    /// Once, at the end of the day.
    Once,
    /// Twice in a row.
    Twice,
    /// The first sync is cut off after this many steps; the app restarts and syncs again.
    CutOff(u32),
    /// After all others.
    Late,
}

impl Habit {
    /// The habit of the nth phone: of 36 there are 12, 9, 9 and 6 of each, spread over the regions.
    pub(super) fn of(nth: usize) -> Self {
        match nth * 7 % 12 {
            0 | 1 => Self::Late,
            2..5 => Self::CutOff(u32::try_from(nth % 3).unwrap_or(0) + 1),
            5..8 => Self::Twice,
            _ => Self::Once,
        }
    }
}

/// Why a phone's day failed.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// The invitation failed.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The invitation has no address.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The enrolment failed.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// A save failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A sync failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The phone's store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A phone's error with its number.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A phone failed.
    #[error("手机 phone {number:02}: {source}")]
    Phone {
        /// Its number, from 1.
        number: usize,
        /// The error.
        source: Box<PhoneError>,
    },
    /// A task panicked.
    #[error("a phone's task has failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A phone and the person who carries it.
pub(super) struct Phone {
    pub(super) who: Merchandiser,
    pub(super) habit: Habit,
    folder: PathBuf,
    clock: Arc<PhoneClock>,
    client: Client,
}

/// What a phone holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Holds {
    /// Visits saved on it.
    pub(super) visits: i64,
    /// Unsent saves.
    pub(super) unsent: u64,
    /// Rejected saves.
    pub(super) rejected: u64,
}

/// The outcome of a phone's evening.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Evening {
    pub(super) syncs: usize,
    /// Syncs that were cut off.
    pub(super) cuts: usize,
}

impl Phone {
    /// Enrols a phone over QUIC and fetches its outlets and plan. Its clock is stopped at `at_ms`.
    pub(super) async fn enrol(
        server: Arc<Server>,
        address: SocketAddr,
        folder: PathBuf,
        who: Merchandiser,
        at_ms: i64,
    ) -> Result<Self, PhoneError> {
        let new =
            tokio::task::block_in_place(|| server.invite(who.person, INVITATION_VALID_MS, "demo", now_ms()))?;
        let invitation = Invitation::new(address.to_string(), new.authority_fingerprint, new.secret)?;
        let label = format!("{} 的手机", who.name);
        drop(Client::enrol(&folder, &invitation.to_string(), &label).await?);
        let clock = Arc::new(PhoneClock::at(at_ms));
        let client = open(&folder, &clock)?;
        client.sync(|_| {}).await?;
        Ok(Self { habit: Habit::of(who.nth), who, folder, clock, client })
    }

    /// Records the day that begins at `midnight_ms`.
    pub(super) fn record(&self, items: &[Item], midnight_ms: i64, seed: u64) -> Result<(), PhoneError> {
        // Each person's day follows from the seed alone, regardless of concurrent phones.
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(self.who.nth as u64));
        let (client, clock) = (&self.client, self.clock.as_ref());
        Shift { client, clock, who: &self.who, items, midnight_ms, random }.record()?;
        self.clock.run();
        Ok(())
    }

    /// Syncs by the phone's habit.
    pub(super) async fn sync_as_usual(mut self) -> Result<(Self, Evening), PhoneError> {
        let mut evening = Evening { syncs: 1, cuts: 0 };
        match self.habit {
            Habit::Once | Habit::Late => {}
            Habit::Twice => {
                self.sync().await?;
                evening.syncs += 1;
            }
            Habit::CutOff(steps) => {
                let finished = self.sync_until(steps).await?;
                evening.cuts += usize::from(finished.is_none());
                evening.syncs += usize::from(finished.is_some());
                self = self.restart()?;
            }
        }
        self.sync().await?;
        Ok((self, evening))
    }

    /// Syncs once.
    pub(super) async fn sync(&self) -> Result<SyncReport, SyncError> {
        self.client.sync(|_| {}).await
    }

    /// Syncs until the network was awaited this many times, then drops the sync with its connection. `None` if it was
    /// dropped before its end.
    async fn sync_until(&self, steps: u32) -> Result<Option<SyncReport>, SyncError> {
        let taken = AtomicU32::new(0);
        let count = |_| _ = taken.fetch_add(1, Ordering::Relaxed);
        let mut sync = pin!(self.client.sync(count));
        poll_fn(|context| match sync.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(ended.map(Some)),
            Poll::Pending if taken.load(Ordering::Relaxed) >= steps => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Closes the app and opens it again from the disk.
    fn restart(self) -> Result<Self, StoreError> {
        let Self { who, habit, folder, clock, client } = self;
        // A store is open once at a time, so the old client is dropped first.
        drop(client);
        let client = open(&folder, &clock)?;
        Ok(Self { who, habit, folder, clock, client })
    }

    /// What the phone holds of a day.
    pub(super) fn holds(&self, day: Day) -> Result<Holds, PhoneError> {
        let visits = self.client.list(Visit::SPEC.kind, Some(day))?.len();
        let status = self.client.status()?;
        Ok(Holds {
            visits: i64::try_from(visits).unwrap_or(i64::MAX),
            unsent: status.unsent_ops,
            rejected: status.rejected_ops,
        })
    }
}

/// Adds the phone's number to its error.
pub(super) fn blame(nth: usize) -> impl FnOnce(PhoneError) -> FleetError + use<> {
    move |source| FleetError::Phone { number: nth + 1, source: Box::new(source) }
}

fn open(folder: &Path, clock: &Arc<PhoneClock>) -> Result<Client, StoreError> {
    let clock = Arc::clone(clock);
    Client::open_with_clocks(folder, Box::new(move || clock.read()))
}

/// Runs these futures, a bounded number at a time, and returns the results in order of completion.
pub(super) async fn all<T, F>(work: impl Iterator<Item = F>, bar: &ProgressBar) -> Result<Vec<T>, FleetError>
where
    F: Future<Output = Result<T, FleetError>> + Send + 'static,
    T: Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for one in work {
        let (room, bar) = (Arc::clone(&room), bar.clone());
        tasks.spawn(async move {
            // The semaphore is never closed; without a permit this would only run earlier.
            let _permit = room.acquire().await;
            let done = one.await;
            bar.inc(1);
            done
        });
    }
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(done) = tasks.join_next().await {
        results.push(done??);
    }
    Ok(results)
}
