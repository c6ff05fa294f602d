//! The two ends of a session with small stores, over a carrier that loses, repeats, reorders and cuts.
//!
//! A storm is a list of events, so that a failing one shrinks to the few that matter. After it every device
//! syncs undisturbed, and then nothing may be lost, counted twice, or different anywhere.

mod device;
mod server;

use super::client::{ClientSession, Step as ClientStep};
use super::server::{ServerSession, Step as ServerStep};
use super::{SessionError, server::refusal};
use crate::ids::{DeviceNo, FeedSeq, OpSeq, OrgUnitId, OutletId, PersonId, RecordId};
use crate::record::{Home, Op};
use crate::wire::v1::{
    Changes, ClientFrame, Hello, Push, Receipt, Refusal, ServerFrame, Welcome, decode_client, decode_server,
    encode_client,
};
use device::Device;
use proptest::prelude::*;
use server::{Puller, Server};
use std::collections::VecDeque;

const DEVICES: u8 = 3;
const HOMES: u8 = 4;
const RECORDS: u8 = 16;
/// Payloads that one undisturbed session may take before it counts as wedged.
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
    /// A save; `field` 0 is one that the server rejects.
    Save {
        device: u8,
        record: u8,
        field: u8,
        value: i8,
    },
    /// A new session, whatever was under way.
    Connect {
        device: u8,
    },
    Up {
        device: u8,
        fate: Fate,
    },
    Down {
        device: u8,
        fate: Fate,
    },
    /// So many payloads cross undisturbed.
    Calm {
        device: u8,
        payloads: u8,
    },
    /// The homes of the device's scope, as bits.
    Rescope {
        device: u8,
        homes: u8,
    },
    /// The first flight of a session arrives once more, as 0-RTT data may.
    Replay {
        device: u8,
    },
    Time {
        ms: u16,
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
    prop_oneof![
        10 => (device.clone(), 0..RECORDS, 0u8..6, any::<i8>())
            .prop_map(|(device, record, field, value)| Event::Save { device, record, field, value }),
        1 => device.clone().prop_map(|device| Event::Connect { device }),
        7 => (device.clone(), fate.clone()).prop_map(|(device, fate)| Event::Up { device, fate }),
        7 => (device.clone(), fate).prop_map(|(device, fate)| Event::Down { device, fate }),
        4 => (device.clone(), 1u8..16).prop_map(|(device, payloads)| Event::Calm { device, payloads }),
        1 => (device.clone(), 0u8..1 << HOMES).prop_map(|(device, homes)| Event::Rescope { device, homes }),
        1 => device.prop_map(|device| Event::Replay { device }),
        2 => any::<u16>().prop_map(|ms| Event::Time { ms }),
    ]
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

/// One session under way.
struct Link {
    client: ClientSession,
    server: ServerSession,
    puller: Option<Puller>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
}

struct World {
    server: Server,
    devices: Vec<Device>,
    links: Vec<Option<Link>>,
    first_flights: Vec<Vec<Vec<u8>>>,
    now_ms: i64,
    /// Ops and records that crossed the carrier.
    moved: usize,
}

impl World {
    fn new() -> Self {
        let devices: Vec<Device> = (0..DEVICES).map(Device::new).collect();
        Self {
            server: Server::new(devices.iter().map(|device| device.no)),
            links: devices.iter().map(|_| None).collect(),
            first_flights: devices.iter().map(|_| Vec::new()).collect(),
            devices,
            now_ms: 1_800_000_000_000,
            moved: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Save { device, record, field, value } => {
                self.devices[usize::from(device)].save(record, field, value, self.now_ms);
            }
            Event::Connect { device } => self.connect(usize::from(device)),
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
        }
    }

    fn connect(&mut self, at: usize) {
        let device = &self.devices[at];
        let hello =
            Hello { app: "test".into(), device: device.no, next_seq: device.next_seq, now_ms: self.now_ms };
        self.links[at] = Some(Link {
            client: ClientSession::new(hello, device.outbox_first()),
            server: ServerSession::new(device.no, PersonId(RecordId::NIL)),
            puller: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
        });
        self.first_flights[at].clear();
        if self.work_client(at).is_err() {
            self.links[at] = None;
        }
    }

    /// Lets one payload cross, or not.
    fn carry(&mut self, at: usize, fate: Fate, up: bool) {
        let Some(link) = &mut self.links[at] else { return self.connect(at) };
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
        if let ServerFrame::Changes(changes) = &frame {
            self.moved += changes.records.len();
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

    /// One session that nothing disturbs. Panics where it does not come to its end.
    fn sync(&mut self, at: usize) {
        self.connect(at);
        for _ in 0..PAYLOADS_MAX {
            let Some(link) = &mut self.links[at] else { panic!("the session of device {at} ended early") };
            if let ClientStep::Done(_) = link.client.poll() {
                self.links[at] = None;
                return;
            }
            let up = !link.up.is_empty();
            assert!(up || !link.down.is_empty(), "the session of device {at} is wedged: {:?}", link.client);
            self.carry(at, Fate::Arrives, up);
        }
        panic!("the session of device {at} does not end");
    }

    fn sync_all(&mut self) {
        for at in 0..self.devices.len() {
            self.sync(at);
        }
    }

    /// Nothing lost, nothing twice, nothing different.
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
    fn after_any_storm_nothing_is_lost_or_twice_and_all_replicas_are_equal(
        events in prop::collection::vec(event(), 0..400),
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        // The first round brings everything to the server, the second everything to everybody.
        world.sync_all();
        world.sync_all();
        world.check();
        world.moved = 0;
        world.sync_all();
        prop_assert_eq!(world.moved, 0, "a session with nothing new moves records");
        world.check();
    }
}

// ---- Single points of the sessions ----

fn hello(next_seq: u64) -> Hello {
    Hello { app: String::new(), device: DeviceNo(1), next_seq: OpSeq(next_seq), now_ms: 0 }
}

fn ops(from: u64, count: u64) -> Vec<Op> {
    let mut device = Device::new(0);
    device.next_seq = OpSeq(from);
    for _ in 0..count {
        device.save(0, 1, 1, 1_800_000_000_000);
    }
    device.outbox.into_values().collect()
}

fn receipt(first: u64, through: u64) -> ServerFrame {
    let receipt = Receipt { through: OpSeq(through), rejections: Vec::new(), restamped: Vec::new() };
    ServerFrame::Receipt { first: OpSeq(first), receipt }
}

/// A client that has sent pushes of these ops, starting with op 1.
fn pushed(batches: &[u64]) -> ClientSession {
    let mut client = ClientSession::new(hello(1), OpSeq(1));
    let mut from = 1;
    for count in batches.iter().copied() {
        poll_until(&mut client, &ClientStep::ReadOps(OpSeq(from)));
        client.ops(ops(from, count));
        from += count;
    }
    poll_until(&mut client, &ClientStep::ReadOps(OpSeq(from)));
    client.ops(Vec::new());
    client
}

fn poll_until(client: &mut ClientSession, step: &ClientStep) {
    let found = (0..20).any(|_| client.poll() == *step);
    assert!(found, "{step:?} never comes: {client:?}");
}

#[test]
fn a_receipt_after_a_lost_one_drops_nothing_from_the_outbox() {
    let mut client = pushed(&[2, 2]);
    client.handle(receipt(3, 4)).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadOps(OpSeq(1)), "what became of ops 1 and 2 is not known");
}

#[test]
fn what_the_server_applied_is_sent_again_where_its_receipt_never_came() {
    let mut client = ClientSession::new(hello(9), OpSeq(3));
    let welcome = Welcome { now_ms: 0, applied_through: OpSeq(8), person: PersonId(RecordId::NIL) };
    client.handle(ServerFrame::Welcome(welcome)).unwrap();
    poll_until(&mut client, &ClientStep::ReadOps(OpSeq(3)));
    client.ops(ops(3, 2));
    client.handle(receipt(3, 2)).unwrap();
    poll_until(&mut client, &ClientStep::ReadOps(OpSeq(3)));
}

#[test]
fn a_receipt_never_reaches_beyond_its_push() {
    let mut client = pushed(&[2]);
    client.handle(receipt(1, 900)).unwrap();
    let ClientStep::CommitReceipt(receipt) = client.poll() else { panic!("no receipt") };
    assert_eq!(receipt.through, OpSeq(2), "op 3 may have been saved meanwhile and was never sent");
}

#[test]
fn a_server_that_gets_no_further_ends_the_session_instead_of_looping() {
    let mut client = ClientSession::new(hello(9), OpSeq(5));
    for _ in 0..1_000 {
        match client.poll() {
            ClientStep::ReadOps(from) => client.ops(if from == OpSeq(5) { ops(5, 2) } else { Vec::new() }),
            ClientStep::Wait => {
                let error = client.handle(receipt(5, 0)).err();
                if error.is_some() {
                    return assert_eq!(error, Some(SessionError::NoProgress { through: 4 }));
                }
            }
            _ => {}
        }
    }
    panic!("the session loops");
}

#[test]
fn what_was_saved_while_pushing_goes_before_the_pull() {
    let mut client = pushed(&[2]);
    client.handle(receipt(1, 2)).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)));
    client.receipt_committed(OpSeq(2)).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadPosition);
    let mut device = Device::new(0);
    device.next_seq = OpSeq(4);
    client.ready_to_pull(device.position());
    assert_eq!(client.poll(), ClientStep::ReadOps(OpSeq(3)));
}

#[test]
fn a_pull_with_a_frame_missing_is_asked_for_again() {
    let mut client = ClientSession::new(hello(1), OpSeq(1));
    poll_until(&mut client, &ClientStep::ReadOps(OpSeq(1)));
    client.ops(Vec::new());
    assert_eq!(client.poll(), ClientStep::ReadPosition);
    client.ready_to_pull(Device::new(0).position());
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(_))));
    client.handle(ServerFrame::Pulled(FeedSeq(7))).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadPosition, "the frame up to 7 never came");
}

#[test]
fn a_pull_that_comes_before_the_last_is_answered_takes_its_place() {
    let mut session = ServerSession::new(DeviceNo(1), PersonId(RecordId::NIL));
    session.handle(ClientFrame::Hello(hello(1)), 0, OpSeq(0)).unwrap();
    assert!((0..9).any(|_| session.poll() == ServerStep::Wait));
    let mut pull = Device::new(0).position();
    pull.behind.push((home(0), FeedSeq(0)));
    session.scope(pull.clone(), None);
    session.scope(pull, None);
    let asked = ServerStep::ReadChanges { home: None, after: FeedSeq(0) };
    assert_eq!(session.poll(), asked);
    assert_eq!(session.poll(), ServerStep::Wait, "the first pull is not read beside the second");
    let changes = |home, to| Changes { home, from: FeedSeq(0), to: FeedSeq(to), records: Vec::new() };
    session.changes(changes(None, 9), false);
    assert!(matches!(session.poll(), ServerStep::Send(ServerFrame::Changes(_))));
    assert!(matches!(session.poll(), ServerStep::ReadChanges { home: Some(_), .. }));
    session.changes(changes(Some(home(0)), 4), false);
    let ServerStep::Send(ServerFrame::Changes(last)) = session.poll() else { panic!("no changes") };
    assert_eq!(last.to, FeedSeq(9), "a home that was read to its end is no further behind than the rest");
    assert_eq!(session.poll(), ServerStep::Send(ServerFrame::Pulled(FeedSeq(9))));
}

#[test]
fn a_refusal_ends_the_session_with_its_reason() {
    let mut client = ClientSession::new(hello(1), OpSeq(1));
    let ServerFrame::Refused(refused) = refusal(Refusal::Revoked, "gone") else { panic!("no refusal") };
    let ended = client.handle(ServerFrame::Refused(refused.clone()));
    assert_eq!(ended, Err(SessionError::Refused(refused)));
}

#[test]
fn a_hello_of_another_device_is_refused_and_an_empty_push_too() {
    let mut session = ServerSession::new(DeviceNo(2), PersonId(RecordId::NIL));
    session.handle(ClientFrame::Hello(hello(1)), 0, OpSeq(0)).unwrap();
    assert!(matches!(session.poll(), ServerStep::Refuse(ServerFrame::Refused(_))));
    let mut session = ServerSession::new(DeviceNo(1), PersonId(RecordId::NIL));
    assert!(session.handle(ClientFrame::Push(Push { ops: ops(1, 1) }), 0, OpSeq(0)).is_err(), "no hello yet");
    session.handle(ClientFrame::Hello(hello(1)), 0, OpSeq(0)).unwrap();
    assert!(session.handle(ClientFrame::Push(Push { ops: Vec::new() }), 0, OpSeq(0)).is_err());
}
