//! One sync, or a part of it: connects, and does what each session asks for until it is complete.
//!
//! It may be dropped or killed at any moment. Everything that it moves is committed step by step, and
//! the next one goes on from there.

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

/// A day's saves are folded into their records as soon as they are settled; more of them at the next sync,
/// so that nobody waits for it now.
const FOLDED_AT_ONCE_MAX: u64 = 512;
pub(super) const APP: &str = concat!("xundian ", env!("CARGO_PKG_VERSION"));

impl Client {
    /// Sends what waits, fetches what changed, then sends the pictures that wait. `progress` is told after each step.
    ///
    /// Records saved while pictures are sent go before the rest of these, and what others changed is fetched every five
    /// minutes meanwhile.
    ///
    /// # Errors
    /// Returns an error if the server cannot be reached or refuses, or the store or a picture cannot be read or
    /// written. What was done until then stays done.
    pub async fn sync(&self, progress: impl FnMut(SyncProgress) + Send) -> Result<SyncReport, SyncError> {
        self.run(SyncMode::Sync, true, progress).await
    }

    /// The same without the pictures, as for a network that costs by the byte.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn sync_records(
        &self,
        progress: impl FnMut(SyncProgress) + Send,
    ) -> Result<SyncReport, SyncError> {
        self.run(SyncMode::Sync, false, progress).await
    }

    /// Sends the pictures that wait and fetches nothing. The records that wait go first, for a picture is taken only
    /// once its record is. Where nothing waits no connection is made.
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

    /// Sends the records that wait and fetches nothing: right after a visit, before the app goes to the background, or
    /// on a thin network. Where nothing waits no connection is made. `progress` is told after each step.
    ///
    /// It is no sync. What others changed and what came into scope is fetched by the next sync, and only that tells the
    /// server up to when this device's figures are complete. Rejected saves lie in the tray at once, and the server's
    /// clock is learnt as by a sync.
    ///
    /// # Errors
    /// As [`Self::sync`]: where the device is not enrolled, a sync or another push is guard, the server cannot be
    /// reached or refuses, or the store cannot be written. What was done until then stays done.
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
        // What the last one settled and left lying, as it was much.
        self.store.fold_settled()?;
        let tls = self.tls()?;
        let session_stream = SessionStream::open(guard.connect(&identity.server, &tls).await?).await?;
        self.run_over(identity, session_stream, mode, has_pictures, told).await
    }

    /// The same over a connection that there is.
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

    /// A server that does not know a device which it has admitted was restored from a backup of before that.
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

    /// Shows another certificate from the next connection on. Where it cannot be kept, the one that is there goes on,
    /// and the server sends another with the next sync.
    fn renew_certificate(&self, certificate_der: &[u8]) {
        match identity::renew(&self.home, certificate_der) {
            Ok(()) => self.forget_tls(),
            Err(error) => tracing::warn!("the device's next certificate is not kept: {error}"),
        }
    }

    /// After an enrolment, whose certificate is another one.
    pub(super) fn forget_tls(&self) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What the carrier's stream was used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stream {
    Fresh,
    Records,
    Pictures,
}

/// A sync with its connection, through its sessions.
pub(super) struct Syncing<'a, F> {
    pub(super) client: &'a Client,
    identity: Identity,
    pub(super) session_stream: SessionStream,
    stream: Stream,
    pub(super) tally: Tally,
    /// Told after each step.
    pub(super) told: F,
}

impl<F: FnMut(SyncProgress) + Send> Syncing<'_, F> {
    /// A session of records, from its beginning to its end.
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

    /// What the server said before it closed the connection: a refusal tells more than that nothing can be sent.
    async fn last_word(&mut self, run: &mut Run<'_>) -> Option<SyncError> {
        loop {
            let frame = decode_server(&self.session_stream.receive().await.ok()?).ok()?;
            if let Err(error) = run.session().handle(frame) {
                return Some(error.into());
            }
        }
    }

    /// Pictures share a stream with each other, and not with records.
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
    /// With what the sessions before it did.
    tally: Tally,
    said_hello_at_ms: i64,
    server_offset_ms: i64,
    /// What this store had ever sent before this session.
    sent_before: OpSeq,
    /// What the server had confirmed of it before this session.
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
        // Saves of this session may be on their way already. The server took them for those that it has under
        // the same numbers, so its receipts must not be believed.
        if welcome.applied_through > self.sent_before {
            return Err(SyncError::Restored { applied_through: welcome.applied_through.0 });
        }
        // The server read its clock on the way there and back, about in the middle (Cristian 1989). Taken at one of the
        // ends, the offsets of two devices on a slow network would differ by half a round trip.
        let midway_ms = i64::midpoint(self.said_hello_at_ms, (self.client.clocks)().now_ms);
        self.server_offset_ms = welcome.now_ms.saturating_sub(midway_ms);
        self.client.store.note_hlc(Hlc::at_ms(welcome.now_ms));
        Ok(self.client.store.note_forgotten(false)?)
    }

    /// Whether the server has lost what it confirmed before this session.
    fn has_lost(&self, welcome: &Welcome) -> bool {
        welcome.applied_through < self.confirmed_before
    }

    /// What the server has lost waits again, for another session to send it.
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
        // What is saved while the sync runs is sent as well.
        self.tally.progress.ops_total = self.tally.progress.ops_total.max(self.tally.progress.ops_done);
        Ok(())
    }

    fn commit_changes(&mut self, changes: &Changes) -> Result<(), StoreError> {
        // Where the frame does not start where the device stands, the session asks for what is missing.
        let _moves_cursor = self.client.store.apply_changes(changes)?;
        self.tally.progress.records_pulled += changes.records.len() as u64;
        self.tally.report.records_pulled = self.tally.progress.records_pulled;
        Ok(())
    }

    fn pull(&self) -> Pull {
        // Whoever records holds this lock from reading the clock until the save is in the outbox. So where
        // the outbox ends now, everything captured before now is in front of its end.
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

    /// Notes how it ended. Few settled saves are folded into their records at once, after a push as after a
    /// sync: it costs a day's saves one commit, and a device that only pushes does not pile them up. Many are
    /// left to the beginning of the next one.
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
