//! What is going on right now (`resources.md §18`, live_reports).

use axum::Json;
use axum::extract::State;
use chatwarden_core::conversations::live::{self, GroupBy, Live};
use chatwarden_core::ids::TeamId;
use chatwarden_core::teams;
use serde_json::{Value, json};

use crate::actors::Admin;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v2/accounts/{account_id}/live_reports")
        .get("/conversation_metrics", conversation_metrics)
        .get("/grouped_conversation_metrics", grouped_conversation_metrics)
}

fn live_json(live: Live, (key, value): (&str, Option<i64>)) -> Value {
    json!({
        "open": live.open,
        "unattended": live.unattended,
        "unassigned": live.unassigned,
        (key): value,
    })
}

/// Of the account, or of one team.
async fn conversation_metrics(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let team = match params.present("team_id") {
        Some(_) => Some(params.id("team_id").map(TeamId)?),
        None => None,
    };
    app.read(async move |tx| {
        if let Some(team) = team {
            teams::find(tx, &scope, team).await?;
        }
        let (live, pending) = live::now(tx, &scope, team).await?;
        Ok(Json(live_json(live, ("pending", Some(pending)))))
    })
    .await
}

/// By assignee or by team.
async fn grouped_conversation_metrics(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let asked = params.text("group_by").unwrap_or_default();
    let by = match asked.as_str() {
        "assignee_id" => GroupBy::Assignee,
        "team_id" => GroupBy::Team,
        _ => return Err(ApiError::unprocessable("invalid group_by")),
    };
    app.read(async move |tx| {
        let rows = live::grouped(tx, &scope, by).await?;
        let row = |(group, live): (Option<i64>, Live)| live_json(live, (asked.as_str(), group));
        Ok(Json(Value::Array(rows.into_iter().map(row).collect())))
    })
    .await
}
