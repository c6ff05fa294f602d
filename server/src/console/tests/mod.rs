//! The console over a real connection: who is admitted, what they see, and whether the figures add up.

mod browser;
mod company;
mod figures;
mod photos;

use super::{Users, router_at, serve};
use crate::photos::{Photos, SpoolLimits, StorageLocation};
use crate::server::Server;
use browser::Browser;
use company::{HOSTILE, NOW_MS, Size, TODAY, id, visit_id};
use std::net::SocketAddr;
use std::sync::Arc;
use xundian_protocol::ids::PersonId;

const PASSWORD: &str = "一个足够长的密码";
const SMALL: Size = Size { people_per_region: 2, outlets_per_person: 5, days: 3 };

/// A console serving its own company.
struct Running {
    address: SocketAddr,
    server: Arc<Server>,
    photos: Arc<Photos>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start(size: Size) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Arc::new(Server::open(folder.path(), NOW_MS).unwrap());
        company::fill(&server, size);
        let users = Users::open(folder.path()).unwrap();
        users.add_user("hq", PASSWORD, None).unwrap();
        for (name, code) in [("north", "HUA_BEI-M"), ("wang", "HUA_BEI-P0"), ("loose", "LOOSE")] {
            users.add_user(name, PASSWORD, Some(PersonId(id(code)))).unwrap();
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let place = StorageLocation::Folder(folder.path().join("photos"));
        let photos = Arc::new(Photos::open(Arc::clone(&server), &place, SpoolLimits::default()).unwrap());
        let router = router_at(Arc::clone(&server), Arc::clone(&photos), users, || NOW_MS);
        tokio::spawn(serve(listener, router, std::future::pending()));
        Self { address, server, photos, _folder: folder }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.address)
    }

    async fn logged_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        assert_eq!(browser.log_in(name, PASSWORD).await.status, 303);
        browser
    }
}

const EMPTY: Size = Size { people_per_region: 0, outlets_per_person: 0, days: 0 };

#[tokio::test]
async fn logging_in_and_out() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.browser();
    let answer = browser.get("/unit/none?day=2026-11-23").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/login?next=%2Funit%2Fnone%3Fday%3D2026-11-23"))
    );
    let answer = browser.log_in("hq", PASSWORD).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("全国") && page.body.contains("lang=\"zh-CN\""));

    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.get("/").await.status, 200, "a forged form must not log anyone out");
    assert_eq!(browser.post("/logout", &[("csrf", &page.hidden("csrf"))]).await.status, 303);
    assert_eq!(browser.get("/").await.status, 303);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_fail_alike() {
    let running = Running::start(EMPTY).await;
    let mut said = Vec::new();
    for (name, password) in [("hq", "another password"), ("nobody", PASSWORD), ("", "")] {
        let mut browser = running.browser();
        let answer = browser.log_in(name, password).await;
        assert_eq!(answer.status, 401);
        assert!(!browser.has_cookie("xundian_session"));
        assert_eq!(browser.get("/").await.status, 303);
        said.push(answer.body.split("<form").next().unwrap().to_owned());
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_login_without_our_form_is_refused() {
    let running = Running::start(EMPTY).await;
    let fields = [("name", "hq"), ("password", PASSWORD)];
    assert_eq!(running.browser().post("/login", &fields).await.status, 403);
    // A token that belongs to somebody else's cookie.
    let foreign = running.browser().get("/login").await.hidden("csrf");
    let mut browser = running.browser();
    browser.get("/login").await;
    let answer = browser.post("/login", &[fields[0], fields[1], ("csrf", &foreign)]).await;
    assert_eq!(answer.status, 403);
    assert!(!browser.has_cookie("xundian_session"));
}

#[tokio::test]
async fn too_many_attempts_are_held_back() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.browser();
    for _ in 0..super::attempts::PER_USER_MAX {
        assert_eq!(browser.log_in("hq", "another password").await.status, 401);
    }
    assert_eq!(browser.log_in("hq", PASSWORD).await.status, 429);
    assert_eq!(browser.log_in("north", PASSWORD).await.status, 303, "others still get in");
}

#[tokio::test]
async fn a_changed_password_ends_sessions() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.logged_in("hq").await;
    Users::open(running._folder.path()).unwrap().set_password("hq", "a new password").unwrap();
    assert_eq!(browser.get("/").await.status, 303);
}

#[tokio::test]
async fn addresses_that_mean_nothing_are_answered_clearly() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.logged_in("hq").await;
    let unknown = id("nothing");
    for path in
        ["/nothing", &format!("/unit/{unknown}"), &format!("/person/{unknown}"), &format!("/visit/{unknown}")]
    {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    let bad = [
        "/unit/x",
        "/unit/..%2F..%2Fetc",
        "/?day=2026-11-31",
        "/?from=2026-11-23",
        "/?day=1&day=2",
        "/visits?what=x",
        "/visits?page=2",
        "/visits?page=0",
        "/shelf?gtin=6901234567893",
        "/issues?state=%00",
        "/visits?unit=none&person=none",
        "/?day=%ff",
    ];
    for path in bad {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("请求有误"), "{path}");
    }
    assert_eq!(browser.post("/visits", &[]).await.status, 405);
    let long = "x".repeat(20_000);
    assert_eq!(browser.post("/login", &[("name", &long)]).await.status, 400);
}

#[tokio::test]
async fn every_answer_keeps_browsers_strict() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.browser();
    assert_eq!(browser.get("/healthz").await.body, "ok\n");
    for path in ["/healthz", "/login", "/nothing", "/style.css"] {
        let answer = browser.get(path).await;
        assert!(
            answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let kept = if path == "/style.css" { "max-age=3600" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
    }
}

#[tokio::test]
async fn the_language_is_chosen_once_and_kept() {
    let running = Running::start(EMPTY).await;
    let mut browser = running.logged_in("hq").await;
    let page = browser.get("/?lang=en").await;
    assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("Call compliance"));
    assert!(browser.get("/").await.body.contains("Call compliance"));
    assert!(browser.get("/?lang=zh").await.body.contains("拜访完成率"));
}

#[tokio::test]
async fn nobody_sees_past_their_scope() {
    let running = Running::start(SMALL).await;
    let others = [
        format!("/unit/{}", id("HUA_NAN")),
        format!("/unit/{}", id("HUA_NAN-A")),
        format!("/unit/{}", id("HQ")),
        "/unit/none".to_owned(),
        format!("/person/{}", id("HUA_NAN-P0")),
        format!("/outlet/{}", id("HUA_NAN-P0-S0")),
        format!("/visit/{}", visit_id("HUA_NAN", 0, 1, TODAY)),
        format!("/person/{}", id("nobody at all")),
        format!("/visit/{}", id("no visit at all")),
    ];
    let lists = ["/visits", "/issues", "/products", "/shelf", "/stock", "/devices"];
    let scopes =
        ["", "?unit=none", &format!("?unit={}", id("HUA_NAN")), &format!("?person={}", id("HUA_NAN-P0"))];
    let lists = lists.iter().flat_map(|list| scopes.iter().map(move |scope| format!("{list}{scope}")));
    let denied: Vec<String> = others.into_iter().chain(lists).collect();
    for user in ["north", "wang", "loose"] {
        let mut browser = running.logged_in(user).await;
        for path in &denied {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 403, "{user} {path}");
            assert!(!answer.body.contains("华南") && !answer.body.contains("示例店"), "{user} {path}");
        }
    }
    assert_eq!(running.logged_in("loose").await.get("/").await.status, 403);

    let mut north = running.logged_in("north").await;
    let first = north.get("/").await;
    assert!(first.body.contains("<h1>华北大区") && !first.body.contains("华南"));
    for path in [
        format!("/unit/{}", id("HUA_BEI-A")),
        format!("/person/{}", id("HUA_BEI-P1")),
        format!("/outlet/{}", id("HUA_BEI-P1-S0")),
        format!("/visit/{}", visit_id("HUA_BEI", 0, 1, TODAY)),
    ] {
        assert_eq!(north.get(&path).await.status, 200, "{path}");
    }
    let mut wang = running.logged_in("wang").await;
    assert!(wang.get("/").await.body.contains("<h1>李伟1"));
    assert_eq!(wang.get(&format!("/outlet/{}", id("HUA_BEI-P0-S0"))).await.status, 200);
    assert_eq!(wang.get(&format!("/outlet/{}", id("HUA_BEI-P1-S0"))).await.status, 403);
    assert_eq!(wang.get(&format!("/unit/{}", id("HUA_BEI"))).await.status, 403);
}

#[tokio::test]
async fn what_people_wrote_is_text_and_nothing_else() {
    let running = Running::start(SMALL).await;
    let mut browser = running.logged_in("hq").await;
    let page = browser.get(&format!("/outlet/{}", id("FREE-1"))).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains(HOSTILE) && !page.body.contains("<script"));
    assert!(page.body.contains("&lt;script&gt;alert(&quot;门店&quot;)"));
    let issues = browser.get("/issues?state=raised&from=2026-11-21&to=2026-11-23").await;
    assert!(issues.body.contains("&lt;b&gt;急&lt;/b&gt;") && !issues.body.contains("<b>急"));
}

#[tokio::test]
async fn an_outlet_shows_its_open_conflicts_with_both_values_and_who_wrote_them() {
    let running = Running::start(SMALL).await;
    let mut browser = running.logged_in("north").await;
    let path = format!("/outlet/{}", id("HUA_BEI-P0-S0"));
    assert!(!browser.get(&path).await.body.contains("未处理冲突"), "there is none yet");
    let conflict = company::conflict(&running.server, "HUA_BEI", "HUA_BEI-P0-S0", HOSTILE, "总部说的");
    let page = browser.get(&path).await;
    assert!(page.body.contains("未处理冲突") && page.body.contains("请在设备上选定"), "{}", page.body);
    let row =
        page.rows().into_iter().find(|row| row.first().is_some_and(|cell| cell.contains("门店"))).unwrap();
    assert!(row[1].contains("备注") && row[2].contains("总部说的") && row[2].contains("总部"), "{row:?}");
    assert!(row[3].contains("alert") && row[3].contains("华北大区经理"), "{row:?}");
    assert!(!page.body.contains("<script"));
    let english = browser.get(&format!("{path}?lang=en")).await;
    assert!(english.body.contains("Open conflicts") && english.body.contains("Headquarters"));

    company::settle(&running.server, conflict, "HUA_BEI");
    assert!(!browser.get(&path).await.body.contains("Open conflicts"), "it is settled");
}
