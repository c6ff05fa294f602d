//! The work of people: one piece of work with a phone, and the changes by headquarters.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xundian_client::{
    AbortReason, Client, Decision, DepartureCheck, Due, Issue, IssueKind, MovementCause, NewIssue, NewPhoto,
    Outlet, OutletId, PhotoOf, PhotoSource, PhotoSubject, RecordError, RecordId, Severity, ShelfObservation,
    StockCount, StockMovement, VisitBundle,
};
use xundian_protocol::calendar::Day;
use xundian_protocol::ids::KindId;
use xundian_protocol::kinds::{
    self, DayReport, Entity, KindSpec, OutletAssignment, Person, Product, RoutePlan,
};
use xundian_protocol::record::{FieldKey, Home, RecordKey, Value, Write};
use xundian_server::Draft;

use super::company::{Staff, product};

const VISIT_MS: i64 = 600_000;
/// The largest delay between a visit and its entry in the app.
const ENTERED_LATE_MS: i64 = 36 * 3_600_000;

/// Returns a random element of a list.
fn some<'a, T>(of: &'a [T], rng: &mut StdRng) -> Option<&'a T> {
    (!of.is_empty()).then(|| &of[rng.random_range(0..of.len())])
}

fn lines<T>(
    rng: &mut StdRng,
    mut value: impl FnMut(&mut StdRng) -> T,
) -> std::collections::BTreeMap<xundian_client::Gtin, T> {
    (0..rng.random_range(1..4)).map(|_| (product(rng.random_range(0..6)), value(rng))).collect()
}

/// Returns the outlets that a phone holds.
fn outlets(client: &Client) -> Result<Vec<OutletId>, RecordError> {
    Ok(client.list(Outlet::SPEC.kind, None)?.iter().map(|line| OutletId(line.record.key.id)).collect())
}

fn records(client: &Client, kind: &KindSpec) -> Result<Vec<RecordId>, RecordError> {
    Ok(client.list(kind.kind, None)?.iter().map(|line| line.record.key.id).collect())
}

/// Whether the app knows a kind. An app does not write kinds that its release does not know.
fn knows<T: Entity>() -> bool {
    kinds::spec(T::SPEC.kind).is_some()
}

/// Does one piece of work, or nothing if that work is impossible at the moment.
pub(super) fn work(client: &Client, now_ms: i64, rng: &mut StdRng) -> Result<(), RecordError> {
    let outlets = outlets(client)?;
    let Some(outlet) = some(&outlets, rng).copied() else { return Ok(()) };
    match rng.random_range(0..22) {
        0..=6 => visit(client, outlet, now_ms, rng),
        7..=9 => open_visit(client, outlet, rng),
        10 | 11 => edit_outlet(client, outlet, rng),
        12 if knows::<Issue>() => raise_issue(client, outlet, rng),
        13 if knows::<Issue>() => step_issue(client, rng),
        14 if knows::<StockMovement>() => {
            let cause = Some(MovementCause::SellIn);
            let units = lines(rng, |rng| rng.random_range(1..40));
            client.move_stock(outlet, &StockMovement { cause, units, ..StockMovement::default() }).map(drop)
        }
        15 if knows::<DepartureCheck>() => {
            let gifts = Some(rng.random_range(0..9));
            client.check_departure(&DepartureCheck { gifts, ..DepartureCheck::default() }).map(drop)
        }
        16 if knows::<DayReport>() => {
            client.report_day(Some("正常".into()), Some(rng.random_range(0..3))).map(drop)
        }
        12..=16 => Ok(()),
        17 => settle(client, rng),
        18 => newer_app(client, outlet, rng),
        19 | 20 => attach(client, now_ms, rng),
        _ => tidy_tray(client, rng),
    }
}

fn visit(client: &Client, outlet: OutletId, now_ms: i64, rng: &mut StdRng) -> Result<(), RecordError> {
    let late_ms = if rng.random_bool(0.2) { rng.random_range(0..ENTERED_LATE_MS) } else { 0 };
    let opened_at_ms = now_ms - VISIT_MS - late_ms;
    let mut bundle = VisitBundle {
        abort_reason: rng.random_bool(0.1).then_some(AbortReason::Refused),
        time_in_store_ms: Some(VISIT_MS),
        ..VisitBundle::new(outlet, opened_at_ms, opened_at_ms + VISIT_MS)
    };
    if knows::<ShelfObservation>() {
        bundle.shelf.present = lines(rng, |rng| rng.random_bool(0.7));
    }
    if knows::<StockCount>() {
        bundle.count.shelf_units = lines(rng, |rng| rng.random_range(0..50));
    }
    client.record(&bundle).map(drop)
}

/// Does one step of a visit in progress: opens it, counts or observes something, or ends it.
fn open_visit(client: &Client, outlet: OutletId, rng: &mut StdRng) -> Result<(), RecordError> {
    let Ok(visit) = client.current_visit() else { return client.open_visit(outlet, None).map(drop) };
    match rng.random_range(0..4) {
        0 => client.close_visit(visit),
        1 => client.abort_visit(visit, AbortReason::NoTime, Some("赶时间".into())),
        2 if knows::<StockCount>() => {
            let units = lines(rng, |rng| rng.random_range(0..50));
            client.count_stock(visit, &StockCount { shelf_units: units, ..StockCount::default() })
        }
        3 if knows::<ShelfObservation>() => {
            let present = lines(rng, |rng| rng.random_bool(0.5));
            client.observe_shelf(visit, &ShelfObservation { present, ..ShelfObservation::default() })
        }
        _ => Ok(()),
    }
}

fn edit_outlet(client: &Client, outlet: OutletId, rng: &mut StdRng) -> Result<(), RecordError> {
    let Some(before) = client.entity::<Outlet>(outlet.0)? else { return Ok(()) };
    let text = format!("{}", rng.random_range(0..1000));
    let form = match rng.random_range(0..3) {
        0 => Outlet { phone: Some(text), ..before.clone() },
        1 => Outlet { note: Some(text), ..before.clone() },
        _ => Outlet { note: None, phone: Some(text), ..before.clone() },
    };
    client.edit(outlet.0, &form, rng.random_bool(0.8).then_some(&before))
}

fn raise_issue(client: &Client, outlet: OutletId, rng: &mut StdRng) -> Result<(), RecordError> {
    let severity = if rng.random_bool(0.3) { Severity::Urgent } else { Severity::Normal };
    let issue = NewIssue {
        issue_kind: IssueKind::Price,
        severity,
        text: "价格不对".into(),
        due: Due::NextDay,
        assignee: None,
    };
    client.raise_issue(outlet, client.current_visit().ok(), &issue).map(drop)
}

fn step_issue(client: &Client, rng: &mut StdRng) -> Result<(), RecordError> {
    let issues = records(client, &Issue::SPEC)?;
    let Some(issue) = some(&issues, rng) else { return Ok(()) };
    if rng.random_bool(0.5) {
        client.acknowledge_issue(*issue)
    } else {
        client.close_issue(*issue, "已解决".into())
    }
}

fn settle(client: &Client, rng: &mut StdRng) -> Result<(), RecordError> {
    let conflicts = client.conflicts(None)?;
    let Some(conflict) = some(&conflicts, rng) else { return Ok(()) };
    let restores = conflict.may_restore && rng.random_bool(0.5);
    client.settle_conflict(conflict.id, if restores { Decision::Restored } else { Decision::Kept })
}

fn tidy_tray(client: &Client, rng: &mut StdRng) -> Result<(), RecordError> {
    let rejected = client.rejected()?;
    let Some(first) = some(&rejected, rng) else { return Ok(()) };
    client.resend_rejected(first.id)
}

/// Attaches a photo to the current visit or to an issue. Some pictures are identical, also between people.
fn attach(client: &Client, now_ms: i64, rng: &mut StdRng) -> Result<(), RecordError> {
    let of = match client.current_visit() {
        Ok(visit) => PhotoOf::Visit(visit),
        Err(_) => match some(&records(client, &Issue::SPEC)?, rng) {
            Some(issue) if knows::<Issue>() => PhotoOf::Issue(*issue),
            _ => return Ok(()),
        },
    };
    let photo = NewPhoto {
        subject: PhotoSubject::Shelf,
        source: PhotoSource::InApp,
        taken_at_ms: Some(now_ms),
        fix: None,
        note: None,
    };
    let mut taken = StdRng::seed_from_u64(if rng.random_bool(0.2) { 7 } else { rng.random() });
    // The start of a JPEG file; nothing in the simulation reads further.
    let mut picture = vec![0xFF, 0xD8, 0xFF, 0xE0];
    let bytes = if taken.random_bool(0.2) { 100_000 } else { 3_000 };
    picture.extend((0..taken.random_range(1..bytes)).map(|_| taken.random::<u8>()));
    client.attach_photo(of, &photo, &picture).map(drop)
}

/// Saves what an app of a later release might save: an undeclared field, or a record of an undeclared kind.
fn newer_app(client: &Client, outlet: OutletId, rng: &mut StdRng) -> Result<(), RecordError> {
    const UNDECLARED_TAG: u16 = 60_000;
    /// The last one is a guarded kind, which a server refuses if it does not know it.
    const UNDECLARED_KINDS: [KindId; 3] = [KindId(20_000), KindId(20_001), KindId(40_000)];
    let home = Home::Outlet(outlet);
    let value = Value::Text(format!("新{}", rng.random_range(0..1000)));
    let writes = vec![Write { at: FieldKey::single(UNDECLARED_TAG), value, seen: None }];
    let record = if rng.random_bool(0.5) {
        Outlet::key(outlet.0)
    } else {
        let kind = UNDECLARED_KINDS[rng.random_range(0..UNDECLARED_KINDS.len())];
        RecordKey { kind, id: RecordId::derived(kind, &format!("{outlet}")) }
    };
    client.save_unknown(record, home, writes)
}

fn draft<T: Entity>(form: &T, id: RecordId, home: Home) -> Draft {
    Draft { key: RecordKey { kind: T::SPEC.kind, id }, home, writes: form.writes() }
}

/// Drafts a change that does not affect access.
pub(super) fn office(staff: &Staff, today: Day, rng: &mut StdRng) -> Option<Draft> {
    let outlet = *some(&staff.outlets, rng)?;
    let person = *some(&staff.people, rng)?;
    Some(match rng.random_range(0..3) {
        0 => {
            let phone = Some(format!("总部{}", rng.random_range(0..1000)));
            draft(&Outlet { phone, ..Outlet::default() }, outlet.0, Home::Outlet(outlet))
        }
        1 => {
            let gtin = product(rng.random_range(0..6));
            let name = Some(format!("新名{}", rng.random_range(0..1000)));
            let form = Product { gtin: Some(gtin), name, ..Product::default() };
            draft(&form, Product::id_of(gtin), Home::Company)
        }
        _ => {
            let id = RecordId::derived(RoutePlan::SPEC.kind, &format!("{person}/{today}"));
            let call_order = [(outlet, 1)].into();
            let form = RoutePlan { day: Some(today), call_order, ..RoutePlan::default() };
            draft(&form, id, Home::Person(person))
        }
    })
}

/// Assigns an outlet to another position, from today or one of the last two days.
pub(super) fn hand_over(staff: &Staff, today: Day, epoch: i64, rng: &mut StdRng) -> Option<Draft> {
    let (outlet, position) = (*some(&staff.outlets, rng)?, *some(&staff.positions, rng)?);
    let from = Some(Day(today.0 - rng.random_range(0..3)));
    let form = OutletAssignment {
        position: Some(position),
        epoch: Some(epoch),
        from,
        ..OutletAssignment::default()
    };
    let id = RecordId::derived(OutletAssignment::SPEC.kind, &format!("{outlet}/{epoch}"));
    Some(draft(&form, id, Home::Outlet(outlet)))
}

/// Gives a person another position, from today or yesterday.
pub(super) fn move_person(staff: &Staff, today: Day, rng: &mut StdRng) -> Option<Draft> {
    let (person, to) = (*some(&staff.people, rng)?, *some(&staff.positions, rng)?);
    let position_from = [(Day(today.0 - rng.random_range(0..2)), to)].into();
    Some(draft(&Person { position_from, ..Person::default() }, person.0, Home::Person(person)))
}
