//! Who is calling. The first argument of a handler says who may; everybody else is refused before
//! the body is read.

use axum::extract::{FromRequestParts, RawPathParams};
use chatwarden_core::accounts::{self, Account};
use chatwarden_core::agent_bots;
use chatwarden_core::events::Performer;
use chatwarden_core::ids::{AccountId, AgentBotId, PlatformAppId, UserId};
use chatwarden_core::scope::{self, Scope};
use chatwarden_core::sessions::{self, Session};
use chatwarden_core::tokens::{self, Owner, Token};
use chatwarden_core::users::UserPush;
use chatwarden_db::Tx;
use chatwarden_guard::rate_limit::{Decision, Decisions};
use chatwarden_guard::{ClientIp, RequestId, Subject};
use http::StatusCode;
use http::request::Parts;

use crate::app::App;
use crate::attempts;
use crate::credentials::{self, Recognised, Shown};
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
    /// The session; none where a token was shown.
    pub session: Option<Session>,
}

/// Anybody; where they signed in, who they are.
#[derive(Debug, Clone)]
pub struct MaybeSigned(pub Option<Signed>);

/// A member of the account in the path.
#[derive(Debug, Clone)]
pub struct Agent(pub Scope<scope::Agent>, pub Account);

/// An administrator of the account in the path.
#[derive(Debug, Clone)]
pub struct Admin(pub Scope<scope::Admin>, pub Account);

/// A member of the account in the path, or an agent bot that serves it. The routes that take one
/// are those that bots may use (`behaviours.md §2.2`).
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "made once a request, and nearly always an agent")]
pub enum AgentOrBot {
    /// A member.
    Agent(Scope<scope::Agent>, Account),
    /// A bot.
    Bot(Scope<scope::Bot>),
}

/// An application of the platform API.
#[derive(Debug, Clone, Copy)]
pub struct Platform(pub PlatformAppId);

impl Actor for Anyone {
    const NAME: &'static str = "anyone";
}
impl Actor for Signed {
    const NAME: &'static str = "signed-in user";
}
impl Actor for MaybeSigned {
    const NAME: &'static str = "anyone";
}
impl Actor for Agent {
    const NAME: &'static str = "agent";
}
impl Actor for Admin {
    const NAME: &'static str = "administrator";
}
impl Actor for AgentOrBot {
    const NAME: &'static str = "agent or bot";
}
impl Actor for Platform {
    const NAME: &'static str = "platform app";
}

impl AgentOrBot {
    /// The account.
    pub fn tenant(&self) -> &Scope {
        match self {
            Self::Agent(scope, _) => scope,
            Self::Bot(scope) => scope,
        }
    }

    /// The one who acts.
    pub fn performer(&self, tx: &Tx<'_>) -> Performer {
        match self {
            Self::Agent(scope, _) => performer(tx, scope),
            Self::Bot(scope) => Performer::Bot(scope.bot().push(tx)),
        }
    }
}

/// Who was recognised, and by which token.
enum Known {
    User(UserId, How),
    Bot(AgentBotId, i64),
}

/// How a user was recognised.
#[derive(Debug, Clone)]
enum How {
    /// By an API token, by its number.
    Token(i64),
    /// By a session.
    Session(Box<Session>),
}

impl How {
    fn token(&self) -> Option<i64> {
        match self {
            Self::Session(_) => None,
            Self::Token(id) => Some(*id),
        }
    }

    fn into_session(self) -> Option<Session> {
        match self {
            Self::Session(session) => Some(*session),
            Self::Token(_) => None,
        }
    }
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

fn unauthorized(text: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, text)
}

/// The refusal of bots and apps on routes that are not for them.
fn not_for_bots() -> ApiError {
    unauthorized("Access to this endpoint is not authorized for bots")
}

/// Recognises the caller, within a transaction that may go on with what is asked.
async fn recognise(tx: &mut Tx<'_>, shown: &Shown) -> Result<Known, ApiError> {
    let known = match shown {
        Shown::Nothing => return Err(ApiError::unauthenticated()),
        Shown::Token(token) => match tokens::find(tx, token).await? {
            Some(Token { id, owner: Owner::User(user) }) => Ok(Known::User(user, How::Token(id))),
            Some(Token { id, owner: Owner::AgentBot(bot) }) => Ok(Known::Bot(bot, id)),
            Some(Token { owner: Owner::PlatformApp(_), .. }) => return Err(not_for_bots()),
            None => Err(unauthorized("Invalid Access Token")),
        },
        Shown::Session(session) => match sessions::find(tx, session).await? {
            Some(found) => Ok(Known::User(found.user_id, How::Session(Box::new(found)))),
            None => Err(ApiError::unauthenticated()),
        },
    };
    attempts::attempt("token");
    known.inspect_err(|_| attempts::refused("token", "bad_secret"))
}

/// Notes a user: for the request line, for the headers of the answer, and for the list of sessions.
async fn note(
    parts: &Parts,
    app: &App,
    shown: Shown,
    kind: &'static str,
    user: UserId,
    how: &How,
) -> Result<(), ApiError> {
    let session = match how {
        How::Token(_) => {
            context(parts).actor(kind, Some(user.0), "token");
            return Ok(());
        }
        How::Session(session) => session,
    };
    context(parts).actor(kind, Some(user.0), "session");
    if let (Some(recognised), Shown::Session(shown)) = (parts.extensions.get::<Recognised>(), shown)
    {
        recognised.set(&shown, session.expires_at);
    }
    if session.is_stale(app.db().ambient().now()) {
        let session = session.clone();
        app.write(async move |tx| sessions::touch(tx, &session).await).await?;
    }
    Ok(())
}

/// Counts the request against the limits of whoever was recognised.
async fn count(
    parts: &Parts,
    app: &App,
    account: Option<AccountId>,
    user: Option<UserId>,
    token: Option<i64>,
) -> Result<(), ApiError> {
    let subject = Subject {
        client: parts.extensions.get::<ClientIp>(),
        account: account.map(|account| account.0),
        user: user.map(|user| user.0),
        token,
        bytes: content_length(parts),
        ..Subject::default()
    };
    decide(parts, app, &subject).await.map(drop)
}

/// How much is being sent, as far as it is said beforehand.
fn content_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Checks the limits of a subject that is known only here; what was taken.
pub(crate) async fn decide(
    parts: &Parts,
    app: &App,
    subject: &Subject<'_>,
) -> Result<Decision, ApiError> {
    let (path, query) = (parts.uri.path(), parts.uri.query());
    heed(parts, app.limiter().check_request(&parts.method, path, query, subject).await)
}

/// Checks one limit by its name, of a subject that is known only here; what was taken.
pub(crate) async fn decide_class(
    parts: &Parts,
    app: &App,
    class: &str,
    subject: &Subject<'_>,
) -> Result<Decision, ApiError> {
    heed(parts, app.limiter().check(class, subject).await)
}

/// Notes what was decided of a request, and refuses it where it is over a limit.
fn heed(parts: &Parts, decision: Decision) -> Result<Decision, ApiError> {
    if let Some(class) = decision.class() {
        context(parts).rate_class(class);
    }
    if let Some(decisions) = parts.extensions.get::<Decisions>() {
        decisions.note(&decision);
    }
    match decision.refusal(&parts.headers, parts.extensions.get::<RequestId>()) {
        Some(refusal) => Err(ApiError::throttled(refusal)),
        None => Ok(decision),
    }
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
        let shown = credentials::of(parts);
        let asked = shown.clone();
        let known = app.read(async move |tx| recognise(tx, &asked).await).await?;
        let Known::User(user, how) = known else { return Err(not_for_bots()) };
        note(parts, app, shown, "user", user, &how).await?;
        let token = how.token();
        count(parts, app, None, Some(user), token).await?;
        Ok(Self { user, session: how.into_session() })
    }
}

impl FromRequestParts<App> for MaybeSigned {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if matches!(credentials::of(parts), Shown::Nothing) {
            return Ok(Self(None));
        }
        Signed::from_request_parts(parts, app).await.map(Some).map(Self)
    }
}

impl FromRequestParts<App> for AgentOrBot {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        enter(parts, app, true).await
    }
}

/// Lets the caller into the account in the path.
async fn enter(parts: &mut Parts, app: &App, bots: bool) -> Result<AgentOrBot, ApiError> {
    let account = account_of(parts).await;
    let shown = credentials::of(parts);
    if matches!(shown, Shown::Nothing) {
        return Err(ApiError::unauthenticated());
    }
    let asked = shown.clone();
    let (found, how) = app
        .read(async move |tx| match recognise(tx, &asked).await? {
            Known::User(user, how) => {
                let (account, scope) = accounts::enter(tx, account?, user).await?;
                Ok((AgentOrBot::Agent(scope, account), how))
            }
            Known::Bot(bot, token) if bots => {
                let scope = agent_bots::enter(tx, account?, bot).await?;
                Ok((AgentOrBot::Bot(scope), How::Token(token)))
            }
            Known::Bot(..) => Err(not_for_bots()),
        })
        .await?;
    let (context, account, token) = (context(parts), found.tenant().account_id(), how.token());
    context.account(account);
    let user = match &found {
        AgentOrBot::Agent(scope, _) => {
            let kind = if scope.is_admin() { "administrator" } else { "agent" };
            note(parts, app, shown, kind, scope.user_id(), &how).await?;
            Some(scope.user_id())
        }
        AgentOrBot::Bot(scope) => {
            context.actor("bot", Some(scope.bot().id.0), "token");
            None
        }
    };
    count(parts, app, Some(account), user, token).await?;
    Ok(found)
}

impl FromRequestParts<App> for Agent {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match enter(parts, app, false).await? {
            AgentOrBot::Agent(scope, account) => Ok(Self(scope, account)),
            AgentOrBot::Bot(_) => Err(not_for_bots()),
        }
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
        let Shown::Token(token) = credentials::of(parts) else {
            return Err(unauthorized("Invalid access_token"));
        };
        match app.read(async move |tx| tokens::find(tx, &token).await).await? {
            Some(Token { id, owner: Owner::PlatformApp(found) }) => {
                attempts::attempt("token");
                context(parts).actor("platform", Some(found.0), "token");
                count(parts, app, None, None, Some(id)).await?;
                Ok(Self(found))
            }
            _ => {
                attempts::attempt("token");
                attempts::refused("token", "bad_secret");
                Err(unauthorized("Invalid access_token"))
            }
        }
    }
}

/// A member as the one who acts.
pub(crate) fn performer(tx: &Tx<'_>, scope: &Scope<scope::Agent>) -> Performer {
    Performer::User(UserPush::of(tx, scope.member()))
}
