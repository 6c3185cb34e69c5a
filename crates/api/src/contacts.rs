//! Contacts (`resources.md §5`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::contacts::{self, Contact, InboxOfContact, NewContact};
use chatwarden_core::desk::desk;
use chatwarden_core::ids::{ContactId, InboxId};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::{Error, Scope, inboxes};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::inboxes::{raw_inbox_json, slim_inbox_json};
use crate::params::Params;
use crate::routes::Routes;

/// Contacts on a page (`behaviours.md §5`).
const PAGE: i64 = 15;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/contacts")
        .get("", index)
        .post("", create)
        .get("/{contact_id}", show)
}

/// The identified contacts, a page at a time.
async fn index(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let offset = (params.page() - 1).saturating_mul(PAGE);
    app.read(async move |tx| {
        let (found, count) = contacts::sql::page(tx, &scope, PAGE, offset).await?;
        let payload = with_inboxes(tx, &scope, &found, params.flag("include_contact_inboxes")).await?;
        Ok(Json(json!({"meta": {"count": count, "current_page": params.page_echo()}, "payload": payload})))
    })
    .await
}

/// One contact.
async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = params.text("contact_id").and_then(|id| id.parse().ok()).map(ContactId);
    let id = id.ok_or_else(ApiError::not_found)?;
    app.read(async move |tx| {
        let found = contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let wanted = params.flag("include_contact_inboxes");
        let payload = with_inboxes(tx, &scope, std::slice::from_ref(&found), wanted).await?;
        Ok(Json(json!({"payload": payload.first()})))
    })
    .await
}

/// What was sent of a new contact.
pub(crate) fn new_contact(params: &Params) -> NewContact {
    NewContact {
        name: params.text("name").unwrap_or_default(),
        email: params.text("email"),
        phone_number: params.text("phone_number"),
        identifier: params.text("identifier"),
        blocked: params.flag("blocked").unwrap_or(false),
        additional_attributes: params.object("additional_attributes").unwrap_or_default(),
        custom_attributes: params.object("custom_attributes").unwrap_or_default(),
    }
}

/// Adds a contact; with an inbox, also where it writes from.
async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let new = new_contact(&params);
    let inbox = params.integer("inbox_id").map(InboxId);
    app.write(async move |tx| {
        let inbox = match inbox {
            Some(id) => Some(inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?),
            None => None,
        };
        let contact = contacts::create(tx, &scope, new).await?;
        let mut contact_inbox = json!({"inbox": null, "source_id": null});
        if let Some(inbox) = &inbox {
            let source_id = params.present("source_id");
            let made =
                contacts::contact_inbox(tx, &scope, contact.id, inbox.inbox.id, source_id).await?;
            contact_inbox = json!({"inbox": raw_inbox_json(inbox), "source_id": made.source_id});
        }
        let payload = with_inboxes(tx, &scope, std::slice::from_ref(&contact), None).await?;
        Ok(Json(json!({"payload": {"contact": payload.first(), "contact_inbox": contact_inbox}})))
    })
    .await
}

/// Contacts with their inboxes, unless those are not wanted: one statement for all of them.
async fn with_inboxes(
    tx: &mut Tx<'_>,
    scope: &Scope,
    found: &[Contact],
    wanted: Option<bool>,
) -> Result<Vec<Value>, Error> {
    if wanted == Some(false) {
        return Ok(found.iter().map(|contact| contact_json(tx, contact)).collect());
    }
    let ids: Vec<i64> = found.iter().map(|contact| contact.id.0).collect();
    let inboxes: Vec<InboxOfContact> = if ids.is_empty() {
        Vec::new()
    } else {
        contacts::sql::inboxes_of(tx, scope, &ids).await?
    };
    Ok(found
        .iter()
        .map(|contact| {
            let own: Vec<Value> = inboxes
                .iter()
                .filter(|of| of.contact_id == contact.id)
                .map(|of| json!({"source_id": of.source_id, "inbox": slim_inbox_json(tx, of)}))
                .collect();
            with(contact_json(tx, contact), "contact_inboxes", Value::Array(own))
        })
        .collect())
}

fn with(mut object: Value, key: &str, value: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
    object
}

/// A contact, without its inboxes.
pub(crate) fn contact_json(tx: &Tx<'_>, contact: &Contact) -> Value {
    let online = desk(tx).presence.contact_online(contact.account_id, contact.id, tx.now());
    let out = json!({
        "additional_attributes": contact.additional_attributes.0,
        "availability_status": if online { "online" } else { "offline" },
        "email": contact.email,
        "id": contact.id,
        "name": contact.name,
        "phone_number": contact.phone_number,
        "blocked": contact.blocked,
        "identifier": contact.identifier,
        "thumbnail": avatar_url(tx, contact.avatar.as_ref()),
        "custom_attributes": contact.custom_attributes.0,
        "created_at": contact.created_at.unix(),
    });
    match contact.last_activity_at {
        Some(at) => with(out, "last_activity_at", json!(at.unix())),
        None => out,
    }
}

/// The record of a contact: every column (`resources.md §0`, raw record).
pub(crate) fn raw_contact_json(contact: &Contact) -> Value {
    let kind = ["visitor", "lead", "customer"];
    let kind = usize::try_from(contact.contact_type).ok().and_then(|i| kind.get(i)).copied();
    let columns: Map<String, Value> = [
        ("id", json!(contact.id)),
        ("name", json!(contact.name)),
        ("email", json!(contact.email)),
        ("phone_number", json!(contact.phone_number)),
        ("account_id", json!(contact.account_id)),
        ("created_at", json!(contact.created_at.iso())),
        ("updated_at", json!(contact.updated_at.iso())),
        ("additional_attributes", contact.additional_attributes.0.clone()),
        ("identifier", json!(contact.identifier)),
        ("custom_attributes", contact.custom_attributes.0.clone()),
        ("last_activity_at", json!(contact.last_activity_at.map(Timestamp::iso))),
        ("contact_type", json!(kind)),
        ("middle_name", json!(contact.middle_name)),
        ("last_name", json!(contact.last_name)),
        ("location", json!(contact.location)),
        ("country_code", json!(contact.country_code)),
        ("blocked", json!(contact.blocked)),
        ("company_id", Value::Null),
        ("label_list", json!(contact.labels.0)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    Value::Object(columns)
}
