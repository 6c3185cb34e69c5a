//! One box for all (`resources.md §19`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::Contact;
use chatwarden_core::search::{self, FoundConversation, Query};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::Answer;
use crate::messages::message_json;
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/search")
        .get("", index)
        .get("/conversations", conversations)
        .get("/contacts", contacts)
        .get("/messages", messages)
}

fn query(params: &Params) -> Answer<Query> {
    Ok(Query::new(&params.text("q").unwrap_or_default(), params.page())?)
}

fn contact_json(contact: &Contact) -> Value {
    json!({
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "identifier": contact.identifier,
        "additional_attributes": contact.additional_attributes.0,
        "last_activity_at": contact.last_activity_at.map(Timestamp::unix),
    })
}

fn conversation_json(tx: &Tx<'_>, found: &FoundConversation) -> Map<String, Value> {
    let c = &found.conversation;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("id", json!(c.row.display_id));
    put("account_id", json!(c.row.account_id));
    put("created_at", json!(c.row.created_at.unix()));
    if let Some(first) = &found.first {
        put("message", message_json(tx, c.row.display_id, first));
    }
    put("contact", contact_json(&c.contact));
    put(
        "inbox",
        json!({
            "id": c.inbox.id,
            "channel_id": found.channel_id,
            "name": c.inbox.name,
            "channel_type": c.inbox.channel_type,
        }),
    );
    if let Some(agent) = c.assignee() {
        put(
            "agent",
            json!({
                "id": agent.id,
                "available_name": agent.available_name(),
                "email": agent.email,
                "name": agent.name,
                "role": agent.role,
            }),
        );
    }
    out
}

/// Of each the first that are found. Articles are never among them: an account has none.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params)?;
    app.read(async move |tx| {
        let conversations = search::conversations(tx, &scope, &query).await?;
        let contacts = search::contacts(tx, &scope, &query).await?;
        let messages = search::messages(tx, &scope, &query).await?;
        let conversations: Vec<_> =
            conversations.iter().map(|found| conversation_json(tx, found)).collect();
        let contacts: Vec<_> = contacts.iter().map(contact_json).collect();
        let messages: Vec<_> =
            messages.iter().map(|(number, sent)| message_json(tx, *number, sent)).collect();
        Ok(Json(json!({"payload": {
            "conversations": conversations, "contacts": contacts, "messages": messages, "articles": [],
        }})))
    })
    .await
}

async fn conversations(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params)?;
    app.read(async move |tx| {
        let found = search::conversations(tx, &scope, &query).await?;
        let row = |found: &FoundConversation| {
            let mut row = conversation_json(tx, found);
            let attributes = found.conversation.row.additional_attributes.0.clone();
            row.insert("additional_attributes".to_owned(), attributes);
            Value::Object(row)
        };
        let rows: Vec<Value> = found.iter().map(row).collect();
        Ok(Json(json!({"payload": {"conversations": rows}})))
    })
    .await
}

async fn contacts(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params)?;
    app.read(async move |tx| {
        let found = search::contacts(tx, &scope, &query).await?;
        let rows: Vec<Value> = found.iter().map(contact_json).collect();
        Ok(Json(json!({"payload": {"contacts": rows}})))
    })
    .await
}

async fn messages(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let query = query(&params)?;
    app.read(async move |tx| {
        let found = search::messages(tx, &scope, &query).await?;
        let row = |(number, sent): &(_, _)| message_json(tx, *number, sent);
        let rows: Vec<Value> = found.iter().map(row).collect();
        Ok(Json(json!({"payload": {"messages": rows}})))
    })
    .await
}
