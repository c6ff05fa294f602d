//! Circles of imports between sibling modules: files of one folder that cannot be read one after the other.
//!
//! A module and its parent may name each other, because `mod.rs` and the files below it are one unit. An import from
//! below a sibling counts as an import from the sibling. An import of a re-export by the parent counts as an import
//! from the declaring module.

use super::source::{Name, Source};
use std::collections::{BTreeMap, BTreeSet};

type ModulePath = Vec<String>;

/// One crate's modules.
struct Crate<'a> {
    modules: BTreeSet<ModulePath>,
    uses: BTreeMap<(ModulePath, &'a str), &'a [String]>,
}

/// The imports between the children of one module: (from, to) with an example.
type Siblings = BTreeMap<(String, String), String>;

/// A message for each circle.
pub(super) fn found_in(sources: &[Source]) -> Vec<String> {
    let mut by_crate: BTreeMap<&str, Vec<(ModulePath, &Source)>> = BTreeMap::new();
    for source in sources {
        if let Some((krate, module)) = source.krate_and_path() {
            by_crate.entry(krate).or_default().push((module, source));
        }
    }
    by_crate.into_iter().flat_map(|(krate, files)| circles_of(krate, &files)).collect()
}

fn circles_of(krate: &str, files: &[(ModulePath, &Source)]) -> Vec<String> {
    let modules = Crate::of(files);
    let mut families: BTreeMap<ModulePath, Siblings> = BTreeMap::new();
    for (module, source) in files.iter().filter(|(module, _)| !module.iter().any(|part| part == "tests")) {
        for name in source.names.iter().filter(|name| !name.in_tests) {
            let Some(target) = modules.declaring(module, name) else { continue };
            let shared = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                let place = format!("{}:{} `{}`", source.path, name.line, name.path.join("::"));
                let siblings = families.entry(module[..shared].to_vec()).or_default();
                siblings.entry((from.clone(), to.clone())).or_insert(place);
            }
        }
    }
    families.iter().filter_map(|(parent, siblings)| circle(krate, parent, siblings)).collect()
}

impl<'a> Crate<'a> {
    fn of(files: &[(ModulePath, &'a Source)]) -> Self {
        let modules = files.iter().map(|(module, _)| module.clone()).collect();
        let of_file = |(module, source): &(ModulePath, &'a Source)| {
            let module = module.clone();
            source.uses.iter().map(move |(name, path)| ((module.clone(), name.as_str()), path.as_slice()))
        };
        Self { modules, uses: files.iter().flat_map(of_file).collect() }
    }

    /// The module that declares a name; `None` for another crate's.
    fn declaring(&self, user: &[String], name: &Name) -> Option<ModulePath> {
        let mut at = user.to_vec();
        let mut path = name.path.clone();
        // Each round follows one re-export; a circle of re-exports would not compile.
        for _ in 0..16 {
            let (module, rest) = self.inside(&at, &path)?;
            let Some(next) = rest.first().and_then(|first| self.uses.get(&(module.clone(), first))) else {
                return Some(module);
            };
            // A file's own imports are separate names.
            if module == user {
                return Some(module);
            }
            path = [next, &rest[1..]].concat();
            at = module;
        }
        None
    }

    /// The innermost module on a path, and the rest of the path in it.
    fn inside(&self, user: &[String], path: &[String]) -> Option<(ModulePath, Vec<String>)> {
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            first if self.modules.contains(&[user, &[first.to_owned()]].concat()) => {
                [user, &[first.to_owned()]].concat()
            }
            _ => return None,
        };
        let mut rest = &path[1..];
        while let Some(next) = rest.first() {
            let below = [&module[..], std::slice::from_ref(next)].concat();
            if !self.modules.contains(&below) {
                break;
            }
            (module, rest) = (below, &rest[1..]);
        }
        Some((module, rest.to_vec()))
    }
}

/// Removes siblings whose imports are all removed; what remains is a circle, or leads into one.
fn circle(krate: &str, parent: &[String], siblings: &Siblings) -> Option<String> {
    let mut left: BTreeSet<&String> = siblings.keys().flat_map(|(from, to)| [from, to]).collect();
    loop {
        let names = left.clone();
        let imports = |name: &String| siblings.keys().any(|(from, to)| from == name && names.contains(to));
        let imported = |name: &String| siblings.keys().any(|(from, to)| to == name && names.contains(from));
        left.retain(|name| imports(name) && imported(name));
        if left.len() == names.len() {
            break;
        }
    }
    let ties = siblings.iter().filter(|((from, to), _)| left.contains(from) && left.contains(to));
    let ties: Vec<_> = ties.map(|((from, to), place)| format!("{from} -> {to} by {place}")).collect();
    (!ties.is_empty()).then(|| {
        format!(
            "{krate}: modules of `{}` import each other in a circle: {}. Move what two of them share into a module below both, or hand it in as an argument.",
            if parent.is_empty() { "crate".into() } else { parent.join("::") },
            ties.join(", ")
        )
    })
}
