//! What the clients ask for at their start and this version doesn't have: it is answered as for an
//! account that has none (`docs/compatibility.md` lists them).

use axum::Json;
use serde_json::{Value, json};

use crate::actors::{Agent, Anyone};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::new("")
        .get("/api/v1/accounts/{account_id}/integrations/apps", none_in_payload)
        .get("/api/v1/accounts/{account_id}/macros", none_in_payload)
        .get("/api/v1/accounts/{account_id}/portals", no_portals)
        .get("/api/v1/widget/campaigns", no_campaigns)
}

async fn none_in_payload(_: Agent) -> Json<Value> {
    Json(json!({"payload": []}))
}

async fn no_portals(_: Agent) -> Json<Value> {
    Json(json!({"payload": [], "meta": {"current_page": 1, "portals_count": 0}}))
}

/// The same for every website, known or not.
async fn no_campaigns(_: Anyone) -> Json<Value> {
    Json(json!([]))
}
