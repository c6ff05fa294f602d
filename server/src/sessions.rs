//! Sessions with devices over QUIC: the driver of [`xundian_protocol::sync::server`].

use crate::enrolment::{EnrolError, printable};
use crate::pull::Puller;
use crate::server::Server;
use crate::store::{Device, StoreError};
use crate::transport::{FrameStream, Listener, Peer, StreamError};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use xundian_protocol::ids::{DeviceNo, OpSeq};
use xundian_protocol::sync::server::{ServerSession, Step, refusal};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::v1::{
    Answer, Ask, ClientFrame, Hello, Pull, Refusal, ServerFrame, decode_client, encode_server,
};

/// Frames that are decoded or planned at one time, over all sessions: what bounds the memory they take.
const WORKING_MAX: usize = 4;
/// What somebody without a certificate may send: an enrolment takes a few hundred bytes.
const STRANGER_PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// The code with which a connection is closed after a refusal.
const CLOSE_REFUSED: u32 = 3;
/// The code with which the connection of a revoked device is closed.
const CLOSE_REVOKED: u32 = 4;
/// How long a session may be silent before its next frame.
const IDLE: Duration = Duration::from_secs(120);
/// How long somebody without a certificate may take to say what they want.
const STRANGER_IDLE: Duration = Duration::from_secs(20);
/// A device must read so many bytes of a frame in a second, on top of [`IDLE`], or its session ends.
const READ_BYTES_PER_S_MIN: u64 = 1024;

/// The wall clock, Unix milliseconds.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Serves sessions until `stop` becomes true.
pub async fn run(server: Arc<Server>, mut listener: Listener, mut stop: watch::Receiver<bool>) {
    let working = Arc::new(Semaphore::new(WORKING_MAX));
    loop {
        tokio::select! {
            peer = listener.accept() => {
                let Some(peer) = peer else { break };
                let (server, working) = (Arc::clone(&server), Arc::clone(&working));
                tokio::spawn(async move { serve_peer(server, working, peer).await });
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    listener.shutdown(Duration::from_secs(5)).await;
}

/// Serves one connection until it ends or its device is revoked.
async fn serve_peer(server: Arc<Server>, working: Arc<Semaphore>, peer: Peer) {
    let revoked = revocation_of(&server, peer.device_no.map(DeviceNo));
    tokio::select! {
        () = serve_streams(Arc::clone(&server), working, peer.clone()) => {}
        no = revoked => {
            tracing::info!(remote = %peer.remote, "{no} was revoked, its connection is closed");
            peer.close(CLOSE_REVOKED, "this device was revoked: hand it to your manager or enrol it anew");
        }
    }
}

/// Waits until a device is revoked.
fn revocation_of(server: &Server, device: Option<DeviceNo>) -> impl Future<Output = DeviceNo> + use<> {
    let mut revocations = server.revocations();
    async move {
        loop {
            match revocations.recv().await {
                Ok(no) if Some(no) == device => return no,
                // Whoever missed one finds the device revoked at its next frame.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

async fn serve_streams(server: Arc<Server>, working: Arc<Semaphore>, peer: Peer) {
    // A device opens one stream at a time; each is a session of its own.
    while let Ok(stream) = peer.accept_stream().await {
        let session = Session {
            server: Arc::clone(&server),
            working: Arc::clone(&working),
            peer: peer.clone(),
            stream,
            permit: None,
        };
        if let Err(end) = session.run().await {
            tracing::info!(remote = %peer.remote, device = ?peer.device_no, "session ended: {end}");
            peer.close(CLOSE_REFUSED, &end.to_string());
            break;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum End {
    #[error("refused: {0}")]
    Refused(String),
    #[error("connection lost: {0}")]
    Lost(String),
}

struct Session {
    server: Arc<Server>,
    working: Arc<Semaphore>,
    peer: Peer,
    stream: FrameStream,
    /// Held while a frame is decoded, worked on or made, and never while the network is waited for: a
    /// device that reads slowly must not keep the others from being served.
    permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    async fn run(mut self) -> Result<(), End> {
        let Some(device) = self.admit().await? else { return Ok(()) };
        let mut session = ServerSession::new(device.no, device.person);
        let mut puller = None;
        while let Some(payload) = self.receive().await? {
            let no = device.no;
            self.still_welcome(no).await?;
            self.begin_work().await;
            let frame = match apart(move || decode_client(&payload)).await? {
                Ok(frame) => frame,
                Err(error) => return self.refuse(malformed(&error)).await,
            };
            let applied = self.blocking(move |server| server.device(no)).await?;
            let applied_through = applied.map(|device| device.applied_through).unwrap_or_default();
            if let Err(error) = session.handle(frame, now_ms(), applied_through) {
                return self.refuse(refusal(Refusal::Protocol, error)).await;
            }
            self.work(&mut session, &device, &mut puller).await?;
            self.permit = None;
        }
        Ok(())
    }

    /// Does what the session asks for until it waits.
    async fn work(
        &mut self,
        session: &mut ServerSession,
        device: &Device,
        puller: &mut Option<Puller>,
    ) -> Result<(), End> {
        let (no, person) = (device.no, device.person);
        loop {
            match session.poll() {
                Step::Wait => return Ok(()),
                Step::Send(frame) => self.send(frame).await?,
                Step::Refuse(frame) => return self.refuse(frame).await,
                Step::Greet(hello) => {
                    if let Err(message) = self.greet(no, hello).await? {
                        return self.refuse(refusal(Refusal::Cloned, message)).await;
                    }
                }
                Step::Ingest(ops) => {
                    let receipt = self.blocking(move |server| server.ingest(no, ops, now_ms())).await?;
                    session.ingested(receipt);
                }
                Step::CheckScope(pull) => {
                    let (pull, found) = self
                        .blocking(move |server| {
                            note_watermark(server, no, &pull)?;
                            let found = Puller::new(server, no, person, &pull, now_ms());
                            Ok((pull, found))
                        })
                        .await?;
                    match found {
                        Ok(found) => {
                            *puller = Some(found);
                            session.scope(pull, None);
                        }
                        Err(homes) => session.scope(pull, Some(homes)),
                    }
                }
                Step::ReadChanges { home, after } => {
                    let Some(mut reading) = puller.take() else {
                        return self.refuse(refusal(Refusal::Protocol, "no pull is under way")).await;
                    };
                    let (reading, (changes, more)) = self
                        .blocking(move |server| {
                            let read = reading.read(server, home, after)?;
                            Ok((reading, read))
                        })
                        .await?;
                    *puller = Some(reading);
                    session.changes(changes, more);
                }
                Step::ReadFigures(ask) => {
                    let answer = self.blocking(move |server| answer(server, person, ask)).await?;
                    match answer {
                        Ok(answer) => session.figures(answer),
                        Err(message) => return self.refuse(refusal(Refusal::OutOfScope, message)).await,
                    }
                }
            }
        }
    }

    /// Notes what a device tells of itself; the reason where its store cannot be its own latest one.
    async fn greet(&mut self, no: DeviceNo, hello: Hello) -> Result<Result<(), String>, End> {
        let offset = hello.now_ms.saturating_sub(now_ms());
        let (next_seq, mut applied) = (hello.next_seq, OpSeq(0));
        let applied = self.blocking(move |server| {
            server.note_device(no, |device| {
                applied = device.applied_through;
                device.app = printable(&hello.app);
                device.clock_offset_ms = Some(offset);
                device.last_sync_ms = Some(now_ms());
            })?;
            Ok(applied)
        });
        let applied = applied.await?;
        if next_seq > applied {
            return Ok(Ok(()));
        }
        // Its next save would take a number that stands for another save here, and would be lost.
        Ok(Err(format!(
            "the store of {no} was restored from a backup or copied: {} saves are known here, it knows of {}; \
             ask for a new invitation and enrol it anew, its unsent work is kept",
            applied.0,
            next_seq.0.saturating_sub(1),
        )))
    }

    /// The device behind the connection. Without a certificate only an enrolment is answered.
    async fn admit(&mut self) -> Result<Option<Device>, End> {
        let Some(no) = self.peer.device_no else {
            self.enrol().await?;
            return Ok(None);
        };
        // A resumed session does not check the certificate's dates again, so they are checked here.
        if self.peer.certificate_not_after_ms.is_some_and(|end| end < now_ms()) {
            let message = "the device's certificate has expired: enrol it anew";
            return self.refuse(refusal(Refusal::Unauthenticated, message)).await.map(|()| None);
        }
        let no = DeviceNo(no);
        let Some(device) = self.blocking(move |server| server.device(no)).await? else {
            let message = format!("{no} is not known here: enrol the device anew");
            return self.refuse(refusal(Refusal::Unauthenticated, message)).await.map(|()| None);
        };
        self.still_welcome(no).await?;
        Ok(Some(device))
    }

    async fn still_welcome(&mut self, no: DeviceNo) -> Result<(), End> {
        let device = self.blocking(move |server| server.device(no)).await?;
        if device.is_some_and(|device| device.revoked_at_ms.is_some()) {
            let message = format!("{no} was revoked: hand the device to your manager or enrol it anew");
            return self.refuse(refusal(Refusal::Revoked, message)).await;
        }
        Ok(())
    }

    async fn enrol(&mut self) -> Result<(), End> {
        self.stream.limit_payload(STRANGER_PAYLOAD_BYTES_MAX);
        let Some(payload) = self.receive().await? else { return Ok(()) };
        self.begin_work().await;
        let enrol = match apart(move || decode_client(&payload)).await? {
            Ok(ClientFrame::Enrol(enrol)) => enrol,
            Ok(_) => {
                let message = "this needs a device's certificate: enrol first";
                return self.refuse(refusal(Refusal::Unauthenticated, message)).await;
            }
            Err(error) => return self.refuse(malformed(&error)).await,
        };
        match self.blocking(move |server| Ok(server.enrol(&enrol, now_ms()))).await? {
            Ok(granted) => self.send(ServerFrame::Granted(granted)).await,
            Err(EnrolError::Store(error)) => self.unavailable(&error).await,
            Err(EnrolError::Authority(error)) => self.refuse(refusal(Refusal::Invalid, error)).await,
            Err(error) => self.refuse(refusal(Refusal::Invitation, error)).await,
        }
    }

    async fn receive(&mut self) -> Result<Option<Vec<u8>>, End> {
        self.permit = None;
        let patience = if self.peer.device_no.is_some() { IDLE } else { STRANGER_IDLE };
        let received = tokio::time::timeout(patience, self.stream.recv()).await;
        let received = received.map_err(|_| End::Lost("the device fell silent".into()))?;
        match received {
            Ok(payload) => Ok(payload),
            Err(error @ StreamError::ConnectionGone(_)) => Err(End::Lost(error.to_string())),
            Err(error) => self.refuse(refusal(Refusal::Protocol, error)).await.map(|()| None),
        }
    }

    async fn send(&mut self, frame: ServerFrame) -> Result<(), End> {
        self.begin_work().await;
        let payload = apart(move || encode_server(&frame)).await?;
        self.permit = None;
        let patience = IDLE + Duration::from_secs(payload.len() as u64 / READ_BYTES_PER_S_MIN);
        let sent = tokio::time::timeout(patience, self.stream.send(&payload)).await;
        let sent = sent.map_err(|_| End::Lost("the device does not read what it asked for".into()))?;
        sent.map_err(|error| End::Lost(error.to_string()))
    }

    /// Waits until there is room to work in; keeps the room until the next frame is sent or waited for.
    async fn begin_work(&mut self) {
        if self.permit.is_none() {
            // The semaphore is never closed; without a permit the work would only be less bounded.
            self.permit = Arc::clone(&self.working).acquire_owned().await.ok();
        }
    }

    /// Says why, makes sure that it arrives, and ends the session.
    async fn refuse(&mut self, frame: ServerFrame) -> Result<(), End> {
        let message = match &frame {
            ServerFrame::Refused(refused) => refused.message.clone(),
            _ => "the session cannot go on".into(),
        };
        self.send(frame).await?;
        if self.stream.finish().is_ok() {
            let delivered = tokio::time::timeout(Duration::from_secs(5), self.stream.delivered()).await;
            if !matches!(delivered, Ok(Ok(()))) {
                tracing::debug!("a refusal may not have arrived");
            }
        }
        Err(End::Refused(message))
    }

    async fn unavailable(&mut self, error: &StoreError) -> Result<(), End> {
        tracing::error!("{error}");
        let message = "the server has trouble with its store; nothing was lost, try again later";
        self.refuse(refusal(Refusal::Unavailable, message)).await
    }

    /// Runs store work where it may block; trouble with the store ends the session with a retryable error.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Server) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, End> {
        self.begin_work().await;
        let server = Arc::clone(&self.server);
        let done = apart(move || work(&server)).await?;
        match done {
            Ok(value) => Ok(value),
            Err(error) => {
                self.unavailable(&error).await?;
                Err(End::Refused(error.to_string()))
            }
        }
    }
}

/// Runs work that takes long or waits for the disk on a thread of its own. The runtime keeps such threads and
/// uses them again; as the work is bounded by permits, there are few of them.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        tracing::error!("the work for a session was given up: {error}");
        End::Lost("the server could not do its work".into())
    })
}

fn malformed(error: &DecodeError) -> ServerFrame {
    let why = if matches!(error, DecodeError::Version { .. }) { Refusal::Version } else { Refusal::Protocol };
    refusal(why, error)
}

/// A watermark counts once everything that it speaks of is applied, and never falls.
fn note_watermark(server: &Server, no: DeviceNo, pull: &Pull) -> Result<(), StoreError> {
    let through = pull.captured_through_ms.min(now_ms());
    let sent = pull.sent_through;
    server.note_device(no, |device| {
        if device.applied_through >= sent {
            device.captured_through_ms = device.captured_through_ms.max(Some(through));
        }
    })
}

/// Figures by region and product, for who sees the whole nation.
fn answer(
    server: &Server,
    person: xundian_protocol::ids::PersonId,
    ask: Ask,
) -> Result<Result<Answer, String>, StoreError> {
    let directory = server.directory();
    if directory.grant(person) != Some(xundian_protocol::access::Grant::Nation) {
        return Ok(Err("only headquarters may ask for figures of all regions".into()));
    }
    let Ask { view, from, to } = ask;
    if view.nature() == xundian_protocol::views::Nature::Flow && i64::from(to.0) - i64::from(from.0) > 366 {
        return Ok(Err("ask for at most 366 days at a time".into()));
    }
    Ok(Ok(Answer { rows: server.cells(view, crate::figures::Of::Units, from, to)? }))
}
