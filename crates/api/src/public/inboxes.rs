//! The inbox.

use axum::Json;
use axum::extract::State;
use chatwarden_core::inboxes::{self, API};
use serde_json::{Value, json};

use super::path;
use crate::actors::Anyone;
use crate::app::App;
use crate::error::Answer;
use crate::params::Params;

/// What a client needs to know of the inbox before anybody writes.
pub(super) async fn show(_: Anyone, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let identifier = path(&params, "inbox_identifier")?;
    app.read(async move |tx| {
        let door = inboxes::door(tx, API, &identifier).await?;
        let inbox = &door.inbox;
        Ok(Json(json!({
            "identifier": door.channel.token,
            "identity_validation_enabled": door.channel.hmac_mandatory,
            "name": inbox.name,
            "timezone": inbox.timezone,
            "working_hours": inbox.working_hours.0,
            "working_hours_enabled": inbox.working_hours_enabled,
            "csat_survey_enabled": inbox.csat_survey_enabled,
            "greeting_enabled": inbox.greeting_enabled,
        })))
    })
    .await
}
