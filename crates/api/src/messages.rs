//! The messages of a conversation, for its agents (`resources.md §7`).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chatwarden_core::contacts::{ContactPush, is_email};
use chatwarden_core::conversations::Conversation;
use chatwarden_core::ids::{AgentBotId, DisplayId, MessageId};
use chatwarden_core::inboxes::{API, EMAIL};
use chatwarden_core::messages::{
    self, ContentType, DeliveryStatus, MessageType, NewMessage, Sender, Sent,
};
use chatwarden_core::users::UserPush;
use chatwarden_core::{Error, agent_bots, conversations, values};
use chatwarden_db::{Timestamp, Tx, WriteTx};
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::actors::{Agent, AgentOrBot, performer};
use crate::app::App;
use crate::attachments::{Carried, validation_failed};
use crate::conversations::display_id;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages")
        .get("", index)
        .post("", create)
        .patch("/{message_id}", update)
        .delete("/{message_id}", destroy)
        .post("/{message_id}/retry", retry)
        .post("/{message_id}/translate", translate)
}

/// The number of the message in the path.
fn message_id(params: &Params) -> Result<MessageId, ApiError> {
    params.id("message_id").map(MessageId)
}

/// A stretch of the conversation, oldest first (`behaviours.md §9.1`).
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let (after, before) = (params.position("after"), params.position("before"));
    let shared = params.present("filter_internal_messages").is_some();
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let found = messages::list(tx, &scope, c.row.id, after, before, shared).await?;
        let payload: Vec<Value> =
            found.iter().map(|sent| message_json(tx, c.row.display_id, sent)).collect();
        let mut meta = json!({
            "labels": c.row.labels.0,
            "additional_attributes": c.row.additional_attributes.0,
            "contact": ContactPush::of(tx, &c.contact),
            "agent_last_seen_at": c.row.agent_last_seen_at.map(Timestamp::iso),
            "assignee_last_seen_at": c.row.assignee_last_seen_at.map(Timestamp::iso),
        });
        if let (Some(assignee), Some(object)) = (c.assignee(), meta.as_object_mut()) {
            object.insert("assignee".to_owned(), json!(UserPush::of(tx, &assignee)));
        }
        Ok(Json(json!({"meta": meta, "payload": payload})))
    })
    .await
}

/// Sends a message as the member or bot, or, in an API inbox, as the contact (`behaviours.md §9.2`).
async fn create(who: AgentOrBot, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let id = display_id(&params)?;
    let draft = Draft::of(&params)?;
    let account = who.tenant().account_id();
    let carried = Carried::of(&app, account, &params).await?;
    let received = carried.received();
    let sent = app.write(async move |tx| {
        let mut c = crate::conversations::lock(tx, &who, id).await?;
        let echo_id = draft.echo_id.clone();
        let by = who.performer(tx);
        let mut new = draft.message(tx, &who, &c).await?;
        new.attachments = carried.attachments(tx, who.tenant()).await?;
        let sent = messages::create(tx, who.tenant(), &mut c, new, &by).await;
        let sent = sent.map_err(validation_failed)?;
        Ok(Json(with_echo(message_json(tx, c.row.display_id, &sent), echo_id)))
    });
    received.kept_if(&app, sent).await
}

/// A message as it was sent, before it is known where to.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    content: Option<String>,
    message_type: MessageType,
    content_type: ContentType,
    private: bool,
    content_attributes: Map<String, Value>,
    additional_attributes: Map<String, Value>,
    source_id: Option<String>,
    echo_id: Option<Value>,
    /// The bot that is to have sent it.
    bot: Option<AgentBotId>,
    /// Whom a mail goes to: `to_emails`, `cc_emails`, `bcc_emails`; none where no text says it.
    addresses: [(&'static str, Option<Vec<String>>); 3],
    /// What a mail shows in place of the content.
    email_html: Option<String>,
}

impl Draft {
    /// The message that the parameters say.
    ///
    /// # Errors
    /// 422 for a kind or a direction that there isn't.
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let unknown = |name: &str, text: &str| {
            ApiError::unprocessable(format!("'{text}' is not a valid {name}"))
        };
        let message_type = match params.get("message_type") {
            None | Some(Value::Null | Value::Bool(false)) => MessageType::Outgoing,
            Some(sent) => {
                let name = values::text(sent).unwrap_or_default();
                MessageType::named(&name).ok_or_else(|| unknown("message_type", &name))?
            }
        };
        let content_type = match params.present("content_type") {
            None => ContentType::Text,
            Some(name) => {
                ContentType::named(&name).ok_or_else(|| unknown("content_type", &name))?
            }
        };
        let mut content_attributes = params.object("content_attributes").unwrap_or_default();
        if let Some(at) = params.get("external_created_at").filter(|at| values::present(at)) {
            content_attributes.insert("external_created_at".to_owned(), at.clone());
        }
        let mut additional_attributes = Map::new();
        if let Some(campaign) = params.get("campaign_id").filter(|id| values::present(id)) {
            additional_attributes.insert("campaign_id".to_owned(), campaign.clone());
        }
        if let Some(template) = params.get("template_params").filter(|given| values::present(given))
        {
            let template = params.object("template_params").map_or(template.clone(), Value::Object);
            additional_attributes.insert("template_params".to_owned(), template);
        }
        let bot = params.text("sender_type").filter(|kind| kind == "AgentBot");
        let addresses = |key: &'static str| {
            let blank = !params.get(key).is_some_and(values::present);
            let text = params.text(key).or_else(|| blank.then(String::new));
            let each = text.map(|text| {
                let each = text.split(',').map(str::trim).filter(|address| !address.is_empty());
                each.map(str::to_owned).collect()
            });
            (key, each)
        };
        Ok(Self {
            content: params.text("content"),
            message_type,
            content_type,
            private: params.flag("private").unwrap_or(false),
            content_attributes,
            additional_attributes,
            source_id: params.present("source_id"),
            echo_id: params.get("echo_id").filter(|id| !id.is_null()).cloned(),
            bot: bot.and(params.integer("sender_id")).map(AgentBotId),
            addresses: ["to_emails", "cc_emails", "bcc_emails"].map(addresses),
            email_html: params.present("email_html_content"),
        })
    }

    /// The message in its conversation, of whoever sends it.
    ///
    /// # Errors
    /// 422 for what the inbox does not take.
    pub(crate) async fn message(
        self,
        tx: &mut WriteTx<'_>,
        who: &AgentOrBot,
        c: &Conversation,
    ) -> Result<NewMessage, ApiError> {
        if self.message_type == MessageType::Incoming && c.inbox.channel_type != API {
            return Err(ApiError::unprocessable(
                "Incoming messages are only allowed in Api inboxes",
            ));
        }
        let bot = match self.bot {
            // A bot that there isn't sends nothing: the caller does.
            Some(bot) => match agent_bots::find(tx, who.tenant(), bot).await {
                Err(Error::NotFound) => None,
                found => Some(found?),
            },
            None => None,
        };
        let sender = match (self.message_type, bot, who) {
            (MessageType::Outgoing, Some(bot), _) => Sender::Bot(Box::new(bot)),
            (MessageType::Outgoing, None, AgentOrBot::Agent(scope, _)) => {
                Sender::User(Box::new(scope.member().clone()))
            }
            (MessageType::Outgoing, None, AgentOrBot::Bot(scope)) => {
                Sender::Bot(Box::new(scope.bot().clone()))
            }
            _ => Sender::Contact(Box::new(c.contact.clone())),
        };
        let mut content_attributes = self.content_attributes;
        if c.inbox.channel_type == EMAIL {
            for (key, list) in self.addresses {
                let list = list.ok_or_else(|| {
                    let fault =
                        format!("{key} must be a text of addresses with commas between them");
                    ApiError::unprocessable(fault)
                })?;
                if list.iter().any(|address| !is_email(address)) {
                    return Err(ApiError::unprocessable("Invalid email address"));
                }
                content_attributes.insert(key.to_owned(), json!(list));
            }
        }
        Ok(NewMessage {
            content: self.content,
            message_type: self.message_type,
            content_type: self.content_type,
            private: self.private,
            status: DeliveryStatus::Sent,
            content_attributes: Value::Object(content_attributes),
            additional_attributes: Value::Object(self.additional_attributes),
            source_id: self.source_id,
            echo_id: self.echo_id,
            email_html: self.email_html,
            attachments: Vec::new(),
            sender,
        })
    }
}

/// Notes how far a message got; in API inboxes, whose channel is the caller.
async fn update(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, message) = (display_id(&params)?, message_id(&params)?);
    let status = params.text("status").as_deref().and_then(DeliveryStatus::named);
    let error = params.text("external_error");
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        if c.inbox.channel_type != API {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "Message status update is only allowed for API inboxes",
            ));
        }
        let by = performer(tx, &scope);
        let error = error.as_deref();
        let sent = messages::set_status(tx, &scope, &c, message, status, error, &by).await?;
        Ok(Json(message_json(tx, c.row.display_id, &sent)))
    })
    .await
}

/// Has a message delivered again.
async fn retry(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, message) = (display_id(&params)?, message_id(&params)?);
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        let sent = messages::retry(tx, &scope, &c, message, &by).await?;
        Ok(Json(message_json(tx, c.row.display_id, &sent)))
    })
    .await
}

/// A message in another language: no content, as no translator is connected.
async fn translate(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (id, message) = (display_id(&params)?, message_id(&params)?);
    let language = params.text("target_language").unwrap_or_default();
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let found = messages::sql::find(tx, &scope, c.row.id, message).await?;
        let found = found.ok_or_else(ApiError::not_found)?;
        if messages::translated(&found.message, &language) {
            return Ok(done());
        }
        Ok(Json(json!({"content": null})).into_response())
    })
    .await
}

/// Takes a message's content away.
async fn destroy(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, message) = (display_id(&params)?, message_id(&params)?);
    app.write(async move |tx| {
        let c = conversations::lock(tx, &scope, id).await?;
        let by = performer(tx, &scope);
        let sent = messages::delete(tx, &scope, &c, message, &by).await?;
        Ok(Json(message_json(tx, c.row.display_id, &sent)))
    })
    .await
}

/// What the sender's client waits for, in the answer to it alone.
pub(crate) fn with_echo(mut message: Value, echo_id: Option<Value>) -> Value {
    if let (Some(echo_id), Some(object)) = (echo_id, message.as_object_mut()) {
        object.insert("echo_id".to_owned(), echo_id);
    }
    message
}

/// A message (`resources.md §7.1`).
pub(crate) fn message_json(tx: &Tx<'_>, conversation: DisplayId, sent: &Sent) -> Value {
    let m = &sent.message;
    let mut out = json!({
        "id": m.id,
        "content": m.content,
        "inbox_id": m.inbox_id,
        "conversation_id": conversation,
        "message_type": m.message_type.integer(),
        "content_type": m.content_type,
        "status": m.status,
        "content_attributes": m.content_attributes.0,
        "created_at": m.created_at.unix(),
        "private": m.private,
        "source_id": m.source_id,
    });
    if let (Some(sender), Some(object)) = (sent.sender_push(tx), out.as_object_mut()) {
        object.insert("sender".to_owned(), json!(sender));
    }
    if let (Some(files), Some(object)) = (sent.attachment_pushes(tx), out.as_object_mut()) {
        object.insert("attachments".to_owned(), Value::Array(files));
    }
    out
}
