//! Reads one Rust file: the paths that it names and the extent of its functions. Knows no rule.
//!
//! syn does not parse macro calls, so their tokens are searched for `a::b` and `fn name … {}`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// What the rules need to know about a file.
pub(super) struct Source {
    /// The path from the root of the repository, with forward slashes.
    pub(super) path: String,
    pub(super) lines: usize,
    pub(super) names: Vec<Name>,
    /// The imports of the file's own module: each name, and its path.
    pub(super) uses: Vec<(String, Vec<String>)>,
    pub(super) functions: Vec<Function>,
    /// The module that is being read, below `crate`.
    module: Vec<String>,
}

/// A path in the code, with `self` and `super` resolved to start at `crate`.
pub(super) struct Name {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    /// Whether it is in a module of tests.
    pub(super) in_tests: bool,
    /// Whether it is from a `use`, so that it may import a whole module.
    imported: bool,
}

impl Name {
    /// Whether this is `name`, leads below it, or imports a module that contains it (`std::time` for
    /// `std::time::Instant`). A type that is imported elsewhere is matched by its last parts: `Utc::now` for
    /// `chrono::Utc::now`.
    pub(super) fn reaches(&self, name: &str) -> bool {
        let wanted: Vec<_> = name.split("::").collect();
        let own: Vec<_> = self.path.iter().map(String::as_str).filter(|part| *part != "*").collect();
        let whole_module = self.imported && own.len() > 1 && !ends_in_type(&own) && wanted.starts_with(&own);
        let by_type = wanted.len() == 3 && own.starts_with(&wanted[1..]);
        own.starts_with(&wanted) || whole_module || by_type
    }
}

fn ends_in_type(path: &[&str]) -> bool {
    path.last().is_some_and(|part| part.starts_with(char::is_uppercase))
}

/// A function with a body.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) first_line: usize,
    last_line: usize,
}

impl Function {
    pub(super) fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

impl Source {
    /// Parses a file. Panics if the text is not Rust: the compiler's errors are better than ours.
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: not Rust: {error}"));
        let (lines, module) = (text.lines().count(), module_of(path));
        let mut source = Self {
            path: path.into(),
            lines,
            names: Vec::new(),
            uses: Vec::new(),
            functions: Vec::new(),
            module,
        };
        source.visit_file(&file);
        source
    }

    /// The crate's folder and the top-level module that the file belongs to, if it is not the root or a program.
    pub(super) fn krate_and_module(&self) -> Option<(&str, &str)> {
        let (krate, below) = self.path.split_once("/src/")?;
        let module = below.split('/').next()?.trim_end_matches(".rs");
        (!["lib", "main", "bin"].contains(&module)).then_some((krate, module))
    }

    /// The crate's folder and the file's module, below `crate`; `None` outside of a crate's `src`.
    pub(super) fn krate_and_path(&self) -> Option<(&str, Vec<String>)> {
        let (krate, below) = self.path.split_once("/src/")?;
        (!below.starts_with("bin/")).then(|| (krate, module_of(&self.path)))
    }

    fn add_name(&mut self, parts: &[String], line: usize, imported: bool) {
        let path = self.resolve(parts);
        if imported || path.len() > 1 {
            let in_tests = self.module.iter().any(|module| module == "tests");
            self.names.push(Name { path, line, in_tests, imported });
        }
    }

    /// Resolves a path that begins with `self` or `super` to one from `crate`.
    fn resolve(&self, parts: &[String]) -> Vec<String> {
        let mut path = match parts[0].as_str() {
            "self" | "super" => [vec!["crate".into()], self.module.clone()].concat(),
            _ => Vec::new(),
        };
        for part in parts {
            match part.as_str() {
                "self" => (),
                "super" => drop(path.pop()),
                _ => path.push(part.clone()),
            }
        }
        path
    }

    fn add_function(&mut self, name: String, first_line: usize, last_line: usize) {
        self.functions.push(Function { name, first_line, last_line });
    }

    fn add_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &proc_macro2::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add_use_of(&with(&name.ident), &name.ident, &name.ident),
            syn::UseTree::Rename(name) => self.add_use_of(&with(&name.ident), &name.ident, &name.rename),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(item, before)),
            syn::UseTree::Glob(glob) => {
                let at = glob.star_token.spans[0].start().line;
                self.add_name(&[before, &["*".into()]].concat(), at, true);
            }
        }
    }

    fn add_use_of(&mut self, parts: &[String], named: &proc_macro2::Ident, known_as: &proc_macro2::Ident) {
        self.add_name(parts, line(named), true);
        if self.module == module_of(&self.path) {
            // `use child::Name` without `self` starts at a module of this one, or at a crate.
            let path = self.resolve(parts);
            self.uses.push((known_as.to_string(), path));
        }
    }

    /// Searches the tokens of a macro call or an attribute.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Ident(ident) if ident == "fn" => self.add_function_of_tokens(&tokens[at..]),
                TokenTree::Ident(ident) => {
                    let parts = path_at(&tokens[at..]);
                    if parts.len() > 1 {
                        self.add_name(&parts, line(ident), false);
                    }
                    at += 3 * (parts.len() - 1);
                }
                _ => (),
            }
            at += 1;
        }
    }

    /// `fn name … { … }`; a function pointer has no name and is skipped.
    fn add_function_of_tokens(&mut self, tokens: &[TokenTree]) {
        let Some(TokenTree::Ident(name)) = tokens.get(1) else { return };
        let body = tokens.iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
            _ => None,
        });
        if let Some(body) = body {
            self.add_function(name.to_string(), line(name), body.span_close().end().line);
        }
    }
}

/// The identifiers of `a::b::c` at the start of the tokens.
fn path_at(tokens: &[TokenTree]) -> Vec<String> {
    let mut parts = Vec::new();
    for step in tokens.chunks(3) {
        let TokenTree::Ident(ident) = &step[0] else { break };
        parts.push(ident.to_string());
        let colon = |index: usize| matches!(step.get(index), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        if !(colon(1) && colon(2)) {
            break;
        }
    }
    parts
}

/// `client-core/src/store/engine.rs` is the module `store::engine`.
fn module_of(path: &str) -> Vec<String> {
    let below = path.split_once("/src/").map_or("", |(_, below)| below).trim_end_matches(".rs");
    let parts = below.split('/').filter(|part| !["", "lib", "main", "mod", "bin"].contains(part));
    parts.map(String::from).collect()
}

fn line(ident: &proc_macro2::Ident) -> usize {
    ident.span().start().line
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.add_name(&[item.ident.to_string()], line(&item.ident), true);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first().filter(|_| parts.len() > 1) {
            self.add_name(&parts, line(&first.ident), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.add_tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add_body(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add_body(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add_body(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

impl Source {
    fn add_body(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let last_line = block.brace_token.span.close().end().line;
        self.add_function(signature.ident.to_string(), signature.fn_token.span.start().line, last_line);
    }
}
