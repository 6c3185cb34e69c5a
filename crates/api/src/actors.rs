//! Who is calling. The first argument of a handler says who may; everybody else is refused before
//! the body is read.

use axum::extract::{FromRequestParts, RawPathParams};
use chatwarden_core::accounts::{self, Account};
use chatwarden_core::events::Performer;
use chatwarden_core::ids::{AccountId, PlatformAppId, UserId};
use chatwarden_core::scope::{self, Scope};
use chatwarden_core::tokens::{self, Owner};
use chatwarden_core::users::UserPush;
use http::request::Parts;

use crate::app::App;
use crate::error::ApiError;
use crate::request_line::RequestContext;

/// What a route's first argument must be.
pub trait Actor: FromRequestParts<App> {
    /// The name in the references: `agent`, `administrator`, …
    const NAME: &'static str;
}

/// Nobody needs to be known.
#[derive(Debug, Clone, Copy)]
pub struct Anyone;

/// A person who signed in, by session or token.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The person.
    pub user: UserId,
}

/// A member of the account in the path.
#[derive(Debug, Clone)]
pub struct Agent(pub Scope<scope::Agent>, pub Account);

/// An administrator of the account in the path.
#[derive(Debug, Clone)]
pub struct Admin(pub Scope<scope::Admin>, pub Account);

/// An application of the platform API.
#[derive(Debug, Clone, Copy)]
pub struct Platform(pub PlatformAppId);

impl Actor for Anyone {
    const NAME: &'static str = "anyone";
}
impl Actor for Signed {
    const NAME: &'static str = "signed-in user";
}
impl Actor for Agent {
    const NAME: &'static str = "agent";
}
impl Actor for Admin {
    const NAME: &'static str = "administrator";
}
impl Actor for Platform {
    const NAME: &'static str = "platform app";
}

/// The token of an API client; the second name survives proxies that drop underscores
/// (`behaviours.md §2.2`).
fn api_token(parts: &Parts) -> Option<&str> {
    ["api_access_token", "api-access-token", "http_api_access_token"]
        .iter()
        .find_map(|name| parts.headers.get(*name))
        .and_then(|value| value.to_str().ok())
        .filter(|token| !token.is_empty())
}

/// The account in the path.
async fn account_of(parts: &mut Parts) -> Result<AccountId, ApiError> {
    let params =
        RawPathParams::from_request_parts(parts, &()).await.map_err(|_| ApiError::not_found())?;
    let id =
        params.iter().find(|(name, _)| *name == "account_id").and_then(|(_, id)| id.parse().ok());
    id.map(AccountId).ok_or_else(ApiError::not_found)
}

fn context(parts: &Parts) -> RequestContext {
    parts.extensions.get::<RequestContext>().cloned().unwrap_or_default()
}

impl FromRequestParts<App> for Anyone {
    type Rejection = ApiError;
    async fn from_request_parts(_: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Ok(Self)
    }
}

impl FromRequestParts<App> for Signed {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let user = match api_token(parts) {
            Some(token) => {
                let token = token.to_owned();
                match app.read(async move |tx| tokens::owner(tx, &token).await).await? {
                    Some(Owner::User(user)) => user,
                    _ => {
                        return Err(ApiError::new(
                            http::StatusCode::UNAUTHORIZED,
                            "Invalid Access Token",
                        ));
                    }
                }
            }
            None => return Err(ApiError::unauthenticated()),
        };
        context(parts).actor("user", Some(user.0), "token");
        Ok(Self { user })
    }
}

impl FromRequestParts<App> for Agent {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let account = account_of(parts).await;
        let Some(token) = api_token(parts).map(str::to_owned) else {
            return Err(ApiError::unauthenticated());
        };
        let account = account?;
        let (account, scope) = app
            .read(async move |tx| match tokens::owner(tx, &token).await? {
                Some(Owner::User(user)) => Ok(accounts::enter(tx, account, user).await?),
                _ => Err(ApiError::new(http::StatusCode::UNAUTHORIZED, "Invalid Access Token")),
            })
            .await?;
        let context = context(parts);
        context.actor(
            if scope.is_admin() { "administrator" } else { "agent" },
            Some(scope.user_id().0),
            "token",
        );
        context.account(scope.account_id());
        Ok(Self(scope, account))
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Agent(scope, account) = Agent::from_request_parts(parts, app).await?;
        let scope = scope.admin().ok_or_else(chatwarden_core::Error::not_authorized)?;
        Ok(Self(scope, account))
    }
}

impl FromRequestParts<App> for Platform {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let invalid = || ApiError::new(http::StatusCode::UNAUTHORIZED, "Invalid access_token");
        let token = api_token(parts).ok_or_else(invalid)?.to_owned();
        match app.read(async move |tx| tokens::owner(tx, &token).await).await? {
            Some(Owner::PlatformApp(app)) => {
                context(parts).actor("platform", Some(app.0), "token");
                Ok(Self(app))
            }
            _ => Err(invalid()),
        }
    }
}

/// A member as the one who acts.
pub(crate) fn performer(tx: &chatwarden_db::Tx<'_>, scope: &Scope<scope::Agent>) -> Performer {
    Performer::User(UserPush::of(tx, scope.member()))
}
