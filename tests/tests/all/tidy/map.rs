//! The map of files in docs/ARCHITECTURE.md: it names every source file, and no other.

use std::collections::{BTreeMap, BTreeSet};

/// Names by folder, such as `server/src/store`.
type Folders = BTreeMap<String, BTreeSet<String>>;

/// The messages for files that the map lacks, and for names without a file.
pub(super) fn differences(map: &str, paths: &[String]) -> Vec<String> {
    let (mapped, existing) = (names_in_map(map), names_of_files(paths));
    let none = BTreeSet::new();
    let folders: BTreeSet<_> = mapped.keys().chain(existing.keys()).collect();
    let mut messages = Vec::new();
    for folder in folders {
        let (mapped, existing) = (mapped.get(folder).unwrap_or(&none), existing.get(folder).unwrap_or(&none));
        messages.extend(existing.difference(mapped).map(|name| {
            format!("docs/ARCHITECTURE.md: `{name}` of {folder} is not in the map of files. Add it, with what it is.")
        }));
        messages.extend(mapped.difference(existing).map(|name| {
            format!("docs/ARCHITECTURE.md: {folder} has no file `{name}`. Remove it from the map of files.")
        }));
    }
    messages
}

/// The names in the rows `| folder | text |` below each heading `### crate/src`.
fn names_in_map(map: &str) -> Folders {
    let mut found = Folders::new();
    let mut root = None;
    for line in map.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            root = heading.strip_prefix("## ").filter(|heading| heading.ends_with("/src"));
        }
        let (Some(root), Some((folder, text))) = (root, row(line)) else { continue };
        let folder = format!("{root}/{folder}").trim_end_matches(['/', '.']).to_owned();
        let names = text.split('`').skip(1).step_by(2).filter(|name| is_file_name(name)).map(str::to_owned);
        found.entry(folder).or_default().extend(names);
    }
    found
}

/// The folder and the text of a row; `None` for other lines and the head of a table.
fn row(line: &str) -> Option<(&str, &str)> {
    let (folder, text) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
    (folder != "folder").then(|| (folder.trim_matches('`'), text))
}

/// Whether a name in code quotes is that of a file: macros, paths and types are written otherwise.
fn is_file_name(name: &str) -> bool {
    name.trim_end_matches(".css").chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'))
}

/// The source files by folder, without those of tests, and without `mod.rs` and `lib.rs`, which are their folders.
fn names_of_files(paths: &[String]) -> Folders {
    let mut found = Folders::new();
    for path in paths {
        let Some((folder, name)) = path.rsplit_once('/') else { continue };
        let is_mapped =
            ["protocol/src", "client-core/src", "server/src"].iter().any(|root| path.starts_with(root));
        let is_test = name == "tests.rs" || folder.split('/').any(|part| part == "tests");
        let stem = name.strip_suffix(".rs").or_else(|| name.ends_with(".css").then_some(name));
        let Some(stem) = stem.filter(|stem| !matches!(*stem, "mod" | "lib")) else { continue };
        if is_mapped && !is_test {
            found.entry(folder.to_owned()).or_default().insert(stem.to_owned());
        }
    }
    found
}
