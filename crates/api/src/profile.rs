//! One's own profile (`resources.md §2`, `behaviours.md §24`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::Error;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::accounts::visit;
use chatwarden_core::agents::{self, Terms};
use chatwarden_core::error::{Invalid, TAKEN};
use chatwarden_core::ids::{AccountId, UserId};
use chatwarden_core::passwords::Verdict;
use chatwarden_core::storage::{self, Purpose, avatar_url};
use chatwarden_core::tokens::{self, Owner};
use chatwarden_core::users::{self, Membership, Profile, User, address, links};
use chatwarden_db::{Json as Stored, Timestamp, Tx, WriteTx};
use serde_json::{Map, Value, json};

use crate::actors::Signed;
use crate::agents::availability;
use crate::app::App;
use crate::auth::{Client, new_password};
use crate::avatars::Picture;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/profile")
        .get("", show)
        .patch("", update)
        .delete("/avatar", delete_avatar)
        .post("/availability", set_availability)
        .post("/auto_offline", set_auto_offline)
        .patch("/set_active_account", set_active_account)
        .post("/reset_access_token", reset_access_token)
        .post("/resend_confirmation", resend_confirmation)
}

/// What all forms of a user have in common.
pub(crate) fn user_json(tx: &Tx<'_>, profile: &Profile) -> Map<String, Value> {
    let user = &profile.user;
    let current = profile.current();
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("account_id", json!(current.map(|m| m.account_id)));
    put("available_name", json!(user.available_name()));
    put("avatar_url", json!(avatar_url(tx, user.avatar.as_ref())));
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
    let mut out = user_json(tx, profile);
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

async fn answer(tx: &mut Tx<'_>, user: User) -> Answer<Json<Value>> {
    let profile = Profile::of(tx, user).await?;
    Ok(Json(profile_json(tx, &profile)))
}

/// Changes oneself. A new address counts once it is confirmed; a new password needs the old one.
async fn update(
    signed: Signed,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer<Json<Value>> {
    let sent = params.whole_form("profile")?;
    if let Some(email) = sent.has("email").then(|| sent_email(&sent)) {
        let user = signed.user;
        // Pages send the whole form, mostly with the address as it is: no mail comes of that.
        if app.read(async move |tx| users::get(tx, user).await).await?.email != email {
            client.limit(&app, "email-change", user).await?;
        }
    }
    let password = match sent.present("password") {
        Some(_) => Some(change_password(&app, &client, signed.user, &sent).await?),
        None => None,
    };
    let keep = signed.session.map(|session| session.id);
    // The files of people belong to no account.
    let picture = Picture::of(&app, AccountId(0), Purpose::UserAvatar, &sent).await?;
    let received = picture.received();
    let changed = app.write(async move |tx| {
        let mut user = users::lock(tx, signed.user).await?;
        if let Some((compared, hashed)) = password {
            if user.encrypted_password != compared {
                return Err(wrong_password());
            }
            users::set_password(tx, &mut user, hashed, keep).await?;
        }
        if sent.has("name") {
            user.name = sent.text("name").unwrap_or_default();
        }
        if sent.has("display_name") {
            user.display_name = sent.text("display_name");
        }
        if sent.has("message_signature") {
            user.message_signature = sent.text("message_signature");
        }
        if let Some(settings) = sent.object("ui_settings") {
            user.ui_settings = Stored(Value::Object(settings));
        }
        if let (true, Some(attributes)) =
            (sent.has("phone_number"), user.custom_attributes.0.as_object_mut())
        {
            attributes.insert("phone_number".to_owned(), json!(sent.text("phone_number")));
        }
        let mut faults = Invalid::default();
        let changes_email =
            sent.has("email") && wait_for_email(tx, &mut user, &sent, &mut faults).await?;
        user.check(&mut faults);
        faults.check()?;
        users::save(tx, &mut user).await?;
        if changes_email {
            links::send_confirmation(tx, &user).await?;
        }
        picture.give(tx, storage::Owner::User(user.id), &mut user.avatar).await?;
        answer(tx, user).await
    });
    received.kept_if(&app, changed).await
}

fn wrong_password() -> ApiError {
    ApiError::unprocessable("Invalid current password")
}

/// The stored hash that the old password was compared with, and the hash of the new one.
async fn change_password(
    app: &App,
    client: &Client,
    user: UserId,
    sent: &Params,
) -> Answer<(String, chatwarden_core::passwords::Hashed)> {
    let stored = app.read(async move |tx| users::get(tx, user).await).await?.encrypted_password;
    let current = sent.text("current_password").unwrap_or_default();
    // Who holds a session or an API token need not know the password: they may not find it out here.
    let guess = client.limit(app, "password-check", user).await?;
    if app.verify_password(current, Some(stored.clone())).await? == Verdict::Wrong {
        return Err(wrong_password());
    }
    app.limiter().refund(&guess).await;
    Ok((stored, app.hash_password(new_password(sent)?).await?))
}

/// The address that was sent, as it is kept.
fn sent_email(sent: &Params) -> String {
    address::normalised(&sent.text("email").unwrap_or_default())
}

/// Notes a new address until it is confirmed, and adds what is wrong with it; whether it is another one.
async fn wait_for_email(
    tx: &mut WriteTx<'_>,
    user: &mut User,
    sent: &Params,
    faults: &mut Invalid,
) -> Answer<bool> {
    let email = sent_email(sent);
    if email == user.email {
        return Ok(false);
    }
    if users::by_email(tx, &email).await?.is_some() {
        faults.add("email", TAKEN);
    }
    address::check(faults, &email);
    user.unconfirmed_email = Some(email);
    Ok(true)
}

/// Changes the membership of the account that is named.
async fn change_membership(
    app: App,
    signed: Signed,
    account: AccountId,
    terms: Terms,
) -> Answer<Json<Value>> {
    app.write(async move |tx| {
        let (_, scope) = visit(tx, account, signed.user).await?;
        agents::change(tx, &scope, signed.user, terms).await?;
        let user = users::get(tx, signed.user).await?;
        answer(tx, user).await
    })
    .await
}

fn account(sent: &Params) -> Answer<AccountId> {
    sent.integer("account_id").map(AccountId).ok_or_else(ApiError::not_found)
}

/// How one is shown in an account.
async fn set_availability(
    signed: Signed,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let sent = params.whole_form("profile")?;
    let account = account(&sent)?;
    let availability =
        availability(&sent)?.ok_or_else(|| Error::invalid("availability", "can't be blank"))?;
    let terms = Terms { availability: Some(availability), ..Terms::default() };
    change_membership(app, signed, account, terms).await
}

/// Whether one is shown offline when one is not there; not said means no.
async fn set_auto_offline(
    signed: Signed,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let sent = params.whole_form("profile")?;
    let auto_offline = Some(sent.flag("auto_offline").unwrap_or(false));
    change_membership(app, signed, account(&sent)?, Terms { auto_offline, ..Terms::default() })
        .await
}

/// The account one works in now.
async fn set_active_account(
    signed: Signed,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let account = account(&params.whole_form("profile")?)?;
    app.write(async move |tx| {
        let (_, scope) = visit(tx, account, signed.user).await?;
        agents::mark_active(tx, &scope, signed.user).await
    })
    .await?;
    Ok(done())
}

/// Takes the picture away.
async fn delete_avatar(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    app.write(async move |tx| {
        let mut user = users::lock(tx, signed.user).await?;
        user.avatar = storage::set_avatar(tx, storage::Owner::User(user.id), None).await?;
        answer(tx, user).await
    })
    .await
}

/// A new API token; the old one stops working.
async fn reset_access_token(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    app.write(async move |tx| {
        tokens::renew(tx, Owner::User(signed.user)).await?;
        let user = users::get(tx, signed.user).await?;
        answer(tx, user).await
    })
    .await
}

/// Sends the confirmation again, where one is due.
async fn resend_confirmation(signed: Signed, State(app): State<App>) -> Answer<Response> {
    app.write(async move |tx| {
        let user = users::get(tx, signed.user).await?;
        if user.confirmed_at.is_none() || user.unconfirmed_email.is_some() {
            links::send_confirmation(tx, &user).await?;
        }
        Ok::<_, Error>(())
    })
    .await?;
    Ok(done())
}
