//! A device in the test's process: a real store and real sync, with a clock that the test controls.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use xundian_client::{Client, Moment, ShelfObservation, StockCount, SyncError, SyncReport, VisitBundle};
use xundian_protocol::calendar::{DEFAULT_ZONE, Day};
use xundian_protocol::ids::OutletId;
use xundian_server::sessions;

use super::company;

/// A clock that only moves when a test moves it.
#[derive(Clone, Debug)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// Creates a clock set to the present time.
    pub fn now() -> Self {
        Self(Arc::new(AtomicI64::new(sessions::now_ms())))
    }

    /// Returns its time in Unix milliseconds.
    pub fn read_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it forward.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets it to an hour of a day, in the company's time zone.
    ///
    /// # Panics
    /// Panics if there is no such day.
    pub fn set(&self, day: Day, hour: i64) {
        let midnight = day.start_ms(DEFAULT_ZONE).expect("a day of the calendar");
        self.0.store(midnight + hour * 3_600_000, Ordering::Relaxed);
    }

    /// Sets it to the present time.
    pub fn set_to_now(&self) {
        self.0.store(sessions::now_ms(), Ordering::Relaxed);
    }

    fn moment(&self) -> Moment {
        let now_ms = self.read_ms();
        Moment { now_ms, mono_ms: u64::try_from(now_ms).unwrap_or(0), boot: [7; 16] }
    }
}

/// An enrolled device with its own folder.
pub struct Device {
    /// The client, as an app uses it.
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
    /// Panics if the server refuses.
    pub async fn enrol(invitation: &str, label: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        drop(Client::enrol(home.path(), invitation, label).await.expect("the invitation is good"));
        Self::open(home)
    }

    /// Opens an enrolled device again, as after a restart of the app.
    ///
    /// # Panics
    /// Panics if its store does not open.
    pub fn open(home: TempDir) -> Self {
        let clock = HandClock::now();
        let reading = clock.clone();
        let client = Client::open_with_clocks(home.path(), Box::new(move || reading.moment()));
        Self { client: Arc::new(client.expect("the store opens")), clock, home }
    }

    /// Closes it, and returns its folder.
    pub fn close(self) -> TempDir {
        self.home
    }

    /// Returns its home folder.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Sets the clock to the present time and syncs.
    ///
    /// # Panics
    /// Panics if the sync fails.
    pub async fn sync(&self) -> SyncReport {
        self.try_sync().await.expect("the sync succeeds")
    }

    /// Sets the clock to the present time and syncs.
    ///
    /// # Errors
    /// Returns the errors of [`Client::sync`].
    pub async fn try_sync(&self) -> Result<SyncReport, SyncError> {
        self.clock.set_to_now();
        self.client.sync(|_| {}).await
    }

    /// Records a visit of ten minutes on a day, with `lines` audited and counted products. Product 0 is absent from
    /// the shelf; of product n there are n + 1 units.
    ///
    /// # Panics
    /// Panics if the visit is refused.
    pub fn visit(&self, outlet: &str, day: Day, lines: u64) -> xundian_client::VisitId {
        self.clock.set(day, 10);
        let opened_at_ms = self.clock.read_ms();
        self.clock.advance_ms(600_000);
        self.client
            .record(&bundle(company::outlet(outlet), opened_at_ms, lines))
            .expect("the visit is recorded")
    }
}

/// Creates a closed visit of ten minutes, with products as in [`Device::visit`].
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
