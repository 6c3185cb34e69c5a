//! Opening an account without being asked (`behaviours.md §2.1`).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chatwarden_core::accounts::{self, SignUp};
use chatwarden_core::desk::Signup;
use chatwarden_core::error::Invalid;
use chatwarden_core::passwords;
use chatwarden_core::users::{self, Profile, address};
use http::StatusCode;
use serde_json::{Value, json};

use crate::actors::MaybeSigned;
use crate::app::App;
use crate::auth::{Client, enter_proved};
use crate::credentials;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::profile::profile_json;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("").post("/api/v1/accounts", create).post("/api/v2/accounts", create_by_address)
}

fn refused(text: impl Into<String>) -> ApiError {
    let text: String = text.into();
    ApiError::with_body(StatusCode::FORBIDDEN, json!({"message": text}))
}

/// Refuses where nobody may sign up, as a route that there isn't.
fn check_open(app: &App) -> Answer<()> {
    if app.desk().signup == Signup::Closed {
        let body = json!({"status": 404, "error": "Not Found"});
        return Err(ApiError::with_body(StatusCode::NOT_FOUND, body));
    }
    Ok(())
}

/// An account with its first administrator. Whoever has no session yet gets one once the address
/// is confirmed; programs get it at once.
async fn create(
    signed: MaybeSigned,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer {
    check_open(&app)?;
    let names = (params.present("account_name"), params.present("user_full_name"));
    if let MaybeSigned(Some(signed)) = signed {
        let name = names.0.ok_or_else(|| refused(INCOMPLETE))?;
        return open_another(app, signed.user, name, &params).await;
    }
    let (Some(account_name), Some(name)) = names else { return Err(refused(INCOMPLETE)) };
    let at_once = app.desk().signup == Signup::ApiOnly;
    open(app, client, &params, account_name, name, Step::AccountDetails, at_once).await
}

/// The same by nothing but an address and a password.
async fn create_by_address(
    _: crate::actors::Anyone,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer {
    check_open(&app)?;
    let email = params.text("email").unwrap_or_default();
    let (local, domain) = email.trim().split_once('@').unwrap_or_default();
    let (name, account_name) = (local.to_owned(), domain.to_owned());
    open(app, client, &params, account_name, name, Step::ProfileUpdate, true).await
}

const INCOMPLETE: &str = "Invalid, please check the signup parameters and try again";

/// The first step of a new account's set-up.
#[derive(Debug, Clone, Copy)]
enum Step {
    AccountDetails,
    ProfileUpdate,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::AccountDetails => "account_details",
            Self::ProfileUpdate => "profile_update",
        }
    }
}

async fn open(
    app: App,
    client: Client,
    params: &Params,
    account_name: String,
    name: String,
    step: Step,
    at_once: bool,
) -> Answer {
    let email = address::normalised(&params.text("email").unwrap_or_default());
    client.throttle(&app, &email, None).await?;
    if !address::is_address(&email) {
        return Err(refused("You have entered an invalid email"));
    }
    let taken = {
        let email = email.clone();
        app.read(async move |tx| users::by_email(tx, &email).await).await?.is_some()
    };
    if taken {
        return Err(refused(format!("You have already signed up for an account with {email}")));
    }
    let password = params.text("password").unwrap_or_default();
    let mut faults = Invalid::default();
    passwords::check(&mut faults, "password", &password);
    faults.check()?;
    let password = app.hash_password(password).await?;
    let asked = SignUp {
        account_name,
        name,
        email,
        password,
        locale: params.text("locale"),
        step: step.name(),
    };
    let device = client.device();
    app.write(async move |tx| {
        let user = accounts::sign_up(tx, asked).await?;
        if !at_once {
            return Ok(Json(json!({"email": user.email})).into_response());
        }
        let (body, shown, expires_at) = enter_proved(tx, user, device).await?;
        let mut response = Json(json!({"data": body})).into_response();
        credentials::write(response.headers_mut(), &shown, expires_at);
        Ok(response)
    })
    .await
}

/// One more account for somebody who is signed in.
async fn open_another(
    app: App,
    user: chatwarden_core::ids::UserId,
    name: String,
    params: &Params,
) -> Answer<Response> {
    let locale = params.text("locale");
    app.write(async move |tx| {
        let made = accounts::open_for(tx, user, name, locale).await?;
        let user = users::get(tx, user).await?;
        let profile = Profile::of(tx, user).await?;
        let mut body: Value = profile_json(tx, &profile);
        if let Some(object) = body.as_object_mut() {
            object.insert("account_id".to_owned(), json!(made.id));
            object.insert("created_at".to_owned(), json!(profile.user.created_at.iso()));
        }
        Ok(Json(json!({"data": body})).into_response())
    })
    .await
}
