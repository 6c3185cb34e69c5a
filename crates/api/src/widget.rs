//! The website's widget (`widget.md §7`, `resources.md §22`).

use axum::Json;
use axum::extract::{FromRequestParts, State};
use chatwarden_core::accounts::{Account, features::Features};
use chatwarden_core::conversations::{self, Conversation, NewConversation};
use chatwarden_core::ids::InboxId;
use chatwarden_core::messages::{self, MessageType, NewMessage, Sender, Sent};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::widget::{self, Visitor, languages};
use chatwarden_db::{Timestamp, Tx, WriteTx};
use http::request::Parts;
use serde_json::{Value, json};

use crate::actors::Actor;
use crate::app::App;
use crate::contacts::raw_contact_json;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::public::message_json;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/widget")
        .post("/config", config)
        .get("/conversations", conversation)
        .post("/conversations", open)
        .get("/messages", index)
        .post("/messages", create)
}

/// Whoever shows a website's token and, once known, their own.
#[derive(Debug, Clone)]
pub struct Guest {
    website_token: String,
    auth_token: Option<String>,
}

impl Actor for Guest {
    const NAME: &'static str = "visitor";
}

impl FromRequestParts<App> for Guest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let query = Params::of_query(parts.uri.query().unwrap_or_default())?;
        let auth_token =
            parts.headers.get("x-auth-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
        Ok(Self { website_token: query.text("website_token").unwrap_or_default(), auth_token })
    }
}

impl Guest {
    pub(crate) async fn visitor(&self, tx: &mut Tx<'_>) -> Result<Visitor, ApiError> {
        let token = self.auth_token.as_deref().unwrap_or_default();
        Ok(widget::visitor(tx, &self.website_token, token).await?)
    }
}

/// The page's data for clients without the page; a new visitor is made where none is known.
async fn config(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.write(async move |tx| {
        let (visitor, account, token) =
            widget::arrive(tx, &guest.website_token, guest.auth_token.as_deref()).await?;
        Ok(Json(config_json(tx, &visitor, &account, &token)))
    })
    .await
}

fn config_json(tx: &Tx<'_>, visitor: &Visitor, account: &Account, token: &str) -> Value {
    let (inbox, channel) = (&visitor.door.inbox, &visitor.door.channel);
    let setting = |key: &str| channel.settings.0.get(key).cloned().unwrap_or(Value::Null);
    let languages: Vec<Value> = languages::ENABLED
        .iter()
        .map(|(code, name)| json!({"name": name, "iso_639_1_code": code}))
        .collect();
    let contact = &visitor.contact;
    json!({
        "website_channel_config": {
            "allow_messages_after_resolved": inbox.allow_messages_after_resolved,
            "api_host": chatwarden_core::desk::desk(tx).frontend_url,
            "auth_token": token,
            "avatar_url": avatar_url(tx, inbox.avatar.as_ref()),
            "csat_survey_enabled": inbox.csat_survey_enabled,
            "disable_branding": Features::of(account).has("disable_branding"),
            "enabled_features": setting("selected_feature_flags"),
            "enabled_languages": languages,
            "locale": account.locale,
            "out_of_office_message": inbox.out_of_office_message,
            "portal": null,
            "pre_chat_form_enabled": setting("pre_chat_form_enabled"),
            "pre_chat_form_options": setting("pre_chat_form_options"),
            "reply_time": setting("reply_time"),
            "timezone": inbox.timezone,
            "utc_off_set": chatwarden_core::inboxes::utc_offset(&inbox.timezone, tx.now()),
            "website_name": inbox.name,
            "website_token": channel.token,
            "welcome_tagline": setting("welcome_tagline"),
            "welcome_title": setting("welcome_title"),
            "widget_color": setting("widget_color"),
            "working_hours": inbox.working_hours.0,
            "working_hours_enabled": inbox.working_hours_enabled,
        },
        "contact": {
            "email": contact.email, "id": contact.id, "identifier": contact.identifier, "name": contact.name,
            "phone_number": contact.phone_number, "pubsub_token": visitor.contact_inbox.pubsub_token,
        },
        "global_config": {
            "LOGO_THUMBNAIL": "/brand-assets/logo_thumbnail.svg",
            "BRAND_NAME": "Chatwoot",
            "WIDGET_BRAND_URL": "https://www.chatwoot.com",
            "MAXIMUM_FILE_UPLOAD_SIZE": 40,
            "INSTALLATION_NAME": "Chatwoot",
        },
    })
}

fn conversation_json(c: &Conversation) -> Value {
    json!({
        "id": c.row.display_id,
        "inbox_id": c.row.inbox_id,
        "contact_last_seen_at": c.row.contact_last_seen_at.map_or(0, Timestamp::unix),
        "status": c.row.status,
    })
}

/// The visitor's conversation, `{}` where there is none.
async fn conversation(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let found = visitor.conversation(tx).await?;
        Ok(Json(found.as_ref().map_or_else(|| json!({}), conversation_json)))
    })
    .await
}

/// Where and when the visitor began, as the page says it.
fn beginning(message: &Params) -> Value {
    json!({
        "initiated_at": {"timestamp": message.text("timestamp")},
        "referer": message.text("referer_url"),
    })
}

/// Opens a conversation with its first message.
async fn open(guest: Guest, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let message = params.inner("message").unwrap_or_default();
    let new = NewConversation {
        additional_attributes: beginning(&message),
        custom_attributes: Value::Object(params.object("custom_attributes").unwrap_or_default()),
        ..NewConversation::default()
    };
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let mut c = visitor.open(tx, new).await?;
        conversations::announce_created(tx, &visitor.door.scope, &c, &visitor.performer()).await?;
        let sent = write(tx, &visitor, &mut c, &message).await?;
        let mut out = conversation_json(&c);
        if let Some(object) = out.as_object_mut() {
            object
                .insert("messages".to_owned(), json!([message_json(tx, c.row.display_id, &sent)]));
            object.insert("custom_attributes".to_owned(), c.row.custom_attributes.0.clone());
            object.insert("contact".to_owned(), raw_contact_json(&c.contact));
        }
        Ok(Json(out))
    })
    .await
}

/// What the visitor may read.
async fn index(guest: Guest, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let (after, before) = (params.integer("after"), params.integer("before"));
    app.read(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let Some(c) = visitor.conversation(tx).await? else {
            return Ok(Json(json!({"payload": []})));
        };
        let found = messages::list_public(tx, &visitor.door.scope, c.row.id, after, before).await?;
        let payload: Vec<Value> =
            found.iter().map(|sent| message_json(tx, c.row.display_id, sent)).collect();
        let seen = c.row.contact_last_seen_at.map_or(0, Timestamp::unix);
        Ok(Json(json!({"payload": payload, "meta": {"contact_last_seen_at": seen}})))
    })
    .await
}

/// The visitor writes; a conversation is opened where there is none.
async fn create(guest: Guest, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let message = params.inner("message").unwrap_or_default();
    app.write(async move |tx| {
        let visitor = guest.visitor(tx).await?;
        let mut c = match visitor.lock_conversation(tx).await? {
            Some(c) => c,
            None => {
                let new = NewConversation {
                    additional_attributes: beginning(&message),
                    custom_attributes: Value::Object(
                        params.object("custom_attributes").unwrap_or_default(),
                    ),
                    ..NewConversation::default()
                };
                let made = visitor.open(tx, new).await?;
                conversations::announce_created(
                    tx,
                    &visitor.door.scope,
                    &made,
                    &visitor.performer(),
                )
                .await?;
                made
            }
        };
        let sent = write(tx, &visitor, &mut c, &message).await?;
        let mut out = message_json(tx, c.row.display_id, &sent);
        if let Some(object) = out.as_object_mut() {
            object.remove("content_type");
            object.insert("inbox_id".to_owned(), json!(InboxId(c.row.inbox_id.0)));
            object.insert("private".to_owned(), json!(false));
            object.insert("source_id".to_owned(), json!(sent.message.source_id));
        }
        Ok(Json(out))
    })
    .await
}

async fn write(
    tx: &mut WriteTx<'_>,
    visitor: &Visitor,
    c: &mut Conversation,
    message: &Params,
) -> Result<Sent, ApiError> {
    let sender = Sender::Contact(Box::new(visitor.contact.clone()));
    let mut new = NewMessage::text(MessageType::Incoming, message.text("content"), sender);
    new.content_attributes = json!({"in_reply_to": message.integer("reply_to")});
    new.echo_id = message.get("echo_id").cloned();
    Ok(messages::create(tx, &visitor.door.scope, c, new, &visitor.performer()).await?)
}
