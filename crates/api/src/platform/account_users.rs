//! Memberships of an account of a platform app.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::agents::{self, AccountUser, Terms};
use chatwarden_core::ids::{AccountId, UserId};
use chatwarden_core::platform;
use chatwarden_db::Timestamp;
use serde_json::{Value, json};

use crate::actors::Platform;
use crate::agents::role;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;

fn account_user_json(row: &AccountUser) -> Value {
    json!({
        "id": row.id,
        "account_id": row.account_id,
        "user_id": row.user_id,
        "role": row.role,
        "inviter_id": row.inviter_id,
        "created_at": row.created_at.iso(),
        "updated_at": row.updated_at.iso(),
        "active_at": row.active_at.map(Timestamp::iso),
        "availability": row.availability,
        "auto_offline": row.auto_offline,
        "custom_role_id": null,
        "agent_capacity_policy_id": null,
    })
}

pub(super) async fn index(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AccountId(params.id("id")?);
    app.read(async move |tx| {
        let (_, scope) = platform::account(tx, app_id, id).await?;
        let rows = agents::memberships(tx, &scope).await?;
        Ok(Json(rows.iter().map(account_user_json).collect()))
    })
    .await
}

pub(super) async fn create(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AccountId(params.id("id")?);
    let user = params.integer("user_id").map(UserId);
    let terms = Terms { role: role(&params)?, ..Terms::default() };
    app.write(async move |tx| {
        let (_, scope) = platform::account(tx, app_id, id).await?;
        let user = user
            .ok_or_else(|| ApiError::from(chatwarden_core::Error::invalid("user", "must exist")))?;
        Ok(Json(account_user_json(&agents::join_or_change(tx, &scope, user, terms).await?)))
    })
    .await
}

pub(super) async fn destroy(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = AccountId(params.id("id")?);
    let user = params.integer("user_id").map(UserId);
    app.write(async move |tx| {
        let (_, scope) = platform::account(tx, app_id, id).await?;
        if let Some(user) = user {
            agents::leave(tx, &scope, user).await?;
        }
        Ok(done())
    })
    .await
}
