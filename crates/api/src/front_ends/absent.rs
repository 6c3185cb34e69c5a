//! What the clients ask for at their start and this version doesn't have: it is answered as for an
//! account that has none (`docs/compatibility.md` lists them). A route of the feature itself comes
//! before these.

use axum::Json;
use serde_json::{Value, json};

use crate::actors::{Agent, Anyone};
use crate::routes::Routes;

/// `routes`, and these where they lack them.
pub(crate) fn add(routes: Routes) -> Routes {
    const ACCOUNT: &str = "/api/v1/accounts/{account_id}";
    routes
        .get_unless_there(&format!("{ACCOUNT}/custom_attribute_definitions"), none)
        .get_unless_there(&format!("{ACCOUNT}/custom_filters"), none)
        .get_unless_there(&format!("{ACCOUNT}/dashboard_apps"), none)
        .get_unless_there(&format!("{ACCOUNT}/integrations/apps"), none_in_payload)
        .get_unless_there(&format!("{ACCOUNT}/macros"), none_in_payload)
        .get_unless_there(&format!("{ACCOUNT}/portals"), no_portals)
        .get_unless_there("/api/v1/widget/campaigns", no_campaigns)
}

async fn none(_: Agent) -> Json<Value> {
    Json(json!([]))
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
