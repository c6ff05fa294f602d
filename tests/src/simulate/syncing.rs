//! Syncs of a run: the phone's end, the server's end, and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use xundian_client::{SyncError, SyncReport};
use xundian_protocol::calendar::Day;
use xundian_protocol::sync::SessionError;
use xundian_protocol::sync::client::SyncMode;
use xundian_protocol::wire::v1::{ClientFrame, Refusal, decode_client};
use xundian_server::SimulatedSession;

use super::network::arrivals;
use super::phone::Underway;
use super::tally::Phase;
use super::world::{Event, Link, MINUTE_MS, World};

/// How long a sync waits for an answer; phones use the same limit.
const PATIENCE_MS: i64 = 120_000;

impl World {
    pub(super) fn sync(&mut self, phone: usize, aim: SyncMode, dice: u64) {
        let this = &mut self.phones[phone];
        let (Some(client), Some(device), None) = (&this.client, this.device(), &this.underway) else {
            return;
        };
        let sync = client.begin_sync(aim);
        self.link_count += 1;
        let link = self.link_count;
        this.underway = Some(Underway { link, sync, moves: 0 });
        let begun = Link {
            phone,
            person: this.person,
            device,
            certificate: self.parts.key(this.key).certificate(device),
            rng: StdRng::seed_from_u64(dice),
            phase: Phase::Greeting,
            sessions: BTreeMap::new(),
            has_ended: false,
            last_ms: [0; 2],
            is_unruly: false,
            claims: BTreeMap::new(),
            pulled: BTreeSet::new(),
        };
        self.links.insert(link, begun);
        self.tally.syncs += 1;
        self.drive(phone);
    }

    /// Advances a phone's sync until it waits for a payload.
    fn drive(&mut self, phone: usize) {
        let this = &mut self.phones[phone];
        let (release, Some(underway)) = (this.release, &mut this.underway) else { return };
        let (link, end) = (underway.link, release.run(|| underway.sync.advance()));
        underway.moves += 1;
        let (moves, sent) = (underway.moves, underway.sync.take_sent());
        let has_taken_back = this.has_taken_back();
        let may_be_lost = self.tally.restores() > 0;
        self.check(!has_taken_back || may_be_lost, || {
            format!("phone {phone} put confirmed saves back into its outbox, although no server lost them")
        });
        for (stream, payload) in sent {
            self.note_phase(link, &payload);
            self.send(link, true, stream, payload);
        }
        match end {
            None => self.after(PATIENCE_MS, Event::GiveUp { phone, link, moves }),
            Some(end) => self.end(phone, end),
        }
    }

    fn note_phase(&mut self, link: u64, payload: &[u8]) {
        let Some(link) = self.links.get_mut(&link) else { return };
        let frame = decode_client(payload);
        if let Ok(ClientFrame::Pull(pull)) = &frame {
            link.claims.insert(pull.captured_through_ms, self.now_ms);
        }
        link.phase = match frame {
            Ok(ClientFrame::Push(_)) => Phase::Pushing,
            Ok(ClientFrame::Pull(_)) => Phase::Pulling,
            Ok(ClientFrame::Offer(_) | ClientFrame::Piece(_)) => Phase::Pictures,
            _ => link.phase,
        };
    }

    fn end(&mut self, phone: usize, end: Result<SyncReport, SyncError>) {
        let this = &mut self.phones[phone];
        let link = this.underway.take().and_then(|underway| self.links.get(&underway.link));
        let is_unruly = link.is_some_and(|link| link.is_unruly);
        let phase = link.map_or(Phase::Idle, |link| link.phase);
        this.last_end = end.as_ref().err().map(ToString::to_string);
        let repaired = end.as_ref().map_or(0, |report| report.records_repaired);
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
                    (SyncError::Restored { .. }, _)
                    | (_, Some(Refusal::Cloned | Refusal::Revoked | Refusal::UnknownDevice)) => {
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
        // Simulated disks do not corrupt data, so reconciliation has nothing to repair. Two phones with the same number
        // are an exception: neither is sent what the other wrote.
        let device = self.phones[phone].device();
        let is_alone = self.phones.iter().filter(|other| other.device() == device).count() == 1;
        self.check(repaired == 0 || !is_alone, || {
            format!("phone {phone} held {repaired} records that differ from the server's")
        });
        self.see_to_phone(phone, phase);
    }

    fn send(&mut self, link_no: u64, up: bool, stream: u32, payload: Vec<u8>) {
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
            let link = link_no;
            let event =
                if up { Event::Up { link, stream, payload } } else { Event::Down { link, stream, payload } };
            self.at(at_ms, event);
        }
    }

    pub(super) fn arrive_down(&mut self, link: u64, stream: u32, payload: &[u8]) {
        let Some(phone) = self.links.get(&link).map(|link| link.phone) else { return };
        let Some(underway) = self.phones[phone].underway.as_mut().filter(|underway| underway.link == link)
        else {
            return;
        };
        underway.sync.receive(stream, payload);
        self.drive(phone);
    }

    pub(super) fn arrive_up(&mut self, link_no: u64, stream: u32, payload: &[u8]) {
        let Some((server, photos)) = self.site.up() else { return };
        let Some(link) = self.links.get_mut(&link_no).filter(|link| !link.has_ended) else { return };
        let now_ms = self.site.now_ms();
        let runtime = &self.parts.runtime;
        let certificate = link.certificate.clone();
        let session = link.sessions.entry(stream).or_insert_with(|| {
            SimulatedSession::new(Arc::clone(&server), photos, certificate, Arc::clone(runtime))
        });
        let frame = decode_client(payload).ok();
        if matches!(frame, Some(ClientFrame::Pull(_))) {
            let scope = server.directory().scope(link.person, Day::in_default_zone(now_ms));
            link.pulled = scope.into_iter().collect();
        }
        let answers = self.site.release.run(|| session.take(payload, now_ms));
        let claim = |frame: &ClientFrame| match frame {
            ClientFrame::Pull(pull) => link.claims.get(&pull.captured_through_ms).copied(),
            _ => None,
        };
        let claimed_at_ms = frame.as_ref().and_then(claim).unwrap_or_default();
        link.has_ended = answers.has_ended;
        let (person, device, pulled) = (link.person, link.device, link.pulled.clone());
        if let Some(ClientFrame::Pull(pull)) = &frame
            && !self.site.disk.is_off()
        {
            self.check_claim(&server, device, pull, claimed_at_ms);
        }
        for payload in answers.payloads {
            self.look_at(&server, (person, device), &pulled, &payload);
            self.send(link_no, false, stream, payload);
        }
        self.see_to_server();
    }
}
