//! Finds the files of the repository. Knows no rule.

use super::source::Source;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Folders that are generated.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "__pycache__", ".venv"];

/// Every Rust file of the repository, parsed once for all tests.
pub(super) fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let texts = texts();
        let rust: Vec<_> = texts.iter().filter(|(path, _)| path.ends_with(".rs")).collect();
        assert!(!rust.is_empty(), "no Rust file under {}", root().display());
        rust.into_iter().map(|(path, text)| Source::parse(path, text)).collect()
    });
    &SOURCES
}

/// Every text file: its path from the root, with forward slashes, and its content. Logs and binary files are left out.
pub(super) fn texts() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    paths.into_iter().filter_map(|path| read(&path).map(|text| (path, text))).collect()
}

/// The content of one file, if it exists and is text.
pub(super) fn read(path: &str) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(path)).ok()?).ok()
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the repository").to_path_buf()
}

fn collect(folder: &Path, paths: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).expect("a folder of the repository can be read");
    for entry in entries {
        let entry = entry.expect("an entry of a folder can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("the type of an entry can be read");
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&entry.path(), paths);
        } else if kind.is_file() && !name.ends_with(".log") {
            let path = entry.path();
            let below = path.strip_prefix(root()).expect("the walk starts at the root");
            paths.push(below.to_string_lossy().replace('\\', "/"));
        }
    }
}
