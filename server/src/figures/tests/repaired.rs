//! Figures that were damaged on disk and are repaired from the records.

use super::backfilled::all_figures;
use super::*;
use crate::store::Table;
use std::ops::ControlFlow;

/// One kind of damage to one row.
#[derive(Clone, Debug)]
enum Damage {
    /// The row is missing.
    Lost,
    /// Its value is that of another row of its table.
    Swapped,
    /// A byte of its value is changed.
    Flipped { at: prop::sample::Index, bits: u8 },
    /// Its value is truncated.
    Torn,
    /// A similar row exists where none belongs.
    Doubled { at: prop::sample::Index, bits: u8 },
    /// A row with a meaningless key exists beside it.
    Foreign,
}

fn damage() -> impl Strategy<Value = (prop::sample::Index, Damage)> {
    let index = || any::<prop::sample::Index>();
    let damage = prop_oneof![
        Just(Damage::Lost),
        Just(Damage::Swapped),
        (index(), 1u8..).prop_map(|(at, bits)| Damage::Flipped { at, bits }),
        Just(Damage::Torn),
        (index(), 1u8..).prop_map(|(at, bits)| Damage::Doubled { at, bits }),
        Just(Damage::Foreign),
    ];
    (index(), damage)
}

fn flipped(bytes: &[u8], at: prop::sample::Index, bits: u8) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    if !flipped.is_empty() {
        flipped[at.index(bytes.len())] ^= bits;
    }
    flipped
}

fn put(server: &Server, (row, damage): &(prop::sample::Index, Damage)) {
    let rows = server.store.derived_rows().expect("readable rows");
    let (table, key, value) = row.get(&rows);
    let put = |key: &[u8], value: Option<&[u8]>| server.store.damage(*table, key, value).expect("a write");
    match damage {
        Damage::Lost => put(key, None),
        Damage::Swapped => {
            let other = rows.iter().rev().find(|(of, other, _)| of == table && other != key);
            put(key, other.map(|(.., value)| value.as_slice()));
        }
        Damage::Flipped { at, bits } => put(key, Some(&flipped(value, *at, *bits))),
        Damage::Torn => put(key, Some(&value[..value.len().saturating_sub(1)])),
        Damage::Doubled { at, bits } => put(&flipped(key, *at, *bits), Some(value)),
        Damage::Foreign => put(&key[..key.len() / 3], Some(value)),
    }
}

/// Sends until the server accepts everything. A commit that meets damage is refused as a whole, and its ops stay
/// unsent.
fn try_send(server: &Server, device: DeviceNo, ops: &[Op]) -> bool {
    ops.iter().all(|op| server.ingest(device, vec![op.clone()], NOW_MS).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_damaged_equals_again_what_was_never_damaged(
        one in prop::collection::vec(job(), 1..30),
        two in prop::collection::vec(job(), 1..12),
        damages in prop::collection::vec(damage(), 1..8),
        at_once in 1usize..9,
        commits in 1usize..30,
        handover in 0i32..8,
    ) {
        let (one, two) = (ops(DeviceNo(1), &one), ops(DeviceNo(2), &two));
        let handed_over = || vec![assignment(1, 1, 2, DAY_ZERO + handover)];
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let sound = company(folders[0].path());
        send(&sound, DeviceNo(1), &one, 100);
        send(&sound, DeviceNo(2), &two, 100);
        sound.write(handed_over(), "test", NOW_MS).expect("a hand-over");

        let server = company(folders[1].path());
        send(&server, DeviceNo(1), &one, 7);
        damages.iter().for_each(|damage| put(&server, damage));
        // Devices and headquarters continue between its commits, and the server is killed in the middle.
        let (mut left, mut sent) = (commits, two.iter());
        let cut_off = server.repair_views_in(at_once, "test", NOW_MS, || {
            let _taken = sent.next().map(|op| try_send(&server, DeviceNo(2), std::slice::from_ref(op)));
            let _written = (left == 1).then(|| server.write(handed_over(), "test", NOW_MS));
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let _mended = cut_off.expect("it mends");
        drop(server);
        let server = Server::open(folders[1].path(), NOW_MS).expect("the folder opens");
        let report = server.repair_views("test", NOW_MS).expect("it mends");
        prop_assert!(report.left.is_clean(), "{:#?}", report.left.findings);
        prop_assert_eq!(report.found.is_clean(), report.mended.total() == 0);

        prop_assert!(try_send(&server, DeviceNo(2), &two));
        server.write(handed_over(), "test", NOW_MS).expect("a hand-over");
        assert_clean(&server);
        prop_assert_eq!(all_figures(&server), all_figures(&sound));
    }
}

#[test]
fn mending_says_what_was_wrong_and_is_in_the_audit_trail_and_leaves_records_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let job = |record| Job { work: Work::Count { units: 5 }, outlet: 0, product: 5, day: 1, record };
    send(&server, DeviceNo(1), &ops(DeviceNo(1), &[job(0), job(1)]), 2);
    let records = || server.store.reader().records(None).collect::<Result<Vec<_>, _>>().expect("records");
    let (before, audited) = (records(), server.store.reader().audit().expect("a trail").len());
    let rows = server.store.derived_rows().expect("rows");
    for table in [Table::Cells, Table::Provenance, Table::Stock, Table::Levels] {
        let (_, key, _) = rows.iter().find(|(of, ..)| *of == table).expect("a row of each");
        server.store.damage(table, key, None).expect("a write");
    }
    let report = server.repair_views("the night shift", NOW_MS).expect("it mends");
    assert!(!report.found.is_clean() && report.left.is_clean(), "{report:#?}");
    assert_eq!((report.mended.outlets, report.mended.unreadable), (1, 0));
    assert!(report.mended.cells > 0 && report.mended.provenance > 0, "{}", report.mended);
    assert_eq!(records(), before);
    let trail = server.store.reader().audit().expect("a trail");
    assert_eq!(trail.len(), audited + 2, "one commit for stock and traces, one for cells");
    let told = trail
        .iter()
        .filter(|entry| entry.what.starts_with("mended figures") && entry.by == "the night shift");
    assert_eq!(told.count(), 2);
    let again = server.repair_views("the night shift", NOW_MS).expect("it mends");
    assert_eq!((again.mended.total(), again.found), (0, again.left));
    assert_eq!(server.store.reader().audit().expect("a trail").len(), audited + 2);
}
