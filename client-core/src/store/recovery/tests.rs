//! The device's store, when a server has lost acknowledged saves.

use xundian_protocol::clock::Stamp;
use xundian_protocol::ids::{DeviceNo, FeedEpoch, FeedSeq, OpSeq, PersonId};
use xundian_protocol::record::{FieldKey, Home, Op, Value};
use xundian_protocol::wire::v1::{Changes, Resumed};

use super::super::tests::{DEVICE, changed, home, id, key, op, receipt, save};
use super::super::{Identity, LastSync, RejectedId, Store};
use super::SENT_OPS_KEPT;

const EPOCH: FeedEpoch = FeedEpoch([1; 16]);
const OTHER: FeedEpoch = FeedEpoch([2; 16]);

struct Opened {
    folder: tempfile::TempDir,
    store: Store,
}

impl Opened {
    /// A device that has saved and sent five ops, of which the server rejected the fourth, and has two more unsent.
    fn synced() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), None).expect("opens");
        store.set_identity(&identity(DEVICE)).expect("enrolled");
        store.set_scope(&[home(0), home(1), home(2)]).expect("a scope");
        (1..=5).for_each(|n| store.save(save(vec![op(n, n as u8, 20, 7)])).expect("saved"));
        store.note_sending(OpSeq(5)).expect("noted");
        store.receive(&receipt(5, &[4])).expect("received");
        store.fold_settled().expect("folded");
        let records = vec![changed(6, 20, 1, 100), changed(7, 20, 1, 101)];
        pull(&store, None, 0, 9, records);
        store.resumed(Resumed { epoch: EPOCH, continues: true }).expect("noted");
        Self { folder, store }
    }

    fn reopened(self) -> Self {
        drop(self.store);
        let store = Store::open(self.folder.path(), None).expect("opens");
        Self { store, ..self }
    }

    fn waiting(&self) -> Vec<u64> {
        let ops = self.store.unsent_from(OpSeq(1), usize::MAX).expect("readable");
        ops.iter().map(|op| op.seq.0).collect()
    }

    fn value(&self, n: u8) -> Option<Value> {
        let record = self.store.record(key(n)).expect("readable");
        record.and_then(|record| record.register(&FieldKey::single(20)).map(|found| found.value.clone()))
    }
}

fn identity(device: DeviceNo) -> Identity {
    Identity { device, person: PersonId(id(9)), person_name: "王芳".into(), server: "localhost:1".into() }
}

fn pull(store: &Store, of: Option<Home>, from: u64, to: u64, records: Vec<xundian_protocol::record::Record>) {
    let changes = Changes { home: of, from: FeedSeq(from), to: FeedSeq(to), records };
    store.apply_changes(&changes).expect("pulled");
}

fn finish(store: &Store) {
    store.drop_stale().expect("dropped");
    let sync = LastSync { at_ms: 1, server_offset_ms: 0, captured_through_ms: 1, boot: [0; 16] };
    store.finish_sync(sync).expect("finished");
}

#[test]
fn what_the_server_has_lost_waits_again_under_its_numbers() {
    let device = Opened::synced();
    assert_eq!(device.store.recover(OpSeq(2)).expect("recovered"), Some(3));
    let device = device.reopened();
    assert_eq!(device.waiting(), [3, 4, 5]);
    assert_eq!(device.store.unsent_from(OpSeq(1), usize::MAX).expect("readable")[0], op(3, 3, 20, 7));
    assert_eq!((device.store.applied_through(), device.store.next_seq()), (OpSeq(2), OpSeq(6)));
    assert_eq!(device.store.rejected().expect("readable"), [], "it is sent again first");

    device.store.save(save(vec![op(6, 3, 20, 8)])).expect("saved");
    device.store.receive(&receipt(6, &[4])).expect("received");
    device.store.fold_settled().expect("folded");
    let rejected = device.store.rejected().expect("readable");
    assert_eq!(
        rejected.iter().map(|of| of.id).collect::<Vec<_>>(),
        [RejectedId { device: DEVICE, seq: OpSeq(4) }]
    );
    assert_eq!((device.waiting(), device.value(3)), (vec![], Some(Value::Int(8))));
}

#[test]
fn what_others_sent_stays_readable_until_all_that_is_left_has_come() {
    let device = Opened::synced();
    device.store.recover(OpSeq(5)).expect("recovered");
    let device = device.reopened();
    let behind = [home(0), home(1), home(2)].map(|home| (home, FeedSeq(0)));
    let standing = device.store.standing();
    assert_eq!((standing.cursor, &standing.behind[..]), (FeedSeq(0), &behind[..]));

    // The server has an older value of record 6, and does not have record 7.
    pull(&device.store, Some(home(0)), 0, 4, vec![changed(6, 20, 0, 50)]);
    assert_eq!((device.value(6), device.value(7)), (Some(Value::Int(0)), Some(Value::Int(1))));
    let device = device.reopened();
    pull(&device.store, Some(home(0)), 4, 5, vec![changed(6, 21, 3, 60)]);
    assert_eq!(device.value(6), Some(Value::Int(0)), "from here on it is merged");
    pull(&device.store, None, 0, 4, Vec::new());
    finish(&device.store);
    assert_eq!((device.value(6), device.value(7)), (Some(Value::Int(0)), None));
    let device = device.reopened();
    assert_eq!((device.value(6), device.value(7)), (Some(Value::Int(0)), None));
    assert_eq!(device.store.digests().expect("readable").len(), 3, "no entry of a list is left alone");
}

/// Found by the simulation: such a home was read with the others, where the device gets no echo of its own writes.
#[test]
fn a_home_that_comes_into_scope_after_that_is_behind_like_all_others() {
    let device = Opened::synced();
    device.store.set_scope(&[home(0)]).expect("a scope");
    device.store.recover(OpSeq(2)).expect("recovered");
    device.store.set_scope(&[home(0), home(1)]).expect("a scope");
    assert_eq!(device.store.standing().behind, [(home(0), FeedSeq(0)), (home(1), FeedSeq(0))]);
}

/// Found by the simulation: the mark of a record that had left was found again after a crash.
#[test]
fn a_record_that_left_and_came_back_is_not_taken_for_one_that_is_lost() {
    let device = Opened::synced();
    device.store.recover(OpSeq(5)).expect("recovered");
    device.store.set_scope(&[home(1), home(2)]).expect("a scope");
    device.store.recover(OpSeq(5)).expect("recovered once more");
    device.store.set_scope(&[home(0), home(1), home(2)]).expect("a scope");
    pull(&device.store, Some(home(0)), 0, 4, vec![changed(6, 20, 3, 100)]);
    let device = device.reopened();
    finish(&device.store);
    assert_eq!(device.value(6), Some(Value::Int(3)));
}

#[test]
fn a_place_that_the_server_does_not_have_is_the_beginning() {
    let device = Opened::synced();
    let resume = device.store.resume();
    assert_eq!((resume.epoch, resume.reached), (EPOCH, FeedSeq(9)));
    device.store.resumed(Resumed { epoch: OTHER, continues: true }).expect("noted");
    assert_eq!(
        device.store.standing().cursor,
        FeedSeq(9),
        "the server was opened once more, and that is all"
    );
    device.store.resumed(Resumed { epoch: EPOCH, continues: false }).expect("noted");
    let device = device.reopened();
    let resume = device.store.resume();
    assert_eq!((resume.epoch, resume.reached), (EPOCH, FeedSeq(0)));
    assert_eq!((device.waiting(), device.value(7)), (vec![], Some(Value::Int(1))));
}

#[test]
fn what_is_no_longer_kept_is_not_asked_for_and_nothing_changes() {
    let device = Opened::synced();
    let mut next = 6;
    for _ in 0..4 {
        let ops: Vec<_> = (next..next + SENT_OPS_KEPT / 4).map(|seq| op(seq, 3, 20, 7)).collect();
        next += ops.len() as u64;
        device.store.save(save(ops)).expect("saved");
        device.store.note_sending(OpSeq(next - 1)).expect("noted");
        device.store.receive(&receipt(next - 1, &[])).expect("received");
        device.store.fold_settled().expect("folded");
    }
    assert_eq!(device.store.sent().expect("readable").len() as u64, SENT_OPS_KEPT);
    assert_eq!(device.store.recover(OpSeq(4)).expect("read"), None);
    assert_eq!((device.store.applied_through(), device.waiting()), (OpSeq(next - 1), vec![]));
    assert_eq!(device.store.recover(OpSeq(5)).expect("recovered"), Some(SENT_OPS_KEPT));
}

#[test]
fn a_device_that_the_server_does_not_know_sends_all_it_has_under_its_new_number() {
    let device = Opened::synced();
    device.store.save(save(vec![op(6, 3, 20, 8)])).expect("saved");
    device.store.note_forgotten(true).expect("noted");
    let device = device.reopened();
    device.store.set_identity(&identity(DeviceNo(12))).expect("enrolled");
    assert_eq!(device.waiting(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(device.store.rejected().expect("readable"), []);
    assert_eq!(device.store.standing().behind.len(), 3);
    device.store.receive(&receipt(6, &[])).expect("received");
    device.store.fold_settled().expect("folded");

    // Once the server knows the device, the next invitation is like any other: nothing is sent twice.
    device.store.note_forgotten(false).expect("noted");
    let device = device.reopened();
    device.store.set_identity(&identity(DeviceNo(13))).expect("enrolled");
    assert_eq!(device.waiting(), [0; 0]);

    // After a restore from an earlier backup, ops sent under the previous number are unsent as well.
    device
        .store
        .save(save(vec![Op {
            stamp: Stamp { device: DeviceNo(13), ..op(7, 3, 20, 9).stamp },
            ..op(1, 3, 20, 9)
        }]))
        .expect("saved");
    device.store.receive(&receipt(1, &[])).expect("received");
    device.store.note_forgotten(true).expect("noted");
    device.store.set_identity(&identity(DeviceNo(13))).expect("enrolled, by chance as before");
    assert_eq!(device.waiting(), (1..=7).collect::<Vec<_>>());
    assert_eq!(device.value(3), Some(Value::Int(9)));
}
