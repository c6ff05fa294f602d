//! Single situations of a session, each driven step by step.

use super::device::Device;
use super::home;
use crate::digest::Digest;
use crate::ids::{DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId, RecordId};
use crate::limits::{
    BATCH_FIRST_PLAIN_BYTES_TARGET, BATCH_MANY_OPS, BATCH_PLAIN_BYTES_TARGET, PUSH_FRAMES_IN_FLIGHT_MAX,
};
use crate::record::Op;
use crate::sync::SessionError;
use crate::sync::client::{ClientSession, Outcome, Step as ClientStep, SyncMode};
use crate::sync::server::{ServerSession, Step as ServerStep, refusal};
use crate::wire::v1::{
    Changes, ClientFrame, DigestVerdict, Hello, Pull, Push, Receipt, Refusal, Repair, Resume, Resumed,
    ServerFrame, Welcome,
};

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

/// A client whose oldest op is the first one, with the server's welcome in flight.
fn welcomed(mode: SyncMode, next_seq: u64) -> ClientSession {
    let mut client = ClientSession::new(mode, hello(next_seq), OpSeq(1));
    client.handle(welcome()).unwrap();
    client
}

/// A client that has sent pushes of these ops, starting with op 1.
fn pushed(batches: &[u64]) -> ClientSession {
    let mut client = welcomed(SyncMode::Sync, 1);
    let mut from = 1;
    for count in batches.iter().copied() {
        poll_until_read(&mut client, from);
        client.ops(ops(from, count));
        from += count;
    }
    poll_until_read(&mut client, from);
    client.ops(Vec::new());
    client
}

fn poll_until(client: &mut ClientSession, step: &ClientStep) {
    let found = (0..20).any(|_| client.poll() == *step);
    assert!(found, "{step:?} never comes: {client:?}");
}

fn reads_from(step: &ClientStep) -> Option<OpSeq> {
    if let ClientStep::ReadOps { from, .. } = step { Some(*from) } else { None }
}

fn poll_until_read(client: &mut ClientSession, from: u64) {
    let found = (0..20).any(|_| reads_from(&client.poll()) == Some(OpSeq(from)));
    assert!(found, "op {from} is never read: {client:?}");
}

#[test]
fn a_receipt_after_a_lost_one_drops_nothing_from_the_outbox() {
    let mut client = pushed(&[2, 2]);
    client.handle(receipt(3, 4)).unwrap();
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(1)), "the outcome of ops 1 and 2 is unknown");
}

#[test]
fn applied_ops_are_sent_again_if_their_receipt_was_lost() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(9), OpSeq(3));
    let welcome = Welcome { now_ms: 0, applied_through: OpSeq(8), person: PersonId(RecordId::NIL) };
    client.handle(ServerFrame::Welcome(welcome)).unwrap();
    poll_until_read(&mut client, 3);
    client.ops(ops(3, 2));
    poll_until(&mut client, &ClientStep::Send(ClientFrame::Push(Push { ops: ops(3, 2) })));
    client.handle(receipt(3, 2)).unwrap();
    poll_until_read(&mut client, 3);
}

#[test]
fn a_receipt_never_covers_more_than_its_push() {
    let mut client = pushed(&[2]);
    client.handle(receipt(1, 900)).unwrap();
    let ClientStep::CommitReceipt(receipt) = client.poll() else { panic!("no receipt") };
    assert_eq!(receipt.through, OpSeq(2), "op 3 may have been saved meanwhile, but was never sent");
}

#[test]
fn a_receipt_for_a_push_that_was_not_sent_yet_drops_nothing_from_the_outbox() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(3), OpSeq(1));
    poll_until_read(&mut client, 1);
    client.ops(ops(1, 2));
    client.handle(receipt(1, 2)).unwrap();
    client.handle(welcome()).unwrap();
    for _ in 0..5 {
        assert!(
            !matches!(client.poll(), ClientStep::CommitReceipt(_)),
            "the server cannot have these ops yet"
        );
    }
    client.handle(receipt(1, 2)).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)), "now the server can have them");
}

#[test]
fn a_renewed_certificate_is_kept_whenever_it_arrives_and_never_awaited() {
    let renewed = || ServerFrame::Renewed(vec![7]);
    let kept = ClientStep::KeepCertificate(vec![7]);
    let mut pushing = ClientSession::new(SyncMode::Push, hello(1), OpSeq(1));
    pushing.handle(welcome()).unwrap();
    pushing.handle(renewed()).unwrap();
    poll_until(&mut pushing, &kept);
    let mut client = pushed(&[2]);
    client.handle(receipt(1, 2)).unwrap();
    client.handle(renewed()).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)));
    assert_eq!(client.poll(), kept);
}

#[test]
fn a_server_without_progress_ends_the_session_instead_of_looping() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(9), OpSeq(5));
    client.handle(welcome()).unwrap();
    for _ in 0..1_000 {
        match client.poll() {
            ClientStep::ReadOps { from, .. } => {
                client.ops(if from == OpSeq(5) { ops(5, 2) } else { Vec::new() })
            }
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
fn ops_saved_during_a_sync_are_pushed_before_the_pull() {
    let mut client = pushed(&[2]);
    client.handle(receipt(1, 2)).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)));
    client.receipt_committed(OpSeq(2)).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadCursors);
    let mut device = Device::new(0);
    device.next_seq = OpSeq(4);
    client.ready_to_pull(device.pull());
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(3)));
}

/// A client that only pushes, with two ops sent and nothing more to read.
fn pushing() -> ClientSession {
    let mut client = welcomed(SyncMode::Push, 3);
    poll_until_read(&mut client, 1);
    client.ops(ops(1, 2));
    poll_until_read(&mut client, 3);
    client.ops(Vec::new());
    client
}

fn welcome() -> ServerFrame {
    ServerFrame::Welcome(Welcome { now_ms: 0, applied_through: OpSeq(0), person: PersonId(RecordId::NIL) })
}

#[test]
fn a_push_is_done_once_its_last_receipt_is_committed_and_the_outbox_is_empty() {
    let mut client = pushing();
    client.handle(receipt(1, 2)).unwrap();
    poll_until(&mut client, &ClientStep::Wait);
    client.receipt_committed(OpSeq(2)).unwrap();
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(3)), "something may have been saved meanwhile");
    client.ops(Vec::new());
    assert_eq!(client.poll(), ClientStep::Done(Outcome::Pushed));
    assert_eq!(client.poll(), ClientStep::Done(Outcome::Pushed), "it stays done");
}

#[test]
fn ops_saved_during_a_push_are_pushed_too() {
    let mut client = pushing();
    client.handle(receipt(1, 2)).unwrap();
    poll_until(&mut client, &ClientStep::Wait);
    client.receipt_committed(OpSeq(2)).unwrap();
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(3)));
    client.ops(ops(3, 1));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Push(_))));
}

#[test]
fn a_push_with_nothing_to_send_still_waits_for_the_servers_welcome() {
    let mut client = ClientSession::new(SyncMode::Push, hello(1), OpSeq(1));
    poll_until_read(&mut client, 1);
    client.ops(Vec::new());
    assert_eq!(client.poll(), ClientStep::Wait);
    client.handle(welcome()).unwrap();
    assert!(matches!(client.poll(), ClientStep::Welcome(_)));
    assert_eq!(client.poll(), ClientStep::Done(Outcome::Pushed));
}

#[test]
fn a_sync_is_not_done_before_the_servers_welcome() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(1), OpSeq(1));
    poll_until_read(&mut client, 1);
    client.ops(Vec::new());
    poll_until(&mut client, &ClientStep::ReadCursors);
    client.ready_to_pull(Device::new(0).pull());
    poll_until(&mut client, &ClientStep::Wait);
    client.handle(ServerFrame::Pulled(FeedSeq(0))).unwrap();
    assert_eq!(client.poll(), ClientStep::Wait, "it is unknown whether the store was restored or copied");
    client.handle(welcome()).unwrap();
    assert!(matches!(client.poll(), ClientStep::Welcome(_)));
    assert!(matches!(client.poll(), ClientStep::Done(Outcome::Synced(_))));
}

#[test]
fn a_push_session_accepts_no_records() {
    let mut client = pushing();
    let changes = Changes { home: None, from: FeedSeq(0), to: FeedSeq(1), records: Vec::new() };
    assert!(client.handle(ServerFrame::Changes(changes)).is_err());
    assert!(client.handle(ServerFrame::Pulled(FeedSeq(1))).is_err());
}

#[test]
fn a_pull_with_a_missing_frame_is_requested_again() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(1), OpSeq(1));
    poll_until_read(&mut client, 1);
    client.ops(Vec::new());
    assert_eq!(client.poll(), ClientStep::ReadCursors);
    client.ready_to_pull(Device::new(0).pull());
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(_))));
    client.handle(ServerFrame::Pulled(FeedSeq(7))).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadCursors, "the frame up to 7 is missing");
}

#[test]
fn a_pull_replaces_one_that_is_not_answered_yet() {
    let mut session = ServerSession::new(DeviceNo(1), PersonId(RecordId::NIL));
    session.handle(ClientFrame::Hello(hello(1)), 0, OpSeq(0)).unwrap();
    assert!((0..9).any(|_| session.poll() == ServerStep::Wait));
    let mut pull = Device::new(0).pull();
    pull.behind.push((home(0), FeedSeq(0)));
    session.scope(pull.clone(), None);
    session.scope(pull, None);
    let asked = ServerStep::ReadChanges { home: None, after: FeedSeq(0) };
    assert_eq!(session.poll(), asked);
    assert_eq!(session.poll(), ServerStep::Wait, "the first pull is dropped");
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
fn a_pull_from_a_position_outside_the_feed_is_repeated_and_the_sync_waits_for_that_answer() {
    let resume = Resume { epoch: FeedEpoch([1; 16]), reached: FeedSeq(7) };
    let mut client = ClientSession::new(SyncMode::Sync, hello(1), OpSeq(1)).resuming(resume);
    poll_until_read(&mut client, 1);
    client.ops(Vec::new());
    poll_until(&mut client, &ClientStep::ReadCursors);
    let position = |at| Pull { cursor: FeedSeq(at), ..Device::new(0).pull() };
    client.ready_to_pull(position(7));
    assert!(
        matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(_))),
        "the resume costs no round trip"
    );
    client.handle(welcome()).unwrap();
    // As if the answer had been lost.
    let changes = Changes { home: None, from: FeedSeq(7), to: FeedSeq(9), records: Vec::new() };
    client.handle(ServerFrame::Changes(changes)).unwrap();
    client.handle(ServerFrame::Pulled(FeedSeq(9))).unwrap();
    assert!(matches!(client.poll(), ClientStep::Welcome(_)));
    assert_eq!(client.poll(), ClientStep::Wait, "records from an unconfirmed position are ignored");
    let resumed = Resumed { epoch: FeedEpoch([2; 16]), continues: false };
    client.handle(ServerFrame::Resumed(resumed)).unwrap();
    assert_eq!(client.poll(), ClientStep::Resumed(resumed));
    assert_eq!(client.poll(), ClientStep::ReadCursors);
    client.ready_to_pull(position(0));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(pull)) if pull.cursor == FeedSeq(0)));
    client.handle(ServerFrame::Pulled(FeedSeq(0))).unwrap();
    assert!(matches!(client.poll(), ClientStep::Done(Outcome::Synced(_))));
}

/// Found by stateful fuzzing.
#[test]
fn an_op_saved_between_two_scopes_gets_its_receipt_before_the_pull() {
    let mut client = pushed(&[]);
    poll_until(&mut client, &ClientStep::ReadCursors);
    let position = |saved| Pull { sent_through: OpSeq(saved), ..Device::new(0).pull() };
    client.ready_to_pull(position(0));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(_))));
    for _ in 0..2 {
        client.handle(ServerFrame::Scope(vec![home(0)])).unwrap();
    }
    // A save came in between. It goes first.
    assert_eq!(client.poll(), ClientStep::CommitScope(vec![home(0)]));
    client.ready_to_pull(position(1));
    poll_until_read(&mut client, 1);
    client.ops(ops(1, 1));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Push(_))));
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(2)));
    client.ops(Vec::new());
    assert_eq!(client.poll(), ClientStep::CommitScope(vec![home(0)]));
    client.ready_to_pull(position(1));
    assert_eq!(client.poll(), ClientStep::Wait, "the receipt is missing");
    client.handle(receipt(1, 1)).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)));
    client.receipt_committed(OpSeq(1)).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadCursors);
}

#[test]
fn a_reconciliation_reads_only_homes_that_the_device_holds() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(1), OpSeq(1)).reconciling();
    poll_until_read(&mut client, 1);
    client.ops(Vec::new());
    client.handle(welcome()).unwrap();
    poll_until(&mut client, &ClientStep::ReadCursors);
    client.ready_to_pull(Device::new(0).pull());
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Pull(_))));
    client.handle(ServerFrame::Pulled(FeedSeq(0))).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadDigests);
    client.digests(vec![(home(1), Digest::default())]);
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::CompareDigests(_))));
    client.handle(ServerFrame::DigestVerdict(DigestVerdict::Differs)).unwrap();
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::CompareDigests(_))));
    client.handle(ServerFrame::DigestVerdict(DigestVerdict::DifferIn(vec![home(0), home(1)]))).unwrap();
    assert_eq!(client.poll(), ClientStep::ReadRecords { home: home(1), after: None });
    let repair = Repair { home: home(1), after: None, through: None, records: Vec::new(), gone: Vec::new() };
    client.handle(ServerFrame::Repair(repair)).unwrap();
    assert!(matches!(client.poll(), ClientStep::CommitRepair(_)));
    assert!(
        matches!(client.poll(), ClientStep::Done(Outcome::Synced(_))),
        "the home that the device does not hold is skipped"
    );
}

#[test]
fn a_refusal_ends_the_session_with_its_reason() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(1), OpSeq(1));
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

#[test]
fn the_first_of_many_pushes_is_small_so_that_the_server_starts_early() {
    let read = |from, bytes_target| ClientStep::ReadOps { from: OpSeq(from), bytes_target };
    let mut few = ClientSession::new(SyncMode::Sync, hello(1 + BATCH_MANY_OPS), OpSeq(1));
    assert!(matches!(few.poll(), ClientStep::Send(ClientFrame::Hello(_))));
    assert_eq!(few.poll(), read(1, BATCH_PLAIN_BYTES_TARGET), "a few days' work is one frame");
    let mut client = ClientSession::new(SyncMode::Sync, hello(2 + BATCH_MANY_OPS), OpSeq(1));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Hello(_))));
    assert_eq!(client.poll(), read(1, BATCH_FIRST_PLAIN_BYTES_TARGET));
    client.ops(ops(1, 2));
    client.handle(welcome()).unwrap();
    assert!(matches!(client.poll(), ClientStep::Welcome(_)));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Push(_))));
    assert_eq!(client.poll(), read(3, BATCH_PLAIN_BYTES_TARGET));
}

#[test]
fn no_push_is_sent_before_the_welcome_because_the_store_may_be_a_copy() {
    let mut client = ClientSession::new(SyncMode::Sync, hello(9), OpSeq(1));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Hello(_))));
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(1)), "one push is prepared meanwhile");
    client.ops(ops(1, 2));
    assert_eq!(client.poll(), ClientStep::Wait);
    client.handle(welcome()).unwrap();
    assert!(matches!(client.poll(), ClientStep::Welcome(_)), "the driver may have to stop after the welcome");
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Push(_))));
}

#[test]
fn a_full_pipeline_is_refilled_before_the_receipt_that_made_room_is_committed() {
    let mut client = welcomed(SyncMode::Sync, 9);
    for from in 1..=PUSH_FRAMES_IN_FLIGHT_MAX as u64 {
        poll_until_read(&mut client, from);
        client.ops(ops(from, 1));
    }
    poll_until(&mut client, &ClientStep::Wait);
    client.handle(receipt(1, 1)).unwrap();
    let next = PUSH_FRAMES_IN_FLIGHT_MAX as u64 + 1;
    assert_eq!(reads_from(&client.poll()), Some(OpSeq(next)));
    client.ops(ops(next, 1));
    assert!(matches!(client.poll(), ClientStep::Send(ClientFrame::Push(_))));
    assert!(matches!(client.poll(), ClientStep::CommitReceipt(_)));
}
