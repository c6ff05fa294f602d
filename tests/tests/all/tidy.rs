//! The structure of the repository, checked on its source: sizes, imports, the map of files, and no machine's paths.
//!
//! `tables` holds what may change as the project grows, `source` reads Rust files, `tree` finds files. Every rule is a
//! function from text to messages, so that a test can feed it a bad line.

mod circles;
mod map;
mod source;
mod tables;
mod tree;

use source::Source;
use tables::{DIRECTION, FILE_LINES_MAX, FUNCTION_LINES_MAX, NAMES, NameRule};

// ---- The repository follows the rules ----

#[test]
fn files_and_functions_are_small() {
    let sources = tree::sources();
    expect_none(sources.iter().flat_map(too_long));
}

#[test]
fn outside_things_stay_in_their_modules() {
    let sources = tree::sources();
    expect_none(sources.iter().flat_map(|s| misplaced_names(s, NAMES)));
}

#[test]
fn modules_import_downward_only() {
    let sources = tree::sources();
    expect_none(sources.iter().flat_map(|s| upward_imports(s, DIRECTION)));
}

#[test]
fn sibling_modules_import_each_other_one_way() {
    expect_none(circles::found_in(tree::sources()).into_iter());
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let texts = tree::texts();
    expect_none(texts.iter().flat_map(|(path, text)| machine_paths(path, text)));
}

#[test]
fn the_map_names_every_source_file() {
    let text = tree::read("docs/ARCHITECTURE.md").expect("the architecture is described");
    let paths: Vec<_> = tree::texts().into_iter().map(|(path, _)| path).collect();
    expect_none(map::differences(&text, &paths).into_iter());
}

#[test]
fn readme_exists() {
    expect_none(missing_readme(&tree::read("README.md").unwrap_or_default()));
}

/// Fails with all messages at once, so that one run shows everything to fix.
fn expect_none(messages: impl Iterator<Item = String>) {
    let messages: Vec<_> = messages.collect();
    assert!(messages.is_empty(), "\n{}\n", messages.join("\n"));
}

// ---- The rules ----

/// A file or a function that is too long to understand at once.
fn too_long(source: &Source) -> Vec<String> {
    let mut messages = Vec::new();
    if source.lines > FILE_LINES_MAX {
        messages.push(format!(
            "{}: {} lines, at most {FILE_LINES_MAX} are allowed. Split it by what its parts know.",
            source.path, source.lines
        ));
    }
    for function in source.functions.iter().filter(|f| f.lines() > FUNCTION_LINES_MAX) {
        messages.push(format!(
            "{}:{}: fn {} has {} lines, at most {FUNCTION_LINES_MAX} are allowed. Move steps of it into functions of their own.",
            source.path,
            function.first_line,
            function.name,
            function.lines()
        ));
    }
    messages
}

/// A name used where its rule does not allow it.
fn misplaced_names(source: &Source, rules: &[NameRule]) -> Vec<String> {
    let mut messages = Vec::new();
    for rule in rules.iter().filter(|r| r.applies_to(&source.path)) {
        for used in &source.names {
            if let Some(name) = rule.names.iter().find(|name| used.reaches(name)) {
                let allowed = if rule.except.is_empty() { "nothing" } else { &rule.except.join(", ") };
                messages.push(format!(
                    "{}:{}: names `{}` ({name}). Under {} only {allowed} may: {}. Go through that module, or change the table in tidy/tables.rs and say why.",
                    source.path,
                    used.line,
                    used.path.join("::"),
                    rule.under.join(", "),
                    rule.because
                ));
            }
        }
    }
    messages
}

/// A `crate::` path to a module that the table does not allow from here. A crate without a row is not checked; in a
/// crate with rows every module needs one.
fn upward_imports(source: &Source, table: &[(&str, &str, &[&str])]) -> Vec<String> {
    let Some((krate, module)) = source.krate_and_module() else { return Vec::new() };
    let rows: Vec<_> = table.iter().filter(|row| row.0 == krate).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let Some((_, _, allowed)) = rows.iter().find(|row| row.1 == module) else {
        return vec![format!(
            "{}: module `{module}` of {krate} has no row. Add (\"{krate}\", \"{module}\", &[what it may import]) to DIRECTION in tidy/tables.rs.",
            source.path
        )];
    };
    let mut messages = Vec::new();
    for used in source.names.iter().filter(|u| u.path.len() > 1 && u.path[0] == "crate") {
        let target = used.path[1].as_str();
        let is_module = rows.iter().any(|row| row.1 == target);
        if is_module && target != module && !allowed.contains(&target) {
            messages.push(format!(
                "{}:{}: `{module}` imports `{}`, but may import {allowed:?} only. Move the code down, or hand the value in as an argument.",
                source.path,
                used.line,
                used.path.join("::")
            ));
        }
    }
    messages
}

/// A path that exists on one machine only.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for machine in tables::MACHINE_PATHS {
            let own = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~}".contains(c));
            if line.match_indices(machine).any(|(at, _)| own(at)) {
                messages.push(format!(
                    "{path}:{}: names `{machine}`, a path of one machine. Take it as an argument, or make it relative to the repository.",
                    index + 1
                ));
            }
        }
    }
    messages
}

/// A missing or empty README.
fn missing_readme(text: &str) -> impl Iterator<Item = String> {
    let missing = text.trim().is_empty();
    missing
        .then(|| "README.md: missing or empty. Say what the project is and how to start it.".into())
        .into_iter()
}

// ---- Each rule finds a violation ----

/// Asserts that there is exactly one message, and that it contains all of `parts`.
fn expect_one(messages: Vec<String>, parts: &[&str]) {
    assert_eq!(messages.len(), 1, "{messages:#?}");
    for part in parts {
        assert!(messages[0].contains(part), "{part:?} is not in {:?}", messages[0]);
    }
}

#[test]
fn a_long_file_is_found() {
    let at_most = Source::parse("protocol/src/a.rs", &"//\n".repeat(FILE_LINES_MAX));
    assert!(too_long(&at_most).is_empty());
    let more = Source::parse("protocol/src/a.rs", &"//\n".repeat(FILE_LINES_MAX + 1));
    expect_one(too_long(&more), &["protocol/src/a.rs", "501 lines", "Split it"]);
}

#[test]
fn a_long_function_is_found() {
    let body = "    work();\n".repeat(FUNCTION_LINES_MAX - 2);
    let at_most = format!("fn short() {{\n{body}}}\n");
    assert!(too_long(&Source::parse("server/src/a.rs", &at_most)).is_empty());
    for (head, tail) in [("", ""), ("impl A {\n", "}\n"), ("proptest! {\n", "}\n")] {
        let text = format!("{head}fn long() {{\n{body}    work();\n}}\n{tail}");
        expect_one(
            too_long(&Source::parse("server/src/a.rs", &text)),
            &["fn long has 71 lines", "Move steps"],
        );
    }
}

#[test]
fn a_file_beside_the_map_is_found() {
    let text = "### server/src\n\n| folder | files |\n|---|---|\n| . | `main` the `kind!` macro |\n| `store/` | `a` `b` |\n";
    let paths = |names: &[&str]| names.iter().map(|name| format!("server/src/{name}.rs")).collect::<Vec<_>>();
    let listed = paths(&["main", "lib", "store/mod", "store/a", "store/b", "store/tests", "store/tests/c"]);
    assert!(map::differences(text, &listed).is_empty());
    let with_c = [listed.clone(), paths(&["store/c"])].concat();
    expect_one(map::differences(text, &with_c), &["`c` of server/src/store is not in the map"]);
    let without_b: Vec<_> =
        listed.into_iter().filter(|path| !path.ends_with("b.rs") || path.ends_with("lib.rs")).collect();
    expect_one(map::differences(text, &without_b), &["server/src/store has no file `b`"]);
}

#[test]
fn a_misplaced_name_is_found() {
    let cases = [
        ("protocol/src/record.rs", "use tokio::sync::mpsc;"),
        ("protocol/src/record.rs", "use std::{fmt, fs};"),
        ("protocol/src/record.rs", "use std::time;"),
        ("protocol/src/record.rs", "use std::time::{Duration, SystemTime as Now};"),
        ("protocol/src/record.rs", "fn f() -> u64 { std::time::Instant::now().elapsed().as_secs() }"),
        ("protocol/src/record.rs", "fn f() { println!(\"{}\", chrono::Utc::now()); }"),
        ("protocol/src/record.rs", "use xundian_client::Client;"),
        ("client-core/src/session.rs", "use xundian_server::Server;"),
        ("client-core/src/session.rs", "fn f(db: &sled::Db) {}"),
        ("server/src/views.rs", "use xundian_client::Client;"),
        ("server/src/ingest.rs", "use ::fjall::*;"),
        ("server/src/ingest.rs", "fn f(_: Option<quinn::Connection>) {}"),
        ("server/src/config.rs", "extern crate rustls;"),
        ("server/src/views.rs", "use axum::Router;"),
        ("client-core/src/recorder.rs", "#[derive(bincode::Encode)] struct A;"),
    ];
    for (path, text) in cases {
        expect_one(misplaced_names(&Source::parse(path, text), NAMES), &[path, ":1: names `", "Go through"]);
    }
}

#[test]
fn a_name_in_its_place_is_not_found() {
    let cases = [
        ("protocol/src/record.rs", "use std::{fmt, time::Duration};"),
        ("protocol/src/wire.rs", "use bincode::Encode;"),
        ("protocol/src/wire/v1.rs", "use bincode::Encode;"),
        ("client-core/src/store/engine_plain.rs", "use sled::Db;"),
        ("client-core/src/transport/dial.rs", "use quinn::Endpoint;"),
        ("server/src/authority.rs", "use rcgen::KeyPair;"),
        ("server/src/demo/people.rs", "use xundian_client::Client;"),
        ("server/src/store/open.rs", "use fjall::Database;"),
        ("server/src/ingest.rs", "fn f(sled: u8) -> u8 { sled }"),
        ("tests/src/bin/crash.rs", "use quinn::Endpoint;"),
    ];
    for (path, text) in cases {
        let messages = misplaced_names(&Source::parse(path, text), NAMES);
        assert!(messages.is_empty(), "{messages:#?}");
    }
}

#[test]
fn an_upward_import_is_found() {
    let upward = [
        "use crate::wire::Frame;",
        "use super::super::wire::Frame;",
        "use crate::{ids::DeviceId, wire::Frame};",
        "fn f() -> usize { crate::wire::len() }",
        "fn f() { assert!(crate::wire::is_ready()); }",
        "#[cfg(test)] mod tests { use super::super::super::wire::Frame; }",
    ];
    for text in upward {
        let source = Source::parse("protocol/src/record/merge.rs", text);
        expect_one(
            upward_imports(&source, DIRECTION),
            &["`record` imports `crate::wire", "Move the code down"],
        );
    }
    let downward = "use crate::ids::DeviceId; use super::Op; use crate::record::Stamp; pub(crate) fn f() {}";
    let source = Source::parse("protocol/src/record/merge.rs", downward);
    assert!(upward_imports(&source, DIRECTION).is_empty());
    let root = Source::parse("protocol/src/lib.rs", "pub use crate::wire::Frame;");
    assert!(upward_imports(&root, DIRECTION).is_empty());
}

#[test]
fn a_module_without_a_row_is_found() {
    let source = Source::parse("protocol/src/surprise.rs", "");
    expect_one(upward_imports(&source, DIRECTION), &["`surprise` of protocol has no row", "Add ("]);
}

#[test]
fn the_direction_table_has_no_circle() {
    // Remove modules whose imports are all removed already; a circle is never removed.
    let mut left: Vec<_> = DIRECTION.to_vec();
    loop {
        let names: Vec<_> = left.iter().map(|row| (row.0, row.1)).collect();
        let before = left.len();
        left.retain(|row| row.2.iter().any(|allowed| names.contains(&(row.0, *allowed))));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these rows of DIRECTION import each other in a circle: {left:?}");
}

#[test]
fn a_circle_of_siblings_is_found() {
    let found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::parse(path, text)).collect();
        circles::found_in(&sources)
    };
    let shop = ("server/src/shop.rs", "mod order; mod price; mod stock; pub use price::Price;");
    let order = ("server/src/shop/order.rs", "use super::price::Price;");
    let one_way = ("server/src/shop/price.rs", "use super::stock;");
    let stock = ("server/src/shop/stock.rs", "use std::fmt;");
    assert!(found(&[shop, order, one_way, stock]).is_empty());
    let back = [
        "use super::order::Order;",
        "use crate::shop::order;",
        "use super::{order::Order, stock};",
        "fn f() -> usize { super::order::count() }",
    ];
    for text in back {
        let message = found(&[shop, order, ("server/src/shop/price.rs", text), stock]);
        expect_one(message, &["server", "shop", "order", "price", "server/src/shop/price.rs:1", "Move"]);
    }
    // Through the parent's exports, through files of a folder, and among three modules.
    let through_parent = ("server/src/shop/order.rs", "use super::Price;");
    let back = ("server/src/shop/price.rs", "use super::order::Order;");
    expect_one(found(&[shop, through_parent, back, stock]), &["order", "price"]);
    let deep = ("server/src/shop/price/table.rs", "use crate::shop::order::Order;");
    expect_one(found(&[shop, order, one_way, deep, stock]), &["server/src/shop/price/table.rs:1"]);
    let third = ("server/src/shop/stock.rs", "use super::order::Order;");
    expect_one(found(&[shop, order, one_way, third]), &["order", "price", "stock"]);
    // Imports between a parent and its child, and imports of tests, are no circle.
    let parent = ("server/src/shop.rs", "mod order; use order::Order; pub struct Shop;");
    let child = (
        "server/src/shop/order.rs",
        "use super::Shop; #[cfg(test)] mod tests { use super::super::price::P; }",
    );
    let price = ("server/src/shop/price.rs", "use super::order::Order;");
    assert!(found(&[parent, child, price]).is_empty());
}

#[test]
fn a_machine_path_is_found() {
    for machine in tables::MACHINE_PATHS {
        let text = format!("fine\nlet a = \"{machine}data\";\n");
        expect_one(machine_paths("tests/a.rs", &text), &["tests/a.rs:2:", machine, "relative"]);
        assert!(machine_paths("README.md", &format!("see docs{machine}data")).is_empty());
    }
}

#[test]
fn a_missing_readme_is_found() {
    expect_one(missing_readme(" \n").collect(), &["README.md", "Say what"]);
}
