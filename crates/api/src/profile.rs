//! One's own profile (`resources.md §2`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::users::{self, Membership, Profile};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

use crate::actors::Signed;
use crate::app::App;
use crate::error::Answer;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/profile").get("", show)
}

/// What all forms of a user have in common.
pub(crate) fn user_json(profile: &Profile) -> Map<String, Value> {
    let user = &profile.user;
    let current = profile.current();
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("account_id", json!(current.map(|m| m.account_id)));
    put("available_name", json!(user.available_name()));
    put("avatar_url", json!(""));
    put("confirmed", json!(user.confirmed_at.is_some()));
    put("display_name", json!(user.display_name));
    put("message_signature", json!(user.message_signature));
    put("email", json!(user.email));
    put("id", json!(user.id));
    put("name", json!(user.name));
    put("provider", json!(user.provider));
    put("pubsub_token", json!(user.pubsub_token));
    if user.custom_attributes.0.as_object().is_some_and(|attributes| !attributes.is_empty()) {
        put("custom_attributes", user.custom_attributes.0.clone());
    }
    put("role", json!(current.map(|m| m.role)));
    put("ui_settings", user.ui_settings.0.clone());
    put("uid", json!(user.uid));
    out
}

/// A user as they see themselves.
pub(crate) fn profile_json(tx: &Tx<'_>, profile: &Profile) -> Value {
    let mut out = user_json(profile);
    // Without an account the token opens nothing, and is not shown.
    let token = if profile.memberships.is_empty() { "" } else { &profile.token };
    let accounts = profile.memberships.iter().map(|m| membership_json(tx, profile, m));
    let inviter = profile.current().and_then(|m| m.inviter_id);
    out.insert("access_token".to_owned(), json!(token));
    out.insert("inviter_id".to_owned(), json!(inviter));
    out.insert("type".to_owned(), json!(profile.user.kind));
    out.insert("accounts".to_owned(), accounts.collect());
    Value::Object(out)
}

fn membership_json(tx: &Tx<'_>, profile: &Profile, m: &Membership) -> Value {
    json!({
        "id": m.account_id,
        "name": m.account_name,
        "status": m.account_status,
        "onboarding_step": m.account_custom_attributes.0.get("onboarding_step"),
        "active_at": m.active_at.map(Timestamp::iso),
        "role": m.role,
        "permissions": [m.role],
        "availability": m.availability,
        "availability_status": m.availability_status(tx, profile.user.id),
        "auto_offline": m.auto_offline,
        "api_and_webhooks": Features(m.feature_flags, m.feature_flags_ext_1).has("api_and_webhooks"),
    })
}

/// Oneself.
async fn show(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let user = users::get(tx, signed.user).await?;
        let profile = Profile::of(tx, user).await?;
        Ok(Json(profile_json(tx, &profile)))
    })
    .await
}
