//! One's own second factor (`resources.md §2`, MFA).

use axum::Json;
use axum::extract::State;
use chatwarden_core::passwords::Verdict;
use chatwarden_core::second_factor::{self, Answer as Shown};
use chatwarden_core::users;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::actors::Signed;
use crate::app::App;
use crate::auth::Client;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/profile/mfa")
        .get("", show)
        .post("", create)
        .delete("", destroy)
        .post("/verify", verify)
        .post("/backup_codes", renew_codes)
}

/// How authenticators name who the code is for.
const ISSUER: &str = "Chatwarden";

/// What was shown besides a password.
pub(crate) fn shown(params: &Params) -> Shown {
    Shown { otp_code: params.present("otp_code"), backup_code: params.present("backup_code") }
}

/// A second factor belongs to who signs in: whoever holds an API token may not touch it.
fn by_session(signed: &Signed) -> Answer<()> {
    match signed.session {
        Some(_) => Ok(()),
        None => Err(ApiError::new(StatusCode::FORBIDDEN, "Sign in to manage the second factor")),
    }
}

async fn show(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    by_session(&signed)?;
    app.read(async move |tx| {
        let on = second_factor::get(tx, signed.user).await?.filter(|factor| factor.enabled);
        let codes = on.as_ref().is_some_and(|factor| !factor.backup_codes.0.is_empty());
        Ok(Json(json!({
            "feature_available": true,
            "enabled": on.is_some(),
            "backup_codes_generated": codes,
        })))
    })
    .await
}

/// A secret for the authenticator; nothing is asked for until a code of it was shown.
async fn create(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    by_session(&signed)?;
    app.write(async move |tx| {
        let user = users::lock(tx, signed.user).await?;
        let secret = second_factor::begin(tx, user.id).await?;
        let email = utf8_percent_encode(&user.email, NON_ALPHANUMERIC);
        let url = format!("otpauth://totp/{ISSUER}:{email}?secret={secret}&issuer={ISSUER}");
        Ok(Json(json!({"provisioning_url": url, "secret": secret})))
    })
    .await
}

/// Switches it on by a code.
async fn verify(signed: Signed, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    by_session(&signed)?;
    let code = params.text("otp_code").unwrap_or_default();
    app.write(async move |tx| {
        let user = users::lock(tx, signed.user).await?;
        let codes = second_factor::enable(tx, user.id, &code).await?;
        Ok(Json(json!({"enabled": true, "backup_codes": codes})))
    })
    .await
}

/// Switches it off, by the password and a code.
async fn destroy(
    signed: Signed,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer<Json<Value>> {
    by_session(&signed)?;
    let stored = app
        .read(async move |tx| {
            second_factor::require(tx, signed.user).await?;
            users::get(tx, signed.user).await
        })
        .await?
        .encrypted_password;
    let guess = client.limit(&app, "password-check", signed.user).await?;
    let password = params.text("password").unwrap_or_default();
    if app.verify_password(password, Some(stored)).await? == Verdict::Wrong {
        return Err(ApiError::unprocessable("Invalid credentials or verification code"));
    }
    let shown = shown(&params);
    app.write(async move |tx| {
        let user = users::lock(tx, signed.user).await?;
        second_factor::disable(tx, user.id, &shown).await
    })
    .await?;
    // Not before: a wrong code stays counted, as a wrong password does.
    app.limiter().refund(&guess).await;
    Ok(Json(json!({"enabled": false})))
}

/// New backup codes, by a code.
async fn renew_codes(
    signed: Signed,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer<Json<Value>> {
    by_session(&signed)?;
    let guess = client.limit(&app, "password-check", signed.user).await?;
    let shown = shown(&params);
    let codes = app
        .write(async move |tx| {
            let user = users::lock(tx, signed.user).await?;
            second_factor::renew_codes(tx, user.id, &shown).await
        })
        .await?;
    app.limiter().refund(&guess).await;
    Ok(Json(json!({"backup_codes": codes})))
}
