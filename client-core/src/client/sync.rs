//! One sync, or the push that is its first half: connects, and does what the session asks for until it is
//! complete.
//!
//! Either may be dropped or killed at any moment. Everything that it moves is committed step by step, and
//! the next one goes on from there.

use std::sync::PoisonError;

use xundian_protocol::access::scope_digest;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::sync::SessionError;
use xundian_protocol::sync::client::{Aim, ClientSession, Outcome, Position, Step, Synced};
use xundian_protocol::wire::DecodeError;
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, Hello, Receipt, Welcome, decode_server, encode_client,
};

use super::Client;
use super::identity::{self, IdentityFileError};
use super::running::{ANSWER_TIMEOUT, Carrier, Running};
use crate::store::{Identity, LastSync, StoreError};
use crate::transport::{ConnectError, StreamError, TlsIdentity};

/// A day's saves are folded into their records as soon as they are settled; more of them at the next sync,
/// so that nobody waits for it now.
const FOLDED_AT_ONCE_MAX: u64 = 512;
const APP: &str = concat!("xundian ", env!("CARGO_PKG_VERSION"));

/// How far a sync is. Each figure only grows, and `ops_done` never passes `ops_total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncProgress {
    /// Saves that the server has taken or rejected.
    pub ops_done: u64,
    /// Saves that were to be sent.
    pub ops_total: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
}

/// What a sync did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SyncReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Records that came from the server.
    pub records_pulled: u64,
    /// Homes that came into scope.
    pub homes_added: u64,
    /// Homes that left it.
    pub homes_dropped: u64,
    /// Everything captured up to here is on the server, Unix milliseconds.
    pub captured_through_ms: i64,
    /// Saves that were made while the sync ran and wait for the next one.
    pub unsent_ops: u64,
}

/// What a push did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PushReport {
    /// Saves that the server merged.
    pub merged: u64,
    /// Saves that it rejected; they lie in the tray.
    pub rejected: u64,
    /// Saves that were made in the last moment and wait for the next push or sync.
    pub unsent_ops: u64,
}

/// Why a sync or a push did not come to its end. Nothing saved is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The device is not enrolled.
    #[error("this device is not enrolled: run `enrol` with the invitation that your manager gave you")]
    NotEnrolled,
    /// Another sync or push is running.
    #[error("a sync or a push is running already: wait until it is done")]
    Running,
    /// There is no connection, or none any more.
    #[error("{message}")]
    Connection {
        /// What is wrong and what to do.
        message: String,
        /// Whether trying again later can help without anybody doing something.
        is_retryable: bool,
    },
    /// The server's name has no address.
    #[error(
        "the server's address {address} cannot be found ({source}): check this device's network and sync again"
    )]
    Address {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server does not answer any more.
    #[error("the server did not answer for {} seconds: sync again in a minute", ANSWER_TIMEOUT.as_secs())]
    NoAnswer,
    /// The server ended the session too early.
    #[error("the server ended the session before it was complete: sync again")]
    Ended,
    /// A frame cannot be read.
    #[error(
        "the server sent what this app cannot read ({0}): update the app, or the server if the app is newer"
    )]
    Frame(#[from] DecodeError),
    /// The server has saves of this device that this store never sent.
    #[error(
        "this device's store was restored from a backup or copied: the server has its saves up to {applied_through}, which this store never sent. Ask your manager for a new invitation and enrol again; unsent work is kept"
    )]
    Restored {
        /// The last save that the server has.
        applied_through: u64,
    },
    /// The server has lost what it confirmed.
    #[error(
        "the server has this device's saves up to {applied_through} only, though it confirmed those up to {confirmed_through}: it was restored from an older backup. Keep this device as it is and tell headquarters; nothing on it is lost"
    )]
    ServerRestored {
        /// The last save that the server has.
        applied_through: u64,
        /// The last save that it has confirmed.
        confirmed_through: u64,
    },
    /// The session cannot go on.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The device's key or certificates cannot be read.
    #[error(transparent)]
    File(#[from] IdentityFileError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// Whether trying again later can help without anybody doing something.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection { is_retryable, .. } => *is_retryable,
            Self::Session(SessionError::Refused(refused)) => refused.why.is_retryable(),
            Self::Running | Self::Address { .. } | Self::NoAnswer | Self::Ended | Self::Session(_) => true,
            Self::NotEnrolled | Self::Restored { .. } | Self::ServerRestored { .. } => false,
            Self::Frame(_) | Self::File(_) | Self::Store(_) => false,
        }
    }
}

impl From<ConnectError> for SyncError {
    fn from(error: ConnectError) -> Self {
        Self::Connection { message: error.to_string(), is_retryable: error.is_retryable() }
    }
}

impl From<StreamError> for SyncError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Connection(error) => error.into(),
            error => Self::Connection { message: error.to_string(), is_retryable: true },
        }
    }
}

impl Client {
    /// Sends what waits, and fetches what changed. `progress` is told after each step.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses, or the store cannot be written. What was done until
    /// then stays done.
    pub async fn sync(&self, progress: impl FnMut(SyncProgress) + Send) -> Result<SyncReport, SyncError> {
        self.run(Aim::Sync, progress).await
    }

    /// Sends what waits and fetches nothing: right after a visit, before the app goes to the background, or
    /// on a thin network. Where nothing waits no connection is made. `progress` is told after each step.
    ///
    /// It is no sync. What others changed and what came into scope is fetched by the next sync, and only that
    /// tells the server up to when this device's figures are complete. Rejected saves lie in the tray at
    /// once, and the server's clock is learnt as by a sync.
    ///
    /// # Errors
    /// As [`Self::sync`]: where the device is not enrolled, a sync or another push is running, the server
    /// cannot be reached or refuses, or the store cannot be written. What was done until then stays done.
    pub async fn push(&self, progress: impl FnMut(SyncProgress) + Send) -> Result<PushReport, SyncError> {
        if self.identity().is_some() && self.store.unsent_ops() == 0 {
            return Ok(PushReport::default());
        }
        let SyncReport { merged, rejected, unsent_ops, .. } = self.run(Aim::Push, progress).await?;
        Ok(PushReport { merged, rejected, unsent_ops })
    }

    async fn run(
        &self,
        aim: Aim,
        mut progress: impl FnMut(SyncProgress) + Send,
    ) -> Result<SyncReport, SyncError> {
        let identity = self.identity().ok_or(SyncError::NotEnrolled)?;
        let running = Running::start(self)?;
        // What the last one settled and left lying, as it was much.
        self.store.fold_settled()?;
        let tls = self.tls()?;
        let mut carrier = Carrier::open(running.connect(&identity.server, &tls).await?).await?;
        let mut run = Run::new(self, &identity, aim)?;
        let outcome = loop {
            match run.session().poll() {
                Step::Send(frame) => {
                    if run.note_sending(&frame)? {
                        progress(run.progress);
                    }
                    carrier.send(&encode_client(&frame)).await?;
                }
                Step::Wait => {
                    let frame = decode_server(&carrier.receive().await?)?;
                    run.session().handle(frame)?;
                }
                Step::Done(outcome) => break outcome,
                step => {
                    run.do_store_work(step)?;
                    progress(run.progress);
                }
            }
        };
        let report = run.finish(outcome)?;
        carrier.close("done").await;
        Ok(report)
    }

    fn tls(&self) -> Result<TlsIdentity, IdentityFileError> {
        let mut kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = &*kept {
            return Ok(tls.clone());
        }
        let loaded = identity::load(&self.home)?;
        Ok(kept.insert(loaded).clone())
    }

    /// After an enrolment, whose certificate is another one.
    pub(super) fn forget_tls(&self) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One session with what it needs of the store.
pub(super) struct Run<'a> {
    client: &'a Client,
    session: ClientSession,
    progress: SyncProgress,
    report: SyncReport,
    server_offset_ms: i64,
    /// What this store had ever sent before this session.
    sent_before: OpSeq,
}

impl<'a> Run<'a> {
    pub(super) fn new(client: &'a Client, identity: &Identity, aim: Aim) -> Result<Self, StoreError> {
        let store = &client.store;
        let next_seq = store.next_seq();
        let outbox_first = store.oldest_unsent()?.map_or(next_seq, |op| op.seq);
        let now_ms = (client.clocks)().now_ms;
        let hello = Hello { app: APP.to_owned(), device: identity.device, next_seq, now_ms };
        Ok(Self {
            client,
            session: ClientSession::new(aim, hello, outbox_first),
            progress: SyncProgress { ops_total: store.unsent_ops(), ..SyncProgress::default() },
            report: SyncReport::default(),
            server_offset_ms: store.last_sync().map_or(0, |sync| sync.server_offset_ms),
            sent_before: store.sent_through(),
        })
    }

    /// The session, for the driver to hand frames to.
    pub(super) const fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    /// Notes that saves are about to leave, before they do. Returns whether that was news.
    fn note_sending(&self, frame: &ClientFrame) -> Result<bool, StoreError> {
        let ClientFrame::Push(push) = frame else { return Ok(false) };
        let store = &self.client.store;
        match push.ops.last() {
            // All that waits at once: one commit, and every life of this store has these saves alike.
            Some(last) if last.seq > store.sent_through() => {
                store.note_sending(OpSeq(store.next_seq().0.saturating_sub(1)))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Does a step that is not the network's, and answers it.
    pub(super) fn do_store_work(&mut self, step: Step) -> Result<(), SyncError> {
        match step {
            Step::ReadOps { from, bytes_target } => {
                let ops = self.client.store.unsent_from(from, bytes_target)?;
                self.session.ops(ops);
            }
            Step::Welcome(welcome) => self.welcome(&welcome)?,
            Step::CommitReceipt(receipt) => self.commit_receipt(&receipt)?,
            Step::ReadPosition => {
                let position = self.position();
                self.session.ready_to_pull(position);
            }
            Step::CommitScope(homes) => {
                let change = self.client.store.set_scope(&homes)?;
                self.report.homes_added += change.added;
                self.report.homes_dropped += change.dropped;
                let position = self.position();
                self.session.ready_to_pull(position);
            }
            Step::CommitChanges(changes) => self.commit_changes(&changes)?,
            Step::Send(_) | Step::Wait | Step::Done(_) => {}
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: &Welcome) -> Result<(), SyncError> {
        // Saves of this session may be on their way already. The server took them for those that it has under
        // the same numbers, so its receipts must not be believed.
        if welcome.applied_through > self.sent_before {
            return Err(SyncError::Restored { applied_through: welcome.applied_through.0 });
        }
        let confirmed_through = self.client.store.applied_through();
        if welcome.applied_through < confirmed_through {
            return Err(SyncError::ServerRestored {
                applied_through: welcome.applied_through.0,
                confirmed_through: confirmed_through.0,
            });
        }
        self.server_offset_ms = welcome.now_ms.saturating_sub((self.client.clocks)().now_ms);
        self.client.store.note_hlc(Hlc::at_ms(welcome.now_ms));
        Ok(())
    }

    fn commit_receipt(&mut self, receipt: &Receipt) -> Result<(), SyncError> {
        let outcome = self.client.store.receive(receipt)?;
        self.session.receipt_committed(receipt.through)?;
        self.report.merged += outcome.merged;
        self.report.rejected += outcome.rejected;
        self.progress.ops_done += outcome.merged + outcome.rejected;
        // What is saved while the sync runs is sent as well.
        self.progress.ops_total = self.progress.ops_total.max(self.progress.ops_done);
        Ok(())
    }

    fn commit_changes(&mut self, changes: &Changes) -> Result<(), StoreError> {
        // Where the frame does not start where the device stands, the session asks for what is missing.
        let _moves_cursor = self.client.store.apply_changes(changes)?;
        self.progress.records_pulled += changes.records.len() as u64;
        self.report.records_pulled = self.progress.records_pulled;
        Ok(())
    }

    fn position(&self) -> Position {
        // Whoever records holds this lock from reading the clock until the save is in the outbox. So where
        // the outbox ends now, everything captured before now is in front of its end.
        let recording = self.client.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let captured_through_ms = (self.client.clocks)().now_ms;
        let saved_through = OpSeq(self.client.store.next_seq().0 - 1);
        drop(recording);
        let standing = self.client.store.standing();
        Position {
            scope_digest: scope_digest(&standing.homes),
            cursor: standing.cursor,
            behind: standing.behind,
            sent_through: saved_through,
            captured_through_ms,
        }
    }

    /// Notes how it ended. Few settled saves are folded into their records at once, after a push as after a
    /// sync: it costs a day's saves one commit, and a device that only pushes does not pile them up. Many are
    /// left to the beginning of the next one.
    pub(super) fn finish(mut self, outcome: Outcome) -> Result<SyncReport, StoreError> {
        let store = &self.client.store;
        let moment = (self.client.clocks)();
        match outcome {
            Outcome::Pushed => store.note_server_clock(self.server_offset_ms, moment.boot)?,
            Outcome::Synced(Synced { captured_through_ms, .. }) => {
                store.finish_sync(LastSync {
                    at_ms: moment.now_ms,
                    server_offset_ms: self.server_offset_ms,
                    captured_through_ms,
                    boot: moment.boot,
                })?;
                self.report.captured_through_ms = captured_through_ms;
            }
        }
        if store.settled_ops() <= FOLDED_AT_ONCE_MAX {
            store.fold_settled()?;
        }
        self.report.unsent_ops = store.unsent_ops();
        Ok(self.report)
    }
}
