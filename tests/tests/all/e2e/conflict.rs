//! Acceptance: two people change the same field of the same outlet, and neither knows of the other.

use std::path::Path;

use xundian_client::{Due, Issue, IssueKind, NewIssue, Severity};
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{Outlet, Typed};
use xundian_protocol::record::Home;
use xundian_server::store::Store;
use xundian_tests::support::company::{self, outlet, today};
use xundian_tests::support::device::Device;
use xundian_tests::support::service::Service;

use crate::raw::RawDevice;

/// The values that lost, as the server keeps them: field, kept, lost.
fn conflicts(folder: &Path, field: &str) -> Vec<(String, String)> {
    let store = Store::open(&folder.join("store")).expect("the server has closed it");
    let conflicts = store.reader().conflicts().expect("readable");
    let of_field = conflicts.into_iter().filter(|conflict| conflict.field.starts_with(&format!("{field} ")));
    of_field.map(|conflict| (conflict.kept, conflict.lost)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edits_of_one_outlets_field_end_alike_everywhere_and_the_losing_value_is_kept() {
    let service = Service::start().await;
    let (phone_of_rep, phone_of_manager) = (service.device("W2").await, service.device("W4").await);
    let stands = service.server().record(Outlet::key(outlet("B1").0)).expect("readable").expect("there");

    // The app has no form for outlets yet, so their ops are written by hand.
    let at_ms = phone_of_rep.clock.read_ms() - 60_000;
    for (person, note, at_ms) in [("W4", "周一盘点", at_ms + 1_000), ("W2", "周二盘点", at_ms)] {
        let tablet = Device::enrol(&service.invitation(person), "tablet").await;
        let mut raw = RawDevice::of(&tablet, service.address()).await;
        let edit = Outlet { note: Some(note.into()), ..Outlet::default() };
        let op = raw.op(&edit, outlet("B1").0, Home::Outlet(outlet("B1")), at_ms, Some(&stands));
        let receipt = raw.push(vec![op]).await;
        assert_eq!(receipt.rejections, [], "both may write outlets of 华北大区");
    }

    for phone in [&phone_of_rep, &phone_of_manager, &phone_of_rep] {
        phone.sync().await;
    }
    let key = Outlet::key(outlet("B1").0);
    let on_server = service.server().record(key).expect("readable").expect("there");
    assert_eq!(Outlet::read(&on_server).note.as_deref(), Some("周一盘点"), "the later stamp stands");
    for phone in [&phone_of_rep, &phone_of_manager] {
        assert_eq!(phone.client.find(key).expect("readable").expect("there").record, on_server);
    }
    let folder = service.stop().await;
    let kept = conflicts(folder.path(), "note");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].0.contains("周一盘点") && kept[0].1.contains("周二盘点"), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_who_close_one_issue_offline_end_alike_and_the_losing_solution_is_kept() {
    let service = Service::start().await;
    let (author, manager) = (service.device("W1").await, service.device("W4").await);
    author.clock.set(Day(today().0 - 1), 9);
    let issue = NewIssue {
        issue_kind: IssueKind::Price,
        severity: Severity::Normal,
        text: "标价有误".into(),
        due: Due::NextDay,
        assignee: None,
    };
    let id = author.client.raise_issue(outlet("A1"), None, &issue).expect("raised");
    author.sync().await;
    manager.sync().await;

    author.client.close_issue(id, "已更换价签".into()).expect("closed");
    manager.clock.advance_ms(5);
    manager.client.close_issue(id, "已联系店长".into()).expect("closed, as far as the manager knows");
    for device in [&manager, &author, &manager] {
        device.sync().await;
    }
    let on_server = service.server().record(Issue::key(id)).expect("readable").expect("there");
    for device in [&author, &manager] {
        assert_eq!(device.client.find(Issue::key(id)).expect("readable").expect("there").record, on_server);
    }
    service.verify();
    let stands = Issue::read(&on_server).resolution.expect("closed");
    let folder = service.stop().await;
    let kept = conflicts(folder.path(), "resolution");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].0.contains(&stands) && !kept[0].1.contains(&stands), "{kept:?}");
    let _ = company::today();
}
