//! The devices. Each records its weeks in a random order, offline, and syncs in rounds.

use std::collections::{BTreeMap, VecDeque};
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio::sync::Notify;
use xundian_client::{Client, Gtin, OutletId, SyncError, VisitBundle};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::OpSeq;
use xundian_server::Server;

use super::ReplayError;

const HOUR_MS: i64 = 3_600_000;
/// The ops of a visit: the visit and its shelf.
const OPS_PER_VISIT: u64 = 2;
const ROUNDS_MAX: usize = 5;
const MERGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A device to be enrolled, with the weeks that it will record.
pub(super) struct Device {
    pub(super) outlet: OutletId,
    pub(super) weeks: BTreeMap<Day, Vec<(usize, bool)>>,
    pub(super) home: PathBuf,
    pub(super) invitation: String,
}

/// What the devices did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) visits: usize,
    pub(super) syncs: usize,
    pub(super) syncs_again: usize,
    pub(super) resent_ops: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.visits += other.visits;
        self.syncs += other.syncs;
        self.syncs_again += other.syncs_again;
        self.resent_ops += other.resent_ops;
    }
}

/// Enrols devices, then gives them turns in a random order until each has recorded and synced everything.
pub(super) async fn run_lane(
    server: Arc<Server>,
    devices: Vec<Device>,
    gtins: Arc<BTreeMap<usize, Gtin>>,
    mut random: StdRng,
) -> Result<Counts, ReplayError> {
    let mut phones = Vec::new();
    for device in devices {
        phones.push(Phone::enrol(device, Arc::clone(&gtins), &mut random).await?);
    }
    let turns_of = |(at, phone): (usize, &Phone)| std::iter::repeat_n(at, phone.rounds.len());
    let mut turns: Vec<usize> = phones.iter().enumerate().flat_map(turns_of).collect();
    turns.shuffle(&mut random);
    let mut counts = Counts::default();
    for turn in turns {
        phones[turn].take_turn(&server, &mut random, &mut counts).await?;
    }
    for phone in &phones {
        phone.check_all_sent()?;
    }
    Ok(counts)
}

type Week = (Day, Vec<(usize, bool)>);

struct Phone {
    client: Client,
    outlet: OutletId,
    gtins: Arc<BTreeMap<usize, Gtin>>,
    /// The weeks to record before each sync.
    rounds: VecDeque<Vec<Week>>,
    ops_saved: u64,
}

impl Phone {
    /// Enrols a device and syncs once, so that it has what it needs offline.
    async fn enrol(
        device: Device,
        gtins: Arc<BTreeMap<usize, Gtin>>,
        random: &mut StdRng,
    ) -> Result<Self, ReplayError> {
        let client = Client::enrol(&device.home, &device.invitation, "replay").await?;
        client.sync(|_| {}).await?;
        let mut weeks: Vec<Week> = device.weeks.into_iter().collect();
        weeks.shuffle(random);
        let per_round = weeks.len().div_ceil(random.random_range(1..=ROUNDS_MAX)).max(1);
        let rounds = weeks.chunks(per_round).map(<[Week]>::to_vec).collect();
        Ok(Self { client, outlet: device.outlet, gtins, rounds, ops_saved: 0 })
    }

    /// Records one round of weeks, then syncs: normally, again after losing all receipts, or twice.
    async fn take_turn(
        &mut self,
        server: &Server,
        random: &mut StdRng,
        counts: &mut Counts,
    ) -> Result<(), ReplayError> {
        let round = self.rounds.pop_front().unwrap_or_default();
        tokio::task::block_in_place(|| round.iter().try_for_each(|week| self.record(week)))?;
        let ops = round.len() as u64 * OPS_PER_VISIT;
        counts.visits += round.len();
        self.ops_saved += ops;
        if random.random_ratio(1, 4) {
            self.sync_without_receipts(server).await?;
            counts.resent_ops += self.client.status()?.unsent_ops;
        }
        self.client.sync(|_| {}).await?;
        counts.syncs += 1;
        if random.random_ratio(1, 4) {
            self.client.sync(|_| {}).await?;
            counts.syncs_again += 1;
        }
        Ok(())
    }

    fn record(&self, (day, lines): &Week) -> Result<(), ReplayError> {
        let midnight_ms =
            day.start_ms(DEFAULT_ZONE).ok_or_else(|| ReplayError::Device(format!("no day {day}")))?;
        let opened_at_ms = midnight_ms + 9 * HOUR_MS;
        let mut visit = VisitBundle::new(self.outlet, opened_at_ms, opened_at_ms + HOUR_MS / 2);
        let line = |(product, in_stock): &(usize, bool)| Some((*self.gtins.get(product)?, *in_stock));
        visit.shelf.present = lines.iter().filter_map(line).collect();
        self.client.record(&visit)?;
        Ok(())
    }

    /// Sends everything, waits until the server has merged it, and drops the connection before reading an answer, like
    /// a phone that goes out of range. The next sync sends everything again.
    async fn sync_without_receipts(&self, server: &Server) -> Result<(), ReplayError> {
        let device = self.client.identity().ok_or(SyncError::NotEnrolled)?.device;
        let (sent, mut steps) = (Notify::new(), 0);
        // The outbox is read twice, the second time to find its end. By then everything was sent.
        let sync = self.client.sync(|_| {
            steps += 1;
            if steps == 2 {
                sent.notify_one();
            }
        });
        tokio::pin!(sync);
        tokio::select! {
            biased;
            () = sent.notified() => {}
            done = &mut sync => { done?; }
        }
        let begun = Instant::now();
        while server.device(device)?.is_some_and(|device| device.applied_through < OpSeq(self.ops_saved)) {
            if begun.elapsed() > MERGE_TIMEOUT {
                return Err(ReplayError::Device(format!("the server has not merged what {device} sent")));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    fn check_all_sent(&self) -> Result<(), ReplayError> {
        let status = self.client.status()?;
        if status.unsent_ops == 0 && status.rejected_ops == 0 {
            return Ok(());
        }
        let first = self.client.rejected()?.into_iter().next().map(|rejected| rejected.message);
        Err(ReplayError::Device(format!("not all was merged: {status:?}, {first:?}")))
    }
}
