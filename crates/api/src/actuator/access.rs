//! Who is an operator (operations.md §1.2).

use axum::extract::FromRequestParts;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatwarden_guard::rate_limit::Decisions;
use chatwarden_guard::{ClientIp, RequestId, Subject};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use subtle::{Choice, ConstantTimeEq as _};

use super::Settings;
use super::answers::refusal;
use crate::actors::Actor;
use crate::app::App;
use crate::attempts;

/// Anybody; whether they are an operator decides how much they see.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    operator: bool,
    in_charge: bool,
}

/// Whoever showed an operator's credential.
#[derive(Debug, Clone, Copy)]
pub struct Operator;

/// An operator who may change things.
#[derive(Debug, Clone, Copy)]
pub struct InCharge;

/// An operator, or whoever calls from a network that may scrape.
#[derive(Debug, Clone, Copy)]
pub struct Scraper;

impl Actor for Caller {
    const NAME: &'static str = "anyone";
}
impl Actor for Operator {
    const NAME: &'static str = "operator";
}
impl Actor for InCharge {
    const NAME: &'static str = "operator in charge";
}
impl Actor for Scraper {
    const NAME: &'static str = "operator or scraper";
}

impl Caller {
    pub(super) fn is_operator(self) -> bool {
        self.operator
    }

    /// Whether they see of health what operators see (`HEALTH_ROLES`).
    pub(super) fn sees_health(self, settings: &Settings) -> bool {
        self.in_charge || (self.operator && !settings.health_for_those_in_charge)
    }
}

/// Whether the endpoint is there at all for the caller.
pub(super) fn exposes(settings: &Settings, endpoint: &str, operator: bool) -> bool {
    settings.exposed.has(endpoint) || (operator && settings.exposed_to_operators.has(endpoint))
}

/// Whether there is something at `path` for the caller; the index is there for all.
pub(super) fn is_there(settings: &Settings, path: &str, operator: bool) -> bool {
    settings.endpoint(path).is_none_or(|endpoint| exposes(settings, endpoint, operator))
}

/// Whether the call comes from a network that may scrape.
pub(super) fn is_scraper(settings: &Settings, parts: &Parts) -> bool {
    parts.extensions.get::<ClientIp>().is_some_and(|client| settings.may_scrape(client.ip))
}

/// A credential as it is shown.
enum Shown {
    Bearer(String),
    Basic(String, String),
}

/// The credential of a call. What can't be read is none that fits.
fn shown(parts: &Parts) -> Option<Shown> {
    let value = parts.headers.get(AUTHORIZATION)?;
    let unreadable = || Shown::Bearer(String::new());
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Some(unreadable());
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Shown::Bearer(rest.trim().to_owned()));
    }
    let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Some(match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((name, password)) if scheme.eq_ignore_ascii_case("basic") => {
            Shown::Basic(name.to_owned(), password.to_owned())
        }
        _ => unreadable(),
    })
}

/// Who shows a credential, if it is an operator's; takes as long whatever is shown.
fn fits(settings: &Settings, shown: &Shown) -> Option<Caller> {
    let (mut reads, mut changes) = (Choice::from(0), Choice::from(0));
    match shown {
        Shown::Bearer(token) => {
            let compare = |known: &String| known.as_bytes().ct_eq(token.as_bytes());
            for known in settings.tokens.iter().filter(|known| !known.is_empty()) {
                reads |= compare(known);
            }
            for known in settings.admin_tokens.iter().filter(|known| !known.is_empty()) {
                changes |= compare(known);
            }
        }
        Shown::Basic(name, password) => {
            if let Some((known, secret)) = &settings.basic {
                reads |= known.as_bytes().ct_eq(name.as_bytes())
                    & secret.as_bytes().ct_eq(password.as_bytes());
            }
        }
    }
    let in_charge = bool::from(changes);
    (bool::from(reads) || in_charge).then_some(Caller { operator: true, in_charge })
}

fn unauthenticated(parts: &Parts) -> Response {
    let mut response = refusal(StatusCode::UNAUTHORIZED, parts.uri.path());
    let realm = HeaderValue::from_static("Basic realm=\"actuator\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// Who calls. Calls without a credential and wrong credentials are limited by address
/// (classes `actuator` and `actuator-auth`); right ones are not.
async fn caller(parts: &Parts, app: &App) -> Result<Caller, Box<Response>> {
    let shown = shown(parts);
    let class = if shown.is_some() { "actuator-auth" } else { "actuator" };
    let client = parts.extensions.get::<ClientIp>();
    let decision = app.limiter().check(class, &Subject { client, ..Subject::default() }).await;
    if let Some(decisions) = parts.extensions.get::<Decisions>() {
        decisions.note(&decision);
    }
    if let Some(refusal) = decision.problem(parts.extensions.get::<RequestId>()) {
        return Err(Box::new(refusal));
    }
    let Some(shown) = shown else { return Ok(Caller { operator: false, in_charge: false }) };
    match fits(app.actuator(), &shown) {
        Some(caller) => {
            app.limiter().refund(&decision).await;
            Ok(caller)
        }
        None => {
            attempts::attempt("operator");
            attempts::refused("operator", "bad_secret");
            // What is not there for everybody is not there for whoever guesses.
            let path = parts.uri.path();
            let there = is_there(app.actuator(), path, false);
            Err(Box::new(if there {
                unauthenticated(parts)
            } else {
                refusal(StatusCode::NOT_FOUND, path)
            }))
        }
    }
}

/// Who calls an endpoint that is there for them.
async fn reach(parts: &Parts, app: &App) -> Result<Caller, Box<Response>> {
    let caller = caller(parts, app).await?;
    let path = parts.uri.path();
    let there = is_there(app.actuator(), path, caller.operator);
    if there { Ok(caller) } else { Err(Box::new(refusal(StatusCode::NOT_FOUND, path))) }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        reach(parts, app).await.map_err(|refusal| *refusal)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match reach(parts, app).await {
            Ok(Caller { operator: true, .. }) => Ok(Self),
            Ok(Caller { operator: false, .. }) => Err(unauthenticated(parts)),
            Err(refusal) => Err(*refusal),
        }
    }
}

impl FromRequestParts<App> for Scraper {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        if is_scraper(app.actuator(), parts) && exposes(app.actuator(), "prometheus", false) {
            return Ok(Self);
        }
        Operator::from_request_parts(parts, app).await.map(|Operator| Self)
    }
}

impl FromRequestParts<App> for InCharge {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match reach(parts, app).await {
            Ok(Caller { in_charge: true, .. }) => Ok(Self),
            Ok(Caller { operator: true, .. }) => {
                Err(refusal(StatusCode::FORBIDDEN, parts.uri.path()))
            }
            Ok(_) => Err(unauthenticated(parts)),
            Err(refusal) => Err(*refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_that_see_health() {
        let caller = |operator, in_charge| Caller { operator, in_charge };
        for (health_for_those_in_charge, expected) in
            [(false, [false, true, true]), (true, [false, false, true])]
        {
            let settings = Settings { health_for_those_in_charge, ..Settings::default() };
            let callers = [caller(false, false), caller(true, false), caller(true, true)];
            assert_eq!(callers.map(|it| it.sees_health(&settings)), expected);
        }
    }
}
