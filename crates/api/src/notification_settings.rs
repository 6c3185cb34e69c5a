//! What the member is told by mail and by push (`resources.md §14`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::notification_settings::{self, KINDS, NotificationSettings, flags, names};
use serde_json::{Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::Answer;
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/notification_settings")
        .get("", show)
        .patch("", update)
}

fn settings_json(settings: &NotificationSettings) -> Value {
    let all = (1 << KINDS.len()) - 1;
    json!({
        "id": settings.id,
        "user_id": settings.user_id,
        "account_id": settings.account_id,
        "all_email_flags": names("email", all),
        "selected_email_flags": names("email", settings.email_flags),
        "all_push_flags": names("push", all),
        "selected_push_flags": names("push", settings.push_flags),
    })
}

async fn show(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        Ok(Json(settings_json(&notification_settings::get(tx, &scope).await?)))
    })
    .await
}

/// Replaces both lists; one that is not sent is empty.
async fn update(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let sent = params.require("notification_settings")?;
    let chosen = |kind: &str| {
        flags(kind, &sent.texts(&format!("selected_{kind}_flags")).unwrap_or_default())
    };
    let (email, push) = (chosen("email")?, chosen("push")?);
    app.write(async move |tx| {
        Ok(Json(settings_json(&notification_settings::set(tx, &scope, email, push).await?)))
    })
    .await
}
