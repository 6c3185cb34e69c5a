//! The pages: the same shell whatever the deeper path is, since the scripts route (`serving-clients.md` §1).

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chatwarden_core::error::Error;
use chatwarden_core::setup;
use chatwarden_core::widget::Greeting;
use chatwarden_db::Tx;
use chatwarden_guard::{CspNonce, FrameAncestors, PageKind};
use http::header::{ACCEPT, LOCATION, ORIGIN, X_FRAME_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use minijinja::{Environment, context};
use serde_json::{Value, json};

use super::globals;
use crate::actors::Anyone;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;
use crate::widget::greet;

pub(super) fn routes() -> Routes {
    Routes::new("")
        .get("/", dashboard)
        .get("/app", dashboard)
        .get("/app/{*path}", dashboard)
        .get("/widget", show_widget)
        .get("/survey/responses/{uuid}", survey)
        .get("/installation/onboarding", onboarding)
}

/// What a page is made of.
struct Shell<'a> {
    title: &'a str,
    entry: &'static str,
    /// Sets the globals, before the bundle runs.
    script: String,
    full_height: bool,
    icons: bool,
}

/// A page around a bundle. Without a build it says what is missing, and tells its scripts' data all the same.
fn page(app: &App, kind: PageKind, nonce: &CspNonce, shell: &Shell<'_>) -> Answer<Response> {
    let broken = |e: minijinja::Error| {
        tracing::error!(error = %e, "a page can't be rendered");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    };
    let front_ends = app.front_ends();
    let tags = front_ends.build().map(|build| build.tags(shell.entry, nonce.value()));
    let mut templates = Environment::new();
    templates
        .add_template("shell.html", include_str!("../../templates/shell.html"))
        .map_err(broken)?;
    let values = context! {
        title => shell.title, script => &shell.script, tags => tags, nonce => nonce.value(),
        full_height => shell.full_height, icons => shell.icons,
        manifest => shell.icons && front_ends.settings().display_manifest,
    };
    let html =
        templates.get_template("shell.html").and_then(|t| t.render(values)).map_err(broken)?;
    Ok((kind, Html(html)).into_response())
}

/// Whether the client wants a page: who asks for JSON meant the API.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    accept.is_empty() || accept.contains("text/html") || accept.contains("*/*")
}

fn redirect(to: &str) -> Response {
    let html =
        Html(format!("<html><body>You are being <a href=\"{to}\">redirected</a>.</body></html>"));
    (StatusCode::FOUND, [(LOCATION, to)], html).into_response()
}

/// The dashboard, or the pages for those who have not signed in.
async fn dashboard(
    _: Anyone,
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    nonce: CspNonce,
    params: Params,
) -> Answer<Response> {
    if !wants_page(&headers) || uri.path().ends_with(".json") {
        return Err(ApiError::new(
            StatusCode::NOT_ACCEPTABLE,
            "Please use API routes instead of dashboard routes for JSON requests",
        ));
    }
    if app.read(async |tx| setup::is_needed(tx).await).await? {
        return Ok(redirect("/installation/onboarding"));
    }
    let path = uri.path();
    let entry =
        if path.contains("/auth") || path.contains("/login") { "v3app" } else { "dashboard" };
    let desk = app.desk();
    let locale = params.present("locale").unwrap_or_else(|| desk.default_locale.clone());
    let script = format!(
        "window.chatwootConfig = {};\nwindow.globalConfig = {};\nwindow.browserConfig = {};\nwindow.errorLoggingConfig = '';",
        globals::script(&globals::chatwoot(desk, &locale)),
        globals::script(&globals::dashboard(desk, app.front_ends().settings())),
        globals::script(&json!({"browser_name": ""})),
    );
    let shell = Shell { title: "Chatwoot", entry, script, full_height: false, icons: true };
    let page = page(&app, PageKind::Dashboard, &nonce, &shell)?;
    Ok(([(X_FRAME_OPTIONS, "SAMEORIGIN")], page).into_response())
}

/// Who may frame the widget of a website. A host without a scheme may by HTTP only where we are reached so ourselves.
fn ancestors(settings: &Value, headers: &HeaderMap, https_only: bool) -> FrameAncestors {
    let list = settings.get("allowed_domains").and_then(Value::as_str).unwrap_or_default();
    let flags = settings.get("selected_feature_flags").and_then(Value::as_array);
    let mobile = flags.is_some_and(|flags| flags.iter().any(|flag| flag == "allow_mobile_webview"));
    let from_app = headers.get(ORIGIN).and_then(|value| value.to_str().ok()).is_none_or(|origin| {
        origin.is_empty() || origin == "null" || origin.starts_with("file://")
    });
    if mobile && from_app {
        return FrameAncestors::Anyone;
    }
    FrameAncestors::from_allowed_domains(list, https_only)
}

/// The widget. Whoever is not known becomes a contact by it.
async fn show_widget(
    _: Anyone,
    State(app): State<App>,
    parts: Parts,
    nonce: CspNonce,
) -> Answer<Response> {
    // The query alone: by it the class `widget-page` counts.
    let params = Params::of_query(parts.uri.query().unwrap_or_default())?;
    let website = params.text("website_token").unwrap_or_default();
    let known = params.present("cw_conversation");
    let settings = app.front_ends().settings().clone();
    let told = move |tx: &Tx<'_>, greeting: &Greeting| {
        let visitor = &greeting.visitor;
        let script = format!(
            "window.chatwootWebChannel = {};\nwindow.chatwootPubsubToken = {};\nwindow.authToken = {};\nwindow.globalConfig = {};",
            globals::script(&globals::web_channel(tx, greeting)),
            globals::script(&json!(visitor.contact_inbox.pubsub_token)),
            globals::script(&json!(greeting.token)),
            globals::script(&globals::widget(&settings)),
        );
        (script, visitor.door.channel.settings.0.clone())
    };
    let (script, channel) = match greet(&app, &parts, website, known, told).await? {
        Ok(arrived) => arrived,
        Err(Error::NotFound) => {
            return Err(ApiError::new(StatusCode::NOT_FOUND, "web widget does not exist"));
        }
        Err(error) => return Err(error.into()),
    };
    let shell =
        Shell { title: "Chatwoot", entry: "widget", script, full_height: true, icons: false };
    let page = page(&app, PageKind::Widget, &nonce, &shell)?;
    let ancestors = ancestors(&channel, &parts.headers, app.desk().is_secure());
    Ok((ancestors, page).into_response())
}

/// The survey: the script asks whether there is one.
async fn survey(_: Anyone, State(app): State<App>, nonce: CspNonce) -> Answer<Response> {
    let script = format!("window.globalConfig = {};", globals::script(&globals::survey()));
    let shell =
        Shell { title: "Chatwoot", entry: "survey", script, full_height: false, icons: false };
    let page = page(&app, PageKind::Survey, &nonce, &shell)?;
    Ok((FrameAncestors::SameOrigin, [(X_FRAME_OPTIONS, "SAMEORIGIN")], page).into_response())
}

/// While nobody is there, says how to begin: only who runs the server may.
async fn onboarding(_: Anyone, State(app): State<App>) -> Answer<Response> {
    if !app.read(async |tx| setup::is_needed(tx).await).await? {
        return Ok(redirect("/"));
    }
    let text = include_str!("../../templates/onboarding.html");
    Ok((PageKind::Dashboard, Html(text)).into_response())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_inbox_says_who_may_frame_its_widget() {
        let only = |sources: &[&str]| {
            FrameAncestors::Only(sources.iter().map(|source| (*source).to_owned()).collect())
        };
        let mobile = json!({
            "allowed_domains": "https://a.example",
            "selected_feature_flags": ["allow_mobile_webview"],
        });
        for (settings, origin, expected) in [
            (json!({}), None, FrameAncestors::Anyone),
            (json!({"allowed_domains": " "}), None, FrameAncestors::Anyone),
            (
                json!({"allowed_domains": "https://a.example, https://b.example:8443"}),
                None,
                only(&["https://a.example", "https://b.example:8443"]),
            ),
            // What can't be a source lets nobody else in, and adds no directive.
            (json!({"allowed_domains": "a; script-src *"}), None, only(&[])),
            (mobile.clone(), None, FrameAncestors::Anyone),
            (mobile.clone(), Some("null"), FrameAncestors::Anyone),
            (mobile, Some("https://c.example"), only(&["https://a.example"])),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(ancestors(&settings, &headers, false), expected, "{settings} {origin:?}");
        }
        let bare = json!({"allowed_domains": "a.example"});
        for (https_only, expected) in [
            (false, only(&["https://a.example", "http://a.example"])),
            (true, only(&["https://a.example"])),
        ] {
            assert_eq!(ancestors(&bare, &HeaderMap::new(), https_only), expected);
        }
    }
}
