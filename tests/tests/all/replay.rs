//! The figures of a real series, recorded offline and synced in random order, equal the counts of an independent
//! program (promises 2, 3 and 4).

use xundian_tests::replay::{self, Source};

/// Compares every cell of nation, region, week, product and their combinations. `XUNDIAN_SEED` repeats a run.
#[test]
fn replayed_series_gives_the_figures_of_an_independent_count() {
    let source = Source::find();
    if source.is_sample() {
        eprintln!("{}", replay::SAMPLE_BANNER);
    }
    let report = replayed(&source);
    if !source.is_sample() {
        assert_eq!((report.rows, report.out_of_stock, report.stores), (94_043, 10_517, 67));
    }
}

/// Runs on the committed sample, which is available everywhere.
#[test]
fn replayed_sample_gives_the_figures_of_an_independent_count() {
    replayed(&Source::sample());
}

fn replayed(source: &Source) -> replay::Report {
    let seed = replay::seed_from_environment();
    eprintln!("replay: XUNDIAN_SEED={seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let report = replay::run(source, folder.path(), seed).expect("the replay succeeds");
    eprintln!("{report}");
    assert!(!report.compared.is_empty(), "nothing was compared");
    assert!(report.is_clean(), "figures differ from the truth; XUNDIAN_SEED={seed} repeats it\n{report}");
    report
}
