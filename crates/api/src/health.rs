//! Probes: they read the last snapshot of the health checks and cause no work (operations.md §3).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chatwarden_telemetry::health::Status;
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::Anyone;
use crate::app::App;
use crate::routes::Routes;

/// The version of Chatwoot that clients may take the server for.
pub const CHATWOOT_VERSION: &str = "4.16.2";

pub(crate) fn routes() -> Routes {
    probes().get("/api", api)
}

/// The probes, on every listener.
pub(crate) fn probes() -> Routes {
    Routes::new("").get("/health", alive).get("/livez", livez).get("/readyz", readyz)
}

/// The process is there: what Chatwoot's chart asks.
async fn alive(_: Anyone) -> Json<Value> {
    Json(json!({"status": "woot"}))
}

/// Whether the process should be left running.
async fn livez(_: Anyone, State(app): State<App>) -> Response {
    group(&app, "liveness")
}

/// Whether requests should be sent here.
async fn readyz(_: Anyone, State(app): State<App>) -> Response {
    group(&app, "readiness")
}

/// The status of a group, and nothing else of it.
fn group(app: &App, name: &str) -> Response {
    let Some(shown) = app.health().show(&[name], false) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let status = StatusCode::from_u16(shown.http_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    (status, Json(json!({"status": shown.body.get("status")}))).into_response()
}

/// What the mobile app asks first (`resources.md §24`).
async fn api(_: Anyone, State(app): State<App>) -> Json<Value> {
    let word = |id: &str| match app.health().status(id) {
        Some(Status::Up | Status::Degraded) => "ok",
        _ => "failing",
    };
    let now = app.db().ambient().now().iso();
    let (date, time) = now.split_once('T').unwrap_or_default();
    Json(json!({
        "version": CHATWOOT_VERSION,
        "timestamp": format!("{date} {}", time.split('.').next().unwrap_or_default()),
        // Jobs are kept in the database: what Chatwoot's Redis is to it.
        "queue_services": word("db"),
        "data_services": word("db"),
    }))
}
