//! Addresses by which mobile apps and identity providers recognise an installation.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::actors::Anyone;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::new("")
        .get("/.well-known/assetlinks.json", android)
        .get("/.well-known/apple-app-site-association", apple)
        .get("/.well-known/microsoft-identity-association.json", microsoft)
        .get("/robots.txt", robots)
}

/// No Android app is this installation's own.
async fn android(_: Anyone) -> Json<Value> {
    Json(json!([{
        "relation": ["delegate_permission/common.handle_all_urls"],
        "target": {
            "namespace": "android_app", "package_name": "", "sha256_cert_fingerprints": [""],
        },
    }]))
}

/// No iOS app is this installation's own.
async fn apple(_: Anyone) -> Response {
    let body = json!({"applinks": {"apps": [], "details": []}}).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// No Azure application is this installation's own.
async fn microsoft(_: Anyone) -> Json<Value> {
    Json(json!({"associatedApplications": [{"applicationId": null}]}))
}

/// Visitors' pages are nobody's search results.
async fn robots(_: Anyone) -> Response {
    let text = "User-agent: *\nDisallow: /widget\n";
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
