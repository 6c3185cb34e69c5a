//! Browsers and telephones that want to be pushed to (`resources.md §14`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::notification_subscriptions::{self, Kind, Subscription};
use serde_json::{Value, json};

use crate::actors::Signed;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/notification_subscriptions").post("", create).delete("", destroy)
}

fn subscription_json(subscription: &Subscription) -> Value {
    json!({
        "id": subscription.id,
        "user_id": subscription.user_id,
        "subscription_type": subscription.subscription_type,
        "subscription_attributes": subscription.subscription_attributes.0,
        "identifier": subscription.identifier,
        "created_at": subscription.created_at.iso(),
        "updated_at": subscription.updated_at.iso(),
    })
}

/// Subscribes the caller.
async fn create(me: Signed, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let columns = ["subscription_type", "subscription_attributes", "identifier"];
    let sent = params.record("notification_subscription", &columns)?;
    let kind = sent.present("subscription_type").unwrap_or_default();
    let kind = Kind::named(&kind).ok_or_else(|| {
        ApiError::unprocessable(format!("'{kind}' is not a valid subscription_type"))
    })?;
    let attributes = sent.object("subscription_attributes").unwrap_or_default();
    app.write(async move |tx| {
        let made = notification_subscriptions::subscribe(tx, me.user, kind, attributes).await?;
        Ok(Json(subscription_json(&made)))
    })
    .await
}

/// Removes what the caller is pushed to by a token.
async fn destroy(me: Signed, State(app): State<App>, params: Params) -> Answer<Response> {
    let Some(token) = params.present("push_token") else { return Ok(done()) };
    app.write(async move |tx| {
        notification_subscriptions::unsubscribe(tx, me.user, &token).await?;
        Ok(done())
    })
    .await
}
