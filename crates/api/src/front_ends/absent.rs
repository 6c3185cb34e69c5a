//! What the clients ask for at their start, or on opening one of their pages, and this version doesn't have: it is
//! answered as for an account that has none (`docs/compatibility.md` lists them).

use axum::Json;
use serde_json::{Value, json};

use crate::actors::{Admin, Agent};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    let account = Routes::new("/api/v1/accounts/{account_id}")
        .get("/automation_rules", no_rules)
        .get("/campaigns", none)
        .get("/csat_survey_responses", none)
        .get("/csat_survey_responses/metrics", no_ratings)
        .get("/integrations/apps", none_in_payload)
        .get("/macros", none_in_payload)
        .get("/portals", no_portals)
        .get("/search/articles", no_articles)
        .get("/webhooks", no_webhooks);
    Routes::new("").merge(account).get("/api/v2/accounts/{account_id}/reports", none)
}

async fn none(_: Admin) -> Json<Value> {
    Json(json!([]))
}

async fn no_rules(_: Admin) -> Json<Value> {
    Json(json!({"payload": []}))
}

async fn no_webhooks(_: Admin) -> Json<Value> {
    Json(json!({"payload": {"webhooks": []}}))
}

async fn no_ratings(_: Admin) -> Json<Value> {
    Json(json!({"total_count": 0, "ratings_count": {}, "total_sent_messages_count": 0}))
}

async fn none_in_payload(_: Agent) -> Json<Value> {
    Json(json!({"payload": []}))
}

async fn no_portals(_: Agent) -> Json<Value> {
    Json(json!({"payload": [], "meta": {"current_page": 1, "portals_count": 0}}))
}

async fn no_articles(_: Agent) -> Json<Value> {
    Json(json!({"payload": {"articles": []}}))
}
