//! Queries: what they return, and what counts as a change of their result.

use xundian_protocol::calendar::Day;
use xundian_protocol::ids::KindId;

use super::*;

fn condition<T: Entity>(field: &str, one_of: &[&str]) -> Result<Condition, QueryError> {
    let one_of: Vec<String> = one_of.iter().map(|text| (*text).to_owned()).collect();
    Condition::parse(xundian_protocol::kinds::spec(T::SPEC.kind).expect("declared"), field, &one_of)
}

fn ids(client: &Client, query: &Query) -> Vec<RecordId> {
    let page = client.query(query).expect("reads");
    page.lines.into_iter().map(|line| line.record.key.id).collect()
}

fn raised(client: &Client, at: u8) -> RecordId {
    let issue = NewIssue {
        issue_kind: IssueKind::OutOfStock,
        severity: Severity::Urgent,
        text: "主力产品缺货".into(),
        due: Due::NextDay,
        assignee: None,
    };
    client.raise_issue(outlet(at), None, &issue).expect("raised")
}

#[test]
fn a_query_means_what_it_says() {
    let device = device();
    let client = &device.client;
    let (first, second) = (raised(client, 1), raised(client, 2));
    client.acknowledge_issue(first).expect("taken up");
    device.later(1);
    let third = raised(client, 1);
    client.close_issue(third, "已补货".into()).expect("closed");
    let all = Query::of(Issue::SPEC.kind);
    let made = [first, second, third];
    let mut ordered = made;
    ordered.sort_unstable();
    assert_eq!(ids(client, &all), ordered);
    ordered.reverse();
    assert_eq!(ids(client, &Query { is_newest_first: true, ..all.clone() }), ordered);
    let page =
        client.query(&Query { is_newest_first: true, skip: 1, limit: 1, ..all.clone() }).expect("reads");
    assert_eq!((page.total, page.lines.len(), page.lines[0].record.key.id), (3, 1, ordered[1]));

    let open = condition::<Issue>("state", &["open", "acknowledged"]).expect("states");
    let mut expected = vec![first, second];
    expected.sort_unstable();
    assert_eq!(ids(client, &Query { conditions: vec![open.clone()], ..all.clone() }), expected);
    let at_first = Query { home: Some(Home::Outlet(outlet(1))), conditions: vec![open], ..all.clone() };
    assert_eq!(ids(client, &at_first), [first]);
    let mine = condition::<Issue>("actor", &[&PERSON.to_string()]).expect("a person");
    let today = Condition::on_day(client.today());
    assert_eq!(ids(client, &Query { conditions: vec![mine, today], ..all.clone() }).len(), 3);
    let yesterday = Condition::on_day(Day(client.today().0 - 1));
    assert_eq!(ids(client, &Query { conditions: vec![yesterday], ..all }), []);
    let route = Query {
        ids: Some([outlet(2).0, outlet(7).0].into()),
        home: Some(Home::Outlet(outlet(2))),
        ..Query::of(Outlet::SPEC.kind)
    };
    assert_eq!(ids(client, &route), [outlet(2).0]);
    assert_eq!(ids(client, &Query { home: Some(Home::Outlet(outlet(1))), ..route }), []);
}

#[test]
fn a_record_whose_place_was_taken_comes_only_where_it_is_wanted() {
    let device = device();
    let check =
        DepartureCheck { folder: Some(true), cloth: Some(true), knife: Some(true), ..Default::default() };
    device.client.check_departure(&check).expect("checked");
    let second = device.client.check_departure(&check).expect("checked again");
    let query = Query::of(DepartureCheck::SPEC.kind);
    assert_eq!(ids(&device.client, &query), [second]);
    assert_eq!(ids(&device.client, &Query { with_corrected: true, ..query }).len(), 2);
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let texts = [
        (condition::<Issue>("colour", &["red"]), "issue has no field \"colour\"; its fields are actor"),
        (
            condition::<Issue>("state", &["opened"]),
            "\"opened\" is no value of the field state of issue; it takes",
        ),
        (condition::<Visit>("business_day", &["today"]), "a day such as 2026-11-23"),
        (condition::<Visit>("plan", &["next"]), "it takes an id"),
        (condition::<StockCount>("shelf_units", &["5"]), "holds more than one value"),
    ];
    for (refused, text) in texts {
        let refused = refused.expect_err("refused").to_string();
        assert!(refused.contains(text), "{refused}");
    }
    let query = Query::of(Issue::SPEC.kind);
    assert_eq!(query.check(), Ok(()));
    let limit = QUERY_LINES_MAX + 1;
    assert_eq!(Query { limit, ..query.clone() }.check(), Err(QueryError::PageTooLong { limit }));
    let many = (0..=QUERY_LINES_MAX as u64).map(|n| RecordId::v7(n, [0; 10])).collect();
    assert!(matches!(Query { ids: Some(many), ..query }.check(), Err(QueryError::TooLong { .. })));
}

#[test]
fn a_digest_tells_pages_apart() {
    let device = device();
    let client = &device.client;
    let query = Query::of(Issue::SPEC.kind);
    let digest = || client.query(&query).expect("reads").digest();
    let mut seen = vec![digest()];
    let mut news = |what: &str| {
        assert_eq!(digest(), digest(), "the same page, the same digest");
        assert!(!seen.contains(&digest()), "{what}");
        seen.push(digest());
    };
    let issue = raised(client, 1);
    news("raised");
    client.acknowledge_issue(issue).expect("taken up");
    news("taken up");
    client.store.note_sending(OpSeq(2)).expect("noted");
    news("sent");
    let rejection = Rejection { seq: OpSeq(2), why: Refusal::OutOfScope, message: "不在范围".into() };
    let receipt = Receipt { through: OpSeq(2), rejections: vec![rejection], restamped: Vec::new() };
    client.store.receive(&receipt).expect("received");
    news("the second rejected");
    client.drop_rejected(client.rejected().expect("reads")[0].id).expect("dropped");
    news("confirmed");
    client.store.fold_settled().expect("folded");
    assert!(seen.contains(&digest()), "nothing changes where saves are folded into their records");
}

#[test]
fn a_save_leaves_the_revisions_of_other_kinds_alone() {
    let device = device();
    let revision = |kind: KindId| device.client.revision(kind);
    let before = (revision(Outlet::SPEC.kind), revision(Visit::SPEC.kind));
    device.client.record(&bundle()).expect("recorded");
    assert_eq!(revision(Outlet::SPEC.kind), before.0);
    assert!(revision(Visit::SPEC.kind) > before.1);
}

/// Measures; run with `cargo test --release -p xundian-client -- --ignored --nocapture figures_of_queries`.
#[test]
#[ignore = "a measurement"]
fn figures_of_queries() {
    let device = device();
    let client = &device.client;
    let shop = |n: u16| {
        let form = Outlet {
            code: Some(format!("BJ-{n:05}")),
            name: Some(format!("华联超市第{n}店")),
            channel: Some(Channel::Chain),
            status: Some(OutletStatus::Active),
            city: Some("北京市".into()),
            latitude_e7: Some(312_400_000),
            longitude_e7: Some(1_214_900_000),
            ..Outlet::default()
        };
        let id = RecordId::derived(Outlet::SPEC.kind, &n.to_string());
        from_server(id, Home::Outlet(OutletId(id)), &form)
    };
    let outlets: Vec<Record> = (0..4000).map(shop).collect();
    let homes: Vec<Home> = outlets.iter().map(|record| record.home).collect();
    let homes = homes.into_iter().chain([Home::Company, Home::Outlet(outlet(1)), Home::Person(PERSON)]);
    client.store.set_scope(&homes.collect::<Vec<_>>()).expect("scope");
    let changes = Changes { home: None, from: FeedSeq(5), to: FeedSeq(9), records: outlets };
    client.store.apply_changes(&changes).expect("applied");
    for _ in 0..2000 {
        client.record(&bundle()).expect("recorded");
    }
    let (outlets, visits) = (Query::of(Outlet::SPEC.kind), Query::of(Visit::SPEC.kind));
    let today = Query { conditions: vec![Condition::on_day(client.today())], ..visits };
    for (what, query) in [("4,000 outlets", outlets), ("2,000 visits of a day", today)] {
        let page = client.query(&query).expect("reads");
        println!("{} lines of {}", page.lines.len(), page.total);
        measured(&format!("{what} queried"), 20, || {
            (0..20).for_each(|_| _ = client.query(&query).expect("reads"))
        });
        measured(&format!("{what} digested"), 20, || (0..20).for_each(|_| _ = page.digest()));
    }
    measured("revisions asked for", 1_000_000, || {
        (0..1_000_000).for_each(|_| _ = std::hint::black_box(client.revision(Outlet::SPEC.kind)));
    });
}
