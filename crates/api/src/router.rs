//! All routes, and what is around them.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Response};
use chatwarden_guard::cors::RouteMethods as _;
use http::header::{ACCEPT, ALLOW};
use serde_json::json;
use tower::Layer as _;
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::actuator;
use crate::app::App;
use crate::credentials::answer_with_session;
use crate::error::{ApiError, MissingRecord};
use crate::front_ends;
use crate::methods::{self, Methods};
use crate::openapi;
use crate::paths::{tolerate, without_format};
use crate::request_line::route_layer;
use crate::routes::{Route, Routes};
use crate::{
    accounts, active_storage, agent_bots, agents, assignment_policies, attachments, auth,
    bulk_actions, canned_responses, contacts, conversations, csp_reports, custom_attributes,
    custom_filters, dashboard_apps, health, inboxes, labels, live_reports, messages, notes,
    notification_settings, notification_subscriptions, notifications, onboarding, platform,
    profile, public, search, second_factor, sessions, setup, sign_up, teams, uploads, widget,
};

/// Every route of the product.
fn all() -> Routes {
    Routes::new("")
        .merge(accounts::routes())
        .merge(active_storage::routes())
        .merge(agent_bots::routes())
        .merge(agents::routes())
        .merge(assignment_policies::routes())
        .merge(attachments::routes())
        .merge(auth::routes())
        .merge(bulk_actions::routes())
        .merge(canned_responses::routes())
        .merge(contacts::routes())
        .merge(conversations::routes())
        .merge(csp_reports::routes())
        .merge(custom_attributes::routes())
        .merge(custom_filters::routes())
        .merge(dashboard_apps::routes())
        .merge(front_ends::routes())
        .merge(health::routes())
        .merge(inboxes::routes())
        .merge(labels::routes())
        .merge(live_reports::routes())
        .merge(messages::routes())
        .merge(notes::routes())
        .merge(notification_settings::routes())
        .merge(notification_subscriptions::routes())
        .merge(notifications::routes())
        .merge(onboarding::routes())
        .merge(openapi::routes())
        .merge(platform::routes())
        .merge(profile::routes())
        .merge(public::routes())
        .merge(search::routes())
        .merge(second_factor::routes())
        .merge(sessions::routes())
        .merge(setup::routes())
        .merge(teams::routes())
        .merge(widget::routes())
        .merge(sign_up::routes())
        .merge(uploads::routes())
}

/// The route table: what the generated references are made of.
pub fn table() -> Vec<Route> {
    table_below(&actuator::Settings::default().base_path)
}

/// The same, with the endpoints for operators below `base_path`.
pub(crate) fn table_below(base_path: &str) -> Vec<Route> {
    all().merge(actuator::routes(base_path)).into_parts().1
}

/// The router of a listener for operators alone: their endpoints and the probes, without the edge.
pub fn operators(app: App) -> Router {
    let routes = actuator::routes(&app.actuator().base_path).merge(health::probes());
    let routes = routes
        .into_parts()
        .0
        .route_layer(route_layer(app.meters().clone()))
        .fallback(no_operators_route)
        .method_not_allowed_fallback(no_operators_method)
        .with_state(app);
    Router::new().fallback_service(MapResponseLayer::new(without_methods).layer(routes))
}

/// The router of a server, without the edge.
pub fn router(app: App) -> Router {
    let (router, table) = all().into_parts();
    methods::note(table);
    let operators = match app.actuator() {
        settings if settings.apart => Router::new(),
        settings => actuator::routes(&settings.base_path)
            .into_parts()
            .0
            .method_not_allowed_fallback(no_operators_method),
    };
    let routes = router
        .merge(crate::cable::routes())
        .method_not_allowed_fallback(no_route)
        .merge(operators)
        .route_layer(route_layer(app.meters().clone()))
        .fallback(no_route)
        .layer(from_fn(answer_with_session))
        .layer(from_fn(word_missing))
        .with_state(app);
    // What changes the path must stand before the routes: their own layers come too late. And they name their methods
    // after their own layers.
    let routes = MapResponseLayer::new(without_methods).layer(routes);
    Router::new().fallback_service(MapRequestLayer::new(tolerate).layer(routes))
}

/// What is not there has no methods either.
fn without_methods(mut response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        response.headers_mut().remove(ALLOW);
    }
    response
}

/// 404 for a route that there isn't: JSON for who accepts it, else a page (`behaviours.md §4`). 406 for one that there
/// is, but not in that format.
async fn no_route(State(app): State<App>, request: Request) -> Response {
    if let Some(answer) = actuator::fallback(&app, &request, StatusCode::NOT_FOUND) {
        return answer;
    }
    if let Some(asked) = app.front_ends().asked(&request)
        && let Some(file) = app.front_ends().file(asked).await
    {
        return file;
    }
    let path = request.uri().path();
    let served = without_format(path).and_then(|whole| Methods.at(whole)).unwrap_or_default();
    if served.split(", ").any(|method| method == request.method().as_str()) {
        return ApiError::not_acceptable().into_response();
    }
    let accepts = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if accepts.contains("json") || path.starts_with("/api/") && !accepts.contains("text/html") {
        return ApiError::with_body(
            StatusCode::NOT_FOUND,
            json!({"status": 404, "error": "Not Found"}),
        )
        .into_response();
    }
    (StatusCode::NOT_FOUND, Html("<!doctype html><title>Not found</title><h1>The page you were looking for doesn't exist.</h1>"))
        .into_response()
}

/// 404 on the listener for operators.
async fn no_operators_route(request: Request) -> Response {
    actuator::refusal(StatusCode::NOT_FOUND, request.uri().path())
}

/// 405 for an endpoint for operators, with `Allow`; one that is not for everybody is not there.
async fn no_operators_method(State(app): State<App>, request: Request) -> Response {
    actuator::wrong_method(app.actuator(), request.uri().path())
}

/// The public and the platform API word a missing record as a missing route (`behaviours.md §4`).
async fn word_missing(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let as_route = path.starts_with("/platform/") || path.starts_with("/public/api/");
    let response = next.run(request).await;
    if as_route && response.extensions().get::<MissingRecord>().is_some() {
        let body = json!({"status": 404, "error": "Not Found"});
        return ApiError::with_body(StatusCode::NOT_FOUND, body).into_response();
    }
    response
}
