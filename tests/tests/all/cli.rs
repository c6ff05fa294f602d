//! The command lines, as people and programs use them.

use std::path::Path;

use serde_json::Value as Json;
use xundian_server::{Server, sessions};
use xundian_tests::support::company::{self, product, today};
use xundian_tests::support::photo;
use xundian_tests::support::process::{Program, Ran, ServerProcess};

/// One device's folder.
struct Phone<'a>(&'a Path);

impl Phone<'_> {
    fn run(&self, command: &[&str]) -> Ran {
        let mut arguments = vec!["--home".into(), self.0.as_os_str().to_owned()];
        arguments.extend(command.iter().map(Into::into));
        Program::Device.run(arguments)
    }

    /// Runs a command and returns its text for people.
    fn says(&self, command: &[&str]) -> String {
        self.run(command).ok()
    }

    /// Runs a command with `--json` and returns its output.
    fn json(&self, command: &[&str]) -> Json {
        let text = self.run(&[&["--json"], command].concat()).ok();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
    }
}

#[test]
fn a_damaged_device_is_rescued_and_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let invitation = administer(&data, &["invite", "W1", "--address", &process.quic.to_string()]).ok();
    let phone = Phone(&home);
    phone.says(&["enrol", invitation.trim()]);
    phone.says(&["sync"]);
    phone.says(&["visit", "open", "A1"]);
    phone.says(&["visit", "close"]);
    std::fs::remove_file(home.join("store/db")).expect("there");
    assert!(
        phone.run(&["status"]).failure().contains("rescue"),
        "the error must name the command that helps"
    );

    let file = folder.path().join("rescued.ndjson");
    let report = phone.json(&["rescue", &file.display().to_string()]);
    assert_eq!((&report["unsent"], &report["unreadable"]), (&Json::from(2), &Json::from(0)));
    assert!(report["losses"].as_array().is_some_and(|losses| !losses.is_empty()));
    let lines = std::fs::read_to_string(&file).expect("UTF-8");
    let is = |line: &str| serde_json::from_str::<Json>(line).expect("JSON")["is"].clone();
    assert_eq!(lines.lines().filter(|line| is(line) == "unsent").count(), 2);
    assert!(phone.run(&["rescue", &file.display().to_string()]).failure().contains("rescued.ndjson"));
    let aside = phone.json(&["set-aside"])["aside"].as_str().expect("a folder").to_owned();
    assert!(Path::new(&aside).join("store/journal").exists());
    let invitation = administer(&data, &["invite", "W1", "--address", &process.quic.to_string()]).ok();
    phone.says(&["enrol", invitation.trim()]);
    assert_eq!(phone.json(&["status"])["unsent_ops"], 0);
}

/// Runs a command of the server on a data folder.
fn administer(data: &Path, command: &[&str]) -> Ran {
    let mut arguments = vec!["--data".into(), data.as_os_str().to_owned()];
    arguments.extend(command.iter().map(Into::into));
    Program::Server.run(arguments)
}

/// Starts a server process with the small company and a route plan for W1 today.
fn serve(data: &Path) -> ServerProcess {
    let mut process = ServerProcess::new(data);
    let server = Server::open(data, sessions::now_ms()).expect("a folder of our own");
    company::found(&server);
    company::write(&server, vec![company::route("W1", today(), &["A1", "A2"])]);
    drop(server);
    process.start();
    process
}

#[test]
fn a_day_on_the_command_line_from_invitation_to_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let address = process.quic.to_string();
    let invitation = administer(&data, &["invite", "W1", "--address", &address]).ok();
    let phone = Phone(&home);
    let enrolled = phone.json(&["enrol", invitation.trim(), "--label", "试机"]);
    assert_eq!((&enrolled["person_name"], &enrolled["device"]), (&Json::from("王芳"), &Json::from(1)));
    assert!(phone.json(&["sync"])["records_pulled"].as_u64() > Some(10));

    work(&phone);
    reads(&phone);
    let synced = phone.json(&["sync"]);
    assert_eq!((&synced["rejected"], &synced["unsent_ops"]), (&Json::from(0), &Json::from(0)));
    assert!(phone.says(&["sync"]).contains("同步完成"), "people read Chinese first");
    assert_eq!(phone.json(&["rejected", "list"]), Json::Array(Vec::new()));
    reports(&data);
}

#[test]
fn a_device_is_sealed_with_a_key_file_and_its_key_is_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let address = process.quic.to_string();
    let invitation = administer(&data, &["invite", "W1", "--address", &address]).ok();
    let key_file = |name: &str, content: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (first, second) = (key_file("first", "a1".repeat(32)), key_file("second", "b2".repeat(32) + "\n"));
    let phone = Phone(&home);
    phone.json(&["--key-file", &first, "enrol", invitation.trim()]);
    phone.json(&["--key-file", &first, "sync"]);
    phone.json(&["--key-file", &first, "visit", "open", "A1"]);
    assert_eq!(phone.json(&["--key-file", &first, "status"])["is_sealed"], true);
    assert!(phone.says(&["--key-file", &first, "status"]).contains("本机加密"));

    let refused = phone.run(&["status"]).failure();
    assert!(refused.contains("is sealed: open it with the key"), "{refused}");
    let refused = phone.run(&["--key-file", &second, "status"]).failure();
    assert!(refused.contains("the key does not fit"), "{refused}");
    let refused = phone.run(&["--key-file", &key_file("none", "secret".into()), "status"]).failure();
    assert!(refused.contains("不是密钥文件"), "{refused}");

    phone.json(&["--key-file", &first, "change-key", &second]);
    assert!(phone.run(&["--key-file", &first, "status"]).failure().contains("the key does not fit"));
    phone.json(&["--key-file", &second, "visit", "close"]);
    assert!(phone.json(&["--key-file", &second, "sync"])["merged"].as_u64() > Some(0));
    assert!(!phone.says(&["--key-file", &second, "status"]).contains("明文"));
}

/// The work of W1, offline.
fn work(phone: &Phone<'_>) {
    let gtin = product(1).to_string();
    phone.json(&["day", "check", "--folder", "--cloth", "--knife", "--gifts", "3"]);
    let opened = phone.json(&["visit", "open", "A1", "--lat", "39.9", "--lon", "116.4"]);
    let refused = phone.run(&["visit", "open", "A2"]).failure();
    assert!(refused.contains("still open"), "{refused}");
    phone.json(&["shelf", &gtin, "--present", "true", "--facings", "3", "--category", "10"]);
    assert!(phone.says(&["count", &gtin, "--shelf", "5", "--backroom", "12"]).contains("库存已记录"));
    phone.json(&["visit", "task", "clean", "true"]);
    phone.json(&["visit", "note", "店长换人"]);
    phone.json(&["issue", "raise", "out_of_stock", "缺货", "--due", "same_day"]);
    let closed = phone.json(&["visit", "close"]);
    assert_eq!(closed["saved"], opened["saved"]);
    phone.json(&["visit", "open", "A2"]);
    phone.json(&["visit", "abort", "refused", "--note", "店方忙"]);
    phone.json(&["move", "A1", "sell_in", &gtin, "24", "--document", "S-1"]);
    phone.json(&["day", "report", "--remarks", "一切正常"]);
    let wrong = phone.run(&["count", "6901234567890", "--shelf", "5"]).failure();
    assert!(wrong.contains("check digit") || wrong.contains("校验"), "a mistyped GTIN is refused: {wrong}");
}

/// Checks what the phone shows of this work, as text and as JSON.
fn reads(phone: &Phone<'_>) {
    let status = phone.json(&["status"]);
    assert!(status["unsent_ops"].as_u64() > Some(8), "{status}");
    assert!(phone.says(&["status"]).contains("待发送"));
    let day = phone.json(&["day", "show"]);
    assert_eq!((&day["visits_planned"], &day["visits_done"]), (&Json::from(2), &Json::from(1)));
    assert_eq!((&day["visits_aborted"], &day["visits_open"]), (&Json::from(1), &Json::from(0)));
    let visits = phone.json(&["list", "visit"]);
    assert_eq!(visits.as_array().map(Vec::len), Some(2));
    assert_eq!(visits[0]["state"], "saved");
    assert!(
        phone.says(&["list", "visit"]).contains("拜访")
            || phone.says(&["list", "visit"]).contains("进店时间")
    );
    let outlet = phone.json(&["show", "outlet", "A1"]);
    assert_eq!((&outlet["kind"], &outlet["fields"]["code"]), (&Json::from("outlet"), &Json::from("A1")));
    assert!(phone.says(&["show", "outlet", "A1"]).contains("门店编码"));
    let unknown = phone.run(&["list", "nonsense"]).failure();
    assert!(
        unknown.contains("visit") && unknown.contains("outlet"),
        "the error must list the kinds: {unknown}"
    );
    let issues = phone.json(&["list", "issue"]);
    let issue = issues[0]["id"].as_str().expect("an id").to_owned();
    phone.json(&["issue", "ack", &issue]);
    phone.json(&["issue", "close", &issue, "已补货"]);
    assert_eq!(phone.json(&["show", "issue", &issue])["fields"]["state"], "closed");
}

/// Checks the reports at headquarters, in every format.
fn reports(data: &Path) {
    let json: Json = serde_json::from_str(&administer(data, &["report", "nation", "--format", "json"]).ok())
        .expect("JSON");
    assert!(json.to_string().contains("华北大区"), "{json}");
    let csv = administer(data, &["report", "nation", "--by", "person", "--format", "csv"]).ok();
    let rows: Vec<_> =
        csv::Reader::from_reader(csv.as_bytes()).into_records().collect::<Result<_, _>>().expect("CSV");
    assert!(rows.iter().any(|row| row.iter().any(|cell| cell == "王芳")), "{csv}");
    let marked = administer(data, &["report", "region", "HB", "--format", "csv", "--bom"]).0.stdout;
    assert!(marked.starts_with(b"\xEF\xBB\xBF"), "Excel needs this mark to recognise UTF-8");
    assert!(administer(data, &["report", "outlet", "A1"]).ok().contains("A1"));
    assert!(administer(data, &["report", "unassigned"]).ok().contains("未分配"));
    assert!(administer(data, &["devices"]).ok().contains("试机"));
    assert!(administer(data, &["verify"]).ok().contains("一致"));
    let unknown = administer(data, &["report", "outlet", "Z9"]).failure();
    assert!(unknown.contains("Z9"), "{unknown}");
    let visits = administer(data, &["report", "outlet", "A1", "--format", "json"]).ok();
    serde_json::from_str::<Json>(&visits).expect("JSON");
}

#[test]
fn push_only_sends_the_visit_and_pulls_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let invitation = administer(&data, &["invite", "W1", "--address", &process.quic.to_string()]).ok();
    let phone = Phone(&home);
    phone.json(&["enrol", invitation.trim()]);
    phone.json(&["sync"]);
    phone.json(&["visit", "open", "A1"]);
    phone.json(&["visit", "close"]);

    let pushed = phone.json(&["sync", "--push-only"]);
    assert_eq!((&pushed["merged"], &pushed["rejected"]), (&Json::from(2), &Json::from(0)));
    assert_eq!((&pushed["unsent_ops"], &pushed["records_pulled"]), (&Json::from(0), &Json::Null));
    let csv = administer(&data, &["report", "nation", "--by", "person", "--format", "csv"]).ok();
    assert!(csv.lines().any(|line| line.contains("王芳")), "{csv}");
    assert!(phone.says(&["sync", "--push-only"]).contains("上传完成"), "people read Chinese first");
    let synced = phone.json(&["sync"]);
    assert_eq!(synced["merged"], Json::from(0), "nothing is sent twice");
    assert!(synced["captured_through_ms"].as_i64() > Some(0));
}

#[test]
fn concurrent_changes_are_shown_as_a_conflict_and_settled() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let process = serve(&data);
    let address = process.quic.to_string();
    let homes = ["W1", "W4"].map(|person| folder.path().join(person));
    let [author, manager] = [0, 1].map(|at| Phone(&homes[at]));
    for (phone, person) in [(&author, "W1"), (&manager, "W4")] {
        let invitation = administer(&data, &["invite", person, "--address", &address]).ok();
        phone.json(&["enrol", invitation.trim()]);
        phone.json(&["sync"]);
    }
    let raised = author.json(&["issue", "raise", "price", "标价有误", "--outlet", "A1"]);
    let issue = raised["saved"].as_str().expect("an id").to_owned();
    author.json(&["sync"]);
    manager.json(&["sync"]);
    author.json(&["issue", "close", &issue, "已更换价签"]);
    manager.json(&["issue", "close", &issue, "已联系店长"]);
    for phone in [&author, &manager, &author] {
        phone.json(&["sync"]);
    }

    let found = author.json(&["conflicts", "--outlet", "A1"]);
    let conflict = &found[0];
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!((&conflict["kind"], &conflict["field"]), (&Json::from("issue"), &Json::from("resolution")));
    assert_eq!(
        (&conflict["lost"]["zh"], &conflict["lost"]["person_name"]),
        (&"已更换价签".into(), &"王芳".into())
    );
    assert_eq!((&conflict["kept"]["zh"], &conflict["settlement"]), (&"已联系店长".into(), &Json::Null));
    let shown = author.says(&["conflicts"]);
    assert!(shown.contains("解决办法") && shown.contains("未处理"), "{shown}");
    let id = conflict["id"].as_str().expect("an id");
    let wrong = author.run(&["settle", id, "both"]).failure();
    assert!(wrong.contains("kept, restored"), "{wrong}");
    assert!(manager.says(&["settle", id, "restored"]).contains("恢复落选值"));
    manager.json(&["sync"]);
    author.json(&["sync"]);
    assert_eq!(author.json(&["conflicts"])[0]["settlement"]["decision"], "restored");
    assert_eq!(author.json(&["show", "issue", &issue])["fields"]["resolution"], "已更换价签");
    let again = author.run(&["settle", id, "kept"]).failure();
    assert!(again.contains("settled already"), "{again}");
    assert!(administer(&data, &["verify"]).ok().contains("一致"));
}

#[test]
fn a_command_without_its_folder_or_enrolment_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("phone");
    let phone = Phone(&home);
    let refused = phone.run(&["sync"]).failure();
    assert!(refused.contains("not enrolled") && refused.contains("enrol"), "{refused}");
    let refused = phone.run(&["enrol", "xd1-nonsense"]).failure();
    assert!(refused.contains("copy all of it again") || refused.contains("invitation"), "{refused}");
    let refused = administer(&folder.path().join("nowhere"), &["devices"]).failure();
    assert!(refused.contains("no data folder") && refused.contains("--data"), "{refused}");
}

#[test]
fn an_invalid_line_is_reported_with_its_number_and_the_others_are_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let invitation = administer(&data, &["invite", "W1", "--address", &process.quic.to_string()]).ok();
    let phone = Phone(&home);
    phone.json(&["enrol", invitation.trim()]);
    phone.json(&["sync"]);
    let file = folder.path().join("visits.ndjson");
    let visit = |outlet: &str| {
        format!(r#"{{"outlet":"{outlet}","opened_at":1795395600000,"closed_at":1795396600000}}"#)
    };
    std::fs::write(&file, [visit("A1"), "{".into(), visit("Z9"), visit("A2")].join("\n")).expect("written");
    let ran = phone.run(&["--json", "record", &file.display().to_string()]);
    assert_eq!(ran.out().lines().filter(|line| line.contains("saved")).count(), 2);
    let told = ran.failure();
    assert!(told.contains(":2:") && told.contains(":3:") && told.contains("Z9"), "{told}");
    assert_eq!(phone.json(&["list", "visit"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_photo_is_attached_listed_and_sent_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, home) = (folder.path().join("data"), folder.path().join("phone"));
    let process = serve(&data);
    let invitation = administer(&data, &["invite", "W1", "--address", &process.quic.to_string()]).ok();
    let phone = Phone(&home);
    phone.json(&["enrol", invitation.trim()]);
    phone.json(&["sync"]);
    let (picture, text) = (folder.path().join("shelf.jpg"), folder.path().join("notes.txt"));
    std::fs::write(&picture, photo::jpeg(60_000, 1)).expect("written");
    std::fs::write(&text, "no picture").expect("written");
    let (picture, text) = (picture.display().to_string(), text.display().to_string());
    let refused = phone.run(&["photo", "attach", &picture]).failure();
    assert!(refused.contains("no visit"), "{refused}");
    let visit = phone.json(&["visit", "open", "A1"])["saved"].as_str().expect("an id").to_owned();
    let refused = phone.run(&["photo", "attach", &text]).failure();
    assert!(refused.contains("JPEG"), "{refused}");
    let taken = ["--taken-at", "2026-11-23T09:00:00+08:00", "--source", "in_app"];
    let at = ["--lat", "31.24", "--lon", "121.49", "--note", "主货架"];
    phone.json(&[&["photo", "attach", &picture], &taken[..], &at[..]].concat());
    phone.json(&["visit", "close"]);

    let list = ["photo", "list", "--visit", &visit];
    let photos = phone.json(&list);
    assert_eq!((&photos[0]["state"], &photos[0]["bytes"]), (&Json::from("waiting"), &Json::from(60_000)));
    assert_eq!(photos[0]["taken_at_ms"], Json::from(1_795_395_600_000_i64));
    assert!(phone.says(&list).contains("待上传"));
    let record = phone.json(&["list", "photo"]);
    assert_eq!(
        record[0]["fields"]["content_hash"], photos[0]["picture"],
        "a hash is shown as hexadecimal digits"
    );
    assert!(
        phone.says(&["list", "photo"]).contains("照片") || phone.says(&["list", "photo"]).contains("图片")
    );
    assert_eq!(phone.json(&["status"])["unsent_photo_bytes"], Json::from(60_000));

    let synced = phone.json(&["sync", "--no-photos"]);
    assert_eq!((&synced["merged"], &synced["photos"]["waiting"]), (&Json::from(3), &Json::from(1)));
    let sent = phone.json(&["sync", "--photos-only"]);
    assert_eq!((&sent["stored"], &sent["bytes_sent"]), (&Json::from(1), &Json::from(60_000)));
    assert_eq!(phone.json(&list)[0]["state"], "stored");
    assert!(phone.says(&list).contains("已上传"));
    let unknown = phone.run(&["photo", "retry", &"0".repeat(64)]).failure();
    assert!(unknown.contains("not on this device"), "{unknown}");
}
