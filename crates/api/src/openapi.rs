//! The description of the API (`API_DOCS`): made from the route table and from what handlers read
//! (`docs/reference/openapi.json`), shown as a page.

use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use chatwarden_guard::{CspNonce, PageKind};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use minijinja::{Environment, context};

use crate::actors::Anyone;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::routes::Routes;

/// The description.
const DOCUMENT: &str = include_str!("../../../docs/reference/openapi.json");

pub(crate) fn routes() -> Routes {
    Routes::new("/swagger").get("", page).get("/swagger.json", document)
}

/// Whether there is a description at all; it is off unless asked for.
fn there(app: &App) -> Answer<()> {
    if app.api_docs() {
        return Ok(());
    }
    let html = Html(
        "<!doctype html><title>Not found</title><h1>The page you were looking for doesn't exist.</h1>",
    );
    Err(ApiError::ready((StatusCode::NOT_FOUND, html).into_response()))
}

async fn document(_: Anyone, State(app): State<App>) -> Answer<Response> {
    there(&app)?;
    Ok((PageKind::ApiDocs, [(CONTENT_TYPE, "application/json")], DOCUMENT).into_response())
}

/// Every operation, with what it takes and answers.
async fn page(_: Anyone, State(app): State<App>, nonce: CspNonce) -> Answer<Response> {
    there(&app)?;
    let broken = |e: minijinja::Error| {
        tracing::error!(error = %e, "the page of the API can't be rendered");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    };
    let mut templates = Environment::new();
    templates
        .add_template("swagger.html", include_str!("../templates/swagger.html"))
        .map_err(broken)?;
    let html = templates
        .get_template("swagger.html")
        .and_then(|t| t.render(context! { nonce => nonce.value() }))
        .map_err(broken)?;
    Ok((PageKind::ApiDocs, Html(html)).into_response())
}
