//! What handlers read and answer, as their sources say it: the names that they ask their `Params` for, the ways to
//! refuse, and the functions they call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chatwarden_api::table;
use syn::visit::{self, Visit};
use walkdir::WalkDir;

/// What one function reads, answers and calls.
#[derive(Debug, Default, Clone)]
pub struct Function {
    /// Names asked for, with their types.
    pub reads: BTreeMap<String, &'static str>,
    /// Statuses it answers itself.
    pub answers: BTreeSet<u16>,
    /// Functions called, by their paths as written.
    calls: BTreeSet<String>,
}

/// What one module says.
#[derive(Debug, Default)]
pub struct Module {
    /// By `function` and by `Type::function`; methods by their names alone as well.
    functions: BTreeMap<String, Function>,
    /// Full paths of what is imported or given on, by the names it has here.
    imports: BTreeMap<String, String>,
    /// Lists of texts.
    lists: BTreeMap<String, Vec<String>>,
}

/// The modules of the HTTP crate, by their paths.
pub type Modules = BTreeMap<String, Module>;

/// The type of what a method of `Params` gives.
fn type_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "text" | "present" | "one_of" => "string",
        "integer" | "id" | "position" => "integer",
        "flag" => "boolean",
        "object" | "object_or_none" | "inner" | "require" | "record" | "whole_form" => "object",
        "texts" | "one_or_more" | "integers" | "ids" | "list" | "files" => "array",
        "get" | "has" => "any",
        _ => return None,
    })
}

/// The status that a way to refuse, or a name of one, stands for.
fn status_of(path: &str) -> Option<u16> {
    Some(match path.rsplit("::").next()? {
        "NO_CONTENT" => 204,
        "FOUND" => 302,
        "BAD_REQUEST" | "bad_request" => 400,
        "UNAUTHORIZED" | "unauthenticated" | "not_authorized" => 401,
        "FORBIDDEN" => 403,
        "NOT_FOUND" | "not_found" => 404,
        "UNPROCESSABLE_ENTITY" | "unprocessable" | "invalid" => 422,
        _ => return None,
    })
}

fn literal(expression: Option<&syn::Expr>) -> Option<String> {
    match expression {
        Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) => Some(text.value()),
        _ => None,
    }
}

fn name_of(path: &syn::Path) -> String {
    let segments: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
    segments.join("::")
}

/// The texts of a list: `["a", "b"]`, `&["a", "b"]`.
fn texts(expression: &syn::Expr) -> Option<Vec<String>> {
    match expression {
        syn::Expr::Reference(list) => texts(&list.expr),
        syn::Expr::Array(list) => list.elems.iter().map(|it| literal(Some(it))).collect(),
        _ => None,
    }
}

/// Whether an expression is what was sent, by its name.
fn is_sent(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Reference(inner) => is_sent(&inner.expr),
        syn::Expr::Path(path) => {
            let name = path.path.get_ident().map(ToString::to_string).unwrap_or_default();
            ["params", "sent", "message", "query"].contains(&name.as_str())
        }
        _ => false,
    }
}

/// Reads the functions of a source.
#[derive(Default)]
struct Reader {
    module: Module,
    /// The type whose functions are read.
    of: Option<String>,
    current: Function,
    /// Closures that ask for the name they are given.
    askers: BTreeMap<String, &'static str>,
}

impl Reader {
    fn note(&mut self, name: String, kind: &'static str) {
        let known = self.current.reads.entry(name).or_insert(kind);
        if *known == "any" {
            *known = kind;
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let outer = std::mem::take(&mut self.current);
        self.askers.clear();
        // What can't be decoded is refused before a handler sees it.
        let decodes = signature.inputs.iter().any(|input| match input {
            syn::FnArg::Typed(argument) => match &*argument.ty {
                syn::Type::Path(path) => path.path.is_ident("Params"),
                _ => false,
            },
            syn::FnArg::Receiver(_) => false,
        });
        if decodes {
            self.current.answers.insert(400);
        }
        self.visit_block(block);
        let read = std::mem::replace(&mut self.current, outer);
        let name = signature.ident.to_string();
        if let Some(of) = &self.of {
            self.module.functions.insert(format!("{of}::{name}"), read.clone());
        }
        if self.of.is_none() || signature.receiver().is_some() {
            self.module.functions.insert(name, read);
        }
    }

    /// The names of a list, written here or elsewhere.
    fn columns(&mut self, expression: &syn::Expr) {
        match expression {
            syn::Expr::Path(path) => {
                self.current.calls.insert(format!("list {}", name_of(&path.path)));
            }
            written => {
                for name in texts(written).into_iter().flatten() {
                    self.note(name, "any");
                }
            }
        }
    }

    fn import(&mut self, tree: &syn::UseTree, path: &str) {
        let below = |name: &syn::Ident| match path {
            "" => name.to_string(),
            path => format!("{path}::{name}"),
        };
        match tree {
            syn::UseTree::Path(next) => self.import(&next.tree, &below(&next.ident)),
            syn::UseTree::Name(name) if name.ident != "self" => {
                self.module.imports.insert(name.ident.to_string(), below(&name.ident));
            }
            syn::UseTree::Name(_) => {
                let name = path.rsplit("::").next().unwrap_or_default();
                self.module.imports.insert(name.to_owned(), path.to_owned());
            }
            syn::UseTree::Rename(name) => {
                self.module.imports.insert(name.rename.to_string(), below(&name.ident));
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, path);
                }
            }
            syn::UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, "");
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let Some(list) = texts(&item.expr) {
            self.module.lists.insert(item.ident.to_string(), list);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.of = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|it| it.ident.to_string()),
            _ => None,
        };
        visit::visit_item_impl(self, item);
        self.of = None;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let syn::Expr::Closure(closure) = &*init.expr
            && closure.inputs.len() == 1
        {
            let mut inner = Asks { askers: &self.askers, kind: None };
            inner.visit_expr(&closure.body);
            if let Some(kind) = inner.kind {
                self.askers.insert(name.ident.to_string(), kind);
            }
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        let mut inner = Asks { askers: &self.askers, kind: None };
        inner.visit_block(&each.body);
        if inner.kind.is_some() {
            self.columns(&each.expr);
        }
        visit::visit_expr_for_loop(self, each);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.current.answers.extend(status_of(&name_of(&path.path)));
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        // Many things have a `get`: what is meant is the one of what was sent.
        let asks = !matches!(method.as_str(), "get" | "has") || is_sent(&call.receiver);
        if let (Some(kind), Some(name), true) = (type_of(&method), literal(call.args.first()), asks)
        {
            self.note(name, kind);
        }
        if method == "page" || method == "page_echo" {
            self.note("page".to_owned(), "integer");
        }
        if matches!(method.as_str(), "require" | "record" | "whole_form" | "ids" | "one_of") {
            self.current.answers.insert(422);
        }
        if let ("record", Some(list)) = (method.as_str(), call.args.get(1)) {
            self.columns(list);
        }
        self.current.answers.extend(status_of(&method));
        self.current.calls.insert(method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let mut name = name_of(&path.path);
            if let (Some(rest), Some(of)) = (name.strip_prefix("Self::"), &self.of) {
                name = format!("{of}::{rest}");
            }
            let own = name.rsplit("::").next().unwrap_or_default();
            if let (Some(asked), Some(kind)) =
                (literal(call.args.first()), self.askers.get(own).copied())
            {
                self.note(asked, kind);
            }
            // A function that reads one name of what it is given: `moment(&params, "snoozed_until")`.
            if let (Some(asked), true) =
                (literal(call.args.get(1)), call.args.first().is_some_and(is_sent))
            {
                self.note(asked, "any");
            }
            self.current.calls.insert(name);
        }
        visit::visit_expr_call(self, call);
    }
}

/// Whether something asks for a name that it doesn't say, and of which type.
struct Asks<'a> {
    askers: &'a BTreeMap<String, &'static str>,
    kind: Option<&'static str>,
}

impl<'ast> Visit<'ast> for Asks<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let (Some(kind), Some(syn::Expr::Path(_))) =
            (type_of(&call.method.to_string()), call.args.first())
        {
            self.kind.get_or_insert(kind);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let (syn::Expr::Path(path), Some(syn::Expr::Path(_))) = (&*call.func, call.args.first())
            && let Some(kind) = self.askers.get(&name_of(&path.path)).copied()
        {
            self.kind.get_or_insert(kind);
        }
        visit::visit_expr_call(self, call);
    }
}

pub fn modules() -> Modules {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let mut all = Modules::new();
    for entry in WalkDir::new(&sources) {
        let path: PathBuf = entry.expect("a file").into_path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let module = path.strip_prefix(&sources).expect("within").with_extension("");
        let module = module.to_string_lossy().replace('/', "::");
        let module = module.trim_end_matches("::mod");
        let file = syn::parse_file(&fs::read_to_string(&path).expect("a source")).expect("Rust");
        let mut reader = Reader::default();
        reader.visit_file(&file);
        all.insert(module.to_owned(), reader.module);
    }
    all
}

/// Where a path that is written in a module leads, step by step: itself, or what it is imported from.
fn absolute(module: &str, path: &str) -> String {
    let (mut module, mut path) = (module, path);
    if let Some(rest) = path.strip_prefix("crate::") {
        return rest.to_owned();
    }
    while let Some(rest) = path.strip_prefix("super::") {
        module = module.rsplit_once("::").map_or("", |(outer, _)| outer);
        path = rest;
    }
    let path = path.strip_prefix("self::").unwrap_or(path);
    if module.is_empty() { path.to_owned() } else { format!("{module}::{path}") }
}

/// What stands at a path that is written in a module.
fn find<'a, T>(
    all: &'a Modules,
    module: &str,
    path: &str,
    of: fn(&'a Module, &str) -> Option<&'a T>,
) -> Option<(String, &'a T)> {
    let mut open = vec![absolute(module, path), absolute("", path)];
    // Given on at most as often as modules are nested.
    for _ in 0..8 {
        let mut next = Vec::new();
        for path in open {
            for (at, _) in path.match_indices("::") {
                let (module, rest) = (&path[..at], &path[at + 2..]);
                let Some(known) = all.get(module) else { continue };
                if let Some(found) = of(known, rest) {
                    return Some((module.to_owned(), found));
                }
                let (first, below) = rest.split_once("::").unwrap_or((rest, ""));
                if let Some(from) = known.imports.get(first) {
                    let from =
                        if below.is_empty() { from.clone() } else { format!("{from}::{below}") };
                    next.extend([absolute(module, &from), absolute("", &from)]);
                }
            }
        }
        open = next;
    }
    None
}

/// What a handler reads and answers, with the functions it calls.
pub fn behaviour(all: &Modules, handler: &str) -> Option<Function> {
    let (module, start) = find(all, "", handler, |module, name| module.functions.get(name))?;
    let mut whole = Function::default();
    let mut seen: BTreeSet<*const Function> = BTreeSet::new();
    let mut open = vec![(module, start)];
    while let Some((module, function)) = open.pop() {
        if !seen.insert(std::ptr::from_ref(function)) {
            continue;
        }
        for (name, kind) in &function.reads {
            let known = whole.reads.entry(name.clone()).or_insert(*kind);
            if *known == "any" {
                *known = *kind;
            }
        }
        whole.answers.extend(&function.answers);
        for call in &function.calls {
            if let Some(list) = call.strip_prefix("list ") {
                let found = find(all, &module, list, |module, name| module.lists.get(name));
                for name in found.into_iter().flat_map(|(_, names)| names) {
                    whole.reads.entry(name.clone()).or_insert("any");
                }
            } else if call.ends_with("settings::merge") {
                // The product's own list: it is given all that was sent.
                for name in chatwarden_core::accounts::settings::names() {
                    whole.reads.entry(name.to_owned()).or_insert("any");
                }
            } else if let Some(found) =
                find(all, &module, call, |module, name| module.functions.get(name))
            {
                open.push(found);
            }
        }
    }
    // Parameters of `Params` itself are no one's.
    whole.reads.remove("");
    Some(whole)
}

#[test]
fn handlers_are_read_as_they_are_written() {
    let all = modules();
    let of = |handler: &str| behaviour(&all, handler).expect("a handler");
    let read = of("auth::sign_in").reads;
    assert_eq!(read.get("email"), Some(&"string"));
    assert_eq!(read.get("revoke_session_id"), Some(&"integer"));
    assert_eq!(read.get("revoke_all_sessions"), Some(&"boolean"));
    // By a function it calls.
    assert_eq!(read.get("otp_code"), Some(&"string"));
    for (handler, names) in [
        // By a type's own function, and one of another module's.
        ("messages::create", ["content", "private", "attachments"]),
        // By a list of names, a closure within a closure, and a list that is given on.
        ("custom_attributes::create", ["attribute_key", "attribute_model", "regex_cue"]),
        // By the product's own list.
        ("accounts::update", ["industry", "name", "auto_resolve_after"]),
        ("public::contacts::update", ["custom_attributes", "phone_number", "identifier_hash"]),
    ] {
        let read = of(handler).reads;
        assert!(names.iter().all(|name| read.contains_key(*name)), "{handler}: {read:?}");
    }
    let answers = of("live_reports::grouped_conversation_metrics").answers;
    assert!(answers.contains(&400) && answers.contains(&422), "{answers:?}");
    for route in table() {
        let known = behaviour(&all, route.handler).is_some();
        assert!(known, "{} is not found in the sources", route.handler);
    }
}
