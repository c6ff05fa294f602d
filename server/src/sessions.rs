//! Sessions with devices over QUIC: the driver of [`xundian_protocol::sync::server`].

#[cfg(feature = "simulation")]
pub(crate) mod simulated;
mod worker;

use crate::photos::Photos;
use crate::server::Server;
use crate::transport::{FrameStream, Listener, Peer, StreamError};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};
use worker::{Turn, Worker};
use xundian_protocol::ids::DeviceNo;
use xundian_protocol::sync::server::refusal;
use xundian_protocol::wire::v1::{Refusal, ServerFrame, encode_server};

/// Frames decoded or planned at the same time, over all sessions. It bounds their memory.
const WORKING_MAX: usize = 4;
/// Connections without a certificate at the same time. An enrolment takes a second. Further ones are told to retry, and
/// devices never wait for them.
pub const STRANGERS_MAX: usize = 256;
/// The largest payload of a connection without a certificate: an enrolment takes a few hundred bytes.
const STRANGER_PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// The code with which a connection is closed after a refusal.
const CLOSE_REFUSED: u32 = 3;
/// The code with which the connection of a revoked device is closed.
const CLOSE_REVOKED: u32 = 4;
/// The code with which an excess connection is closed.
const CLOSE_BUSY: u32 = 5;
/// How long a session may be silent before its next frame.
const IDLE: Duration = Duration::from_secs(120);
/// How long a connection without a certificate may stay silent.
const STRANGER_IDLE: Duration = Duration::from_secs(20);
/// How long it may last.
const STRANGER_STAY: Duration = Duration::from_secs(60);
/// The bytes of a frame that a device must read per second, on top of [`IDLE`], or its session ends.
const READ_BYTES_PER_S_MIN: u64 = 1024;

/// The wall clock, Unix milliseconds.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What all sessions share.
#[derive(Clone)]
struct Served {
    server: Arc<Server>,
    photos: Arc<Photos>,
}

/// Serves sessions until `stop` becomes true.
pub async fn run(
    server: Arc<Server>,
    photos: Arc<Photos>,
    mut listener: Listener,
    mut stop: watch::Receiver<bool>,
) {
    let served = Served { server, photos };
    let working = Arc::new(Semaphore::new(WORKING_MAX));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        tokio::select! {
            peer = listener.accept() => {
                let Some(peer) = peer else { break };
                let (served, working) = (served.clone(), Arc::clone(&working));
                if peer.device.is_some() {
                    tokio::spawn(serve_device(served, working, peer));
                } else if let Ok(place) = Arc::clone(&strangers).try_acquire_owned() {
                    tokio::spawn(async move {
                        serve_stranger(served, working, peer).await;
                        drop(place);
                    });
                } else {
                    peer.close(CLOSE_BUSY, "too many devices enrol at this moment: try again in a minute");
                }
            }
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    listener.shutdown(Duration::from_secs(5)).await;
}

/// Serves a connection without a certificate, which may enrol a device.
async fn serve_stranger(served: Served, working: Arc<Semaphore>, peer: Peer) {
    let streams = serve_streams(served, working, peer.clone());
    if tokio::time::timeout(STRANGER_STAY, streams).await.is_err() {
        peer.close(CLOSE_REFUSED, "the enrolment took too long: try again");
    }
}

/// Serves one connection until it ends or its device is revoked.
async fn serve_device(served: Served, working: Arc<Semaphore>, peer: Peer) {
    let revoked = revocation_of(&served.server, peer.device_no().map(DeviceNo));
    tokio::select! {
        () = serve_streams(served, working, peer.clone()) => {}
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
                // A session that missed one finds the device revoked at its next frame.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

async fn serve_streams(served: Served, working: Arc<Semaphore>, peer: Peer) {
    // A device opens one stream at a time; each is a session.
    while let Ok(stream) = peer.accept_stream().await {
        let session =
            Session { served: served.clone(), working: Arc::clone(&working), peer: peer.clone(), stream };
        if let Err(end) = session.run().await {
            if matches!(end, End::GivenUp) {
                continue;
            }
            tracing::info!(remote = %peer.remote, device = ?peer.device_no(), "session ended: {end}");
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
    /// A device that must start over does not read what it no longer needs.
    #[error("the device abandoned the session, and may begin another one")]
    GivenUp,
}

struct Session {
    served: Served,
    /// Permits for work. One is held while a frame is decoded, handled or built, and never while waiting for the
    /// network: a device that reads slowly must not delay the others.
    working: Arc<Semaphore>,
    peer: Peer,
    stream: FrameStream,
}

impl Session {
    async fn run(mut self) -> Result<(), End> {
        let Some(certificate) = self.peer.device.clone() else { return self.enrol().await };
        let Some(payload) = self.receive().await? else { return Ok(()) };
        // A resumed TLS session does not check the certificate's dates again, so they are checked here.
        if certificate.not_after_ms < now_ms() {
            let message = "the device's certificate has expired: enrol it anew";
            return self.refuse(&refusal(Refusal::Unauthenticated, message)).await;
        }
        let served = self.served.clone();
        let begun = self.work(move || Worker::begin(served, certificate, &payload, now_ms())).await?;
        let (mut worker, mut turn) = match begun {
            Ok(begun) => begun,
            Err(refused) => return self.refuse(&refused).await,
        };
        loop {
            (worker, turn) = if let Turn::Store(picture) = turn {
                // It waits for the storage, which may be slow, and must hold no permit meanwhile.
                let stored = self.served.photos.store(picture).await;
                self.work(move || worker.stored(stored, now_ms())).await?
            } else if self.deliver(turn).await? {
                self.work(move || worker.go_on(now_ms())).await?
            } else {
                let Some(payload) = self.receive().await? else { return Ok(()) };
                self.work(move || worker.take(&payload, now_ms())).await?
            };
        }
    }

    /// Without a certificate only an enrolment is answered.
    async fn enrol(&mut self) -> Result<(), End> {
        self.stream.limit_payload(STRANGER_PAYLOAD_BYTES_MAX);
        let Some(payload) = self.receive().await? else { return Ok(()) };
        let server = Arc::clone(&self.served.server);
        let turn = self.work(move || worker::enrol(&server, &payload, now_ms())).await?;
        self.deliver(turn).await.map(|_| ())
    }

    /// Runs a piece of work on a thread that may block, with a permit. The runtime reuses these threads; permits bound
    /// their number.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
        // The semaphore is never closed; without a permit the work would only be less bounded.
        let room = Arc::clone(&self.working).acquire_owned().await.ok();
        let work = move || {
            // The work continues even if its session has ended, and so does its permit.
            let _room = room;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| {
            tracing::error!("the work for a session was given up: {error}");
            End::Lost("the server could not do its work".into())
        })
    }

    /// Sends the result of a piece of work. Returns whether there is more of it.
    async fn deliver(&mut self, turn: Turn) -> Result<bool, End> {
        match turn {
            // The caller stores a picture; there is nothing to send before that.
            Turn::Wait | Turn::Store(_) => Ok(false),
            Turn::Send { payload, more } => self.send(&payload).await.map(|()| more),
            Turn::Refuse(frame) => self.refuse(&frame).await.map(|()| false),
        }
    }

    async fn receive(&mut self) -> Result<Option<Vec<u8>>, End> {
        let patience = if self.peer.device.is_some() { IDLE } else { STRANGER_IDLE };
        let received = tokio::time::timeout(patience, self.stream.recv()).await;
        let received = received.map_err(|_| End::Lost("the device fell silent".into()))?;
        match received {
            Ok(payload) => Ok(payload),
            Err(StreamError::EndedByDevice { .. }) => Err(End::GivenUp),
            Err(error @ StreamError::ConnectionGone(_)) => Err(End::Lost(error.to_string())),
            Err(error) => self.refuse(&refusal(Refusal::Protocol, error)).await.map(|()| None),
        }
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), End> {
        let patience = IDLE + Duration::from_secs(payload.len() as u64 / READ_BYTES_PER_S_MIN);
        let sent = tokio::time::timeout(patience, self.stream.send(payload)).await;
        let sent = sent.map_err(|_| End::Lost("the device does not read what it asked for".into()))?;
        sent.map_err(|error| match error {
            StreamError::EndedByDevice { .. } => End::GivenUp,
            error => End::Lost(error.to_string()),
        })
    }

    /// Sends a refusal, makes sure that it arrives, and ends the session.
    async fn refuse(&mut self, frame: &ServerFrame) -> Result<(), End> {
        let message = match frame {
            ServerFrame::Refused(refused) => refused.message.clone(),
            _ => "the session cannot go on".into(),
        };
        self.send(&encode_server(frame)).await?;
        if self.stream.finish().is_ok() {
            let delivered = tokio::time::timeout(Duration::from_secs(5), self.stream.delivered()).await;
            if !matches!(delivered, Ok(Ok(()))) {
                tracing::debug!("a refusal may not have arrived");
            }
        }
        Err(End::Refused(message))
    }
}
