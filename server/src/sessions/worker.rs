//! The work of a session between two waits for the network: decodes a frame, does what it asks for, and builds the
//! answer.
//!
//! It blocks on the store, so it runs on its own thread, from a frame to its answer. It knows no network and no clock:
//! the driver sends the result, and passes the time.

use super::Served;
use crate::authority::DeviceCertificate;
use crate::enrolment::{EnrolError, printable};
use crate::figures::CellSubjects;
use crate::photos::{Photos, UploadStep, Whole};
use crate::pull::Puller;
use crate::server::Server;
use crate::store::StoreError;
use std::sync::Arc;
use xundian_protocol::access::Grant;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::Nature;
use xundian_protocol::ids::{DeviceNo, FeedSeq, OpSeq, PersonId};
use xundian_protocol::limits::FIGURE_ROWS_MAX;
use xundian_protocol::record::Home;
use xundian_protocol::sync::server::{ServerSession, Step, refusal};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::v1::{
    ClientFrame, Declined, FigureRequest, FigureResponse, Hello, Pull, Refusal, ServerFrame, UploadStatus,
    decode_client, encode_server,
};

/// The most days of flows that one request may span.
const ASKED_DAYS_MAX: i64 = 366;

/// The result of a piece of work.
pub(super) enum Turn {
    /// Nothing to send: the next frame is awaited.
    Wait,
    /// A frame to send, and whether the work continues after it.
    Send { payload: Vec<u8>, more: bool },
    /// The last frame to send.
    Refuse(ServerFrame),
    /// A picture to store; the result is passed to [`Worker::stored`].
    Store(Whole),
}

/// The blocking half of one session with an admitted device. An error is the frame that ends the session.
pub(super) struct Worker {
    server: Arc<Server>,
    photos: Arc<Photos>,
    no: DeviceNo,
    certificate: DeviceCertificate,
    person: PersonId,
    session: ServerSession,
    puller: Option<Puller>,
}

impl Worker {
    /// Takes the first frame of a session, whose device must be known and not revoked. A number that was given to
    /// another device, as can happen after a restore from backup, is not known.
    pub(super) fn begin(
        Served { server, photos }: Served,
        certificate: DeviceCertificate,
        payload: &[u8],
        now_ms: i64,
    ) -> Result<(Self, Turn), ServerFrame> {
        let no = DeviceNo(certificate.device_no);
        let device = server.device(no).map_err(unavailable)?;
        let Some(device) = device.filter(|device| device.has_key(certificate.key_hash())) else {
            let message = format!("{no} is not known here: enrol the device anew");
            return Err(refusal(Refusal::UnknownDevice, message));
        };
        let session = ServerSession::new(no, device.person);
        let person = device.person;
        let worker = Self { server, photos, no, certificate, person, session, puller: None };
        Ok(worker.take(payload, now_ms))
    }

    /// Takes a frame of the device, up to the first answer.
    pub(super) fn take(mut self, payload: &[u8], now_ms: i64) -> (Self, Turn) {
        let turn = self.handle(payload, now_ms).and_then(|()| self.advance(now_ms));
        (self, turn.unwrap_or_else(Turn::Refuse))
    }

    /// Continues after an answer was sent, up to the next one.
    pub(super) fn go_on(mut self, now_ms: i64) -> (Self, Turn) {
        let turn = self.advance(now_ms);
        (self, turn.unwrap_or_else(Turn::Refuse))
    }

    /// Continues after a picture was stored, or failed to be.
    pub(super) fn stored(mut self, stored: Result<UploadStatus, Declined>, now_ms: i64) -> (Self, Turn) {
        self.session.picture(stored);
        self.go_on(now_ms)
    }

    fn handle(&mut self, payload: &[u8], now_ms: i64) -> Result<(), ServerFrame> {
        let device = self.server.device(self.no).map_err(unavailable)?;
        if device.as_ref().is_some_and(|device| device.revoked_at_ms.is_some()) {
            let message =
                format!("{} was revoked: hand the device to your manager or enrol it anew", self.no);
            return Err(refusal(Refusal::Revoked, message));
        }
        let frame = decode_client(payload).map_err(|error| malformed(&error))?;
        let applied_through = device.map(|device| device.applied_through).unwrap_or_default();
        let handled = self.session.handle(frame, now_ms, applied_through);
        handled.map_err(|error| refusal(Refusal::Protocol, error))
    }

    /// Does what the session asks for until there is something to send, or nothing more to do.
    fn advance(&mut self, now_ms: i64) -> Result<Turn, ServerFrame> {
        loop {
            match self.session.poll() {
                Step::Wait => return Ok(Turn::Wait),
                Step::Send(frame) => {
                    let payload = encode_server(&frame);
                    return Ok(Turn::Send { payload, more: !self.session.is_waiting() });
                }
                Step::Refuse(frame) => return Err(frame),
                Step::Greet(hello) => self.greet(&hello, now_ms)?,
                Step::FindFeedPosition(resume) => {
                    let resumed = self.server.find_feed_position(resume).map_err(unavailable)?;
                    self.session.resumed(resumed);
                }
                Step::Ingest(ops) => {
                    let receipt = self.server.ingest(self.no, ops, now_ms).map_err(unavailable)?;
                    self.session.ingested(receipt);
                }
                Step::CheckScope(pull) => self.check_scope(pull, now_ms)?,
                Step::ReadChanges { home, after } => self.read_changes(home, after)?,
                Step::Compare(check) => {
                    let verdict = self.puller()?.compare(&self.server, &check).map_err(unavailable)?;
                    self.session.verdict(verdict);
                }
                Step::CompareRecords(check) => {
                    let repair = self.puller()?.compare_records(&self.server, check).map_err(unavailable)?;
                    self.session.repair(repair);
                }
                Step::ReadFigures(ask) => {
                    let answer = answer(&self.server, self.person, ask, now_ms)?;
                    self.session.figures(answer);
                }
                Step::FindPicture(offer) => match self.photos.find(self.no, self.person, offer, now_ms) {
                    UploadStep::Say(said) => self.session.picture(said),
                    UploadStep::Store(whole) => return Ok(Turn::Store(whole)),
                },
                Step::KeepPiece(piece) => match self.photos.keep(self.no, self.person, &piece, now_ms) {
                    UploadStep::Say(said) => self.session.picture(said),
                    UploadStep::Store(whole) => return Ok(Turn::Store(whole)),
                },
            }
        }
    }

    /// Records what a device reports about itself, and refuses it if its store cannot be its own latest one. Sends
    /// another certificate if the device's expires soon.
    fn greet(&mut self, hello: &Hello, now_ms: i64) -> Result<(), ServerFrame> {
        let mut applied = OpSeq(0);
        let shown_until_ms = self.certificate.not_after_ms;
        let noted = self.server.note_device(self.no, |device| {
            applied = device.applied_through;
            // A row from an older backup may hold an earlier certificate.
            device.certificate_not_after_ms = device.certificate_not_after_ms.max(shown_until_ms);
            device.app = printable(&hello.app);
            device.clock_offset_ms = Some(hello.now_ms.saturating_sub(now_ms));
            device.last_sync_ms = Some(now_ms);
            device.replaced_by = None;
        });
        noted.map_err(unavailable)?;
        if hello.next_seq > applied {
            let renewed = self.server.renew(&self.certificate, now_ms).map_err(unavailable)?;
            if let Some(certificate_der) = renewed {
                self.session.renewed(certificate_der);
            }
            return Ok(());
        }
        // Its next save would use a number that is taken by another save here, and would be lost.
        let message = format!(
            "the store of {} was restored from a backup or copied: {} saves are known here, it knows of {}; \
             ask for a new invitation and enrol it anew, its unsent work is kept",
            self.no,
            applied.0,
            hello.next_seq.0.saturating_sub(1),
        );
        Err(refusal(Refusal::Cloned, message))
    }

    fn check_scope(&mut self, pull: Pull, now_ms: i64) -> Result<(), ServerFrame> {
        note_watermark(&self.server, self.no, &pull, now_ms).map_err(unavailable)?;
        match Puller::new(&self.server, self.no, self.person, &pull, now_ms) {
            Ok(puller) => {
                self.puller = Some(puller);
                self.session.scope(pull, None);
            }
            Err(homes) => self.session.scope(pull, Some(homes)),
        }
        Ok(())
    }

    /// The puller of the preceding scope frame.
    fn puller(&self) -> Result<&Puller, ServerFrame> {
        self.puller.as_ref().ok_or_else(|| refusal(Refusal::Protocol, "no pull is under way"))
    }

    fn read_changes(&mut self, home: Option<Home>, after: FeedSeq) -> Result<(), ServerFrame> {
        let Some(puller) = &mut self.puller else {
            return Err(refusal(Refusal::Protocol, "no pull is under way"));
        };
        let (changes, more) = puller.read(&self.server, home, after).map_err(unavailable)?;
        self.session.changes(changes, more);
        Ok(())
    }
}

/// Answers the one frame of a connection without a certificate.
pub(super) fn enrol(server: &Server, payload: &[u8], now_ms: i64) -> Turn {
    let refused = match decode_client(payload) {
        Ok(ClientFrame::Enrol(enrol)) => match server.enrol(&enrol, now_ms) {
            Ok(granted) => {
                let payload = encode_server(&ServerFrame::Granted(granted));
                return Turn::Send { payload, more: false };
            }
            Err(EnrolError::Store(error)) => unavailable(error),
            Err(EnrolError::Authority(error)) => refusal(Refusal::Invalid, error),
            Err(error) => refusal(Refusal::Invitation, error),
        },
        Ok(_) => refusal(Refusal::Unauthenticated, "this needs a device's certificate: enrol first"),
        Err(error) => malformed(&error),
    };
    Turn::Refuse(refused)
}

/// A store failure ends the session with an error that says to retry.
fn unavailable(error: StoreError) -> ServerFrame {
    tracing::error!("{error}");
    refusal(Refusal::Unavailable, "the server has trouble with its store; nothing was lost, try again later")
}

fn malformed(error: &DecodeError) -> ServerFrame {
    let DecodeError::Version { found, known } = error else { return refusal(Refusal::Protocol, error) };
    let older = if found < known { "app" } else { "server" };
    let message = format!(
        "the app speaks version {found} of the protocol, this server version {known}: update the {older}; nothing on the device is lost"
    );
    refusal(Refusal::Version, message)
}

/// A watermark counts once everything before it is applied, and never decreases.
fn note_watermark(server: &Server, no: DeviceNo, pull: &Pull, now_ms: i64) -> Result<(), StoreError> {
    let through = pull.captured_through_ms.min(now_ms);
    let sent = pull.sent_through;
    server.note_device(no, |device| {
        if device.applied_through >= sent {
            device.captured_through_ms = device.captured_through_ms.max(Some(through));
        }
    })
}

/// Figures by region and product, for people who see the whole nation.
fn answer(
    server: &Server,
    person: PersonId,
    request: FigureRequest,
    now_ms: i64,
) -> Result<FigureResponse, ServerFrame> {
    if server.directory().grant(person, Day::in_default_zone(now_ms)) != Some(Grant::Nation) {
        let message = "only headquarters may ask for figures of all regions";
        return Err(refusal(Refusal::OutOfScope, message));
    }
    let FigureRequest { family, from, to } = request;
    if family.nature() == Nature::Flow && i64::from(to.0) - i64::from(from.0) > ASKED_DAYS_MAX {
        let message = format!("ask for at most {ASKED_DAYS_MAX} days at a time");
        return Err(refusal(Refusal::OutOfScope, message));
    }
    let rows = server.cells(family, CellSubjects::Units, from, to).map_err(unavailable)?;
    if rows.len() > FIGURE_ROWS_MAX {
        let message = format!(
            "these are {} figures, at most {FIGURE_ROWS_MAX} are told at once: ask for fewer days",
            rows.len()
        );
        return Err(refusal(Refusal::OutOfScope, message));
    }
    Ok(FigureResponse { rows })
}
