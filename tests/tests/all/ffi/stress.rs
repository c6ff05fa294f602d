//! Stress test: many threads make random calls while the client syncs, goes to the background, and changes networks.
//!
//! `XUNDIAN_LONG=1` runs it longer. `./test long` also runs it under valgrind, to find memory that is never freed.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xundian_client::ffi::{
    Client, ClientError, ErrorCode, Kind, ListedRecord, ObserverError, ProgressObserver, Query, RecordPage,
    RecordsObserver, StatusObserver,
};
use xundian_client::{
    AbortReason, DeviceStatus, Due, Gtin, IssueKind, NewIssue, Severity, StockCount, StockMovement,
    SyncProgress,
};
use xundian_protocol::record::Home;
use xundian_tests::support::company::{self, product};
use xundian_tests::support::process::ServerProcess;
use xundian_tests::support::seed;
use xundian_tests::support::service;

const THREADS: usize = 3;
/// A call that takes this long hangs. A save takes well under a second, even under valgrind.
const HANGS_AFTER: Duration = Duration::from_secs(120);

fn calls_a_thread() -> usize {
    if std::env::var_os("XUNDIAN_LONG").is_some() { 3000 } else { 250 }
}

/// Observes everything, and calls the client from its callbacks.
struct Listens(Arc<Client>);

impl ProgressObserver for Listens {
    fn on_progress(&self, progress: SyncProgress) -> Result<(), ObserverError> {
        assert!(progress.ops_done <= progress.ops_total);
        allowed(self.0.status());
        Ok(())
    }
}

impl StatusObserver for Listens {
    fn on_status(&self, status: DeviceStatus) -> Result<(), ObserverError> {
        allowed(self.0.today());
        match status.unsent_ops % 2 {
            0 => Ok(()),
            _ => Err(ObserverError::Failed { reason: "a failure of the app".into() }),
        }
    }
}

impl RecordsObserver for Listens {
    fn on_records(&self, page: RecordPage) -> Result<(), ObserverError> {
        assert!(page.lines.len() as u64 <= page.total);
        allowed(self.0.current_visit());
        Ok(())
    }
}

/// Fails on errors that must never occur. Other errors are normal for random calls.
fn allowed<T>(result: Result<T, ClientError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let never = [
                ErrorCode::Internal,
                ErrorCode::StoreBroken,
                ErrorCode::StoreInUse,
                ErrorCode::ClientClosed,
                ErrorCode::DeviceRestored,
                ErrorCode::ServerRestored,
            ];
            assert!(!never.contains(&error.code()), "{error}: {error:?}");
            None
        }
    }
}

fn page(kind: Kind, rng: &mut StdRng) -> Query {
    let home = rng.random_bool(0.5).then(|| Home::Outlet(company::outlet("A1")));
    let (day, ids, conditions, with_corrected) = (None, None, Vec::new(), rng.random_bool(0.5));
    let (newest_first, skip, limit) = (rng.random_bool(0.5), rng.random_range(0..3), rng.random_range(0..20));
    Query { kind, home, day, ids, conditions, with_corrected, newest_first, skip, limit }
}

fn some<T: Clone>(of: &[T], rng: &mut StdRng) -> Option<T> {
    (!of.is_empty()).then(|| of[rng.random_range(0..of.len())].clone())
}

/// Makes one random save or read.
fn call(client: &Arc<Client>, rng: &mut StdRng) {
    let outlet = company::outlet(["A1", "A2", "A3"][rng.random_range(0..3)]);
    let units = |rng: &mut StdRng| [(product(rng.random_range(0..10)), rng.random_range(1..50))].into();
    let visit = || allowed(client.current_visit()).flatten();
    match rng.random_range(0..16) {
        0 | 1 => _ = allowed(client.open_visit(outlet, None)),
        2 => _ = visit().map(|visit| allowed(client.close_visit(visit))),
        3 => _ = visit().map(|visit| allowed(client.abort_visit(visit, AbortReason::NoTime, None))),
        4 => {
            let count = StockCount { shelf_units: units(rng), ..StockCount::default() };
            visit().map(|visit| allowed(client.count_stock(visit, count)));
        }
        5 => _ = allowed(client.report_day(Some("正常".into()), None)),
        6 => {
            let (cause, units): (_, std::collections::BTreeMap<Gtin, i64>) =
                (Some(xundian_client::MovementCause::SellIn), units(rng));
            allowed(client.move_stock(outlet, StockMovement { cause, units, ..StockMovement::default() }));
        }
        7 => {
            let (issue_kind, severity, due) = (IssueKind::Price, Severity::Normal, Due::NextDay);
            let issue = NewIssue { issue_kind, severity, text: "价格".into(), due, assignee: None };
            allowed(client.raise_issue(outlet, issue, None));
        }
        8 => {
            let issues = allowed(client.list(Kind::Issue, None)).unwrap_or_default();
            let issue: Option<ListedRecord> = some(&issues, rng);
            issue.map(|issue| allowed(client.close_issue(issue.id, "已解决".into())));
        }
        9 => _ = allowed(client.status()),
        10 => _ = allowed(client.route(company::today())),
        11 => _ = allowed(client.day_summary(company::today())),
        12 => _ = allowed(client.query(page(Kind::ALL[rng.random_range(0..Kind::ALL.len())], rng))),
        13 => _ = allowed(client.list_home(Home::Outlet(outlet), None)),
        14 => _ = allowed(client.rejected()),
        _ => {
            let listens = Arc::new(Listens(Arc::clone(client)));
            let subscription = match rng.random_bool(0.5) {
                true => client.observe_status(listens),
                false => client.observe_records(page(Kind::Visit, rng), listens),
            };
            // Some subscriptions are cancelled, the others are dropped.
            allowed(subscription).into_iter().for_each(|subscription| {
                if rng.random_bool(0.5) {
                    subscription.cancel();
                }
            });
        }
    }
}

/// Gives one random hint of the platform.
fn hint(client: &Client, rng: &mut StdRng, runtime: &tokio::runtime::Handle) {
    match rng.random_range(0..4) {
        0 => _ = allowed(client.network_changed()),
        1 => _ = allowed(client.low_memory()),
        2 => _ = allowed(runtime.block_on(client.entering_background())),
        _ => _ = allowed(client.entering_foreground()),
    }
}

/// How many syncs and pushes ended in which way.
#[derive(Default, Debug)]
struct Ends {
    done: u64,
    cancelled: u64,
    backgrounded: u64,
    failed: u64,
}

/// Syncs and pushes until told to stop. Some runs are cancelled.
async fn sync_on(client: Arc<Client>, mut rng: StdRng, is_done: Arc<AtomicBool>) -> Ends {
    let mut ends = Ends::default();
    while !is_done.load(Ordering::SeqCst) {
        let listens: Option<Arc<dyn ProgressObserver>> =
            rng.random_bool(0.5).then(|| Arc::new(Listens(Arc::clone(&client))) as _);
        let is_sync = rng.random_bool(0.7);
        let work = async {
            match is_sync {
                true => client.sync(listens).await.map(drop),
                false => client.push(listens).await.map(drop),
            }
        };
        let patience = match rng.random_bool(0.3) {
            true => Duration::from_micros(rng.random_range(0..20_000)),
            false => HANGS_AFTER,
        };
        match tokio::time::timeout(patience, work).await {
            Err(_) => ends.cancelled += 1,
            Ok(Err(error)) if error.code() == ErrorCode::Backgrounded => ends.backgrounded += 1,
            Ok(result) => match allowed(result) {
                Some(()) => ends.done += 1,
                None => ends.failed += 1,
            },
        }
    }
    ends
}

/// Aborts the process if no call ends for a long time; a hanging thread could not fail the test.
fn watch(calls: Arc<AtomicU64>, is_done: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut seen, mut since) = (0, Instant::now());
        while !is_done.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
            let now = calls.load(Ordering::SeqCst);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > HANGS_AFTER {
                eprintln!("no call has returned for {} s: a deadlock", HANGS_AFTER.as_secs());
                std::process::abort();
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_calls_of_many_threads_during_syncs_neither_panic_nor_hang_nor_lose_a_save() {
    let mut rng = seed::rng("stress of the FFI");
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = ServerProcess::new(folder.path());
    let invitation = {
        let server =
            xundian_server::Server::open(folder.path(), xundian_server::sessions::now_ms()).expect("opens");
        company::found(&server);
        service::invitation(&server, process.quic, "W1", service::HOUR_MS)
    };
    process.start();
    let app = super::App::enrol_at(&invitation, Some(vec![5; 32])).await;
    let (calls, is_done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watchdog = watch(Arc::clone(&calls), Arc::clone(&is_done));
    let syncing = tokio::spawn(sync_on(
        Arc::clone(&app.client),
        StdRng::seed_from_u64(rng.random()),
        Arc::clone(&is_done),
    ));
    let runtime = tokio::runtime::Handle::current();
    let threads: Vec<_> = (0..THREADS)
        .map(|nth| {
            let (client, calls, runtime) = (Arc::clone(&app.client), Arc::clone(&calls), runtime.clone());
            let mut rng = StdRng::seed_from_u64(rng.random());
            std::thread::spawn(move || {
                for _ in 0..calls_a_thread() {
                    // The first thread also plays the platform and gives some hints.
                    match nth == 0 && rng.random_bool(0.06) {
                        true => hint(&client, &mut rng, &runtime),
                        false => call(&client, &mut rng),
                    }
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let joined =
        tokio::task::spawn_blocking(|| threads.into_iter().map(std::thread::JoinHandle::join).collect());
    let ends: Vec<_> = joined.await.expect("no panic");
    is_done.store(true, Ordering::SeqCst);
    assert!(ends.iter().all(Result::is_ok), "a call panicked");
    let ends = syncing.await.expect("no panic");
    watchdog.join().expect("no panic");
    app.client.sync(None).await.expect("a sync without other calls succeeds");
    let status = app.client.status().expect("open");
    eprintln!("{} calls, {ends:?}, {status:?}", calls.load(Ordering::SeqCst));
    assert_eq!((status.unsent_ops, status.rejected_ops), (0, 0), "every save has arrived");
    app.client.close();
}

/// Runs the test above under valgrind. Ignored by default, because it takes minutes.
#[test]
#[ignore = "takes minutes; ./test long runs it"]
fn under_valgrind_nothing_is_lost() {
    let program = std::env::current_exe().expect("a test knows where it is");
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=memcheck",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=99",
    ]);
    command.arg(format!("--suppressions={}/valgrind.supp", env!("CARGO_MANIFEST_DIR")));
    command.arg(format!("--log-file={}", log.path().display())).arg(program);
    command.args(["--exact", "--nocapture", "--test-threads=1"]);
    command
        .arg("ffi::stress::random_calls_of_many_threads_during_syncs_neither_panic_nor_hang_nor_lose_a_save");
    let status =
        command.env_remove("XUNDIAN_LONG").status().expect("valgrind is installed: ./test long does that");
    let said = std::fs::read_to_string(log.path()).expect("UTF-8");
    let last = said.lines().rev().take(14).collect::<Vec<_>>();
    eprintln!("{}", last.iter().rev().map(|line| format!("{line}\n")).collect::<String>());
    assert!(status.success(), "{said}");
    let none =
        said.contains("definitely lost: 0 bytes in 0 blocks") || said.contains("no leaks are possible");
    assert!(none, "{said}");
}
