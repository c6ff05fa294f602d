//! The script of a run, made from its seed before the run: work, syncs and faults.
//!
//! Each event has its own random seed, so removing some events does not change the others. That makes shrinking a
//! failing run possible.

use super::release::Release;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The size of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    /// The number of phones, 1 to [`DEVICES_MAX`].
    pub devices: usize,
    /// The length of the storm in hours.
    pub hours: u32,
}

/// The largest number of phones.
pub const DEVICES_MAX: usize = 50;
/// The longest storm in hours.
pub const HOURS_MAX: u32 = 24 * 60;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A kind of event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EventKind {
    /// A person works with their phone.
    Work,
    /// A phone syncs. `Push` only pushes.
    Sync,
    Push,
    /// Headquarters changes something other than access rights.
    Office,
    /// An outlet is assigned to another position.
    HandOver,
    /// A person gets another position.
    Move,
    Revoke,
    Fault(Fault),
}

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Frames are lost for a while.
    Loss,
    /// Frames are delivered twice.
    Twice,
    /// Frames are delayed, and so reordered.
    Late,
    /// Nothing reaches the server.
    CutUp,
    /// Nothing from the server arrives.
    CutDown,
    /// Nothing arrives in either direction.
    Cut,
    /// A phone loses power at a commit.
    PhoneCrash,
    /// The server loses power at a commit.
    ServerCrash,
    /// A phone's disk is full for a while.
    PhoneFull,
    /// The server's disk is full for a while.
    ServerFull,
    /// A phone's clock jumps.
    Jump,
    /// A phone's clock runs too fast or too slow.
    Drift,
    /// The server's clock jumps.
    ServerJump,
    /// A phone is backed up.
    Backup,
    /// A phone's backup is restored.
    Restore,
    /// A phone's backup is restored on a second phone.
    Copy,
    /// The server is backed up.
    ServerBackup,
    /// The server's backup is restored.
    ServerRestore,
    /// A phone's app is updated.
    AppUpdate,
    /// The server is updated.
    ServerUpdate,
}

impl Fault {
    /// Replaces a fault about phones' backups by that about the server's.
    const fn of_server(self) -> Self {
        match self {
            Self::Backup => Self::ServerBackup,
            Self::Restore | Self::Copy => Self::ServerRestore,
            other => other,
        }
    }

    /// The relative frequencies. Faults about the server's backups take the place of those about phones'.
    const WEIGHTS: [(Self, u32); 16] = [
        (Self::Loss, 6),
        (Self::Twice, 6),
        (Self::Late, 6),
        (Self::CutUp, 3),
        (Self::CutDown, 3),
        (Self::Cut, 3),
        (Self::PhoneCrash, 12),
        (Self::ServerCrash, 6),
        (Self::PhoneFull, 3),
        (Self::ServerFull, 2),
        (Self::Jump, 4),
        (Self::Drift, 2),
        (Self::ServerJump, 2),
        (Self::Backup, 3),
        (Self::Restore, 2),
        (Self::Copy, 1),
    ];

    /// Returns its name for tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "frames lost",
            Self::Twice => "frames twice",
            Self::Late => "frames late",
            Self::CutUp => "cut towards the server",
            Self::CutDown => "cut from the server",
            Self::Cut => "cut both ways",
            Self::PhoneCrash => "phone crash",
            Self::ServerCrash => "server crash",
            Self::PhoneFull => "phone's disk full",
            Self::ServerFull => "server's disk full",
            Self::Jump => "phone's clock jumps",
            Self::Drift => "phone's clock drifts",
            Self::ServerJump => "server's clock jumps",
            Self::Backup => "phone backed up",
            Self::Restore => "phone restored",
            Self::Copy => "phone copied",
            Self::ServerBackup => "server backed up",
            Self::ServerRestore => "server restored",
            Self::AppUpdate => "app updated",
            Self::ServerUpdate => "server updated",
        }
    }
}

/// One event of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScriptEvent {
    /// The time since the beginning of the storm.
    pub(super) after_ms: i64,
    /// The phone; ignored by events that concern none.
    pub(super) phone: usize,
    pub(super) what: EventKind,
    /// The seed of everything random about it.
    pub(super) dice: u64,
}

/// The releases at the beginning of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Releases {
    pub(super) server: Release,
    /// The release of each phone's app.
    pub(super) apps: Vec<Release>,
}

/// The events of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    pub(super) size: Size,
    pub(super) releases: Releases,
    pub(super) happenings: Vec<ScriptEvent>,
}

impl Script {
    /// Makes the script of a seed. The default size is one to six phones and 8 to 48 hours.
    pub fn of_seed(seed: u64, devices: Option<usize>, hours: Option<u32>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let size = Size {
            devices: devices.unwrap_or_else(|| rng.random_range(1..=6)).clamp(1, DEVICES_MAX),
            hours: hours.unwrap_or_else(|| rng.random_range(8..=48)).clamp(1, HOURS_MAX),
        };
        let storm_ms = i64::from(size.hours) * HOUR_MS;
        // A run has backups either of phones or of the server. The server detects a phone that continues from an old
        // copy by what it knows of that phone; a server that was restored itself may have lost that.
        let is_servers = seed % 4 == 3;
        // Some runs have few faults, others many.
        let wildness = rng.random_range(1..=20);
        let mut happenings = Vec::new();
        for phone in 0..size.devices {
            let mut at_ms = rng.random_range(0..HOUR_MS);
            while at_ms < storm_ms {
                let what = match rng.random_range(0..100) {
                    0..60 => EventKind::Work,
                    60..80 => EventKind::Sync,
                    80..86 => EventKind::Push,
                    86..89 => EventKind::Office,
                    89 => EventKind::HandOver,
                    90 if rng.random_bool(0.3) => EventKind::Move,
                    91 if rng.random_bool(0.05) => EventKind::Revoke,
                    _ if rng.random_bool(f64::from(wildness) / 20.0) => {
                        let fault = fault(&mut rng);
                        EventKind::Fault(if is_servers { fault.of_server() } else { fault })
                    }
                    _ => EventKind::Work,
                };
                happenings.push(ScriptEvent { after_ms: at_ms, phone, what, dice: rng.random() });
                at_ms += rng.random_range(MINUTE_MS..HOUR_MS);
            }
        }
        let releases = releases(seed, size, &mut happenings);
        happenings.sort_by_key(|happening| happening.after_ms);
        Self { size, releases, happenings }
    }

    /// Returns this script with other events.
    pub(super) fn with(&self, happenings: Vec<ScriptEvent>) -> Self {
        Self { happenings, ..self.clone() }
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.happenings.len()
    }

    /// Whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.happenings.is_empty()
    }
}

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for ScriptEvent { after_ms, phone, what, dice } in &self.happenings {
            let minutes = after_ms / MINUTE_MS;
            writeln!(
                f,
                "  {:>3} h {:>2} min  phone {phone}  {what:?} ({dice:x})",
                minutes / 60,
                minutes % 60
            )?;
        }
        Ok(())
    }
}

/// Chooses the releases that a run begins with, and adds updates to the events. Half of all runs have the present
/// release only. A separate generator is used, so that everything else about the run stays the same.
fn releases(seed: u64, size: Size, happenings: &mut Vec<ScriptEvent>) -> Releases {
    let mut releases = Releases { server: Release::PRESENT, apps: vec![Release::PRESENT; size.devices] };
    if seed % 8 < 4 {
        return releases;
    }
    let mut rng = StdRng::seed_from_u64(!seed);
    let all: Vec<Release> = Release::all().collect();
    let storm_ms = i64::from(size.hours) * HOUR_MS;
    let mut begin = |phone, update| {
        for _ in 0..rng.random_range(0..3) {
            let after_ms = rng.random_range(0..storm_ms);
            happenings.push(ScriptEvent {
                after_ms,
                phone,
                what: EventKind::Fault(update),
                dice: rng.random(),
            });
        }
        all[rng.random_range(0..all.len())]
    };
    releases.server = begin(0, Fault::ServerUpdate);
    for (phone, app) in releases.apps.iter_mut().enumerate() {
        *app = begin(phone, Fault::AppUpdate);
    }
    releases
}

fn fault(rng: &mut StdRng) -> Fault {
    let mut left = rng.random_range(0..Fault::WEIGHTS.iter().map(|(_, weight)| weight).sum());
    for (fault, weight) in Fault::WEIGHTS {
        if left < weight {
            return fault;
        }
        left -= weight;
    }
    Fault::Loss
}
