//! Encodings, headers, lines, and what Excel does to files.

use super::super::row_reader::{Finer, decimal};
use super::*;
use xundian_protocol::kinds::Person;

#[test]
fn the_same_file_is_read_in_every_encoding() {
    let gb18030 = encoding_rs::GB18030.encode(PEOPLE).0.into_owned();
    let with_bom = [&[0xEF, 0xBB, 0xBF], PEOPLE.as_bytes()].concat();
    for (bytes, name) in
        [(gb18030, "GB18030"), (with_bom, "UTF-8 with BOM"), (PEOPLE.as_bytes().to_vec(), "UTF-8")]
    {
        let fixture = Fixture::empty();
        fixture.import(ImportKind::Org, ORG);
        let outcome = fixture.try_import(ImportKind::People, &bytes).unwrap();
        assert_eq!((outcome.encoding, counts(&outcome)), (name, [2, 0, 0]));
        assert_eq!(fixture.read::<Person>("M001").name.as_deref(), Some("王芳"));
    }
}

#[test]
fn what_is_no_csv_is_refused_with_what_to_do() {
    let fixture = Fixture::empty();
    let refused = |bytes: &[u8]| fixture.try_import(ImportKind::People, bytes).unwrap_err().to_string();
    assert!(refused(b"PK\x03\x04....").contains("Excel workbook: save it as \"CSV UTF-8\""));
    assert!(refused(b"\xFF\xFEc\0o\0").contains("UTF-16"));
    assert!(refused(b"code,name\nM1,\xFF\xFF\n").contains("(line 2)"));
    assert!(refused(b"code,name\nM1,a\0b\n").contains("(line 2)"));
    assert!(refused(b"").contains("empty"));
    assert!(refused(b"\n,,\n").contains("empty"));
    let open_quote = refused(b"code,name\nM1,\"a\nM2,b\nM3,c\n");
    assert!(open_quote.contains("line 2"), "{open_quote}");
}

#[test]
fn missing_and_doubled_columns_are_one_clear_error() {
    let fixture = Fixture::empty();
    let refused =
        |text: &str| fixture.try_import(ImportKind::People, text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        refused("number,status\n1,active\n"),
        "columns are missing: code (or 工号, 编码, staff_number); name (or 姓名). The file has: number, status. \
         docs/IMPORT.md lists the columns of `import people`"
    );
    assert_eq!(
        refused("code,工号,name\n1,2,a\n"),
        "\"code\" and \"工号\" are both the column code: remove or rename one"
    );
}

#[test]
fn headers_take_synonyms_and_unknown_columns_are_told() {
    let fixture = Fixture::empty();
    let outcome = fixture.import(ImportKind::People, " Code* ,姓名,爱好,\nM1,王芳,足球,\n");
    assert_eq!((counts(&outcome), outcome.ignored_columns), ([1, 0, 0], vec!["爱好".to_owned()]));
}

#[test]
fn lines_are_those_of_the_file() {
    let fixture = Fixture::empty();
    let text = "code,name,joined_on\r\n\r\nM1,\"王\r\n芳\",x\r\n,,\r\nM2,李雷,2024-02-30\r\n,,\r\n\r\n";
    let outcome = fixture.import(ImportKind::People, text);
    let lines: Vec<_> = outcome.bad.iter().map(|bad| bad.line).collect();
    assert_eq!((outcome.rows, lines), (2, vec![3, 6]));
}

#[test]
fn cells_are_trimmed_of_every_blank() {
    let fixture = Fixture::empty();
    let text = "code,name,joined_on,left_on\n\u{3000}M1 ,\u{3000}王芳\u{A0},2024/3/1,2026年11月23日\n";
    assert!(fixture.import(ImportKind::People, text).imported);
    let person: Person = fixture.read("M1");
    assert_eq!(person.name.as_deref(), Some("王芳"));
    assert_eq!(person.joined_on.map(|day| day.to_string()).as_deref(), Some("2024-03-01"));
    assert_eq!(person.left_on.map(|day| day.to_string()).as_deref(), Some("2026-11-23"));
}

#[test]
fn days_are_read_as_excel_writes_them() {
    let fixture = Fixture::empty();
    let day = |text: &str| {
        let outcome = fixture.import(ImportKind::People, &format!("code,name,joined_on\nM1,a,{text}\n"));
        outcome.bad.first().map_or("ok".to_owned(), |bad| bad.reason.clone())
    };
    for good in ["2026-11-23", "2026/11/23", "2026/1/5", "2026.11.23", "20261123", "2026/11/23 0:00"] {
        assert_eq!(day(good), "ok", "{good}");
    }
    assert_eq!(day("23/11/2026"), "is no day; write it as 2026-11-23");
    assert_eq!(day("2026-13-01"), "is no day; write it as 2026-11-23");
    assert_eq!(day("0026-11-23"), "is not within 1900-01-01 to 2199-12-31");
    assert!(day("46349").contains("Excel's count of days"));
}

#[test]
fn decimals_are_exact() {
    assert_eq!(decimal("116.459086", 7, Finer::Rounded), Ok(1_164_590_860));
    assert_eq!(decimal("-0.00000005", 7, Finer::Rounded), Ok(-1));
    assert_eq!(decimal("39.90763649999999999999999999", 7, Finer::Rounded), Ok(399_076_365));
    assert_eq!(decimal("12.5", 2, Finer::Refused), Ok(1250));
    assert_eq!(decimal(".5", 2, Finer::Refused), Ok(50));
    assert_eq!(decimal("12.500", 2, Finer::Refused), Ok(1250));
    assert_eq!(decimal("92233720368547758.07", 2, Finer::Refused), Ok(i64::MAX));
    assert_eq!(decimal("92233720368547758.08", 2, Finer::Refused), Err("is too large".into()));
    assert_eq!(decimal("0.125", 2, Finer::Refused), Err("has more than 2 digits after the point".into()));
    for wrong in ["", ".", "-", "1.2.3", "１２", "1e3", "0x1", "1 2", "--1", "NaN"] {
        assert!(decimal(wrong, 2, Finer::Rounded).is_err(), "{wrong}");
    }
}

#[test]
fn a_row_wider_than_the_header_is_bad_and_a_shorter_one_is_not() {
    let fixture = Fixture::empty();
    let outcome = fixture.import(ImportKind::People, "code,name,status\nM1,王,芳,active\nM2,李雷\n");
    assert_eq!(outcome.bad_rows, 1);
    assert_eq!(outcome.bad[0].reason, "the row has 4 cells, the header 3: quote cells that hold a comma");
}

#[test]
fn bad_rows_hold_everything_back_unless_they_are_skipped() {
    let fixture = Fixture::empty();
    let text = "code,name,note\nM1,王芳,\"a,b\"\n,李雷,x\nM1,韩梅梅,y\nM4,,z\n";
    let held = fixture.import(ImportKind::People, text);
    assert!(!held.imported && fixture.server.directory().people().count() == 0);
    assert_eq!(
        faults(&held),
        [
            (3, "code", "must not be empty"),
            (4, "code", "stands on line 2 already"),
            (5, "name", "must not be empty")
        ]
    );
    assert!(held.summary().contains("nothing was imported"));
    let skipped = fixture.skip_bad(ImportKind::People, text);
    assert!(skipped.imported && counts(&skipped) == [1, 0, 0]);
    assert_eq!(
        skipped.bad_rows_csv.as_deref(),
        Some(
            "\u{FEFF}code,name,note,line,column,reason\n,李雷,x,3,code,must not be empty\n\
             M1,韩梅梅,y,4,code,stands on line 2 already\nM4,,z,5,name,must not be empty\n"
        )
    );
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let fixture = Fixture::empty();
    let bytes = b"code,name\nM1,a\n";
    let request = Request { kind: ImportKind::People, bytes, dry_run: true, skip_bad: false, channel: None };
    let outcome = run(&fixture.server, &request, "test", NOW_MS).unwrap();
    assert!(!outcome.imported && counts(&outcome) == [1, 0, 0]);
    assert!(
        outcome
            .summary()
            .ends_with("created 1, changed 0, unchanged 0\nthis was a dry run: nothing was written\n")
    );
    assert_eq!(fixture.server.directory().people().count(), 0);
}

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/IMPORT.md");

#[test]
fn the_documentation_has_the_columns_as_they_are() {
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    for kind in ImportKind::ALL {
        let table = kind.columns_markdown();
        assert!(text.contains(&table), "docs/IMPORT.md should hold for `import {kind}`:\n{table}");
    }
}

#[test]
fn the_documentation_s_examples_can_be_imported() {
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let examples = text.split("```csv\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<&str> = examples.collect();
    assert_eq!(examples.len(), ImportKind::ALL.len());
    let fixture = Fixture::empty();
    for (kind, example) in ImportKind::ALL.into_iter().zip(examples) {
        let outcome = fixture.import(kind, example);
        assert!(outcome.imported && outcome.ignored_columns.is_empty(), "{}", outcome.summary());
    }
}
