//! The account itself (`resources.md §1`, `behaviours.md §24`), and opening one.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chatwarden_core::accounts::features::Features;
use chatwarden_core::accounts::{self, Account};
use chatwarden_core::ids::AccountId;
use chatwarden_core::{Error, agents};
use chatwarden_db::{Json as Stored, Tx};
use http::header::CACHE_CONTROL;
use serde_json::{Map, Value, json};

use crate::actors::Signed;
use crate::app::App;
use crate::error::{Answer, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("", show)
        .patch("", update)
        .get("/cache_keys", cache_keys)
        .post("/update_active_at", update_active_at)
}

/// The attributes that are always shown once there are any.
const PLAN: [&str; 4] =
    ["plan_name", "subscribed_quantity", "subscription_status", "subscription_ends_on"];
/// The attributes that are shown where they are set.
const SHOWN: [&str; 10] = [
    "website",
    "industry",
    "company_size",
    "timezone",
    "logo",
    "referral_source",
    "brand_info",
    "onboarding_step",
    "marked_for_deletion_at",
    "marked_for_deletion_reason",
];
/// What administrators say about their firm.
pub(crate) const ABOUT: [&str; 6] =
    ["industry", "company_size", "timezone", "referral_source", "user_role", "website"];

/// An account as its members see it.
pub(crate) fn account_json(tx: &Tx<'_>, account: &Account) -> Value {
    let mut out = json!({
        "settings": account.settings.0,
        "created_at": account.created_at.iso(),
        "domain": account.domain,
        "features": Features::of(account).to_json(),
        "id": account.id,
        "locale": account.locale,
        "name": account.name,
        "support_email": account.support_address(tx),
        "status": account.status,
        "cache_keys": accounts::cache_keys(&account.cache_keys.0),
    });
    let set = account.custom_attributes.0.as_object().filter(|attributes| !attributes.is_empty());
    if let (Some(set), Some(object)) = (set, out.as_object_mut()) {
        let mut shown = Map::new();
        for name in PLAN {
            shown.insert(name.to_owned(), set.get(name).cloned().unwrap_or_default());
        }
        for name in SHOWN {
            if let Some(value) = set.get(name) {
                shown.insert(name.to_owned(), value.clone());
            }
        }
        object.insert("custom_attributes".to_owned(), Value::Object(shown));
    }
    out
}

fn id(params: &Params) -> Answer<AccountId> {
    params.id("account_id").map(AccountId)
}

async fn show(signed: Signed, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let (account, _) = accounts::visit(tx, id, signed.user).await?;
        let mut out = account_json(tx, &account);
        if let Some(object) = out.as_object_mut() {
            object.insert("latest_chatwoot_version".to_owned(), Value::Null);
        }
        Ok(Json(out))
    })
    .await
}

/// Puts what administrators may say into the account's own columns.
pub(crate) fn apply(account: &mut Account, sent: &Params) -> Answer<()> {
    if sent.has("name") {
        account.name = sent.text("name").unwrap_or_default();
    }
    if let Some(locale) = sent.present("locale") {
        account.locale = accounts::locale_named(&locale)?;
    }
    if let Some(attributes) = account.custom_attributes.0.as_object_mut() {
        for name in ABOUT {
            if let Some(value) = sent.get(name).filter(|_| sent.has(name)) {
                attributes.insert(name.to_owned(), value.clone());
            }
        }
    }
    Ok(())
}

async fn update(signed: Signed, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let (_, scope) = accounts::visit(tx, id, signed.user).await?;
        let scope = scope.admin().ok_or_else(Error::not_authorized)?;
        let mut account = accounts::lock(tx, &scope).await?;
        apply(&mut account, &params)?;
        if params.has("domain") {
            account.domain = params.text("domain");
        }
        if params.has("support_email") {
            account.support_email = params.text("support_email");
        }
        let mut settings = match account.settings.0 {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        accounts::settings::merge(&mut settings, params.values());
        account.settings = Stored(Value::Object(settings));
        accounts::save(tx, &scope, &mut account).await?;
        Ok(Json(account_json(tx, &account)))
    })
    .await
}

/// When the lists that dashboards keep copies of last changed (`behaviours.md §15`).
async fn cache_keys(signed: Signed, State(app): State<App>, params: Params) -> Answer<Response> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let (account, _) = accounts::visit(tx, id, signed.user).await?;
        let body = json!({"cache_keys": accounts::cache_keys(&account.cache_keys.0)});
        let kept = [(CACHE_CONTROL, "private, max-age=10, stale-while-revalidate=300")];
        Ok((kept, Json(body)).into_response())
    })
    .await
}

/// Notes that the member works in this account now.
async fn update_active_at(
    signed: Signed,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let (_, scope) = accounts::visit(tx, id, signed.user).await?;
        agents::mark_active(tx, &scope, signed.user).await
    })
    .await?;
    Ok(done())
}
