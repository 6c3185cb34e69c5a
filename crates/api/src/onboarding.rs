//! The first steps of a new account (`behaviours.md §24`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::accounts;
use serde_json::{Value, json};

use crate::accounts::{account_json, apply};
use crate::actors::Admin;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/onboarding")
        .patch("", update)
        .get("/help_center_generation", help_center_generation)
}

/// Completes a step, where the account is at it; otherwise nothing happens.
async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let step = params.text("onboarding_step").unwrap_or_default();
    if !["account_details", "inbox_setup"].contains(&step.as_str()) {
        return Err(ApiError::unprocessable("Invalid onboarding step"));
    }
    app.write(async move |tx| {
        let mut account = accounts::lock(tx, &scope).await?;
        if account.onboarding_step() == Some(&step) {
            if step == "account_details" {
                apply(&mut account, &params)?;
            }
            // An installation of one's own has no further step.
            account.end_onboarding();
            accounts::save(tx, &scope, &mut account).await?;
        }
        Ok(Json(account_json(tx, &account)))
    })
    .await
}

/// Help centres are not written by machine here.
async fn help_center_generation(_: Admin) -> Json<Value> {
    Json(json!({"generation_id": null, "state": null, "articles_count": 0, "categories_count": 0}))
}
