//! Accounts of a platform app.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::accounts::{self, Account, NewAccount, Status};
use chatwarden_core::ids::AccountId;
use chatwarden_core::{Error, platform, values};
use chatwarden_db::{Json as Stored, Tx};
use serde_json::{Value, json};

use crate::actors::Platform;
use crate::app::App;
use crate::error::{Answer, done};
use crate::params::Params;

fn account_json(tx: &Tx<'_>, account: &Account) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "locale": account.locale,
        "domain": account.domain,
        "support_email": account.support_address(tx),
        "features": Features::of(account).to_json(),
        "custom_attributes": account.custom_attributes.0,
        "limits": account.limits.0,
        "status": account.status,
    })
}

fn status(params: &Params) -> Answer<Option<Status>> {
    params.one_of("status", Status::ALL, Status::name, Status::integer)
}

/// The flags that were sent: one is on whose value says something, whatever it says.
fn features(params: &Params) -> Answer<Vec<(String, bool)>> {
    let sent = params.inner("features").unwrap_or_default();
    if let Some(name) = sent.values().keys().find(|name| !Features::is_known(name)) {
        return Err(Error::invalid("features", format!("has no flag '{name}'")).into());
    }
    Ok(sent.values().iter().map(|(name, value)| (name.clone(), values::present(value))).collect())
}

pub(super) async fn index(
    Platform(app_id): Platform,
    State(app): State<App>,
) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = platform::list_accounts(tx, app_id).await?;
        Ok(Json(found.iter().map(|account| account_json(tx, account)).collect()))
    })
    .await
}

pub(super) async fn create(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let new = NewAccount {
        name: params.text("name").unwrap_or_default(),
        locale: params.text("locale"),
        domain: params.text("domain"),
        support_email: params.text("support_email"),
        status: status(&params)?,
        features: features(&params)?,
        limits: params.object("limits").map(Value::Object),
        custom_attributes: params.object("custom_attributes").map(Value::Object),
    };
    app.write(async move |tx| {
        let made = platform::create_account(tx, app_id, new).await?;
        Ok(Json(account_json(tx, &made)))
    })
    .await
}

pub(super) async fn show(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AccountId(params.id("id")?);
    app.read(async move |tx| {
        let (account, _) = platform::account(tx, app_id, id).await?;
        Ok(Json(account_json(tx, &account)))
    })
    .await
}

pub(super) async fn update(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AccountId(params.id("id")?);
    let (status, features) = (status(&params)?, features(&params)?);
    let locale = params.present("locale").map(|code| accounts::locale_named(&code)).transpose()?;
    app.write(async move |tx| {
        let (_, scope) = platform::account(tx, app_id, id).await?;
        let mut account = accounts::lock(tx, &scope).await?;
        if params.has("name") {
            account.name = params.text("name").unwrap_or_default();
        }
        if params.has("domain") {
            account.domain = params.text("domain");
        }
        if params.has("support_email") {
            account.support_email = params.text("support_email");
        }
        account.status = status.unwrap_or(account.status);
        account.locale = locale.unwrap_or(account.locale);
        if let Some(limits) = params.object("limits") {
            account.limits = Stored(Value::Object(limits));
        }
        if let Some(attributes) = params.object("custom_attributes") {
            account.custom_attributes = Stored(Value::Object(attributes));
        }
        let mut flags = Features::of(&account);
        for (name, on) in &features {
            flags.set(name, *on);
        }
        Features(account.feature_flags, account.feature_flags_ext_1) = flags;
        accounts::save(tx, &scope, &mut account).await?;
        Ok(Json(account_json(tx, &account)))
    })
    .await
}

pub(super) async fn destroy(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = AccountId(params.id("id")?);
    app.write(async move |tx| Ok(platform::delete_account(tx, app_id, id).await?))
        .await
        .map(|()| done())
}
