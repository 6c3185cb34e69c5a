//! The website's widget (`widget.md §7`, `resources.md §22`).

mod config;
mod contact;
mod conversations;
mod messages;

use axum::extract::FromRequestParts;
use chatwarden_core::Error;
use chatwarden_core::sessions::{AppHeaders, Device};
use chatwarden_core::visitors::{Identity, Proof, Visitor};
use chatwarden_core::widget::{self, Claims, Greeting, claims};
use chatwarden_db::Tx;
use chatwarden_guard::{ClientIp, Subject};
use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, USER_AGENT};
use http::request::Parts;
use serde_json::{Value, json};

use crate::actors::{Actor, decide, decide_class};
use crate::app::App;
use crate::attachments::Carried;
use crate::attempts;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) use config::raw_hours;
pub(crate) use contact::shown;
pub(crate) use conversations::typing_status;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/widget")
        .post("/config", config::config)
        .get("/inbox_members", config::inbox_members)
        .get("/campaigns", config::campaigns)
        .post("/events", config::event)
        .get("/contact", contact::show)
        .patch("/contact", contact::update)
        .patch("/contact/set_user", contact::set_user)
        .post("/contact/destroy_custom_attributes", contact::destroy_custom_attributes)
        .get("/conversations", conversations::show)
        .post("/conversations", conversations::create)
        .post("/conversations/update_last_seen", conversations::update_last_seen)
        .post("/conversations/toggle_typing", conversations::toggle_typing)
        .get("/conversations/toggle_status", conversations::toggle_status)
        .post("/conversations/set_custom_attributes", conversations::set_custom_attributes)
        .post("/conversations/destroy_custom_attributes", conversations::destroy_custom_attributes)
        .post("/conversations/transcript", conversations::transcript)
        .post("/labels", conversations::add_label)
        .delete("/labels/{title}", conversations::remove_label)
        .get("/messages", messages::index)
        .post("/messages", messages::create)
        .patch("/messages/{message_id}", messages::update)
}

/// Whoever shows a website's token and, once known, their own.
#[derive(Debug, Clone)]
pub struct Guest {
    website_token: String,
    auth_token: Option<String>,
    /// What the token says, if it is one of ours.
    claims: Option<Claims>,
    headers: HeaderMap,
}

impl Actor for Guest {
    const NAME: &'static str = "visitor";
}

impl FromRequestParts<App> for Guest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let query = Params::of_query(parts.uri.query().unwrap_or_default())?;
        let auth_token =
            parts.headers.get("x-auth-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let now = app.db().ambient().now();
        let claims = auth_token.as_deref().and_then(|token| claims(app.desk(), now, token));
        if auth_token.is_some() {
            attempts::attempt("widget");
            if claims.is_none() {
                attempts::refused("widget", "bad_secret");
            }
        }
        let subject = Subject {
            client: parts.extensions.get::<ClientIp>(),
            // Only who was signed by us: others could be made up without end.
            contact: claims.as_ref().map(|claims| claims.source_id.as_str()),
            ..Subject::default()
        };
        decide(parts, app, &subject).await?;
        Ok(Self {
            website_token: query.text("website_token").unwrap_or_default(),
            auth_token,
            claims,
            headers: parts.headers.clone(),
        })
    }
}

impl Guest {
    pub(crate) async fn visitor(&self, tx: &mut Tx<'_>) -> Result<Visitor, Error> {
        widget::visitor(tx, &self.website_token, self.claims.as_ref()).await
    }

    /// What was sent under a name, which must be there; who is nobody here is told that first.
    async fn needs<T>(&self, app: &App, name: &str, sent: Option<T>) -> Answer<T> {
        if let Some(sent) = sent {
            return Ok(sent);
        }
        let guest = self.clone();
        app.read(async move |tx| guest.visitor(tx).await).await?;
        Err(ApiError::missing(name))
    }

    /// Keeps the files that come with a message of the visitor.
    async fn carried(&self, app: &App, message: &Params) -> Answer<Carried> {
        let guest = self.clone();
        Carried::of_visitor(app, message, async move |tx| {
            Ok(guest.visitor(tx).await?.door.scope.account_id())
        })
        .await
    }

    /// Where and when a conversation begins, as the page and the browser say it.
    fn beginning(&self, message: &Params) -> Value {
        let header = |name| self.headers.get(name).and_then(|v| v.to_str().ok());
        let device = Device::of(header(USER_AGENT), None, &AppHeaders::default());
        json!({
            "browser_language": header(ACCEPT_LANGUAGE).and_then(preferred_language),
            "browser": {
                "browser_name": device.browser_name,
                "browser_version": device.browser_version,
                "device_name": device.device_name,
                "platform_name": device.platform_name,
                "platform_version": device.platform_version,
            },
            "initiated_at": {"timestamp": message.text("timestamp")},
            "referer": message.text("referer_url"),
        })
    }
}

/// The language that a browser would rather have: `de` of `de-DE,de;q=0.9,en;q=0.8`.
fn preferred_language(accepted: &str) -> Option<String> {
    let mut best: Option<(&str, f32)> = None;
    for range in accepted.split(',') {
        let (range, quality) = match range.split_once(";q=") {
            Some((range, quality)) => (range, quality.trim().parse().unwrap_or(0.0)),
            None => (range, 1.0),
        };
        if best.is_none_or(|(_, so_far)| quality > so_far) {
            best = Some((range.trim(), quality));
        }
    }
    let code = best?.0.split('-').next()?.to_ascii_lowercase();
    (!code.is_empty() && code.chars().all(|c| c.is_ascii_alphabetic())).then_some(code)
}

/// What a page is told: of the visitor whom its token stands for, else of a new one. One address makes only so
/// many new ones on a website, by whatever request.
pub(crate) async fn greet<T: Send + 'static>(
    app: &App,
    parts: &Parts,
    website_token: String,
    auth_token: Option<String>,
    answer: impl Fn(&Tx<'_>, &Greeting) -> T + Clone + Send + Sync + 'static,
) -> Answer<Result<T, Error>> {
    if let Some(auth_token) = auth_token {
        let (website_token, answer) = (website_token.clone(), answer.clone());
        let known = app
            .read(async move |tx| {
                let known = widget::known(tx, &website_token, &auth_token).await?;
                Ok::<_, Error>(known.map(|greeting| answer(tx, &greeting)))
            })
            .await;
        if let Some(known) = known.transpose() {
            return Ok(known);
        }
    }
    let client = parts.extensions.get::<ClientIp>();
    let subject = Subject { client, website: Some(&website_token), ..Subject::default() };
    decide_class(parts, app, "widget-page-inbox", &subject).await?;
    let address = client.map(|client| client.ip.to_string());
    let arrived = app.write(async move |tx| {
        let greeting = widget::arrive(tx, &website_token, address).await?;
        Ok::<_, Error>(answer(tx, &greeting))
    });
    Ok(arrived.await)
}

/// The message that was sent; none where something else was.
fn message_in(params: &Params) -> Option<Params> {
    params.inner("message").filter(|_| params.get("message").is_none_or(Value::is_object))
}

/// What a visitor says of themselves.
pub(crate) fn identity(params: &Params) -> Identity {
    Identity {
        identifier: params.text("identifier"),
        name: params.text("name"),
        email: params.text("email"),
        phone_number: params.text("phone_number"),
        avatar_url: params.text("avatar_url"),
        custom_attributes: params.object("custom_attributes").unwrap_or_default(),
        additional_attributes: params.object("additional_attributes").unwrap_or_default(),
    }
}

/// The proof that a client shows.
pub(crate) fn proof(params: &Params) -> Proof {
    Proof { identifier: params.text("identifier"), hash: params.text("identifier_hash") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_language_that_a_browser_prefers() {
        for (accepted, expected) in [
            ("de-DE,de;q=0.9,en;q=0.8", Some("de")),
            ("en;q=0.4, pt-BR;q=0.9", Some("pt")),
            ("FR", Some("fr")),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(preferred_language(accepted).as_deref(), expected, "{accepted}");
        }
    }
}
