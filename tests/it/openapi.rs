//! The description of the API, made from the code: routes and who may call them from the route table,
//! parameters from the names that handlers ask their `Params` for. Nobody writes either twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_testkit::golden;
use serde_json::{Map, Value, json};
use syn::visit::{self, Visit};
use walkdir::WalkDir;

/// What one function reads and calls.
#[derive(Debug, Default, Clone)]
struct Function {
    /// Names asked for, with their types.
    reads: BTreeMap<String, &'static str>,
    /// Functions called, by the last segments of their paths.
    calls: BTreeSet<String>,
}

/// Reads the functions of a source.
#[derive(Default)]
struct Reader {
    found: BTreeMap<String, Function>,
    current: Function,
    /// Closures that ask for the name they are given.
    askers: BTreeMap<String, &'static str>,
}

/// The type of what a method of `Params` gives.
fn type_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "text" | "present" => "string",
        "integer" | "id" => "integer",
        "flag" => "boolean",
        "object" | "inner" | "require" | "record" => "object",
        "texts" | "integers" | "list" | "files" => "array",
        "get" | "has" => "any",
        _ => return None,
    })
}

fn literal(expression: Option<&syn::Expr>) -> Option<String> {
    match expression {
        Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) => Some(text.value()),
        _ => None,
    }
}

/// Whether an expression is what was sent, by its name.
fn is_sent(expression: &syn::Expr) -> bool {
    let syn::Expr::Path(path) = expression else { return false };
    let name = path.path.get_ident().map(ToString::to_string).unwrap_or_default();
    ["params", "sent", "message", "query"].contains(&name.as_str())
}

impl Reader {
    fn note(&mut self, name: String, kind: &'static str) {
        let known = self.current.reads.entry(name).or_insert(kind);
        if *known == "any" {
            *known = kind;
        }
    }

    fn function(&mut self, name: String, block: &syn::Block) {
        let outer = std::mem::take(&mut self.current);
        self.askers.clear();
        self.visit_block(block);
        let read = std::mem::replace(&mut self.current, outer);
        self.found.insert(name, read);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(item.sig.ident.to_string(), &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(item.sig.ident.to_string(), &item.block);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let syn::Expr::Closure(closure) = &*init.expr
            && closure.inputs.len() == 1
        {
            let mut inner = Asks::default();
            inner.visit_expr(&closure.body);
            if let Some(kind) = inner.0 {
                self.askers.insert(name.ident.to_string(), kind);
            }
        }
        visit::visit_local(self, local);
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
        if matches!(method.as_str(), "require" | "record")
            && let Some(syn::Expr::Reference(list)) = call.args.get(1)
            && let syn::Expr::Array(columns) = &*list.expr
        {
            for column in &columns.elems {
                if let Some(name) = literal(Some(column)) {
                    self.note(name, "any");
                }
            }
        }
        self.current.calls.insert(method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let segments: Vec<_> =
                path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            if let (Some(name), Some(asked)) = (segments.last(), literal(call.args.first()))
                && let Some(kind) = self.askers.get(name).copied()
            {
                self.note(asked, kind);
            }
            self.current.calls.insert(segments.join("::"));
        }
        visit::visit_expr_call(self, call);
    }
}

/// Whether a closure asks for the name it is given, and of which type.
#[derive(Default)]
struct Asks(Option<&'static str>);

impl<'ast> Visit<'ast> for Asks {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if let (Some(kind), Some(syn::Expr::Path(_))) =
            (type_of(&call.method.to_string()), call.args.first())
        {
            self.0.get_or_insert(kind);
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The functions of every module of the HTTP crate, by `module::function`.
fn functions() -> BTreeMap<String, Function> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let mut all = BTreeMap::new();
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
        all.extend(
            reader.found.into_iter().map(|(name, read)| (format!("{module}::{name}"), read)),
        );
    }
    all
}

/// What a handler reads, with the functions it calls.
fn reads(all: &BTreeMap<String, Function>, handler: &str) -> BTreeMap<String, &'static str> {
    let mut read = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![handler.to_owned()];
    while let Some(name) = open.pop() {
        let Some(function) = all.get(&name).filter(|_| seen.insert(name.clone())) else { continue };
        read.extend(function.reads.clone());
        let module = name.rsplit_once("::").map_or("", |(module, _)| module);
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        for call in &function.calls {
            let call = call.trim_start_matches("crate::").trim_start_matches("super::");
            let call = call.trim_start_matches("Self::");
            open.push(format!("{module}::{call}"));
            open.push(format!("{parent}::{call}"));
            if call.contains("::") {
                open.push(call.to_owned());
            }
        }
    }
    // Parameters of `Params` itself are no one's.
    read.remove("");
    read
}

/// Parameters of the path, without the braces.
fn path_parameters(path: &str) -> Vec<String> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*').to_owned())
        .collect()
}

/// How who may call shows that it is them.
fn security(actor: &str) -> Value {
    match actor {
        "anyone" => json!([]),
        "visitor" => json!([{"visitorToken": []}]),
        "platform app" => json!([{"platformAppApiKey": []}]),
        "agent or bot" => json!([{"userApiKey": []}, {"agentBotApiKey": []}]),
        name if name.starts_with("operator") => json!([{"operatorToken": []}]),
        _ => json!([{"userApiKey": []}]),
    }
}

fn operation(all: &BTreeMap<String, Function>, route: &Route) -> Value {
    let in_path = path_parameters(&route.path);
    let mut parameters: Vec<Value> = in_path
        .iter()
        .map(|name| {
            let kind =
                if name.ends_with("id") && name != "source_id" { "integer" } else { "string" };
            json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
        })
        .collect();
    let schema = |kind: &str| if kind == "any" { json!({}) } else { json!({"type": kind}) };
    let read = reads(all, route.handler);
    let read = read.iter().filter(|(name, _)| !in_path.contains(name));
    let mut body = Map::new();
    let writes = matches!(route.method.as_str(), "POST" | "PATCH" | "PUT");
    for (name, kind) in read {
        if writes {
            body.insert(name.clone(), schema(kind));
        } else {
            parameters.push(json!({"name": name, "in": "query", "schema": schema(kind)}));
        }
    }
    let mut responses = Map::new();
    let mut answer = |status: &str, text: &str| {
        responses.insert(status.to_owned(), json!({"description": text}));
    };
    answer("200", "Done");
    if route.actor != "anyone" {
        answer("401", "Not allowed");
    }
    if !in_path.is_empty() || route.actor == "visitor" {
        answer("404", "Not found");
    }
    if writes {
        answer("422", "A value is wrong");
    }
    let (module, name) = route.handler.rsplit_once("::").unwrap_or(("", route.handler));
    let mut operation = json!({
        "operationId": format!("{}_{}", route.method.as_str().to_lowercase(), route.handler.replace("::", "_")),
        "summary": name.replace('_', " "),
        "tags": [module],
        "x-actor": route.actor,
        "security": security(route.actor),
        "parameters": parameters,
        "responses": responses,
    });
    if !body.is_empty() {
        operation["requestBody"] = json!({
            "content": {"application/json": {"schema": {"type": "object", "properties": body}}},
        });
    }
    operation
}

fn document() -> Value {
    let all = functions();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in table() {
        let path = route.path.replace("{*", "{");
        let methods = paths.entry(path).or_default();
        methods.insert(route.method.as_str().to_lowercase(), operation(&all, &route));
    }
    let header = |name: &str| json!({"type": "apiKey", "in": "header", "name": name});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Chatwarden", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"securitySchemes": {
            "userApiKey": header("api_access_token"),
            "agentBotApiKey": header("api_access_token"),
            "platformAppApiKey": header("api_access_token"),
            "visitorToken": header("X-Auth-Token"),
            "operatorToken": {"type": "http", "scheme": "bearer"},
        }},
    })
}

#[test]
fn reference_of_the_api() {
    let text = serde_json::to_string_pretty(&document()).expect("JSON");
    golden("docs/reference/openapi.json", &format!("{text}\n"));
}

#[test]
fn handlers_are_read_as_they_are_written() {
    let all = functions();
    let read = reads(&all, "auth::sign_in");
    assert_eq!(read.get("email"), Some(&"string"));
    assert_eq!(read.get("revoke_session_id"), Some(&"integer"));
    assert_eq!(read.get("revoke_all_sessions"), Some(&"boolean"));
    // By a function it calls.
    assert_eq!(read.get("otp_code"), Some(&"string"));
    for route in table() {
        assert!(all.contains_key(route.handler), "{} is not found in the sources", route.handler);
    }
}

/// A path whatever its parameters are called.
fn shape(path: &str) -> String {
    let shaped =
        path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    shaped.collect::<Vec<_>>().join("/").trim_end_matches('/').to_owned()
}

/// What Chatwoot's published description says and this one doesn't, as far as the route is there: a list
/// that may only shrink. The facts are extracted from it: method, path, parameters, answers.
#[test]
fn reference_of_what_the_published_description_has_besides() {
    let facts: Vec<(String, String, Vec<String>, Vec<String>)> =
        serde_json::from_str(include_str!("published_api.json")).expect("facts");
    let ours = document();
    let mut known: BTreeMap<(String, String), &Value> = BTreeMap::new();
    for (path, methods) in ours["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            known.insert((method.clone(), shape(path)), operation);
        }
    }
    let mut out = String::from(
        "What Chatwoot's published description of its API has and docs/reference/openapi.json has not, by operation.\n\n",
    );
    for (method, path, parameters, answers) in &facts {
        let Some(operation) = known.get(&(method.clone(), shape(path))) else {
            out.push_str(&format!("{method} {path}: not there\n"));
            continue;
        };
        let mut names: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
        names.extend(body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
        let lacks: Vec<&str> =
            parameters.iter().map(String::as_str).filter(|name| !names.contains(name)).collect();
        if !lacks.is_empty() {
            out.push_str(&format!("{method} {path}: reads no {}\n", lacks.join(", ")));
        }
        let unsaid: Vec<&str> = answers
            .iter()
            .map(String::as_str)
            .filter(|status| operation["responses"].get(*status).is_none())
            .collect();
        if !unsaid.is_empty() {
            out.push_str(&format!("{method} {path}: answers no {}\n", unsaid.join(", ")));
        }
    }
    golden("docs/reference/openapi-gaps.txt", &out);
}
