//! Acceptance: imports of the public data on the command line, into a folder and into a running server.
//!
//! The public data are beside the workspace and not part of it. If they are missing, the tests print a clear notice and
//! pass.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::{Entity, Outlet};
use xundian_server::figures::RollUp;
use xundian_server::{Server, sessions};
use xundian_tests::support::company;
use xundian_tests::support::contents::Contents;
use xundian_tests::support::process::{Program, Ran, ServerProcess};

/// The nine regions of the source, with their provinces from regions.csv beside the shops.
const REGIONS: &str = "code,name_zh,unit_type,parent,territory
HQ,总公司,company,,
JIN_MENG,晋蒙特区,special_region,HQ,14|15
ZHONG_NAN,中南大区,region,HQ,42|43
XI_BEI,西北大区,region,HQ,61|62|63|64|65
HUA_BEI,华北大区,region,HQ,11|12|13
HUA_NAN,华南大区,region,HQ,44|45|46
GAN_WAN,赣晥大区,region,HQ,34|36
SHANGHAI,上海特区,special_region,HQ,31
LU_YU,鲁豫大区,region,HQ,37|41
JIANG_ZHE,江浙大区,region,HQ,32|33
";
const SHOPS: usize = 4166;
const SHOPS_OF_NO_REGION: usize = 564;
const PRODUCTS: usize = 5831;
const CODES_OF_NO_PRODUCT: usize = 573;

/// Returns the path of a public file; `None`, with a notice, if it is missing.
fn public(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(file);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("\n*** SKIPPED: {} is not there, so nothing was tested ***\n", path.display());
    None
}

fn import(data: &Path, kind: &str, file: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["import".into(), kind.into(), file.as_os_str().to_owned()];
    arguments.extend(["--data".into(), data.as_os_str().to_owned(), "--json".into()]);
    arguments.extend(more.iter().map(Into::into));
    Program::Server.run(arguments)
}

fn outcome(ran: Ran) -> Json {
    serde_json::from_str(&ran.out()).unwrap_or_else(|_| panic!("no JSON:\n{}\n{}", ran.out(), ran.err()))
}

/// The numbers of created, changed, unchanged and bad rows, and of outlets without a unit.
fn counts(outcome: &Json) -> [u64; 5] {
    ["created", "changed", "unchanged", "bad_rows", "unassigned"]
        .map(|name| outcome[name].as_u64().expect(name))
}

fn held(data: &Path) -> Contents {
    Contents::of(&Server::open(data, sessions::now_ms()).expect("nobody else has it open"))
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).expect("there is room");
    path
}

#[test]
fn all_shops_are_imported_into_their_regions_or_as_unassigned() {
    let Some(shops) = public("stores/stores_china.csv") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    import(&data, "org", &write(folder.path(), "regions.csv", REGIONS), &[]).ok();

    let before = held(&data);
    let rehearsed = outcome(import(&data, "outlets", &shops, &["--dry-run"]));
    assert_eq!(counts(&rehearsed), [SHOPS as u64, 0, 0, 0, SHOPS_OF_NO_REGION as u64]);
    assert_eq!(rehearsed["imported"], Json::Bool(false));
    assert_eq!(before.differences(&held(&data)), Vec::<String>::new(), "a dry run changes nothing");

    let imported = outcome(import(&data, "outlets", &shops, &[]));
    assert_eq!(counts(&imported), [SHOPS as u64, 0, 0, 0, SHOPS_OF_NO_REGION as u64]);
    let again = outcome(import(&data, "outlets", &shops, &[]));
    assert_eq!(
        counts(&again),
        [0, 0, SHOPS as u64, 0, SHOPS_OF_NO_REGION as u64],
        "a second import changes nothing"
    );
    assert_every_shop_is_in_its_region(&data, &shops);
}

/// Compares with the file itself, read with a plain CSV reader.
fn assert_every_shop_is_in_its_region(data: &Path, shops: &Path) {
    let server = Server::open(data, sessions::now_ms()).expect("nobody else has it open");
    let directory = server.directory();
    let mut reader = csv::Reader::from_path(shops).expect("readable");
    let headers = reader.headers().expect("a header").clone();
    let column = |name: &str| headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name);
    let region_column = column("region").expect("the file names regions");
    let mut expected = std::collections::BTreeMap::<String, usize>::new();
    for row in reader.records() {
        // 晥 is a typo of the source for 皖, which the import corrects.
        let region = row.expect("a row")[region_column].replace('晥', "皖");
        *expected.entry(if region == "unassigned" { String::new() } else { region }).or_default() += 1;
    }
    let mut found = std::collections::BTreeMap::<String, usize>::new();
    for record in server.records(Outlet::SPEC.kind).expect("readable") {
        let unit = Outlet::read(&record).unit.and_then(|unit| directory.unit(unit));
        *found.entry(unit.map_or_else(String::new, |unit| unit.name_zh.clone())).or_default() += 1;
    }
    assert_eq!(found.values().sum::<usize>(), SHOPS);
    assert_eq!((found.get(""), found.len()), (Some(&SHOPS_OF_NO_REGION), 10));
    assert_eq!(found, expected);
    let day = Day(0);
    let regions = server.by_region(day, day).expect("readable");
    assert_eq!(regions.len(), 10, "nine regions, and the outlets without a region");
    assert_eq!(regions.last().map(|(scope, _)| *scope), Some(RollUp::Unassigned));
}

#[test]
fn all_products_are_imported_and_codes_of_no_product_are_refused_with_a_reason() {
    let (Some(products), Some(codes)) =
        (public("products/products_cn_gtin13.csv"), public("products/products_cn_rejected_codes.csv"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    assert_eq!(counts(&outcome(import(&data, "products", &products, &[])))[..4], [PRODUCTS as u64, 0, 0, 0]);
    let before = held(&data);
    assert_eq!(before.count("product"), PRODUCTS);

    // The bad rows are written beside the file, so read a copy in our own folder.
    let codes = write(folder.path(), "codes.csv", fs::read(codes).expect("readable"));
    let refused = import(&data, "products", &codes, &[]);
    assert!(!refused.0.status.success(), "a file with bad rows is refused as a whole");
    let refused = outcome(refused);
    assert_eq!(refused["bad_rows"], CODES_OF_NO_PRODUCT);
    let bad = refused["bad"].as_array().expect("a list");
    assert_eq!(bad.len(), CODES_OF_NO_PRODUCT);
    for row in bad {
        let reason = row["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty() && row["line"].as_u64() > Some(1), "{row}");
    }
    assert_eq!(before.differences(&held(&data)), Vec::<String>::new(), "nothing else changes");

    let skipped = outcome(import(&data, "products", &codes, &["--skip-bad"]));
    assert_eq!(counts(&skipped)[..4], [0, 0, 0, CODES_OF_NO_PRODUCT as u64]);
    assert_eq!(before.differences(&held(&data)), Vec::<String>::new());
    let kept =
        fs::read_to_string(folder.path().join("codes.bad.csv")).expect("the bad rows, to be corrected");
    assert_eq!(csv::Reader::from_reader(kept.as_bytes()).records().count(), CODES_OF_NO_PRODUCT);
}

#[test]
fn a_running_server_accepts_imports_through_its_socket_and_continues_serving() {
    let (Some(shops), Some(products)) =
        (public("stores/stores_china.csv"), public("products/products_cn_gtin13.csv"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut process = ServerProcess::new(&data);
    process.start();
    import(&data, "org", &write(folder.path(), "regions.csv", REGIONS), &[]).ok();
    assert_eq!(counts(&outcome(import(&data, "outlets", &shops, &[])))[0], SHOPS as u64);
    assert_eq!(counts(&outcome(import(&data, "products", &products, &[])))[0], PRODUCTS as u64);
    let arguments = |command: &str| [command.into(), "--data".into(), data.as_os_str().to_owned()];
    Program::Server.run(arguments("verify")).ok();
    assert!(process.process().is_running());
    process.kill();
    let held = held(&data);
    assert_eq!((held.count("outlet"), held.count("product")), (SHOPS, PRODUCTS));
}

#[test]
fn files_in_gb18030_and_in_utf_8_with_and_without_a_mark_are_read() {
    let people = "工号,姓名,岗位\nM001,王芳,\nM002,李雷,\n";
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    // 工号,姓名,岗位 / M001,王芳, / M002,李雷, encoded in GB18030 by hand.
    let gb18030: &[u8] = &[
        0xB9, 0xA4, 0xBA, 0xC5, b',', 0xD0, 0xD5, 0xC3, 0xFB, b',', 0xB8, 0xDA, 0xCE, 0xBB, b'\r', b'\n',
        b'M', b'0', b'0', b'1', b',', 0xCD, 0xF5, 0xB7, 0xBC, b',', b'\r', b'\n', b'M', b'0', b'0', b'2',
        b',', 0xC0, 0xEE, 0xC0, 0xD7, b',', b'\r', b'\n',
    ];
    let first = outcome(import(&data, "people", &write(folder.path(), "gb.csv", gb18030), &[]));
    assert_eq!(counts(&first)[..4], [2, 0, 0, 0]);
    assert_eq!(first["encoding"].as_str().map(str::to_lowercase).as_deref(), Some("gb18030"));
    let with_mark = [&b"\xEF\xBB\xBF"[..], people.as_bytes()].concat();
    for (name, content) in [("bom.csv", with_mark), ("plain.csv", people.as_bytes().to_vec())] {
        let again = outcome(import(&data, "people", &write(folder.path(), name, content), &[]));
        assert_eq!(counts(&again)[..4], [0, 0, 2, 0], "{name} has the same content as the first file");
    }
    let server = Server::open(&data, sessions::now_ms()).expect("nobody else has it open");
    let directory = server.directory();
    let name = |code| directory.person(company::person(code)).map(|person| person.name.clone());
    assert_eq!((name("M001").as_deref(), name("M002").as_deref()), (Some("王芳"), Some("李雷")));
}
