//! Signing in and out, forgotten passwords, confirmations (`behaviours.md §2.1`).

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use chatwarden_core::error::{Error, Invalid};
use chatwarden_core::ids::{SessionId, UserId};
use chatwarden_core::passwords::{self, Hashed, Verdict};
use chatwarden_core::sessions::{self, AppHeaders, Device, Opened, Room, Session};
use chatwarden_core::users::asked::{self, Link};
use chatwarden_core::users::links::{self, Confirmation};
use chatwarden_core::users::{self, Profile, User, address};
use chatwarden_core::{platform, second_factor as factor};
use chatwarden_db::{Timestamp, Tx, WriteTx};
use chatwarden_guard::rate_limit::Decision;
use chatwarden_guard::{ClientIp, Subject};
use http::header::{CONTENT_TYPE, LOCATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::actors::{Anyone, decide, decide_class};
use crate::app::App;
use crate::attempts::{attempt, refused};
use crate::credentials::{self, ShownSession};
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::profile::profile_json;
use crate::routes::Routes;
use crate::second_factor;

pub(crate) fn routes() -> Routes {
    Routes::new("")
        .get("/auth/sign_in", sign_in_page)
        .post("/auth/sign_in", sign_in)
        .delete("/auth/sign_out", sign_out)
        .get("/auth/validate_token", validate_token)
        .post("/auth/password", forgot_password)
        .patch("/auth/password", reset_password)
        .post("/auth/confirmation", confirm)
        .post("/resend_confirmation", resend_confirmation)
}

const WRONG: &str = "Invalid login credentials. Please try again.";

/// The client of a request that no credential vouches for: what limits and the list of sessions
/// go by.
#[derive(Debug)]
pub(crate) struct Client {
    parts: Parts,
    address: ClientIp,
}

impl FromRequestParts<App> for Client {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let address = ClientIp::from_request_parts(parts, app).await?;
        Ok(Self { parts: parts.clone(), address })
    }
}

impl Client {
    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What the client is called in the list of sessions.
    pub(crate) fn device(&self) -> Device {
        let said = |name: &str| self.header(name).map(str::to_owned);
        let app = AppHeaders {
            client_name: said("x-chatwoot-client-name"),
            client_version: said("x-chatwoot-client-version"),
            platform: said("x-chatwoot-platform"),
            platform_version: said("x-chatwoot-platform-version"),
            device_model: said("x-chatwoot-device-model"),
        };
        let known = !self.address.ip.is_unspecified();
        let address = known.then(|| self.address.ip.to_string());
        Device::of(self.header(USER_AGENT.as_str()), address, &app)
    }

    /// Whether a person sits before a page that can ask which session to end.
    fn is_browser(&self) -> bool {
        self.header(USER_AGENT.as_str()).is_some_and(|agent| agent.contains("Mozilla"))
    }

    /// Counts an attempt against the limits of the address and of the e-mail address; what was taken.
    pub(crate) async fn throttle(
        &self,
        app: &App,
        email: &str,
        mfa_token: Option<&str>,
    ) -> Answer<Decision> {
        let subject = Subject {
            client: Some(&self.address),
            email: Some(email).filter(|email| !email.is_empty()),
            mfa_token,
            ..Subject::default()
        };
        decide(&self.parts, app, &subject).await
    }

    /// Counts what `user` does against a limit that is named, whatever the request; what was taken.
    pub(crate) async fn limit(&self, app: &App, class: &str, user: UserId) -> Answer<Decision> {
        let subject =
            Subject { client: Some(&self.address), user: Some(user.0), ..Subject::default() };
        decide_class(&self.parts, app, class, &subject).await
    }
}

/// A refusal in the words of the sign-in.
fn failed(status: StatusCode, text: &str) -> ApiError {
    ApiError::with_body(status, json!({"success": false, "errors": [text]}))
}

fn wrong() -> ApiError {
    failed(StatusCode::UNAUTHORIZED, WRONG)
}

/// Who asks for the page is sent to the dashboard's.
async fn sign_in_page(_: Anyone) -> Response {
    let headers =
        [(LOCATION, "/app/login?error=access-denied"), (CONTENT_TYPE, "text/html; charset=utf-8")];
    (StatusCode::FOUND, headers, "").into_response()
}

/// What a sign-in came to.
enum Entered {
    /// The answer, and what the client shows from now on.
    In(Value, sessions::Credentials, Timestamp),
    /// Too many sessions: the person is to choose.
    Full(Vec<Session>),
    /// A code of the second factor is still to be shown, with this ticket.
    Second(String),
    /// The password was changed while it was compared.
    Changed,
}

impl Entered {
    fn into_answer(self) -> Answer {
        match self {
            Self::In(body, shown, expires_at) => {
                let mut response = Json(json!({"data": body})).into_response();
                credentials::write(response.headers_mut(), &shown, expires_at);
                Ok(response)
            }
            Self::Full(sessions) => {
                let rows: Vec<Value> = sessions.iter().map(session_json).collect();
                let body = json!({"sessions_limit_reached": true, "sessions": rows});
                Ok((StatusCode::CONFLICT, Json(body)).into_response())
            }
            Self::Second(ticket) => {
                let body = json!({"mfa_required": true, "mfa_token": ticket});
                Ok((StatusCode::PARTIAL_CONTENT, Json(body)).into_response())
            }
            Self::Changed => Err(wrong()),
        }
    }
}

/// A session as the one who is to choose sees it.
pub(crate) fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id,
        "browser_name": session.browser_name,
        "browser_version": session.browser_version,
        "device_name": session.device_name,
        "platform_name": session.platform_name,
        "platform_version": session.platform_version,
        "ip_address": session.ip_address,
        "city": session.city,
        "country": session.country,
        "last_activity_at": session.last_activity_at.map(Timestamp::iso),
        "created_at": session.created_at.iso(),
    })
}

/// Opens a session for a locked user who gave one proof, where no second one is asked for.
async fn enter_once_proved(
    tx: &mut WriteTx<'_>,
    user: User,
    device: Device,
    room: Room,
) -> Answer<Entered> {
    if factor::is_on(tx, user.id).await? {
        return Ok(Entered::Second(factor::ticket(tx, user.id)));
    }
    enter(tx, user, device, room).await
}

/// Opens a session for a locked user.
async fn enter(tx: &mut WriteTx<'_>, user: User, device: Device, room: Room) -> Answer<Entered> {
    Ok(match sessions::open(tx, &user, device, room).await? {
        Opened::Yes(shown, session) => {
            let profile = Profile::of(tx, user).await?;
            Entered::In(profile_json(tx, &profile), shown, session.expires_at)
        }
        Opened::Full(there) => Entered::Full(there),
    })
}

/// Signs a person in without asking for anything more: whoever proved the address, or signed up.
pub(crate) async fn enter_proved(
    tx: &mut WriteTx<'_>,
    user: User,
    device: Device,
) -> Answer<(Value, sessions::Credentials, Timestamp)> {
    match enter(tx, user, device, Room::default()).await? {
        Entered::In(body, shown, expires_at) => Ok((body, shown, expires_at)),
        Entered::Full(_) | Entered::Second(_) | Entered::Changed => Err(wrong()),
    }
}

/// Signs a person in, by password or by a link's ticket.
async fn sign_in(_: Anyone, State(app): State<App>, client: Client, params: Params) -> Answer {
    let email = address::normalised(&params.text("email").unwrap_or_default());
    let ticket = params.present("mfa_token");
    let decision = client.throttle(&app, &email, ticket.as_deref()).await.inspect_err(|_| {
        attempt("password");
        refused("password", "rate_limited");
    })?;
    let room = Room {
        revoke: params.integer("revoke_session_id").map(SessionId),
        revoke_all: params.flag("revoke_all_sessions").unwrap_or(false),
        ask: client.is_browser(),
    };
    let device = client.device();
    if let Some(ticket) = ticket {
        attempt("mfa");
        let entered = sign_in_by_code(&app, ticket, device, &params)
            .await
            .inspect_err(|_| refused("mfa", "bad_secret"))?;
        app.limiter().refund(&decision).await;
        return entered.into_answer();
    }
    let user = app.read(async move |tx| users::by_email(tx, &email).await).await?;
    if let (Some(user), Some(ticket)) = (&user, params.present("sso_auth_token")) {
        let (id, device) = (user.id, device.clone());
        let entered = app
            .write(async move |tx| {
                if !platform::take_ticket(tx, id, &ticket).await? {
                    return Ok::<_, ApiError>(None);
                }
                let user = users::lock(tx, id).await?;
                // The link was single-use: there is no second try to choose a session for.
                enter(tx, user, device, Room { ask: false, ..room }).await.map(Some)
            })
            .await?;
        if let Some(entered) = entered {
            attempt("link");
            app.limiter().refund(&decision).await;
            return entered.into_answer();
        }
    }
    let password = params.text("password").unwrap_or_default();
    let stored = user.as_ref().map(|user| user.encrypted_password.clone());
    let verdict = app.verify_password(password.clone(), stored.clone()).await?;
    attempt("password");
    let Some(user) = user else {
        refused("password", "unknown_user");
        return Err(wrong());
    };
    if user.confirmed_at.is_none() {
        refused("password", "unconfirmed");
        return Err(unconfirmed(&user));
    }
    if verdict == Verdict::Wrong {
        refused("password", "bad_secret");
        return Err(wrong());
    }
    let renewed = match verdict {
        Verdict::Outdated => Some(app.hash_password(password).await?),
        _ => None,
    };
    let compared = stored.unwrap_or_default();
    let entered = app
        .write(async move |tx| {
            let user = users::lock(tx, user.id).await?;
            if user.encrypted_password != compared {
                return Ok::<_, ApiError>(Entered::Changed);
            }
            if let Some(renewed) = &renewed {
                users::renew_hash(tx, user.id, &compared, renewed).await?;
            }
            enter_once_proved(tx, user, device, room).await
        })
        .await?;
    app.limiter().refund(&decision).await;
    entered.into_answer()
}

/// Signs in who gave the password before, by a code.
async fn sign_in_by_code(
    app: &App,
    ticket: String,
    device: Device,
    params: &Params,
) -> Answer<Entered> {
    let shown = second_factor::shown(params);
    app.write(async move |tx| {
        let expired = || ApiError::new(StatusCode::UNAUTHORIZED, "Invalid or expired MFA token");
        let holder = factor::holder(tx, &ticket).ok_or_else(expired)?;
        let user = match users::lock(tx, holder).await {
            Err(Error::NotFound) => return Err(expired()),
            other => other?,
        };
        match factor::check(tx, user.id, &shown).await {
            Err(Error::Unprocessable(text)) => {
                return Err(ApiError::new(StatusCode::BAD_REQUEST, text));
            }
            other => other?,
        }
        enter(tx, user, device, Room::default()).await
    })
    .await
}

fn unconfirmed(user: &User) -> ApiError {
    let text = format!(
        "A confirmation email was sent to your account at '{}'. You must follow the instructions in \
         the email before your account can be activated",
        user.email
    );
    ApiError::with_body(
        StatusCode::UNAUTHORIZED,
        json!({"success": false, "errors": [text], "error_code": "user_not_confirmed"}),
    )
}

/// What a browser is to forget with the session, of what it kept of ours.
const CLEARED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("clear-site-data"),
    HeaderValue::from_static("\"cache\", \"storage\""),
);

/// Ends the session that is shown.
async fn sign_out(
    _: Anyone,
    State(app): State<App>,
    ShownSession(shown): ShownSession,
    params: Params,
) -> Answer<impl IntoResponse> {
    let shown = shown.or_else(|| credentials::in_object(params.values()));
    let ended = match shown {
        Some(shown) => {
            app.write(async move |tx| match sessions::find(tx, &shown).await? {
                Some(session) => {
                    sessions::end(tx, session.user_id, session.id).await.map(|()| true)
                }
                None => Ok(false),
            })
            .await?
        }
        None => false,
    };
    if !ended {
        return Err(failed(StatusCode::NOT_FOUND, "User was not found or was not logged in."));
    }
    Ok(([CLEARED], Json(json!({"success": true}))))
}

/// Says whose session is shown.
async fn validate_token(
    _: Anyone,
    State(app): State<App>,
    ShownSession(shown): ShownSession,
) -> Answer {
    let refused = || failed(StatusCode::UNAUTHORIZED, "Invalid login credentials");
    let shown = shown.ok_or_else(refused)?;
    let asked = shown.clone();
    let found = app
        .read(async move |tx| match sessions::find(tx, &asked).await? {
            Some(session) => {
                let user = users::get(tx, session.user_id).await?;
                let body = with_created_at(tx, user).await?;
                Ok::<_, ApiError>(Some((body, session)))
            }
            None => Ok(None),
        })
        .await?;
    let (body, session) = found.ok_or_else(refused)?;
    if session.is_stale(app.db().ambient().now()) {
        let session = session.clone();
        app.write(async move |tx| sessions::touch(tx, &session).await).await?;
    }
    let mut response = Json(json!({"payload": {"success": true, "data": body}})).into_response();
    credentials::write(response.headers_mut(), &shown, session.expires_at);
    Ok(response)
}

async fn with_created_at(tx: &mut Tx<'_>, user: User) -> Answer<Value> {
    let profile = Profile::of(tx, user).await?;
    let mut body = profile_json(tx, &profile);
    if let Some(object) = body.as_object_mut() {
        object.insert("created_at".to_owned(), json!(profile.user.created_at.iso()));
    }
    Ok(body)
}

/// Sends a link to choose a new password; whether there is anybody to send it to is not said.
async fn forgot_password(
    _: Anyone,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer {
    let email = address::normalised(&params.text("email").unwrap_or_default());
    client.throttle(&app, &email, None).await?;
    app.write(async move |tx| asked::ask(tx, email, Link::NewPassword).await).await?;
    let text = "Request for password reset is successful. A email with instructions will be sent to \
                your email if it exists.";
    Ok(Json(json!({"message": text})).into_response())
}

fn bad_link(text: &str) -> ApiError {
    ApiError::with_body(
        StatusCode::UNPROCESSABLE_ENTITY,
        json!({"message": text, "redirect_url": "/"}),
    )
}

/// A new password and its repetition, checked.
///
/// # Errors
/// What they lack.
pub(crate) fn new_password(params: &Params) -> Answer<String> {
    let password = params.text("password").unwrap_or_default();
    let repeated = params.text("password_confirmation");
    let mut faults = Invalid::default();
    passwords::check(&mut faults, "password", &password);
    if let Some(repeated) = &repeated {
        passwords::check(&mut faults, "password_confirmation", repeated);
        if *repeated != password {
            faults.add("password_confirmation", "doesn't match Password");
        }
    }
    faults.check()?;
    Ok(password)
}

/// Sets a new password by a link, confirms the address that it was sent to, and signs in.
async fn reset_password(
    _: Anyone,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer {
    let token = params.text("reset_password_token").unwrap_or_default();
    let known = {
        let token = token.clone();
        app.write(async move |tx| links::by_reset_token(tx, &token).await).await?
    };
    if known.is_none() {
        return Err(bad_link("Invalid token"));
    }
    let hashed: Hashed = app.hash_password(new_password(&params)?).await?;
    let device = client.device();
    let entered = app
        .write(async move |tx| {
            let mut user = links::by_reset_token(tx, &token)
                .await?
                .ok_or_else(|| bad_link("Invalid token"))?;
            if user.confirmed_at.is_none() {
                users::reclaim(tx, &mut user, hashed).await?;
            } else {
                users::set_password(tx, &mut user, hashed, None).await?;
            }
            enter_once_proved(tx, user, device, Room::default()).await
        })
        .await?;
    entered.into_answer()
}

/// Confirms an address by a link, and signs in.
async fn confirm(_: Anyone, State(app): State<App>, client: Client, params: Params) -> Answer {
    let token = params.text("confirmation_token").unwrap_or_default();
    let device = client.device();
    let entered = app
        .write(async move |tx| match links::confirm(tx, &token).await? {
            Confirmation::Done(user) => enter_once_proved(tx, *user, device, Room::default()).await,
            Confirmation::Already => Err(bad_link("Already confirmed")),
            Confirmation::Unknown => Err(bad_link("Invalid token")),
        })
        .await?;
    entered.into_answer()
}

/// Sends a confirmation again; whether there is anybody to send it to is not said.
async fn resend_confirmation(
    _: Anyone,
    State(app): State<App>,
    client: Client,
    params: Params,
) -> Answer {
    let email = address::normalised(&params.text("email").unwrap_or_default());
    client.throttle(&app, &email, None).await?;
    app.write(async move |tx| asked::ask(tx, email, Link::Confirmation).await).await?;
    Ok(done())
}
