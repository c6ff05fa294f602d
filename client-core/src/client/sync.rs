//! One sync, or a part of it: connects, and runs each session until it is complete.
//!
//! It may be dropped or killed at any moment. Everything it moves is committed step by step, and the next sync resumes
//! from there.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use xundian_protocol::access::scope_digest;
use xundian_protocol::clock::Hlc;
use xundian_protocol::ids::OpSeq;
use xundian_protocol::sync::SessionError;
use xundian_protocol::sync::client::{ClientSession, Outcome, Step, SyncMode, Synced};
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, Hello, Pull, Receipt, Refusal, Resumed, Welcome, decode_server, encode_client,
};

use super::Client;
use super::identity::{self, IdentityFileError};
use super::progress::{PhotoReport, PushReport, SyncProgress, SyncReport, Tally};
use super::reconciliation::Schedule;
use super::session_stream::SessionStream;
use super::sync_error::SyncError;
use super::sync_guard::SyncGuard;
use crate::store::{Identity, LastSync, StoreError};
use crate::transport::TlsIdentity;

/// Up to this many settled saves are folded into their records at once. More are folded at the next sync, so that
/// nobody waits now.
const FOLDED_AT_ONCE_MAX: u64 = 512;
pub(super) const APP: &str = concat!("xundian ", env!("CARGO_PKG_VERSION"));

impl Client {
    /// Sends unsent saves, fetches changes, then sends unsent pictures. `progress` is called after each step.
    ///
    /// Records saved while pictures are sent go before the remaining pictures. Changes are fetched every five minutes
    /// meanwhile.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or refuses, or the store or a picture cannot be read or
    /// written. What was done before the error stays done.
    pub async fn sync(&self, progress: impl FnMut(SyncProgress) + Send) -> Result<SyncReport, SyncError> {
        self.run(SyncMode::Sync, true, progress).await
    }

    /// Like [`Self::sync`] without the pictures, for a metered network.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn sync_records(
        &self,
        progress: impl FnMut(SyncProgress) + Send,
    ) -> Result<SyncReport, SyncError> {
        self.run(SyncMode::Sync, false, progress).await
    }

    /// Sends the unsent pictures and fetches nothing. Unsent records go first, because a picture is accepted only once
    /// its record is. If nothing is unsent, no connection is made.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn send_photos(
        &self,
        progress: impl FnMut(SyncProgress) + Send,
    ) -> Result<PhotoReport, SyncError> {
        let has_nothing = self.store.unsent_ops() == 0 && self.due_pictures(&BTreeSet::new()).is_empty();
        if self.identity().is_some() && has_nothing {
            return Ok(PhotoReport { waiting: self.pictures_to_be_sent().0, ..PhotoReport::default() });
        }
        Ok(self.run(SyncMode::Push, true, progress).await?.photos)
    }

    /// Sends the unsent records and fetches nothing: right after a visit, before the app goes to the background, or on
    /// a slow network. If nothing is unsent, no connection is made. `progress` is called after each step.
    ///
    /// A push is not a sync. The next sync fetches changes and new homes, and only a sync tells the server up to when
    /// this device's figures are complete. Rejected saves are listed at once, and the server's clock is measured as by
    /// a sync.
    ///
    /// # Errors
    /// Returns an error if the device is not enrolled, a sync or another push is running, the server cannot be reached
    /// or refuses, or the store cannot be written. What was done before the error stays done.
    pub async fn push(&self, progress: impl FnMut(SyncProgress) + Send) -> Result<PushReport, SyncError> {
        if self.identity().is_some() && self.store.unsent_ops() == 0 {
            return Ok(PushReport::default());
        }
        let SyncReport { merged, rejected, unsent_ops, .. } =
            self.run(SyncMode::Push, false, progress).await?;
        Ok(PushReport { merged, rejected, unsent_ops })
    }

    async fn run(
        &self,
        mode: SyncMode,
        has_pictures: bool,
        told: impl FnMut(SyncProgress) + Send,
    ) -> Result<SyncReport, SyncError> {
        let identity = self.identity().ok_or(SyncError::NotEnrolled)?;
        let guard = SyncGuard::start(self)?;
        // Saves that the last sync settled and did not fold, because they were many.
        self.store.fold_settled()?;
        let tls = self.tls()?;
        let session_stream = SessionStream::open(guard.connect(&identity.server, &tls).await?).await?;
        self.run_over(identity, session_stream, mode, has_pictures, told).await
    }

    /// Like [`Self::push`], over an existing connection.
    pub(super) async fn run_over(
        &self,
        identity: Identity,
        session_stream: SessionStream,
        mode: SyncMode,
        has_pictures: bool,
        told: impl FnMut(SyncProgress) + Send,
    ) -> Result<SyncReport, SyncError> {
        let mut syncing = Syncing {
            client: self,
            identity,
            session_stream,
            stream: Stream::Fresh,
            tally: Tally::default(),
            told,
        };
        if let Err(error) = syncing.session(mode).await {
            self.note_refusal(&error)?;
            return Err(error);
        }
        if has_pictures {
            syncing.send_pictures(mode).await?;
        }
        Ok(syncing.finish().await)
    }

    /// Notes a refusal. A server that does not know a device it has admitted was restored from an older backup.
    fn note_refusal(&self, error: &SyncError) -> Result<(), StoreError> {
        match error {
            SyncError::Session(SessionError::Refused(refused)) if refused.why == Refusal::UnknownDevice => {
                self.store.note_forgotten(true)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn tls(&self) -> Result<TlsIdentity, IdentityFileError> {
        let mut kept = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = &*kept {
            return Ok(tls.clone());
        }
        let loaded = identity::load(&self.home)?;
        Ok(kept.insert(loaded).clone())
    }

    /// Uses another certificate from the next connection on. If it cannot be stored, the current one stays in use, and
    /// the server sends a new one with the next sync.
    fn renew_certificate(&self, certificate_der: &[u8]) {
        match identity::renew(&self.home, certificate_der) {
            Ok(()) => self.forget_tls(),
            Err(error) => tracing::warn!("the device's next certificate is not kept: {error}"),
        }
    }

    /// Forgets the TLS identity after an enrolment, which has a new certificate.
    pub(super) fn forget_tls(&self) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The use of the session stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    Fresh,
    Records,
    Pictures,
}

/// A sync with its connection, across its sessions.
pub(super) struct Syncing<'a, F> {
    pub(super) client: &'a Client,
    identity: Identity,
    pub(super) session_stream: SessionStream,
    stream: Stream,
    pub(super) tally: Tally,
    /// Called after each step.
    pub(super) told: F,
}

impl<F: FnMut(SyncProgress) + Send> Syncing<'_, F> {
    /// Runs one session of records.
    pub(super) async fn session(&mut self, mode: SyncMode) -> Result<(), SyncError> {
        if self.stream != Stream::Fresh {
            self.session_stream.next_stream().await?;
        }
        self.stream = Stream::Records;
        let mut run = Run::new(self.client, &self.identity, mode, self.tally)?;
        let outcome = loop {
            match run.session().poll() {
                Step::Welcome(welcome) if run.has_lost(&welcome) => {
                    run.recover(&welcome)?;
                    self.session_stream.next_stream().await?;
                    run = Run::new(self.client, &self.identity, mode, run.tally)?;
                }
                Step::Send(frame) => {
                    if run.note_sending(&frame)? {
                        (self.told)(run.tally.progress);
                    }
                    if let Err(error) = self.session_stream.send(&encode_client(&frame)).await {
                        return Err(self.last_word(&mut run).await.unwrap_or(error));
                    }
                }
                Step::Wait => {
                    let frame = decode_server(&self.session_stream.receive().await?)?;
                    run.session().handle(frame)?;
                }
                Step::Done(outcome) => break outcome,
                step => {
                    run.do_store_work(step)?;
                    (self.told)(run.tally.progress);
                }
            }
        };
        self.tally = run.finish(outcome)?;
        Ok(())
    }

    /// The error that the server sent before it closed the connection. A refusal says more than a broken stream.
    async fn last_word(&mut self, run: &mut Run<'_>) -> Option<SyncError> {
        loop {
            let frame = decode_server(&self.session_stream.receive().await.ok()?).ok()?;
            if let Err(error) = run.session().handle(frame) {
                return Some(error.into());
            }
        }
    }

    /// Opens a stream for pictures, if the current one is for records.
    pub(super) async fn go_on_with_pictures(&mut self) -> Result<(), SyncError> {
        if self.stream == Stream::Records {
            self.session_stream.next_stream().await?;
        }
        self.stream = Stream::Pictures;
        Ok(())
    }

    async fn finish(self) -> SyncReport {
        let Tally { progress, mut report, .. } = self.tally;
        report.unsent_ops = self.client.store.unsent_ops();
        report.photos.bytes_sent = progress.photo_bytes_sent;
        report.photos.waiting = self.client.pictures_to_be_sent().0;
        self.session_stream.close("done").await;
        report
    }
}

/// One session with what it needs of the store.
pub(super) struct Run<'a> {
    client: &'a Client,
    session: ClientSession,
    /// The totals of the sessions before it.
    tally: Tally,
    said_hello_at_ms: i64,
    server_offset_ms: i64,
    /// The last save that this store had sent before this session.
    sent_before: OpSeq,
    /// The last save that the server had acknowledged before this session.
    confirmed_before: OpSeq,
    check: Schedule,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        client: &'a Client,
        identity: &Identity,
        mode: SyncMode,
        mut tally: Tally,
    ) -> Result<Self, StoreError> {
        let store = &client.store;
        let next_seq = store.next_seq();
        let outbox_first = store.oldest_unsent()?.map_or(next_seq, |op| op.seq);
        let now_ms = (client.clocks)().now_ms;
        tally.progress.ops_total += store.unsent_ops();
        let hello = Hello { app: APP.to_owned(), device: identity.device, next_seq, now_ms };
        let session = ClientSession::new(mode, hello, outbox_first);
        let session = if mode == SyncMode::Sync { session.resuming(store.resume()) } else { session };
        let check = Schedule::of(store, now_ms);
        Ok(Self {
            session: if check == Schedule::Due { session.reconciling() } else { session },
            check,
            tally,
            said_hello_at_ms: now_ms,
            server_offset_ms: store.last_sync().map_or(0, |sync| sync.server_offset_ms),
            sent_before: store.sent_through(),
            confirmed_before: store.applied_through(),
            client,
        })
    }

    /// The session, which receives the server's frames.
    pub(super) const fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    /// Records that saves are about to be sent, before they are. Returns whether anything was written.
    fn note_sending(&self, frame: &ClientFrame) -> Result<bool, StoreError> {
        let ClientFrame::Push(push) = frame else { return Ok(false) };
        let store = &self.client.store;
        match push.ops.last() {
            // All unsent saves at once: one commit, and every later copy of this store has the same saves.
            Some(last) if last.seq > store.sent_through() => {
                store.note_sending(OpSeq(store.next_seq().0.saturating_sub(1)))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Performs a step that needs the store, and answers it.
    pub(super) fn do_store_work(&mut self, step: Step) -> Result<(), SyncError> {
        match step {
            Step::ReadOps { from, bytes_target } => {
                let ops = self.client.store.unsent_from(from, bytes_target)?;
                self.session.ops(ops);
            }
            Step::Welcome(welcome) => self.welcome(&welcome)?,
            Step::Resumed(resumed) => self.resumed(resumed)?,
            Step::KeepCertificate(certificate_der) => self.client.renew_certificate(&certificate_der),
            Step::CommitReceipt(receipt) => self.commit_receipt(&receipt)?,
            Step::ReadCursors => {
                let position = self.pull();
                self.session.ready_to_pull(position);
            }
            Step::CommitScope(homes) => {
                let change = self.client.store.set_scope(&homes)?;
                self.tally.report.homes_added += change.added;
                self.tally.report.homes_dropped += change.dropped;
                let position = self.pull();
                self.session.ready_to_pull(position);
            }
            Step::CommitChanges(changes) => self.commit_changes(&changes)?,
            Step::ReadDigests => {
                self.client.store.drop_stale()?;
                self.client.store.fold_settled()?;
                self.session.digests(self.client.store.digests()?);
            }
            Step::ReadRecords { home, after } => {
                self.session.records(self.client.store.held_records(home, after)?);
            }
            Step::CommitRepair(repair) => {
                self.tally.report.records_repaired += self.client.store.repair(&repair)?;
            }
            Step::Send(_) | Step::Wait | Step::Done(_) => {}
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: &Welcome) -> Result<(), SyncError> {
        // Saves of this session may be in flight already. The server took them for the saves that it has under the same
        // numbers, so its receipts must not be believed.
        if welcome.applied_through > self.sent_before {
            return Err(SyncError::Restored { applied_through: welcome.applied_through.0 });
        }
        // The server read its clock during the round trip, about in the middle (Cristian 1989). Measured at one of the
        // ends, the offsets of two devices on a slow network would differ by half a round trip.
        let midway_ms = i64::midpoint(self.said_hello_at_ms, (self.client.clocks)().now_ms);
        self.server_offset_ms = welcome.now_ms.saturating_sub(midway_ms);
        self.client.store.note_hlc(Hlc::at_ms(welcome.now_ms));
        Ok(self.client.store.note_forgotten(false)?)
    }

    /// Whether the server has lost saves that it acknowledged before this session.
    fn has_lost(&self, welcome: &Welcome) -> bool {
        welcome.applied_through < self.confirmed_before
    }

    /// Returns what the server has lost to the outbox, for another session to send.
    fn recover(&mut self, welcome: &Welcome) -> Result<(), SyncError> {
        let (applied_through, confirmed_through) = (welcome.applied_through, self.confirmed_before);
        let store = &self.client.store;
        let recovered = if self.tally.has_recovered { None } else { store.recover(applied_through)? };
        let Some(count) = recovered else {
            return Err(SyncError::ServerRestored {
                applied_through: applied_through.0,
                confirmed_through: confirmed_through.0,
            });
        };
        self.tally.has_recovered = true;
        tracing::warn!("the server was restored from an older backup: {count} saves are sent again");
        Ok(())
    }

    fn resumed(&self, resumed: Resumed) -> Result<(), StoreError> {
        if !resumed.continues {
            tracing::warn!(
                "the server does not have all that this device has seen, as after an older backup was put back: \
                 everything in scope is fetched again"
            );
        }
        self.client.store.resumed(resumed)
    }

    fn commit_receipt(&mut self, receipt: &Receipt) -> Result<(), SyncError> {
        let outcome = self.client.store.receive(receipt)?;
        self.session.receipt_committed(receipt.through)?;
        self.tally.report.merged += outcome.merged;
        self.tally.report.rejected += outcome.rejected;
        self.tally.progress.ops_done += outcome.merged + outcome.rejected;
        // Saves made while the sync runs are sent as well.
        self.tally.progress.ops_total = self.tally.progress.ops_total.max(self.tally.progress.ops_done);
        Ok(())
    }

    fn commit_changes(&mut self, changes: &Changes) -> Result<(), StoreError> {
        // If the frame does not start at the device's cursor, the session requests what is missing.
        let _moves_cursor = self.client.store.apply_changes(changes)?;
        self.tally.progress.records_pulled += changes.records.len() as u64;
        self.tally.report.records_pulled = self.tally.progress.records_pulled;
        Ok(())
    }

    fn pull(&self) -> Pull {
        // A save holds this lock from reading the clock until it is in the outbox. So the current end of the outbox
        // covers everything captured before now.
        let recording = self.client.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let captured_through_ms = (self.client.clocks)().now_ms;
        let saved_through = OpSeq(self.client.store.next_seq().0 - 1);
        drop(recording);
        let standing = self.client.store.standing();
        Pull {
            scope_digest: scope_digest(&standing.homes),
            cursor: standing.cursor,
            behind: standing.behind,
            sent_through: saved_through,
            captured_through_ms,
        }
    }

    /// Records the outcome. A few settled saves are folded into their records at once, after a push as after a sync:
    /// that costs one commit for a day's saves, and a device that only pushes does not accumulate them. Many are left
    /// to the next sync.
    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Tally, StoreError> {
        let moment = (self.client.clocks)();
        let store = &self.client.store;
        match outcome {
            Outcome::Pushed => store.note_server_clock(self.server_offset_ms, moment.boot)?,
            Outcome::Synced(Synced { captured_through_ms, .. }) => {
                store.drop_stale()?;
                store.finish_sync(LastSync {
                    at_ms: moment.now_ms,
                    server_offset_ms: self.server_offset_ms,
                    captured_through_ms,
                    boot: moment.boot,
                })?;
                self.tally.report.captured_through_ms = captured_through_ms;
                self.note_reconciled(moment.now_ms)?;
            }
        }
        if store.settled_ops() <= FOLDED_AT_ONCE_MAX {
            store.fold_settled()?;
        }
        self.tally.report.unsent_ops = store.unsent_ops();
        Ok(self.tally)
    }

    fn note_reconciled(&self, now_ms: i64) -> Result<(), StoreError> {
        let repaired = self.tally.report.records_repaired;
        if self.check == Schedule::Due && repaired > 0 {
            tracing::warn!(
                "{repaired} records had decayed on this device and were put right by the server's"
            );
        }
        if self.check != Schedule::NotDue {
            self.client.store.note_reconciled(now_ms)?;
        }
        Ok(())
    }
}
