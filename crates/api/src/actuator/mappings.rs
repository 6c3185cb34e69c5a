//! The route table as operators see it (operations.md §1.3).

use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use serde_json::{Value, json};

use super::access::Operator;
use super::answers::made_once;
use crate::app::App;
use crate::router;
use crate::routes::Route;

/// Every route of this server, with who may call it.
pub(super) async fn mappings(_: Operator, State(app): State<App>, parts: Parts) -> Response {
    made_once(&app, &parts, || {
        let routes = router::table_below(&app.actuator().base_path);
        let routes: Vec<Value> = routes.iter().map(mapping).collect();
        Some(json!({"contexts": {"chatwarden": {"mappings": {
            "dispatcherHandlers": {"webHandler": routes},
        }}}}))
    })
}

fn mapping(route: &Route) -> Value {
    let (method, path) = (route.method.as_str(), &route.path);
    json!({
        "handler": route.handler,
        "predicate": format!("{{{method} [{path}]}}"),
        "auth": route.actor,
        "details": {"requestMappingConditions": {
            "methods": [method], "patterns": [path], "consumes": [], "produces": [],
            "headers": [], "params": [],
        }},
    })
}
