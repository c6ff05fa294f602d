//! The world of one run: its clock, its network, a server and its phones. It does what the script says and what comes
//! of it, in the order of time, and looks at everything that the server sends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xundian_client::{Identity, SimulatedTurn, SyncError, SyncReport};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::{DeviceNo, PersonId};
use xundian_protocol::record::Home;
use xundian_protocol::sync::SessionError;
use xundian_protocol::sync::client::Aim;
use xundian_protocol::wire::v1::{ClientFrame, Enrol, Refusal, decode_client};
use xundian_server::SimulatedSession;

use super::company::Staff;
use super::disk::PowerCut;
use super::network::{Spell, arrivals};
use super::parts::Parts;
use super::phone::{Phone, Underway};
use super::script::{Fault, Happening, Script, What};
use super::site::Site;
use super::tally::{Phase, Tally};
use super::work;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Monday, 23 November 2026, 0:00 UTC.
const BEGIN_MS: i64 = 1_795_392_000_000;
/// How long a sync waits for an answer, as on a phone.
const PATIENCE_MS: i64 = 120_000;
const INVITATION_MS: i64 = HOUR_MS;

/// What happens of itself.
enum Event {
    Happen(Happening),
    Up { link: u64, payload: Vec<u8> },
    Down { link: u64, payload: Vec<u8> },
    GiveUp { phone: usize, link: u64, moves: u64 },
    Boot { phone: usize },
    BootServer,
    Room { phone: usize },
    ServerRoom,
    Enrol { phone: usize },
}

/// The way between a phone and the server during one sync.
struct Link {
    phone: usize,
    person: PersonId,
    device: DeviceNo,
    rng: StdRng,
    phase: Phase,
    /// The server's end; it begins with the first frame.
    session: Option<SimulatedSession>,
    has_ended: bool,
    /// When the last payload of each way arrives: those of one way keep their order, unless a fault has it otherwise.
    last_ms: [i64; 2],
    /// Whether frames were lost, repeated or reordered, which no carrier does: then an end may take it for nonsense.
    is_unruly: bool,
    /// The homes of the pull that is under way.
    pulled: BTreeSet<Home>,
}

/// One run.
pub(super) struct World {
    parts: Arc<Parts>,
    pub(super) now_ms: i64,
    queue: BTreeMap<(i64, u64), Event>,
    order: u64,
    pub(super) site: Site,
    pub(super) phones: Vec<Phone>,
    staff: Staff,
    links: BTreeMap<u64, Link>,
    link_count: u64,
    epoch: i64,
    /// Things go wrong only until the storm is over.
    is_storm: bool,
    /// What has changed anywhere in the present round.
    pub(super) moved: u64,
    pub(super) tally: Tally,
    pub(super) violations: Vec<String>,
}

impl World {
    /// A company whose phones are enrolled and have synced once, before anything goes wrong.
    pub(super) fn begin(parts: Arc<Parts>, script: &Script) -> Self {
        let (company, staff) = super::company::found(script.size.devices, Day::in_default_zone(BEGIN_MS));
        let people = staff.people.iter().zip(0..);
        let phones = people.map(|(person, n)| Phone::new(*person, n, n as u64 + 1)).collect();
        let mut world = Self {
            site: Site::new(Arc::clone(&parts)),
            parts,
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
        for phone in 0..world.phones.len() {
            world.boot(phone);
        }
        world
    }

    /// Puts a script's happenings in front of it.
    pub(super) fn take_script(&mut self, script: &Script) {
        self.is_storm = true;
        for happening in &script.happenings {
            self.at(self.now_ms + happening.after_ms, Event::Happen(*happening));
        }
    }

    /// The storm is over: everything works again, and nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        self.is_storm = false;
        self.site.disk.set_full(false);
        if !self.site.is_up() || self.site.disk.is_off() {
            self.boot_server();
        }
        self.site.disarm();
        for phone in 0..self.phones.len() {
            self.phones[phone].spells.clear();
            self.phones[phone].disk.set_full(false);
            self.phones[phone].disk.power_on();
            if self.phones[phone].client.is_none() {
                self.boot(phone);
            }
        }
    }

    /// Everything that happens until a moment.
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

    /// When the last of what is still on its way arrives.
    pub(super) fn last_event_ms(&self) -> i64 {
        self.queue.last_key_value().map_or(self.now_ms, |((at_ms, _), _)| *at_ms)
    }

    /// Every phone that may syncs, or asks for what keeps it from that.
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
                self.sync(phone, Aim::Sync, self.order);
            }
        }
    }

    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violations.len() < 20 {
            self.violations.push(what());
        }
    }

    fn at(&mut self, at_ms: i64, event: Event) {
        self.order += 1;
        self.queue.insert((at_ms, self.order), event);
    }

    fn after(&mut self, ms: i64, event: Event) {
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
            Event::Up { link, payload } => self.arrive_up(link, &payload),
            Event::Down { link, payload } => self.arrive_down(link, &payload),
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
            Event::ServerRoom => self.site.disk.set_full(false),
            Event::Enrol { phone } => self.enrol(phone),
        }
    }

    fn happen(&mut self, happening: Happening) {
        let Happening { phone, what, dice, .. } = happening;
        let mut rng = StdRng::seed_from_u64(dice);
        let today = Day::in_default_zone(self.site.now_ms());
        match what {
            What::Work => self.work(phone, &mut rng),
            What::Sync => self.sync(phone, Aim::Sync, dice),
            What::Push => self.sync(phone, Aim::Push, dice),
            What::Office => self.write(work::office(&self.staff, today, &mut rng)),
            What::HandOver => {
                self.epoch += 1;
                self.write(work::hand_over(&self.staff, today, self.epoch, &mut rng));
            }
            What::Move => self.write(work::move_person(&self.staff, today, &mut rng)),
            What::Revoke => self.revoke(phone),
            What::Fault(fault) => self.go_wrong(phone, fault, &mut rng),
        }
    }

    /// What headquarters writes; where the server cannot, it is not written.
    fn write(&mut self, draft: Option<xundian_server::Draft>) {
        let now_ms = self.site.now_ms();
        let (Some(draft), Some(server)) = (draft, self.site.server()) else { return };
        if server.write(vec![draft], "simulation", now_ms).is_ok() {
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
        let before = this.tray();
        let worked = work::work(&client, this.clock_ms(), rng);
        self.tally.works += u64::from(worked.is_ok());
        let noted = if this.disk.is_off() { Ok(()) } else { this.note_saves(worked.is_ok()) };
        if worked.is_ok() {
            let tray = this.tray();
            this.resent.extend(before.difference(&tray).copied());
        } else {
            this.tray_before = before;
        }
        self.moved += 1;
        self.check(noted.is_ok(), || format!("phone {phone} cannot read its outbox: {noted:?}"));
        self.see_to_phone(phone, Phase::Idle);
    }

    fn go_wrong(&mut self, phone: usize, fault: Fault, rng: &mut StdRng) {
        let phase = self.phase(phone);
        let cut = PowerCut { after_commits: rng.random_range(0..12), takes: rng.random_bool(0.5) };
        let this = &mut self.phones[phone];
        match fault {
            Fault::Loss | Fault::Twice | Fault::Late | Fault::CutUp | Fault::CutDown | Fault::Cut => {
                let until_ms = self.now_ms + rng.random_range(MINUTE_MS..8 * HOUR_MS);
                this.spells.push(Spell { until_ms, fault });
                return;
            }
            Fault::PhoneCrash => {
                this.disk.cut_power(cut);
                return;
            }
            Fault::ServerCrash => {
                self.site.disk.cut_power(PowerCut { after_commits: cut.after_commits * 3, ..cut });
                return;
            }
            Fault::PhoneFull => {
                this.disk.set_full(true);
                self.after(rng.random_range(MINUTE_MS..4 * HOUR_MS), Event::Room { phone });
            }
            Fault::ServerFull => {
                self.site.disk.set_full(true);
                self.after(rng.random_range(MINUTE_MS..HOUR_MS), Event::ServerRoom);
            }
            Fault::Jump => {
                let far_ms = if rng.random_bool(0.3) { 40 * 24 * HOUR_MS } else { 2 * HOUR_MS };
                this.jump(rng.random_range(-far_ms..far_ms));
            }
            Fault::Drift => this.drift(rng.random_range(-2_000..2_000)),
            Fault::ServerJump => self.site.jump(rng.random_range(-10 * MINUTE_MS..10 * MINUTE_MS)),
            Fault::Backup => this.back_up(),
            Fault::Restore => {
                if !this.restore() {
                    return;
                }
                self.boot(phone);
            }
            Fault::Copy => {
                let chance = rng.random();
                let Some(copy) = this.copy(chance) else { return };
                self.phones.push(copy);
                self.boot(self.phones.len() - 1);
            }
        }
        self.tally.note(fault, phase);
    }

    fn phase(&self, phone: usize) -> Phase {
        let underway = self.phones[phone].underway.as_ref();
        underway.and_then(|underway| self.links.get(&underway.link)).map_or(Phase::Idle, |link| link.phase)
    }

    // ---- Phones ----

    fn boot(&mut self, phone: usize) {
        let this = &mut self.phones[phone];
        if this.client.is_some() {
            return;
        }
        this.disk.power_on();
        this.set_time(self.now_ms, BEGIN_MS);
        if let Err(error) = this.boot(&self.parts.home) {
            let is_full = this.disk.is_full();
            this.go_down();
            self.check(is_full, || format!("phone {phone} does not open: {error}"));
            return;
        }
        self.tally.boots += 1;
        if self.phones[phone].is_to_enrol {
            self.enrol(phone);
        }
    }

    /// Notices that a phone has lost its power, or that its store must be opened again.
    fn see_to_phone(&mut self, phone: usize, phase: Phase) {
        if !self.phones[phone].disk.is_off() {
            return;
        }
        self.tally.note(Fault::PhoneCrash, phase);
        self.phones[phone].go_down();
        self.after(MINUTE_MS, Event::Boot { phone });
    }

    fn enrol(&mut self, phone: usize) {
        let now_ms = self.site.now_ms();
        let (this, server) = (&mut self.phones[phone], self.site.server());
        let may_enrol = this.is_to_enrol && !this.is_revoked && this.underway.is_none();
        if this.client.is_none() || !may_enrol {
            return;
        }
        let granted = server.and_then(|server| {
            let invited = server.invite(this.person, INVITATION_MS, "simulation", now_ms).ok()?;
            let request_der = self.parts.requests[this.key % self.parts.requests.len()].clone();
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

    fn sync(&mut self, phone: usize, aim: Aim, dice: u64) {
        let this = &mut self.phones[phone];
        let (Some(client), Some(device), None) = (&this.client, this.device(), &this.underway) else {
            return;
        };
        match client.begin_sync(aim) {
            Ok(sync) => {
                self.link_count += 1;
                let link = self.link_count;
                this.underway = Some(Underway { link, sync, moves: 0 });
                self.links.insert(
                    link,
                    Link {
                        phone,
                        person: this.person,
                        device,
                        rng: StdRng::seed_from_u64(dice),
                        phase: Phase::Greeting,
                        session: None,
                        has_ended: false,
                        last_ms: [0; 2],
                        is_unruly: false,
                        pulled: BTreeSet::new(),
                    },
                );
                self.tally.syncs += 1;
                self.drive(phone);
            }
            Err(error) => self.end(phone, Err(error)),
        }
    }

    /// Lets a phone's sync go on until it waits.
    fn drive(&mut self, phone: usize) {
        loop {
            let Some(underway) = &mut self.phones[phone].underway else { return };
            let (link, turn) = (underway.link, underway.sync.advance());
            underway.moves += 1;
            let moves = underway.moves;
            match turn {
                Ok(SimulatedTurn::Send(payload)) => {
                    self.note_phase(link, &payload);
                    self.send(link, true, payload);
                }
                Ok(SimulatedTurn::Wait) => {
                    return self.after(PATIENCE_MS, Event::GiveUp { phone, link, moves });
                }
                Ok(SimulatedTurn::Done(report)) => return self.end(phone, Ok(report)),
                Err(error) => return self.end(phone, Err(error)),
            }
        }
    }

    fn note_phase(&mut self, link: u64, payload: &[u8]) {
        let Some(link) = self.links.get_mut(&link) else { return };
        link.phase = match decode_client(payload) {
            Ok(ClientFrame::Push(_)) => Phase::Pushing,
            Ok(ClientFrame::Pull(_)) => Phase::Pulling,
            _ => link.phase,
        };
    }

    fn end(&mut self, phone: usize, end: Result<SyncReport, SyncError>) {
        let this = &mut self.phones[phone];
        let link = this.underway.take().and_then(|underway| self.links.get(&underway.link));
        let is_unruly = link.is_some_and(|link| link.is_unruly);
        let phase = link.map_or(Phase::Idle, |link| link.phase);
        this.last_end = end.as_ref().err().map(ToString::to_string);
        match &end {
            Ok(report) => {
                self.tally.done += 1;
                self.moved += report.merged + report.rejected + report.records_pulled + report.homes_dropped;
            }
            Err(error) => {
                self.moved += 1;
                let refused = match error {
                    SyncError::Session(SessionError::Refused(refused)) => Some(refused.why),
                    _ => None,
                };
                match (error, refused) {
                    (SyncError::Restored { .. }, _) | (_, Some(Refusal::Cloned | Refusal::Revoked)) => {
                        self.tally.restored += 1;
                        this.is_to_enrol = !this.is_revoked;
                        self.after(5 * MINUTE_MS, Event::Enrol { phone });
                    }
                    (SyncError::Store(_), _) => {
                        let fails = this.disk.is_off() || this.disk.is_full();
                        self.check(fails, || format!("phone {phone}: {error}"));
                    }
                    (_, Some(Refusal::Protocol)) if is_unruly => {}
                    (error, _) => {
                        self.check(error.is_retryable(), || format!("phone {phone} is stuck: {error}"));
                    }
                }
            }
        }
        self.see_to_phone(phone, phase);
    }

    // ---- The network ----

    fn send(&mut self, link_no: u64, up: bool, payload: Vec<u8>) {
        let Some(link) = self.links.get_mut(&link_no) else { return };
        let (phone, phase) = (link.phone, link.phase);
        let mut met = Vec::new();
        let spells = &self.phones[phone].spells;
        let last_ms = &mut link.last_ms[usize::from(up)];
        let arrive = arrivals(spells, up, self.now_ms, last_ms, &mut link.rng, &mut met);
        link.is_unruly |= !met.is_empty();
        met.into_iter().for_each(|fault| self.tally.note(fault, phase));
        self.tally.payloads += 1;
        for at_ms in arrive {
            let payload = payload.clone();
            self.at(
                at_ms,
                if up {
                    Event::Up { link: link_no, payload }
                } else {
                    Event::Down { link: link_no, payload }
                },
            );
        }
    }

    fn arrive_down(&mut self, link: u64, payload: &[u8]) {
        let Some(phone) = self.links.get(&link).map(|link| link.phone) else { return };
        let Some(underway) = self.phones[phone].underway.as_mut().filter(|underway| underway.link == link)
        else {
            return;
        };
        match underway.sync.receive(payload) {
            Ok(()) => self.drive(phone),
            Err(error) => self.end(phone, Err(error)),
        }
    }

    fn arrive_up(&mut self, link_no: u64, payload: &[u8]) {
        let Some((server, photos)) = self.site.up() else { return };
        let Some(link) = self.links.get_mut(&link_no).filter(|link| !link.has_ended) else { return };
        let now_ms = self.site.now_ms();
        let session = link
            .session
            .get_or_insert_with(|| SimulatedSession::new(Arc::clone(&server), photos, link.device));
        let frame = decode_client(payload).ok();
        if matches!(frame, Some(ClientFrame::Pull(_))) {
            let scope = server.directory().scope(link.person, Day::in_default_zone(now_ms));
            link.pulled = scope.into_iter().collect();
        }
        let answers = session.take(payload, now_ms);
        link.has_ended = answers.has_ended;
        let (person, device, pulled) = (link.person, link.device, link.pulled.clone());
        if let Some(ClientFrame::Pull(pull)) = &frame
            && !self.site.disk.is_off()
        {
            self.check_claim(&server, device, pull.captured_through_ms);
        }
        for payload in answers.payloads {
            self.look_at(&server, (person, device), &pulled, &payload);
            self.send(link_no, false, payload);
        }
        self.see_to_server();
    }

    // ---- The server ----

    fn boot_server(&mut self) {
        if self.site.is_up() && !self.site.disk.is_off() {
            return;
        }
        if let Err(error) = self.site.boot() {
            self.check(false, || format!("the server does not open: {error}"));
        }
        self.end_links();
    }

    /// Notices that the server has lost its power.
    fn see_to_server(&mut self) {
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

    fn end_links(&mut self) {
        for link in self.links.values_mut() {
            (link.session, link.has_ended) = (None, true);
        }
    }
}
