//! Both ends of a session with small in-memory stores, over a transport that loses, repeats, reorders and disconnects.
//!
//! A storm is a list of events, so that a failing one shrinks to the few that matter. After it every device syncs
//! undisturbed, and then nothing may be lost, counted twice, or different anywhere.

mod device;
mod points;
mod server;

use super::SessionError;
use super::client::{ClientSession, Outcome, Step as ClientStep, SyncMode};
use super::server::ServerSession;
use crate::ids::{OrgUnitId, OutletId, PersonId, RecordId};
use crate::record::Home;
use crate::wire::v1::{ClientFrame, Hello, Push, ServerFrame, decode_client, decode_server, encode_client};
use device::{Decay, Device};
use proptest::prelude::*;
use server::{Puller, Server};
use std::collections::VecDeque;

const DEVICES: u8 = 3;
const HOMES: u8 = 4;
const RECORDS: u8 = 16;
/// The payloads that one undisturbed session may take before it counts as stuck.
const PAYLOADS_MAX: u32 = 2_000;

#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    Later,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A save. The server rejects a `field` of 0.
    Save {
        device: u8,
        record: u8,
        field: u8,
        value: i8,
    },
    /// A new session, whatever was in progress.
    Connect {
        device: u8,
        mode: SyncMode,
    },
    Up {
        device: u8,
        fate: Fate,
    },
    Down {
        device: u8,
        fate: Fate,
    },
    /// This many payloads are delivered undisturbed.
    Calm {
        device: u8,
        payloads: u8,
    },
    /// The homes of the device's scope, as bits.
    Rescope {
        device: u8,
        homes: u8,
    },
    /// The first flight of a session arrives again, as 0-RTT data may.
    Replay {
        device: u8,
    },
    Time {
        ms: u16,
    },
    /// A copy of the server is set aside.
    Backup,
    /// The server is replaced by the last copy that was set aside, or by an empty server.
    Restore,
    /// A confirmed record of the device is corrupted.
    Decay {
        device: u8,
        record: u8,
        decay: Decay,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![
        12 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Later),
    ];
    let device = 0..DEVICES;
    let mode = prop_oneof![Just(SyncMode::Sync), Just(SyncMode::Push)];
    prop_oneof![
        10 => (device.clone(), 0..RECORDS, 0u8..6, any::<i8>())
            .prop_map(|(device, record, field, value)| Event::Save { device, record, field, value }),
        1 => (device.clone(), mode).prop_map(|(device, mode)| Event::Connect { device, mode }),
        7 => (device.clone(), fate.clone()).prop_map(|(device, fate)| Event::Up { device, fate }),
        7 => (device.clone(), fate).prop_map(|(device, fate)| Event::Down { device, fate }),
        4 => (device.clone(), 1u8..16).prop_map(|(device, payloads)| Event::Calm { device, payloads }),
        1 => (device.clone(), 0u8..1 << HOMES).prop_map(|(device, homes)| Event::Rescope { device, homes }),
        1 => device.prop_map(|device| Event::Replay { device }),
        2 => any::<u16>().prop_map(|ms| Event::Time { ms }),
    ]
}

fn loss() -> impl Strategy<Value = Event> {
    prop_oneof![Just(Event::Backup), Just(Event::Restore)]
}

fn decay() -> impl Strategy<Value = Event> {
    let decay = prop_oneof![Just(Decay::Lost), any::<i8>().prop_map(|value| Decay::Other { value })];
    (0..DEVICES, 0..RECORDS, decay).prop_map(|(device, record, decay)| Event::Decay { device, record, decay })
}

fn home(n: u8) -> Home {
    let n = n % HOMES;
    let id = RecordId::from_bytes([n + 1; 16]);
    match n {
        0 => Home::Company,
        1 => Home::Unit(OrgUnitId(id)),
        2 => Home::Outlet(OutletId(id)),
        _ => Home::Person(PersonId(id)),
    }
}

fn homes_of(bits: u8) -> Vec<Home> {
    let mut homes: Vec<Home> = (0..HOMES).filter(|n| bits & (1 << n) != 0).map(home).collect();
    homes.sort_unstable();
    homes
}

/// One session in progress.
struct Link {
    client: ClientSession,
    server: ServerSession,
    puller: Option<Puller>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
}

struct World {
    server: Server,
    backup: Server,
    openings: u8,
    devices: Vec<Device>,
    links: Vec<Option<Link>>,
    first_flights: Vec<Vec<Vec<u8>>>,
    now_ms: i64,
    /// Ops and records that were transferred.
    moved: usize,
    /// Whether syncs reconcile.
    checks: bool,
}

impl World {
    fn new() -> Self {
        let devices: Vec<Device> = (0..DEVICES).map(Device::new).collect();
        let server = Server::new(devices.iter().map(|device| device.no));
        Self {
            backup: server.clone(),
            server,
            openings: 1,
            links: devices.iter().map(|_| None).collect(),
            first_flights: devices.iter().map(|_| Vec::new()).collect(),
            devices,
            now_ms: 1_800_000_000_000,
            moved: 0,
            checks: false,
        }
    }

    /// Runs all events, and then two rounds of syncs. The first brings everything to the server, the second everything
    /// to every device.
    fn run_storm(&mut self, storm: Vec<Event>) {
        for event in storm {
            self.happen(event);
        }
        self.sync_all();
        self.sync_all();
        self.check();
    }

    /// Once all are equal, a session transfers nothing.
    fn check_rest(&mut self) {
        self.moved = 0;
        self.sync_all();
        assert_eq!(self.moved, 0, "a session with nothing new transfers records");
    }

    fn session(&mut self, at: usize, mode: SyncMode) -> ClientSession {
        let device = &mut self.devices[at];
        let hello =
            Hello { app: "test".into(), device: device.no, next_seq: device.next_seq, now_ms: self.now_ms };
        let session = ClientSession::new(mode, hello, device.outbox_first());
        let resume = device.begin();
        let session = if mode == SyncMode::Sync { session.resuming(resume) } else { session };
        if self.checks { session.reconciling() } else { session }
    }

    /// The server is replaced, and everything in progress is lost.
    fn restore(&mut self) {
        let scopes = std::mem::take(&mut self.server.scopes);
        self.server = self.backup.clone();
        self.server.scopes = scopes;
        self.openings += 1;
        self.server.open(self.openings);
        self.links.iter_mut().for_each(|link| *link = None);
        // No first flight outlives the server for whose keys it was encrypted.
        self.first_flights.iter_mut().for_each(Vec::clear);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Save { device, record, field, value } => {
                self.devices[usize::from(device)].save(record, field, value, self.now_ms);
            }
            Event::Connect { device, mode } => self.connect(usize::from(device), mode),
            Event::Up { device, fate } => self.carry(usize::from(device), fate, true),
            Event::Down { device, fate } => self.carry(usize::from(device), fate, false),
            Event::Calm { device, payloads } => {
                let at = usize::from(device);
                for _ in 0..payloads {
                    let up = self.links[at].as_ref().is_some_and(|link| !link.up.is_empty());
                    self.carry(at, Fate::Arrives, up);
                }
            }
            Event::Rescope { device, homes } => {
                let no = self.devices[usize::from(device)].no;
                self.server.scopes.insert(no, homes_of(homes));
            }
            Event::Replay { device } => self.replay(usize::from(device)),
            Event::Time { ms } => self.now_ms += i64::from(ms),
            Event::Backup => self.backup = self.server.clone(),
            Event::Restore => self.restore(),
            Event::Decay { device, record, decay } => self.devices[usize::from(device)].decay(record, decay),
        }
    }

    fn connect(&mut self, at: usize, mode: SyncMode) {
        let no = self.devices[at].no;
        self.links[at] = Some(Link {
            client: self.session(at, mode),
            server: ServerSession::new(no, PersonId(RecordId::NIL)),
            puller: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
        });
        self.first_flights[at].clear();
        if self.work_client(at).is_err() {
            self.links[at] = None;
        }
    }

    /// Applies `fate` to the next payload.
    fn carry(&mut self, at: usize, fate: Fate, up: bool) {
        let Some(link) = &mut self.links[at] else { return self.connect(at, SyncMode::Sync) };
        let queue = if up { &mut link.up } else { &mut link.down };
        let Some(payload) = queue.pop_front() else { return };
        match fate {
            Fate::Lost => return,
            Fate::Later => return queue.push_back(payload),
            Fate::Twice => queue.push_front(payload.clone()),
            Fate::Arrives => {}
        }
        let ends = if up { self.arrive_up(at, &payload) } else { self.arrive_down(at, &payload) };
        if ends.is_err() {
            self.links[at] = None;
        }
    }

    fn arrive_up(&mut self, at: usize, payload: &[u8]) -> Result<(), SessionError> {
        let Some(link) = &mut self.links[at] else { return Ok(()) };
        let frame = decode_client(payload).expect("a client's frame decodes");
        if let ClientFrame::Push(Push { ops }) = &frame {
            self.moved += ops.len();
        }
        let no = self.devices[at].no;
        let applied = self.server.applied_through(no);
        link.server.handle(frame, self.now_ms, applied)?;
        self.server.work(no, &mut link.server, &mut link.puller, self.now_ms, &mut link.down)
    }

    fn arrive_down(&mut self, at: usize, payload: &[u8]) -> Result<(), SessionError> {
        let Some(link) = &mut self.links[at] else { return Ok(()) };
        let frame = decode_server(payload).expect("a server's frame decodes");
        match &frame {
            ServerFrame::Changes(changes) => self.moved += changes.records.len(),
            ServerFrame::Repair(repair) => self.moved += repair.records.len() + repair.gone.len(),
            _ => {}
        }
        link.client.handle(frame)?;
        self.work_client(at)
    }

    fn work_client(&mut self, at: usize) -> Result<(), SessionError> {
        let Some(link) = &mut self.links[at] else { return Ok(()) };
        let mut sent = Vec::new();
        self.devices[at].work(&mut link.client, &mut sent)?;
        for frame in sent {
            let payload = encode_client(&frame);
            if matches!(frame, ClientFrame::Hello(_) | ClientFrame::Push(_)) {
                self.first_flights[at].push(payload.clone());
            }
            link.up.push_back(payload);
        }
        Ok(())
    }

    fn replay(&mut self, at: usize) {
        let no = self.devices[at].no;
        let mut session = ServerSession::new(no, PersonId(RecordId::NIL));
        for payload in &self.first_flights[at] {
            let frame = decode_client(payload).expect("a client's frame decodes");
            let applied = self.server.applied_through(no);
            let handled = session.handle(frame, self.now_ms, applied);
            let mut unheard = VecDeque::new();
            let worked = handled
                .and_then(|()| self.server.work(no, &mut session, &mut None, self.now_ms, &mut unheard));
            if worked.is_err() {
                return;
            }
        }
    }

    /// Runs one undisturbed session.
    ///
    /// # Panics
    ///
    /// Panics if it does not complete.
    fn run(&mut self, at: usize, mode: SyncMode) {
        self.connect(at, mode);
        for _ in 0..PAYLOADS_MAX {
            let Some(link) = &mut self.links[at] else {
                assert!(std::mem::take(&mut self.devices[at].has_recovered), "device {at} ended early");
                self.connect(at, mode);
                continue;
            };
            if let ClientStep::Done(outcome) = link.client.poll() {
                assert_eq!(
                    outcome == Outcome::Pushed,
                    mode == SyncMode::Push,
                    "a session of {mode:?} ended with {outcome:?}"
                );
                self.links[at] = None;
                return;
            }
            let up = !link.up.is_empty();
            assert!(up || !link.down.is_empty(), "the session of device {at} is stuck: {:?}", link.client);
            self.carry(at, Fate::Arrives, up);
        }
        panic!("the session of device {at} does not end");
    }

    fn sync_all(&mut self) {
        for at in 0..self.devices.len() {
            self.run(at, SyncMode::Sync);
        }
    }

    /// Each device pushes, undisturbed.
    fn push_all(&mut self) {
        for at in 0..self.devices.len() {
            let cursor = self.devices[at].cursor;
            self.run(at, SyncMode::Push);
            let device = &self.devices[at];
            assert_eq!(device.cursor, cursor, "{} pulled during a push", device.no);
            self.server.check_account_of(device);
        }
    }

    /// Asserts that no op is lost or counted twice, and that all replicas are equal.
    fn check(&self) {
        for device in &self.devices {
            self.server.check_account_of(device);
            let scope = &self.server.scopes[&device.no];
            assert_eq!(&device.homes(), scope, "{} holds another scope", device.no);
            let expected = self.server.records_of(scope);
            assert_eq!(device.confirmed, expected, "{} holds other records", device.no);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn after_any_storm_nothing_is_lost_or_counted_twice_and_all_replicas_are_equal(
        events in prop::collection::vec(event(), 0..400),
    ) {
        let mut world = World::new();
        world.run_storm(events);
        world.check_rest();
        world.check();
    }

    #[test]
    fn ops_lost_by_a_restored_server_are_sent_again(
        events in prop::collection::vec(prop_oneof![40 => event(), 1 => loss()], 0..400),
    ) {
        let mut world = World::new();
        world.run_storm(events);
        world.check_rest();
    }

    #[test]
    fn reconciliation_repairs_corrupted_records_by_sending_only_those(
        events in prop::collection::vec(prop_oneof![6 => event(), 1 => decay()], 0..300),
        decays in prop::collection::vec(decay(), 0..12),
    ) {
        let mut world = World::new();
        world.checks = true;
        world.run_storm(events);
        world.moved = 0;
        for decay in &decays {
            world.happen(*decay);
        }
        world.sync_all();
        world.check();
        prop_assert!(world.moved <= decays.len(), "{} records sent for {} corrupted", world.moved, decays.len());
        world.check_rest();
    }

    #[test]
    fn after_any_storm_a_push_alone_empties_the_outbox_and_every_op_counts_once(
        events in prop::collection::vec(event(), 0..400),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        world.push_all();
        world.moved = 0;
        world.push_all();
        prop_assert_eq!(world.moved, 0, "a push with nothing to send sends ops");
        world.sync_all();
        world.check();
    }
}
