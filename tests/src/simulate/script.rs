//! What happens in a run, made from its seed before it begins: work, syncs, and everything that goes wrong.
//!
//! Each happening has dice of its own, so that a script with some of them taken out does the rest as before: that is
//! what shrinks a failing run.

use super::release::Release;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How large a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size {
    /// Phones, 1 to [`DEVICES_MAX`].
    pub devices: usize,
    /// How long the storm lasts.
    pub hours: u32,
}

/// The most phones of a run.
pub const DEVICES_MAX: usize = 50;
/// The longest storm.
pub const HOURS_MAX: u32 = 24 * 60;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReportSubject {
    /// Somebody works with their phone.
    Work,
    /// A phone syncs, or pushes only.
    Sync,
    Push,
    /// Headquarters changes something that is no right.
    Office,
    /// An outlet gets somebody else.
    HandOver,
    /// Somebody gets another position.
    Move,
    Revoke,
    Fault(Fault),
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Frames are lost for a while.
    Loss,
    /// Frames come twice.
    Twice,
    /// Frames come late, and so in another order.
    Late,
    /// Nothing gets to the server.
    CutUp,
    /// Nothing comes from it.
    CutDown,
    /// Neither.
    Cut,
    /// A phone loses its power at a commit.
    PhoneCrash,
    /// The server does.
    ServerCrash,
    /// A phone's disk is full for a while.
    PhoneFull,
    /// The server's disk is.
    ServerFull,
    /// A phone's clock jumps.
    Jump,
    /// A phone's clock runs too fast or too slow.
    Drift,
    /// The server's clock jumps.
    ServerJump,
    /// A phone is backed up.
    Backup,
    /// A phone gets back what was backed up.
    Restore,
    /// A backup is put on a second phone.
    Copy,
    /// The server is backed up.
    ServerBackup,
    /// The server gets back what was backed up.
    ServerRestore,
    /// A phone gets a later release of the app.
    AppUpdate,
    /// The server gets a later release.
    ServerUpdate,
}

impl Fault {
    /// Those of phones' backups as the same of the server's.
    const fn of_server(self) -> Self {
        match self {
            Self::Backup => Self::ServerBackup,
            Self::Restore | Self::Copy => Self::ServerRestore,
            other => other,
        }
    }

    /// How often each comes, beside each other; those of the server's backups come in the place of those of phones'.
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

    /// Its name in tables.
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

/// One happening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Happening {
    /// After the beginning of the storm.
    pub(super) after_ms: i64,
    /// Which phone; what concerns none takes none.
    pub(super) phone: usize,
    pub(super) what: ReportSubject,
    /// What is left open is decided by these.
    pub(super) dice: u64,
}

/// The releases that a run begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Releases {
    pub(super) server: Release,
    /// Of each phone.
    pub(super) apps: Vec<Release>,
}

/// What happens in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    pub(super) size: Size,
    pub(super) releases: Releases,
    pub(super) happenings: Vec<Happening>,
}

impl Script {
    /// The script of a seed. A size that is left open is one to six phones and 8 to 48 hours.
    pub fn of_seed(seed: u64, devices: Option<usize>, hours: Option<u32>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let size = Size {
            devices: devices.unwrap_or_else(|| rng.random_range(1..=6)).clamp(1, DEVICES_MAX),
            hours: hours.unwrap_or_else(|| rng.random_range(8..=48)).clamp(1, HOURS_MAX),
        };
        let storm_ms = i64::from(size.hours) * HOUR_MS;
        // A run has backups of phones or of the server: a phone that goes on from an old copy is found out by what the
        // server knows of it, and a server that has lost that as well cannot.
        let is_servers = seed % 4 == 3;
        // Some runs are calm, some wild.
        let wildness = rng.random_range(1..=20);
        let mut happenings = Vec::new();
        for phone in 0..size.devices {
            let mut at_ms = rng.random_range(0..HOUR_MS);
            while at_ms < storm_ms {
                let what = match rng.random_range(0..100) {
                    0..60 => ReportSubject::Work,
                    60..80 => ReportSubject::Sync,
                    80..86 => ReportSubject::Push,
                    86..89 => ReportSubject::Office,
                    89 => ReportSubject::HandOver,
                    90 if rng.random_bool(0.3) => ReportSubject::Move,
                    91 if rng.random_bool(0.05) => ReportSubject::Revoke,
                    _ if rng.random_bool(f64::from(wildness) / 20.0) => {
                        let fault = fault(&mut rng);
                        ReportSubject::Fault(if is_servers { fault.of_server() } else { fault })
                    }
                    _ => ReportSubject::Work,
                };
                happenings.push(Happening { after_ms: at_ms, phone, what, dice: rng.random() });
                at_ms += rng.random_range(MINUTE_MS..HOUR_MS);
            }
        }
        let releases = releases(seed, size, &mut happenings);
        happenings.sort_by_key(|happening| happening.after_ms);
        Self { size, releases, happenings }
    }

    /// The same without some of its happenings.
    pub(super) fn with(&self, happenings: Vec<Happening>) -> Self {
        Self { happenings, ..self.clone() }
    }

    /// How many happenings there are.
    pub fn len(&self) -> usize {
        self.happenings.len()
    }

    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        self.happenings.is_empty()
    }
}

impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Happening { after_ms, phone, what, dice } in &self.happenings {
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

/// The releases that a run begins with, and updates among what happens in it. Half of the runs have the present release
/// alone. The dice are others than those of everything else, so that nothing else depends on it.
fn releases(seed: u64, size: Size, happenings: &mut Vec<Happening>) -> Releases {
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
            happenings.push(Happening {
                after_ms,
                phone,
                what: ReportSubject::Fault(update),
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
