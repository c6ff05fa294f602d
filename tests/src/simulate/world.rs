//! The world of one run: its clock, its network, a server and its phones. It processes the script and all events that
//! follow from it in the order of time, and checks everything that the server sends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::release::Release;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use xundian_client::Identity;
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{DeviceNo, PersonId};
use xundian_protocol::record::Home;
use xundian_protocol::sync::client::SyncMode;
use xundian_protocol::wire::v1::Enrol;
use xundian_server::SimulatedSession;
use xundian_server::authority::DeviceCertificate;

use super::SimulationError;
use super::company::Staff;
use super::parts::Parts;
use super::phone::{Phone, Underway};
use super::script::{EventKind, Fault, Script, ScriptEvent};
use super::site::Site;
use super::tally::{Phase, Tally};
use super::work;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Monday, 23 November 2026, 0:00 UTC.
const BEGIN_MS: i64 = 1_795_392_000_000;
const INVITATION_MS: i64 = HOUR_MS;

/// An event at a point of simulated time.
pub(super) enum Event {
    Happen(ScriptEvent),
    Up { link: u64, stream: u32, payload: Vec<u8> },
    Down { link: u64, stream: u32, payload: Vec<u8> },
    GiveUp { phone: usize, link: u64, moves: u64 },
    Boot { phone: usize },
    BootServer,
    Room { phone: usize },
    ServerRoom,
    Enrol { phone: usize },
}

/// The connection between a phone and the server during one sync.
pub(super) struct Link {
    pub(super) phone: usize,
    pub(super) person: PersonId,
    pub(super) device: DeviceNo,
    pub(super) certificate: DeviceCertificate,
    pub(super) rng: StdRng,
    pub(super) phase: Phase,
    /// The server's end of each stream, created by the first frame.
    pub(super) sessions: BTreeMap<u32, SimulatedSession>,
    pub(super) has_ended: bool,
    /// When the last payload of each direction arrives. Payloads of one direction stay in order, unless a fault hits.
    pub(super) last_ms: [i64; 2],
    /// Whether frames were lost, repeated or reordered. No real transport does that, so it may be a protocol error.
    pub(super) is_unruly: bool,
    /// When each claim of completeness was made, by the moment up to which it claims.
    pub(super) claims: BTreeMap<i64, i64>,
    /// The homes in the scope of the current pull.
    pub(super) pulled: BTreeSet<Home>,
}

/// One run.
pub(super) struct World {
    pub(super) parts: Arc<Parts>,
    /// The folder for pictures: the server's, and one folder per phone.
    folder: TempDir,
    pub(super) now_ms: i64,
    queue: BTreeMap<(i64, u64), Event>,
    order: u64,
    pub(super) site: Site,
    pub(super) phones: Vec<Phone>,
    staff: Staff,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) link_count: u64,
    epoch: i64,
    /// Whether faults may occur; false outside the storm.
    is_storm: bool,
    /// The number of changes in the current round.
    pub(super) moved: u64,
    pub(super) tally: Tally,
    pub(super) violations: Vec<String>,
}

impl World {
    /// Creates the company, and boots and enrols all phones, before any fault.
    pub(super) fn begin(parts: Arc<Parts>, script: &Script) -> Result<Self, SimulationError> {
        let folder = parts.folder()?;
        let (company, staff) = super::company::found(script.size.devices, Day::in_default_zone(BEGIN_MS));
        let people = staff.people.iter().zip(0..);
        let home = |n: usize| folder.path().join(format!("phone-{n}"));
        let phones = people
            .zip(&script.releases.apps)
            .map(|((person, n), release)| Phone::new(*person, n, home(n), n as u64 + 1, *release))
            .collect();
        let mut world = Self {
            site: Site::new(Arc::clone(&parts), folder.path().join("server"), script.releases.server),
            parts,
            folder,
            now_ms: BEGIN_MS,
            queue: BTreeMap::new(),
            order: 0,
            phones,
            staff,
            links: BTreeMap::new(),
            link_count: 0,
            epoch: 1,
            is_storm: false,
            moved: 0,
            tally: Tally::default(),
            violations: Vec::new(),
        };
        let opened = world.site.boot();
        world.check(opened.is_ok(), || format!("the server does not open: {opened:?}"));
        if let Some(server) = world.site.server() {
            let written = server.write(company.into_drafts(), "simulation", BEGIN_MS);
            world.check(written.is_ok(), || "the company could not be founded".into());
        }
        // The oldest backup does not know any of the phones.
        world.site.back_up();
        for phone in 0..world.phones.len() {
            world.boot(phone);
        }
        Ok(world)
    }

    /// Schedules a script's events.
    pub(super) fn take_script(&mut self, script: &Script) {
        self.is_storm = true;
        for happening in &script.happenings {
            self.at(self.now_ms + happening.after_ms, Event::Happen(*happening));
        }
    }

    /// Ends the storm: repairs everything, and stops all faults.
    pub(super) fn calm(&mut self) {
        self.is_storm = false;
        self.site.disarm();
        self.site.disk.set_full(false);
        if !self.site.is_up() || self.site.disk.is_off() {
            self.boot_server();
        }
        for phone in 0..self.phones.len() {
            self.phones[phone].spells.clear();
            self.phones[phone].disk.disarm();
            self.phones[phone].disk.set_full(false);
            self.phones[phone].disk.power_on();
            if self.phones[phone].client.is_none() {
                self.boot(phone);
            }
        }
    }

    /// Processes all events until a moment.
    pub(super) fn run_until(&mut self, until_ms: i64) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until_ms) {
            let ((at_ms, _), event) = entry.remove_entry();
            self.now_ms = self.now_ms.max(at_ms);
            self.set_clocks();
            self.meet(event);
            if !self.violations.is_empty() {
                return;
            }
        }
        self.now_ms = self.now_ms.max(until_ms);
        self.set_clocks();
    }

    /// Returns the time of the last scheduled event.
    pub(super) fn last_event_ms(&self) -> i64 {
        self.queue.last_key_value().map_or(self.now_ms, |((at_ms, _), _)| *at_ms)
    }

    /// Starts a sync on every phone. A phone that cannot sync is booted or enrolled instead.
    pub(super) fn sync_all(&mut self) {
        for phone in 0..self.phones.len() {
            let this = &self.phones[phone];
            if this.is_revoked || this.underway.is_some() {
                continue;
            }
            if this.client.is_none() {
                self.boot(phone);
            } else if this.is_to_enrol {
                self.enrol(phone);
            } else {
                self.sync(phone, SyncMode::Sync, self.order);
            }
        }
    }

    /// Returns the folder of the n-th phone's pictures.
    pub(super) fn home_of(&self, phone: usize) -> PathBuf {
        self.folder.path().join(format!("phone-{phone}"))
    }

    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violations.len() < 20 {
            self.violations.push(what());
        }
    }

    pub(super) fn at(&mut self, at_ms: i64, event: Event) {
        self.order += 1;
        self.queue.insert((at_ms, self.order), event);
    }

    pub(super) fn after(&mut self, ms: i64, event: Event) {
        self.at(self.now_ms + ms, event);
    }

    fn set_clocks(&mut self) {
        for phone in &self.phones {
            phone.set_time(self.now_ms, BEGIN_MS);
        }
        self.site.set_time(self.now_ms);
    }

    fn meet(&mut self, event: Event) {
        match event {
            Event::Happen(happening) => self.happen(happening),
            Event::Up { link, stream, payload } => self.arrive_up(link, stream, &payload),
            Event::Down { link, stream, payload } => self.arrive_down(link, stream, &payload),
            Event::GiveUp { phone, link, moves } => {
                let stands = |underway: &mut Underway| underway.link == link && underway.moves == moves;
                if self.phones[phone].underway.take_if(stands).is_some() {
                    self.phones[phone].last_end = Some("no answer".into());
                    self.tally.given_up += 1;
                }
            }
            Event::Boot { phone } => self.boot(phone),
            Event::BootServer => self.boot_server(),
            Event::Room { phone } => {
                self.phones[phone].disk.set_full(false);
                self.phones[phone].go_down();
                self.boot(phone);
            }
            Event::ServerRoom => {
                self.site.disk.set_full(false);
                self.boot_server();
            }
            Event::Enrol { phone } => self.enrol(phone),
        }
    }

    fn happen(&mut self, happening: ScriptEvent) {
        let ScriptEvent { phone, what, dice, .. } = happening;
        let mut rng = StdRng::seed_from_u64(dice);
        let today = Day::in_default_zone(self.site.now_ms());
        match what {
            EventKind::Work => self.work(phone, &mut rng),
            EventKind::Sync => self.sync(phone, SyncMode::Sync, dice),
            EventKind::Push => self.sync(phone, SyncMode::Push, dice),
            EventKind::Office => self.write(work::office(&self.staff, today, &mut rng)),
            EventKind::HandOver => {
                self.epoch += 1;
                self.write(work::hand_over(&self.staff, today, self.epoch, &mut rng));
            }
            EventKind::Move => self.write(work::move_person(&self.staff, today, &mut rng)),
            EventKind::Revoke => self.revoke(phone),
            EventKind::Fault(fault) => self.inject_fault(phone, fault, &mut rng),
        }
    }

    /// Writes as headquarters. If the server cannot write, the draft is dropped.
    fn write(&mut self, draft: Option<xundian_server::Draft>) {
        let now_ms = self.site.now_ms();
        let (Some(draft), Some(server)) = (draft, self.site.server()) else { return };
        if self.site.release.run(|| server.write(vec![draft], "simulation", now_ms)).is_ok() {
            self.moved += 1;
        }
        self.see_to_server();
    }

    fn revoke(&mut self, phone: usize) {
        let (now_ms, device) = (self.site.now_ms(), self.phones[phone].device());
        let (Some(device), Some(server)) = (device, self.site.server()) else { return };
        if server.revoke(device, "simulation", now_ms).is_ok() {
            self.phones[phone].is_revoked = true;
        }
        self.see_to_server();
    }

    fn work(&mut self, phone: usize, rng: &mut StdRng) {
        let this = &mut self.phones[phone];
        let Some(client) = this.client.clone().filter(|client| client.identity().is_some()) else { return };
        let before = this.rejected_ops();
        let worked = this.release.run(|| work::work(&client, this.clock_ms(), rng));
        self.tally.works += u64::from(worked.is_ok());
        let noted = if this.disk.is_off() { Ok(()) } else { this.note_saves(worked.is_ok()) };
        if worked.is_ok() {
            let rejected_ops = this.rejected_ops();
            this.resent.extend(before.difference(&rejected_ops).copied());
        } else {
            this.tray_before = before;
        }
        self.moved += 1;
        self.check(noted.is_ok(), || format!("phone {phone} cannot read its outbox: {noted:?}"));
        self.see_to_phone(phone, Phase::Idle);
    }

    pub(super) fn boot(&mut self, phone: usize) {
        let this = &mut self.phones[phone];
        if this.client.is_some() {
            return;
        }
        this.disk.power_on();
        this.set_time(self.now_ms, BEGIN_MS);
        if let Err(error) = this.boot() {
            let (is_full, is_off) = (this.disk.is_full(), this.disk.is_off());
            self.see_to_phone(phone, Phase::Opening);
            self.phones[phone].go_down();
            self.check(is_full || is_off, || format!("phone {phone} does not open: {error}"));
            return;
        }
        self.tally.boots += 1;
        if self.phones[phone].is_to_enrol {
            self.enrol(phone);
        }
    }

    /// Handles that a phone has lost power.
    pub(super) fn see_to_phone(&mut self, phone: usize, phase: Phase) {
        if !self.phones[phone].disk.is_off() {
            return;
        }
        self.tally.note(Fault::PhoneCrash, phase);
        self.phones[phone].go_down();
        self.after(MINUTE_MS, Event::Boot { phone });
    }

    pub(super) fn enrol(&mut self, phone: usize) {
        let now_ms = self.site.now_ms();
        let (this, server) = (&mut self.phones[phone], self.site.server());
        let may_enrol = this.is_to_enrol && !this.is_revoked && this.underway.is_none();
        if this.client.is_none() || !may_enrol {
            return;
        }
        let granted = server.and_then(|server| {
            let invited = server.invite(this.person, INVITATION_MS, "simulation", now_ms).ok()?;
            let request_der = self.parts.key(this.key).request_der.clone();
            let enrol = Enrol { secret: invited.secret, request_der, label: "phone".into() };
            server.enrol(&enrol, now_ms).ok()
        });
        let taken = granted.map(|granted| {
            this.take_identity(&Identity {
                device: granted.device,
                person: granted.person,
                person_name: granted.person_name,
                server: "simulated".into(),
            })
        });
        self.moved += 1;
        if !matches!(taken, Some(Ok(()))) {
            self.after(10 * MINUTE_MS, Event::Enrol { phone });
        }
        self.see_to_server();
        self.see_to_phone(phone, Phase::Idle);
    }

    fn boot_server(&mut self) {
        if self.site.is_up() && !self.site.disk.is_off() {
            return;
        }
        if let Err(error) = self.site.boot() {
            let (is_full, is_off) = (self.site.disk.is_full(), self.site.disk.is_off());
            self.site.go_down();
            self.check(is_full || is_off, || format!("the server does not open: {error}"));
            if is_off {
                self.tally.note(Fault::ServerCrash, Phase::Opening);
                self.after(2 * MINUTE_MS, Event::BootServer);
            }
        }
        self.end_links();
    }

    /// Handles that the server has lost power.
    pub(super) fn see_to_server(&mut self) {
        if !self.site.disk.is_off() || !self.site.is_up() {
            return;
        }
        let phases: Vec<Phase> = self.links.values().filter(|l| !l.has_ended).map(|l| l.phase).collect();
        self.tally.note(Fault::ServerCrash, phases.last().copied().unwrap_or(Phase::Idle));
        self.site.go_down();
        self.end_links();
        if self.is_storm {
            self.after(2 * MINUTE_MS, Event::BootServer);
        }
    }

    /// Restores the server's backup. Phones revoked since are not revoked then, and phones enrolled since are unknown.
    pub(super) fn restore_server(&mut self) {
        self.site.restore();
        self.boot_server();
        let Some(server) = self.site.server() else { return };
        for phone in self.phones.iter_mut().filter(|phone| phone.is_revoked) {
            let row = phone.device().and_then(|device| server.device(device).ok().flatten());
            let key_hash = self.parts.key(phone.key).hash();
            phone.is_revoked = row.is_some_and(|row| row.has_key(key_hash) && row.revoked_at_ms.is_some());
        }
    }

    /// Restarts a phone's app as a later release. Its running sync ends.
    pub(super) fn update_app(&mut self, phone: usize, release: Release) {
        self.phones[phone].release = release;
        if !self.phones[phone].disk.is_off() {
            self.phones[phone].go_down();
            self.boot(phone);
        }
    }

    /// Restarts the server as a later release. Its sessions end.
    pub(super) fn update_server(&mut self, release: Release) {
        self.site.release = release;
        self.site.go_down();
        self.boot_server();
    }

    /// Updates everything to the present release. Returns whether anything was of another.
    pub(super) fn update_all(&mut self) -> bool {
        let is_earlier = |release: Release| release != Release::PRESENT;
        let apps: Vec<_> = (0..self.phones.len()).filter(|n| is_earlier(self.phones[*n].release)).collect();
        let server = is_earlier(self.site.release);
        apps.iter().for_each(|phone| self.update_app(*phone, Release::PRESENT));
        if server {
            self.update_server(Release::PRESENT);
        }
        server || !apps.is_empty()
    }

    fn end_links(&mut self) {
        for link in self.links.values_mut() {
            link.sessions.clear();
            link.has_ended = true;
        }
    }
}
