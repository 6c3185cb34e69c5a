//! The files of a build: types, ranges, and what may be kept how long.

use std::path::Path;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use chatwarden_guard::PageKind;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

/// Files whose names say what they hold never change.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// The others, which a new release replaces: the loader script, sounds, pictures.
const SHORT: &str = "public, max-age=900";
/// Browsers look for these themselves, and must notice a new one.
const CHECK: &str = "no-cache";

/// Answers a file of the folder, 404 for what isn't there.
pub(super) async fn serve(folder: &Path, request: Request) -> Response {
    // As it is looked for: a dot may come encoded.
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    let hidden = path.split('/').any(|segment| segment.starts_with('.'));
    // The manifest of the build is published with it.
    if (hidden && path != "/vite/.vite/manifest.json") || path.ends_with('/') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let known: Vec<String> = request
        .headers()
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let files = ServeDir::new(folder).append_index_html_on_directories(false);
    let Ok(response) = files.oneshot(request).await;
    let mut response = response.map(Body::new);
    if !response.status().is_success() && response.status() != StatusCode::NOT_MODIFIED {
        return response;
    }
    let tag = tag(response.headers());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy(&path)));
    // Scripts of modules must have this very type.
    if path.ends_with(".js") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
    }
    if let Some(tag) = tag {
        let same = known.iter().flat_map(|list| list.split(',')).any(|it| {
            let it = it.trim();
            it == "*" || it.trim_start_matches("W/") == tag.trim_start_matches("W/")
        });
        if let Ok(value) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, value);
        }
        if same {
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
            headers.remove(ACCEPT_RANGES);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
    }
    response.extensions_mut().insert(kind(&path));
    response
}

/// Names a whole file by when it changed and how long it is; a part of it has no name of its own.
fn tag(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let modified = text(LAST_MODIFIED)?;
    let size = match headers.get("content-range") {
        Some(range) => range.to_str().ok()?.rsplit('/').next()?,
        None => text(CONTENT_LENGTH)?,
    };
    let seconds = chrono::DateTime::parse_from_rfc2822(modified).ok()?.timestamp();
    Some(format!("W/\"{seconds:x}-{size}\""))
}

fn policy(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/vite/assets/") => FOREVER,
        "/sw.js" | "/manifest.json" | "/vite/.vite/manifest.json" | "/robots.txt" => CHECK,
        _ => SHORT,
    }
}

fn kind(path: &str) -> PageKind {
    match path {
        "/packs/js/sdk.js" => PageKind::Sdk,
        // A worker's policy is the one of its script.
        "/sw.js" => PageKind::Dashboard,
        _ => PageKind::Asset,
    }
}
