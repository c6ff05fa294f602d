//! A merchandiser's day on one device, and a session driven by hand.

mod photos;
mod queries;
mod rescue;
mod sealed;
#[cfg(feature = "simulation")]
mod unheard;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use xundian_protocol::access::scope_digest;
use xundian_protocol::clock::{Hlc, Stamp};
use xundian_protocol::ids::{DeviceNo, FeedEpoch, FeedSeq, OpSeq, OutletId, PersonId, RecordId, VisitId};
use xundian_protocol::kinds::{
    AbortReason, Channel, DayReport, DepartureCheck, Entity, FixGrade, Gtin, Header, Issue, IssueKind,
    IssueState, MovementCause, Outlet, OutletStatus, RoutePlan, Severity, ShelfObservation, StockCount,
    StockMovement, Visit, header,
};
use xundian_protocol::record::{Field, Home, Record, Register};
use xundian_protocol::sync::client::{Step, SyncMode};
use xundian_protocol::wire::v1::{
    Changes, ClientFrame, DigestVerdict, Receipt, Refusal, Rejection, Resumed, ServerFrame, Welcome,
};

use super::progress::Tally;
use super::sync::Run;
use super::*;
use crate::store::SaveState;
use crate::visit_ops::{Due, GpsFix, NewIssue, VisitBundle};

/// 2026-11-23 09:00 in Shanghai.
const MORNING_MS: i64 = 1_795_395_600_000;
const PERSON: PersonId = PersonId(RecordId::from_bytes([5; 16]));

struct Device {
    client: Client,
    folder: TempDir,
    now_ms: Arc<AtomicI64>,
}

fn outlet(n: u8) -> OutletId {
    OutletId(RecordId::from_bytes([n; 16]))
}

fn gtin(n: u64) -> Gtin {
    Gtin::with_check_digit(690_000_000_000 + n).expect("a GTIN")
}

fn from_server<T: Entity>(id: RecordId, home: Home, form: &T) -> Record {
    let header = Header {
        actor: PERSON,
        captured_at_ms: 1,
        utc_offset_min: 0,
        clock_grade: ClockGrade::Trusted,
        business_day: xundian_protocol::calendar::Day(0),
        corrects: None,
    };
    let stamp = Stamp { hlc: Hlc(9), device: DeviceNo::SERVER };
    let writes = header.writes().into_iter().chain(form.writes());
    let field = |write: xundian_protocol::record::Write| Field {
        at: write.at,
        register: Register { value: write.value, stamp },
    };
    Record::from_fields(T::key(id), home, writes.map(field).collect())
}

fn open(folder: &TempDir, key: Option<&StoreKey>, now_ms: &Arc<AtomicI64>) -> Client {
    let now = Arc::clone(now_ms);
    let clocks = move || {
        let now_ms = now.load(Ordering::Relaxed);
        Moment { now_ms, mono_ms: now_ms.unsigned_abs() - 77, boot: [1; 16] }
    };
    Client::open_at(folder.path(), key, Box::new(clocks)).expect("opens")
}

/// An enrolled device with outlets S1 and S2 in scope, S9 known but not in scope, and a plan for S1.
fn device() -> Device {
    device_with(None)
}

fn device_with(key: Option<&StoreKey>) -> Device {
    let folder = tempfile::tempdir().expect("a folder");
    let now_ms = Arc::new(AtomicI64::new(MORNING_MS));
    let client = open(&folder, key, &now_ms);
    begin(&client);
    Device { client, folder, now_ms }
}

/// Enrols a client, and delivers outlets and a plan.
fn begin(client: &Client) {
    let identity = Identity {
        device: DeviceNo(3),
        person: PERSON,
        person_name: "王芳".into(),
        server: "demo:4433".into(),
    };
    client.store.set_identity(&identity).expect("kept");
    let shop = |n: u8, channel| {
        let form = Outlet {
            code: Some(format!("S{n}")),
            name: Some("华联超市".into()),
            channel: Some(channel),
            status: Some(OutletStatus::Active),
            latitude_e7: Some(312_400_000),
            longitude_e7: Some(1_214_900_000),
            ..Outlet::default()
        };
        from_server(outlet(n).0, Home::Outlet(outlet(n)), &form)
    };
    let plan = RoutePlan {
        day: xundian_protocol::calendar::Day::local(MORNING_MS, "Asia/Shanghai"),
        call_order: BTreeMap::from([(outlet(1), 1), (outlet(2), 2)]),
        ..RoutePlan::default()
    };
    let plan = from_server(RecordId::from_bytes([8; 16]), Home::Person(PERSON), &plan);
    let records = vec![shop(1, Channel::Hypermarket), shop(2, Channel::Chain), plan];
    let homes = [Home::Company, Home::Outlet(outlet(1)), Home::Outlet(outlet(2)), Home::Person(PERSON)];
    client.store.set_scope(&homes).expect("scope");
    let changes = Changes { home: None, from: FeedSeq(0), to: FeedSeq(5), records };
    client.store.apply_changes(&changes).expect("applied");
}

impl Device {
    fn later(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn reopened(self) -> Self {
        drop(self.client);
        Self { client: open(&self.folder, None, &self.now_ms), folder: self.folder, now_ms: self.now_ms }
    }
}

fn lines<T: Clone>(value: T) -> BTreeMap<Gtin, T> {
    (0..20).map(|n| (gtin(n), value.clone())).collect()
}

fn bundle() -> VisitBundle {
    VisitBundle {
        time_in_store_ms: Some(1_200_000),
        task_answers: BTreeMap::from([("clean".into(), true)]),
        shelf: ShelfObservation {
            present: lines(true),
            facings_own: lines(3),
            facings_category: lines(9),
            ..ShelfObservation::default()
        },
        count: StockCount { shelf_units: lines(5), backroom_units: lines(12), ..StockCount::default() },
        ..VisitBundle::new(outlet(1), MORNING_MS - 1_200_000, MORNING_MS)
    }
}

fn visit_of(client: &Client, visit: VisitId) -> Visit {
    client.entity(visit.0).expect("reads").expect("a visit")
}

#[test]
fn a_visit_is_opened_filled_and_closed_also_across_a_restart_of_the_app() {
    let device = device();
    let at =
        GpsFix { latitude_e7: 312_397_000, longitude_e7: 1_214_998_000, accuracy_m: Some(9), mocked: false };
    let visit = device.client.open_visit(outlet(1), Some(at)).expect("opened");
    let second = device.client.open_visit(outlet(2), None);
    assert!(matches!(second, Err(RecordError::AlreadyOpen { .. })));
    let count = StockCount { shelf_units: lines(4), ..StockCount::default() };
    device.client.count_stock(visit, &count).expect("counted");
    device.client.update_visit(visit, BTreeMap::from([("clean".into(), true)]), None).expect("answered");

    let device = device.reopened();
    assert_eq!(device.client.current_visit().expect("open"), visit);
    let more = StockCount { shelf_units: BTreeMap::from([(gtin(3), 7)]), ..StockCount::default() };
    device.client.count_stock(visit, &more).expect("counted again");
    device.later(900_000);
    device.client.close_visit(visit).expect("closed");

    let form = visit_of(&device.client, visit);
    assert_eq!((form.time_in_store_ms, form.position_grade), (Some(900_000), Some(FixGrade::Measured)));
    assert!(form.distance_m.is_some_and(|metres| (900..970).contains(&metres)));
    assert_eq!((form.channel, form.plan.is_some()), (Some(Channel::Hypermarket), true));
    let counted: StockCount = device.client.entity(visit.0).expect("reads").expect("a count");
    assert_eq!((counted.shelf_units[&gtin(3)], counted.shelf_units[&gtin(4)]), (7, 4));
    assert!(matches!(device.client.close_visit(visit), Err(RecordError::VisitClosed { .. })));
    assert!(matches!(device.client.count_stock(visit, &more), Err(RecordError::VisitClosed { .. })));
    assert!(matches!(device.client.current_visit(), Err(RecordError::NoOpenVisit)));
    device.client.open_visit(outlet(2), None).expect("the next one");
}

#[test]
fn outlets_out_of_reach_are_refused_by_name() {
    let device = device();
    let unknown = device.client.outlet_named("S7").expect_err("unknown");
    assert!(unknown.to_string().contains("S7"));
    assert!(matches!(device.client.open_visit(outlet(9), None), Err(RecordError::NoSuchOutlet { .. })));
    assert_eq!(device.client.outlet_named("S2").expect("by code"), outlet(2));
    assert_eq!(device.client.outlet_named(&outlet(2).to_string()).expect("by id"), outlet(2));
    let folder = tempfile::tempdir().expect("a folder");
    let fresh = Client::open(folder.path()).expect("opens");
    let check = DepartureCheck::default();
    assert!(matches!(fresh.check_departure(&check), Err(RecordError::NotEnrolled)));
}

#[test]
fn a_day_is_checked_reported_and_summed_up() {
    let device = device();
    let check = |knife| DepartureCheck {
        folder: Some(true),
        cloth: Some(true),
        knife: Some(knife),
        ..DepartureCheck::default()
    };
    let first = device.client.check_departure(&check(false)).expect("checked");
    let second = device.client.check_departure(&check(true)).expect("checked again");
    let line = device.client.find(DepartureCheck::key(first)).expect("reads").expect("the first");
    assert!(header::is_corrected(&line.record));
    let line = device.client.find(DepartureCheck::key(second)).expect("reads").expect("the second");
    assert_eq!(Header::read(&line.record).and_then(|header| header.corrects), Some(first));

    device.client.record(&bundle()).expect("recorded");
    let visit = device.client.open_visit(outlet(2), None).expect("opened");
    device.client.abort_visit(visit, AbortReason::Closed, Some("装修".into())).expect("broken off");
    let report = device.client.report_day(Some("正常".into()), Some(2)).expect("reported");
    let form: DayReport = device.client.entity(report).expect("reads").expect("a report");
    assert_eq!((form.visits_done, form.visits_planned), (Some(1), Some(2)));
    let summary = device.client.day_summary(device.client.today()).expect("a summary");
    let expected =
        DaySummary { visits_planned: 2, visits_done: 1, planned_done: 1, visits_aborted: 1, visits_open: 0 };
    assert_eq!(summary, expected);
}

#[test]
fn an_issue_goes_its_way_and_stock_moves() {
    let device = device();
    let issue = NewIssue {
        issue_kind: IssueKind::OutOfStock,
        severity: Severity::Urgent,
        text: "主力产品缺货".into(),
        due: Due::NextDay,
        assignee: None,
    };
    let id = device.client.raise_issue(outlet(1), None, &issue).expect("raised");
    device.client.acknowledge_issue(id).expect("taken up");
    device.client.close_issue(id, "已补货".into()).expect("closed");
    assert!(matches!(device.client.acknowledge_issue(id), Err(RecordError::IssueState { .. })));
    let form: Issue = device.client.entity(id).expect("reads").expect("an issue");
    assert_eq!((form.state, form.closed_on), (Some(IssueState::Closed), Some(device.client.today())));
    assert_eq!(form.due_on, form.raised_on.map(xundian_protocol::calendar::Day::next));

    let movement = StockMovement {
        cause: Some(MovementCause::ExchangeOut),
        units: BTreeMap::from([(gtin(1), -3)]),
        ..StockMovement::default()
    };
    device.client.move_stock(outlet(1), &movement).expect("moved");
    let empty = device.client.move_stock(outlet(1), &StockMovement::default());
    assert!(matches!(empty, Err(RecordError::Empty { .. })));
    let of_outlet = device.client.list_home(Home::Outlet(outlet(1)), None).expect("reads");
    assert_eq!(of_outlet.len(), 3, "the outlet, the issue and the movement");
}

#[test]
fn a_bundle_is_one_save_and_survives_reopening() {
    let device = device();
    let id = Some(VisitId(RecordId::from_bytes([44; 16])));
    let visit = device.client.record(&VisitBundle { id, ..bundle() }).expect("recorded");
    assert_eq!(device.client.status().expect("status").unsent_ops, 3);
    let device = device.reopened();
    assert_eq!(visit_of(&device.client, visit).closed_at_ms, Some(MORNING_MS));
    assert_eq!(device.client.save_state(Visit::key(visit.0)).expect("reads"), Some(SaveState::Saved));
    device.client.record(&VisitBundle { id, ..bundle() }).expect("known already");
    assert_eq!(device.client.status().expect("status").unsent_ops, 3);
    let backwards = VisitBundle { ended_at_ms: 5, ..bundle() };
    assert!(matches!(device.client.record(&backwards), Err(RecordError::EndsBeforeItBegins { .. })));
}

/// Does everything that the session asks for until it waits. Returns what was sent.
fn drive(run: &mut Run<'_>) -> Vec<ClientFrame> {
    let mut sent = Vec::new();
    loop {
        match run.session().poll() {
            Step::Send(frame) => sent.push(frame),
            Step::Wait | Step::Done(_) => return sent,
            step => run.do_store_work(step).expect("works"),
        }
    }
}

/// Ends a completed session.
fn finish(mut run: Run<'_>) -> SyncReport {
    drive(&mut run);
    let Step::Done(outcome) = run.session().poll() else { panic!("the session goes on") };
    run.finish(outcome).expect("finished").report
}

#[test]
fn a_push_settles_what_waits_and_claims_no_sync() {
    let device = device();
    let visit = device.client.record(&bundle()).expect("recorded");
    let identity = device.client.identity().expect("enrolled");
    let mut run = Run::new(&device.client, &identity, SyncMode::Push, Tally::default()).expect("a session");
    drive(&mut run);
    let welcome = Welcome { now_ms: MORNING_MS, applied_through: OpSeq(0), person: PERSON };
    run.session().handle(ServerFrame::Welcome(welcome)).expect("welcome");
    assert!(matches!(&drive(&mut run)[..], [ClientFrame::Push(push)] if push.ops.len() == 3));
    let rejection = Rejection { seq: OpSeq(2), why: Refusal::OutOfScope, message: "不在范围".into() };
    let receipt = Receipt { through: OpSeq(3), rejections: vec![rejection], restamped: Vec::new() };
    run.session().handle(ServerFrame::Receipt { first: OpSeq(1), receipt }).expect("a receipt");
    let report = finish(run);
    assert_eq!((report.merged, report.rejected, report.unsent_ops), (2, 1, 0));
    assert_eq!((report.records_pulled, report.captured_through_ms), (0, 0));
    let status = device.client.status().expect("status");
    assert_eq!((status.unsent_ops, status.rejected_ops, status.last_sync_ms), (0, 1, None));
    let state = device.client.save_state(Visit::key(visit.0)).expect("reads");
    assert_eq!(state, Some(SaveState::Confirmed));
    assert_eq!(device.client.store.settled_ops(), 0, "few are folded at once");
}

/// Found by the simulation, whose network repeats and delays: the second welcome was taken for that of a server that
/// has lost acknowledged saves.
#[test]
fn a_welcome_that_comes_twice_is_compared_with_what_was_confirmed_before() {
    let device = device();
    device.client.record(&bundle()).expect("recorded");
    let identity = device.client.identity().expect("enrolled");
    let mut run = Run::new(&device.client, &identity, SyncMode::Push, Tally::default()).expect("a session");
    drive(&mut run);
    let welcome = Welcome { now_ms: MORNING_MS, applied_through: OpSeq(0), person: PERSON };
    run.session().handle(ServerFrame::Welcome(welcome.clone())).expect("welcome");
    drive(&mut run);
    let receipt = Receipt { through: OpSeq(3), rejections: Vec::new(), restamped: Vec::new() };
    run.session().handle(ServerFrame::Receipt { first: OpSeq(1), receipt }).expect("a receipt");
    run.session().handle(ServerFrame::Welcome(welcome)).expect("the same once more");
    drive(&mut run);
    assert_eq!(finish(run).merged, 3);
}

#[test]
fn a_session_pushes_takes_verdicts_and_follows_its_scope() {
    let device = device();
    let visit = device.client.record(&bundle()).expect("recorded");
    let identity = device.client.identity().expect("enrolled");
    let mut run = Run::new(&device.client, &identity, SyncMode::Sync, Tally::default()).expect("a session");
    assert!(matches!(&drive(&mut run)[..], [ClientFrame::Hello(_), ClientFrame::Resume(_)]));
    let welcome = Welcome { now_ms: MORNING_MS + 60_000, applied_through: OpSeq(0), person: PERSON };
    run.session().handle(ServerFrame::Welcome(welcome)).expect("welcome");
    let resumed = Resumed { epoch: FeedEpoch([1; 16]), continues: true };
    run.session().handle(ServerFrame::Resumed(resumed)).expect("it goes on");
    assert!(matches!(&drive(&mut run)[..], [ClientFrame::Push(push)] if push.ops.len() == 3));
    let rejection = Rejection { seq: OpSeq(2), why: Refusal::OutOfScope, message: "不在范围".into() };
    let receipt = Receipt { through: OpSeq(3), rejections: vec![rejection], restamped: Vec::new() };
    run.session().handle(ServerFrame::Receipt { first: OpSeq(1), receipt }).expect("a receipt");
    // A save during the session is pushed before anything is pulled.
    drive(&mut run);
    let homes = vec![Home::Company, Home::Outlet(outlet(1)), Home::Person(PERSON)];
    run.session().handle(ServerFrame::Scope(homes.clone())).expect("a scope");
    let sent = drive(&mut run);
    assert!(matches!(&sent[..], [ClientFrame::Pull(pull)] if pull.scope_digest == scope_digest(&homes)));
    run.session().handle(ServerFrame::Pulled(FeedSeq(5))).expect("all has come");
    // This store was never compared with the server.
    let sent = drive(&mut run);
    assert!(
        matches!(&sent[..], [ClientFrame::CompareDigests(check)] if check.at == FeedSeq(5) && check.homes.is_empty())
    );
    run.session().handle(ServerFrame::DigestVerdict(DigestVerdict::Agrees)).expect("done");
    let report = finish(run);
    assert_eq!((report.merged, report.rejected, report.homes_dropped, report.unsent_ops), (2, 1, 1, 0));

    assert!(device.client.outlet_named("S2").is_err(), "its outlet left with its home");
    let state = |key| device.client.save_state(key).expect("reads");
    assert_eq!(state(Visit::key(visit.0)), Some(SaveState::Confirmed));
    let rejected = device.client.rejected().expect("reads").remove(0);
    assert_eq!(state(ShelfObservation::key(visit.0)), Some(SaveState::Rejected(vec![rejected.id])));
    device.client.resend_rejected(rejected.id).expect("sent again");
    assert_eq!(state(ShelfObservation::key(visit.0)), Some(SaveState::Saved));
    assert_eq!(device.client.status().expect("status").rejected_ops, 0);
    assert!(device.client.status().expect("status").safe_to_lose_up_to_ms.is_some());
    let later = device.client.record(&bundle()).expect("recorded");
    let header = device.client.find(Visit::key(later.0)).expect("reads").expect("a visit");
    let header = Header::read(&header.record).expect("a header");
    assert_eq!(header.clock_grade, ClockGrade::Trusted);
}

#[test]
fn a_server_that_has_more_than_was_ever_sent_is_not_believed() {
    let device = device();
    device.client.record(&bundle()).expect("recorded");
    let identity = device.client.identity().expect("enrolled");
    let mut run = Run::new(&device.client, &identity, SyncMode::Sync, Tally::default()).expect("a session");
    let welcome = Welcome { now_ms: MORNING_MS, applied_through: OpSeq(1), person: PERSON };
    let error = run.do_store_work(Step::Welcome(welcome.clone())).expect_err("another life of the store");
    assert!(matches!(error, SyncError::Restored { applied_through: 1 }) && !error.is_retryable());
    assert_eq!(device.client.status().expect("status").unsent_ops, 3, "nothing is lost");
    // The same server after this store has sent them and the answer was lost.
    device.client.store.note_sending(OpSeq(3)).expect("noted");
    let mut run = Run::new(&device.client, &identity, SyncMode::Sync, Tally::default()).expect("a session");
    run.do_store_work(Step::Welcome(welcome)).expect("its own saves");
}

#[test]
fn one_sync_or_push_runs_at_a_time_and_needs_an_enrolment() {
    let folder = tempfile::tempdir().expect("a folder");
    let client = Client::open(folder.path()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let error = runtime.block_on(client.sync(|_| {})).expect_err("refused");
    assert!(matches!(error, SyncError::NotEnrolled) && !error.is_retryable());
    let error = runtime.block_on(client.push(|_| {})).expect_err("refused");
    assert!(matches!(error, SyncError::NotEnrolled));
    fn is_send<T: Send>(_: &T) {}
    is_send(&client.sync(|_| {}));
    is_send(&client.push(|_| {}));
    let device = device();
    device.client.record(&bundle()).expect("recorded");
    device.client.syncing.store(true, Ordering::Relaxed);
    let error = runtime.block_on(device.client.push(|_| {})).expect_err("one after the other");
    assert!(matches!(error, SyncError::Running) && error.is_retryable());
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&client);
}

/// The processor time of this thread, in microseconds; other programs do not count.
fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// Measures; run with `cargo test --release -p xundian-client -- --ignored --nocapture figures`.
#[test]
#[ignore = "a measurement"]
fn figures() {
    let device = device();
    let saves = 2000;
    measured("durable saves", saves, || {
        for _ in 0..saves {
            device.client.record(&bundle()).expect("recorded");
        }
    });
    let outlet_index = device.client.outlet_index().expect("a lookup");
    let facts = outlet_index.outlet(outlet(1)).expect("the outlet");
    let identity = device.client.identity().expect("enrolled");
    measured("saves made, decided and encoded", saves, || {
        for _ in 0..saves {
            let mut clock = Clock::resume(Hlc(9));
            let author = device.client.author(&identity, (device.client.clocks)());
            let mut recorder = Recorder::new(author, MORNING_MS, &mut clock, OpSeq(1));
            crate::visit_ops::record_visit(&mut recorder, &mut rand::rng(), &bundle(), facts, None)
                .expect("decided");
            let ops = recorder.finish();
            let bytes: usize = ops.iter().map(|op| xundian_protocol::wire::stored::encode_op(op).len()).sum();
            assert!(bytes > 100);
        }
    });
    let receipt = Receipt { through: OpSeq(6000), rejections: Vec::new(), restamped: Vec::new() };
    measured("ops of a receipt", 6000, || {
        device.client.store.receive(&receipt).expect("received");
    });
    measured("visits listed", saves, || {
        device.client.list(Visit::SPEC.kind, None).expect("reads");
    });
    println!("{} bytes on disk", device.client.status().expect("status").store_bytes);
    measured("store closed and opened", 1, || drop(device.reopened()));
}

fn measured(what: &str, count: u64, work: impl FnOnce()) {
    let (start, cpu_start_us) = (std::time::Instant::now(), cpu_us());
    work();
    let (cpu_us, wall_us) = (cpu_us() - cpu_start_us, start.elapsed().as_micros());
    println!("{what}: {cpu_us} µs of processor, {wall_us} µs in all; {} µs each", cpu_us / count);
}
