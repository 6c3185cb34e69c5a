//! Users of a platform app.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::desk::desk;
use chatwarden_core::error::{Invalid, TAKEN};
use chatwarden_core::ids::UserId;
use chatwarden_core::tokens::{self, Owner};
use chatwarden_core::users::{self, NewUser, Profile, User, address};
use chatwarden_core::{passwords, platform};
use chatwarden_db::{Json as Stored, Timestamp, Tx};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::actors::Platform;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::profile::user_json;

fn platform_user_json(tx: &Tx<'_>, profile: &Profile) -> Value {
    let mut out = user_json(tx, profile);
    out.insert("access_token".to_owned(), json!(profile.token));
    let accounts = profile.memberships.iter().map(|m| {
        json!({
            "id": m.account_id,
            "name": m.account_name,
            "active_at": m.active_at.map(Timestamp::iso),
            "role": m.role,
        })
    });
    out.insert("accounts".to_owned(), accounts.collect());
    Value::Object(out)
}

async fn answer(tx: &mut Tx<'_>, user: User) -> Answer<Json<Value>> {
    let profile = Profile::of(tx, user).await?;
    Ok(Json(platform_user_json(tx, &profile)))
}

/// Makes a user, or gives the app the one there is. That one stays as it is; who never confirmed the address has the
/// password that is sent.
pub(super) async fn create(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let email = address::normalised(&params.text("email").unwrap_or_default());
    let asked = email.clone();
    let known = app.read(async move |tx| users::by_email(tx, &asked).await).await?;
    if let Some(known) = known {
        let password = match params.present("password").filter(|_| known.confirmed_at.is_none()) {
            Some(password) => {
                let mut faults = Invalid::default();
                passwords::check(&mut faults, "password", &password);
                faults.check()?;
                Some(app.hash_password(password).await?)
            }
            None => None,
        };
        let asked = email.clone();
        let adopted = app
            .write(async move |tx| {
                match platform::adopt_user(tx, app_id, &asked, password.as_ref()).await? {
                    Some(user) => answer(tx, user).await.map(Some),
                    None => Ok(None),
                }
            })
            .await?;
        if let Some(adopted) = adopted {
            return Ok(adopted);
        }
    }
    let password = params.text("password").unwrap_or_default();
    let mut new = NewUser {
        email,
        name: params.text("name").unwrap_or_default(),
        display_name: params.text("display_name"),
        password: passwords::Hashed::unusable(),
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        confirmed: true,
    };
    let mut faults = Invalid::default();
    passwords::check(&mut faults, "password", &password);
    new.check(&mut faults);
    faults.check()?;
    new.password = app.hash_password(password).await?;
    app.write(async move |tx| {
        let user = platform::create_user(tx, app_id, new).await?;
        answer(tx, user).await
    })
    .await
}

pub(super) async fn show(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = UserId(params.id("id")?);
    app.read(async move |tx| {
        let user = platform::user(tx, app_id, id).await?;
        answer(tx, user).await
    })
    .await
}

/// Changes a user; attributes are merged, an address needs no confirmation.
pub(super) async fn update(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = UserId(params.id("id")?);
    let email =
        params.has("email").then(|| address::normalised(&params.text("email").unwrap_or_default()));
    let asked = email.clone();
    let (mut user, taken) = app
        .read(async move |tx| {
            let user = platform::user(tx, app_id, id).await?;
            let holder = match asked {
                Some(email) => users::by_email(tx, &email).await?,
                None => None,
            };
            Ok::<_, ApiError>((user, holder.is_some_and(|holder| holder.id != id)))
        })
        .await?;
    let mut faults = Invalid::default();
    if taken {
        faults.add("email", TAKEN);
    }
    if let Some(email) = &email {
        address::check(&mut faults, email);
    }
    // An empty one is a bad one: null alone says nothing.
    let password = params.text("password");
    if let Some(password) = &password {
        passwords::check(&mut faults, "password", password);
    }
    name(&mut user, &params);
    user.check(&mut faults);
    faults.check()?;
    let password = match password {
        Some(password) => Some(app.hash_password(password).await?),
        None => None,
    };
    app.write(async move |tx| {
        let mut user = platform::lock_user(tx, app_id, id).await?;
        if let Some(email) = email {
            user.email = email;
            user.unconfirmed_email = None;
        }
        name(&mut user, &params);
        if let Some(sent) = params.object("custom_attributes") {
            let mut attributes = object(user.custom_attributes.0);
            attributes.extend(sent);
            user.custom_attributes = Stored(Value::Object(attributes));
        }
        users::save(tx, &mut user).await?;
        if let Some(password) = password {
            users::set_password(tx, &mut user, password, None).await?;
        }
        answer(tx, user).await
    })
    .await
}

/// Puts the names that were sent into a user.
fn name(user: &mut User, sent: &Params) {
    if sent.has("name") {
        user.name = sent.text("name").unwrap_or_default();
    }
    if sent.has("display_name") {
        user.display_name = sent.text("display_name");
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

pub(super) async fn destroy(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = UserId(params.id("id")?);
    app.write(async move |tx| Ok(platform::delete_user(tx, app_id, id).await?))
        .await
        .map(|()| done())
}

/// A link to sign in by, once.
pub(super) async fn login(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = UserId(params.id("id")?);
    app.write(async move |tx| {
        let (user, ticket) = platform::login_ticket(tx, app_id, id).await?;
        let email = utf8_percent_encode(&user.email, NON_ALPHANUMERIC);
        let base = &desk(tx).frontend_url;
        Ok(Json(json!({"url": format!("{base}/app/login?email={email}&sso_auth_token={ticket}")})))
    })
    .await
}

/// The user's API token.
pub(super) async fn token(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = UserId(params.id("id")?);
    app.read(async move |tx| {
        let user = platform::user(tx, app_id, id).await?;
        let token = tokens::of(tx, Owner::User(id)).await?;
        Ok(Json(json!({
            "access_token": token,
            "expiry": null,
            "user": {
                "id": user.id,
                "name": user.name,
                "display_name": user.display_name,
                "email": user.email,
                "pubsub_token": user.pubsub_token,
            },
        })))
    })
    .await
}
