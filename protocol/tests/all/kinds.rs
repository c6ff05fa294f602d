//! Kinds: the validation of ops, and the contributions of records to the figures.

use crate::examples::{
    self, DAY, NOON_MS, aborted_visit, count, create, gtin, header, id, issue, outlet, record_of,
};
use crate::examples::{person, shelf, stamp, visit};
use std::collections::BTreeMap;
use xundian_protocol::calendar::Day;
use xundian_protocol::figures::stock_ledger::Stock;
use xundian_protocol::figures::{
    Contribution, IssueFigures, MeasureFamily, Measures, ProductFigures, VisitFigures,
};
use xundian_protocol::ids::{OpSeq, PersonId};
use xundian_protocol::kinds::{
    self, DayReport, Entity, Header, Invalid, Issue, IssueState, KindSpec, ShelfObservation, StockCount,
    StockMovement, Visit, header as header_tags, validate_op,
};
use xundian_protocol::limits::{KEY_TEXT_BYTES_MAX, QUANTITY_MAX, RECORD_FIELDS_MAX, TEXT_BYTES_MAX};
use xundian_protocol::record::{FieldKey, Home, Key, Op, Record, Value, Write};

fn validate(op: &Op) -> Result<(), Invalid> {
    validate_op(kinds::spec(op.record.kind).expect("a known kind"), op, None)
}

/// An op with one write added or replaced.
fn with(mut op: Op, at: FieldKey, value: Value) -> Op {
    op.writes.retain(|write| write.at != at);
    op.writes.push(Write { at, value, seen: None });
    op.writes.sort_by(|a, b| a.at.cmp(&b.at));
    op
}

fn single(tag: u16) -> FieldKey {
    FieldKey::single(tag)
}

// ---- Validation ----

#[test]
fn every_example_is_valid_and_reads_back_unchanged() {
    for (code, op) in examples::ops().into_iter().filter(|(code, _)| *code != "unknown") {
        assert_eq!(validate(&op), Ok(()), "{code}");
        assert_eq!(Header::read(&record_of(&op)), Some(header()), "{code}");
        assert_eq!(Header::of_op(&op), Some(header()), "{code}");
    }
    assert_eq!(Visit::read(&record_of(&create(&visit(), outlet(), 1))), visit());
    assert_eq!(StockCount::read(&record_of(&create(&count(5), outlet(), 1))), count(5));
}

#[test]
fn a_record_lives_in_the_home_of_its_kind() {
    let op = Op { home: person(), ..create(&visit(), outlet(), 1) };
    assert!(matches!(validate(&op), Err(Invalid::Home { kind: "visit", .. })));
}

#[test]
fn a_required_field_must_be_written_or_exist_and_cannot_be_removed() {
    let whole = create(&visit(), outlet(), 1);
    let record = record_of(&whole);
    let spec = &Visit::SPEC;
    for tag in [header_tags::ACTOR, header_tags::CAPTURED_AT_MS, header_tags::BUSINESS_DAY, 16] {
        let mut without = whole.clone();
        without.writes.retain(|write| write.at.tag != tag);
        assert!(matches!(validate_op(spec, &without, None), Err(Invalid::Missing { .. })), "tag {tag}");
        assert_eq!(validate_op(spec, &without, Some(&record)), Ok(()), "the record has tag {tag} already");
        let removed = with(whole.clone(), single(tag), Value::Absent);
        assert!(
            matches!(validate_op(spec, &removed, Some(&record)), Err(Invalid::Missing { .. })),
            "tag {tag}"
        );
    }
}

#[test]
fn a_value_has_the_type_that_its_field_declares() {
    let op = create(&visit(), outlet(), 1);
    assert!(matches!(
        validate(&with(op.clone(), single(16), Value::Text("noon".into()))),
        Err(Invalid::Value { field: "opened_at_ms", .. })
    ));
    assert_eq!(validate(&with(op.clone(), single(17), Value::Absent)), Ok(()), "a field may be cleared");
    assert_eq!(
        validate(&with(op.clone(), single(19), Value::Int(99))),
        Ok(()),
        "a choice of a newer version"
    );
    assert_eq!(validate(&with(op, single(900), Value::Bytes(vec![1]))), Ok(()), "a field of a newer version");
}

#[test]
fn a_day_outside_of_the_calendar_is_refused() {
    let op = create(&visit(), outlet(), 1);
    let day = |day| with(op.clone(), single(header_tags::BUSINESS_DAY), Value::Int(day));
    assert!(matches!(validate(&day(1 << 40)), Err(Invalid::Value { field: "business_day", .. })));
    assert_eq!(validate(&day(i64::from(i32::MAX))), Ok(()));
    for extreme in [i32::MIN, i32::MAX] {
        let days = Issue { due_on: Some(Day(extreme)), raised_on: Some(Day(extreme)), ..issue() };
        assert!(!contributions(&create(&days, outlet(), 1)).is_empty(), "an extreme day does not overflow");
        let _ =
            (Day(extreme).week_start(), Day(extreme).month(), Day(extreme).next(), Day(extreme).to_string());
    }
}

#[test]
fn a_quantity_that_could_overflow_a_sum_is_refused() {
    let op = create(&count(1), outlet(), 1);
    let line =
        |units| with(op.clone(), FieldKey { tag: 17, key: Key::Number(gtin(7).number()) }, Value::Int(units));
    for units in [QUANTITY_MAX, -QUANTITY_MAX] {
        assert_eq!(validate(&line(units)), Ok(()));
    }
    for units in [QUANTITY_MAX + 1, -QUANTITY_MAX - 1, i64::MIN, i64::MAX] {
        assert!(
            matches!(validate(&line(units)), Err(Invalid::Value { field: "shelf_units", .. })),
            "{units}"
        );
    }
}

#[test]
fn a_line_is_keyed_as_its_field_declares() {
    let op = create(&count(1), outlet(), 1);
    let line = |tag, key| with(op.clone(), FieldKey { tag, key }, Value::Int(1));
    let lot = |text: &str| Key::NumberText(gtin(1).number(), text.into());
    for bad in [Key::Single, Key::Number(12), Key::Text("x".into()), lot("L1")] {
        assert!(matches!(validate(&line(17, bad.clone())), Err(Invalid::LineKey { .. })), "{bad:?}");
    }
    assert_eq!(validate(&line(17, Key::Number(gtin(7).number()))), Ok(()));
    assert_eq!(validate(&line(20, lot(&"l".repeat(KEY_TEXT_BYTES_MAX)))), Ok(()));
    assert!(matches!(
        validate(&line(20, lot(&"l".repeat(KEY_TEXT_BYTES_MAX + 1)))),
        Err(Invalid::LineKey { .. })
    ));
}

#[test]
fn a_text_is_bounded_and_the_error_truncates_it() {
    let op = create(&visit(), outlet(), 1);
    let note = |bytes| with(op.clone(), single(29), Value::Text("n".repeat(bytes)));
    assert_eq!(validate(&note(TEXT_BYTES_MAX)), Ok(()));
    let error = validate(&note(TEXT_BYTES_MAX + 1)).unwrap_err();
    assert!(error.to_string().len() < 200, "{error}");
}

#[test]
fn an_op_writes_at_least_one_field_and_each_field_once_and_in_order() {
    let op = create(&visit(), outlet(), 1);
    assert!(matches!(validate(&Op { writes: Vec::new(), ..op.clone() }), Err(Invalid::Writes { writes: 0 })));
    let mut reversed = op.clone();
    reversed.writes.reverse();
    assert!(matches!(validate(&reversed), Err(Invalid::Writes { .. })));
    let mut twice = op;
    twice.writes.push(twice.writes[twice.writes.len() - 1].clone());
    assert!(matches!(validate(&twice), Err(Invalid::Writes { .. })));
}

#[test]
fn many_ops_cannot_make_a_record_that_fits_into_no_frame() {
    let big = |from: u64, tag| {
        let line = |n| Write {
            at: FieldKey { tag, key: Key::Number(n) },
            value: Value::Text("x".repeat(1000)),
            seen: None,
        };
        Op { writes: (from..from + 400).map(line).collect(), ..create(&visit(), outlet(), 1) }
    };
    let spec = &Visit::SPEC;
    let mut record = record_of(&create(&visit(), outlet(), 1));
    let mut refused = None;
    for n in 0..20 {
        let op = big(n * 400, 900);
        match validate_op(spec, &op, Some(&record)) {
            Ok(()) => _ = record.apply(&op),
            Err(error) => refused = Some(error),
        }
    }
    assert!(matches!(refused, Some(Invalid::TooLarge { .. })), "{refused:?}");
    assert_eq!(
        validate_op(spec, &big(0, 900), Some(&record)),
        Ok(()),
        "existing fields can still be changed"
    );
    let line = |n| Write { at: FieldKey { tag: 901, key: Key::Number(n) }, value: Value::Int(1), seen: None };
    let many =
        Op { writes: (0..RECORD_FIELDS_MAX as u64).map(line).collect(), ..create(&visit(), outlet(), 1) };
    let standing = record_of(&create(&visit(), outlet(), 1));
    assert!(matches!(validate_op(spec, &many, Some(&standing)), Err(Invalid::TooLarge { .. })));
}

// ---- Contributions to the figures ----

fn contributions(op: &Op) -> Vec<Contribution> {
    contributions_of(&record_of(op))
}

fn contributions_of(record: &Record) -> Vec<Contribution> {
    let contribute = kinds::spec(record.key.kind).expect("a known kind").contribute;
    contribute(record)
}

fn sum(contributions: &[Contribution], family: MeasureFamily, day: impl Fn(Day) -> bool) -> Measures {
    let mut sum = Measures::default();
    for contribution in contributions.iter().filter(|c| c.family == family && day(c.day)) {
        sum += contribution.measures;
    }
    sum
}

#[test]
fn an_open_visit_counts_as_a_visit_and_a_closed_one_as_done_with_its_time() {
    let open = Visit { closed_at_ms: None, time_in_store_ms: None, ..visit() };
    let figures = |visit: &Visit| {
        let found = contributions(&create(visit, outlet(), 1));
        assert_eq!((found.len(), found[0].day, found[0].person), (1, DAY, Some(PersonId(id(30)))));
        VisitFigures::from(found[0].measures)
    };
    assert_eq!(figures(&open), VisitFigures { visits: 1, ..Default::default() });
    let done = VisitFigures {
        planned_done: 1,
        visits: 1,
        done: 1,
        time_in_store_ms: 1_795_000,
        timed: 1,
        done_hypermarket: 1,
        ..Default::default()
    };
    assert_eq!(figures(&visit()), done);
    assert_eq!(figures(&Visit { plan: None, ..visit() }).planned_done, 0, "not on a plan");
}

#[test]
fn an_aborted_visit_is_not_done_even_if_it_was_closed() {
    let found = contributions(&create(&aborted_visit(), outlet(), 1));
    let expected = VisitFigures { visits: 1, aborted: 1, ..Default::default() };
    assert_eq!(VisitFigures::from(found[0].measures), expected);
}

#[test]
fn a_plan_counts_each_call_for_its_person_and_outlet() {
    let (_, plan) = examples::ops().into_iter().find(|(code, _)| *code == "route_plan").unwrap();
    let found = contributions(&plan);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|c| VisitFigures::from(c.measures).planned == 1 && c.outlet.is_some()));
    assert_eq!(sum(&found, MeasureFamily::Visits, |day| day == DAY), Measures::of(&[2]));
}

#[test]
fn a_shelf_observation_counts_audited_and_absent_products() {
    let seen = ShelfObservation {
        present: BTreeMap::from([(gtin(1), true), (gtin(2), false), (gtin(3), false)]),
        in_backroom: BTreeMap::from([(gtin(1), true), (gtin(2), true), (gtin(3), false)]),
        facings_own: BTreeMap::from([(gtin(1), 4), (gtin(9), 7)]),
        facings_category: BTreeMap::from([(gtin(1), 16)]),
        ..shelf(0)
    };
    let found = contributions(&create(&seen, outlet(), 1));
    let of = |gtin: kinds::Gtin| {
        let found = found.iter().find(|c| c.dimension.0 == gtin.number());
        found.map(|c| ProductFigures::from(c.measures))
    };
    let present = ProductFigures { audited: 1, facings_own: 4, facings_category: 16, ..Default::default() };
    assert_eq!(of(gtin(1)), Some(present));
    let backroom = ProductFigures { audited: 1, absent: 1, backroom_only: 1, ..Default::default() };
    assert_eq!(of(gtin(2)), Some(backroom));
    assert_eq!(of(gtin(3)), Some(ProductFigures { backroom_only: 0, ..backroom }));
    assert_eq!(of(gtin(9)), None, "facings alone do not make a product audited");
}

#[test]
fn a_count_is_the_stock_of_a_product_over_all_locations_and_ignores_lots() {
    let counted = StockCount {
        shelf_units: BTreeMap::from([(gtin(1), 5), (gtin(2), i64::MAX)]),
        stack_units: BTreeMap::from([(gtin(1), 20)]),
        backroom_units: BTreeMap::from([(gtin(1), 100), (gtin(2), i64::MAX)]),
        ..count(0)
    };
    let record = record_of(&create(&counted, outlet(), 1));
    let stock = (StockCount::SPEC.stock)(&record);
    assert_eq!(
        stock,
        [(gtin(1).number(), Stock::Counted(125)), (gtin(2).number(), Stock::Counted(i64::MAX))]
    );
    let found = contributions_of(&record);
    let figures = ProductFigures::from(found[0].measures);
    assert_eq!(figures, ProductFigures { counts: 1, counted_units: 125, ..Default::default() });
}

#[test]
fn a_movement_changes_stock_and_contributes_no_other_figures() {
    let (_, op) = examples::ops().into_iter().find(|(code, _)| *code == "stock_movement").unwrap();
    let record = record_of(&op);
    assert_eq!((StockMovement::SPEC.stock)(&record), [(gtin(1).number(), Stock::Moved(-3))]);
    assert!(contributions_of(&record).is_empty());
}

/// The numbers of open and of overdue issues at the end of each day, from the day on which the issue was raised.
fn levels(issue: &Issue) -> Vec<(i64, i64)> {
    let found = contributions(&create(issue, outlet(), 1));
    let level = |n| sum(&found, MeasureFamily::OpenIssues, |day| day <= Day(DAY.0 + n)).0;
    (0..6).map(|n| (level(n)[0], level(n)[1])).collect()
}

fn flows(issue: &Issue) -> IssueFigures {
    let found = contributions(&create(issue, outlet(), 1));
    IssueFigures::new(sum(&found, MeasureFamily::Issues, |_| true), Measures::default())
}

#[test]
fn an_issue_is_open_from_the_day_it_was_raised_and_overdue_from_the_day_after_it_was_due() {
    assert_eq!(levels(&issue()), [(1, 0), (1, 0), (1, 1), (1, 1), (1, 1), (1, 1)]);
    assert_eq!(flows(&issue()), IssueFigures { raised: 1, due: 1, ..Default::default() });
    let taken_up = Issue { state: Some(IssueState::Acknowledged), ..issue() };
    assert_eq!(levels(&taken_up), levels(&issue()), "acknowledging an issue does not close it");
}

fn closed_after(days: i32) -> Issue {
    Issue { state: Some(IssueState::Closed), closed_on: Some(Day(DAY.0 + days)), ..issue() }
}

#[test]
fn an_issue_closed_by_its_due_day_was_never_overdue() {
    assert_eq!(levels(&closed_after(1)), [(1, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
    let flows = flows(&closed_after(0));
    assert_eq!(flows, IssueFigures { raised: 1, closed: 1, closed_by_due: 1, due: 1, ..Default::default() });
    assert_eq!(flows.on_time().percent(), "100.00 %");
}

#[test]
fn an_issue_closed_late_was_overdue_until_then() {
    assert_eq!(levels(&closed_after(4)), [(1, 0), (1, 0), (1, 1), (1, 1), (0, 0), (0, 0)]);
    assert_eq!(levels(&closed_after(2)), [(1, 0), (1, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
    let expected = IssueFigures { raised: 1, closed: 1, due: 1, ..Default::default() };
    assert_eq!(flows(&closed_after(4)), expected);
}

#[test]
fn a_reopened_issue_is_open_despite_its_earlier_closing_day() {
    let again = Issue { state: Some(IssueState::Open), ..closed_after(1) };
    assert_eq!(levels(&again), levels(&issue()));
}

#[test]
fn a_corrected_record_contributes_nothing() {
    for (code, op) in examples::ops().into_iter().filter(|(code, _)| *code != "unknown") {
        let mut record = record_of(&op);
        let write = Write { at: single(header_tags::CORRECTED_BY), value: Value::Id(id(77)), seen: None };
        record.apply(&Op { seq: OpSeq(2), stamp: stamp(9_999, 7), writes: vec![write], ..op });
        let spec: &KindSpec = kinds::spec(record.key.kind).unwrap();
        assert!((spec.contribute)(&record).is_empty() && (spec.stock)(&record).is_empty(), "{code}");
    }
}

#[test]
fn a_record_without_its_header_or_in_another_home_contributes_nothing() {
    for form in [visit().writes(), shelf(3).writes(), issue().writes()] {
        let bare = Op { writes: form, ..create(&visit(), outlet(), 1) };
        assert!(contributions(&bare).is_empty());
    }
    let strayed = Op { home: Home::Company, ..create(&visit(), outlet(), 1) };
    assert!(contributions(&strayed).is_empty());
    let report = DayReport { day: Some(DAY), visits_done: Some(NOON_MS), ..Default::default() };
    assert!(
        contributions(&create(&report, person(), 1)).is_empty(),
        "a report repeats figures of other records"
    );
}

/// The kinds of the first server. Every server knows who may write them, so they need no guarded number.
const FIRST_KINDS: std::ops::RangeInclusive<u16> = 1..=16;

#[test]
fn a_later_kind_that_grants_rights_or_speaks_for_the_company_has_a_guarded_number() {
    for spec in kinds::ALL.into_iter().filter(|spec| !FIRST_KINDS.contains(&spec.kind.0)) {
        let is_the_companys = spec.write_policy == kinds::WritePolicy::Reference
            || matches!(spec.home, kinds::HomeKind::Company | kinds::HomeKind::Unit)
            || spec.fields.iter().any(|field| field.headquarters || field.server)
            || xundian_protocol::access::Directory::concerns(spec.kind);
        assert!(!is_the_companys || spec.kind.is_guarded(), "{}: see docs/adr/0012", spec.code);
    }
}
