//! Kinds that a server learns when it already has records of them.

use super::*;
use crate::server::backfill;
use crate::store::{Changes, CountedKinds, MetaChanges, Store, StoreError};
use xundian_protocol::figures::{MeasureFamily, Measures, Subject};

/// Every figure, by unit and by person.
pub(super) fn all_figures(server: &Server) -> Vec<Vec<(Subject, u64, Measures)>> {
    let days = (Day(DAY_ZERO - 10), Day(DAY_ZERO + 20));
    let of = [super::super::CellSubjects::Units, super::super::CellSubjects::People];
    let figures =
        MeasureFamily::ALL.into_iter().flat_map(|view| of.map(|of| server.cells(view, of, days.0, days.1)));
    figures.collect::<Result<_, _>>().expect("readable cells")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn records_of_a_kind_that_is_learnt_count_as_if_it_had_always_been_known(
        one in prop::collection::vec(job(), 1..40),
        two in prop::collection::vec(job(), 1..20),
        at_once in 1usize..9,
        commits in 0usize..60,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let server = company(folder.path());
        send(&server, DeviceNo(1), &ops(DeviceNo(1), &one), 7);
        send(&server, DeviceNo(2), &ops(DeviceNo(2), &two), 7);
        let (figures, directory) = (all_figures(&server), server.directory());
        server.store.forget_kinds().expect("a folder in which nothing counts");
        prop_assert!(!server.verify().expect("readable").is_clean());
        drop(server);

        // It counts some of them, is interrupted, and continues when it is opened again.
        let store = Store::open(&folder.path().join("store")).expect("a store");
        let mut learning = (0..commits).map(|_| backfill(&store, &directory, at_once).expect("it learns"));
        let _is_over = learning.any(|goes_on| !goes_on);
        drop(store);
        let server = Server::open(folder.path(), NOW_MS).expect("the folder opens");
        assert_clean(&server);
        prop_assert_eq!(all_figures(&server), figures);
        send(&server, DeviceNo(1), &ops(DeviceNo(1), &[one.clone(), two].concat())[one.len()..], 7);
        assert_clean(&server);
    }
}

#[test]
fn a_folder_in_which_a_kind_counts_that_this_server_does_not_know_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = company(folder.path());
    let mut kinds: Vec<KindId> = xundian_protocol::kinds::ALL.iter().map(|spec| spec.kind).collect();
    kinds.push(KindId(999));
    let counted_kinds = Some(CountedKinds { kinds, under_way: None });
    let changes = Changes::from(MetaChanges { counted_kinds, ..MetaChanges::default() });
    server.change(|_| Ok::<_, StoreError>((changes, ()))).expect("noted");
    drop(server);
    let refused =
        Server::open(folder.path(), NOW_MS).err().expect("a newer server has counted them").to_string();
    assert!(refused.contains("with records of kind 999") && refused.contains("use the server"), "{refused}");
}
