//! A device in the test's own process: a real store and real sync, with a clock that the test holds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use xundian_client::{Client, Moment, ShelfObservation, StockCount, SyncError, SyncReport, VisitBundle};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::OutletId;
use xundian_server::sessions;

use super::company;

/// A clock that stands until it is moved.
#[derive(Clone, Debug)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// A clock that shows the present moment.
    pub fn now() -> Self {
        Self(Arc::new(AtomicI64::new(sessions::now_ms())))
    }

    /// What it shows, Unix milliseconds.
    pub fn read_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it on.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets it to an hour of a day of the company's zone.
    ///
    /// # Panics
    /// Where there is no such day.
    pub fn set(&self, day: Day, hour: i64) {
        let midnight = day.start_ms(DEFAULT_ZONE).expect("a day of the calendar");
        self.0.store(midnight + hour * 3_600_000, Ordering::Relaxed);
    }

    /// Sets it to the present moment.
    pub fn set_to_now(&self) {
        self.0.store(sessions::now_ms(), Ordering::Relaxed);
    }

    fn moment(&self) -> Moment {
        let now_ms = self.read_ms();
        Moment { now_ms, mono_ms: u64::try_from(now_ms).unwrap_or(0), boot: [7; 16] }
    }
}

/// An enrolled device in a folder of its own.
pub struct Device {
    /// What an app holds.
    pub client: Arc<Client>,
    /// Its clock.
    pub clock: HandClock,
    /// Its home folder.
    pub home: TempDir,
}

impl Device {
    /// Enrols a new device.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn enrol(invitation: &str, label: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        drop(Client::enrol(home.path(), invitation, label).await.expect("the invitation is good"));
        Self::open(home)
    }

    /// Opens an enrolled device anew, as after a restart of the app.
    ///
    /// # Panics
    /// Where its store does not open.
    pub fn open(home: TempDir) -> Self {
        let clock = HandClock::now();
        let reading = clock.clone();
        let client = Client::open_with_clocks(home.path(), Box::new(move || reading.moment()));
        Self { client: Arc::new(client.expect("the store opens")), clock, home }
    }

    /// Closes it, and gives its folder back.
    pub fn close(self) -> TempDir {
        self.home
    }

    /// Its home folder.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Syncs at the present moment.
    ///
    /// # Panics
    /// Where it fails.
    pub async fn sync(&self) -> SyncReport {
        self.try_sync().await.expect("the sync comes to its end")
    }

    /// Syncs at the present moment.
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub async fn try_sync(&self) -> Result<SyncReport, SyncError> {
        self.clock.set_to_now();
        self.client.sync(|_| {}).await
    }

    /// Records a whole visit of ten minutes on a day, with `lines` products seen and counted: the first is
    /// missing on the shelf, and of product n there are n + 1 units on it.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn visit(&self, outlet: &str, day: Day, lines: u64) -> xundian_client::VisitId {
        self.clock.set(day, 10);
        let opened_at_ms = self.clock.read_ms();
        self.clock.advance_ms(600_000);
        self.client
            .record(&bundle(company::outlet(outlet), opened_at_ms, lines))
            .expect("the visit is recorded")
    }
}

/// A closed visit of ten minutes, with lines as [`Device::visit`] says.
pub fn bundle(outlet: OutletId, opened_at_ms: i64, lines: u64) -> VisitBundle {
    let units = |n: u64| i64::try_from(n).unwrap_or(0) + 1;
    VisitBundle {
        time_in_store_ms: Some(600_000),
        shelf: ShelfObservation {
            present: (0..lines).map(|n| (company::product(n), n > 0)).collect(),
            facings_own: (0..lines).map(|n| (company::product(n), units(n))).collect(),
            ..ShelfObservation::default()
        },
        count: StockCount {
            shelf_units: (0..lines).map(|n| (company::product(n), units(n))).collect(),
            ..StockCount::default()
        },
        ..VisitBundle::new(outlet, opened_at_ms, opened_at_ms + 600_000)
    }
}
