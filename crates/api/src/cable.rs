//! `/cable`: Action Cable over an axum WebSocket, and the channel that the front ends subscribe to
//! (`realtime.md §1`, §3).

use axum::Router;
use axum::routing::get;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/cable", get(connect))
}

async fn connect() -> &'static str {
    ""
}
