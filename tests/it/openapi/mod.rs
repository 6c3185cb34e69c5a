//! The description of the API, made from the code: routes and who may call them from the route table,
//! parameters from the names that handlers ask their `Params` for. Nobody writes either twice.

mod source;

pub use source::{Modules, behaviour, modules};

use std::collections::{BTreeMap, BTreeSet};

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_testkit::golden;
use serde_json::{Map, Value, json};

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

fn operation(all: &Modules, route: &Route) -> Value {
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
    let handler = behaviour(all, route.handler).unwrap_or_default();
    let read = handler.reads.iter().filter(|(name, _)| !in_path.contains(name));
    let mut body = Map::new();
    let writes = matches!(route.method.as_str(), "POST" | "PATCH" | "PUT");
    for (name, kind) in read {
        if writes {
            body.insert(name.clone(), schema(kind));
        } else {
            parameters.push(json!({"name": name, "in": "query", "schema": schema(kind)}));
        }
    }
    let mut answers = handler.answers.clone();
    if answers.iter().all(|status| *status >= 400) {
        answers.insert(200);
    }
    if route.actor != "anyone" {
        answers.insert(401);
    }
    if !in_path.is_empty() || route.actor == "visitor" {
        answers.insert(404);
    }
    if writes {
        answers.insert(422);
    }
    let described = |status: &u16| {
        let text = match status {
            302 => "It is elsewhere",
            400 => "What was sent can't be read",
            401 => "Not allowed",
            403 => "Not for this account",
            404 => "Not found",
            422 => "A value is wrong",
            _ => "Done",
        };
        (status.to_string(), json!({"description": text}))
    };
    let responses: Map<String, Value> = answers.iter().map(described).collect();
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
    let all = modules();
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
        serde_json::from_str(include_str!("../published_api.json")).expect("facts");
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
        // Chatwoot's description says 403 where Chatwoot answers 401 to whoever may not.
        let said = |status: &str| {
            let responses = &operation["responses"];
            responses.get(status).is_some() || status == "403" && responses.get("401").is_some()
        };
        let unsaid: Vec<&str> =
            answers.iter().map(String::as_str).filter(|status| !said(status)).collect();
        if !unsaid.is_empty() {
            out.push_str(&format!("{method} {path}: answers no {}\n", unsaid.join(", ")));
        }
    }
    golden("docs/reference/openapi-gaps.txt", &out);
}
